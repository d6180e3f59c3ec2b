"""Annotated objects of images, as every reader of outlines gives them, and which of them become samples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.core.arguments import check_known
from scs_keras.training.data.threads import in_threads
from scs_keras.training.outline.pictures import picture_size
from scs_keras.training.outline.polygons import Polygon, area, clockwise, is_outline, without_repeats

PARTS = ("skip", "keep")


@dataclass(frozen=True)
class OutlinedObject:
    """An object with its outline.

    Attributes:
        path: of the image.
        name: of the object: file and index.
        label: its class.
        polygons: one, or several where the object is in parts; image pixels, clockwise, inside the image.
        size: (height, width) of the image.
        where: annotation file and index of the object in it, for messages.
        box: (left, top, right, bottom) that the annotation gives; None for the polygons'.
    """

    path: Path
    name: str
    label: str
    polygons: tuple[Polygon, ...]
    size: tuple[int, int]
    where: str
    box: tuple[float, float, float, float] | None = None


@dataclass
class Counts:
    """What of the annotations was left out or changed, by reason."""

    left_out: Counter[str] = field(default_factory=Counter)
    clipped: int = 0

    def notes(self, name: str) -> list[str]:
        """Sentences that say so."""
        said = []
        if self.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            said.append(f"{name}: left out: {reasons}.")
        if self.clipped:
            said.append(f"{name}: {self.clipped} polygons reach beyond their image and were clipped to it.")
        return said


def polygon_of(points: Any, size: tuple[int, int], where: str, counts: Counts) -> Polygon:
    """A polygon of a file, clockwise and clipped to the image.

    Args:
        points: pairs [x, y].
        size: (height, width) of the image.
        where: file and object, for messages.
        counts: of what is clipped.

    Raises:
        ValueError: these are no three points, one is not finite, all lie outside the image or on one line.
    """
    try:
        polygon = np.asarray(points, "float64").reshape(-1, 2)
    except (ValueError, TypeError):
        raise ValueError(f"{where}: a polygon is a list of points [x, y]. Received: {str(points)[:60]}.") from None
    if not np.isfinite(polygon).all():
        raise ValueError(f"{where}: the polygon has a coordinate that is not a number. Correct it in the file.")
    polygon = without_repeats(polygon)
    if len(polygon) < 3:
        raise ValueError(
            f"{where}: a polygon needs at least three different points. Received: {len(polygon)}. Draw it anew, or "
            "delete the object."
        )
    height, width = size
    inside = np.clip(polygon, 0, (width, height))
    if (inside != polygon).any():
        (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            raise ValueError(
                f"{where}: the polygon lies outside the image, which is {width} x {height} pixels: x from {left:g} to "
                f"{right:g}, y from {top:g} to {bottom:g}. Is it of another image, or of another size of this one?"
            )
        counts.clipped += 1
        polygon = without_repeats(inside)
    if not is_outline(polygon):
        raise ValueError(f"{where}: all points of the polygon lie on one line. Draw it anew, or delete the object.")
    return clockwise(polygon)


def check_box(box: Any, size: tuple[int, int], where: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) clipped to the image of size (height, width).

    Raises:
        ValueError: it is not four numbers with left < right and top < bottom, or nothing of it is in the image.
    """
    try:
        left, top, right, bottom = (float(each) for each in box)
    except (ValueError, TypeError):
        raise ValueError(f"{where}: a box is four numbers. Received: {box!r}.") from None
    if not np.isfinite([left, top, right, bottom]).all() or not (left < right and top < bottom):
        raise ValueError(
            f"{where}: a box is left, top, right and bottom in pixels, left < right and top < bottom. Received: "
            f"{left:g}, {top:g}, {right:g}, {bottom:g}."
        )
    height, width = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise ValueError(
            f"{where}: the box lies outside the image, which is {width} x {height} pixels. Received: {left:g}, "
            f"{top:g}, {right:g}, {bottom:g}."
        )
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def chosen(
    name: str,
    outlines: Iterable[OutlinedObject],
    counts: Counts,
    classes: Sequence[str] = (),
    min_area: float = 0.0,
    parts: str = "skip",
) -> list[OutlinedObject]:
    """The objects that become samples; `counts` says of the others why not.

    Args:
        name: of the data, for messages.
        outlines: all of a split.
        counts: is added to.
        classes: those wanted; () for all.
        min_area: in square pixels; smaller objects are left out.
        parts: what becomes of an object of several polygons: "skip", or "keep" each of them as an object.

    Raises:
        ValueError: none is left, or an image has another size than the annotations say.
        FileNotFoundError: an image is missing.
    """  # fmt: skip
    check_known("choice of parts", parts, PARTS)
    outlines = list(outlines)
    known = sorted({each.label for each in outlines})
    for label in classes if outlines else ():
        check_known(f"class of {name}", label, known)
    found: list[OutlinedObject] = []
    for each in outlines:
        if classes and each.label not in classes:
            counts.left_out["objects of other classes"] += 1
        elif len(each.polygons) > 1 and parts == "skip":
            counts.left_out["objects in several parts"] += 1
        else:
            found += _pieces(each)
    large = [each for each in found if abs(area(each.polygons[0])) >= min_area]
    if len(large) < len(found):
        counts.left_out[f"objects of less than {min_area:g} square pixels"] += len(found) - len(large)
    if not large:
        asked = f" of the classes {', '.join(classes)}" if classes else ""
        reasons = "".join(counts.notes(name)) or "There are no annotations."
        raise ValueError(f"{name}: there are no objects{asked}. {reasons} Allow smaller ones, or objects in parts.")
    check_pictures(large)
    return large


def _pieces(outline):
    if len(outline.polygons) == 1:
        return [outline]
    return [
        OutlinedObject(
            outline.path, f"{outline.name}, part {index}", outline.label, (polygon,), outline.size, outline.where
        )
        for index, polygon in enumerate(outline.polygons)
    ]  # fmt: skip


def check_pictures(outlines: Iterable[OutlinedObject]) -> None:
    """Raises an error, with file and object, unless each image is there and as large as the annotations say."""
    first = {each.path: each for each in reversed(list(outlines))}

    def check(outline: OutlinedObject) -> None:
        if not outline.path.is_file():
            raise FileNotFoundError(
                f"{outline.where}: its image {outline.path} is missing. Get it, or take the annotations out."
            )
        size = picture_size(outline.path)
        if size != outline.size:
            (height, width), (real_height, real_width) = outline.size, size
            raise ValueError(
                f"{outline.where}: the annotations are of an image of {width} x {height} pixels, {outline.path.name} "
                f"has {real_width} x {real_height}. Scale one of them."
            )

    in_threads(check, list(first.values()))


def by_class(outlines: Iterable[OutlinedObject]) -> Mapping[str, int]:
    """{class: number of objects}."""
    return Counter(each.label for each in outlines)
