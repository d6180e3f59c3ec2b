"""Radar events as videos, so that video models train on them with the same recipe: reflectivity / 70 dBZ in [0, 1].

Training sequences are random crops of the model's frame size, wet ones preferred, flipped and varied as for
precipitation models; validation sequences are tiles of that size that have data everywhere, side by side from the upper
left.
"""

import functools

import numpy as np

from scs_keras.training.data.radar import Augmentation, read_events, training_batch
from scs_keras.training.data.video import Video, VideoWindows, check_split, every, scaled


def read(folder, split, shape, stride=None):
    """Sequences of radar events.

    Args:
        folder: of events, see `radar_files`.
        split: "train" or "val", as the folder's split.json says.
        shape: (time, side, side, 1) of a sequence.
        stride: "val": a window every so many frames; None: windows do not overlap.

    Raises:
        FileNotFoundError: there is no such folder, or no event in it.
        ValueError: an event is broken or too short, frames are smaller than the model's, the split has no events.
    """
    check_split(split)
    length, height, width, channels = shape
    if channels != 1 or height != width:
        raise ValueError(f"radar gives square frames with 1 channel. Received: a model of {height}x{width}x{channels}.")
    events = [] if split == "test" else read_events(folder, split)
    if not events:
        raise ValueError(
            f"{folder}: no radar event belongs to the split {split!r}. Use --split val, and list some in split.json."
        )
    return RadarCrops(events, shape) if split == "train" else _tiles(events, shape, stride or length)


class RadarCrops:
    """Random crops of events; `batch` and the sequences by index are functions of seed and step, or of the index.

    Args:
        events: see `read_events`.
        shape: (time, side, side, 1) of a crop.
        augmentation: what is varied.
    """

    name = "radar"

    def __init__(self, events, shape, augmentation=Augmentation(temporal_strides=(1,))):
        length, side = shape[:2]
        self.shape = tuple(shape)
        self._frames = functools.partial(
            training_batch, events, crop=side, input_length=length - 1, output_length=1, augmentation=augmentation
        )
        self.count = sum(len(event.times) - length + 1 for event in events)
        self.batch(0, 1)  # events that are too short or too small must show before training starts

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batch(index, 1)[0]

    def batch(self, step, batch_size, seed=0):
        """float32 (batch, time, side, side, 1) in [0, 1]; pixels without data are 0."""
        frames, target, _ = self._frames(step=step, batch_size=batch_size, seed=seed)
        return np.concatenate([frames, target], axis=1)


def _tiles(events, shape, stride):
    length, side = shape[:2]
    videos, windows = [], []
    for event in events:
        height, width = event.valid.shape
        for top in every(height, side, side):
            for left in every(width, side, side):
                area = slice(top, top + side), slice(left, left + side)
                if event.valid[area].all():
                    videos.append(_tile(event, area))
                    windows += [(len(videos) - 1, start) for start in every(len(event.times), length, stride)]
    return VideoWindows("radar", videos, windows, shape)


def _tile(event, area):
    def read(start, stop):
        return scaled(event.scaled[(slice(start, stop), *area)][..., None])

    return Video(f"{event.name} {area[0].start},{area[1].start}", len(event.times), read)
