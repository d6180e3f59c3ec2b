"""Bilinear resizing of NumPy images, as OpenCV does it: outer borders aligned, no smoothing."""

import numpy as np


def resize(images: np.ndarray, size: tuple[int, int], axes: tuple[int, int] = (-2, -1)) -> np.ndarray:
    """Images of floating point with `size` (height, width) along `axes`, each pixel from its four nearest."""
    for wanted, axis in zip(size, axes):
        if images.shape[axis] != wanted:
            images = _resize_axis(images, wanted, axis)
    return images


def _resize_axis(images, wanted, axis):
    size = images.shape[axis]
    place = np.clip((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0, size - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, size - 1)
    share = (place - low).astype(images.dtype)
    share = share.reshape(share.shape + (1,) * (images.ndim - 1 - axis % images.ndim))
    return np.take(images, low, axis) * (1 - share) + np.take(images, high, axis) * share
