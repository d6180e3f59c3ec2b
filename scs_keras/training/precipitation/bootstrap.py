"""Confidence intervals of scores: a bootstrap over blocks of images that are scored together.

Windows that share images, and radars that look at the same time, are not independent. So files whose windows overlap
in time are one event, and an event has only as many blocks as whole windows fit into it side by side. Its scored images
are divided among them in time: none is in two blocks. (What a window only observes may be scored in the block before.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.9
REPLICATES = 1000
LEAST = 4
"""With fewer blocks there is no interval: a handful does not show how much scores vary."""


class Scored(NamedTuple):
    """An image that was scored; times are Unix seconds.

    Attributes:
        file: what it is from.
        time: of the image.
        first, last: times of the first and the last image of its window, observed ones included.
        step: seconds between two images.
    """

    file: str
    time: float
    first: float
    last: float
    step: float


@dataclass(frozen=True)
class Blocks:
    """Scored images, divided into blocks.

    Attributes:
        of_image: int (images,), the block of each, from 0 on.
        files: {event: its files}.
        of_event: {event: its blocks}.
        minutes: {event: the time that one of its blocks spans}.
    """

    of_image: np.ndarray
    files: dict[str, list[str]]
    of_event: dict[str, np.ndarray]
    minutes: dict[str, float]

    def sums(self, tallies: np.ndarray) -> np.ndarray:
        """(blocks, numbers): the sums of tallies (images, numbers) in each block."""
        summed = np.zeros((self.of_image.max() + 1, tallies.shape[1]))
        np.add.at(summed, self.of_image, tallies)
        return summed


def divide(images: Sequence[Scored]) -> Blocks:
    """Divides images into blocks, as the module says."""
    names, time, first, last, step = map(np.array, zip(*images))
    files, file_of_image = np.unique(names, return_inverse=True)
    event_of_file = _runs(*np.transpose([(first[names == file].min(), last[names == file].max()) for file in files]))
    blocks = Blocks(np.zeros(len(images), int), {}, {}, {})
    start = 0
    for event in np.unique(event_of_file):
        members = [str(file) for file in files[event_of_file == event]]
        name = members[0] + (f" and {len(members) - 1} more" if len(members) > 1 else "")
        inside = np.flatnonzero(event_of_file[file_of_image] == event)
        runs = _runs(first[inside], last[inside])
        spans = []  # seconds
        for run in np.unique(runs):
            part = inside[runs == run]
            places, seconds = _divided(time[part], first[part], last[part], step[part])
            blocks.of_image[part] = start + places
            start += places.max() + 1
            spans.append(seconds)
        blocks.files[name], blocks.minutes[name] = members, max(spans) / 60
        blocks.of_event[name] = np.unique(blocks.of_image[inside])
    return blocks


def _divided(time, first, last, step):
    """Blocks of images whose windows hang together, from 0 on, and the seconds that one spans."""
    end = last + step
    fitting = max(1, (end.max() - first.min()) // (end - first).max())
    seconds = ((time + step).max() - time.min()) / fitting
    places = np.floor((time - time.min()) / seconds).astype(int)
    return np.unique(places, return_inverse=True)[1], float(seconds)


def _runs(first, last):
    """int (intervals,): from 0 on in the order of time, the same for intervals that overlap, directly or not."""
    order = np.argsort(first, kind="stable")
    reached = np.maximum.accumulate(last[order])
    runs = np.zeros(len(first), int)
    runs[order[1:]] = np.cumsum(first[order][1:] > reached[:-1])
    return runs


def replicates(sums: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """(REPLICATES, numbers): sums over blocks drawn with replacement; None for too few blocks.

    Of two forecasts with the same blocks and seed the same blocks are drawn, so that their differences are paired.

    Args:
        sums: (blocks, numbers).
        seed: of the draws.
    """
    blocks = len(sums)
    if blocks < LEAST:
        return None
    draws = np.random.default_rng(seed).multinomial(blocks, [1 / blocks] * blocks, size=REPLICATES)
    return draws.astype("float64") @ sums


def interval(values: np.ndarray | None) -> tuple[float, float] | None:
    """The central interval of a score of replicates; None where it is not defined in all of them."""
    if values is None or not np.isfinite(values).all():
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
