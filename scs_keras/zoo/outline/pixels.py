"""Between pixels and what the models see; on arrays and on tensors of the backend."""

from typing import Any

import numpy as np
from keras import ops


def unit(inputs: dict) -> dict:
    """The inputs, or those that are given, with the image's 0 to 255 as float32 in [0, 1] and vertices as int32."""
    return {
        name: _cast(each, "float32") / 255.0 if name == "image" else _cast(each, "int32")
        for name, each in inputs.items()
    }


def _cast(values, dtype):
    return values.astype(dtype) if isinstance(values, np.ndarray) else ops.cast(values, dtype)


def unchanged(probabilities: Any) -> Any:
    """Log-probabilities are log-probabilities."""
    return probabilities
