"""A Python function of the training step as an infinite tf.data.Dataset."""

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def step_dataset(batch: Callable[[int], Any], start_step: int = 0, num_parallel_calls: int = 2):
    """The infinite `tf.data.Dataset` of batch(start_step), batch(start_step + 1), ..., in this order, made ahead.

    Args:
        batch: from a step to an array or a structure of arrays (tuples, dicts), always of the same shapes and dtypes;
            must depend on nothing but the step, several run at once.
        start_step: of the first batch.
        num_parallel_calls: batches that are made at a time.
    """
    import keras
    import tensorflow as tf

    first = keras.tree.map_structure(np.asarray, batch(start_step))
    like = keras.tree.flatten(first)

    def made(step):
        return [np.asarray(part) for part in keras.tree.flatten(batch(int(step)))]

    call = _stop_at_exit(made, lambda step: [np.zeros_like(part) for part in like])

    def tensors(step):
        parts = tf.numpy_function(call, [step], [part.dtype for part in like])
        parts = [tf.ensure_shape(part, array.shape) for part, array in zip(parts, like)]
        return keras.tree.pack_sequence_as(first, parts)

    steps = tf.data.Dataset.range(start_step, np.iinfo("int64").max)
    return steps.map(tensors, num_parallel_calls=num_parallel_calls, deterministic=True).prefetch(2)


def _stop_at_exit(function: Callable, stand_in: Callable) -> Callable:
    """`function`, until Python exits: then `stand_in`.

    TensorFlow calls Python from threads of its own. When Python exits while such a call runs and a dataset's iterator
    is still alive, the iterator waits for the call and the call for the interpreter, forever. So the exit first lets
    tf.data fill its (bounded) buffers with stand-ins, which nobody reads.
    """
    lock, state = threading.Lock(), {"exiting": False, "running": 0, "finished": 0}

    def call(*arguments):
        with lock:
            state["running"] += 1
        try:
            return stand_in(*arguments) if state["exiting"] else function(*arguments)
        finally:
            with lock:
                state["running"] -= 1
                state["finished"] += 1

    def wait_for_calls():
        state["exiting"] = True
        finished = -1
        while state["running"] or finished != state["finished"]:
            finished = state["finished"]
            time.sleep(0.02)

    atexit.register(wait_for_calls)
    return call
