"""The example of the presets: a made-up picture and its outline; the package holds no pictures of the data sets."""

from typing import Any

import numpy as np

from scs_keras.zoo.outline.cells import teacher_forcing


def square(preset: Any) -> dict[str, np.ndarray]:
    """A bright square on a gradient and the vertices of its outline, as the model sees them, in a batch of 1."""
    height, width, _ = preset.input_shape["image"]
    steps, grid = preset.arguments["steps"], preset.arguments["grid"]
    rows, columns = (np.arange(size, dtype="float32")[:, None] / size for size in (height, width))
    columns = columns.T
    inside = (abs(rows - 0.5) < 0.3) & (abs(columns - 0.5) < 0.3)
    image = 0.3 * columns + 0.6 * inside
    low, high = int(0.2 * grid), int(0.8 * grid)
    corners = np.array([low * grid + low, low * grid + high, high * grid + high, high * grid + low])
    vertices = teacher_forcing(corners, steps, grid).vertices
    return {"image": np.repeat(image[None, ..., None], 3, axis=-1).astype("float32"), "vertices": vertices[None]}
