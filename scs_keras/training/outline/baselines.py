"""What a model has to beat, and what it cannot: the box, the ellipse in it, the mean mask, and the grid's ceiling."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.training.outline.cells import cells_of, pixels_of, settings_of
from scs_keras.training.outline.polygons import Polygon, mask
from scs_keras.training.outline.scores import packed
from scs_keras.training.samples import Samples, spread
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset

POINTS = 64  # of the ellipse
RAYS = 180  # from the middle of the mean mask
ROWS = 64  # of the mean mask, and as many columns
MOST_OBJECTS = 5000  # the mean mask is made of, evenly spread


def baselines(preset: Preset, samples: Samples, train: Callable[[], Samples]) -> dict[str, Prediction]:
    """`box`; `ellipse` in it; `mean_mask`: where more than half of the training objects are, of all boxes stretched to
    one; `ceiling`: the true outline on the model's grid, with at most its number of vertices, the best there is."""
    mean = _contour(_mean_mask(train()))
    _, grid, limit = settings_of(preset)
    angles = np.arange(POINTS) * (2 * np.pi / POINTS)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) / 2 + 0.5
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], "float64")

    def ceiling(about: Mapping[str, Any]) -> Polygon:
        largest = max(about["polygons"], key=len)
        return pixels_of(cells_of(largest, about["crop"], grid, limit), about["crop"], grid)

    return {
        "box": _each(lambda about: _in_box(square, about)),
        "ellipse": _each(lambda about: _in_box(circle, about)),
        "mean_mask": _each(lambda about: _in_box(mean, about)),
        "ceiling": _each(ceiling),
    }


def _each(polygon: Callable[[Mapping[str, Any]], Polygon]) -> Prediction:
    def predict(x: Any, about: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        return packed([polygon(each) for each in about])

    return predict


def _in_box(points, about):
    left, top, right, bottom = about["box"]
    return points * (right - left, bottom - top) + (left, top)


def _mean_mask(samples: Samples) -> np.ndarray:
    """(ROWS, ROWS) in [0, 1]: the share of the objects that cover each part of their box."""
    indices = spread(len(samples), MOST_OBJECTS)
    total = np.zeros((ROWS, ROWS))
    for index in indices:
        about = samples.about(index)
        left, top, right, bottom = about["box"]
        scale = np.array([ROWS / (right - left), ROWS / (bottom - top)])
        total += mask([(each - (left, top)) * scale for each in about["polygons"]], (0, 0, ROWS, ROWS))
    return total / len(indices)


def _contour(mean: np.ndarray) -> Polygon:
    """Where the mean mask is 0.5, in [0, 1] of the box: on each ray from the middle the last place that is more."""
    angles = np.arange(RAYS) * (2 * np.pi / RAYS)
    reach = np.linspace(0, np.sqrt(0.5), 4 * ROWS)
    x, y = (0.5 + reach * each[:, None] for each in (np.cos(angles), np.sin(angles)))
    inside = (np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) <= 0.5) & (_at(mean, x, y) >= 0.5)
    last = np.where(inside.any(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), 0)
    rows = np.arange(RAYS)
    return np.stack([x[rows, last], y[rows, last]], axis=1)


def _at(image, x, y):
    """Bilinear values of a square image at places in [0, 1]."""
    place = [np.clip(each * len(image) - 0.5, 0, len(image) - 1) for each in (y, x)]
    (y0, fy), (x0, fx) = ((each.astype(int), each - each.astype(int)) for each in place)
    y1, x1 = (np.minimum(each + 1, len(image) - 1) for each in (y0, x0))
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    return top * (1 - fy) + (image[y1, x0] * (1 - fx) + image[y1, x1] * fx) * fy
