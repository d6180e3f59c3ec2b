"""Warm-up requests, which TF Serving answers before it serves a version: the first call of a graph is slow.

A record is a `tensorflow.serving.PredictionLog` of one request. The message is written here field by field, since the
package that has it needs one of two TensorFlow packages, and not every user's.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scs_keras.core.signatures import Signature
from scs_keras.serving.wire import field

BATCH_SIZES = (1, 8)  # smallest and largest of `tf_serving/batching.config`


def write_warmup(path: Path, name: str, signatures: Iterable[Signature], size: tuple[int, int]) -> None:
    """Writes a request for every signature at the smallest and the largest batch size.

    Args:
        path: `assets.extra/tf_serving_warmup_requests` of a version.
        name: of the model.
        signatures: of the version.
        size: height and width where they are free.
    """
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in signatures:
            for batch in BATCH_SIZES:
                inputs = {spec.name: constant(spec, batch, size) for spec in signature.inputs}
                writer.write(request_record(name, signature.name, inputs))


def request_record(model: str, signature: str, inputs: dict[str, Any]) -> bytes:
    """A serialized PredictionLog: predict_log (6): request (1): model_spec (1: name 1, signature_name 3), inputs 2."""
    specification = field(1, model.encode()) + field(3, signature.encode())
    entries = [field(1, name.encode()) + field(2, tensor.SerializeToString()) for name, tensor in inputs.items()]
    request = field(1, specification) + b"".join(field(2, entry) for entry in entries)
    return field(6, field(1, request))


def constant(spec: Any, batch: int, size: tuple[int, int]) -> Any:
    """A TensorProto of zeros that holds one value, which stands for all; of files it is a black picture.

    `spec` is the `Spec` of the input; a frame's height and width that are None become `size`.
    """
    import tensorflow as tf

    free = iter(size)
    shape = (batch, *(next(free) if each is None else each for each in spec.shape))
    dtype = tf.dtypes.as_dtype(spec.dtype)
    proto = tf.make_tensor_proto(_black(size) if dtype == tf.string else 0, dtype=dtype, shape=())
    proto.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return proto


def _black(size):
    import tensorflow as tf

    return tf.io.encode_png(tf.zeros((*size, 1), tf.uint8)).numpy()
