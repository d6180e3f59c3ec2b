"""What the scores of forecasts come to: a small table, and a sentence for whoever uses them."""

from collections.abc import Mapping, Sequence

from scs_keras.training.precipitation.scores import RainScores
from scs_keras.training.precipitation.story import LABELS
from scs_keras.training.scores import Values, defined, table_rows
from scs_keras.zoo.radar_units import LEVELS

SUMMARY = tuple(column for column in RainScores.columns if column.name in ("mse", *(f"csi_{each}" for each in LEVELS)))
"""Columns of the table."""


def summary_table(results: Mapping[str, Values]) -> str:
    """The table as text, the best of each column with a star; forecasts that have none of its scores are left out."""
    rows = {name: [] for name in defined(SUMMARY, results)}
    for column in SUMMARY:
        best = column.best([results[name][column.name] for name in rows])
        for name, cells in rows.items():
            value = results[name][column.name]
            cells.append(column.text(value) + ("*" if value is not None and value == best else " "))
    titles = [column.title for column in SUMMARY]
    return "\n".join(table_rows(titles, {LABELS.get(name, name): cells for name, cells in rows.items()}))


def takeaway(results: Mapping[str, Values], baselines: Sequence[str]) -> str:
    """A sentence on where a model is better than the best baseline, where it is not, and what to use it for.

    Args:
        results: {forecast: {metric: value}} of the model, "matched" and "mean" or "model", and of the baselines.
        baselines: their names; the one of the highest mean CSI is compared with.
    """
    product, exact = ("matched", "mean") if "matched" in results else ("model", "model")
    rival = max(baselines, key=lambda name: sum(_csi(results[name]).values()))
    own, other = _csi(results[product]), _csi(results[rival])
    ahead = [each for each in own if own[each] - other[each] > _SAME]
    behind = [each for each in own if other[each] - own[each] > _SAME]
    level = [each for each in own if each not in ahead and each not in behind]
    name = LABELS.get(rival, rival)
    verbs = (("beats {}", ahead), ("is level with {}", level), ("loses to {}", behind))
    said = [f"{verb} at {_listed(thresholds)} mm/h" for verb, thresholds in verbs if thresholds]
    clauses = _listed([clause.format("it" if index else name) for index, clause in enumerate(said)])
    squares, others = (results[each]["mse"] or 0.0 for each in (exact, rival))
    error = squares / others - 1 if others else 0.0
    error = f"{abs(error):.0%} {'less' if error < 0 else 'more'} squared error".replace("%", " %")
    of_mean = "" if exact == product else f" ({exact})"
    model = "the model" if product == "model" else product
    advice = _advice(model, name, ahead, behind) + _amount(results[product])
    return f"On this event {model} {clauses} (CSI), with {error}{of_mean}: {advice}."


_SAME = 0.005  # CSI, a difference that says nothing


def _csi(values):
    return {float(each): values[f"csi_{each}"] or 0.0 for each in LEVELS}


def _advice(model, rival, ahead, behind):
    if not behind:
        return f"here {model} is the one to use" if ahead else "here either will do"
    if not ahead:
        return f"here {rival} is the one to use"
    if min(behind) > max(ahead):
        return f"take the area of rain from {model}, cores of {min(behind):g} mm/h and more from {rival}"
    if max(behind) < min(ahead):
        return f"take the area of rain from {rival}, cores of {min(ahead):g} mm/h and more from {model}"
    return "look at both"


def _amount(values):
    """Says so where the area of heavy rain is not about as large as observed: frequency bias, POD / (1 - FAR)."""
    hit, false = values.get("pod_10"), values.get("far_10")
    if not hit or false is None or 0.8 <= hit / (1 - false) <= 1.25:
        return ""
    return f"; of heavy rain (10 mm/h) it has {hit / (1 - false):.0%} of the observed area".replace("%", " %")


def _listed(items):
    words = [each if isinstance(each, str) else f"{each:g}" for each in items]
    return " and ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])
