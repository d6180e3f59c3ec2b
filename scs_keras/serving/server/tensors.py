"""TensorProto of requests and answers to arrays and back. Sizes are checked before anything is allocated."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import invalid, too_large
from scs_keras.serving.wire import INT_VAL, field, packed

_RAW = {"float32": (5, "<f4"), "float64": (6, "<f8")}  # number of the field, in which values lie as in memory


def dtype_name(number: int) -> str:
    """TensorFlow's name of a DataType: float, int32, string; for a number that is none, the number."""
    from tensorflow.core.framework import types_pb2

    try:
        return types_pb2.DataType.Name(number).removeprefix("DT_").lower()
    except ValueError:
        return str(number)


def arrays_of(protos: Mapping[str, Any], max_values: int) -> dict[str, np.ndarray]:
    """{name: array} of TensorProtos; strings as arrays of bytes objects.

    Raises:
        ServingError: INVALID_ARGUMENT for one that TF Serving cannot parse either, and for more than `max_values`.
    """
    check_count(count_of(protos), max_values)
    return {name: _array(name, proto, _shape(name, proto)) for name, proto in protos.items()}


def count_of(protos: Mapping[str, Any]) -> int:
    """Number of values that TensorProtos stand for; a message of a few bytes may stand for very many.

    Raises:
        ServingError: INVALID_ARGUMENT for a shape that is none.
    """
    return sum(math.prod(_shape(name, proto)) for name, proto in protos.items())


def check_count(count: int, max_values: int) -> None:
    """Raises 413 for more values than the server takes."""
    if count > max_values:
        raise too_large(f"The inputs have {count} values; this server takes {max_values} a request.")


def _shape(name, proto):
    sizes = [axis.size for axis in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0 or len(sizes) > 64:
        raise invalid(f"tensor parsing error: {name}")
    return sizes


def _array(name, proto, sizes):
    import tensorflow as tf

    count = math.prod(sizes)
    parse_error = invalid(f"tensor parsing error: {name}")
    try:
        dtype = tf.dtypes.as_dtype(proto.dtype)
        if proto.dtype > 100:  # a reference
            raise parse_error
        if dtype == tf.string:
            return _strings(proto, sizes, count)
        if proto.tensor_content and len(proto.tensor_content) != count * np.dtype(dtype.as_numpy_dtype).itemsize:
            raise parse_error
        return np.asarray(tf.make_ndarray(proto), dtype.as_numpy_dtype).reshape(sizes)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise parse_error from error


def _strings(proto, sizes, count):
    """Bytes objects, which NumPy's own strings would cut at zeros; the last one stands for those that are missing."""
    values = list(proto.string_val)[:count] or [b""]
    array = np.empty(count, object)
    array[:] = (values + values[-1:] * (count - len(values)))[:count]
    return array.reshape(sizes)


def encoded(array: np.ndarray) -> bytes:
    """A serialized TensorProto with the values in typed lists, TF Serving's default."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto()
    proto.dtype = tf.dtypes.as_dtype(tf.string if array.dtype == object else array.dtype).as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    values = b""
    if array.dtype.name in _RAW:  # most of what is sent, without a Python object for each value
        number, kind = _RAW[array.dtype.name]
        values = field(number, array.astype(kind, copy=False).tobytes())
    elif array.dtype == np.uint8:
        values = field(INT_VAL, packed(array))
    else:
        name, typed = _typed(array)
        getattr(proto, name).extend(typed.ravel().tolist())
    return proto.SerializeToString() + values


def _typed(array):
    """Field of a TensorProto, and the values as it takes them."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if array.dtype.name in ("float16", "bfloat16"):
        return "half_val", array.view(np.uint16)
    name = {
        "O": "string_val",
        "b": "bool_val",
        "i": "int64_val" if size == 8 else "int_val",
        "u": {8: "uint64_val", 4: "uint32_val"}.get(size, "int_val"),
    }.get(kind)
    if name is None:
        raise invalid(f"An output of type {array.dtype.name} cannot be sent.")
    return name, array
