"""From an image and a box to an outline in the image's pixels, with the vertices that a person has fixed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scs_keras.core.arguments import is_integer, is_number
from scs_keras.zoo.outline.crops import check_image, crop_of, cut
from scs_keras.zoo.outline.decode import check_index, decode
from scs_keras.zoo.outline.simplify import simplify as simplified

Point = tuple[float, float]


class Outline(NamedTuple):
    """The outline of an object.

    Attributes:
        points: (vertices, 2) float32, x and y in pixels of the image; the last is joined to the first. A fixed vertex
            is where it was put, any other in the middle of its cell.
        fixed: the indices of the fixed ones.
        cells: (vertices,) int32 of the model's grid over the crop.
        score: mean log-probability of what was decoded, the vertices that `simplify` left out too.
        ended: whether the model ended it.
    """

    points: np.ndarray
    fixed: tuple[int, ...]
    cells: np.ndarray
    score: float
    ended: bool


def annotate(
    model: Any,
    image: np.ndarray,
    box: Sequence[float],
    start: Point | None = None,
    fixed: Mapping[int, Point] | None = None,
    end: int | None = None,
    width: int = 1,
    tries: int = 1,
    simplify: float | None = None,
) -> Outline:
    """The outline of one object; `annotate_many` says what the arguments are."""
    return annotate_many(model, [image], [box], [start], [fixed], [end], width, tries, simplify, batch_size=1)[0]


def annotate_many(
    model: Any,
    images: Sequence[np.ndarray],
    boxes: Sequence[Sequence[float]],
    starts: Sequence[Point | None] | None = None,
    fixed: Sequence[Mapping[int, Point] | None] | None = None,
    ends: Sequence[int | None] | None = None,
    width: int = 1,
    tries: int = 1,
    simplify: float | None = None,
    batch_size: int = 32,
) -> list[Outline]:
    """The outlines of objects, several of which may be in the same image.

    Args:
        model: an `OutlineModel`.
        images: of each object, (height, width, 3) uint8.
        boxes: of each object, (left, top, right, bottom) in pixels.
        starts: of each, where its first vertex is, x and y; None: the model looks for it. It is fixed vertex 0.
        fixed: of each, {index of a vertex: (x, y)}. These are kept, the others are predicted, and what follows the last
            of them until the model ends the outline.
        ends: of each, the index of a fixed vertex up to which it is predicted, from the fixed vertex before it; those
            after it are fixed, and the outline ends with the last of them. The stretch has as many vertices as lie
            between the two indices: for another number, give those after it higher or lower ones. None: the model
            ends it.
        width: of the beam; 1 is greedy.
        tries: the most likely cells that are tried for a first vertex that is not given.
        simplify: vertices that are at most so many pixels from the line between their neighbours are left out; fixed
            ones stay. None: all stay.
        batch_size: objects at once.

    Raises:
        ValueError: with the object's index, a box or a vertex is not inside the image, not a number, or not inside the
            crop, which is the box and a tenth of it on each side; a fixed vertex has an index that the model has not;
            an end comes before its start, or a vertex after it is not fixed; or the numbers of objects differ.
    """
    count = len(images)
    lists = dict(boxes=boxes, starts=starts, fixed=fixed, ends=ends)
    given = {name: [None] * count if each is None else list(each) for name, each in lists.items()}
    for name, each in given.items():
        if len(each) != count:
            raise ValueError(f"There is one of `{name}` for each image. Received: {len(each)} for {count} images.")
    if simplify is not None and not (is_number(simplify) and simplify >= 0):
        raise ValueError(f"`simplify` is a distance in pixels, at least 0. Received: simplify={simplify!r}.")
    if not count:
        return []
    steps, grid, size = model.preset.arguments["steps"], model.grid, model.preset.arguments["image_size"]
    crops, vertices = [], []
    for index, image in enumerate(images):
        check_image(image, index)
        crops.append(crop_of(given["boxes"][index], image.shape[:2], index))
        vertices.append(_vertices(given["starts"][index], given["fixed"][index], image.shape[:2], steps, index))
        _check_end(given["ends"][index], vertices[-1], index)
    cells = [_cells(crop, each, grid, index) for index, (crop, each) in enumerate(zip(crops, vertices))]
    seen = np.stack([cut(image, crop, size) for image, crop in zip(images, crops)])
    closed = [each is not None for each in given["ends"]]
    decoded = decode(model, seen, cells, closed, width, tries, batch_size)
    outlines = []
    for crop, placed, made in zip(crops, vertices, decoded):
        points = crop.points(made.cells, grid)
        for index, point in placed.items():
            points[index] = point
        outline = Outline(points, tuple(sorted(placed)), made.cells, made.score, made.ended)
        outlines.append(outline if simplify is None else _simplified(outline, simplify))
    return outlines


def _vertices(start, fixed, size, steps, index):
    """{index: (x, y)} of the fixed vertices, the start among them."""
    vertices = dict(fixed or {})
    if start is not None:
        if 0 in vertices and tuple(vertices[0]) != tuple(start):
            raise ValueError(
                f"The start of object {index} is its vertex 0, which is fixed elsewhere. Received: start={start!r}, "
                f"fixed={{0: {vertices[0]!r}}}. Give one of them."
            )
        vertices[0] = start
    height, width = size
    for place, point in vertices.items():
        try:
            check_index(place, steps)
            x, y = map(float, point)
        except (TypeError, ValueError) as error:
            reason = error if "numbered" in str(error) else f"A vertex is (x, y) in pixels. Received: {point!r}."
            raise ValueError(f"Object {index}: {reason}") from None
        if not (0 <= x <= width and 0 <= y <= height):  # false for NaN too
            raise ValueError(
                f"Object {index}: a vertex lies inside the image, x 0 to {width}, y 0 to {height}. Received: {(x, y)} "
                f"for vertex {place}."
            )
        vertices[place] = (x, y)
    return vertices


def _check_end(end, vertices, index):
    if end is None:
        return
    if not is_integer(end) or end not in vertices:
        raise ValueError(
            f"Object {index}: `end` is the index of a fixed vertex. Allowed: {sorted(vertices)}. Received: end={end!r}."
        )
    if end <= min(vertices):
        raise ValueError(
            f"Object {index}: `end` comes after its start, a fixed vertex of a smaller index. Received: end={end} with "
            f"the vertices {sorted(vertices)} fixed. Fix one before it, for example fixed={{0: (x, y)}}."
        )
    loose = sorted(set(range(end, max(vertices))) - set(vertices))
    if loose:
        raise ValueError(
            f"Object {index}: with `end` the vertices after it stay as they are, so all of them are fixed. Received: "
            f"end={end}, vertex {loose[0]} is not, vertex {max(vertices)} is."
        )


def _cells(crop, vertices, grid, index):
    places = list(vertices)
    try:
        return dict(zip(places, map(int, crop.cells([vertices[place] for place in places], grid)))) if places else {}
    except ValueError as error:
        raise ValueError(f"Object {index}: {error}") from None


def _simplified(outline, tolerance):
    kept = simplified(outline.points, tolerance, outline.fixed)
    fixed = tuple(int(place) for place in np.nonzero(np.isin(kept, outline.fixed))[0])
    return Outline(outline.points[kept], fixed, outline.cells[kept], outline.score, outline.ended)
