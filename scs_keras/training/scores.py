"""Scores of rain forecasts: counts pooled over windows, lead times and valid pixels (Eq. 25-28), and their tables."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scs_keras.zoo.radar_units import PAPER_THRESHOLD, rain_to_scaled

THRESHOLDS = {str(mm_h): float(rain_to_scaled(mm_h)) for mm_h in (0.5, 2, 5, 10)} | {"paper": PAPER_THRESHOLD}
"""Suffix of csi_, far_ and pod_ (numbers are mm/h): threshold on the scaled image. Events are values at or above it."""

METRICS = ("mse", "correlation", *(f"{score}_{suffix}" for score in ("csi", "far", "pod") for suffix in THRESHOLDS))

_TOLERANCE = 1e-6  # 0.00007 dBZ: rain of exactly 0.5 mm/h is an event at 0.5 mm/h, however its logarithm was rounded


class Tally:
    """Sums of squared errors and of hits, misses and false alarms for each lead time, from any number of windows."""

    def __init__(self, output_length: int):
        self.pixels = np.zeros(output_length, "int64")
        self.squared_error = np.zeros(output_length)
        self.hits, self.misses, self.false_alarms = np.zeros((3, len(THRESHOLDS), output_length), "int64")

    def add(self, target: np.ndarray, forecast: np.ndarray, valid: np.ndarray) -> None:
        """Adds windows: target and forecast (batch, time, height, width), scaled; valid bool (height, width)."""
        target, forecast = target[..., valid], forecast[..., valid]  # (batch, time, pixels)
        self.pixels += target.shape[0] * target.shape[2]
        self.squared_error += np.square(forecast - target, dtype="float64").sum(axis=(0, 2))
        for index, threshold in enumerate(THRESHOLDS.values()):
            observed, expected = (values >= threshold - _TOLERANCE for values in (target, forecast))
            hits = (observed & expected).sum(axis=(0, 2))
            self.hits[index] += hits
            self.misses[index] += observed.sum(axis=(0, 2)) - hits
            self.false_alarms[index] += expected.sum(axis=(0, 2)) - hits

    def scores(self) -> dict[str, float | None]:
        """All METRICS, pooled over the lead times; None where one is not defined (nothing to divide by)."""
        counts = (count.sum(axis=1) for count in (self.hits, self.misses, self.false_alarms))
        return _scores(self.squared_error.sum(), self.pixels.sum(), *counts)

    def scores_per_lead(self) -> dict[str, list[float | None]]:
        """All METRICS as lists, one value per lead time."""
        leads = [
            _scores(self.squared_error[k], self.pixels[k], self.hits[:, k], self.misses[:, k], self.false_alarms[:, k])
            for k in range(len(self.pixels))
        ]
        return {metric: [scores[metric] for scores in leads] for metric in METRICS}


def _scores(squared_error, pixels, hits, misses, false_alarms) -> dict[str, float | None]:
    scores = {"mse": _ratio(squared_error, pixels), "correlation": None}
    for suffix, hit, miss, false_alarm in zip(THRESHOLDS, hits, misses, false_alarms):
        scores[f"csi_{suffix}"] = _ratio(hit, hit + miss + false_alarm)  # Eq. 25
        scores[f"far_{suffix}"] = _ratio(false_alarm, hit + false_alarm)  # Eq. 26
        scores[f"pod_{suffix}"] = _ratio(hit, hit + miss)  # Eq. 27
        if suffix == "paper":  # Eq. 28 on 0/1 images: the sum of products is the hits, of squares the events
            scores["correlation"] = _ratio(hit, math.sqrt(int(hit + false_alarm) * int(hit + miss)))
    return {metric: scores[metric] for metric in METRICS}


def _ratio(part, whole) -> float | None:
    return float(part / whole) if whole else None


def format_table(results: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """The results of `evaluate_forecasts` as text: per event a block with CSI, one with FAR and one with POD."""
    blocks = []
    for event, forecasts in results.items():
        lines = [f"{event} (MSE of dBZ/70; thresholds in mm/h, paper: 35 dBZ; - is not defined)"]
        for score in ("csi", "far", "pod"):
            metrics = [
                *(("mse", "correlation") if score == "csi" else ()),
                *(f"{score}_{suffix}" for suffix in THRESHOLDS),
            ]
            rows = {name: [_cell(metric, scores[metric]) for metric in metrics] for name, scores in forecasts.items()}
            lines += ["", *table_rows([_title(metric) for metric in metrics], rows)]
        blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks)


def format_lead_table(
    results: Mapping[str, Mapping[str, Mapping[str, list[float | None]]]],
    step_minutes: Mapping[str, float],
    metrics: Sequence[str] = ("mse", "csi_0.5", "csi_2", "csi_5"),
) -> str:
    """The values per lead time as text.

    Args:
        results: {event: {forecast: {metric: list}}}, the second result of `evaluate_forecasts(..., per_lead=True)`.
        step_minutes: {event: minutes between two frames}.
        metrics: which to show.
    """
    blocks = []
    for event, forecasts in results.items():
        lines = [f"{event}, by lead time"]
        for metric in metrics:
            rows = {name: [_cell(metric, value) for value in scores[metric]] for name, scores in forecasts.items()}
            leads = range(1, 1 + max(map(len, rows.values())))
            header = [f"+{step_minutes[event] * lead:g} min" for lead in leads]
            lines += ["", *table_rows(header, rows, _title(metric))]
        blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks)


def _title(metric: str) -> str:
    score, _, suffix = metric.partition("_")
    return f"{score.upper()} {suffix}" if suffix else {"mse": "MSE"}.get(metric, metric)


def _cell(metric: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}" if metric == "mse" else f"{value:.4f}"


def table_rows(header: list[str], rows: Mapping[str, list[str]], corner: str = "") -> list[str]:
    """Lines of a table: the header, then {name: cells} with the cells right under their titles."""
    first = max(map(len, [corner, *rows]))
    widths = [max(len(title), 7) + 2 for title in header]
    return [
        f"{name:{first}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths))
        for name, cells in ((corner, header), *rows.items())
    ]


def check_forecast(name: str, made: np.ndarray, target: np.ndarray, data: str) -> None:
    """Raises ValueError unless the forecast `name` for `data` is finite and has the shape of its target."""
    if made.shape != target.shape:
        raise ValueError(
            f"The forecast {name!r} must have shape {target.shape} (batch, output_length, height, width, channels) "
            f"on {data}. Received: {made.shape}."
        )
    if not np.isfinite(made).all():
        raise ValueError(f"The forecast {name!r} has NaN or infinite pixels on {data}; it cannot be scored.")
