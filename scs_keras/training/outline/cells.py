"""Between polygons in pixels of the image and vertices as cells of the model's grid over the crop."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scs_keras.training.outline.pictures import Box
from scs_keras.training.outline.polygons import Polygon, thinned, without_repeats
from scs_keras.zoo.outline.cells import teacher_forcing
from scs_keras.zoo.preset import Preset


def settings_of(preset: Preset) -> tuple[tuple[int, int], int, int]:
    """((height, width) of a crop, cells along a side of it, vertices at most) of a preset's models."""
    arguments = preset.arguments
    return tuple(arguments["image_size"]), arguments["grid"], arguments["steps"]


def points_of(polygon: Polygon, crop: Box, grid: int) -> Polygon:
    """Points of the image in units of cells, from the crop's upper left corner."""
    left, top, right, bottom = crop
    return (np.asarray(polygon, "float64") - (left, top)) * (grid / (right - left), grid / (bottom - top))


def cells_of(polygon: Polygon, crop: Box, grid: int, limit: int, least: float = 0.0) -> np.ndarray:
    """The vertices' cells, (vertices, 2) integers [column, row], of a polygon of the image.

    Vertices outside the crop go to its border; of several in a row in one cell one stays; then they are thinned, see
    `polygons.thinned`, to at most `limit`, and by `least`, in square cells.
    """
    cells = without_repeats(np.clip(np.floor(points_of(polygon, crop, grid)), 0, grid - 1).astype(int))
    while len(cells) < 3:  # thinner than a cell: the next one is taken too
        column, row = cells[-1]
        cells = np.concatenate([cells, [[column + (1 if column < grid - 1 else -1), row]]])
    return thinned(cells, limit, least).astype(int)


def pixels_of(cells: np.ndarray, crop: Box, grid: int) -> Polygon:
    """The middles of cells [column, row] in pixels of the image."""
    left, top, right, bottom = crop
    return (np.asarray(cells, "float64").reshape(-1, 2) + 0.5) * ((right - left) / grid, (bottom - top) / grid) + (
        left,
        top,
    )


def training_arrays(images: np.ndarray, cells: Sequence[np.ndarray], grid: int, limit: int) -> Any:
    """({"image", "vertices"}, targets, weights), see `teacher_forcing`, of outlines with their cells [column, row]."""
    made = [teacher_forcing(each[:, 1] * grid + each[:, 0], limit, grid) for each in cells]
    vertices, targets, weights = (np.stack(part) for part in zip(*made))
    return {"image": images, "vertices": vertices}, targets, weights
