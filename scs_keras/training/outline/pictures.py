"""Pictures of image files: their size, their pixels, parts of them."""

from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.zoo.outline.crops import Crop

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # of EXIF
Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of an image."""


def pillow() -> Any:
    """The module PIL.Image.

    Raises:
        ImportError: it is missing.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Images are read with Pillow: pip install "scs-keras[pictures]"') from error
    return Image


def opened(path: Path) -> Any:
    """The picture of a file, not decoded yet, as a Pillow image.

    Raises:
        ValueError: it is none.
    """
    try:
        return pillow().open(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: cannot be read as an image ({error}).") from error


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) as it is shown; the pixels are not decoded."""
    with opened(path) as found:
        turned = found.getexif().get(ORIENTATION, 1) in SIDEWAYS
        return (found.width, found.height) if turned else (found.height, found.width)


def picture(path: Path) -> Any:
    """The picture of a file as it is shown, upright if the camera says how (as labelme does): a Pillow image, RGB.

    Raises:
        ValueError: it cannot be decoded.
    """
    from PIL import ImageOps

    with opened(path) as found:
        try:
            return ImageOps.exif_transpose(found).convert("RGB")
        except OSError as error:
            raise ValueError(f"{path}: is broken ({error}).") from error


def around(box: Box, size: tuple[int, int], margin: float) -> Crop:
    """The box with `margin` of its width and height more on each side, inside the image of size (height, width)."""
    left, top, right, bottom = box
    wide, high = margin * (right - left), margin * (bottom - top)
    height, width = size
    return Crop(
        max(0.0, left - wide), max(0.0, top - high), min(float(width), right + wide), min(float(height), bottom + high)
    )


def cropped(image: Any, crop: Box, size: tuple[int, int]) -> np.ndarray:
    """A part of a Pillow image stretched to size (height, width), smoothed where it is made smaller: uint8 RGB."""
    return np.asarray(image.resize(size[::-1], pillow().Resampling.BILINEAR, box=crop))
