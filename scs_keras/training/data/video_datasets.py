"""All readers of videos by name: `scs-keras train video_prediction --set dataset=NAME`, `evaluate --dataset NAME`."""

import difflib
import functools

from scs_keras.training.data import kitti_caltech, kth, moving_mnist, radar_videos, taxibj, video_folder

READERS = {
    "moving_mnist": moving_mnist.read,
    "taxibj": taxibj.read,
    "kth": kth.read,
    "kitti_caltech": kitti_caltech.read,
    "kitti_caltech_bgr": functools.partial(kitti_caltech.read, caltech_bgr=True),
    "folder": video_folder.read,
    "radar": radar_videos.read,
}


def read_videos(dataset, folder, split, shape, stride=None):
    """The videos of a part of a dataset, see `video.Videos`.

    Args:
        dataset: one of READERS; "folder" is a folder of your own videos.
        folder: with its files, in the layout that the reader's module says.
        split: "train", "val" or "test"; the first two never share a frame.
        shape: (time, height, width, channels) of a sequence, observed and predicted frames.
        stride: frames from one window to the next, None for the dataset's own; not for all datasets.

    Raises:
        FileNotFoundError: files are missing; the message says what is expected and where it can be had.
        ValueError: for an unknown dataset or split, broken files, too few frames, frames of another size, values out of
            range.
    """
    if dataset not in READERS:
        near = difflib.get_close_matches(dataset, READERS, n=1, cutoff=0.0)[0]
        raise ValueError(f"There is no dataset {dataset!r}. Did you mean {near!r}? Allowed: {', '.join(READERS)}.")
    if stride is not None and stride < 1:
        raise ValueError(f"--stride must be at least 1. Received: {stride}.")
    return READERS[dataset](folder, split, shape, stride)


def dataset_of(preset):
    """The dataset that a preset's name ends in; "folder" for none."""
    return next((name for name in READERS if name in preset), "folder")


def scored_split(dataset):
    """The split that a dataset's models are measured on: "test", and "val" for radar, which has no test."""
    return "val" if dataset == "radar" else "test"
