"""Several files at a time."""

import atexit
import functools
import os
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any


def in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """[function(item) for each item], several at a time."""
    return _threads().map(function, items, chunksize=1)


@functools.cache
def _threads() -> ThreadPool:
    """Not concurrent.futures', which refuse work as soon as Python exits, when batches are still made ahead."""
    pool = ThreadPool(min(8, os.cpu_count() or 1))
    atexit.register(pool.terminate)  # after what `step_dataset` registers later
    return pool
