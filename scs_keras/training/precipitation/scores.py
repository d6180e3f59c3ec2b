"""Scores of rain forecasts, pooled over images, lead times and valid pixels, with intervals; and the baselines."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scs_keras.training.precipitation import bootstrap, uncertainty
from scs_keras.training.precipitation.tally import (
    BAND_KM,
    SCALES_KM,
    THRESHOLDS,
    reliability_of,
    scores_of,
    stacked,
    tally,
)
from scs_keras.training.samples import Samples
from scs_keras.training.scores import Column, Scores, check_finite, finite
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.radar_units import LEVELS

PROBABILITY = "probability"
PRODUCTS = ("mean", "matched", PROBABILITY)
"""What is scored of a model that gives several forecasts."""


class Forecast(NamedTuple):
    """A forecast, with what the model says of the images that it saw."""

    images: Any
    lost: Any  # (observed time,), 1 for an image that the model took for lost


_NOTES = dict(
    bias="Bias: area forecast over area observed, best 1.",
    spectrum="Spectrum: power forecast over power observed at wavelengths of {}-{} km, best 0.".format(*BAND_KM),
    brier="Brier score of the probability that rain reaches so many mm/h.",
    crps="CRPS in mm/h, of rain rounded down to the thresholds.",
    fss="FSS: fractions skill score at thresholds in mm/h, in squares of so many km.",
)


def _columns():
    yield Column("mse", "MSE", digits=5)
    for suffix in THRESHOLDS:
        yield Column(f"csi_{suffix}", f"CSI {suffix}", better="higher", block="paper" if suffix == "paper" else "")
    yield Column("correlation", "correlation", better="higher", block="paper")
    for suffix in THRESHOLDS:
        yield Column(
            f"bias_{suffix}",
            f"bias {suffix}",
            digits=3,
            better="",
            main=suffix != "paper",
            block="bias",
            note=_NOTES["bias"],
        )
    yield Column("spectrum", "spectrum dB", digits=2, better="", block="bias", note=_NOTES["spectrum"])
    yield Column("crps", "CRPS", main=False, block="probability", note=_NOTES["crps"])
    for level in LEVELS:
        yield Column(
            f"brier_{level}", f"Brier {level}", digits=5, main=False, block="probability", note=_NOTES["brier"]
        )
    for level in LEVELS:
        for km in SCALES_KM:
            name, title = f"fss_{level}_{km}km", f"FSS {level} {km} km"
            yield Column(name, title, better="higher", main=False, block=f"fss {level}", note=_NOTES["fss"])
    for suffix in THRESHOLDS:
        yield Column(f"far_{suffix}", f"FAR {suffix}", main=False, block="far")
    for suffix in THRESHOLDS:
        yield Column(f"pod_{suffix}", f"POD {suffix}", better="higher", main=False, block="pod")


class RainScores(Scores):
    """MSE, CSI, frequency bias, FSS, power spectrum, Brier score, CRPS, FAR, POD; also for each event and lead time.

    A forecast of 1 channel is scaled rain. One of 4 holds probabilities that rain reaches 0.5, 2, 5, 10 mm/h, of which
    the Brier score, the reliability diagram and the CRPS are known; scaled rain counts as probabilities 0 and 1.
    """

    columns = tuple(_columns())
    notes = "MSE in (70 dBZ)², CSI, FAR and POD at thresholds in mm/h, `paper` and the correlation at 35 dBZ."
    card_axis = "event"

    def __init__(self, preset: Preset | None = None):
        self.images: list[bootstrap.Scored] = []
        self.minutes: list[float] = []  # lead time of each image
        self.tallies: list[np.ndarray] = []  # and its sums
        self.km_per_pixel: dict[str, float | None] = {}  # of each event
        self.lost: dict[str, np.ndarray] = {}  # of each event: images that were seen, and that were taken for lost
        self._made: dict[Any, Any] = {}  # of what was added so far

    def add(
        self, target: np.ndarray, output: np.ndarray | Forecast, weight: np.ndarray, about: Mapping[str, Any]
    ) -> None:
        """Adds a window: target and weight (time, height, width, 1), output (time, height, width, 1 or 4).

        Pixels of weight 0 do not count. Of a `Forecast` the lost images are counted.
        """
        output, lost = output if isinstance(output, Forecast) else (output, None)
        _check(target, output, about)
        times, step, event = about["times"], about["step_minutes"], about["group"]
        self._made.clear()
        if lost is not None:
            self.lost[event] = self.lost.get(event, 0) + np.array([np.size(lost), np.count_nonzero(lost)])
        km = self.km_per_pixel[event] = about.get("km_per_pixel")
        for lead, (image, forecast, valid) in enumerate(zip(target, output, weight > 0), start=1):
            time = times[len(times) - len(target) + lead - 1]
            self.images.append(bootstrap.Scored(event, time, times[0], times[-1], step * 60))
            self.minutes.append(lead * step)
            self.tallies.append(tally(image[..., 0], forecast, valid[..., 0], km))

    def result(self) -> dict[str, float | None]:
        return self._scores(slice(None))

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        return {
            axis: {part: self._scores(images) for part, images in parts.items()}
            for axis, parts in self._parts().items()
        }

    def _parts(self):
        """{axis: {part: its images, bool (images,)}}."""
        events, minutes = np.array([image.file for image in self.images]), np.array(self.minutes)
        return {
            "event": {event: events == event for event in self.km_per_pixel},
            "lead time": {f"+{lead:g} min": minutes == lead for lead in np.unique(minutes)},
        }

    def _scores(self, images):
        return self._values(scores_of(stacked(self.tallies)[images].sum(axis=0)))

    def _values(self, scores):
        return {column.name: finite(scores[column.name]) for column in self.columns}

    @property
    def blocks(self) -> bootstrap.Blocks:
        """The images in blocks; those of other forecasts of the same windows are the same."""
        return self._once("blocks", lambda: bootstrap.divide(self.images))

    def _once(self, key, make):
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def drawn(self, event: str | None = None) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
        """The scores, and their values in the bootstrap.

        Args:
            event: one of `blocks`; None for all images.

        Returns:
            {metric: value}, and {metric: (replicates,), NaN where not defined}, which is {} for too few blocks.
        """
        return self._once(("drawn", event), lambda: self._drawn(event))

    def _drawn(self, event):
        sums = self._once("sums", lambda: self.blocks.sums(stacked(self.tallies)))
        if event is not None:
            sums = sums[self.blocks.of_event[event]]
        replicates = bootstrap.replicates(sums)
        return self._values(scores_of(sums.sum(axis=0))), {} if replicates is None else scores_of(replicates)

    def intervals(self) -> dict[str, tuple[float, float] | None]:
        replicates = self.drawn()[1]
        return {column.name: bootstrap.interval(replicates.get(column.name)) for column in self.columns}

    def reliability(self) -> dict[str, Any]:
        """Reliability diagrams of "all", and by the axes of `parts`, see `reliability_of`."""
        sums = stacked(self.tallies)
        by_axis = {
            axis: {part: reliability_of(sums[images].sum(axis=0)) for part, images in parts.items()}
            for axis, parts in self._parts().items()
        }
        return {"all": reliability_of(sums.sum(axis=0)), **by_axis}

    def extras(self, scores: Mapping[str, "RainScores"]) -> dict[str, Any]:
        return uncertainty.document(scores)

    def remarks(self, scores: Mapping[str, "RainScores"]) -> list[str]:
        return uncertainty.remarks(scores)


def _check(target, output, about):
    """Raises ValueError unless a prediction can be scored."""
    shape = np.shape(output)
    if shape[:-1] != target.shape[:-1] or shape[-1] not in (1, len(LEVELS)):
        raise ValueError(
            f"must have shape {target.shape}, or {len(LEVELS)} channels of probabilities, on {about['group']}. "
            f"Received: {shape}."
        )
    check_finite(output, about)
    if shape[-1] > 1 and not (np.min(output) >= 0 and np.max(output) <= 1):
        raise ValueError(
            f"has probabilities outside of [0, 1] on {about['group']}: {np.min(output):g} to {np.max(output):g}."
        )


def predictors(model: Any) -> dict[str, Prediction]:
    """What is scored of a model: its `PRODUCTS`, or "model" for one that gives a single forecast.

    What a model says of lost images goes with the first.
    """
    if not getattr(model, "products", ()):
        return {"model": lambda x, about: model.predict(x, verbose=0)}
    last: dict[str, Any] = {"x": None}

    def forecasts(x):
        if last["x"] is not x:  # one call for all products of a batch
            last.update(x=x, forecasts=model.predict(x, verbose=0))
        return last["forecasts"]

    made: dict[str, Prediction] = {name: lambda x, about, name=name: forecasts(x)[name] for name in PRODUCTS}
    if "lost" in model.products:
        made[PRODUCTS[0]] = lambda x, about: Forecast(forecasts(x)[PRODUCTS[0]], forecasts(x)["lost"])
    return made


def baselines(
    preset: Preset, samples: Samples, train: Callable[[], Samples], baselines: str | None = None
) -> dict[str, Prediction]:
    """What every model has to beat: `persistence` (the last image stays), `advection` (it moves on) and `scale_filter`
    (what is small fades as it moves on).

    Args:
        preset: whose lengths are scored.
        samples, train: not used.
        baselines: "pysteps" for its nowcasts too, "sprog" for S-PROG alone, see `pysteps_baselines`.
    """
    import keras

    from scs_keras.core.goals import advect
    from scs_keras.zoo.precipitation.nowcast import FEWEST_IMAGES, filtered_mean

    steps = preset.output_shape[0]
    made = {
        "persistence": lambda frames, about: np.repeat(frames[:, -1:], steps, axis=1),
        "advection": lambda frames, about: keras.ops.convert_to_numpy(advect(frames, steps)),
    }
    if preset.input_shape[0] >= FEWEST_IMAGES:
        made["scale_filter"] = lambda frames, about: keras.ops.convert_to_numpy(filtered_mean(frames, steps))
    if baselines:
        from scs_keras.training.precipitation.pysteps_baselines import nowcasts

        made |= nowcasts(preset.input_shape[0], steps, baselines)
    return made
