"""Scores of outlines: intersection over union on the pixels of the original image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.training.outline.polygons import Polygon, iou, is_outline
from scs_keras.training.scores import Column, Scores, check_finite
from scs_keras.zoo.preset import Preset

FEWEST = 10  # objects of a class that has a row of its own
GOOD = 0.8  # an IoU that needs no correction


def packed(polygons: Sequence[Polygon], **numbers: Sequence[float]) -> dict[str, np.ndarray]:
    """What a `Prediction` of this task gives for a batch: {"vertices": (batch, points, 2), "count": (batch,)}.

    Args:
        polygons: one each object, image pixels.
        **numbers: more of each object.
    """
    count = np.array([len(each) for each in polygons], "int32")
    vertices = np.zeros((len(polygons), max(1, *count), 2))
    for row, polygon in zip(vertices, polygons):
        row[: len(polygon)] = polygon
    return {"vertices": vertices, "count": count, **{name: np.array(each) for name, each in numbers.items()}}


class OutlineScores(Scores):
    """Mean IoU of outlines; one of fewer than three different vertices, or without area, failed and counts 0.

    Pixels count whose centre is inside, by the even-odd rule, so that an outline that crosses itself is what is filled
    of it; an object in parts is all of them. Only the image counts.
    """

    columns = (
        Column("iou", "IoU", digits=3, better="higher"),
        Column("class_iou", "mean over classes", digits=3, better="higher", main=False),
        Column("good", f"IoU {GOOD:g} and more", digits=3, better="higher", main=False),
        Column("failed", "failed", digits=0, main=False),
        Column("vertices", "vertices", digits=1, better="", main=False),
        Column("clicks", f"clicks to {GOOD:g}", digits=2, main=False),
        Column("count", "count", digits=0, better="", main=False),
    )
    notes = (
        "IoU on the pixels of the image; an outline of fewer than three different vertices or without area failed and "
        f"counts 0. Classes of fewer than {FEWEST} objects are pooled."
    )
    bounds = ("ceiling",)

    def __init__(self, preset: Preset | None = None):
        self.rows: list[tuple[str, float, bool, int, float | None]] = []  # label, IoU, failed, vertices, clicks

    def add(self, target: Any, output: Any, weight: Any, about: Mapping[str, Any]) -> None:
        """Adds an object.

        Args:
            target: its polygons, image pixels.
            output: see `packed`, without the batch axis.
            weight: not used.
            about: label and size, (height, width), of the image.
        """
        polygon = np.asarray(output["vertices"], "float64")[: int(output["count"])]
        check_finite(polygon, about)
        failed = not is_outline(polygon)
        found = 0.0 if failed else iou(target, [polygon], about["size"])
        clicks = float(output["clicks"]) if "clicks" in output else None
        self.rows.append((about["label"], found, failed, len(polygon), clicks))

    def result(self) -> dict[str, float | None]:
        classes = [value for values in self._classes().values() if (value := values["iou"]) is not None]
        return {**_result(self.rows), "class_iou": float(np.mean(classes)) if classes else None}

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        return {"class": self._classes()}

    def _classes(self) -> dict[str, dict[str, float | None]]:
        by_label: dict[str, list] = {}
        for row in self.rows:
            by_label.setdefault(row[0], []).append(row)
        small = [label for label, rows in by_label.items() if len(rows) < FEWEST]
        pooled = [row for label in small for row in by_label.pop(label)]
        parts = {label: _result(by_label[label]) for label in sorted(by_label)}
        if pooled:
            parts[f"{len(small)} rare classes"] = _result(pooled)
        return parts


def _result(rows) -> dict[str, float | None]:
    if not rows:
        return {column.name: None for column in OutlineScores.columns if column.name != "class_iou"}
    ious, clicks = np.array([row[1] for row in rows]), [row[4] for row in rows if row[4] is not None]
    return dict(
        iou=float(ious.mean()),
        good=float((ious >= GOOD).mean()),
        failed=float(sum(row[2] for row in rows)),
        vertices=float(np.mean([row[3] for row in rows])),
        clicks=float(np.mean(clicks)) if clicks else None,
        count=float(len(rows)),
    )
