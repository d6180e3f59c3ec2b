"""Metrics of the paper and of video prediction: functions on tensors, and Keras metrics for `compile(metrics=[...])`.

Functions return float tensors; undefined scores (nothing to score) are NaN. A target and its prediction have the same
shape; they are never broadcast against each other.
"""

from typing import Any

import keras
from keras import backend, ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.contingency import (
    BinaryCorrelation,
    ContingencyCounts,
    CriticalSuccessIndex,
    FalseAlarmRatio,
    ProbabilityOfDetection,
    binary_correlation,
    contingency_counts,
    critical_success_index,
    false_alarm_ratio,
    probability_of_detection,
)
from scs_keras.core.frame_metrics import (
    MeanAbsoluteErrorPerFrame,
    MeanSquaredErrorPerFrame,
    PeakSignalToNoiseRatio,
    StructuralSimilarity,
    absolute_error_per_frame,
    peak_signal_to_noise_ratio,
    squared_error_per_frame,
    structural_similarity,
)
from scs_keras.core.metric_values import MeanOf, paired, ratio, weighted_sum

__all__ = [
    "threshold_accuracy",
    "rasterize_polygons",
    "polygon_iou",
    "ContingencyCounts",
    "contingency_counts",
    "critical_success_index",
    "false_alarm_ratio",
    "probability_of_detection",
    "binary_correlation",
    "squared_error_per_frame",
    "absolute_error_per_frame",
    "structural_similarity",
    "peak_signal_to_noise_ratio",
    "ThresholdAccuracy",
    "CriticalSuccessIndex",
    "FalseAlarmRatio",
    "ProbabilityOfDetection",
    "BinaryCorrelation",
    "MeanSquaredErrorPerFrame",
    "MeanAbsoluteErrorPerFrame",
    "StructuralSimilarity",
    "PeakSignalToNoiseRatio",
]


# --- steering: Eq. 24 -------------------------------------------------------------------------------------------------


def threshold_accuracy(target: Tensor, prediction: Tensor, threshold: float, epsilon: float = 1e-7) -> Tensor:
    """Eq. 24 for each element: min(threshold / (|prediction - target| + epsilon), 1), any shape, in (0, 1].

    As printed: a miss is not 0 but falls off with the error. `threshold` (λ) is in the units of the values.
    """
    target, prediction = paired(target, prediction)
    return ops.minimum(threshold / (ops.abs(prediction - target) + epsilon), 1.0)


@keras.saving.register_keras_serializable("scs_keras")
class ThresholdAccuracy(MeanOf):
    """Mean of `threshold_accuracy` (Eq. 24)."""

    def __init__(
        self, threshold: float, epsilon: float = 1e-7, name: str = "threshold_accuracy", dtype: Any = None
    ) -> None:
        if not threshold > 0:
            raise ValueError(
                f"threshold (λ of Eq. 24) must be above 0, in the units of the target. Received {threshold}."
            )
        super().__init__(threshold_accuracy, name, dtype, threshold=threshold, epsilon=epsilon)


# --- outlines: IoU of polygons ----------------------------------------------------------------------------------------


def rasterize_polygons(vertices: Tensor, size: tuple[int, int], lengths: Tensor | None = None) -> Tensor:
    """Pixels whose centre lies inside a polygon, by the even-odd rule.

    Args:
        vertices: (batch, points, 2), [x, y] in pixels; pixel (row, column) has its centre at
            x = column + 0.5, y = row + 0.5. The last vertex joins the first. For grid cells as vertices add 0.5.
        size: (height, width) of the grid, Python ints. Memory grows with points * height * width.
        lengths: (batch,), how many of the points each polygon has, the rest is padding. None: all.

    Returns:
        Boolean (batch, height, width). Fewer than three points enclose nothing.
    """
    vertices = ops.cast(vertices, backend.floatx())
    if len(vertices.shape) != 3 or vertices.shape[-1] != 2:
        raise ValueError(f"vertices must be (batch, points, 2), [x, y]. Received shape {tuple(vertices.shape)}.")
    height, width = size
    if lengths is not None:
        # Padding repeats the first vertex: edges of no length, and the polygon is closed where it should be.
        used = ops.arange(vertices.shape[1]) < ops.cast(lengths, "int32")[:, None]
        vertices = ops.where(used[..., None], vertices, vertices[:, :1])
    x, y = vertices[..., 0:1], vertices[..., 1:2]  # (batch, points, 1)
    next_x, next_y = ops.roll(x, -1, axis=1), ops.roll(y, -1, axis=1)
    row = ops.arange(height, dtype=vertices.dtype) + 0.5
    column = ops.arange(width, dtype=vertices.dtype) + 0.5
    crosses = (y <= row) != (next_y <= row)  # (batch, points, height)
    rise = ops.where(next_y == y, 1.0, next_y - y)
    crossing = x + (row - y) * (next_x - x) / rise
    left_of_edge = ops.logical_and(crosses[..., None], column < crossing[..., None])  # (batch, points, height, width)
    return ops.sum(ops.cast(left_of_edge, "int32"), axis=1) % 2 == 1


def polygon_iou(
    target: Tensor,
    prediction: Tensor,
    size: tuple[int, int],
    target_lengths: Tensor | None = None,
    prediction_lengths: Tensor | None = None,
) -> Tensor:
    """Intersection over union of pairs of polygons on a pixel grid.

    Args:
        target, prediction: (batch, points, 2) each, the numbers of points may differ; see `rasterize_polygons`.
        size: (height, width) of the grid.
        target_lengths, prediction_lengths: (batch,) each, or None.

    Returns:
        (batch,) in [0, 1]; NaN where both polygons are empty.
    """
    target = rasterize_polygons(target, size, target_lengths)
    prediction = rasterize_polygons(prediction, size, prediction_lengths)
    intersection = weighted_sum(ops.logical_and(target, prediction), axis=(1, 2))
    return ratio(intersection, weighted_sum(ops.logical_or(target, prediction), axis=(1, 2)))
