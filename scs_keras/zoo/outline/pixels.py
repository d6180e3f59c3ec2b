"""Between pixels and what the models see; on arrays and on tensors of the backend."""

from typing import Any

import numpy as np
from keras import ops


def unit(inputs: Any) -> dict:
    """Those inputs that are given: the image's 0 to 255 as float32 in [0, 1], vertices as whole numbers, int32."""
    return {name: _as(value, "float32") / 255.0 if name == "image" else _as(value, "int32")
            for name, value in inputs.items()}  # fmt: skip


def _as(value, dtype):
    return value.astype(dtype) if isinstance(value, np.ndarray) else ops.cast(value, dtype)


def unchanged(probabilities: Any) -> Any:
    """Log-probabilities are log-probabilities."""
    return probabilities
