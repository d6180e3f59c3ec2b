"""COCO: `annotations/instances_train2017.json` with `train2017/*.jpg`, or one `instances.json` with `images/`.

One's own file needs `images` [{id, file_name, width, height}], `categories` [{id, name}] and `annotations` [{id,
image_id, category_id, segmentation}]. A `split.json` beside it, {"train": [names], "val": [names]}, tells the parts of
one file (names with or without ending); without it every fifth image is for validation.

Only polygons are outlines: crowds and objects whose mask is run-length encoded are left out and counted.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scs_keras.training.data.folders import in_order, listed_split
from scs_keras.training.outline.objects import Counts, OutlinedObject, chosen, polygon_of
from scs_keras.training.outline.samples import OutlineSamples, samples_of
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

FOLDS = 5  # without split.json, every so many images one is for validation
_EXPECTED = "annotations/instances_train2017.json with train2017/, or instances.json with images/"


def read(
    folder: str | Path,
    split: str,
    preset: Preset,
    classes: str = "",
    min_area: float = 1024.0,
    parts: str = "skip",
    **training: Any,
) -> OutlineSamples:
    """Samples of a folder.

    Args:
        folder: see above, or the path of one such JSON file beside its images.
        split: "train", "val" or "test".
        preset: of an outline model.
        classes: names, separated by commas; "" for all.
        min_area: smallest area in square pixels.
        parts: of objects of several polygons, "skip" or "keep" each as an object.
        **training: see `OutlineSamples`.

    Raises:
        FileNotFoundError: annotations or an image are missing.
        ValueError: an annotation is wrong; the message says which.
    """  # fmt: skip
    path, images, whole = _files(Path(folder), split)
    content = load(path)
    counts = Counts()
    name = f"{path.parent.name if whole else Path(folder).name} {split}"
    outlines = list(_outlines(path, images, content, _part(path, content, split) if whole else None, counts))
    wanted = tuple(each.strip() for each in classes.split(",") if each.strip())
    found = chosen(name, outlines, counts, wanted, min_area, parts)
    return samples_of(name, found, preset, counts.notes(name), **training)


def load(path: Path) -> dict[str, Any]:
    """The content of a COCO file.

    Raises:
        ValueError: it is no JSON, or has no images, annotations and categories.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: content[name] for name in ("images", "annotations", "categories")}
        if not all(isinstance(each, list) for each in parts.values()):
            raise TypeError("they must be lists")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected JSON of COCO with the lists images, annotations and categories. Received something else "
            f"({error!r})."
        ) from error
    return parts


def _files(folder, split):
    """(annotations, folder of the images, whether one file holds all splits)."""
    if folder.is_file():
        return folder, _images(folder), True
    official = folder / "annotations" / f"instances_{split}2017.json"
    if official.is_file():
        return official, folder / f"{split}2017", False
    own = folder / "instances.json"
    if own.is_file():
        return own, _images(own), True
    others = sorted((folder / "annotations").glob("instances_*2017.json"))
    if others:
        raise FileNotFoundError(f"{official} is missing: {option('split', split)}. There is: {others[0].name}.")
    raise FileNotFoundError(f"{folder}: expected {_EXPECTED}.")


def _images(path):
    return path.parent / "images" if (path.parent / "images").is_dir() else path.parent


def _part(path, content, split):
    """Names (without ending) of the images of a split."""
    names = [str(image.get("file_name", "")) for image in content["images"]]
    listing = path.parent / "split.json"
    if listing.is_file():
        parts = listed_split(listing)
        if split not in parts:
            raise ValueError(f"{listing}: has no part {split!r}. Its parts: {', '.join(parts)}.")
        return {Path(name).stem for name in parts[split]}
    if split == "test":
        raise ValueError(f"{path}: without split.json there are the parts train and val. Received: {split!r}.")
    stems = [each.stem for each in in_order(map(Path, names))]
    return {stem for place, stem in enumerate(stems) if (place % FOLDS == 0) == (split == "val")}


def _outlines(path, folder, content, part, counts):
    images = {image.get("id"): image for image in content["images"]}
    labels = {each.get("id"): str(each.get("name")) for each in content["categories"]}
    for index, annotation in enumerate(content["annotations"]):
        where = f"{path}, annotation {index} (id {annotation.get('id')})"
        image = images.get(annotation.get("image_id"))
        if image is None:
            raise ValueError(f"{where}: there is no image with the id {annotation.get('image_id')}.")
        if part is not None and Path(image["file_name"]).stem not in part:
            continue
        outline = _outline(annotation, index, image, labels, folder, where, counts)
        if outline is not None:
            yield outline


def _outline(annotation: Mapping, index, image, labels, folder, where, counts) -> OutlinedObject | None:
    if annotation.get("iscrowd"):
        counts.left_out["crowds"] += 1
        return None
    found = annotation.get("segmentation")
    if isinstance(found, Mapping):
        counts.left_out["objects with a run-length encoded mask"] += 1
        return None
    if not found:
        counts.left_out["objects without an outline"] += 1
        return None
    label = labels.get(annotation.get("category_id"))
    if label is None:
        raise ValueError(f"{where}: there is no category with the id {annotation.get('category_id')}.")
    size = int(image["height"]), int(image["width"])
    polygons = tuple(polygon_of(_pairs(points, where), size, where, counts) for points in found)
    name = image["file_name"]
    return OutlinedObject(folder / name, f"{name}, annotation {index}", label, polygons, size, where)


def _pairs(points, where):
    if not isinstance(points, list) or len(points) % 2:
        raise ValueError(f"{where}: a polygon is a flat list x, y, x, y, ... Received: {str(points)[:60]}.")
    return [points[place : place + 2] for place in range(0, len(points), 2)]
