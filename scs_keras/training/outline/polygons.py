"""Polygons as arrays of points (points, 2), x to the right and y down, in pixels: a pixel's centre is at +0.5."""

from collections.abc import Sequence

import numpy as np

Polygon = np.ndarray
"""(points, 2), float64: [x, y], without the first point again at its end."""


def area(polygon: Polygon) -> float:
    """Signed area in square pixels, positive where the points run clockwise as seen on the screen."""
    x, y = np.asarray(polygon, "float64").reshape(-1, 2).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def clockwise(polygon: Polygon) -> Polygon:
    """The same points, the first of them still the first, running clockwise as seen on the screen."""
    return polygon if area(polygon) >= 0 else np.roll(polygon[::-1], 1, axis=0)


def without_repeats(polygon: Polygon) -> Polygon:
    """Without points that equal the one after them, the last one and the first among them."""
    polygon = np.asarray(polygon)
    left = (polygon != np.roll(polygon, -1, axis=0)).any(axis=1)
    return polygon[left] if left.any() else polygon[:1]


def box_of(polygons: Sequence[Polygon]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of all the points."""
    points = np.concatenate([np.reshape(each, (-1, 2)) for each in polygons])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def mask(polygons: Sequence[Polygon], window: tuple[int, int, int, int]) -> np.ndarray:
    """Pixels whose centre lies in one of the polygons, each by the even-odd rule: an outline that crosses itself has
    no pixels where it covers them twice.

    Args:
        polygons: of one object.
        window: (left, top, right, bottom) in whole pixels.

    Returns:
        bool, (bottom - top, right - left).
    """
    left, top, right, bottom = window
    found = np.zeros((max(0, bottom - top), max(0, right - left)), bool)
    for polygon in polygons:
        if found.size and len(polygon) > 2:
            found |= _even_odd(np.asarray(polygon, "float64") - (left, top), found.shape)
    return found


def _even_odd(polygon, shape):
    height, width = shape
    start, end = polygon, np.roll(polygon, -1, axis=0)
    rows = np.arange(height)[:, None] + 0.5
    crossed = (start[:, 1] <= rows) != (end[:, 1] <= rows)  # (rows, edges)
    row, edge = np.nonzero(crossed)
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)  # the first pixel to the right of the edge
    toggles = np.zeros((height, width + 1), int)
    np.add.at(toggles, (row, column), 1)
    return np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1


def iou(target: Sequence[Polygon], prediction: Sequence[Polygon], size: tuple[int, int] | None = None) -> float:
    """Intersection over union in pixels; 0 where both have none.

    Args:
        target, prediction: the polygons of an object each.
        size: (height, width) of the image, beyond which no pixels count; None: the plane is the image.
    """
    if not prediction or not target:
        return 0.0
    left, top, right, bottom = box_of([*target, *prediction])
    left, top, right, bottom = map(int, (np.floor(left), np.floor(top), np.ceil(right), np.ceil(bottom)))
    if size is not None:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0])
    first, second = (mask(each, (left, top, right, bottom)) for each in (target, prediction))
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def thinned(polygon: Polygon, limit: int, least: float = 0.0) -> Polygon:
    """At most `limit` of the points, those that matter most to the area (Visvalingam and Whyatt 1993).

    Again and again the point goes whose triangle with its neighbours is smallest; never below three points.

    Args:
        polygon: (points, 2).
        limit: number of points.
        least: points whose triangle is not larger than this (in square units) go too; 0: those on a straight line.
    """
    points = np.asarray(polygon, "float64").tolist()  # Python's numbers: NumPy's are slow one by one
    areas = [_triangle(points, place) for place in range(len(points))]
    while len(points) > 3:
        smallest = min(areas)
        if len(points) <= limit and smallest > least:
            break
        place = areas.index(smallest)
        del points[place], areas[place]
        for near in (place - 1, place):
            areas[near % len(points)] = _triangle(points, near % len(points))
    return np.array(points).reshape(-1, 2)


def _triangle(points, place):
    (ax, ay), (bx, by), (cx, cy) = points[place - 1], points[place], points[(place + 1) % len(points)]
    return abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2


def distinct(polygon: Polygon) -> int:
    """Number of different points."""
    return len(np.unique(np.asarray(polygon).reshape(-1, 2), axis=0))


def is_outline(polygon: Polygon) -> bool:
    """Whether it has three different points and some area: the sum of both signs, as even-odd would fill it."""
    points = np.asarray(polygon, "float64").reshape(-1, 2)
    if distinct(points) < 3:
        return False
    return bool(np.linalg.matrix_rank(points - points[0], tol=1e-6) > 1)


def mirrored(polygon: Polygon, width: float) -> Polygon:
    """The polygon in the mirrored image of that width; it runs the other way round."""
    return np.stack([width - polygon[:, 0], polygon[:, 1]], axis=1)
