"""Streaming of forecasters whose states are the images that they saw last."""

from typing import Any

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.states import filled, shape_of


def no_images(inputs: Any) -> list[Tensor]:
    """The states before the first image: zeros in place of all images but the last.

    Args:
        inputs: (batch, time, height, width, 1), or anything of that shape.

    Raises:
        ValueError: if the number of observed images is not known.
    """
    if inputs.shape[1] is None:
        raise ValueError(
            "The states are the images seen last: the number of observed images must be known. "
            f"Received: shape={tuple(inputs.shape)}. For example: keras.Input((5, height, width, 1))."
        )
    batch, time, height, width, _ = shape_of(inputs)
    return [filled((batch, time - 1, height, width, 1), 0.0, "float32")]


def with_image(frame: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """All images with one more (batch, height, width, 1), and the next states."""
    images = ops.concatenate([ops.cast(states[0], "float32"), ops.cast(frame, "float32")[:, None]], axis=1)
    return images, [images[:, 1:]]
