"""Generated outlines: polygons of random form and texture on textured ground, seeded, without end.

Each fills its box as annotated objects fill theirs. Half are spiky (every vertex has a radius of its own), half have
the smooth radius of a few waves; other polygons lie behind, so that an edge is not enough to tell what to follow.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 20  # vertices, at most
MARGIN = 1 / 12  # of the side of a crop, around the box: 10 % of the box on each side
BEHIND = 2  # polygons behind each
CELLS = (5, 16)  # of the patches, along a side
_CONTRAST = 40  # least difference of the colour from what is behind, of 255


@dataclass(frozen=True)
class Batch:
    """Generated outlines.

    Attributes:
        images: (batch, side, side, 3), uint8 RGB.
        polygons: (batch, most, 2), float32, in [0, 1] of the image's side, clockwise; rows beyond `counts` repeat the
            first vertex.
        counts: (batch,), numbers of vertices.
    """

    images: np.ndarray
    polygons: np.ndarray
    counts: np.ndarray


def generate(count: int, side: int, random: np.random.Generator, most: int = MOST) -> Batch:
    """So many outlines of 4 to `most` vertices (`most` at least 4) on images of side `side`."""
    counts = random.integers(4, most + 1, count)
    polygons = shapes(counts, most, random)
    behind = [_moved(shapes(random.integers(4, most + 1, count), most, random), random) for _ in range(BEHIND)]
    surface = np.zeros((count, side, side), int)  # which of the surfaces a pixel shows
    light = patches(count, side, random)
    for number, each in enumerate((*behind, polygons), 1):
        inside = masks(each, side)
        surface[inside] = number
        np.copyto(light, patches(count, side, random), where=inside)
    shown = colours(count, BEHIND + 2, random)[np.arange(count)[:, None, None], surface]
    shown += light[..., None]
    shown += noise(shown.shape, random)
    np.clip(shown, 0, 255, out=shown)
    return Batch(shown.astype("uint8"), polygons, counts)


def shapes(counts: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Star-shaped polygons whose box is all of the crop but its margin: (batch, most, 2) in [0, 1], see `Batch`."""
    batch, places = len(counts), np.arange(most)
    used = places < counts[:, None]
    angles = (places + random.uniform(-0.35, 0.35, (batch, most))) / counts[:, None] + random.random((batch, 1))
    angles = 2 * np.pi * angles
    spiky = random.uniform(0.35, 1.0, (batch, most))
    waves = np.arange(1, 5)
    sizes = random.uniform(-0.5, 0.5, (batch, 1, 4)) / waves
    smooth = 1 + (sizes * np.sin(waves * angles[..., None] + random.uniform(0, 2 * np.pi, (batch, 1, 4)))).sum(axis=-1)
    radius = np.where(random.random((batch, 1)) < 0.5, spiky, np.maximum(smooth, 0.15))
    points = radius[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = np.where(used[..., None], points, points[:, :1])
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    return (MARGIN + (1 - 2 * MARGIN) * (points - low) / (high - low)).astype("float32")


def _moved(polygons, random):
    """The polygons somewhere else, larger or smaller."""
    batch = len(polygons)
    size, place = random.uniform(0.3, 1.0, (batch, 1, 1)), random.uniform(-0.1, 1.1, (batch, 1, 2))
    return ((polygons - 0.5) * size + place).astype("float32")


def colours(count: int, surfaces: int, random: np.random.Generator) -> np.ndarray:
    """Colours (count, surfaces, 3), float32, 0 to 255; the last differs from each other one by `_CONTRAST` and more."""
    found = random.uniform(40, 215, (count, surfaces, 3))
    for _ in range(8):  # of those that are too alike another is drawn
        alike = np.abs(found[:, -1:] - found[:, :-1]).max(axis=2).min(axis=1) < _CONTRAST
        found[alike, -1] = random.uniform(40, 215, (int(alike.sum()), 3))
    return found.astype("float32")


def patches(count: int, side: int, random: np.random.Generator) -> np.ndarray:
    """Lighter and darker patches of two sizes and light from a side, (count, side, side), float32, about -60 to 60."""
    ramp = np.linspace(-1, 1, side, dtype="float32")[:, None]
    basis = np.concatenate([*(_upsampling(cells, side) for cells in CELLS), ramp, np.ones_like(ramp)], axis=1)
    weights = np.zeros((count, basis.shape[1], basis.shape[1]), "float32")
    first = 0
    for cells in CELLS:
        part = slice(first, first + cells)
        weights[:, part, part] = random.standard_normal((count, cells, cells), dtype="float32")
        weights[:, part, part] *= random.uniform(0, 25, (count, 1, 1)).astype("float32")
        first += cells
    weights[:, -2, -1], weights[:, -1, -2] = random.uniform(-35, 35, (2, count))
    return basis @ (weights @ basis.T)


def _upsampling(cells, side):
    """(side, cells): linear interpolation between the cells' centres."""
    place = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells))).astype("float32")


def noise(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """The camera's, float32: a piece of a long row of normal numbers, which are slow to draw."""
    size = int(np.prod(shape))
    row = _noise_row(1 << int(np.ceil(np.log2(2 * size))))
    start = int(random.integers(len(row) - size))
    return row[start : start + size].reshape(shape) * np.float32(random.uniform(2, 15))


@functools.lru_cache(maxsize=1)
def _noise_row(size):
    return np.random.default_rng(0).standard_normal(size, dtype="float32")


def masks(polygons: np.ndarray, side: int) -> np.ndarray:
    """Pixels whose centre is inside, (batch, side, side), of polygons (batch, points, 2) in [0, 1]; by even-odd."""
    batch = len(polygons)
    points = polygons.astype("float64") * side
    (x0, y0), (x1, y1) = np.moveaxis(points, -1, 0), np.moveaxis(np.roll(points, -1, axis=1), -1, 0)
    rows = np.arange(side)[:, None] + 0.5
    which, row, edge = np.nonzero((y0[:, None] <= rows) != (y1[:, None] <= rows))
    x0, y0, x1, y1 = (each[which, edge] for each in (x0, y0, x1, y1))
    column = np.clip(np.ceil(x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0) - 0.5), 0, side).astype(int)
    toggles = np.bincount((which * side + row) * (side + 1) + column, minlength=batch * side * (side + 1))
    return np.cumsum(toggles.reshape(batch, side, side + 1), axis=2)[:, :, :-1] % 2 == 1


def named(index: int, seed: int) -> dict[str, Any]:
    """What is known of a generated outline."""
    return dict(name=f"generated {seed}-{index}", group=f"seed {seed}", label="polygon")
