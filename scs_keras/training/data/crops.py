"""One draw of crop, mirror image and colours for all frames of a clip, and the crop of evaluation."""

import numpy as np

_GREY = np.array((0.299, 0.587, 0.114), "float32")  # of red, green and blue
MARGIN = 8 / 7  # training crops are taken from frames that are larger by this factor, as 256 to 224


def middle(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle (height, width) of frames (time, height, width, channels) that are not smaller."""
    top, left = (frames.shape[1] - size[0]) // 2, (frames.shape[2] - size[1]) // 2
    return frames[:, top : top + size[0], left : left + size[1]]


def larger(size: tuple[int, int]) -> tuple[int, int]:
    """What frames have to cover for training crops of that size."""
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def drawn(
    frames: np.ndarray, size: tuple[int, int], random: np.random.Generator, flip: bool = True, jitter: float = 0.1
) -> np.ndarray:
    """A training draw of a clip.

    Of uint8 frames a part of the model's shape is cut out at a random place and made the model's size, bilinear: from
    the largest that fits to one smaller by `MARGIN`. Brightness, contrast and saturation are multiplied by factors up
    to `jitter` from 1. Frames of other types are physical values at the model's size: they are only mirrored.

    Args:
        frames: (time, height, width, channels).
        size: (height, width) of the result.
        random: whose next five numbers decide, whatever the arguments.
        flip: whether half of the clips are mirror images, left for right.
        jitter: 0 for the colours as they are.
    """
    place, side = random.random(2), random.random()
    mirrored, factors = random.random() < 0.5, 1 + jitter * random.uniform(-1, 1, 3)
    if frames.dtype == np.uint8:
        frames = _cut(frames, size, place, side)
        if jitter:
            frames = _coloured(frames, factors.astype("float32"))
    return frames[:, :, ::-1] if flip and mirrored else frames


def _cut(frames, size, place, side):
    from PIL import Image

    high, wide = frames.shape[1:3]
    largest = min(high / size[0], wide / size[1])
    scale = largest / (1 + side * (MARGIN - 1))
    height, width = size[0] * scale, size[1] * scale
    top, left = place[0] * (high - height), place[1] * (wide - width)
    box = (left, top, left + width, top + height)
    images = (Image.fromarray(frame) for frame in frames)
    return np.stack([np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box)) for image in images])


def _coloured(frames, factors):
    brightness, contrast, saturation = factors
    colours = frames.astype("float32") * brightness
    grey = colours @ _GREY if frames.shape[-1] == 3 else colours[..., 0]
    colours = colours * saturation + (grey * (1 - saturation))[..., None]
    colours = colours * contrast + grey.mean() * (1 - contrast)
    return np.clip(np.rint(colours), 0, 255).astype("uint8")
