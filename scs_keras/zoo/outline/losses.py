"""Cross-entropy over cells, with neighbours of the true one, and the targets of the auxiliary heads."""

from typing import Any

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor

REACH = 2  # cells, along rows and columns (Acuna et al. 2018, Sec. 3.3)


@keras.saving.register_keras_serializable("scs_keras.outline")
class CellCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next vertex's cell, or of the end token.

    Args:
        grid: cells along a side.
        spread: standard deviation, in cells, of a Gaussian that shares the target out over the cells up to two away;
            0: the true cell alone. The end is never shared.

    Call arguments:
        y_true: (batch, time), integers, cells or `grid**2` for the end.
        y_pred: (batch, time, grid**2 + 1), log-probabilities.
    """

    def __init__(self, grid: int, spread: float = 0.0, name: str = "cell_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not spread >= 0:
            raise ValueError(f"`spread` is a number of cells, at least 0. Received: spread={spread!r}.")
        self.grid, self.spread = grid, spread

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        cells = ops.cast(y_true, "int32")
        classes = self.grid**2 + 1
        target = ops.one_hot(cells, classes, dtype="float32")
        if self.spread:
            target = ops.where((cells < classes - 1)[..., None], self._shared(cells), target)
        return -ops.sum(target * y_pred, axis=-1)

    def _shared(self, cells):
        place = np.arange(self.grid**2)
        rows = ops.cast(place // self.grid - cells[..., None] // self.grid, "float32")
        columns = ops.cast(place % self.grid - cells[..., None] % self.grid, "float32")
        near = ops.maximum(ops.abs(rows), ops.abs(columns)) <= REACH
        mass = ops.exp(-(rows**2 + columns**2) / (2 * self.spread**2)) * ops.cast(near, "float32")
        mass = mass / ops.maximum(ops.sum(mass, axis=-1, keepdims=True), 1e-6)
        return ops.pad(mass, [(0, 0)] * (len(mass.shape) - 1) + [(0, 1)])

    def get_config(self) -> dict:
        return {**super().get_config(), "grid": self.grid, "spread": self.spread}


def edge_and_vertex_cells(cells: Tensor, grid: int) -> Tensor:
    """What the auxiliary heads learn: the cells that the outline passes, and those of its vertices.

    Args:
        cells: (batch, time), the targets of an outline, filled up with the end token. The last vertex is joined to the
            first.
        grid: cells along a side.

    Returns:
        (batch, grid, grid, 2) float32, 1 or 0: edges, vertices. An edge is every cell whose centre is at most 0.6 of
        a cell from it.
    """
    cells = ops.cast(cells, "int32")
    known = cells < grid**2
    following = ops.concatenate([cells[:, 1:], cells[:, :1]], axis=1)
    following = ops.where(following < grid**2, following, cells[:, :1])  # closes the outline after its last vertex
    start, stop = (ops.cast(ops.stack([each // grid, each % grid], axis=-1), "float32") for each in (cells, following))
    way = (stop - start)[:, :, None]  # (batch, time, 1, 2)
    place = np.arange(grid**2)
    from_start = np.stack([place // grid, place % grid], axis=-1).astype("float32") - start[:, :, None]
    along = ops.sum(from_start * way, axis=-1) / ops.maximum(ops.sum(way**2, axis=-1), 1.0)
    distance = ops.sum((from_start - ops.clip(along, 0.0, 1.0)[..., None] * way) ** 2, axis=-1)
    passed = ops.logical_and(distance <= 0.6**2, known[..., None])
    is_vertex = ops.max(ops.one_hot(cells, grid**2, dtype="float32"), axis=1)
    maps = ops.stack([ops.max(ops.cast(passed, "float32"), axis=1), is_vertex], axis=-1)
    return ops.reshape(maps, (-1, grid, grid, 2))
