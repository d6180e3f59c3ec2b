"""From an image and a box to the crop that the model sees, and between pixels and cells. NumPy alone.

Pixel i covers [i, i + 1): the middle of the first is at 0.5. Points are (x, y), boxes (left, top, right, bottom).
"""

from typing import Any, NamedTuple

import numpy as np

MARGIN = 0.1  # of the box, a side


class Crop(NamedTuple):
    """A part of an image, stretched to the square of cells; in pixels, not necessarily whole."""

    left: float
    top: float
    right: float
    bottom: float

    def cells(self, points: Any, grid: int) -> np.ndarray:
        """The cells (n,) int32 of points (n, 2); a point on the right or lower edge is of the last cell.

        Raises:
            ValueError: one lies outside.
        """
        points = np.asarray(points, "float64").reshape(-1, 2)
        place = (points - (self.left, self.top)) / (self.right - self.left, self.bottom - self.top) * grid
        outside = np.any((place < 0) | (place > grid) | np.isnan(place), axis=1)
        if outside.any():
            raise ValueError(
                f"A vertex lies in the box and the {MARGIN:.0%} around it, {self.words()}. Received: "
                f"{tuple(map(float, points[outside][0]))}. Give a larger box."
            )
        column, row = np.minimum(place.astype("int32"), grid - 1).T
        return row * grid + column

    def points(self, cells: Any, grid: int) -> np.ndarray:
        """The middles (n, 2) float32 of cells, x and y."""
        cells = np.asarray(cells)
        place = np.stack([cells % grid, cells // grid], axis=-1) + 0.5
        size = np.array((self.right - self.left, self.bottom - self.top))
        return (np.array((self.left, self.top)) + place / grid * size).astype("float32")

    def words(self) -> str:
        """x and y from where to where, for people."""
        return f"x {self.left:g} to {self.right:g}, y {self.top:g} to {self.bottom:g}"


def crop_of(box: Any, image_size: tuple[int, int], index: int | None = None) -> Crop:
    """The box and a tenth of it on each side, as far as the image goes.

    Args:
        box: (left, top, right, bottom) pixels.
        image_size: height and width of the image.
        index: of the object, for the message.

    Raises:
        ValueError: the box is no box, or not inside the image.
    """
    height, width = image_size
    of = "" if index is None else f" of object {index}"
    try:
        left, top, right, bottom = map(float, box)
    except (TypeError, ValueError):
        raise ValueError(
            f"A box{of} is (left, top, right, bottom) in pixels. Received: {box!r}. For example: (10, 20, 60, 80)."
        ) from None
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):  # false for NaN too
        raise ValueError(
            f"The box{of} is (left, top, right, bottom) in pixels and lies inside the image, 0 <= left < right <= "
            f"{width}, 0 <= top < bottom <= {height}. Received: {(left, top, right, bottom)}."
        )
    x, y = MARGIN * (right - left), MARGIN * (bottom - top)
    return Crop(max(0.0, left - x), max(0.0, top - y), min(float(width), right + x), min(float(height), bottom + y))


def cut(image: np.ndarray, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    """The crop, stretched to height and width, as the model sees it: (height, width, 3) float32, RGB in [0, 1].

    Linear interpolation; where it gets smaller, over as many pixels as become one.

    Args:
        image: (height, width, 3) uint8.

    Raises:
        ValueError: for another image.
    """
    check_image(image)
    left, top = int(np.floor(crop.left)), int(np.floor(crop.top))
    part = image[top : int(np.ceil(crop.bottom)), left : int(np.ceil(crop.right))].astype("float32") / 255.0
    rows = _weights(part.shape[0], crop.top - top, crop.bottom - top, size[0])
    columns = _weights(part.shape[1], crop.left - left, crop.right - left, size[1])
    made = np.tensordot(rows, part, axes=(1, 0))  # (new height, width, 3)
    return np.ascontiguousarray(np.swapaxes(np.tensordot(columns, made, axes=(1, 1)), 0, 1))


def check_image(image: Any, index: int | None = None) -> None:
    """Raises ValueError unless it is (height, width, 3) uint8."""
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
    if shape is None or len(shape) != 3 or shape[-1] != 3 or dtype != np.uint8 or 0 in shape:
        of = "" if index is None else f" of object {index}"
        raise ValueError(
            f"The image{of} is red, green and blue of 0 to 255, (height, width, 3) uint8. Received: shape={shape}, "
            f"{dtype}. For example: numpy.asarray(PIL.Image.open(FILE).convert('RGB'))."
        )


def _weights(pixels, start, stop, size):
    """(size, pixels): what each of `size` parts of [start, stop) takes of the pixels, linear, each row sums to 1."""
    scale = (stop - start) / size
    middles = start + (np.arange(size) + 0.5) * scale
    distance = np.abs(middles[:, None] - (np.arange(pixels) + 0.5)[None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    nearest = np.clip(middles.astype(int), 0, pixels - 1)
    weights[np.arange(size), nearest] += 1e-9  # beyond the middle of the last pixel: that pixel
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
