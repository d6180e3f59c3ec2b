"""The example of the presets: a made-up film, since no pictures of the data sets are in the package."""

from typing import Any

import numpy as np


def moving_disc(preset: Any) -> np.ndarray:
    """A bright disc that moves to the right on a gradient, as the model sees it: (1, time, height, width, channels)."""
    time, height, width, channels = preset.input_shape
    rows, columns = np.mgrid[:height, :width].astype("float32")
    frames = np.empty((time, height, width, channels), "float32")
    for step in range(time):
        middle = width * (step + 1) / (time + 1)
        disc = (rows - height / 2) ** 2 + (columns - middle) ** 2 < (min(height, width) / 6) ** 2
        frames[step] = (0.3 * columns / width + 0.6 * disc)[..., None]
    return frames[None]
