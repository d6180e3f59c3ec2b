"""Pictures of outlines: on the image, vertices numbered, fixed ones marked; a GIF of them growing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.outline.pictures import pillow
from scs_keras.training.outline.polygons import Polygon
from scs_keras.zoo.files import written_beside

COLOURS = ((68, 119, 170), (238, 102, 119), (34, 136, 51), (204, 187, 68), (102, 204, 238), (170, 51, 119))
FIXED = (255, 255, 255)  # rim of a vertex that a user gave
SIDE = 640  # pixels: the longer side of a picture is made at least so long
MOST_NUMBERED = 60  # vertices of an object
_LAST = 1200  # milliseconds that the whole outline is shown; each vertex before it 150


@dataclass(frozen=True)
class Traced:
    """An outline to draw.

    Attributes:
        polygon: in pixels of the image, in order.
        label: beside its first vertex.
        fixed: indices of the vertices that a user gave.
    """

    polygon: Polygon
    label: str = ""
    fixed: Collection[int] = ()


def outline_picture(path: str | Path, image: np.ndarray, traced: Sequence[Traced]) -> None:
    """Writes a PNG of an image, (height, width, 3) uint8, with its outlines.

    Raises:
        ImportError: Pillow is missing.
    """
    canvas, scale = _canvas(image)
    for number, each in enumerate(traced):
        canvas = _drawn(canvas, each, scale, COLOURS[number % len(COLOURS)])
    with written_beside(path) as beside:
        canvas.save(beside, format="PNG")


def growing_gif(path: str | Path, image: np.ndarray, traced: Sequence[Traced]) -> None:
    """Writes a GIF: the same, vertex by vertex, one object after the other; each closes with its last.

    Raises:
        ImportError: Pillow is missing.
    """
    canvas, scale = _canvas(image)
    frames, times = [canvas], [150]
    for number, each in enumerate(traced):
        colour, count = COLOURS[number % len(COLOURS)], len(each.polygon)
        for shown in range(1, count + 1):
            frames.append(_drawn(canvas, each, scale, colour, shown))
            times.append(150)
        canvas, times[-1] = frames[-1], _LAST
    with written_beside(path) as beside:
        first, *others = (frame.quantize(128, pillow().Quantize.FASTOCTREE) for frame in frames)
        first.save(beside, format="GIF", save_all=True, append_images=others, duration=times, loop=0)


def _canvas(image: np.ndarray) -> tuple[Any, int]:
    """(the image, made larger by a whole factor where it is small, the factor)."""
    scale = max(1, SIDE // max(image.shape[:2]))
    picture = pillow().fromarray(np.ascontiguousarray(image))
    return picture.resize((picture.width * scale, picture.height * scale), pillow().Resampling.BICUBIC), scale


def _drawn(canvas, traced: Traced, scale: int, colour: tuple[int, int, int], shown: int | None = None) -> Any:
    """The picture with the first `shown` vertices of an outline; with all of them it is closed and filled."""
    from PIL import ImageDraw

    points = [tuple(each) for each in (np.asarray(traced.polygon, "float64") * scale).tolist()]
    whole = shown is None or shown >= len(points)
    points = points[:shown]
    made = canvas.copy()
    pen = ImageDraw.Draw(made, "RGBA")
    if whole and len(points) > 2:
        pen.polygon(points, fill=(*colour, 70))
    if len(points) > 1:
        pen.line([*points, *points[:whole]], fill=(*colour, 255), width=3, joint="curve")
    for index, (x, y) in enumerate(points):
        reach, rim = (6, FIXED) if index in traced.fixed else (3, colour)
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255), outline=(*rim, 255), width=2)
        if index < MOST_NUMBERED:
            pen.text((x + 5, y - 14), str(index), fill=(255, 255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0, 255))
    if traced.label and points:
        x, y = points[0]
        pen.text((x + 5, y + 4), traced.label, fill=(255, 255, 255, 255), stroke_width=2, stroke_fill=(*colour, 255))
    return made
