"""Where a training runs: one device, or several with `tf.distribute`; the same code for both."""

import contextlib

STRATEGIES = ("one", "mirrored")


def strategy_scope(name):
    """Context in which to build and compile the model.

    Args:
        name: "one" for one device, "mirrored" for all devices of this machine (TensorFlow only).

    Raises:
        ValueError: for another name, or "mirrored" without TensorFlow.
    """
    if name not in STRATEGIES:
        raise ValueError(f"The strategy must be one of {STRATEGIES}. Received: {name!r}.")
    if name == "one":
        return contextlib.nullcontext()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"'mirrored' needs TensorFlow. Received: backend {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    return tf.distribute.MirroredStrategy().scope()
