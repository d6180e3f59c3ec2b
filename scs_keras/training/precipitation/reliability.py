"""The reliability diagram: how often rain came where a forecast gave it some probability (matplotlib)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scs_keras.training.precipitation.scores import PROBABILITY, RainScores
from scs_keras.training.precipitation.story import LABELS
from scs_keras.training.task import check_needs
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.words import option

Diagrams = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]
"""{forecast: {threshold in mm/h: points}}, see `tally.reliability_of`."""

_COLOURS = ("#50177e", "#2a9d5c", "#f0641e", "#2f7fc1")
_GREY = "#6b6b6b"


def report(model: Any, reliability: str | Path) -> Callable[[Mapping[str, RainScores]], str]:
    """For `evaluate --reliability FILE`: what draws the diagram of the scores, and says so.

    Raises:
        ValueError: the model forecasts no probabilities.
    """
    if PROBABILITY not in getattr(model, "products", ()):
        raise ValueError(
            f"{option('reliability', reliability)} is for models that forecast probabilities. Received: "
            f"{model.preset.name}, which does not. Leave it out, or take scs_precipitation_nowcast_small_radar."
        )

    def draw(scores: Mapping[str, RainScores]) -> str:
        reliability_diagram(reliability, {name: each.reliability()["all"] for name, each in scores.items()})
        return f"Wrote {reliability}."

    return draw


def reliability_diagram(path: str | Path, diagrams: Diagrams) -> None:
    """Writes a PNG: for each threshold the observed frequency over the forecast probability; below, how often.

    Forecasts that say nothing but 0 and 1 are left out.

    Raises:
        ValueError: no other is there.
        ImportError: matplotlib is missing.
    """
    shown = {name: each for name, each in diagrams.items() if _unsure(each)}
    if not shown:
        raise ValueError(f"A reliability diagram needs forecasts of probabilities. Received: {', '.join(diagrams)}.")
    check_needs({"matplotlib": "pictures"})
    from matplotlib.figure import Figure

    levels = list(next(iter(shown.values())))
    figure = Figure(figsize=(2.75 * len(levels), 4.4), layout="constrained")
    figure.suptitle("Reliability of the forecast probabilities (dotted: as often as forecast)", fontsize=12)
    rows = figure.subplots(2, len(levels), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1))
    for level, curves, counts in zip(levels, *rows):
        curves.plot((0, 100), (0, 100), color=_GREY, linestyle=":", linewidth=1)
        for (name, points), colour in zip(((name, each[level]) for name, each in shown.items()), _COLOURS):
            total = sum(point["count"] for point in points)
            said = [100 * point["forecast"] for point in points]
            style = dict(color=colour, marker="o", markersize=3, linewidth=1.5)
            curves.plot(said, [100 * point["observed"] for point in points], label=LABELS.get(name, name), **style)
            counts.plot(said, [100 * point["count"] / total for point in points], **style)
        curves.set(title=f"{level} mm/h or more", xlim=(0, 100), ylim=(0, 100), aspect="equal")
        counts.set(xlabel="forecast probability, %", yscale="log", ylim=(1e-3, 100))
        for axes in (curves, counts):
            axes.grid(linewidth=0.3)
    rows[0][0].set_ylabel("observed, % of the pixels")
    rows[1][0].set_ylabel("% of all pixels")
    rows[0][0].legend(fontsize=9)
    with written_beside(path) as beside:
        figure.savefig(beside, format="png", dpi=110, metadata={"Software": None})


def _unsure(diagram):
    return any(0 < point["forecast"] < 1 for points in diagram.values() for point in points)
