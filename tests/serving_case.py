"""SavedModels of a few operations, and a server of them in this process."""

import contextlib

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from scs_keras.serving.server.run import local_server


def spec(dtype, name, *shape):
    return tf.TensorSpec((None, *shape), dtype, name)


class Tiny(tf.Module):
    """Signatures whose first axis is free, so that they are computed in batches."""

    def __init__(self, add):
        super().__init__()
        self.add = tf.Variable(add)

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def whole(self, x):
        return {"y": 0.5 * x + self.add}

    @tf.function(input_signature=[spec(tf.float32, "x", None)])
    def rows(self, x):
        return {"sum": tf.reduce_sum(x, 1), "same": tf.identity(x)}

    @tf.function(input_signature=[spec(tf.uint8, "frames", None), spec(tf.int64, "n")])
    def pair(self, frames, n):
        return {"frames": frames + 1, "n": n * 2}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, "s")])
    def texts(self, s):
        return {"s": tf.identity(s), "s_bytes": tf.identity(s)}

    @tf.function(input_signature=[spec(tf.float32, "x")])
    def picky(self, x):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x >= 0), ["negative"])]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=[spec(tf.float32, "x")])
    def half(self, x):
        return {"h": tf.cast(x, tf.float16), "b": x > 0, "d": tf.cast(x, tf.float64)}


SIGNATURES = ("rows", "pair", "texts", "picky", "half")


def write_model(folder, add=2.0, warmup=()):
    """A version in `folder`; `warmup` has (signature, {input: array})."""
    tiny = Tiny(add)
    named = {"serving_default": tiny.whole} | {name: getattr(tiny, name) for name in SIGNATURES}
    tf.saved_model.save(tiny, str(folder), signatures=named)
    if warmup:
        (folder / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
            for signature, inputs in warmup:
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request("any", inputs, signature=signature))
                writer.write(log.SerializeToString())
    return folder


def request(model, inputs, version=None, label=None, signature="", outputs=()):
    """A PredictRequest."""
    made = predict_pb2.PredictRequest(output_filter=outputs)
    made.model_spec.name, made.model_spec.signature_name = model, signature
    if version is not None:
        made.model_spec.version.value = version
    if label is not None:
        made.model_spec.version_label = label
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(
            value if isinstance(value, tf.make_tensor_proto(0).__class__) else tf.make_tensor_proto(value)
        )
    return made


class Clients:
    """A REST client and the stubs of a server."""

    def __init__(self, server, channel=None, **options):
        self.server = server
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{server.rest_port}", **options)
        self.channel = channel or grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, *arguments, **options):
        """{output: array} by gRPC."""
        answer = self.prediction.Predict(request(*arguments, **options), 60)
        return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}

    def refused(self, call, *arguments):
        """(code, text) of a call that has to fail."""
        try:
            call(*arguments, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError("it was answered")

    def post(self, path, body, **options):
        content = body if isinstance(body, str | bytes) else None
        return self.rest.post(
            f"/v1/models/{path}", content=content, json=None if content is not None else body, **options
        )

    def close(self):
        self.rest.close()
        self.channel.close()


@contextlib.contextmanager
def served(*arguments, **options):
    """Clients of a server in this process."""
    with local_server(*arguments, **options) as server:
        clients = Clients(server)
        try:
            yield clients
        finally:
            clients.close()


def status_of(clients, model):
    """{version: (state, code, text)} by gRPC."""
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = model
    answer = clients.models.GetModelStatus(asked, 60)
    states = get_model_status_pb2.ModelVersionStatus.State
    return {
        each.version: (states.Name(each.state), each.status.error_code, each.status.error_message)
        for each in answer.model_version_status
    }


def metadata_of(clients, model, fields=("signature_def",)):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    asked.model_spec.name = model
    return clients.prediction.GetModelMetadata(asked, 60)


def reload_request(*configs):
    asked = model_management_pb2.ReloadConfigRequest()
    for each in configs:
        asked.config.model_config_list.config.add(**each)
    return asked


def equal(first, second):
    """Whether two values read from JSON are the same, NaN and the kind of number included."""
    if isinstance(first, list):
        return isinstance(second, list) and len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, dict):
        return (
            isinstance(second, dict)
            and first.keys() == second.keys()
            and all(equal(value, second[key]) for key, value in first.items())
        )
    return type(first) is type(second) and (first == second or np.isnan(first) and np.isnan(second))
