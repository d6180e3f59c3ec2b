"""Fewer vertices: Douglas and Peucker (1973) on a closed outline."""

from collections.abc import Iterable

import numpy as np


def simplify(points: np.ndarray, tolerance: float, kept: Iterable[int] = ()) -> np.ndarray:
    """The indices of the vertices that stay: the others are at most `tolerance` from the line between their neighbours.

    Args:
        points: (n, 2), pixels; the last is joined to the first.
        tolerance: pixels; 0 leaves out what lies on a line, or twice at one place.
        kept: indices that stay in any case.

    Returns:
        Increasing indices, at least three if there are so many.
    """
    points, count = np.asarray(points, "float64"), len(points)
    if count <= 3:
        return np.arange(count)
    kept = set(kept)
    first = min(kept, default=0)
    far = int(np.argmax(np.sum((points - points[first]) ** 2, axis=1)))
    stay = {first, far, *kept}
    ends = sorted(stay)
    for start, stop in zip(ends, [*ends[1:], ends[0] + count]):
        _between(points, start, stop, tolerance, stay)
    if len(stay) < 3:  # a sliver: the vertex farthest from its line
        others = [index for index in range(count) if index not in stay]
        stay.add(max(others, key=lambda index: _distances(points[[index]], points[first], points[far])[0]))
    return np.array(sorted(stay))


def _between(points, start, stop, tolerance, stay):
    """Adds what has to stay between two vertices that do; `stop` may go round."""
    count = len(points)
    inner = np.arange(start + 1, stop) % count
    if not len(inner):
        return
    distances = _distances(points[inner], points[start % count], points[stop % count])
    worst = int(np.argmax(distances))
    if distances[worst] > tolerance:
        stay.add(int(inner[worst]))
        middle = start + 1 + worst
        _between(points, start, middle, tolerance, stay)
        _between(points, middle, stop, tolerance, stay)


def _distances(points, start, stop):
    """From points to the line between two."""
    way = stop - start
    along = np.clip((points - start) @ way / max(way @ way, 1e-12), 0.0, 1.0)
    return np.linalg.norm(points - start - along[:, None] * way, axis=1)
