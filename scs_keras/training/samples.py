"""Samples: what every reader of data gives, and the stream of training batches that is made of them."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scs_keras.core.arguments import is_count, is_integer


class Samples(Protocol):
    """A part of a data set, read and checked when it is made.

    It may say with `file_names` the names of those that it is from, see `files_of`, and with `notes` what of the files
    was changed or left out, see `notes_of`, and with `left_out` which broken ones, see `left_out_of`.

    Attributes:
        name: of the data, for tables and messages.
        labels: names of the classes; () where there are none.
    """

    name: str
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Number of evaluation samples."""
        ...

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        """(x, y, weight): an evaluation sample without a batch axis, cut to the preset's lengths; x never holds what is
        to be predicted. weight is None where all counts alike."""
        ...

    def about(self, index: int) -> Mapping[str, Any]:
        """What is known of a sample: "name", "group" (what it shares with related ones: file, event, recording), and
        whatever else the task's scores and predictors use."""
        ...

    def batch(self, step: int, size: int, seed: int) -> Any:
        """The training draw of a step, a function of the arguments alone: arrays, or any structure of them."""
        ...


def files_of(samples: Samples) -> list[str]:
    """Names of the files that samples are from; [] for samples that do not say."""
    return list(getattr(samples, "file_names", ()))


def notes_of(samples: Samples) -> list[str]:
    """Sentences on what was cut out, changed or left out of the files; [] for samples that do not say."""
    return list(getattr(samples, "notes", ()))


def left_out_of(samples: Samples) -> list[tuple[Path, str]]:
    """(file, reason) of broken files that were left out because the user said so; [] for samples that do not say."""
    return list(getattr(samples, "left_out", ()))


def training_dataset(samples: Samples, size: int, seed: int = 0, start_step: int = 0) -> Any:
    """The endless stream of training batches from `start_step` on: a `tf.data.Dataset`, on JAX a generator.

    Structure, shapes and dtypes are those of one batch.

    Raises:
        ValueError: for a batch size below 1, or a negative seed or step.
    """
    if not is_count(size) or not all(is_integer(each) and each >= 0 for each in (seed, start_step)):
        raise ValueError(
            "batch_size must be at least 1, seed and start_step at least 0. "
            f"Received: batch_size={size}, seed={seed}, start_step={start_step}."
        )
    import keras

    def draw(step: int) -> Any:
        return samples.batch(step, size, seed)

    if keras.backend.backend() != "tensorflow":
        return _ahead(draw, start_step)
    from scs_keras.training.step_dataset import step_dataset

    return step_dataset(draw, start_step)


def _ahead(draw: Callable[[int], Any], step: int, count: int = 2) -> Iterator[Any]:
    """draw(step), draw(step + 1), ... in this order; `count` of them are made while the one before is used."""
    with ThreadPoolExecutor(count) as threads:
        coming = deque(threads.submit(draw, step + place) for place in range(count))
        while True:
            made, step = coming.popleft().result(), step + 1
            coming.append(threads.submit(draw, step + count - 1))
            yield made


def spread(size: int, count: int | None = None) -> list[int]:
    """`count` indices below `size`, evenly spread; all of them for None or a count of `size` and more.

    Raises:
        ValueError: for a count below 1.
    """
    if count is None or count >= size:
        return list(range(size))
    if count < 1:
        raise ValueError(f"The number of samples must be at least 1. Received: {count}.")
    return [int(index) for index in np.linspace(0, size - 1, count)]


def shuffled(size: int, start: int, count: int, seed: int) -> list[int]:
    """`count` indices from place `start` on in an endless sequence of permutations of range(size)."""
    places = range(start, start + count)
    return [int(_permutation(size, seed, place // size)[place % size]) for place in places]


@functools.lru_cache(maxsize=4)
def _permutation(size: int, seed: int, number: int) -> np.ndarray:
    return np.random.default_rng((seed, number)).permutation(size)
