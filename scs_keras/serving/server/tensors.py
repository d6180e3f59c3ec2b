"""TensorProto of requests and answers to arrays and back. Sizes are checked before anything is allocated."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import invalid, too_large

_RAW = {"float32": (5, "<f4"), "float64": (6, "<f8")}  # field number of the values, which lie packed as in memory


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
    shapes = {name: _shape(name, proto) for name, proto in protos.items()}
    check_count(sum(map(math.prod, shapes.values())), max_values)
    return {name: _array(name, protos[name], shape) for name, shape in shapes.items()}


def check_count(count: int, max_values: int) -> None:
    """Raises 413 for more values than the server takes."""
    if count > max_values:
        raise too_large(f"The inputs have {count} values; this server takes {max_values} a request (--max-values).")


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


def proto_of(array: np.ndarray) -> Any:
    """A TensorProto with the values in typed lists, TF Serving's default."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto()
    if array.dtype.name in _RAW:  # a packed list in protobuf's encoding, without a Python object for each value
        number, kind = _RAW[array.dtype.name]
        content = array.astype(kind, copy=False).tobytes()
        proto.MergeFromString(bytes([number << 3 | 2]) + _varint(len(content)) + content)
    elif array.dtype == np.uint8:
        content = _packed_bytes(array)
        proto.MergeFromString(bytes([7 << 3 | 2]) + _varint(len(content)) + content)
    elif array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
    else:
        field, values = _typed(array)
        getattr(proto, field).extend(values.ravel().tolist())
    proto.dtype = tf.dtypes.as_dtype(tf.string if array.dtype == object else array.dtype).as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    return proto


def _packed_bytes(array):
    """Protobuf's packed encoding of uint8 values: one byte below 128, else two."""
    flat = array.ravel()
    long = flat > 127
    if not long.any():
        return flat.tobytes()
    ends = np.cumsum(1 + long)
    packed = np.ones(ends[-1], np.uint8)  # what comes after a long one's first byte is 1: its eighth bit
    packed[ends - 1 - long] = flat
    return packed.tobytes()


def _typed(array):
    kind, size = array.dtype.kind, array.dtype.itemsize
    if array.dtype.name in ("float16", "bfloat16"):
        return "half_val", array.view(np.uint16)
    if kind == "b":
        return "bool_val", array
    if kind == "i":
        return ("int64_val" if size == 8 else "int_val"), array
    if kind == "u":
        return {8: "uint64_val", 4: "uint32_val"}.get(size, "int_val"), array
    raise invalid(f"An output of type {array.dtype.name} cannot be sent.")


def _varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
