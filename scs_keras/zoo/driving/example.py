"""The example of the presets: a made-up road, since no pictures of the data sets are in the package."""

from typing import Any

import numpy as np


def bending_road(preset: Any) -> np.ndarray:
    """A grey road between two bright lines that bends to the right, more so from frame to frame, as the model sees it:
    (1, time, height, width, channels)."""
    time, height, width, channels = preset.input_shape
    rows, columns = np.mgrid[:height, :width].astype("float32")
    ahead = 1 - rows / max(height - 1, 1)  # 0 at the lower edge, 1 at the upper
    frames = np.empty((time, height, width, channels), "float32")
    for step in range(time):
        middle = width * (0.5 + 0.3 * (step + 1) / time * ahead**2)
        off = np.abs(np.abs(columns - middle) - width * (0.35 - 0.25 * ahead))
        frames[step] = (0.3 + 0.2 * ahead + 0.5 * (off < width / 40))[..., None]
    return preset.preprocess(np.rint(255 * frames).astype("uint8"))[None]
