"""All readers of videos by name."""

import functools

from scs_keras.core.arguments import check_known
from scs_keras.training.video_prediction import kitti_caltech, kth, moving_mnist, radar_videos, taxibj, video_folder
from scs_keras.zoo.words import option

READERS = {
    "moving_mnist": moving_mnist.read,
    "taxibj": taxibj.read,
    "kth": kth.read,
    "kitti_caltech": kitti_caltech.read,
    "kitti_caltech_bgr": functools.partial(kitti_caltech.read, caltech_bgr=True),
    "folder": video_folder.read,
    "radar": radar_videos.read,
}


def read_videos(dataset, folder, split, shape, stride=None, **options):
    """The videos of a part of a dataset, see `video.Videos`.

    Args:
        dataset: one of READERS; "folder" is a folder of your own videos.
        folder: with its files, in the layout that the reader's module says.
        split: "train", "val" or "test"; the first two never share a frame.
        shape: (time, height, width, channels) of a sequence, observed and predicted frames.
        stride: frames from one window to the next, None for the dataset's own; not for all datasets.
        **options: of the reader.

    Raises:
        FileNotFoundError: files are missing; the message says what is expected and where it can be had.
        ValueError: for an unknown dataset or split, broken files, too few frames, frames of another size, values out of
            range.
    """
    check_known("dataset", dataset, READERS)
    if stride is not None and stride < 1:
        raise ValueError(f"{option('stride')} must be at least 1. Received: {stride}.")
    return READERS[dataset](folder, split, shape, stride, **options)
