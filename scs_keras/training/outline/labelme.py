"""labelme: a JSON file for each image, beside it or in a folder below; polygons and rectangles are objects.

Shapes of one `group_id` and label are the parts of one object. Other shapes (points, lines, circles) are left out and
counted. A `split.json` {"train": [names], "val": [names]} tells the parts; without it every fifth file is for
validation.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scs_keras.training.data.folders import in_order, listed_split, named
from scs_keras.training.outline.objects import Counts, OutlinedObject, chosen, polygon_of
from scs_keras.training.outline.samples import OutlineSamples, samples_of
from scs_keras.zoo.preset import Preset

FOLDS = 5
_NOT_ANNOTATIONS = ("split.json",)


def read(
    folder: str | Path,
    split: str,
    preset: Preset,
    classes: str = "",
    min_area: float = 0.0,
    parts: str = "skip",
    **training: Any,
) -> OutlineSamples:
    """Samples of a folder; args and errors as of `coco.read`."""  # fmt: skip
    folder = Path(folder)
    wanted = tuple(each.strip() for each in classes.split(",") if each.strip())
    counts, name = Counts(), f"{folder.name} {split}"
    outlines = [each for path in _part(folder, split) for each in outlines_of(path, counts)]
    found = chosen(name, outlines, counts, wanted, min_area, parts)
    return samples_of(name, found, preset, counts.notes(name), **training)


def files(folder: Path) -> list[Path]:
    """The annotation files of a folder and those below, in order."""
    return in_order(path for path in folder.rglob("*.json") if path.name not in _NOT_ANNOTATIONS)


def _part(folder: Path, split: str) -> list[Path]:
    found = files(folder) if folder.is_dir() else []
    if not found:
        inside = named(in_order(folder.iterdir())) if folder.is_dir() else "there is no such folder"
        raise FileNotFoundError(f"{folder}: expected the JSON files of labelme. It holds: {inside or 'nothing'}.")
    listing = folder / "split.json"
    if listing.is_file():
        parts = listed_split(listing)
        if split not in parts:
            raise ValueError(f"{listing}: has no part {split!r}. Its parts: {', '.join(parts)}.")
        wanted = {Path(name).stem for name in parts[split]}
        return [path for path in found if path.stem in wanted]
    if split == "test":
        raise ValueError(f"{folder}: without split.json there are the parts train and val. Received: {split!r}.")
    return [path for place, path in enumerate(found) if (place % FOLDS == 0) == (split == "val")]


@dataclass(frozen=True)
class Annotated:
    """A labelme file: its image, (height, width), and its shapes."""

    image: Path
    size: tuple[int, int]
    shapes: Sequence[Mapping[str, Any]]


def load(path: Path) -> Annotated:
    """A labelme file.

    Raises:
        ValueError: it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        name = PurePosixPath(str(content["imagePath"]).replace("\\", "/"))  # Windows writes the other slash
        size = int(content["imageHeight"]), int(content["imageWidth"])
        shapes = [dict(each, label=str(each["label"]), points=each["points"]) for each in content["shapes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected JSON of labelme with imagePath, imageHeight, imageWidth and shapes. Received something "
            f"else ({error!r})."
        ) from error
    image = path.parent / name
    return Annotated(image if image.is_file() else path.parent / name.name, size, shapes)


def outlines_of(path: Path, counts: Counts) -> Iterable[OutlinedObject]:
    """The objects of a labelme file; errors as `polygon_of` and `load`."""
    found = load(path)
    together: dict[Any, list[int]] = {}
    for index, shape in enumerate(found.shapes):
        if shape.get("shape_type", "polygon") not in ("polygon", "rectangle"):
            counts.left_out[f"shapes that are a {shape['shape_type']}"] += 1
            continue
        group = shape.get("group_id")
        key = ("alone", index) if group is None else (shape["label"], group)
        together.setdefault(key, []).append(index)
    for indices in together.values():
        polygons = tuple(
            polygon_of(
                corners(found.shapes[each], f"{path}, shape {each}"), found.size, f"{path}, shape {each}", counts
            )
            for each in indices
        )
        first, label = indices[0], found.shapes[indices[0]]["label"]
        yield OutlinedObject(
            found.image, f"{path.stem}, shape {first}", label, polygons, found.size, f"{path}, shape {first}"
        )


def corners(shape: Mapping[str, Any], where: str) -> list[list[float]]:
    """The points of a polygon; the four corners of a rectangle, which has two opposite ones, or four.

    Raises:
        ValueError: it has neither.
    """
    points = shape["points"]
    if shape.get("shape_type", "polygon") != "rectangle":
        return points
    try:
        (left, top), (right, bottom) = points[0], points[1 if len(points) == 2 else 2]
    except (ValueError, TypeError, IndexError):
        raise ValueError(f"{where}: a rectangle is two opposite corners. Received: {str(points)[:60]}.") from None
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
