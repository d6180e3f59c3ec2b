"""What TF Serving reads from the JSON of a REST request, with its order of checks and its messages.

The text is read by RapidJSON, as there. Reference: tensorflow_serving/util/json_tensor.cc.
"""

import codecs
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rapidjson

from scs_keras.serving.server.errors import ServingError, invalid
from scs_keras.serving.server.json_values import array_of, is_b64, kind_of, numbers_of, shown
from scs_keras.serving.server.tensors import check_count

NUMBERS = rapidjson.NM_NAN | rapidjson.NM_NATIVE
NESTING = 1000  # levels that can be read


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


def _columns(value, dtypes, max_values):
    names = sorted(dtypes)
    if isinstance(value, dict) and not is_b64(value):
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
    return {name: array_of(each, dtypes[name], max_values) for name, each in given.items()}


def _rows(instances, dtypes, max_values):
    names = sorted(dtypes)
    first = instances[0]
    if not isinstance(first, dict) and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not isinstance(first, dict) or is_b64(first):
        fast = numbers_of(instances, dtypes[names[0]], max_values)
        return {names[0]: _plain_rows(instances, dtypes[names[0]], max_values) if fast is None else fast}
    return _object_rows(instances, dtypes, names, max_values)


def _plain_rows(instances, dtype, max_values):
    column = _Column(dtype, max_values)
    for index, item in enumerate(instances):
        if isinstance(item, dict) and not is_b64(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        with _failing(f"Failed to process element: {index} of 'instances' list."):
            column.add(item)
    return column.array()


def _object_rows(instances, dtypes, names, max_values):
    columns = {name: _Column(dtypes[name], max_values) for name in names}
    for index, item in enumerate(instances):
        if not isinstance(item, dict) or is_b64(item):
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
        array = array_of(item, self.dtype, self.max_values)
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
        raise invalid(f"Example must be JSON object but got JSON {kind_of(example)}")
    for name, content in example.items():
        expected = None
        for value in content if isinstance(content, list) else [content]:
            found = _feature(value)
            if found is None:
                raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind_of(value)}")
            expected = expected or found
            if found != expected:
                raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")


def _feature(value):
    """The kind of list in which a value goes into a tf.Example."""
    if isinstance(value, str) or is_b64(value):
        return "bytes"
    return {bool: "int64", int: "int64", float: "float"}.get(type(value))
