"""What a served model answers to: names, shapes and types as plain data, and a function for each signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops, tree


@dataclass(frozen=True)
class Spec:
    """One input of a signature. A free batch axis comes first: a server makes batches of what several clients ask.

    Attributes:
        name: of the input.
        shape: without the batch axis; None where a size is free.
        dtype: for example "float32".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Signature:
    """One way to call a served model.

    Attributes:
        name: of the signature; "model" is the one that every model has.
        inputs: in the order of the function's arguments.
        outputs: names of what the function returns, in that order; the batch axis comes first in each.
        function: from tensors to a sequence of tensors.
    """

    name: str
    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    function: Callable[..., Sequence]


def whole(model: keras.Model, input_shape: tuple | dict) -> Signature:
    """`frames` (batch, *input_shape) to `output`, or to the model's `products`: all frames at once; of several inputs
    each by its name."""
    specs = specs_of(input_shape)

    def serve(*values):
        return output_values(model, model(_together(input_shape, values), training=False))

    return Signature("model", specs, output_names(model), serve)


def specs_of(shapes: tuple | dict, name: str = "frames") -> tuple[Spec, ...]:
    """A `Spec` for each input: of a dict by its name, else one of that name."""
    shapes = shapes if isinstance(shapes, dict) else {name: shapes}
    return tuple(Spec(name, tuple(shape)) for name, shape in shapes.items())


def streaming(model: Any, input_shape: tuple | dict) -> tuple[Signature, ...]:
    """One frame at a time, for a model with `step` and `initial_states`; () for one without a state, which sees single
    frames as it is. A server keeps nothing between calls, so the state goes in and out with each:

        step: `frame` (batch, height, width, channels), `state_0`, ... to `output` (or the model's `products`),
            `next_state_0`, ...
        initial_state: the first `frame` to `state_0`, ..., what is there before it; it goes to `step` after that.

    Of several inputs the frames have their names, and `initial_state` also takes those that hold for a whole sequence.

    Args:
        model: the model.
        input_shape: (time, height, width, channels), or a dict of the inputs' shapes; the time may be None.

    Raises:
        ValueError: if another size is not known.
    """
    several = isinstance(input_shape, dict)
    shapes: dict = input_shape if several else {"frame": tuple(input_shape)}
    context = getattr(model, "context", ()) if several else ()
    if any(None in (shape if name in context else shape[1:]) for name, shape in shapes.items()):
        raise ValueError(
            "The states of a served model have the size of its frames, which must be known. Received: "
            f"input_shape={input_shape}. Give signatures(input_shape=(time, height, width, channels))."
        )
    symbolic = {name: keras.KerasTensor((None, *shape)) for name, shape in shapes.items()}
    states = model.initial_states(symbolic if several else symbolic["frame"])
    if not states:
        return ()
    specs = tuple(Spec(f"state_{index}", tuple(state.shape[1:])) for index, state in enumerate(states))
    names = tuple(spec.name for spec in specs)
    frames = specs_of({name: shape[1:] for name, shape in shapes.items() if name not in context})

    def step(*values):
        given = [ops.cast(each, state.dtype) for each, state in zip(values[len(frames) :], states)]
        frame = dict(zip((spec.name for spec in frames), values)) if several else values[0]
        output, following = model.step(frame, given)
        return *output_values(model, output), *following

    def initial_state(*values):
        given = dict(zip(shapes, values))
        sequences = {
            name: value if name in context else ops.repeat(value[:, None], shapes[name][0] or 1, axis=1)
            for name, value in given.items()
        }
        return model.initial_states(sequences if several else sequences["frame"])

    outputs = output_names(model)
    before = specs_of({name: shape if name in context else shape[1:] for name, shape in shapes.items()})
    return (
        Signature("step", (*frames, *specs), (*outputs, *(f"next_{name}" for name in names)), step),
        Signature("initial_state", before, names, initial_state),
    )


def _together(shapes, values):
    """The inputs as the model is called with them."""
    return dict(zip(shapes, values)) if isinstance(shapes, dict) else values[0]


def output_names(model: Any) -> tuple[str, ...]:
    """Of a model's outputs: the keys of the dict that it returns, which it names as `products`; `output_0`, ... of a
    head at several scales; or one output."""
    scales = len(getattr(getattr(model, "head", None), "taps", ()))
    return tuple(getattr(model, "products", ())) or tuple(f"output_{index}" for index in range(scales)) or ("output",)


def output_values(model: Any, output: Any) -> tuple:
    """What a model returns, as one tensor for each of `output_names`."""
    products = getattr(model, "products", ())
    return tuple(output[name] for name in products) if products else tuple(tree.flatten(output))


def output_of(model: Any, values: Sequence) -> Any:
    """The inverse of `output_values`."""
    if getattr(model, "products", ()):
        return dict(zip(model.products, values))
    return list(values) if len(values) > 1 else values[0]
