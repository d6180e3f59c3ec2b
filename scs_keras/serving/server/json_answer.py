"""The JSON of an answer, with numbers written as TF Serving writes them.

Reference: tensorflow_serving/util/json_tensor.cc, MakeJsonFromTensors.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import invalid


def rows(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"predictions": [...]}`: an item for each row; one output loses its name.

    Raises:
        ServingError: INVALID_ARGUMENT unless every output has the same first dimension, which is not 0.
    """
    size = 0
    for name, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if len(array) < 1:
            raise invalid(f"Tensor name: {name} has invalid batch size: {len(array)}")
        if size and len(array) != size:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    written = {name: _items(name, array) for name, array in sorted(outputs.items())}
    if len(written) == 1:
        items = next(iter(written.values()))
    else:
        keys = [json.dumps(name, ensure_ascii=False) for name in written]
        items = [
            "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, row)) + "}" for row in zip(*written.values())
        ]
    return _encoded('{\n    "predictions": [' + ",\n    ".join(items) + "]\n}")


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"outputs": ...}`: whole tensors; one output loses its name."""
    written = {name: _whole(name, array) for name, array in sorted(outputs.items())}
    if len(written) == 1:
        text = next(iter(written.values()))
    else:
        named = (f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in written.items())
        text = "{" + ",\n    ".join(named) + "}"
    return _encoded('{\n    "outputs": ' + text + "\n}")


def error(message: str) -> bytes:
    """`{"error": message}`."""
    return json.dumps({"error": message}).encode()


def _encoded(text):
    return text.encode("utf-8", "surrogateescape")  # bytes that are no UTF-8 go out as they are


def _whole(name, array):
    return _items(name, array[None])[0]


def _items(name, array):
    """The JSON text of each item along the first axis."""
    texts = _values(name, array)
    if array.size == 0:
        return [_empty(array.shape[1:])] * len(array)
    for size in array.shape[:0:-1]:
        if size == 1:  # as the channels of most pixels
            texts = [f"[{text}]" for text in texts]
        else:
            texts = ["[" + ", ".join(texts[at : at + size]) + "]" for at in range(0, len(texts), size)]
    return texts


def _empty(shape):
    return f"[{', '.join([_empty(shape[1:])] * shape[0])}]" if shape else ""


def _values(name, array) -> list[str]:
    """The JSON text of each value."""
    flat = array.ravel()
    if array.dtype.kind == "O":
        return [_text(value, name.endswith("_bytes")) for value in flat]
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    if array.dtype.kind in "iu" and array.dtype.name != "uint16":
        return list(map(str, flat.tolist()))
    if array.dtype.name in ("float32", "float64"):
        return decimals(flat)
    kind = {"float16": "half"}.get(array.dtype.name, array.dtype.name)
    raise invalid(f"Failed to write JSON value for tensor type: {kind}")


def _text(value: Any, as_base64: bool) -> str:
    if as_base64:
        return '{"b64": "' + base64.b64encode(value).decode() + '"}'
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)


def decimals(values: np.ndarray) -> list[str]:
    """Six digits where they read back as the same number, else as many as always do (9, of float64 17).

    Whole numbers get ".0", large and small ones an exponent.
    """
    digits = 9 if values.dtype == np.float32 else 17
    numbers = values.tolist()
    texts = [f"{number:.6g}" for number in numbers]
    with np.errstate(over="ignore"):
        read = np.array(list(map(float, texts)), values.dtype)
    for index in np.flatnonzero(read != values):  # NaN among them
        texts[index] = f"{numbers[index]:.{digits}g}"
    return [text if "." in text or "e" in text else _SPECIAL.get(text, text + ".0") for text in texts]


_SPECIAL = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
