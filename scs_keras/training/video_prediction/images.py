"""Image files as frames."""

import functools

import numpy as np

from scs_keras.training.data.bilinear import resize
from scs_keras.training.video_prediction.video import Video

_MODES = {1: "L", 3: "RGB"}


def image_video(name, paths, size, channels, keep_aspect=True):
    """A video of image files, read when they are needed and then kept in memory (as many as fit into some 500 MB).

    Args:
        name: of the video.
        paths: of its frames, in order.
        size: (height, width) that they get, see `read_image`.
        channels: 1 (grey) or 3 (RGB).
        keep_aspect: see `read_image`.

    Raises:
        ValueError: a file is not an image, or channels is neither 1 nor 3.
        ImportError: Pillow is missing.
    """
    paths = list(paths)
    for path in paths:
        _open(path, path).close()  # broken files must show before training starts

    def read(start, stop):
        return np.stack([_cached_image(path, tuple(size), channels, keep_aspect) for path in paths[start:stop]])

    return Video(name, len(paths), read)


def read_image(path, size, channels, keep_aspect=True):
    """A file as uint8 (height, width, channels), bilinear.

    Args:
        path: of the file.
        size: (height, width).
        channels: 1 (grey) or 3 (RGB).
        keep_aspect: True cuts the middle out of an image of another shape, smoothed before it is made smaller; False
            distorts it and interpolates between the four nearest pixels, as OpenCV and so the benchmark do.
    """
    return decode_image(path, path, size, channels, keep_aspect)


def decode_image(source, name, size, channels, keep_aspect=True):
    """As `read_image`, from a path or an open file that messages call `name`."""
    mode = mode_of(channels)
    try:
        with _open(source, name) as image:
            image = image.convert(mode)
            return fit(image, size) if keep_aspect else _interpolated(as_frame(image), size)
    except (OSError, SyntaxError) as error:  # a truncated file
        raise ValueError(f"{name}: the image cannot be read ({error}). It may be truncated; get it again.") from error


def fit(image, size):
    """A Pillow image as uint8 (height, width, channels) of that size: the middle, resized."""
    from PIL import Image, ImageOps

    height, width = size
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), method=Image.Resampling.BILINEAR)
    return as_frame(image)


def mode_of(channels):
    """Pillow's name for images of so many channels."""
    if channels not in _MODES:
        raise ValueError(
            f"Images and videos give 1 channel (grey) or 3 (RGB). Received: a model of {channels} channels."
        )
    return _MODES[channels]


def as_frame(image):
    frame = np.asarray(image)
    return frame[..., None] if frame.ndim == 2 else frame


@functools.lru_cache(maxsize=2**15)
def _cached_image(path, size, channels, keep_aspect):
    return read_image(path, size, channels, keep_aspect)


def _interpolated(image, size):
    return np.floor(resize(image.astype("float64"), size, axes=(0, 1)) + 0.5).astype("uint8")


def _open(source, name):
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Image files need Pillow: pip install "scs-keras[video]"') from error
    try:
        return Image.open(source)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{name}: is not an image that can be read ({error}). Remove it or get it again.") from error
