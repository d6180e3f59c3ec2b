"""Small copies of the layouts of outlines, and a preset whose models see crops of 24x24 pixels on a grid of 8."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

SQUARE = [[4, 4], [36, 4], [36, 20], [4, 20]]  # clockwise on the screen
TRIANGLE = [[10, 30], [40, 46], [10, 46]]


def preset(**arguments):
    return SimpleNamespace(arguments=dict(image_size=(24, 24), grid=8, steps=6) | arguments)


def save_image(path, size=(48, 64), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), "uint8")
    Image.fromarray(pixels).save(path)
    return path


def save_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def flat(points):
    return [number for point in points for number in point]


def annotation(number, image, polygons=(SQUARE,), category=3, **others):
    return dict(
        id=number, image_id=image, category_id=category, bbox=[4, 4, 32, 16], iscrowd=0,
        segmentation=[flat(each) for each in polygons],
    ) | others  # fmt: skip


def coco_content(annotations, images=2, size=(48, 64)):
    return dict(
        images=[dict(id=10 + n, file_name=f"{n}.png", width=size[1], height=size[0]) for n in range(images)],
        annotations=annotations,
        categories=[dict(id=3, name="cup"), dict(id=90, name="dog")],
    )


def save_coco(folder: Path, annotations, images=2, split="val"):
    """The official layout."""
    for number in range(images):
        save_image(folder / f"{split}2017" / f"{number}.png", seed=number)
    save_json(folder / "annotations" / f"instances_{split}2017.json", coco_content(annotations, images))
    return folder


def save_cityscapes(folder: Path, objects, split="val", city="bonn", size=(48, 64)):
    stem = f"{city}_000001_000019"
    save_image(folder / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", size)
    content = dict(imgHeight=size[0], imgWidth=size[1], objects=objects)
    save_json(folder / "gtFine" / split / city / f"{stem}_gtFine_polygons.json", content)
    return folder


def shape(points, label="cup", kind="polygon", group=None):
    return dict(label=label, points=points, group_id=group, description="", shape_type=kind, flags={}, mask=None)


def save_labelme(folder: Path, shapes, name="a", size=(48, 64), image_path=None):
    save_image(folder / f"{name}.png", size)
    content = dict(
        version="5.5.0", flags={}, shapes=shapes, imagePath=image_path or f"{name}.png", imageData=None,
        imageHeight=size[0], imageWidth=size[1],
    )  # fmt: skip
    save_json(folder / f"{name}.json", content)
    return folder
