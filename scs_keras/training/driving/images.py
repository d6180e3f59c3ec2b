"""Frames of the camera as the models see them: the road cut out, at the model's size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scs_keras.core.arguments import is_number
from scs_keras.training.data.threads import in_threads
from scs_keras.training.task import check_needs
from scs_keras.zoo.words import option


class Frames(Protocol):
    """Consecutive frames: their number, and `[i]`, uint8 (height, width, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


def as_crop(given: Any) -> tuple[float, float]:
    """(top, bottom) of what is looked at, as shares of the height: of a pair, or of a text such as "0.4,1".

    Raises:
        ValueError: it is no such pair.
    """
    try:
        top, bottom = map(float, given.split(",") if isinstance(given, str) else given)
    except (TypeError, ValueError):
        top = bottom = -1.0
    if not (is_number(top) and 0 <= top < bottom <= 1):
        raise ValueError(
            "crop is where the road begins and ends, from the top, as shares of the image's height: "
            f"0 <= top < bottom <= 1. Received: {given!r}. For example: {option('crop', '0.4,1')}."
        )
    return top, bottom


def cut_out(image: Any, crop: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """The rows of an image of Pillow between `crop`, stretched to `size` (height, width): uint8 (height, width, 3).

    Each pixel is the mean of those that it stands for.
    """
    from PIL import Image

    box = (0, crop[0] * image.height, image.width, crop[1] * image.height)
    larger = size[0] > box[3] - box[1] or size[1] > image.width
    kind = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
    return np.asarray(image.convert("RGB").resize(size[::-1], kind, box))


class ImageFiles:
    """Frames that are image files each; see `Frames`.

    Args:
        paths: of the files.
        lines: where each is listed, for messages.
        crop: as for `as_crop`.
        size: (height, width) of the result.
    """

    def __init__(self, paths: Sequence[Path], lines: Sequence[str], crop: tuple[float, float], size: tuple[int, int]):
        self.paths, self.lines, self.crop, self.size = list(paths), list(lines), crop, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return _opened(self.paths[index], self.lines[index], lambda image: cut_out(image, self.crop, self.size))


class ArrayFrames:
    """Frames of an array in a file, red, green and blue first: (frames, 3, height, width) uint8; see `Frames`.

    Args:
        read: function of an index that gives one of them.
        indices: of the frames.
        crop, size: as in `ImageFiles`.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        indices: Sequence[int],
        crop: tuple[float, float],
        size: tuple[int, int],
    ):
        self.read, self.indices, self.crop, self.size = read, list(indices), crop, size

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> np.ndarray:
        from PIL import Image

        return cut_out(Image.fromarray(np.moveaxis(self.read(self.indices[index]), 0, -1)), self.crop, self.size)


def check_images(paths: Sequence[Path], lines: Sequence[str]) -> None:
    """Raises unless all files are images of one size; they are opened, not decoded.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one is no image, or has another size than the first.
        ImportError: Pillow is missing.
    """
    check_needs({"PIL": "pictures"})
    for path, line in zip(paths, lines):
        if not path.is_file():
            raise FileNotFoundError(f"{line}: there is no image {path}. Get it, or take the line out.")
    sizes = in_threads(lambda place: _opened(paths[place], lines[place], lambda image: image.size), range(len(paths)))
    for size, path, line in zip(sizes, paths, lines):
        if size != sizes[0]:
            raise ValueError(
                f"{line}: {path.name} has {size[0]}x{size[1]} pixels, {paths[0].name} ({lines[0]}) has "
                f"{sizes[0][0]}x{sizes[0][1]}. Frames of one camera have one size."
            )


def _opened(path, line, function):
    from PIL import Image

    try:
        with Image.open(path) as image:
            return function(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # which Pillow raises for broken files
        raise ValueError(f"{line}: {path} is no image that can be read ({error}). Get it again.") from error
