"""KITTI for training, Caltech Pedestrian for the test: frames from a driving car, 128x160 RGB.

The layouts that the benchmark OpenSTL has:
    kitti_hkl/X_train.hkl, sources_train.hkl, and for validation X_val.hkl, sources_val.hkl: the files of PredNet
    (https://coxlab.github.io/prednet), uint8 (frames, 128, 160, 3) and the recording of each frame. A .hkl file is HDF5
    and is read as that; nothing in it is unpickled.
    kitticaltech_npy/train_data.npy, train_idx.npy, test_data.npy, test_idx.npy: frames, uint8 or in [0, 1], and the
    first frame of each window of 11.
    caltech/set06/V000.seq, ...: the test videos of Caltech Pedestrian as they are distributed, with kitti_hkl. Of every
    three frames the last counts, resized to the height and cut to the width, as in the benchmark.
Without X_val.hkl the last tenth of the windows is for validation (the benchmark has none).

The BGR trap: by its code (not checked on its files) the benchmark reads KITTI as RGB, but the Caltech videos with
OpenCV, which gives BGR, so that its test frames have red and blue exchanged. `read` takes stored frames as they are;
`read(..., caltech_bgr=True)`, the dataset `kitti_caltech_bgr` on the command line, exchanges red and blue: for RGB from
an array of BGR, or for what the benchmark sees from the .seq files, which are read as RGB.
"""

import functools
import re
from pathlib import Path

import h5py
import numpy as np

from scs_keras.training.data.folders import in_order
from scs_keras.training.video_prediction.seq_files import seq_video
from scs_keras.training.video_prediction.video import (
    Video,
    VideoWindows,
    check_split,
    checked_values,
    every,
    every_from_the_end,
)
from scs_keras.zoo.words import option

_EXPECTED = (
    "kitti_hkl/X_train.hkl and sources_train.hkl (https://coxlab.github.io/prednet) or kitticaltech_npy/train_data.npy "
    "and train_idx.npy; for the test caltech/set06/V000.seq, ... (https://data.caltech.edu/records/f6rph-90m20) or "
    "kitticaltech_npy/test_data.npy and test_idx.npy (arrays as the benchmark OpenSTL reads them, "
    "https://github.com/chengtan9907/OpenSTL)"
)
KEPT_EVERY = 3  # Caltech's videos have 30 frames a second, KITTI's 10


def read(folder, split, shape, stride=None, caltech_bgr=False):
    """Windows of KITTI ("train", "val") or Caltech ("test").

    Args:
        folder: with one of the layouts above.
        split: "train", "val" or "test".
        shape: (time, height, width, 3) of a window; the benchmark's is (11, 128, 160, 3).
        stride: a window every so many frames of a recording; None: windows do not overlap.
        caltech_bgr: whether red and blue of the Caltech frames are exchanged, see above.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: it is broken, or has too few or other frames.
    """
    check_split(split)
    folder = Path(folder)
    if split != "test" and (folder / "kitti_hkl").is_dir():
        return _from_hickle(folder / "kitti_hkl", split, shape, stride)
    if (folder / "kitticaltech_npy").is_dir():
        return _from_arrays(folder / "kitticaltech_npy", split, shape, stride, caltech_bgr)
    if split == "test" and (folder / "caltech").is_dir():
        return _from_seq(folder / "caltech", shape, stride, caltech_bgr)
    raise FileNotFoundError(f"{folder}: no files for the split {split!r}. Expected {_EXPECTED}.")


def _from_hickle(folder, split, shape, stride):
    part = "val" if split == "val" and (folder / "X_val.hkl").is_file() else "train"
    frames = checked_values(f"X_{part}.hkl", np.asarray(read_hickle(folder / f"X_{part}.hkl")))
    sources = np.ravel(read_hickle(folder / f"sources_{part}.hkl"))
    if frames.ndim != 4 or len(sources) != len(frames):
        raise ValueError(
            f"{folder}: X_{part}.hkl must be (frames, height, width, channels), with one entry a frame in "
            f"sources_{part}.hkl. Received: {frames.shape} and {len(sources)} entries."
        )
    edges = [0, *(np.flatnonzero(sources[1:] != sources[:-1]) + 1), len(sources)]
    videos, windows = [], []
    for first, last in zip(edges[:-1], edges[1:]):
        videos.append(Video.of(str(sources[first]), frames[first:last]))
        windows += [(len(videos) - 1, start) for start in _starts(last - first, shape[0], stride)]
    # Windows by recording, so that a held-out part is not between two windows that are trained on.
    windows.sort()
    if not (folder / "X_val.hkl").is_file():
        windows = _part(windows, split)
    return VideoWindows("kitti_caltech", videos, windows, shape, [f"X_{part}.hkl"])


def _from_arrays(folder, split, shape, stride, caltech_bgr):
    part = "test" if split == "test" else "train"
    frames = checked_values(f"{part}_data.npy", _array(folder / f"{part}_data.npy"))
    firsts = np.sort(_array(folder / f"{part}_idx.npy"))
    if frames.ndim != 4 or firsts.ndim != 1 or not np.issubdtype(firsts.dtype, np.integer):
        raise ValueError(
            f"{folder}: {part}_data.npy must be (frames, height, width, channels) and {part}_idx.npy whole numbers. "
            f"Received: {frames.shape} and {firsts.dtype} {firsts.shape}."
        )
    if stride is not None:
        raise ValueError(f"{part}_idx.npy says where windows start: leave {option('stride')} out. Received: {stride}.")
    if part == "test" and caltech_bgr:
        frames = frames[..., ::-1]
    outside = firsts[(firsts < 0) | (firsts + shape[0] > len(frames))]
    if outside.size:
        raise ValueError(
            f"{folder / f'{part}_idx.npy'}: a window of {shape[0]} frames that starts at {outside[0]} is not inside "
            f"the {len(frames)} frames of {part}_data.npy. It was written for 11 frames; use a model for that length."
        )
    if len(firsts) > 1 and (apart := int(np.diff(firsts).min())) < shape[0] and split != "test":
        firsts = firsts[:: -(-shape[0] // apart)]  # longer windows than the file was written for must not overlap
    windows = [(0, int(first)) for first in firsts]
    if split != "test":
        windows = _part(windows, split)
    return VideoWindows("kitti_caltech", [Video.of(folder.name, frames)], windows, shape, [f"{part}_data.npy"])


def _from_seq(folder, shape, stride, caltech_bgr):
    paths = in_order(folder.glob("*/*.seq"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no .seq files in its folders. Expected {_EXPECTED}.")
    videos = [seq_video(path, shape[1:3], shape[3], KEPT_EVERY) for path in paths]
    if caltech_bgr:
        videos = [Video(each.name, each.length, functools.partial(_exchanged, each.read)) for each in videos]
    windows = [(i, start) for i, video in enumerate(videos) for start in _starts(video.length, shape[0], stride)]
    return VideoWindows("kitti_caltech", videos, sorted(windows), shape)


def _exchanged(read, start, stop):
    return read(start, stop)[..., ::-1]


def _starts(length, window, stride):
    return every_from_the_end(length, window, window) if stride is None else every(length, window, stride)


def read_hickle(path):
    """What a .hkl file holds: an array, or a list of texts as an array.

    A hickle file is HDF5: the object is the data set, or the group of numbered items, whose name starts with "data".
    Objects that hickle pickled are refused.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_EXPECTED}.")
    try:
        with h5py.File(path) as file:
            name = next(name for name in sorted(file) if name.startswith("data"))
            return np.asarray(_item(file[name], file))
    except (OSError, StopIteration, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot be read as a hickle file of an array or of a list of texts ({error!r}). "
            "It may be truncated, or hold pickled objects, which are not read; get it again."
        ) from error


def _item(item, file):
    if isinstance(item, h5py.Group):
        names = sorted(item, key=lambda name: int(re.search(r"(\d+)$", name)[1]))
        return [_item(item[name], file) for name in names]
    if b"pickle" in np.ravel(np.asarray(item.attrs.get("type", b""))).astype("S").tolist():
        raise ValueError("it holds a pickled object")
    value = item[()]
    if isinstance(value, h5py.Reference):  # hickle writes an object that occurs twice once
        return _item(file[value], file)
    if item.dtype.kind == "S" and item.dtype.itemsize == 1 and "str_type" in item.attrs:
        return np.ravel(value).tobytes().decode()  # hickle 4 and 5: a text is a row of bytes
    if item.dtype.kind in "SO":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in np.ravel(value)]
        return texts[0] if len(texts) == 1 and item.parent != file else texts
    return value


def _part(windows, split):
    if len(windows) == 1:
        raise ValueError("kitti_caltech: one window only, too few for training and validation. Use more frames.")
    held_out = max(1, len(windows) // 10)
    return windows[-held_out:] if split == "val" else windows[:-held_out]


def _array(path):
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_EXPECTED}.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as an array ({error}). Get it again.") from error
