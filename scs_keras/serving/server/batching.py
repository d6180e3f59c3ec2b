"""Requests to one signature with rows of one shape are computed together, while others compute.

No request waits for company: what has come while all threads were busy makes the next batch.
"""

import asyncio
import collections
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.loaded import Call, Loaded

Outputs = list[np.ndarray]


@dataclass
class _Task:
    loaded: Loaded
    call: Call
    answer: "asyncio.Future[Outputs]"
    key: Any  # of what it may be computed together with; None: of nothing
    rows: int


class Batcher:
    """The queue before the threads in which TensorFlow runs. All methods belong to one event loop."""

    def __init__(self, threads: int, max_batch_size: int, max_queue: int):
        self._pool = ThreadPoolExecutor(threads, "tensorflow")
        self._idle = threads
        self._max_batch_size, self._max_queue = max_batch_size, max_queue
        self._waiting: collections.deque[_Task] = collections.deque()
        self._running: set[asyncio.Task] = set()

    def close(self) -> None:
        """Ends the threads when they have computed what they compute."""
        self._pool.shutdown(wait=False)

    async def in_thread(self, function: Callable, *arguments: Any) -> Any:
        """What a function returns that must not hold the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def submit(self, loaded: Loaded, call: Call) -> Outputs:
        """The outputs of a call.

        Raises:
            ServingError: RESOURCE_EXHAUSTED when too many wait; otherwise what the call itself is refused with.
        """
        if len(self._waiting) >= self._max_queue:
            raise ServingError(
                "RESOURCE_EXHAUSTED",
                f"The batch scheduling queue to which this task was submitted is full; {self._max_queue} wait.",
            )
        task = _Task(loaded, call, asyncio.get_running_loop().create_future(), *self._key(loaded, call))
        self._waiting.append(task)
        self._start()
        return await task.answer

    def _key(self, loaded, call):
        """What requests have to share, and the number of rows."""
        if self._max_batch_size < 2 or not loaded.takes_batches(call.signature):
            return None, 1
        sizes = {array.shape[:1] for array in call.arrays}
        if len(sizes) > 1 or () in sizes or (0,) in sizes:
            return None, 1
        return (loaded, call.signature, call.outputs, *(array.shape[1:] for array in call.arrays)), sizes.pop()[0]

    def _start(self):
        """Gives idle threads what waits; requests whose client has gone are left out."""
        while self._idle and self._waiting:
            batch = self._next()
            if batch:
                self._idle -= 1
                running = asyncio.get_running_loop().create_task(self._compute(batch))
                self._running.add(running)
                running.add_done_callback(self._running.discard)

    def _next(self):
        batch, kept, rows = [], [], 0
        for task in self._waiting:
            if task.answer.done():
                continue
            fits = not batch or (
                task.key is not None and task.key == batch[0].key and rows + task.rows <= self._max_batch_size
            )
            if fits:
                batch.append(task)
                rows += task.rows
            else:
                kept.append(task)
        self._waiting = collections.deque(kept)
        return batch

    async def _compute(self, batch):
        try:
            with batch[0].loaded.held():  # also when all clients have gone
                made = await self.in_thread(_computed, batch)
        except BaseException as error:  # whatever it is, the waiting requests have to hear of it
            made = [error] * len(batch)
        finally:
            self._idle += 1
            self._start()
        for task, outputs in zip(batch, made):
            if task.answer.done():
                continue
            if isinstance(outputs, BaseException):
                task.answer.set_exception(outputs)
            else:
                task.answer.set_result(outputs)


def _computed(batch):
    """The outputs of each task, or the error of each: one that fails is computed alone, and so harms no other."""
    if len(batch) > 1:
        together = _together(batch)
        if together is not None:
            return together
    return [_alone(task) for task in batch]


def _alone(task):
    try:
        return task.loaded.run(task.call.signature, task.call.outputs, task.call.arrays)
    except ServingError as error:
        return error.without_frames()
    except Exception as error:
        return error


def _together(batch):
    """The outputs of each task from one call; None if it failed or gave outputs without a row for each row."""
    first = batch[0]
    arrays = [np.concatenate(each) for each in zip(*(task.call.arrays for task in batch))]
    try:
        outputs = first.loaded.run(first.call.signature, first.call.outputs, arrays)
    except ServingError:
        return None
    ends = np.cumsum([task.rows for task in batch])
    if any(output.ndim == 0 or len(output) != ends[-1] for output in outputs):
        return None
    parts = [np.split(output, ends[:-1]) for output in outputs]
    return [list(each) for each in zip(*parts)]
