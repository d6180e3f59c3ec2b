"""JSON values to arrays, with the checks and messages of TF Serving.

Reference: tensorflow_serving/util/json_tensor.cc, FillTensorProto.
"""

import base64
import binascii
import itertools
import json
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import ServingError, invalid, too_large
from scs_keras.serving.server.tensors import check_count

SHOWN = 512  # characters of a value in a message; TF Serving shows all of it
INTEGERS = {"int8": 32, "int16": 32, "uint8": 32, "int32": 32, "int64": 64, "uint32": 32, "uint64": 64}  # bits read
FLOATS = ("float", "double")
NUMPY = {"float": "float32", "double": "float64"} | {name: name for name in (*INTEGERS, "bool")}
AXES = 64  # most of an array of NumPy

_encoder = json.JSONEncoder(indent=4, ensure_ascii=False)  # writes part by part, so that a message can end early


def is_b64(value: Any) -> bool:
    """Whether a value is bytes: {"b64": text}."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def array_of(value: Any, dtype: str, max_values: int) -> np.ndarray:
    """A JSON value as an array; the first items say which shape the others have to have.

    Args:
        value: as JSON was read.
        dtype: TensorFlow's name of a type.
        max_values: more are refused.

    Raises:
        ServingError: INVALID_ARGUMENT, UNIMPLEMENTED for a type that JSON does not have.
    """
    fast = numbers_of(value, dtype, max_values)
    if fast is not None:
        return fast
    shape = _shape(value)
    if len(shape) > AXES:
        raise too_large(f"A tensor has {len(shape)} axes; this server takes {AXES}.")
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    check_count(len(flat), max_values)
    array = np.empty(len(flat), object)
    array[:] = flat
    with np.errstate(over="ignore"):
        return (array if dtype == "string" else array.astype(NUMPY[dtype])).reshape(shape)


def numbers_of(value: Any, dtype: str, max_values: int) -> np.ndarray | None:
    """The array of a regular list of numbers of the right kind; None for anything else, which needs the slow way."""
    if not isinstance(value, list) or dtype not in NUMPY or dtype == "bool":
        return None
    shape, items = [], [value]
    while (kinds := set(map(type, items))) == {list}:
        sizes = set(map(len, items))
        if len(sizes) > 1:
            return None
        shape += sizes
        items = list(itertools.chain.from_iterable(items))
    if not kinds <= ({int, float} if dtype in FLOATS else {int}):
        return None
    check_count(len(items), max_values)
    if len(shape) > AXES or dtype in INTEGERS and items and not _in_range(items, np.iinfo(dtype)):
        return None
    with np.errstate(over="ignore"):  # too large for float32: infinite, as there
        return np.array(items, np.float64 if dtype in FLOATS else dtype).astype(NUMPY[dtype]).reshape(shape)


def _in_range(items, limits):
    return limits.min <= min(items) and max(items) <= limits.max


def _shape(value):
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _fill(value, level, shape, dtype, flat):
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(_value(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for each in value:
        _fill(each, level + 1, shape, dtype, flat)


def _value(value, dtype):
    """One value, checked for its type."""
    if isinstance(value, dict) and dtype != "string":
        raise _wrong_type(value, dtype)
    if dtype == "string":
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        if isinstance(value, dict):
            return _decoded(value)
        raise _wrong_type(value, dtype)
    if dtype == "bool" and isinstance(value, bool):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype in FLOATS and number:
        return value
    if dtype in INTEGERS and number and isinstance(value, int):
        return _integer(value, dtype)
    if dtype in FLOATS or dtype in INTEGERS or dtype == "bool":
        raise _wrong_type(value, dtype)
    raise ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {shown(value)} to type: {dtype}")


def _integer(value, dtype):
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        read = 2 ** (INTEGERS[dtype] - 1)
        if not dtype.startswith("uint") or dtype == "uint8":
            beyond = not -read <= value < read
        else:
            beyond = True
        if beyond:
            raise _wrong_type(value, dtype)
        raise invalid(
            f"JSON Value: {value} is out of the range of {dtype}: {limits.min} to {limits.max}. "
            "TF Serving would wrap it around."
        )
    return value


def _decoded(value):
    if not is_b64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    try:
        padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
        return base64.b64decode(text + padding, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def _wrong_type(value, dtype):
    return invalid(f"JSON Value: {shown(value)} Type: {kind_of(value)} is not of expected type: {dtype}")


def kind_of(value: Any) -> str:
    """RapidJSON's name of the kind of a value."""
    kinds = {bool: str(value), dict: "Object", list: "Array", str: "String", type(None): "Null"}
    return kinds.get(type(value), "Number")


def shown(value: Any) -> str:
    """A value as RapidJSON's pretty writer shows it, but not more than `SHOWN` characters of it."""
    text = ""
    for part in _encoder.iterencode(value):
        text += part
        if len(text) > SHOWN:
            return f"{text[:SHOWN]}..."
    return text
