"""Scores of forecast events, Eq. 25-28, of hits, misses and false alarms; and as Keras metrics, pooled over batches."""

import typing
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.metric_values import as_float, paired, ratio, weighted_sum


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
    target, forecast = paired(target, forecast)
    unknown = weighted_sum(ops.where(ops.isnan(target + forecast), float("nan"), 0.0), mask, axis)
    target, forecast = target >= threshold, forecast >= threshold
    return ContingencyCounts(
        hits=unknown + weighted_sum(ops.logical_and(target, forecast), mask, axis),
        misses=unknown + weighted_sum(ops.logical_and(target, ops.logical_not(forecast)), mask, axis),
        false_alarms=unknown + weighted_sum(ops.logical_and(ops.logical_not(target), forecast), mask, axis),
    )


def critical_success_index(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 25, there written SCI: hits / (hits + misses + false alarms)."""
    return ratio(hits, as_float(hits) + misses + false_alarms)


def false_alarm_ratio(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 26: false alarms / (hits + false alarms); 0 is best."""
    return ratio(false_alarms, as_float(hits) + false_alarms)


def probability_of_detection(hits: Tensor, misses: Tensor, false_alarms: Tensor) -> Tensor:
    """Eq. 27: hits / (hits + misses)."""
    return ratio(hits, as_float(hits) + misses)


def binary_correlation(hits: Tensor, misses: Tensor, false_alarms: Tensor, epsilon: float = 1e-9) -> Tensor:
    """Eq. 28 on the 0/1 images, where its three sums are hits, hits + false alarms and hits + misses.

    An event on one side only scores 0, as ε makes it; no event on either side is NaN.
    """
    hits, misses, false_alarms = as_float(hits), as_float(misses), as_float(false_alarms)
    # Two roots: the product of two large counts would leave float32's exact range.
    norm = ops.sqrt(hits + false_alarms) * ops.sqrt(hits + misses)
    correlation = hits / ops.sqrt(norm * norm + epsilon)
    return ops.where(hits + misses + false_alarms > 0, correlation, float("nan"))


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


@keras.saving.register_keras_serializable("scs_keras")
class CriticalSuccessIndex(_PooledCounts):
    """CSI (Eq. 25) of pooled counts."""

    score = staticmethod(critical_success_index)


@keras.saving.register_keras_serializable("scs_keras")
class FalseAlarmRatio(_PooledCounts):
    """FAR (Eq. 26) of pooled counts."""

    score = staticmethod(false_alarm_ratio)


@keras.saving.register_keras_serializable("scs_keras")
class ProbabilityOfDetection(_PooledCounts):
    """POD (Eq. 27) of pooled counts."""

    score = staticmethod(probability_of_detection)


@keras.saving.register_keras_serializable("scs_keras")
class BinaryCorrelation(_PooledCounts):
    """Correlation of the 0/1 images (Eq. 28) from pooled counts."""

    score = staticmethod(binary_correlation)
