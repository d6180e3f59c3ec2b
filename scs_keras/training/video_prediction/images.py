"""Image files as frames.

8-bit images are uint8. Those of 16 bits are divided by 65535, those of floating point must be in [0, 1]: both are
float32 in [0, 1]. Colours of 16 bits, which Pillow would make coarser, are read with PyAV; what has no known range,
integers of 32 bits, is refused. What is transparent lies on black; the orientation that a camera noted is applied.
"""

import functools
import io
import warnings

import numpy as np

from scs_keras.training.data.bilinear import resize
from scs_keras.training.video_prediction.video import Video, checked_values, scaled

_ORIENTATION = 0x0112  # in EXIF
_MODES = {1: "L", 3: "RGB"}
_GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow weighs them
_SAVE = "Save it with 8 or 16 bits, or as .npy in [0, 1]."


def image_video(name, paths, size, channels, keep_aspect=True):
    """A video of image files, read when they are needed and then kept in memory (as many as fit into some 500 MB).

    Args:
        name: of the video.
        paths: of its frames, in order.
        size: (height, width) that they get, see `read_image`.
        channels: 1 (grey) or 3 (RGB).
        keep_aspect: see `read_image`.

    Raises:
        ValueError: a file is not an image or holds several, or channels is neither 1 nor 3.
        ImportError: Pillow is missing.
    """
    paths, sizes, change = list(paths), set(), ""
    for path in paths:  # broken files must show before training starts
        with _open(path, path) as image:
            if is_animation(image, path):
                raise ValueError(
                    f"{path}: holds several images, in a folder whose files are one frame each. "
                    "Move it out of the folder, to be a video by itself."
                )
            if not sizes and keep_aspect:
                change = described_change(image, size, channels)
            sizes.add(image.size)
    if change and len(sizes) > 1:
        change += f" (as in the first image; they have {len(sizes)} different sizes)"

    def read(start, stop):
        frames = [_cached_image(path, tuple(size), channels, keep_aspect) for path in paths[start:stop]]
        return np.stack(frames if all(frame.dtype == np.uint8 for frame in frames) else list(map(scaled, frames)))

    return Video(name, len(paths), read, change)


def animation_video(path, size, channels):
    """A video of a file that holds several images: GIF, WebP, PNG or TIFF. Args and errors as `image_video`."""
    mode_of(channels)
    with _open(path, path) as images:
        change, frames = described_change(images, size, channels), []
        for index in range(_count(images, path)):
            frames.append(_frame(images, path, size, channels, number=index))
        kind = images.format
    if kind == "GIF" and not path.read_bytes().endswith(b";"):  # cut between two images, it reads as a shorter one
        warnings.warn(f"{path}: its {len(frames)} images do not end as a GIF does; it may be truncated.", stacklevel=3)
    if len(frames) == 1:
        raise ValueError(f"{path}: is one image and no video. Put the images of a video into a folder of their own.")
    return Video(path.name, len(frames), lambda start, stop: np.stack(frames[start:stop]), change)


def read_image(path, size, channels, keep_aspect=True):
    """A file as (height, width, channels), uint8 or float32 in [0, 1] as above, bilinear.

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
    mode_of(channels)
    with _open(source, name) as image:
        return _frame(image, name, size, channels, keep_aspect)


def fit(image, size):
    """A Pillow image as (height, width, channels) of that size: the middle, resized."""
    from PIL import Image, ImageOps

    height, width = size
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), method=Image.Resampling.BILINEAR)
    return as_frame(image)


def described_change(image, size, channels):
    """What `fit` and the number of channels change in an image, in words; "" for nothing."""
    (width, height), (high, wide) = image.size, size
    if _on_its_side(image):
        width, height = height, width
    changes = []
    if width * high != height * wide:
        taken = min(width, round(height * wide / high)), min(height, round(width * high / wide))
        changes.append(f"the middle {taken[0]}x{taken[1]} of {width}x{height} pixels (width x height) was taken")
        width, height = taken
    if (width, height) != (wide, high):
        changes.append(f"{width}x{height} pixels were made {wide}x{high}")
    if channels == 1 and image.mode not in ("1", "L", "LA", "F") and not image.mode.startswith("I"):
        changes.append("colours were made grey")
    return "; ".join(changes)


def is_animation(image, name):
    """Whether a file holds several images (but for the preview that cameras put behind a JPEG image)."""
    return _count(image, name) > 1 and image.format != "MPO"


def holds_several(path):
    """Whether an image file is a video by itself."""
    with _open(path, path) as image:
        return is_animation(image, path)


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


def _frame(file, name, size, channels, keep_aspect=True, number=0):
    """The image of that number of an open Pillow file, as `read_image` gives it."""
    from PIL import Image

    try:
        if number:
            file.seek(number)
        depth, fine = _depth(file, name), _has_fine_colours(file)
        stored = _stored_file(file) if fine else None
        image = _upright(file)
        image.load()
        if fine:
            planes = _fine_planes(*stored, name, channels, number)
        elif depth is None:
            planes = [_on_black(image).convert(mode_of(channels))]
        else:
            planes = [Image.fromarray((np.asarray(image) / depth).astype("float32"))]
    except _Refused:
        raise
    except Exception as error:  # a truncated file; Pillow raises OSError, SyntaxError, ValueError, EOFError and others
        raise _broken(name, error) from error
    if depth is not None:
        checked_values(str(name), np.asarray(planes[0]))
    fitted = [fit(plane, size) if keep_aspect else _interpolated(as_frame(plane), size) for plane in planes]
    frame = np.concatenate(fitted, axis=-1)
    return frame if frame.shape[-1] == channels else np.repeat(frame, channels, axis=-1)


class _Refused(ValueError):
    """An image that is whole but whose values would be lost."""


def _depth(image, name):
    """By what values are divided to be in [0, 1]; None for 8 bits, which stay uint8.

    Raises:
        ValueError: values would be lost, or their range is not known.
    """
    mode, stored = image.mode, _stored(image)
    if mode == "F":
        return 1
    if mode.startswith("I"):
        if mode == "I" and image.format not in ("PNG", "PPM"):
            raise _Refused(f"{name}: whole numbers of more than 16 bits have no known range. {_SAVE}")
        if ";12" in stored:
            raise _Refused(f"{name}: images of 12 bits are not read. {_SAVE}")
        return 65535
    return None


def _stored(image):
    """How Pillow calls what lies in the file, for instance RGB;16B."""
    return str([tile[3] for tile in image.tile])


def _has_fine_colours(image):
    """Whether colours or transparency have 16 bits, which Pillow makes 8."""
    return ";16" in _stored(image) and not image.mode.startswith("I")


def _stored_file(image):
    """Bytes and orientation of an open file, which Pillow forgets when it decodes it."""
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    return content, image.getexif().get(_ORIENTATION, 1)


def _fine_planes(content, orientation, name, channels, number):
    """Images of floating point in [0, 1], one for each channel, of a file with colours of 16 bits."""
    from PIL import Image

    try:
        import av
    except ImportError as error:
        raise _Refused(f'{name}: colours of 16 bits need PyAV: pip install "scs-keras[video]"') from error
    try:
        if number:
            raise ValueError("one of several in a file")
        with av.open(io.BytesIO(content)) as container:
            rgba = next(container.decode(video=0)).to_ndarray(format="rgba64le") / 65535
    except Exception as error:  # PyAV's own errors, and those of Python
        raise _Refused(f"{name}: an image with colours of 16 bits that is not read ({error}). {_SAVE}") from error
    colours = rgba[..., :3] * rgba[..., 3:]  # on black
    planes = []
    for plane in [colours @ _GREY] if channels == 1 else np.moveaxis(colours, -1, 0):
        made = Image.fromarray(plane.astype("float32"))
        made.getexif()[_ORIENTATION] = orientation
        planes.append(_upright(made))
    return planes


def _count(images, name):
    try:
        return getattr(images, "n_frames", 1)
    except Exception as error:  # a truncated file
        raise _broken(name, error) from error


def _broken(name, error):
    return ValueError(f"{name}: the image cannot be read ({error}). It may be truncated; get it again.")


def _on_its_side(image):
    try:
        return image.getexif().get(_ORIENTATION, 1) >= 5
    except Exception:  # a broken file, which shows when it is read
        return False


def _upright(image):
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _on_black(image):
    """What is transparent becomes black, not what colour the file has there."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)


def _interpolated(image, size):
    made = resize(image.astype("float64"), size, axes=(0, 1))
    return np.floor(made + 0.5).astype("uint8") if image.dtype == np.uint8 else made.astype("float32")


def _open(source, name):
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Image files need Pillow: pip install "scs-keras[video]"') from error
    try:
        return Image.open(source)
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and others
        raise ValueError(f"{name}: is not an image that can be read ({error}). Remove it or get it again.") from error
