"""Videos as samples: observed frames and future ones to score on, whole sequences to train on."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.video_prediction.video import Videos
from scs_keras.training.video_prediction.video_datasets import read_videos
from scs_keras.zoo.preset import Preset


class VideoSamples:
    """Sequences of videos, see `scs_keras.training.samples.Samples`.

    Args:
        name: of the data.
        videos: sequences as long as what is observed and predicted.
        observed: frames of a sequence that are observed.
        channels: so many of the first channels are predicted.
        advection: whether what is seen is carried along as a whole, so that advection is a baseline.

    Attributes:
        file_names: names of those that the sequences are from.
        notes: what of their frames was cut out, changed or left out.
    """

    labels: tuple[str, ...] = ()

    def __init__(self, name: str, videos: Videos, observed: int, channels: int, advection: bool = False):
        self.name, self.videos, self.observed, self.channels = name, videos, observed, channels
        self.advection, self.file_names = advection, tuple(getattr(videos, "file_names", ()))
        self.notes = tuple(getattr(videos, "notes", ()))

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, None]:
        """(x, y, None): float32 (time, height, width, channels) in [0, 1], observed and future frames."""
        sequence = self.videos[index]
        return sequence[: self.observed], sequence[self.observed :, ..., : self.channels], None

    def about(self, index: int) -> Mapping[str, Any]:
        """name, and group: the video."""
        return self.videos.about(index)

    def batch(self, step: int, size: int, seed: int) -> np.ndarray:
        """Whole sequences, float32 (batch, time, height, width, channels): how a model learns from them is its own."""
        return self.videos.batch(step, size, seed)


def read(
    dataset: str,
    folder: str | Path,
    split: str,
    preset: Preset,
    stride: int | None = None,
    advection: bool = False,
    **options: Any,
) -> VideoSamples:
    """Samples of a data set, see `video_datasets.read_videos`, as long and as large as the preset's."""
    shape = (preset.input_shape[0] + preset.output_shape[0], *preset.input_shape[1:])
    videos = read_videos(dataset, folder, split, shape, stride, **options)
    return VideoSamples(f"{dataset} {split}", videos, preset.input_shape[0], preset.output_shape[-1], advection)


def radar(folder: str | Path, split: str, preset: Preset, stride: int | None = None, **reading: str) -> VideoSamples:
    return read("radar", folder, split, preset, stride, advection=True, observed=preset.input_shape[0], **reading)


moving_mnist = functools.partial(read, "moving_mnist")
taxibj = functools.partial(read, "taxibj")
kth = functools.partial(read, "kth")
kitti_caltech = functools.partial(read, "kitti_caltech")
kitti_caltech_bgr = functools.partial(read, "kitti_caltech_bgr")
folder = functools.partial(read, "folder")
