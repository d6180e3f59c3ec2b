"""TaxiBJ: in- and outflow of taxis in Beijing, every 30 minutes on a 32x32 grid.

Layout: dataset.npz, in the folder or in its sub-folder `taxibj`, with X_train, Y_train, X_test, Y_test, each (number,
4, 2, 32, 32) in [-1, 1]; here (x + 1) / 2. The last tenth of the training sequences is for validation; as they overlap,
so many before it are left out that the two parts share no frame (the benchmark itself validates on its test set).
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from scs_keras.training.video_prediction.video import Video, VideoWindows, check_split
from scs_keras.zoo.words import option

_EXPECTED = (
    "dataset.npz with X_train, Y_train, X_test and Y_test, each (number, 4, 2, 32, 32) in [-1, 1], as the benchmark "
    "OpenSTL has it (https://github.com/chengtan9907/OpenSTL)"
)


def read(folder, split, shape, stride=None):
    """TaxiBJ sequences.

    Args:
        folder: with dataset.npz.
        split: "train", "val" or "test".
        shape: (time, height, width, channels) of a sequence; the benchmark's is (8, 32, 32, 2).
        stride: None: sequences stand by themselves.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is broken, or has too few or other frames.
    """
    check_split(split)
    if stride is not None:
        raise ValueError(
            f"taxibj has sequences that stand by themselves: leave {option('stride')} out. Received: {stride}."
        )
    path = _path(folder)
    sequences = _sequences(path, "test" if split == "test" else "train")
    if split != "test":
        held_out = max(1, len(sequences) // 10)
        apart = sequences.shape[1] - 1  # a sequence starts every 30 minutes and shares frames with so many before it
        if len(sequences) <= held_out + apart:
            raise ValueError(
                f"{path}: too few sequences to keep some for validation that share no frame with the others. "
                f"Needed: {held_out + apart + 1}, found: {len(sequences)}."
            )
        sequences = sequences[-held_out:] if split == "val" else sequences[: -held_out - apart]
    videos = [Video.of(f"{path.name} {split} {index}", frames) for index, frames in enumerate(sequences)]
    windows = [(index, 0) for index, video in enumerate(videos) if video.length >= shape[0]]
    return VideoWindows("taxibj", videos, windows, shape, [path.name])


def _path(folder):
    folder = Path(folder)
    for path in (folder / "dataset.npz", folder / "taxibj" / "dataset.npz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: has no dataset.npz. Expected {_EXPECTED}.")


def _sequences(path, part):
    """float32 (number, time, height, width, channels) in [0, 1]."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            parts = [archive[f"{name}_{part}"] for name in "XY"]
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        raise ValueError(f"{path}: cannot be read ({error!r}). Expected {_EXPECTED}.") from error
    for name, array in zip("XY", parts):
        if array.ndim != 5 or len(array) != len(parts[0]) or array.shape[2:] != parts[0].shape[2:]:
            raise ValueError(
                f"{path}: X_{part} and Y_{part} must be (number, time, channels, height, width), of one number and "
                f"frame size. Received: {parts[0].shape} and {parts[1].shape}."
            )
        low, high = float(array.min(initial=0)), float(array.max(initial=0))
        if not (low >= -1 and high <= 1):  # also NaN
            raise ValueError(f"{path}: values of {name}_{part} must be in [-1, 1]. Received: {low:g} to {high:g}.")
    return np.moveaxis((np.concatenate(parts, axis=1).astype("float32") + 1) / 2, 2, -1)
