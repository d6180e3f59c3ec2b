"""What a client sends and receives: the type and shape of each value, cast where nothing is lost, else refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NUMPY = {  # of TensorFlow's types; strings are Python objects
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
    "DT_UINT8": "uint8",
    "DT_UINT16": "uint16",
    "DT_UINT32": "uint32",
    "DT_UINT64": "uint64",
    "DT_INT8": "int8",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_BOOL": "bool",
    "DT_STRING": "object",
}


Arrays = dict[str, np.ndarray]  # by name of the input or output


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature, as the server's metadata tell it.

    Attributes:
        dtype: NumPy's name; "object" of strings.
        shape: with the batch axis; None where a size is free, and instead of the tuple where the rank is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """One way to call a served model: {name: `Tensor`} of what goes in and what comes out."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def batch_of(values: Mapping[str, Any], signature: Signature) -> tuple[dict[str, np.ndarray], bool]:
    """What is sent for the values of a call, and whether the batch axis was missing and has been put before them.

    Raises:
        ValueError: values of other names, of a type that would not fit without loss, or of another shape.
    """
    if set(values) != set(signature.inputs):
        raise ValueError(
            f"The inputs are {', '.join(signature.inputs)}. Received: {', '.join(map(str, values)) or 'none'}."
        )
    made = {name: _array(name, value, signature.inputs[name]) for name, value in values.items()}
    ranks = {name: each.shape for name, each in signature.inputs.items() if each.shape is not None}
    single = bool(ranks) and all(made[name].ndim == len(shape) - 1 for name, shape in ranks.items())
    if single:
        made = {name: each[None] for name, each in made.items()}
    for name, shape in ranks.items():
        _check_shape(name, made[name].shape, shape)
    return made, single


def text_of(name: str, strings: np.ndarray) -> np.ndarray:
    """Strings of an output as `str`; as they are where the name says that they are bytes."""
    if name.endswith("_bytes"):
        return strings
    texts = [each.decode() if isinstance(each, bytes) else each for each in strings.ravel()]
    return _objects(texts).reshape(strings.shape)


def _objects(values: Sequence) -> np.ndarray:
    made = np.empty(len(values), object)
    made[:] = values
    return made


def _array(name, value, expected):
    if expected.dtype == "object":
        return _strings(name, value)
    try:
        given = np.asarray(value)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{name} must be an array of {expected.dtype}. Received: {error}.") from error
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, {expected.dtype}. Received: {given.dtype}.")
    with np.errstate(over="ignore", invalid="ignore"):
        made = given.astype(expected.dtype)
    if made.dtype != given.dtype and not _same(made, given):
        bounds = f"from {given.min():g} to {given.max():g}"
        raise ValueError(
            f"{name} must fit {expected.dtype}. Received: {given.dtype} {bounds}. "
            f"Type, for example of values in [0, 1]: (255 * {name}).round().astype('uint8')."
        )
    return made


def _same(made, given):
    """Whether a cast kept the values, as far as floating point does."""
    if made.dtype.kind == "f":
        return bool(np.array_equal(np.isfinite(made), np.isfinite(given)))
    if given.dtype.kind == "f" or made.dtype.kind == "b":
        return False  # pixels in [0, 1] would all become 0
    return bool((made == given).all())


def _strings(name, value):
    """An array of bytes; lists of them are one axis each, and their own bytes none."""
    shape, flat = [], [value]
    while isinstance(flat[0], list | tuple | np.ndarray):
        sizes = {len(each) if isinstance(each, list | tuple | np.ndarray) else -1 for each in flat}
        if len(sizes) != 1 or not min(sizes):
            raise ValueError(f"{name} must be lists of one length. Received lengths: {sorted(sizes)}.")
        shape.append(sizes.pop())
        flat = [inner for each in flat for inner in each]
    wrong = next((each for each in flat if not isinstance(each, bytes | str)), None)
    if wrong is not None:
        raise ValueError(f"{name} must be bytes, for example of JPEG files. Received: {type(wrong).__name__}.")
    return _objects([each.encode() if isinstance(each, str) else each for each in flat]).reshape(shape)


def _check_shape(name, received, expected):
    fits = len(received) == len(expected) and all(
        size in (None, given) for given, size in zip(received, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must have the shape {_shown(expected)}, with or without the batch. Received: {_shown(received)}."
        )


def _shown(shape):
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
