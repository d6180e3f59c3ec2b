"""Scores of rain forecasts: counts pooled over images, lead times and valid pixels (Eq. 25-28), and the baselines."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from scs_keras.training.samples import Samples
from scs_keras.training.scores import Column, Scores, check_output
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.radar_units import PAPER_THRESHOLD, rain_to_scaled

THRESHOLDS = {str(mm_h): float(rain_to_scaled(mm_h)) for mm_h in (0.5, 2, 5, 10)} | {"paper": PAPER_THRESHOLD}
"""Suffix of csi_, far_ and pod_ (numbers are mm/h): threshold on the scaled image. Events are values at or above it."""

_TOLERANCE = 1e-6  # 0.00007 dBZ: rain of exactly 0.5 mm/h is an event at 0.5 mm/h, however its logarithm was rounded


class Tally:
    """Sums of squared errors and of hits, misses and false alarms at each threshold."""

    def __init__(self):
        self.pixels, self.squared_error = 0, 0.0
        self.hits, self.misses, self.false_alarms = np.zeros((3, len(THRESHOLDS)), "int64")

    def add(self, target: np.ndarray, forecast: np.ndarray) -> None:
        """Adds pixels: target and forecast, scaled, (pixels,)."""
        self.pixels += target.size
        self.squared_error += float(np.square(forecast - target, dtype="float64").sum())
        for index, threshold in enumerate(THRESHOLDS.values()):
            observed, expected = target >= threshold - _TOLERANCE, forecast >= threshold - _TOLERANCE
            hits = int((observed & expected).sum())
            self.hits[index] += hits
            self.misses[index] += int(observed.sum()) - hits
            self.false_alarms[index] += int(expected.sum()) - hits

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        """The sum of tallies."""
        total = cls()
        for each in tallies:
            for name, value in vars(each).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    def scores(self) -> dict[str, float | None]:
        """{metric: value}; None where one is not defined (nothing to divide by)."""
        scores = {"mse": _ratio(self.squared_error, self.pixels)}
        for suffix, hit, miss, false_alarm in zip(THRESHOLDS, self.hits, self.misses, self.false_alarms):
            scores[f"csi_{suffix}"] = _ratio(hit, hit + miss + false_alarm)  # Eq. 25
            scores[f"far_{suffix}"] = _ratio(false_alarm, hit + false_alarm)  # Eq. 26
            scores[f"pod_{suffix}"] = _ratio(hit, hit + miss)  # Eq. 27
            if suffix == "paper":  # Eq. 28 on 0/1 images: the sum of products is the hits, of squares the events
                scores["correlation"] = _ratio(hit, math.sqrt(int(hit + false_alarm) * int(hit + miss)))
        return {column.name: scores[column.name] for column in RainScores.columns}


def _ratio(part, whole) -> float | None:
    return float(part / whole) if whole else None


def _columns():
    yield Column("mse", "MSE", digits=5)
    for suffix in THRESHOLDS:
        yield Column(f"csi_{suffix}", f"CSI {suffix}", better="higher")
    yield Column("correlation", "correlation", better="higher")
    for suffix in THRESHOLDS:
        yield Column(f"far_{suffix}", f"FAR {suffix}", main=False, block="far")
    for suffix in THRESHOLDS:
        yield Column(f"pod_{suffix}", f"POD {suffix}", better="higher", main=False, block="pod")


class RainScores(Scores):
    """MSE, correlation, CSI, FAR and POD; also for each event and each lead time."""

    columns = tuple(_columns())
    notes = "MSE in (70 dBZ)², CSI, FAR and POD at thresholds in mm/h, `paper` and the correlation at 35 dBZ."
    card_axis = "event"

    def __init__(self, preset: Preset | None = None):
        self.tallies: dict[tuple[str, float], Tally] = {}  # by event and lead time in minutes

    def add(self, target: np.ndarray, output: np.ndarray, weight: np.ndarray, about: Mapping[str, Any]) -> None:
        """Adds a window: target, output and weight (time, height, width, 1); pixels of weight 0 do not count."""
        check_output(target, output, about)
        for lead, (image, forecast, valid) in enumerate(zip(target, output, weight > 0), start=1):
            tally = self.tallies.setdefault((about["group"], lead * about["step_minutes"]), Tally())
            tally.add(image[valid], forecast[valid])

    def result(self) -> dict[str, float | None]:
        return Tally.total(self.tallies.values()).scores()

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        events = dict.fromkeys(event for event, _ in self.tallies)
        minutes = sorted({lead for _, lead in self.tallies})
        return {
            "event": {name: self._part(lambda event, _, name=name: event == name) for name in events},
            "lead time": {f"+{m:g} min": self._part(lambda _, lead, m=m: lead == m) for m in minutes},
        }

    def _part(self, belongs: Callable[[str, float], bool]) -> dict[str, float | None]:
        return Tally.total(tally for key, tally in self.tallies.items() if belongs(*key)).scores()


def baselines(preset: Preset, samples: Samples, train: Callable[[], Samples]) -> dict[str, Prediction]:
    """What every model has to beat: `persistence` (the last image stays) and `advection` (it moves on)."""
    import keras

    from scs_keras.core.goals import advect

    steps = preset.output_shape[0]
    return {
        "persistence": lambda frames, about: np.repeat(frames[:, -1:], steps, axis=1),
        "advection": lambda frames, about: keras.ops.convert_to_numpy(advect(frames, steps)),
    }
