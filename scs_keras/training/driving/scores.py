"""Scores of angles: Eq. 24, squared error, R²; also on straight road, in curves, and by kinds of road."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scs_keras.training.scores import Column, Scores, check_output, finite, table_rows
from scs_keras.zoo.preset import Preset

THRESHOLDS = (3, 6)  # λ of Eq. 24, degrees
STRAIGHT, CURVE = 1, 6  # below, and from these degrees on
NAMES = (f"straight (< {STRAIGHT}°)", "middle", f"curve (≥ {CURVE}°)")
LEAST_VARIANCE = 1.0  # degrees²; where angles hardly vary there is nothing to explain


class DrivingScores(Scores):
    """Of the angle at the last frame of each window, degrees."""

    columns = (
        *(Column(f"accuracy_{degrees}", f"Eq. 24, {degrees}°", 3, "higher") for degrees in THRESHOLDS),
        Column("mse", "MSE deg²", 1),
        Column("r2", "R²", 3, "higher"),
        Column("mae", "mean error °", 2),
        Column("mse_units", "MSE units", 4, main=False),
        Column("count", "count", 0, "", main=False),
    )
    notes = (
        "Eq. 24 is the mean of min(λ / error, 1) and never stands alone: straight on has much of it where roads are "
        "straight. R² is 1 - MSE / variance of the angles; by steering, of theirs. Never steer a car with it."
    )

    def __init__(self, preset: Preset):
        self.limit = float(preset.arguments["limit"])
        self.targets: list[float] = []
        self.outputs: list[float] = []
        self.roads: list[str] = []
        self.names: list[str] = []

    def add(self, target: Any, output: Any, weight: Any, about: Mapping[str, Any]) -> None:
        """Adds a window: angles in degrees, (1,), or (time, 1) of which the last counts."""
        check_output(target, output, about)
        self.targets.append(float(np.reshape(target, -1)[-1]))
        self.outputs.append(float(np.reshape(output, -1)[-1]))
        self.roads.append(about.get("road", ""))
        self.names.append(about.get("name", ""))

    def result(self) -> dict[str, float | None]:
        return self._of(np.ones(len(self.targets), bool))

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        size, roads = np.abs(self.targets), np.array(self.roads)
        chosen = dict(zip(NAMES, (size < STRAIGHT, (size >= STRAIGHT) & (size < CURVE), size >= CURVE)))
        found = {"steering": {name: self._of(which) for name, which in chosen.items() if which.any()}}
        named = [road for road in dict.fromkeys(self.roads) if road]
        return found | ({"road": {road: self._of(roads == road) for road in named}} if named else {})

    def extras(self, scores: Mapping[str, "DrivingScores"]) -> dict[str, Any]:
        """Where T1 and T2 were scored {"importance": {part: what time adds}, "samples": a list with the same of every
        window and its angles}, see `importance`."""
        found = importance(scores)
        return {"importance": found, "samples": _by_sample(scores)} if found else {}

    def remarks(self, scores: Mapping[str, "DrivingScores"]) -> list[str]:
        rows = {
            part: [f"{values[name]:.3f} " for name in ("spatial", "temporal", "difference")]
            for part, values in importance(scores).items()
        }
        title = f"Eq. 24 at {THRESHOLDS[-1]}°"
        return table_rows(("T1", "T2", "T2 - T1"), rows, title) if rows else []

    def _of(self, which: np.ndarray) -> dict[str, float | None]:
        if not which.any():
            return {column.name: None for column in self.columns}
        target, output = (np.array(values)[which] for values in (self.targets, self.outputs))
        return angle_scores(target, output, self.limit)


def angle_scores(target: np.ndarray, output: np.ndarray, limit: float) -> dict[str, float | None]:
    """The scores of at least one angle.

    Args:
        target, output: degrees, (count,).
        limit: largest angle of the model: 2 limit are 1 in its units.
    """
    error = np.abs(output - target)
    squared, variance = float(np.mean(error**2)), float(np.var(target))
    return {
        **{f"accuracy_{each}": float(np.mean(threshold_accuracies(error, each))) for each in THRESHOLDS},
        "mse": squared,
        "r2": finite(1 - squared / variance) if variance > LEAST_VARIANCE else None,
        "mae": float(np.mean(error)),
        "mse_units": squared / (2 * limit) ** 2,
        "count": float(len(target)),
    }


def importance(scores: Mapping[str, DrivingScores]) -> dict[str, dict[str, float]]:
    """What time adds, by part of the road (Tab. 6): {part: {"spatial", "temporal", "difference"}}, Eq. 24 at 6 degrees
    of T1, of T2, and T2 less T1; {} where these were not scored."""
    if not {"spatial", "temporal"} <= set(scores):
        return {}
    metric, found = f"accuracy_{THRESHOLDS[-1]}", {}
    of_both = [{"all": each.result(), **_flat(each.parts())} for each in (scores["spatial"], scores["temporal"])]
    for part, values in of_both[0].items():
        spatial, temporal = values[metric], of_both[1][part][metric]
        if spatial is not None and temporal is not None:
            found[part] = dict(spatial=spatial, temporal=temporal, difference=temporal - spatial)
    return found


def _by_sample(scores: Mapping[str, DrivingScores]) -> list[dict[str, Any]]:
    """What T1 and T2 say of each window, degrees, and the difference of their Eq. 24 at 6 degrees."""
    spatial, temporal = (scores[name] for name in ("spatial", "temporal"))
    targets = np.array(spatial.targets)
    accuracy = [threshold_accuracies(np.array(each.outputs) - targets, THRESHOLDS[-1]) for each in (spatial, temporal)]
    keys = ("degrees", "spatial", "temporal", "difference")
    rows = zip(spatial.targets, spatial.outputs, temporal.outputs, accuracy[1] - accuracy[0])
    return [
        {"name": name, **{key: round(float(value), 4) for key, value in zip(keys, row)}}
        for name, row in zip(spatial.names, rows)
    ]


def threshold_accuracies(error: np.ndarray, threshold: float) -> np.ndarray:
    """Eq. 24 of each error, degrees."""
    return np.minimum(threshold / (np.abs(error) + 1e-7), 1)


def _flat(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: values for axis in parts.values() for name, values in axis.items()}
