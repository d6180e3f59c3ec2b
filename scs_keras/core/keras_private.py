"""All that this package uses of Keras and Keras does not promise to keep. No other file names it.

One test each in tests/test_keras_private.py: it fails when Keras changes what is used here, and where that is a
work-around, as soon as Keras does it by itself.
"""

from collections.abc import Callable
from typing import Any

import keras


def rnn_loop(step: Callable, sequences: tuple, states: list, length: int) -> tuple[Any, list]:
    """The loop of `keras.layers.RNN` on time-major tensors, for every backend: (outputs, final states).

    Args:
        step: function of a tuple with one time step of each sequence, and the states, to (output, states).
        sequences: tensors (time, batch, ...).
        states: before the first step.
        length: number of steps, or an upper bound where it is not known: the loop ends with the sequence.
    """
    from keras.src.backend import rnn

    _, outputs, states = rnn(step, sequences, states, input_length=length, time_major=True)
    return outputs, states


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The model and all layers in it, at any depth; the public `model.layers` holds the outermost."""
    return list(model._flatten_layers())


def set_layer(model: keras.Model, name: str, layer: keras.Layer | None) -> None:
    """Sets or replaces a sub-layer, also on a model that is built, where Keras forbids new ones."""
    locked = model._tracker.locked
    model._tracker.unlock()
    previous = getattr(model, name, None)
    if previous in model._layers:
        model._layers.remove(previous)
    setattr(model, name, layer)
    if locked:
        model._tracker.lock()


def loss_tracker(model: keras.Model) -> keras.metrics.Metric:
    """The metric behind `loss` in the logs of a compiled model."""
    return model._loss_tracker


def make_function(model: keras.Model, step: Callable) -> Callable:
    """What Keras makes of a train step on TensorFlow: a function of an iterator, compiled and for every replica."""
    return model._make_function(step)


def forget_functions(model: keras.Model) -> None:
    """What Keras has compiled for `fit`, `evaluate` and `predict` is made anew at the next call."""
    model.train_function = model.test_function = model.predict_function = None


def serialize_shared(layer: keras.Layer | None) -> dict | None:
    """Config of a layer that several others may share, so that they share one again after loading.

    Keras marks an object as shared only from its second use on and loses that mark on the copy of
    the first; here every use carries it.
    """
    if layer is None:
        return None
    return {**keras.saving.serialize_keras_object(layer), "shared_object_id": id(layer)}
