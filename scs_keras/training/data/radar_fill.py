"""Fills what is missing in a sequence of radar images along the flow of the images around it."""

import numpy as np

from scs_keras.core import goals

REACH = 2  # images before and after that a hole is filled from; so many in a row may be missing
_RUN = 4  # images that tell the flow, where the hole has images on one side only


def fill(images: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fills images and pixels without data from the nearest images before and after, moved along the flow.

    Where there are both, the nearer one weighs more; at the ends of the sequence one is carried on alone. A pixel that
    has data in none of the two images before and after stays without a value.

    Args:
        images: float32 (time, height, width), scaled to [0, 1], anything where nothing was measured.
        measured: bool (time, height, width).

    Returns:
        (images, bool (time, height, width): which pixels have a value, measured or filled).
    """
    images, has_value = images.copy(), measured.copy()
    for index in np.flatnonzero((measured.any(axis=0) & ~measured).any(axis=(1, 2))):
        near = slice(max(index - REACH, 0), index + REACH + 1)
        hole = ~measured[index] & measured[near].any(axis=0)
        if not hole.any():
            continue
        value, weight = _moved_here(images, measured, int(index), hole)
        filled = hole & (weight > 0)
        images[index][filled] = value[filled]
        has_value[index] |= filled
    return images, has_value


def _moved_here(images, measured, index, hole):
    """What the images before and after make of image `index`, and its weight, 0 where they know nothing."""
    last = len(images) - 1

    def nearest(places):
        return next((each for each in places if (measured[each] & hole).any()), None)

    before = nearest(range(index - 1, max(index - REACH, 0) - 1, -1))
    after = nearest(range(index + 1, min(index + REACH, last) + 1))
    flow = _flow(images, measured, before, after)
    total, weights = np.zeros((2, *hole.shape), "float32")
    for source, other in ((before, after), (after, before)):
        if source is None:
            continue
        steps = abs(index - source)
        path = goals.displacements(flow if source < index else -flow, steps)[:, -1]
        pair = np.stack([images[source], measured[source]], axis=-1)[None].astype("float32")
        image, known = np.moveaxis(np.asarray(goals.warp(pair, path))[0], -1, 0)
        weight = (known > 0.99) * np.float32(1 if other is None else abs(index - other))
        total, weights = total + weight * image, weights + weight
    return total / np.maximum(weights, 1), weights


def _flow(images, measured, before, after):
    """Pixels an image, (1, height, width, 2): between the two, or of the images that lead to the one there is."""
    if before is not None and after is not None:
        run, steps = [before, after], after - before
    else:
        way = range(len(images))[after:] if before is None else range(len(images))[before::-1]
        run, steps = [], 1
        for each in way[:_RUN]:
            if not measured[each].any():
                break
            run.append(each)
        run.sort()
    mask = measured[run].all(axis=0)
    if len(run) < 2 or not mask.any():
        return np.zeros((1, *mask.shape, 2), "float32")
    frames = np.where(measured[run], images[run], 0)[None, ..., None]
    return np.asarray(goals.mean_flow(frames, mask[None, ..., None])) / np.float32(steps)
