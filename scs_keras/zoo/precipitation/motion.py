"""Images moved along a flow."""

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.goals import displacements, warp


def move(images: Tensor, displacement: Tensor) -> Tensor:
    """Each image of (batch, time, height, width, channels) warped by its own displacement, (..., 2)."""
    batch, time, height, width, channels = ops.shape(images)
    flat = warp(ops.reshape(images, (-1, height, width, channels)), ops.reshape(displacement, (-1, height, width, 2)))
    return ops.reshape(flat, (-1, time, height, width, channels))


def aligned(images: Tensor, flow: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Images moved along their flow to the time of the last one, and the way on from there.

    Args:
        images: (batch, time, height, width, channels).
        flow: (batch, height, width, 2), pixels per image, as `mean_flow` gives it.
        steps: number of future images.

    Returns:
        (images, path): the images, and (batch, steps, height, width, 2), along which forecasts move to their own times.
    """
    earlier = images.shape[1] - 1
    path = displacements(flow, max(earlier, steps))
    moved = move(images[:, :-1], ops.flip(path[:, :earlier], axis=1))
    return ops.concatenate([moved, images[:, -1:]], axis=1), path[:, :steps]
