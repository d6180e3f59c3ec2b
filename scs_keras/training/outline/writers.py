"""Writes outlines: labelme's JSON, one file an image, and one COCO file of all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import scs_keras
from scs_keras.training.outline.polygons import Polygon, area, box_of
from scs_keras.zoo.files import written_beside

LABELME = "5.5.0"  # of the format written


@dataclass(frozen=True)
class Drawn:
    """An object that was outlined.

    Attributes:
        label: its class.
        polygons: image pixels; several for an object in parts.
    """

    label: str
    polygons: tuple[Polygon, ...]


def write_labelme(path: str | Path, image: str, size: tuple[int, int], objects: Sequence[Drawn]) -> None:
    """Writes a labelme file; the parts of an object share a `group_id`.

    Args:
        path: of the file.
        image: path of the image as seen from the file's folder.
        size: (height, width) of the image.
        objects: to write.
    """
    shapes = [
        dict(
            label=each.label,
            points=_plain(polygon),
            group_id=number if len(each.polygons) > 1 else None,
            description="",
            shape_type="polygon",
            flags={},
            mask=None,
        )
        for number, each in enumerate(objects)
        for polygon in each.polygons
    ]
    document = dict(
        version=LABELME, flags={}, shapes=shapes, imagePath=image, imageData=None, imageHeight=size[0],
        imageWidth=size[1],
    )  # fmt: skip
    _write(path, document)


def write_coco(path: str | Path, images: Mapping[str, tuple[tuple[int, int], Sequence[Drawn]]]) -> None:
    """Writes a COCO file; ids of images, annotations and categories (by name) count from 1.

    Args:
        path: of the file.
        images: {file name: ((height, width), objects)}.
    """
    names = sorted({each.label for _, objects in images.values() for each in objects})
    categories = {name: number for number, name in enumerate(names, 1)}
    annotations: list[dict] = []
    document = dict(
        info=dict(description=f"written by scs-keras {scs_keras.__version__}"),
        licenses=[],
        images=[
            dict(id=number, file_name=name, height=size[0], width=size[1])
            for number, (name, (size, _)) in enumerate(images.items(), 1)
        ],
        annotations=annotations,
        categories=[dict(id=number, name=name, supercategory="") for name, number in categories.items()],
    )
    for number, (_, objects) in enumerate(images.values(), 1):
        for each in objects:
            left, top, right, bottom = box_of(each.polygons)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=categories[each.label],
                    segmentation=[np.reshape(_plain(polygon), -1).tolist() for polygon in each.polygons],
                    bbox=[_rounded(value) for value in (left, top, right - left, bottom - top)],
                    area=_rounded(sum(abs(area(polygon)) for polygon in each.polygons)),
                    iscrowd=0,
                )
            )
    _write(path, document)


def _rounded(value):
    return round(float(value), 3)


def _plain(polygon):
    return [[_rounded(x), _rounded(y)] for x, y in polygon]


def _write(path, document):
    text = json.dumps(document, indent=1, allow_nan=False)
    with written_beside(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
