"""What metrics share: values that are compared, their sums and ratios, and the mean of a function as a Keras metric."""

from collections.abc import Callable
from typing import Any

import keras
from keras import backend, ops


class MeanOf(keras.metrics.MeanMetricWrapper):
    """Mean over samples (and frames) of a function of target and prediction, weighted by sample_weight."""

    def __init__(self, function: Callable, name: str, dtype: Any, **arguments) -> None:
        super().__init__(function, name=name, dtype=dtype, **arguments)
        self.arguments = arguments

    def get_config(self) -> dict:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}


def as_float(values):
    return ops.cast(values, backend.floatx())


def paired(target, prediction):
    """Both as floats; raises ValueError unless they have the same shape."""
    target, prediction = as_float(target), as_float(prediction)
    known = zip(target.shape, prediction.shape)
    if len(target.shape) != len(prediction.shape) or any(a != b for a, b in known if None not in (a, b)):
        raise ValueError(
            "Target and prediction must have the same shape. "
            f"Received {tuple(target.shape)} and {tuple(prediction.shape)}; add a missing axis with values[..., None]."
        )
    return target, prediction


def paired_images(target, prediction, clip=None):
    """As `paired`, of (..., height, width, channels), the prediction clipped to (low, high) unless that is None."""
    target, prediction = paired(target, prediction)
    if len(target.shape) < 3:
        raise ValueError(f"Frames must be (..., height, width, channels). Received shape {tuple(target.shape)}.")
    return target, prediction if clip is None else ops.clip(prediction, *clip)


def weighted_sum(values, mask=None, axis=None):
    """The sum over axes, of what the mask weighs."""
    values = as_float(values)
    if mask is not None:
        mask = as_float(mask)
        values = ops.where(mask == 0, 0.0, values * mask)  # whatever lies under the mask, also NaN
    return ops.sum(values, axis=axis)


def ratio(part, whole):
    """part / whole, NaN where that is 0."""
    part, whole = as_float(part), as_float(whole)
    return ops.where(whole > 0, part / ops.where(whole > 0, whole, 1.0), float("nan"))
