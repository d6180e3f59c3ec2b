"""What is scored of a model of outlines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.core.arguments import check_counts
from scs_keras.training.outline.clicks import Clicks
from scs_keras.training.outline.polygons import Polygon
from scs_keras.training.outline.scores import packed
from scs_keras.training.task import Prediction

Fixed = Mapping[int, tuple[float, float]]


def predictors(
    model: Any, beam: int | None = None, tries: int | None = None, clicks: bool = False
) -> dict[str, Prediction]:
    """{name: Prediction}.

    `model`: outlines whose first vertex is given, drawn greedily.

    Args:
        model: of the task.
        beam: also `beam`, by a beam search of this width.
        tries: also `no_first`: the first vertex is not given, so many likely cells are tried.
        clicks: also outlines after simulated corrections, see `Clicks`.
    """

    def draw(
        x: Any, about: Sequence[Mapping[str, Any]], fixed: Sequence[Fixed] | None = None, **options: Any
    ) -> list[Polygon]:
        given = [{0: tuple(each["first"])} for each in about]
        if fixed is not None:
            given = [{**first, **others} for first, others in zip(given, fixed)]
        return drawn(model, x["image"], about, given, **options)

    made: dict[str, Prediction] = {"model": lambda x, about: packed(draw(x, about))}
    if beam is not None:
        check_counts(beam=beam)
        made["beam"] = lambda x, about: packed(draw(x, about, width=beam))
    if tries is not None:
        check_counts(tries=tries)
        made["no_first"] = lambda x, about: packed(drawn(model, x["image"], about, None, tries=tries))
    if clicks:
        made |= Clicks(draw).predictions()
    return made


def drawn(
    model: Any, images: np.ndarray, about: Sequence[Mapping[str, Any]], fixed: Sequence[Fixed] | None, **options: Any
) -> list[Polygon]:
    """Outlines in pixels of the images.

    Args:
        model: of the task.
        images: crops (objects, height, width, 3), float32 in [0, 1].
        about: crop of each.
        fixed: of each, {index of a vertex: [x, y]}; these are kept. None: none is.
        **options: of the model's `decode`.
    """
    crops = [each["crop"] for each in about]
    placed = [{}] * len(crops) if fixed is None else fixed
    cells = [
        {index: int(crop.cells([point], model.grid)[0]) for index, point in each.items()}
        for crop, each in zip(crops, placed)
    ]
    found = []
    for crop, given, made in zip(crops, placed, model.decode(images, cells, **options)):
        points = crop.points(made.cells, model.grid).astype("float64")
        for index, point in given.items():
            points[index] = point
        found.append(points)
    return found
