"""Where a training runs: one device, or several with `tf.distribute`; the same code for both."""

import contextlib
import json
import os

STRATEGIES = ("one", "mirrored")


def check_strategy(name: str) -> None:
    """Raises ValueError unless it is one of STRATEGIES that the backend has."""
    if name not in STRATEGIES:
        raise ValueError(f"The strategy must be one of {STRATEGIES}. Received: {name!r}.")
    if name == "one":
        return
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{name!r} needs TensorFlow. Received: backend {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )


def strategy_scope(name: str) -> contextlib.AbstractContextManager:
    """Context in which to build and compile the model.

    Args:
        name: "one" for one device, "mirrored" for all devices of this machine (TensorFlow only).

    Raises:
        ValueError: for another name, or "mirrored" without TensorFlow.
    """
    check_strategy(name)
    if name == "one":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy().scope()


def is_chief() -> bool:
    """Whether this process is the one that writes: alone, or the chief of the workers that TF_CONFIG lists."""
    config = json.loads(os.environ.get("TF_CONFIG", "") or "{}")
    mine = config.get("task", {})
    first = "chief" if "chief" in config.get("cluster", {}) else "worker"
    return not mine or (mine.get("type"), mine.get("index")) == (first, 0)
