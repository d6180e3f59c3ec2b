"""TF Serving's gRPC, from the client's side, by the official stubs."""

import math
from typing import Any

from scs_keras.serving.client import START_ONE, Version
from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.values import NUMPY, Arrays, Signature, Tensor
from scs_keras.serving.wire import INT_VAL, unpacked, varint

OPTIONS = [  # a client's own limit of what it receives is 4 MB; a server that comes back is looked for after 0.1 s
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Grpc:
    """One channel; see `client.Connection`."""

    def __init__(self, address: str, token: str | None = None, certificate: str | None = None):
        import_stubs()
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self._address = address
        if certificate is None:
            self._channel = grpc.insecure_channel(address, OPTIONS)
        else:
            with open(certificate, "rb") as file:
                trusted = grpc.ssl_channel_credentials(file.read())
            self._channel = grpc.secure_channel(address, trusted, OPTIONS)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._sent_along = None if token is None else (("authorization", f"Bearer {token}"),)

    def models(self, timeout: float) -> list[str]:
        """Names of what is served, from the health service of `scs-keras serve`."""
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        health: Any = health_pb2_grpc.HealthStub(self._channel)
        request = getattr(health_pb2, "HealthListRequest")()  # noqa: B009  (what the checker knows of it is older)
        return sorted(filter(None, self._call(health.List, request, timeout).statuses))

    def metadata(self, model: str, version: Version, timeout: float) -> tuple[str, int, dict[str, Signature]]:
        """(name, version, signatures) of a served model."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _specify(request.model_spec, model, version)
        answer = self._call(self._service.GetModelMetadata, request, timeout)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        found = {
            name: Signature(_tensors(each.inputs), _tensors(each.outputs))
            for name, each in signatures.signature_def.items()
        }
        return answer.model_spec.name, answer.model_spec.version.value, found

    def predict(
        self,
        model: str,
        version: Version,
        name: str,
        signature: Signature,
        inputs: Arrays,
        timeout: float,
    ) -> Arrays:
        """{output: array} of a signature."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        _specify(request.model_spec, model, version)
        request.model_spec.signature_name = name
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        answer = self._call(self._service.Predict, request, timeout)
        if answer.model_spec.name not in ("", model):
            said = f"The answer is of another model: expected {model}, received {answer.model_spec.name}."
            raise ServingError("INTERNAL", said)
        return {key: _array(each) for key, each in answer.outputs.items()}

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        import grpc

        try:
            return method(request, timeout=timeout, metadata=self._sent_along)
        except grpc.RpcError as error:
            code, reason = error.code().name, error.details() or ""
            if code == "UNAVAILABLE" and "failed to connect" in reason:
                reason = f"no server answers at {self._address}. {START_ONE}"
            raise ServingError(code, reason) from None


def import_stubs() -> None:
    """Imports the official messages and services, and TensorFlow with them.

    Raises:
        ImportError: a package is missing; the message says what to type.
    """
    try:
        import grpc_health.v1.health_pb2_grpc  # noqa: F401
        import tensorflow_serving.apis.prediction_service_pb2_grpc  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'gRPC needs {error.name}. Type: pip install "scs-keras[serving]" and then '
            "pip install --no-deps tensorflow-serving-api (which would install a second TensorFlow)."
        ) from error


def _specify(spec, model, version):
    spec.name = model
    if isinstance(version, str):
        spec.version_label = version
    elif version is not None:
        spec.version.value = version


def _array(proto):
    """The values of a TensorProto, a typed list or tensor_content."""
    import tensorflow as tf

    if proto.dtype == tf.uint8.as_datatype_enum and proto.int_val:
        sizes = [axis.size for axis in proto.tensor_shape.dim]
        pixels = _pixels(proto)
        if pixels is not None and pixels.size == math.prod(sizes):
            return pixels.reshape(sizes)
    return tf.make_ndarray(proto)


def _pixels(proto):
    """All at once from the packed values, which TensorFlow takes one by one; None where there is anything else."""
    head = type(proto)(dtype=proto.dtype, tensor_shape=proto.tensor_shape).SerializeToString()
    content = proto.SerializeToString()[len(head) :]
    size = len(content) - 1
    for length in range(1, min(6, size)):  # bytes that say how many follow
        if content.startswith(varint(INT_VAL << 3 | 2) + varint(size - length)):
            return unpacked(content[1 + length :])
    return None


def _tensors(infos):
    from tensorflow.core.framework.types_pb2 import DataType

    return {name: _tensor(DataType.Name(each.dtype), each.tensor_shape) for name, each in infos.items()}


def _tensor(dtype: str, shape):
    sizes = None if shape.unknown_rank else tuple(None if axis.size < 0 else axis.size for axis in shape.dim)
    return Tensor(NUMPY.get(dtype) or dtype, sizes)
