"""A user's own videos: a folder with one file, or one sub-folder of images, for each video.

    name.npy            frames (time, height, width) or (time, height, width, channels): uint8, or floating point
                        in [0, 1]
    name.npz            the same, under the name `frames` (or the only array of the file)
    name.mp4, .avi ...  a video, read with PyAV, upright as players show it
    name.gif, .tif ...  an animation or a stack of images, read with Pillow
    name/*.png, *.jpg   its frames, in the order of their names, of which numbers count as numbers

Videos and images get the model's size (the middle is cut out of another shape) and 1 or 3 channels; arrays must have
the model's. A `split.json` {"train": [names], "val": [names], "test": [names]} divides them. Without one, of three
videos and more the last tenth (at least one) of the names is for the test, the tenth before it for validation; of
fewer, all are for training. Whatever else lies there is named in a warning.
"""

import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from scs_keras.training.data.clips import MICROSECONDS, VIDEOS, opened, reading
from scs_keras.training.data.folders import entries, listed_split, named, no_notes, warn_left_out
from scs_keras.training.video_prediction.images import (
    animation_video,
    described_change,
    fit,
    holds_several,
    image_video,
    mode_of,
)
from scs_keras.training.video_prediction.video import (
    Video,
    VideoWindows,
    check_size,
    check_split,
    checked_values,
    described,
    every,
)
from scs_keras.zoo.words import option, words

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
ANIMATIONS = (".gif", ".webp", ".tif", ".tiff", ".png")  # where they hold several images
ARRAYS = (".npy", ".npz")
_EXPECTED = (
    "a folder with your videos: .npy or .npz arrays (time, height, width, channels), uint8 or in [0, 1], "
    f"videos ({', '.join(VIDEOS)}), animations ({', '.join(ANIMATIONS)}) or sub-folders of images ({', '.join(IMAGES)})"
)


def read(folder, split, shape, stride=None):
    """Windows of the videos of a folder.

    Args:
        folder: as above.
        split: "train", "val" or "test".
        shape: (time, height, width, channels) of a window.
        stride: frames from one window to the next; None: 1 for training, else windows do not overlap.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        ValueError: a file is broken or its values are out of range, no video has enough frames, their size is another,
            or the split has no videos.
    """
    check_split(split)
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected {_EXPECTED}.")
    videos = [read_video(path, shape[1:]) for path in _split(folder, _paths(folder), split)]
    short = [video.name for video in videos if video.length < shape[0]]
    if short and len(short) < len(videos):
        warnings.warn(f"{folder}: shorter than {shape[0]} frames and left out: {', '.join(short)}.", stacklevel=2)
    for video in videos:
        if video.length >= shape[0]:
            check_size(f"{folder.name}, {video.name}", (shape[0], *video.read(0, 1).shape[1:]), shape)
    step = stride or (1 if split == "train" else shape[0])
    windows = [(index, start) for index, video in enumerate(videos) for start in every(video.length, shape[0], step)]
    notes = described(f"{folder.name} {split}", videos, windows, shape[0])
    return VideoWindows(folder.name, videos, windows, shape, notes=notes)


def read_video(path, frame_shape):
    """One video: a file, or a folder of images.

    Args:
        path: of it.
        frame_shape: (height, width, channels) that images and video files get; arrays stay as they are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, of an unknown kind, or its values are out of range.
        ImportError: the package that reads it is missing.
    """
    path = Path(path)
    if path.is_dir():
        images, found = _images(path), entries(path)
        if not images:
            raise FileNotFoundError(
                f"{path}: holds no images. Expected {', '.join(IMAGES)}. It holds: {named(found) or 'nothing'}."
            )
        warn_left_out(path, no_notes(each for each in found if each not in images), "images")
        return image_video(path.name, images, frame_shape[:2], frame_shape[2])
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_EXPECTED}.")
    if path.suffix.lower() in ARRAYS:
        return Video.of(path.name, _frames_of_array(path))
    if path.suffix.lower() in VIDEOS:
        return _video_file(path, frame_shape)
    if path.suffix.lower() in ANIMATIONS:
        return animation_video(path, frame_shape[:2], frame_shape[2])
    raise ValueError(
        f"{path}: files of this kind are not read. Expected {', '.join(ARRAYS + VIDEOS + ANIMATIONS)} or a folder of "
        "images."
    )


def _paths(folder):
    found = entries(folder)
    paths = [path for path in found if _is_video(path)]
    if not paths:
        raise FileNotFoundError(
            f"{folder}: holds no videos. Expected {_EXPECTED}. It holds: {named(found) or 'nothing'}; images of one "
            "video belong into a sub-folder, and what is deeper in sub-folders is not read."
        )
    warn_left_out(
        folder,
        [path for path in found if path not in paths],
        f"each {', '.join(ARRAYS + VIDEOS)}, animation ({', '.join(ANIMATIONS)}) and sub-folder with images",
    )
    return paths


def _is_video(path):
    if path.is_dir():
        return bool(_images(path))
    ending = path.suffix.lower()
    return ending in ARRAYS + VIDEOS or ending in ANIMATIONS and (ending == ".gif" or holds_several(path))


def _images(path):
    return [each for each in entries(path) if each.suffix.lower() in IMAGES and each.is_file()]


def _split(folder, paths, split):
    listing = folder / "split.json"
    if listing.is_file():
        return _listed(listing, paths, split)
    held_out = max(1, len(paths) // 10) if len(paths) >= 3 else 0
    first = len(paths) - 2 * held_out
    part = {"train": paths[:first], "val": paths[first : first + held_out], "test": paths[first + held_out :]}[split]
    if not part:
        raise ValueError(
            f"{folder}: with fewer than 3 videos all are for training, none for {split!r}. Add videos, or a "
            f'split.json, for example {{"train": ["{paths[0].name}"], "val": ["{paths[-1].name}"]}}'
            + words(
                "; or train without validation: validate=0.",
                "; or train without validation: --set validate=0.",
                evaluate=".",
            )
        )
    return part


def _listed(listing, paths, split):
    parts = listed_split(listing)
    if not parts.get(split):
        have = ", ".join(name for name, names in parts.items() if names)
        use = words(f"; use {option('split')} with one of these", train="")
        raise ValueError(f"{listing}: lists no videos for {split!r}. It has: {have}{use}.")
    found = {name: path for path in paths for name in (path.name, path.stem)}
    missing = sorted(str(name) for name in parts[split] if name not in found)
    if missing:
        raise FileNotFoundError(f"{listing}: lists videos that are not in the folder: {', '.join(missing)}.")
    return [found[name] for name in parts[split]]


def _frames_of_array(path):
    try:
        if path.suffix.lower() == ".npy":
            frames = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(path, allow_pickle=False) as archive:
                name = "frames" if "frames" in archive.files else archive.files[0] if len(archive.files) == 1 else None
                if name is None:
                    raise ValueError(f"it has no array `frames` but {', '.join(archive.files) or 'nothing'}")
                frames = archive[name]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path}: cannot be read as an array ({error}). Expected frames (time, height, width, channels), saved "
            "with np.save, or np.savez(file, frames=frames)."
        ) from error
    if frames.ndim == 3:
        frames = frames[..., None]
    if frames.ndim != 4 or 0 in frames.shape:
        raise ValueError(
            f"{path}: frames must be (time, height, width) or (time, height, width, channels). "
            f"Received: {frames.shape}."
        )
    return checked_values(str(path), frames)


def _video_file(path, frame_shape):
    """All frames of a video file, uint8 at the model's size: decoding them again for every window would take longer."""
    mode, frames, change, seconds = mode_of(frame_shape[2]), [], "", None
    bits = 8
    with reading(path), opened(path) as (container, stream):
        stream.codec_context.thread_count = 0  # as many as there are: it is decoded alone
        for frame in container.decode(stream):
            image = frame.to_image()
            if frame.rotation:  # as a telephone noted it
                image = image.rotate(frame.rotation, expand=True)
            change = change or described_change(image, frame_shape[:2], frame_shape[2])
            bits = max(part.bits for part in frame.format.components)
            frames.append(fit(image.convert(mode), frame_shape[:2]))
            seconds = frame.time
        promised = (container.duration or 0) / MICROSECONDS
    if not frames:
        raise ValueError(f"{path}: the video has no frames.")
    if seconds is not None and seconds + 1 < 0.8 * promised:
        warnings.warn(
            f"{path}: its {len(frames)} pictures end after {seconds:.1f} of {promised:.1f} s; it may be truncated.",
            stacklevel=2,
        )
    if bits > 8:
        change = "; ".join([*([change] if change else []), f"values of {bits} bits were made 8"])
    frames = np.stack(frames)
    return Video(path.name, len(frames), lambda start, stop: frames[start:stop], change)
