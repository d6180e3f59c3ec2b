"""What TF Serving reads from the JSON of a REST request, with its order of checks and its messages.

The text is read by RapidJSON, as there. Reference: tensorflow_serving/util/json_tensor.cc.
"""

import base64
import binascii
import codecs
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rapidjson

from scs_keras.serving.server.errors import ServingError, invalid, too_large
from scs_keras.serving.server.tensors import check_count

NUMBERS = rapidjson.NM_NAN | rapidjson.NM_NATIVE
NESTING = 1000  # levels that can be read
SHOWN = 512  # characters of a value in a message; TF Serving shows all of it
INTEGERS = {"int8": 32, "int16": 32, "uint8": 32, "int32": 32, "int64": 64, "uint32": 32, "uint64": 64}  # bits read
FLOATS = ("float", "double")
NUMPY = {"float": "float32", "double": "float64"} | {name: name for name in (*INTEGERS, "bool")}
AXES = 64  # most of an array of NumPy


class _FirstOfAKey(rapidjson.Decoder):
    """Of a key that is there twice the first counts, as in RapidJSON itself."""

    def start_object(self):
        return []

    def end_object(self, pairs):
        found: dict[str, Any] = {}
        for key, value in pairs:
            found.setdefault(key, value)
        return found


_decoder = _FirstOfAKey(number_mode=NUMBERS)
_encoder = json.JSONEncoder(indent=4, ensure_ascii=False)  # writes part by part, so that a message can end early
sys.setrecursionlimit(max(sys.getrecursionlimit(), NESTING + 200))


def parse(body: bytes) -> dict[str, Any]:
    """The object of a body; what follows it is ignored.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = _first_value(body.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid encoding in string. at offset: {error.start}") from None
    except RecursionError:
        raise invalid(f"JSON Parse error: this server takes {NESTING} levels of nesting.") from None
    except rapidjson.JSONDecodeError as error:
        offset, reason = _parts(error)
        raise invalid(f"JSON Parse error: {reason} at offset: {offset}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def _first_value(body):
    try:
        return _decoder(body)
    except rapidjson.JSONDecodeError as error:
        offset, reason = _parts(error)
        if "must not be followed by other values" not in reason:
            raise
        return _decoder(body[:offset])


def _parts(error):
    """Offset and reason of 'Parse error at offset 3: Invalid value.'"""
    head, _, reason = str(error).partition(": ")
    return int(head.rsplit(" ", 1)[1]), reason


def signature_of(document: Mapping[str, Any]) -> str:
    """The `signature_name`; "" where there is none."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


@dataclass(frozen=True)
class Inputs:
    """Arrays of a request, and whether they came as rows (`instances`) or columns (`inputs`)."""

    arrays: dict[str, np.ndarray]
    rows: bool


def inputs_of(document: Mapping[str, Any], dtypes: Mapping[str, str], max_values: int) -> Inputs:
    """The tensors of a document.

    Args:
        document: of `parse`.
        dtypes: {input of the signature: TensorFlow's name of its type}, not empty.
        max_values: more are refused.
    """
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if columns:
        return Inputs(_columns(document["inputs"], dtypes, max_values), False)
    if not rows:
        raise invalid("Missing 'inputs' or 'instances' key")
    if not isinstance(document["instances"], list):
        raise invalid(f"JSON Value: {shown(document)} Excepting 'instances' to be an list/array")
    if not document["instances"]:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    return Inputs(_rows(document["instances"], dtypes, max_values), True)


def _is_b64(value):
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _columns(value, dtypes, max_values):
    names = sorted(dtypes)
    if isinstance(value, dict) and not _is_b64(value):
        for name in names:
            if name not in value:
                raise invalid(f"Missing named input: {name} in 'inputs' object.")
        given = {name: value[name] for name in names}
    elif len(dtypes) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    else:
        given = {names[0]: value}
    return {name: _array(each, dtypes[name], max_values) for name, each in given.items()}


def _rows(instances, dtypes, max_values):
    names = sorted(dtypes)
    first = instances[0]
    if not isinstance(first, dict) and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not isinstance(first, dict) or _is_b64(first):
        fast = _of_numbers(instances, dtypes[names[0]], max_values)
        return {names[0]: _plain_rows(instances, dtypes[names[0]], max_values) if fast is None else fast}
    return _object_rows(instances, dtypes, names, max_values)


def _plain_rows(instances, dtype, max_values):
    column = _Column(dtype, max_values)
    for index, item in enumerate(instances):
        if isinstance(item, dict) and not _is_b64(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        with _failing(f"Failed to process element: {index} of 'instances' list."):
            column.add(item)
    return column.array()


def _object_rows(instances, dtypes, names, max_values):
    columns = {name: _Column(dtypes[name], max_values) for name in names}
    for index, item in enumerate(instances):
        if not isinstance(item, dict) or _is_b64(item):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for name, value in item.items():
            with _failing(f"Failed to process element: {index} key: {name} of 'instances' list."):
                if name not in columns:
                    raise invalid(f"JSON object: does not have named input: {name}")
                columns[name].add(value)
        if set(item) != set(names):
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(item)} must only have "
                f"keys: {','.join(names)}"
            )
    return {name: column.array() for name, column in columns.items()}


class _failing:
    """Inside, an error says where it happened."""

    def __init__(self, where):
        self.where = where

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, ServingError) and error.status != 413:
            raise invalid(f"{self.where} Error: {error.code}: {error.message}") from None


class _Column:
    """Items of one shape, stacked."""

    def __init__(self, dtype, max_values):
        self.dtype, self.max_values = dtype, max_values
        self.items, self.shape, self.values = [], None, 0

    def add(self, item):
        array = _array(item, self.dtype, self.max_values)
        if self.shape is not None and array.size != self.items[0].size:
            raise invalid(f"Expecting tensor size: {self.items[0].size} but got: {array.size}")
        if self.shape is not None and array.shape != self.shape:
            raise invalid(f"Expecting shape {_listed(self.shape)} but got: {_listed(array.shape)}")
        self.shape = array.shape
        self.values += array.size
        check_count(self.values, self.max_values)
        self.items.append(array)

    def array(self):
        return np.stack(self.items)


def _listed(shape):
    return f"[{','.join(map(str, shape))}]"


# Values -------------------------------------------------------------------------------------------------------------


def _array(value, dtype, max_values):
    """A JSON value as an array; the first items say which shape the others have to have."""
    fast = _of_numbers(value, dtype, max_values)
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


def _of_numbers(value, dtype, max_values):
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
    if not _is_b64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    try:
        padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
        return base64.b64decode(text + padding, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def _wrong_type(value, dtype):
    return invalid(f"JSON Value: {shown(value)} Type: {_kind(value)} is not of expected type: {dtype}")


def _kind(value):
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


def check_examples(document: Mapping[str, Any]) -> None:
    """Raises INVALID_ARGUMENT unless `examples`, and `context` if there is one, are of objects: classify, regress."""
    if "context" in document:
        _check_example(document["context"])
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    if not isinstance(document["examples"], list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not document["examples"]:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    for example in document["examples"]:
        _check_example(example)


def _check_example(example):
    if not isinstance(example, dict):
        raise invalid(f"Example must be JSON object but got JSON {_kind(example)}")
    for name, content in example.items():
        expected = None
        for value in content if isinstance(content, list) else [content]:
            found = _feature(value)
            if found is None:
                raise invalid(f"Feature: {name} has element with unexpected JSON type: {_kind(value)}")
            expected = expected or found
            if found != expected:
                raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")


def _feature(value):
    """The kind of list in which a value goes into a tf.Example."""
    if isinstance(value, str) or _is_b64(value):
        return "bytes"
    return {bool: "int64", int: "int64", float: "float"}.get(type(value))
