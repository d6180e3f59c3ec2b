"""Initial states for inputs of which only the shape matters, symbolic or not."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor


@dataclass(frozen=True)
class Shape:
    """Stands for inputs of that shape where there are none."""

    shape: tuple


def shape_of(inputs: Any) -> tuple:
    """The shape of anything that has one; unknown sizes of a tensor are scalar tensors, else None."""
    return tuple(ops.shape(inputs) if ops.is_tensor(inputs) else inputs.shape)


def filled(shape: tuple, value: float, dtype: str) -> Tensor:
    """A tensor full of `value`; a `keras.KerasTensor` if a size is None."""
    if any(size is None for size in shape):
        return keras.KerasTensor(shape, dtype=dtype)
    return ops.full(shape, value, dtype=dtype)
