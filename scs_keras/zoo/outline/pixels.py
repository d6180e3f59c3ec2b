"""Between pixels and what the models see; on arrays and on tensors of the backend."""

from typing import Any

import numpy as np
from keras import ops


def unit(inputs: Any) -> dict:
    """The inputs with the image's 0 to 255 as float32 in [0, 1], and vertices as whole numbers, int32."""
    image, vertices = inputs["image"], inputs["vertices"]
    if isinstance(image, np.ndarray):
        return {"image": image.astype("float32") / 255.0, "vertices": np.asarray(vertices).astype("int32")}
    return {"image": ops.cast(image, "float32") / 255.0, "vertices": ops.cast(vertices, "int32")}


def unchanged(probabilities: Any) -> Any:
    """Log-probabilities are log-probabilities."""
    return probabilities
