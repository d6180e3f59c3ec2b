"""Vertices as cells of a grid over the crop, the tokens beside them, and what a training sees of an outline.

Cell = row * grid + column; `grid**2` is the end, the two after it are the start tokens, which stand before the first
vertex. On the maps that the network sees, tokens are nothing.
"""

from typing import NamedTuple

import numpy as np


def end_token(grid: int) -> int:
    """What follows the last vertex, and what fills a sequence up after that."""
    return grid**2


def start_tokens(grid: int) -> tuple[int, int]:
    """What stands two steps and one step before the first vertex."""
    return grid**2 + 1, grid**2 + 2


class Sequence(NamedTuple):
    """An outline as it is trained on.

    Attributes:
        vertices: (steps, 3) int32, what is known at each step: the first vertex and the vertices two steps and one
            step before. At step 0 the first vertex is not known; a start token stands for it.
        targets: (steps,) int32, the vertex of each step, then the end token.
        weights: (steps,) float32, 1 up to the end token, 0 after it.
    """

    vertices: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def teacher_forcing(cells: np.ndarray, steps: int, grid: int) -> Sequence:
    """The inputs, targets and weights of an outline.

    Args:
        cells: (vertices,) integers, the outline's in order; the last is joined to the first.
        steps: of the model. An outline of as many vertices has no end token.
        grid: cells along a side.

    Raises:
        ValueError: there are fewer than three vertices or more than `steps`, or one is no cell.
    """
    cells = np.asarray(cells)
    if cells.ndim != 1 or not 3 <= len(cells) <= steps:
        raise ValueError(
            f"An outline has 3 to {steps} vertices. Received: {len(cells)}, shape={cells.shape}. Thin it first."
        )
    if not np.issubdtype(cells.dtype, np.integer) or cells.min() < 0 or cells.max() >= grid**2:
        raise ValueError(
            f"Cells of a grid of {grid} are whole numbers, 0 to {grid**2 - 1}. Received: {cells.min()} to "
            f"{cells.max()}, {cells.dtype}."
        )
    targets = np.full(steps, end_token(grid), "int32")
    targets[: len(cells)] = cells
    before = np.concatenate([start_tokens(grid), targets])
    first = np.full(steps, cells[0], "int32")
    first[0] = start_tokens(grid)[0]
    vertices = np.stack([first, before[:steps], before[1 : steps + 1]], axis=1).astype("int32")
    return Sequence(vertices, targets, (np.arange(steps) <= len(cells)).astype("float32"))
