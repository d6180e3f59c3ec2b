"""What a served model answers to: names, shapes and types as plain data, and a function for each signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from scs_keras.core.states import Shape


@dataclass(frozen=True)
class Spec:
    """One input of a signature.

    Attributes:
        name: of the input.
        shape: without the batch axis; None where a size is free.
        dtype: for example "float32".
        batched: whether there is a batch axis, which is free.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    batched: bool = True


@dataclass(frozen=True)
class Signature:
    """One way to call a served model.

    Attributes:
        name: of the signature; "serving_default" is the one that every model has.
        inputs: in the order of the function's arguments.
        outputs: names of what the function returns, in that order.
        function: from tensors to a sequence of tensors.
    """

    name: str
    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    function: Callable[..., Sequence]


def whole(model: keras.Model, input_shape: tuple) -> Signature:
    """`frames` (batch, *input_shape) to `output`, or to the model's `products`: all frames at once."""
    frames = Spec("frames", tuple(input_shape))
    return Signature(
        "serving_default", (frames,), _names(model), lambda frames: _values(model, model(frames, training=False))
    )


def streaming(model: Any, input_shape: tuple) -> tuple[Signature, Signature]:
    """One frame at a time, for a model with `step` and `initial_states`. A server keeps nothing between calls, so
    the state goes in and out with each:

        step: `frame` (batch, height, width, channels), `state_0`, ... to `output` (or the model's `products`),
            `next_state_0`, ...
        initial_state: `batch_size` (scalar int32) to `state_0`, ...

    Args:
        model: the model.
        input_shape: (time, height, width, channels); the time may be None.

    Raises:
        ValueError: if another size is not known.
    """
    if None in input_shape[1:]:
        raise ValueError(
            "The states of a served model have the size of its frames, which must be known. Received: "
            f"input_shape={tuple(input_shape)}. Give signatures(input_shape=(time, height, width, channels))."
        )
    states = model.initial_states(keras.KerasTensor((None, *input_shape)))
    specs = tuple(Spec(f"state_{index}", tuple(state.shape[1:])) for index, state in enumerate(states))
    names = tuple(spec.name for spec in specs)

    def step(frame, *given):
        output, following = model.step(frame, [ops.cast(each, state.dtype) for each, state in zip(given, states)])
        return *_values(model, output), *following

    def initial_state(batch_size):
        return model.initial_states(Shape((batch_size, *input_shape)))

    return (
        Signature(
            "step",
            (Spec("frame", tuple(input_shape[1:])), *specs),
            (*_names(model), *(f"next_{name}" for name in names)),
            step,
        ),
        Signature("initial_state", (Spec("batch_size", (), "int32", batched=False),), names, initial_state),
    )


def _names(model):
    """Of a model's outputs: the keys of the dict that it returns, which it names as `products`, or one output."""
    return tuple(getattr(model, "products", ())) or ("output",)


def _values(model, output):
    products = getattr(model, "products", ())
    return tuple(output[name] for name in products) if products else (output,)
