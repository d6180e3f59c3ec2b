"""Images that are no use: blank, half-blank, speckled or frozen ones are found, and filled along the flow."""

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.flow import blur
from scs_keras.core.goals import mean_flow
from scs_keras.zoo.precipitation.motion import move
from scs_keras.zoo.radar_units import FULL_SCALE_DBZ

ECHO, DRY = 10.0 / FULL_SCALE_DBZ, 2.0 / FULL_SCALE_DBZ
LARGEST_LOSS = 0.2  # share of the echo; whole images had at most .17 (the last) and .04, half-blank ones at least .25
LARGEST_SPECKLE = 0.04  # share of the echo that stands alone; whole images with much of it had at most .031
LEAST_SPECKLE = 0.002  # share of all pixels; drizzle in 1259 whole images had at most .0008
SMALLEST = 8  # pixels a side
FEWEST = 20  # blocks of echo below which nothing can be said


def find_lost(images: Tensor) -> Tensor:
    """Which images lack an echo that those before and after them show, are full of speckle, or repeat the one before.

    An image with echo is lost if it equals the image before in every pixel (of 1,259 whole images none did); if more
    than 4 % of its pixels with at least 10 dBZ, and 0.2 % of all its pixels, stand alone; or if, of the pixels with at
    least 10 dBZ in the image before and the one after, both moved along the flow to its time, more than a fifth have
    less than 2 dBZ. The latter is looked at on half the pixels of a blurred image, so that a shower that dies or an
    error of the flow does not count. The first and the last image have one neighbour.

    Args:
        images: (batch, time, height, width, 1), at least 2, scaled to [0, 1].

    Returns:
        (batch, time), 1.0 for a lost image, else 0.0.

    Raises:
        ValueError: for images of fewer than 8 pixels a side.
    """
    if any(side is not None and side < SMALLEST for side in images.shape[2:4]):
        raise ValueError(
            f"Radar images must have at least {SMALLEST} pixels a side, to see them move. "
            f"Received: shape={tuple(images.shape)}. Give a larger part of the radar image."
        )
    batch, time, height, width, _ = ops.shape(images)
    smooth = blur(images[..., 0], 2.0)[:, :, ::2, ::2, None]
    flow = mean_flow(smooth)
    before = move(smooth[:, :-1], _repeated(-flow, time - 1))
    after = move(smooth[:, 1:], _repeated(flow, time - 1))
    lost = []
    for index in range(time):
        around = [before[:, index - 1]] if index else []
        around += [after[:, index]] if index < time - 1 else []
        echo = around[0] if len(around) == 1 else ops.minimum(*around)
        echo = ops.cast(echo >= ECHO, "float32")
        missing = echo * ops.cast(smooth[:, index] < DRY, "float32")
        count = ops.sum(echo, axis=(1, 2, 3))
        lost.append((ops.sum(missing, axis=(1, 2, 3)) > LARGEST_LOSS * count) & (count >= FEWEST))
    return ops.cast(ops.stack(lost, axis=1) | _speckled(images) | _frozen(images), "float32")


def _speckled(images):
    """(batch, time): whether many echoes have none among their eight neighbours."""
    batch, time, height, width, _ = ops.shape(images)
    echo = ops.reshape(ops.cast(images >= ECHO, "float32"), (-1, height, width, 1))
    around = ops.pad(echo, [[0, 0], [1, 1], [1, 1], [0, 0]])
    around = 9.0 * ops.average_pool(around, 3, strides=1, padding="valid", data_format="channels_last") - echo
    alone = ops.sum(echo * ops.cast(around < 0.5, "float32"), axis=(1, 2, 3))
    count = ops.sum(echo, axis=(1, 2, 3))
    many = ops.maximum(LARGEST_SPECKLE * count, LEAST_SPECKLE * ops.cast(height * width, "float32"))
    return ops.reshape((alone > many) & (count >= FEWEST), (-1, time))


def _frozen(images):
    """(batch, time): whether it is the image before once more. Dry ones may be alike."""
    count = ops.sum(ops.cast(images >= ECHO, "float32"), axis=(2, 3, 4))
    change = ops.max(ops.abs(images[:, 1:] - images[:, :-1]), axis=(2, 3, 4))
    return (ops.pad(change, [[0, 0], [1, 0]], constant_values=1.0) == 0.0) & (count >= FEWEST)


def fill_lost(images: Tensor, lost: Tensor, flow: Tensor) -> Tensor:
    """The images with each lost one replaced by the one before, moved on; without one before, by the one after.

    Args:
        images: (batch, time, height, width, 1).
        lost: (batch, time), 1 for a lost image.
        flow: (batch, height, width, 2), pixels per image, as `mean_flow` gives it.
    """
    there = ops.unstack(1.0 - lost, axis=1)
    filled = ops.unstack(images, axis=1)
    times = range(len(filled))
    for order, displacement in ((times, -flow), (reversed(times), flow)):
        source, known = None, None
        for index in order:
            if source is not None:
                moved = move(source[:, None], displacement[:, None])[:, 0]
                use = ops.reshape(known * (1.0 - there[index]), (-1, 1, 1, 1))
                filled[index] = filled[index] + use * (moved - filled[index])
                there[index] = ops.maximum(there[index], known)
            source, known = filled[index], there[index]
    return ops.stack(filled, axis=1)


def mended(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(images with the lost ones filled, their flow (batch, height, width, 2) without these, `find_lost`)."""
    lost = find_lost(images)
    flow = mean_flow(images, weights=pairs_seen(lost))
    return fill_lost(images, lost, flow), flow, lost


def pairs_seen(lost: Tensor) -> Tensor:
    """(batch, time - 1): 1 where both images of a pair are there, the weights of `mean_flow`."""
    return (1.0 - lost[:, 1:]) * (1.0 - lost[:, :-1])


def _repeated(flow, time):
    return ops.repeat(flow[:, None], time, axis=1)
