"""Simulated corrections: how much better an outline gets with each vertex that a user puts right."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.training.outline.polygons import Polygon, iou, is_outline
from scs_keras.training.outline.scores import GOOD, packed
from scs_keras.training.task import Prediction

SHOWN = (1, 2, 4)  # clicks after which outlines are scored
MOST = 8  # clicks; an outline that is not good after these counts as one more

Drawing = Callable[[Any, Sequence[Mapping[str, Any]], Sequence[Mapping[int, tuple[float, float]]]], list[Polygon]]
"""From x, `about` and the vertices that each user fixed, {index: [x, y]}, to outlines in pixels."""


def correction(
    polygon: Polygon, truth: Sequence[Polygon], fixed: Collection[int]
) -> tuple[int, tuple[float, float]] | None:
    """What a user does next: the index of the vertex that is farthest from the true outline, and the place on that
    which is nearest to it; vertices that are fixed stay. None where there is no other vertex."""
    free = [index for index in range(len(polygon)) if index not in fixed]
    if not free:
        return None
    places = [nearest(polygon[index], truth) for index in free]
    far = [float(np.hypot(*(polygon[index] - place))) for index, place in zip(free, places)]
    worst = int(np.argmax(far))
    return free[worst], (float(places[worst][0]), float(places[worst][1]))


def nearest(point: np.ndarray, polygons: Sequence[Polygon]) -> np.ndarray:
    """The place on the outlines that is nearest to a point [x, y]."""
    start = np.concatenate(polygons)
    way = np.concatenate([np.roll(each, -1, axis=0) for each in polygons]) - start
    along = ((point - start) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1e-12)
    places = start + np.clip(along, 0, 1)[:, None] * way
    return places[np.argmin(((places - point) ** 2).sum(axis=1))]


class Clicks:
    """Outlines after 0 to `MOST` clicks, of the batch that it was asked for last.

    Args:
        draw: `Drawing` of a model.
    """

    def __init__(self, draw: Drawing):
        self.draw = draw
        self._names: list[str] = []
        self._made: dict[str, list[list[Polygon]]] = {}

    def predictions(self) -> dict[str, Prediction]:
        """{"clicks_N": drawn anew after each, "moved_N": the same vertices moved, nothing drawn anew}."""
        return {f"{kind}_{count}": self._after(kind, count) for kind in ("clicks", "moved") for count in SHOWN}

    def _after(self, kind: str, count: int) -> Prediction:
        def predict(x: Any, about: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
            names = [each["name"] for each in about]
            if names != self._names:
                self._names, self._made = names, self._chains(x, about)
            chain = self._made[kind]
            needed = {} if count != SHOWN[-1] else {"clicks": self._needed(chain, about)}
            return packed(chain[count], **needed)

        return predict

    def _chains(self, x, about):
        fixed: list[dict[int, tuple[float, float]]] = [{} for _ in about]
        drawn = [self.draw(x, about, fixed)]
        moved, held = [list(drawn[0])], [set[int]() for _ in about]
        for _ in range(MOST):
            for mine, polygon, each in zip(fixed, drawn[-1], about):
                found = correction(polygon, each["polygons"], {0, *mine})
                if found is not None:
                    mine[found[0]] = found[1]
            drawn.append(self.draw(x, about, fixed))
            moved.append([self._move(*each) for each in zip(moved[-1], about, held)])
        return {"clicks": drawn, "moved": moved}

    def _move(self, polygon, about, held):
        found = correction(polygon, about["polygons"], {0, *held})
        if found is None:
            return polygon
        held.add(found[0])
        return np.where(np.arange(len(polygon))[:, None] == found[0], found[1], polygon)

    def _needed(self, chain, about):
        """The fewest clicks after which each outline is good."""
        needed = []
        for index, each in enumerate(about):
            good = (
                count
                for count, polygons in enumerate(chain)
                if is_outline(polygons[index]) and iou(each["polygons"], [polygons[index]], each["size"]) >= GOOD
            )
            needed.append(next(good, MOST + 1))
        return needed
