"""Cityscapes: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and `gtFine/SPLIT/CITY/*_gtFine_polygons.json`; or both kinds
of files in one folder with split.json, {"train": [names], "val": [names]}.

A polygon each is an object, unless entries share an `instance_id` (not in the official files): these are its parts.
Groups (`cargroup`, ...) and what is none of the eight classes are left out and counted.
"""

import json
from pathlib import Path
from typing import Any

from scs_keras.training.data.folders import in_order, listed_split
from scs_keras.training.outline.objects import Counts, OutlinedObject, chosen, polygon_of
from scs_keras.training.outline.samples import OutlineSamples, samples_of
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

CLASSES = ("bicycle", "bus", "person", "train", "truck", "motorcycle", "car", "rider")  # Sec. 5.6
_POLYGONS, _IMAGE = "_gtFine_polygons.json", "_leftImg8bit"
_ENDINGS = (".png", ".jpg", ".jpeg")
_EXPECTED = (
    f"gtFine/SPLIT/CITY/*{_POLYGONS} with leftImg8bit/SPLIT/CITY/*{_IMAGE}.png (gtFine_trainvaltest.zip and "
    "leftImg8bit_trainvaltest.zip of cityscapes-dataset.com)"
)


def read(
    folder: str | Path,
    split: str,
    preset: Preset,
    classes: str = "",
    min_area: float = 0.0,
    parts: str = "skip",
    **training: Any,
) -> OutlineSamples:
    """Samples of a folder; args and errors as of `coco.read`. `classes`: "" for the eight of the paper."""  # fmt: skip
    folder = Path(folder)
    wanted = tuple(each.strip() for each in classes.split(",") if each.strip())
    counts, name = Counts(), f"{folder.name} {split}"
    outlines = [each for path in _files(folder, split) for each in _outlines(path, folder, wanted or CLASSES, counts)]
    found = chosen(name, outlines, counts, (), min_area, parts)
    return samples_of(name, found, preset, counts.notes(name), **training)


def _files(folder, split):
    annotations = folder / "gtFine" / split
    if annotations.is_dir():
        found = in_order(annotations.glob(f"*/*{_POLYGONS}"))
    else:
        found = in_order(folder.glob(f"*{_POLYGONS}"))
        listing = folder / "split.json"
        if found and listing.is_file():
            parts = listed_split(listing)
            if split not in parts:
                raise ValueError(f"{listing}: has no part {split!r}. Its parts: {', '.join(parts)}.")
            found = [path for path in found if path.name.removesuffix(_POLYGONS) in parts[split]]
        elif found:
            raise FileNotFoundError(f"{folder}: files in one folder need a split.json, which is missing.")
    if not found:
        raise FileNotFoundError(f"{folder}: nothing for {option('split', split)}. Expected {_EXPECTED}.")
    return found


def _outlines(path: Path, folder: Path, classes, counts: Counts):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        size = int(content["imgHeight"]), int(content["imgWidth"])
        objects = [(str(each["label"]), each["polygon"], each.get("instance_id")) for each in content["objects"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected JSON with imgHeight, imgWidth and objects of a label and a polygon each. Received "
            f"something else ({error!r})."
        ) from error
    image, stem = _image_of(path, folder), path.name.removesuffix(_POLYGONS)
    together: dict[Any, list[int]] = {}
    for index, (label, _, instance) in enumerate(objects):
        if label.endswith("group") and label.removesuffix("group") in CLASSES:
            counts.left_out["groups"] += 1
        elif label not in classes:
            counts.left_out["entries of other classes"] += 1
        else:
            together.setdefault(("alone", index) if instance is None else (label, instance), []).append(index)
    for indices in together.values():
        where = f"{path}, object {indices[0]}"
        polygons = tuple(polygon_of(objects[each][1], size, f"{path}, object {each}", counts) for each in indices)
        yield OutlinedObject(image, f"{stem}, object {indices[0]}", objects[indices[0]][0], polygons, size, where)


def _image_of(path: Path, folder: Path) -> Path:
    """Where the image of an annotation file is, or should be."""
    stem = path.name.removesuffix(_POLYGONS) + _IMAGE
    beside = path.parent
    if "gtFine" in path.relative_to(folder).parts:
        beside = folder / "leftImg8bit" / path.parent.relative_to(folder / "gtFine")
    found = [beside / f"{stem}{ending}" for ending in _ENDINGS]
    return next((each for each in found if each.is_file()), found[0])
