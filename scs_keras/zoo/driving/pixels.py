"""Between pixels and what the models see, and back to degrees; on arrays and on tensors of the backend."""

from typing import Any

import numpy as np
from keras import ops


def unit(frames: Any) -> Any:
    """Pixels of 0 to 255 as float32 in [0, 1], which backbones take."""
    return _float(frames) / 255.0


def centred(frames: Any) -> Any:
    """Pixels of 0 to 255 as float32 in [-1, 1]."""
    return _float(frames) / 127.5 - 1.0


def unchanged(degrees: Any) -> Any:
    """The model's angles are degrees."""
    return degrees


def _float(frames):
    return frames.astype("float32") if isinstance(frames, np.ndarray) else ops.cast(frames, "float32")
