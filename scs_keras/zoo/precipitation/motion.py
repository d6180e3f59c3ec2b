"""Images moved along a flow."""

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.goals import warp


def move(images: Tensor, displacement: Tensor) -> Tensor:
    """Each image of (batch, time, height, width, channels) warped by its own displacement, (..., 2)."""
    batch, time, height, width, channels = ops.shape(images)
    flat = warp(ops.reshape(images, (-1, height, width, channels)), ops.reshape(displacement, (-1, height, width, 2)))
    return ops.reshape(flat, (-1, time, height, width, channels))
