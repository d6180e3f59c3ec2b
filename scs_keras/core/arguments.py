"""Checks that several files share: types of arguments, shapes of what a layer is called with."""

import difflib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

Tensor = Any  # of the backend, of NumPy or a keras.KerasTensor: Keras has no common type for them


def is_integer(value):
    """Whether `value` is an integer of Python or NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether `value` is an integer or a float of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_count(value):
    """Whether `value` is an integer of at least 1, Python's or NumPy's."""
    return is_integer(value) and value >= 1


def check_counts(**values):
    """Raises ValueError for the first argument, given by its name, that is no integer of at least 1."""
    for name, value in values.items():
        if not is_count(value):
            raise ValueError(f"`{name}` is a whole number of at least 1. Received: {name}={value!r}.")


MOST_NAMES = 20  # that a message lists


def check_known(kind: str, name: object, known: Iterable[str], listed: str = "") -> None:
    """Raises ValueError unless `name` is one of `known`; the message gives the nearest, if one is near, and all of
    them, if they are not too many.

    Args:
        kind: what is named, for example "preset".
        name: what was received.
        known: all names there are; upper and lower case are the same for "nearest".
        listed: sentence that says where they are, in place of more names than `MOST_NAMES`.
    """
    known = list(known)
    if name in known:
        return
    spelt = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(name).lower(), spelt, n=1)
    guess = f" Did you mean {spelt[near[0]]!r}?" if near else ""
    all_of_them = f"Allowed: {', '.join(known) or 'none'}."
    raise ValueError(
        f"There is no {kind} {name!r}.{guess} {listed if len(known) > MOST_NAMES and listed else all_of_them}"
    )


OWN_WAYS = {
    "stateful": "Hand the states on yourself: `initial_states=`, `return_states=True`, or `step`.",
    "return_state": "Call with return_states=True.",
    "return_sequences": "Take the last frame of what comes out, outputs[:, -1].",
    "activity_regularizer": "Penalise what comes out in the layer that takes it, or in the loss.",
}


def check_arguments(owner: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raises ValueError for the first name in `given` that is not among `allowed`; says what does it instead."""
    allowed = list(allowed)
    for name in given:
        if name not in allowed:
            raise ValueError(
                f"{owner} does not take the argument `{name}`. Allowed: {', '.join(allowed)}. Received: {name}=... "
                f"{OWN_WAYS.get(name, 'Leave it out.')}"
            )


def refuse_activity_regularizer(owner: str, given: Iterable[str]) -> None:
    """Raises ValueError if `activity_regularizer` is among the names: `owner` is run in ways that Keras cannot see."""
    if "activity_regularizer" in given:
        raise ValueError(
            f"{owner} cannot honour `activity_regularizer`: its outputs come from a loop over time, or from `run`. "
            "Received: activity_regularizer=... Give it to the layer around, such as keras.layers.RNN or SCS2D, "
            "or to a layer of the head."
        )


def check_main_stream(stream: str, reason: str) -> None:
    """Raises ValueError unless `stream` is "main"; `reason` says what has no sub-goal networks, a sentence."""
    if stream != "main":
        raise ValueError(
            f"{reason} Allowed: stream='main'. Received: stream={stream!r}. Compile the model without spatial_loss and "
            "temporal_loss."
        )


def python_number(value: Any) -> Any:
    """The same number as Python's int or float, which a config can hold; None stays None."""
    return value if value is None else int(value) if is_integer(value) else float(value)


def axes_of(rank):
    """Names of the axes of a frame with its batch and channels, and of a sequence of such frames."""
    size = ("height", "width", "depth")[:rank] if rank > 1 else ("length",)[:rank]
    return [f"({', '.join(('batch', *time, *size, 'channels'))})" for time in ((), ("time",))]


def check_batch(shape, layer):
    """Raises ValueError if the first axis of `shape` is known to be 0."""
    if tuple(shape)[:1] == (0,):
        raise ValueError(
            f"{layer} takes at least one sequence. Received: an empty batch, shape={tuple(shape)}. Leave empty batches "
            "out, for example by drop_remainder=True."
        )


def check_sequence(shape, layer, channels=None, rank=2):
    """`shape` of a sequence as a tuple, its unknown axes None.

    Args:
        shape: of what the layer was called with.
        layer: its name in the message.
        channels: what it was built for; None if it is not built.
        rank: axes of a frame's size; 2 for images.

    Raises:
        ValueError: if there are not `rank` + 3 axes, no sequence, no time step, or other channels.
    """
    shape, axes = tuple(shape), rank + 3
    if len(shape) != axes:
        raise ValueError(
            f"{layer} takes sequences {'of images ' if rank == 2 else ''}with {axes} axes {axes_of(rank)[1]}. "
            f"Received: shape={shape}. Add a channel axis with x[..., None], or a time axis with x[:, None]."
        )
    check_batch(shape, layer)
    if shape[1] == 0:
        raise ValueError(f"{layer} takes sequences of at least one time step. Received: shape={shape}.")
    check_channels(shape, layer, channels)
    return shape


def check_channels(shape, layer, channels):
    """Raises ValueError if the last axis of `shape` is known to be another than `channels`, if that is known."""
    if channels is not None and shape[-1] is not None and shape[-1] != channels:
        raise ValueError(
            f"{layer} was built for inputs with {channels} channels, the last axis. "
            f"Received: shape={shape}. Make another layer for inputs of {shape[-1]} channels."
        )


def as_gate(gate, shape):
    """`gate` with the given shape; axes of size 1 are repeated.

    Args:
        gate: tensor.
        shape: (batch, *output frame, filters), integers or, where unknown, scalar tensors or None.

    Raises:
        ValueError: if the known axes differ.
    """
    found, wanted = tuple(gate.shape), tuple(size if isinstance(size, int) else None for size in shape)
    fits = len(found) == len(wanted) and all(
        have in (None, 1) or want in (None, have) for have, want in zip(found, wanted)
    )
    if not fits:
        raise ValueError(
            "A gate, the state of a semi-coupled layer, has the shape of the layer's output for one frame, "
            f"{wanted}. Received: a state of shape={found}. Leave the initial state out to start from "
            "`initial_gate`, or take the one that an earlier call returned."
        )
    from keras import ops  # here, so that the zoo's records and the command line can use the rest without Keras

    repeated = any(have == 1 and want != 1 for have, want in zip(found, wanted))
    return ops.broadcast_to(gate, shape) if repeated else gate
