"""Streaming of forecasters whose states are the images that they saw last."""

from typing import Any

import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.states import filled, shape_of


def no_images(inputs: Any) -> list[Tensor]:
    """The states before the first image, which stands for all that went before it: blank ones would do harm.

    Args:
        inputs: (batch, time, height, width, 1), or anything of that shape, for which the states are zeros.

    Raises:
        ValueError: if the number of observed images is not known.
    """
    if inputs.shape[1] is None:
        raise ValueError(
            "The states are the images seen last: the number of observed images must be known. "
            f"Received: shape={tuple(inputs.shape)}. For example: keras.Input((5, height, width, 1))."
        )
    batch, time, height, width, _ = shape_of(inputs)
    if ops.is_tensor(inputs) or isinstance(inputs, np.ndarray):
        return [ops.repeat(ops.cast(inputs[:, :1], "float32"), time - 1, axis=1)]
    return [filled((batch, time - 1, height, width, 1), 0.0, "float32")]


def with_image(frame: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """All images with one more (batch, height, width, 1), and the next states."""
    images = ops.concatenate([ops.cast(states[0], "float32"), ops.cast(frame, "float32")[:, None]], axis=1)
    return images, [images[:, 1:]]
