"""Between pixels and what the models see; on arrays and on tensors of the backend."""

from typing import Any

import numpy as np
from keras import ops

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue in [0, 1]
STEP = 25.5  # of 255, the typical size of a change
WARMTH_C = 2.0


def normalized(frames: Any) -> Any:
    """Red, green and blue of 0 to 255 less ImageNet's mean, over its standard deviation; float32."""
    mean, deviation = (np.array(each, "float32") for each in (MEAN, DEVIATION))
    return (_scaled(frames) - mean) / deviation


def unit(frames: Any) -> Any:
    """Pixels of 0 to 255 as float32 in [0, 1], which backbones take."""
    return _scaled(frames)


def differences(frames: Any) -> Any:
    """Pixels of 0 to 255: each frame less the one before it, over 25.5; float32 (..., time, height, width, channels).
    What stands still is 0, and so is the first frame."""
    frames = _float(frames) / STEP
    before = (frames[..., :1, :, :, :], frames[..., :-1, :, :, :])
    join = np.concatenate if isinstance(frames, np.ndarray) else ops.concatenate
    return frames - join(before, axis=-4)


def thermal(celsius: Any) -> Any:
    """Degrees C above the median of the frame, which is the room's, over 2; float32 (..., height, width, channels)."""
    celsius = _float(celsius)
    return (celsius - _median(celsius)) / WARMTH_C


def unchanged(probabilities: Any) -> Any:
    """Probabilities are probabilities."""
    return probabilities


def _scaled(frames):
    return _float(frames) / 255.0


def _median(frames):
    """Of all values of each frame, (..., 1, 1, 1)."""
    if isinstance(frames, np.ndarray):
        return np.median(frames, axis=(-3, -2, -1), keepdims=True)
    *before, height, width, channels = ops.shape(frames)
    count = height * width * channels
    values = ops.sort(ops.reshape(frames, (*before, count)), axis=-1)  # LiteRT takes no `ops.median`
    middle = 0.5 * (values[..., (count - 1) // 2] + values[..., count // 2])
    return middle[..., None, None, None]


def _float(frames):
    return frames.astype("float32") if isinstance(frames, np.ndarray) else ops.cast(frames, "float32")
