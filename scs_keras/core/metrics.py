"""Metrics of the paper and of video prediction: functions on tensors, and Keras metrics for `compile(metrics=[...])`.

Functions return float tensors; undefined scores (nothing to score) are NaN. A target and its prediction have the same
shape; they are never broadcast against each other.
"""

import typing
from collections.abc import Callable
from typing import Any

import keras
from keras import backend, ops

from scs_keras.core.arguments import Tensor

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

_register = keras.saving.register_keras_serializable("scs_keras")


# --- steering: Eq. 24 -------------------------------------------------------------------------------------------------


def threshold_accuracy(target: Tensor, prediction: Tensor, threshold: float, epsilon: float = 1e-7) -> Tensor:
    """Eq. 24 for each element: min(threshold / (|prediction - target| + epsilon), 1), any shape, in (0, 1].

    As printed: a miss is not 0 but falls off with the error. `threshold` (λ) is in the units of the values.
    """
    target, prediction = _pair(target, prediction)
    return ops.minimum(threshold / (ops.abs(prediction - target) + epsilon), 1.0)


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
    intersection = _count(ops.logical_and(target, prediction), axis=(1, 2))
    return _ratio(intersection, _count(ops.logical_or(target, prediction), axis=(1, 2)))


# --- forecasts: Eq. 25-28 ---------------------------------------------------------------------------------------------


class ContingencyCounts(typing.NamedTuple):
    """Pooled counts; add fields of several calls, then call a score as critical_success_index(*counts)."""

    hits: typing.Any
    misses: typing.Any
    false_alarms: typing.Any


def contingency_counts(
    target: Tensor, forecast: Tensor, threshold: float = 0.5, mask: Tensor | None = None, axis: Any = None
) -> ContingencyCounts:
    """Hits, misses and false alarms of the events `value >= threshold`: all that Eq. 25-28 need.

    Args:
        target, forecast: same shape.
        threshold: in the units of the values.
        mask: 1 or True where to count, or a weight; its shape broadcasts to the target's. None counts everywhere.
        axis: axes to sum over, for instance (0, 2, 3, 4) for one count per lead time. None sums over all.

    Returns:
        ContingencyCounts of float32, exact up to 2 ** 24 each; NaN where a value that counts is NaN, which is neither
        an event nor none.
    """
    target, forecast = _pair(target, forecast)
    unknown = _count(ops.where(ops.isnan(target + forecast), float("nan"), 0.0), mask, axis)
    target, forecast = target >= threshold, forecast >= threshold
    return ContingencyCounts(
        hits=unknown + _count(ops.logical_and(target, forecast), mask, axis),
        misses=unknown + _count(ops.logical_and(target, ops.logical_not(forecast)), mask, axis),
        false_alarms=unknown + _count(ops.logical_and(ops.logical_not(target), forecast), mask, axis),
    )


def critical_success_index(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 25, there written SCI: hits / (hits + misses + false alarms)."""
    return _ratio(hits, _float(hits) + misses + false_alarms)


def false_alarm_ratio(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 26: false alarms / (hits + false alarms); 0 is best."""
    return _ratio(false_alarms, _float(hits) + false_alarms)


def probability_of_detection(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 27: hits / (hits + misses)."""
    return _ratio(hits, _float(hits) + misses)


def binary_correlation(hits: Tensor, misses: Tensor, false_alarms: Tensor, epsilon: float = 1e-9) -> Tensor:
    """Eq. 28 on the 0/1 images, where its three sums are hits, hits + false alarms and hits + misses.

    An event on one side only scores 0, as ε makes it; no event on either side is NaN.
    """
    hits, misses, false_alarms = _float(hits), _float(misses), _float(false_alarms)
    # Two roots: the product of two large counts would leave float32's exact range.
    norm = ops.sqrt(hits + false_alarms) * ops.sqrt(hits + misses)
    correlation = hits / ops.sqrt(norm * norm + epsilon)
    return ops.where(hits + misses + false_alarms > 0, correlation, float("nan"))


# --- video prediction: per frame --------------------------------------------------------------------------------------


def squared_error_per_frame(target: Tensor, prediction: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error summed over height, width and channels: (..., height, width, channels) -> (...).

    `mask` broadcasts to the target's shape and weighs the pixels. The published MSE of Moving MNIST and alike is the
    mean of this over samples and frames; values are compared as they are, never clipped.
    """
    target, prediction = _images(target, prediction)
    return _count(ops.square(prediction - target), mask, axis=(-3, -2, -1))


def absolute_error_per_frame(target: Tensor, prediction: Tensor, mask: Tensor | None = None) -> Tensor:
    """As `squared_error_per_frame`, of the absolute error."""
    target, prediction = _images(target, prediction)
    return _count(ops.abs(prediction - target), mask, axis=(-3, -2, -1))


def structural_similarity(
    target: Tensor, prediction: Tensor, data_range: float = 1.0, clip: tuple[float, float] | None = None
) -> Tensor:
    """SSIM of each frame as scikit-image computes it: (..., height, width, channels) -> (...), at most 1.

    Uniform 7x7 window, K1 = 0.01, K2 = 0.03, sample covariance, three border pixels left out, mean over channels.

    Args:
        target, prediction: same shape, height and width at least 7.
        data_range: largest minus smallest possible value: 1.0 for images in [0, 1]. The published tables of video
            prediction used 2.0 on such images, which gives higher values.
        clip: (low, high) to clip the prediction to, as those tables did with (0.0, 1.0); None leaves it.

    References:
        Wang et al. 2004; skimage.metrics.structural_similarity.
    """
    target, prediction = _images(target, prediction, clip)
    height, width, channels = target.shape[-3:]
    if height is not None and height < 7 or width is not None and width < 7:
        raise ValueError(f"SSIM needs frames of at least 7x7 pixels, its window. Received {height}x{width}.")
    leading = ops.shape(target)[:-3]
    shape = ops.shape(target)[-3:]
    target, prediction = ops.reshape(target, (-1, *shape)), ops.reshape(prediction, (-1, *shape))

    def window_mean(images):
        return ops.average_pool(images, 7, strides=1, padding="valid", data_format="channels_last")

    mean_t, mean_p = window_mean(target), window_mean(prediction)
    sample = 49 / 48
    variance_t = sample * (window_mean(target * target) - mean_t * mean_t)
    variance_p = sample * (window_mean(prediction * prediction) - mean_p * mean_p)
    covariance = sample * (window_mean(target * prediction) - mean_t * mean_p)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_t * mean_p + c1) / (mean_t * mean_t + mean_p * mean_p + c1)
    structure = (2 * covariance + c2) / (variance_t + variance_p + c2)
    return ops.reshape(ops.mean(luminance * structure, axis=(1, 2, 3)), leading)


def peak_signal_to_noise_ratio(
    target: Tensor, prediction: Tensor, data_range: float = 1.0, clip: tuple[float, float] | None = None
) -> Tensor:
    """PSNR of each frame in dB, 20 log10(data_range / RMSE): (..., height, width, channels) -> (...).

    Infinite where a frame is predicted exactly, NaN where a value is. `clip` as in `structural_similarity`.
    """
    target, prediction = _images(target, prediction, clip)
    error = ops.mean(ops.square(prediction - target), axis=(-3, -2, -1))
    exact = error == 0
    return ops.where(exact, float("inf"), -10.0 * ops.log10(ops.where(exact, 1.0, error) / data_range**2))


# --- Keras metrics ----------------------------------------------------------------------------------------------------


class _MeanOf(keras.metrics.MeanMetricWrapper):
    """Mean over samples (and frames) of a function above, weighted by sample_weight."""

    def __init__(self, function: Callable, name: str, dtype: Any, **arguments) -> None:
        super().__init__(function, name=name, dtype=dtype, **arguments)
        self.arguments = arguments

    def get_config(self) -> dict:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}


@_register
class ThresholdAccuracy(_MeanOf):
    """Mean of `threshold_accuracy` (Eq. 24)."""

    def __init__(
        self, threshold: float, epsilon: float = 1e-7, name: str = "threshold_accuracy", dtype: Any = None
    ) -> None:
        if not threshold > 0:
            raise ValueError(
                f"threshold (λ of Eq. 24) must be above 0, in the units of the target. Received {threshold}."
            )
        super().__init__(threshold_accuracy, name, dtype, threshold=threshold, epsilon=epsilon)


@_register
class MeanSquaredErrorPerFrame(_MeanOf):
    """Mean over samples and frames of `squared_error_per_frame`; sample_weight is (batch,) or (batch, time)."""

    def __init__(self, name: str = "mse_per_frame", dtype: Any = None) -> None:
        super().__init__(squared_error_per_frame, name, dtype)


@_register
class MeanAbsoluteErrorPerFrame(_MeanOf):
    """Mean over samples and frames of `absolute_error_per_frame`; sample_weight is (batch,) or (batch, time)."""

    def __init__(self, name: str = "mae_per_frame", dtype: Any = None) -> None:
        super().__init__(absolute_error_per_frame, name, dtype)


@_register
class StructuralSimilarity(_MeanOf):
    """Mean over samples and frames of `structural_similarity`; sample_weight is (batch,) or (batch, time)."""

    def __init__(
        self, data_range: float = 1.0, clip: tuple[float, float] | None = None, name: str = "ssim", dtype: Any = None
    ) -> None:
        super().__init__(structural_similarity, name, dtype, data_range=data_range, clip=clip)


@_register
class PeakSignalToNoiseRatio(_MeanOf):
    """Mean over samples and frames of `peak_signal_to_noise_ratio`; sample_weight is (batch,) or (batch, time)."""

    def __init__(
        self, data_range: float = 1.0, clip: tuple[float, float] | None = None, name: str = "psnr", dtype: Any = None
    ) -> None:
        super().__init__(peak_signal_to_noise_ratio, name, dtype, data_range=data_range, clip=clip)


_MULTIPLE = 2.0**20


class _PooledCounts(keras.metrics.Metric):
    """Pools contingency counts over all batches; subclasses name the score.

    A float32 holds whole numbers up to 2 ** 24 and then stops counting. So each count is two variables, a multiple of
    2 ** 20 and the rest, exact up to 2 ** 44.

    Args:
        threshold: an event is a value at or above it; the paper's is 0.5.

    sample_weight: (batch,), (batch, time), ... or the shape of the target, where 0 masks a pixel.
    """

    score: Callable

    def __init__(self, threshold: float = 0.5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.threshold = threshold
        self.counts, self.multiples = (
            [self.add_variable((), "zeros", name=f"{field}{ending}") for field in ContingencyCounts._fields]
            for ending in ("", "_multiples")
        )

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        if sample_weight is not None:
            missing = len(ops.shape(y_true)) - len(ops.shape(sample_weight))
            sample_weight = ops.reshape(sample_weight, (*ops.shape(sample_weight), *(1,) * missing))
        counts = contingency_counts(y_true, y_pred, self.threshold, sample_weight)
        for rest, multiples, count in zip(self.counts, self.multiples, counts):
            total = ops.convert_to_tensor(rest) + ops.cast(count, rest.dtype)
            whole = ops.floor(total / _MULTIPLE)
            rest.assign(total - whole * _MULTIPLE)
            multiples.assign_add(whole)

    def result(self) -> Tensor:
        totals = (m * _MULTIPLE + ops.convert_to_tensor(rest) for rest, m in zip(self.counts, self.multiples))
        return type(self).score(*totals)

    def get_config(self) -> dict:
        return {"name": self.name, "dtype": self.dtype, "threshold": self.threshold}


@_register
class CriticalSuccessIndex(_PooledCounts):
    """CSI (Eq. 25) of pooled counts."""

    score = staticmethod(critical_success_index)


@_register
class FalseAlarmRatio(_PooledCounts):
    """FAR (Eq. 26) of pooled counts."""

    score = staticmethod(false_alarm_ratio)


@_register
class ProbabilityOfDetection(_PooledCounts):
    """POD (Eq. 27) of pooled counts."""

    score = staticmethod(probability_of_detection)


@_register
class BinaryCorrelation(_PooledCounts):
    """Correlation of the 0/1 images (Eq. 28) from pooled counts."""

    score = staticmethod(binary_correlation)


# --- shared -----------------------------------------------------------------------------------------------------------


def _float(values):
    return ops.cast(values, backend.floatx())


def _pair(target, prediction):
    target, prediction = _float(target), _float(prediction)
    known = zip(target.shape, prediction.shape)
    if len(target.shape) != len(prediction.shape) or any(a != b for a, b in known if None not in (a, b)):
        raise ValueError(
            "Target and prediction must have the same shape. "
            f"Received {tuple(target.shape)} and {tuple(prediction.shape)}; add a missing axis with values[..., None]."
        )
    return target, prediction


def _images(target, prediction, clip=None):
    target, prediction = _pair(target, prediction)
    if len(target.shape) < 3:
        raise ValueError(f"Frames must be (..., height, width, channels). Received shape {tuple(target.shape)}.")
    return target, prediction if clip is None else ops.clip(prediction, *clip)


def _count(values, mask=None, axis=None):
    values = _float(values)
    if mask is not None:
        mask = _float(mask)
        values = ops.where(mask == 0, 0.0, values * mask)  # whatever lies under the mask, also NaN
    return ops.sum(values, axis=axis)


def _ratio(part, whole):
    part, whole = _float(part), _float(whole)
    return ops.where(whole > 0, part / ops.where(whole > 0, whole, 1.0), float("nan"))
