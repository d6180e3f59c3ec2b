"""Boxes of a user, of objects that are to be outlined, in one image or a folder of them.

    boxes.csv           file,left,top,right,bottom[,label][,x,y]    pixels; x, y: the first vertex
    instances.json      or another COCO file: each annotation's bbox
    IMAGE.json          labelme: each rectangle; a point of the same group_id is its first vertex

The first of these that a folder holds is taken.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scs_keras.training.data.folders import in_order
from scs_keras.training.outline import coco, labelme
from scs_keras.training.outline.objects import check_box
from scs_keras.training.outline.pictures import ENDINGS, picture_size

TABLE, COCO = "boxes.csv", "instances.json"
_EXPECTED = (
    f"{TABLE} (file,left,top,right,bottom[,label][,x,y]), a COCO file with bbox, or labelme's files with rectangles"
)


@dataclass(frozen=True)
class Box:
    """An object that is to be outlined.

    Attributes:
        path: of the image.
        label: of the object.
        box: (left, top, right, bottom) in pixels.
        first: its first vertex [x, y], or None.
        where: file and object, for messages.
    """

    path: Path
    label: str
    box: tuple[float, float, float, float]
    first: tuple[float, float] | None
    where: str


def boxes_of(file: Path) -> list[Box]:
    """The boxes of a folder, or of one of the files that hold them.

    Raises:
        FileNotFoundError: there are none, or an image is missing.
        ValueError: a box or a first vertex is none, or lies outside its image; the message says which.
    """
    found = list(_read(file))
    if not found:
        raise FileNotFoundError(f"{file}: holds no boxes. Expected {_EXPECTED}.")
    return found


def _read(file: Path) -> Iterable[Box]:
    if file.suffix.lower() in ENDINGS:
        beside = file.with_suffix(".json")
        if beside.is_file():
            return _of_labelme([beside])
        raise FileNotFoundError(
            f"{file}: one image has no boxes. Give a folder with {_EXPECTED}; or: scs-keras annotate PRESET --image "
            f"{file} --box LEFT,TOP,RIGHT,BOTTOM --output DIR."
        )
    if file.suffix.lower() == ".csv":
        return _of_table(file)
    if file.is_file():
        return _of_json(file)
    if (file / TABLE).is_file():
        return _of_table(file / TABLE)
    if (file / COCO).is_file():
        return _of_coco(file / COCO)
    jsons = labelme.files(file)
    return _of_json(jsons[0]) if len(jsons) == 1 else _of_labelme(jsons)


def _of_json(path):
    return _of_coco(path) if '"annotations"' in path.read_text(encoding="utf-8") else _of_labelme([path])


def _box(path: Path, label: str, box: Any, first: Any, where: str) -> Box:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: its image {path} is missing.")
    size = picture_size(path)
    box = check_box(box, size, where)
    if first is not None:
        x, y = float(first[0]), float(first[1])
        if not (0 <= x <= size[1] and 0 <= y <= size[0]):
            raise ValueError(
                f"{where}: the first vertex lies outside the image, which is {size[1]} x {size[0]} pixels. Received: "
                f"{x:g}, {y:g}."
            )
        first = (x, y)
    return Box(path, label, box, first, where)


def _of_table(path: Path) -> Iterable[Box]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        needed = ("file", "left", "top", "right", "bottom")
        missing = [name for name in needed if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path}: the columns {', '.join(missing)} are missing. Needed: {','.join(needed)}, and perhaps label, "
                "x, y."
            )
        for number, row in enumerate(rows, 2):
            where = f"{path}, line {number}"
            try:
                box = [float(row[name]) for name in needed[1:]]
                first = (float(row["x"]), float(row["y"])) if row.get("x") and row.get("y") else None
            except (ValueError, TypeError):
                raise ValueError(f"{where}: left, top, right, bottom, x and y are numbers.") from None
            yield _box(path.parent / row["file"], row.get("label") or "object", box, first, where)


def _of_coco(path: Path) -> Iterable[Box]:
    content = coco.load(path)
    images = {image.get("id"): image for image in content["images"]}
    labels = {each.get("id"): str(each.get("name")) for each in content["categories"]}
    folder = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    for index, annotation in enumerate(content["annotations"]):
        where = f"{path}, annotation {index} (id {annotation.get('id')})"
        image, box = images.get(annotation.get("image_id")), annotation.get("bbox")
        if image is None:
            raise ValueError(f"{where}: there is no image with the id {annotation.get('image_id')}.")
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"{where}: bbox is a list of left, top, width and height. Received: {box!r}.")
        left, top, width, height = box
        label = labels.get(annotation.get("category_id"), "object")
        yield _box(folder / image["file_name"], label, (left, top, left + width, top + height), None, where)


def _of_labelme(paths: Iterable[Path]) -> Iterable[Box]:
    for path in in_order(paths):
        found = labelme.load(path)
        firsts = {
            shape["group_id"]: shape["points"][0]
            for shape in found.shapes
            if shape.get("shape_type") == "point" and shape.get("group_id") is not None
        }
        for index, shape in enumerate(found.shapes):
            if shape.get("shape_type") == "rectangle":
                corners = labelme.corners(shape, f"{path}, shape {index}")
                xs, ys = zip(*corners)
                box = (min(xs), min(ys), max(xs), max(ys))
                yield _box(
                    found.image, shape["label"], box, firsts.get(shape.get("group_id")), f"{path}, shape {index}"
                )
