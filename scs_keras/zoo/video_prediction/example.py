"""An input for every model of the task: no data set's pictures go into the package."""

import numpy as np

from scs_keras.zoo.preset import Preset


def moving_disc(preset: Preset) -> np.ndarray:
    """A bright disc that moves to the right, float32 (1, *preset.input_shape) in [0, 1]."""
    time, height, width, channels = preset.input_shape
    t, y, x = np.ogrid[:time, :height, :width]
    distance = np.hypot(y - height / 2, x - width / 4 - t * width / 40)
    disc = np.clip(height / 8 - distance, 0, 1).astype("float32")
    return np.repeat(disc[None, ..., None], channels, axis=-1)
