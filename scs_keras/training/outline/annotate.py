"""Outlines of a user's own images: all boxes of a folder (`predict`), or one object with some vertices fixed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scs_keras.training.outline.boxes import Box, boxes_of
from scs_keras.training.outline.drawing import Traced, growing_gif, outline_picture
from scs_keras.training.outline.objects import check_box
from scs_keras.training.outline.pictures import picture, picture_size
from scs_keras.training.outline.polygons import is_outline
from scs_keras.training.outline.writers import Drawn, write_coco, write_labelme
from scs_keras.training.source import Source, source
from scs_keras.zoo.words import option

COCO = "outlines.json"


def predict(file_source: Source, file: Path, output: Path, beam: int = 1, tries: int = 4, gif: bool = False) -> str:
    """Outlines all boxes of a folder: IMAGE.json for labelme, IMAGE.outlines.png, and outlines.json (COCO) of all.

    Args:
        file_source: of a model of the task.
        file: folder or file with boxes, see `boxes`.
        output: folder.
        beam: width of a beam search; 1 takes the likeliest vertex each time.
        tries: so many likely cells are tried for a first vertex that is not given.
        gif: also IMAGE.gif, the outlines growing.

    Raises:
        FileNotFoundError: there are no boxes, or an image is missing.
        ValueError: a box lies outside its image, or is none; two images have one name but for the ending.
    """
    boxes = boxes_of(file)
    _check_other_folder(file, output, boxes)
    by_image: dict[Path, list[Box]] = {}
    for box in boxes:
        by_image.setdefault(box.path, []).append(box)
    root = Path(os.path.commonpath([path.parent for path in by_image]))
    _check_names([path.relative_to(root) for path in by_image])
    model = file_source.load()
    images, failed = {}, []
    for path, its_boxes in by_image.items():
        pixels = np.asarray(picture(path))
        corners, starts = [box.box for box in its_boxes], [box.first for box in its_boxes]
        outlines = model.annotate_many([pixels] * len(corners), corners, starts, width=beam, tries=tries)
        polygons = [outline.points for outline in outlines]
        failed += [box.where for box, polygon in zip(its_boxes, polygons) if not is_outline(polygon)]
        traced = [
            Traced(polygon, box.label, (0,) if box.first else ())
            for box, polygon in zip(its_boxes, polygons)
            if is_outline(polygon)
        ]
        name = path.relative_to(root).as_posix()
        images[name] = pixels.shape[:2], [Drawn(each.label, (each.polygon,)) for each in traced]
        _write(output / name, path, pixels, traced, gif)
    write_coco(output / COCO, images)
    count = sum(len(objects) for _, objects in images.values())
    said = f" No outline was found for {len(failed)}: {'; '.join(failed[:5])}." if failed else ""
    return (
        f"{count} outlines in {len(images)} images.{said} Wrote {output / COCO}, and a .json (labelme) and "
        f".outlines.png for each image, to {output}."
    )


def _check_other_folder(file: Path, output: Path, boxes: Sequence[Box]) -> None:
    """Raises ValueError where what is written would take the place of the user's files."""
    folders = {each.path.parent.resolve() for each in boxes} | {(file if file.is_dir() else file.parent).resolve()}
    if output.resolve() in folders:
        raise ValueError(
            f"{option('output', str(output))} is a folder of the images or boxes, whose labelme files would be "
            "overwritten. Give another folder."
        )


def _check_names(images: Sequence[Path]) -> None:
    """Raises ValueError where two files that are written would have one name."""
    written = {Path(COCO): "the COCO file of all images"}
    for image in images:
        labelme = image.with_suffix(".json")
        if labelme in written:
            raise ValueError(
                f"The labelme file of {image} would be {labelme}, like {written[labelme]}. Rename the image."
            )
        written[labelme] = f"that of {image}"


def _write(place: Path, image: Path, pixels: np.ndarray, traced: Sequence[Traced], gif: bool) -> None:
    """Writes the files of an image; `place` is where it would lie in the folder of the results."""
    labelme = place.with_suffix(".json")
    there = Path(os.path.relpath(image.resolve(), labelme.parent.resolve())).as_posix()
    write_labelme(labelme, there, pixels.shape[:2], [Drawn(each.label, (each.polygon,)) for each in traced])
    outline_picture(place.with_name(f"{place.stem}.outlines.png"), pixels, traced)
    if gif:
        growing_gif(place.with_suffix(".gif"), pixels, traced)


# One object -----------------------------------------------------------------------------------------------------------


def annotate(
    model: str,
    image: str | Path,
    box: str,
    output: str | Path,
    start: str | None = None,
    fixed: str | None = None,
    end: int | None = None,
    beam: int = 1,
    tries: int = 4,
    simplify: float | None = None,
    label: str = "object",
    weights: str | None = None,
) -> str:
    """Outlines one object of an image, as far as the user has not fixed it.

    Args:
        model: preset, or folder of a training.
        image: file.
        box: "LEFT,TOP,RIGHT,BOTTOM" in pixels.
        output: folder: IMAGE.json (labelme), outlines.json (COCO), IMAGE.outlines.png and IMAGE.gif.
        start: "X,Y", the first vertex.
        fixed: vertices put right, "INDEX:X,Y" with blanks between them.
        end: index of a fixed vertex up to which vertices are drawn anew; None: to the end of the outline.
        beam, tries: as of `predict`.
        simplify: vertices at most so many pixels from the line between their neighbours are left out.
        label: of the object.
        weights: a `.weights.h5` file instead of the preset's.

    Raises:
        FileNotFoundError: there is no such image.
        ValueError: the box or a vertex is none or outside the image, or no outline was found.
    """
    path, output = Path(image), Path(output)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such image.")
    size = picture_size(path)
    corners = check_box(_numbers(box, 4, "box", "LEFT,TOP,RIGHT,BOTTOM"), size, option("box", box))
    first = None if start is None else tuple(_numbers(start, 2, "start", "X,Y"))
    vertices = _fixed(fixed)
    for name, point in {"start": first, **{f"fixed {index}": each for index, each in vertices.items()}}.items():
        if point is not None and not (0 <= point[0] <= size[1] and 0 <= point[1] <= size[0]):
            raise ValueError(
                f"{option(name)}: the vertex {point[0]:g},{point[1]:g} lies outside the image, which is {size[1]} x "
                f"{size[0]} pixels."
            )
    drawer = source(model, weights).load()
    pixels = np.asarray(picture(path))
    outline = drawer.annotate(pixels, corners, first, vertices, end, width=beam, tries=tries, simplify=simplify)
    polygon = outline.points
    if not is_outline(polygon):
        raise ValueError(
            f"No outline was found: {len(polygon)} vertices. Give another {option('box')} or first vertex."
        )
    traced = [Traced(polygon, label, outline.fixed)]
    _write(output / path.name, path, pixels, traced, gif=True)
    write_coco(output / COCO, {path.name: (size, [Drawn(label, (polygon,))])})
    points = " ".join(f"{index}:{x:.1f},{y:.1f}" for index, (x, y) in enumerate(polygon))
    wrote = f"{path.stem}.json (labelme), .outlines.png, .gif and {COCO} to {output}"
    return f"{len(polygon)} vertices: {points}\nWrote {wrote}."


def _numbers(text: str, count: int, name: str, form: str) -> list[float]:
    try:
        found = [float(each) for each in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"{option(name)} is {form} in pixels. Received: {text!r}.")
    return found


def _fixed(text: str | None) -> Mapping[int, tuple[float, float]]:
    vertices = {}
    for each in (text or "").split():
        index, separator, point = each.partition(":")
        if not separator or not index.isdigit():
            raise ValueError(f"{option('fixed')} is INDEX:X,Y with blanks between several. Received: {each!r}.")
        x, y = _numbers(point, 2, "fixed", "INDEX:X,Y")
        vertices[int(index)] = (x, y)
    return vertices
