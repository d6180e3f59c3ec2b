"""The client, against answers made by hand: what it sends, casts, refuses, repeats and reads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from scs_keras.serving import Client, ServingError
from scs_keras.serving import client as client_module
from scs_keras.serving.values import Signature, Tensor, batch_of
from tests import served_model
from tests.served_model import clips, expected

grpc = pytest.importorskip("grpc", reason='gRPC: pip install "scs-keras[serving]"')
pytest.importorskip("tensorflow_serving", reason="gRPC: pip install --no-deps tensorflow-serving-api")

FRAMES = Signature({"frames": Tensor("uint8", (None, 4, 8, 12, 1))}, {"output": Tensor("float32", None)})


# What is cast and what is refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.full((2, 3), 200, "int64"), "uint8"),
        (np.full((2, 3), True), "uint8"),
        (np.full((2, 3), 7, "uint8"), "float32"),
        (np.array([[0.1, np.nan, -np.inf]] * 2), "float32"),
        ([[1, 2, 3]] * 2, "float32"),
    ],
)
def test_what_fits_is_cast(given, dtype):
    made, single = batch_of({"x": given}, Signature({"x": Tensor(dtype, (None, 3))}, {}))
    assert made["x"].dtype == dtype and not single
    np.testing.assert_allclose(made["x"], np.asarray(given, "float64"), rtol=1e-7)


@pytest.mark.parametrize(
    ("given", "dtype", "message"),
    [
        (np.full((2, 3), 256), "uint8", "x must fit uint8. Received: int64 from 256 to 256."),
        (np.full((2, 3), -1), "uint8", "Received: int64 from -1 to -1."),
        (np.full((2, 3), 0.5), "uint8", "Received: float64 from 0.5 to 0.5. Type, for example of values in [0, 1]: (255 * x)"),
        (np.full((2, 3), 1e39), "float32", "Received: float64 from 1e+39 to 1e+39."),
        (np.full((2, 3), 1j), "float32", "x must be numbers, float32. Received: complex128."),
        ([["a", "b", "c"]] * 2, "float32", "x must be numbers, float32. Received: <U1."),
        ([[1, 2, 3], [4]], "float32", "x must be an array of float32. Received: setting an array element"),
        (np.zeros((2, 4)), "float32", "x must have the shape (any, 3), with or without the batch. Received: (2, 4)."),
        (np.zeros((1, 2, 3)), "float32", "Received: (1, 2, 3)."),
        ([[b"a", b"b"], [b"c"]], "object", "x must be lists of one length. Received lengths: [1, 2]."),
        ([[1, 2, 3]], "object", "x must be bytes, for example of JPEG files. Received: int."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given, dtype, message):
    with pytest.raises(ValueError) as error:
        batch_of({"x": given}, Signature({"x": Tensor(dtype, (None, 3))}, {}))
    assert message in str(error.value)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"The inputs are frames\. Received: frame, speed\."):
        batch_of({"frame": 1, "speed": 2}, FRAMES)


def test_the_batch_axis_may_be_missing():
    for shape, single in (((4, 8, 12, 1), True), ((5, 4, 8, 12, 1), False)):
        made, found = batch_of({"frames": np.zeros(shape, "uint8")}, FRAMES)
        assert found is single and made["frames"].shape[1:] == (4, 8, 12, 1)


# A server made by hand ------------------------------------------------------------------------------


class Faulty:
    """A PredictionService of the model `fading` that fails as often as it is told to, and counts what it is asked."""

    def __init__(self):
        self.failures, self.asked, self.model, self.outputs = [], [], served_model.NAME, None
        self.as_content = True

    def GetModelMetadata(self, request, context):
        from google.protobuf import any_pb2
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import get_model_metadata_pb2

        self.asked.append(request)
        self._fail(context)
        made, definition = get_model_metadata_pb2.SignatureDefMap(), None
        for name, (inputs, outputs) in SIGNATURES.items():
            definition = made.signature_def[name]
            for tensors, given in ((definition.inputs, inputs), (definition.outputs, outputs)):
                for key, (dtype, shape) in given.items():
                    tensors[key].dtype = types_pb2.DataType.Value(dtype)
                    for size in (-1, *shape):
                        tensors[key].tensor_shape.dim.add(size=size)
        packed = any_pb2.Any()
        packed.Pack(made)
        answer = get_model_metadata_pb2.GetModelMetadataResponse(metadata={"signature_def": packed})
        answer.model_spec.name, answer.model_spec.version.value = self.model, 3
        return answer

    def Predict(self, request, context):
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        self.asked.append(request)
        self._fail(context)
        given = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = self.model
        for name, value in (self.outputs or answers(request.model_spec.signature_name, given)).items():
            if self.as_content and value.dtype != object:
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            else:
                answer.outputs[name].CopyFrom(typed(value))
        return answer

    def _fail(self, context):
        if self.failures:
            context.abort(*self.failures.pop(0))


FRAME, PIXELS, FLOATS = (8, 12, 1), "DT_UINT8", "DT_FLOAT"
ANSWERS = {"output": (FLOATS, FRAME), "labels": ("DT_STRING", ())}
SIGNATURES = {
    "serving_default": ({"frames": (PIXELS, (4, *FRAME))}, {**ANSWERS, "output": (FLOATS, (4, *FRAME))}),
    "serve_bytes": ({"frames_bytes": ("DT_STRING", (4,))}, {"sizes_bytes": ("DT_STRING", (4,))}),
    "step": ({"frame": (PIXELS, FRAME), "state_0": (FLOATS, FRAME)}, {**ANSWERS, "next_state_0": (FLOATS, FRAME)}),
    "initial_state": ({"frame": (PIXELS, FRAME)}, {"state_0": (FLOATS, FRAME)}),
}


def answers(signature, given):
    if signature == "serving_default":
        output, labels = expected(given["frames"])
        return {"output": output, "labels": labels}
    if signature == "serve_bytes":
        return {"sizes_bytes": given["frames_bytes"]}
    if signature == "initial_state":
        return {"state_0": np.zeros_like(given["frame"], "float32")}
    state = np.float32(0.5) * given["state_0"] + given["frame"] / np.float32(255)
    return {"output": state, "labels": expected(given["frame"][:, None])[1], "next_state_0": state}


def typed(value):
    """As TF Serving answers by default: not in tensor_content."""
    import tensorflow as tf

    made = tf.make_tensor_proto(np.zeros(0, "float32") if value.dtype != object else value)
    if value.dtype != object:
        made.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
        made.ClearField("tensor_content")
        made.float_val.extend(value.ravel().tolist())
    return made


@pytest.fixture(scope="module")
def served():
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    service = Faulty()
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_servicer(service), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None).wait()


def _servicer(service):
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def __getattribute__(self, name):
            return getattr(service, name) if name in ("Predict", "GetModelMetadata") else super().__getattribute__(name)

    return Servicer()


@pytest.fixture
def service(served):
    served[0].__init__()
    return served[0]


@pytest.fixture
def client(served, service):
    with Client(served[1], served_model.NAME) as made:
        yield made


def test_pixels_are_read_at_once_as_one_by_one():
    """From the packed values of a message; what holds no bytes is left to TensorFlow."""
    from tensorflow import make_ndarray, make_tensor_proto
    from tensorflow.core.framework import tensor_pb2

    from scs_keras.serving import client_grpc
    from scs_keras.serving.server.tensors import encoded

    dice = np.random.default_rng(0)
    for pixels in (
        np.arange(256, dtype="uint8"),
        *(dice.integers(0, 256, (2, 5, size), "uint8") for size in (1, 13, 40)),
    ):
        message = tensor_pb2.TensorProto.FromString(encoded(pixels))
        assert np.array_equal(client_grpc._pixels(message), pixels.ravel())
        for read in (client_grpc._array, make_ndarray):
            assert np.array_equal(read(message), pixels)
    for values in ([1, 300], [5, -1], [2**31 - 1]):
        assert client_grpc._pixels(tensor_pb2.TensorProto(dtype=4, int_val=values)) is None
    seven = tensor_pb2.TensorProto(dtype=4, int_val=[7], tensor_shape=make_tensor_proto(np.zeros(5)).tensor_shape)
    assert client_grpc._array(seven).tolist() == [7] * 5  # one value stands for all


@pytest.mark.parametrize("as_content", [True, False])
def test_clips_and_batches(client, service, as_content):
    service.as_content = as_content
    frames = clips()
    output, labels = expected(frames)
    batch = client.predict(frames)
    np.testing.assert_array_equal(batch["output"], output)
    assert list(batch["labels"]) == list(labels) == ["dark", "grey", "bright"]
    one = client.predict(frames[2].astype("int64"))
    np.testing.assert_array_equal(one["output"], output[2])
    assert one["labels"] == "bright"
    assert service.asked[-1].inputs["frames"].dtype == 4  # uint8
    np.testing.assert_array_equal(client.predict({"frames": frames})["output"], output)


def test_metadata_is_asked_once_and_nothing_wrong_is_sent(client, service):
    client.predict(clips(1))
    client.predict(clips(1))
    assert len(service.asked) == 3
    with pytest.raises(ValueError, match=r"frames must have the shape \(any, 4, 8, 12, 1\)"):
        client.predict(clips(1, time=5))
    assert [type(each).__name__ for each in service.asked[3:]] == ["GetModelMetadataRequest"]  # another version may do
    with pytest.raises(ValueError, match="fading has the signatures initial_state, .*Received: 'nothing'"):
        client.predict(clips(1), signature="nothing")


def test_files_are_sent_as_they_are(client):
    files = [b"\xff\xd8", b"\x00", b"", b"text"]
    assert list(client.predict(files)) == files
    assert client.predict([files, files]).shape == (2, 4)


@pytest.mark.parametrize("batch", [None, 2])
def test_a_stream_carries_its_state(client, service, batch):
    frames = clips(batch or 1, time=6)
    output, _ = expected(frames)
    stream = client.stream()
    for _ in range(2):
        for index in range(6):
            seen = frames[:, index] if batch else frames[0, index]
            answer = stream.step(seen)
            assert set(answer) == {"output", "labels"}
            np.testing.assert_allclose(answer["output"], output[:, index] if batch else output[0, index], atol=1e-6)
        stream.reset()
    specs = [each.model_spec for each in service.asked if hasattr(each, "inputs")]
    assert {each.version.value for each in specs} == {3}  # whatever is served meanwhile


def test_a_step_that_failed_can_be_repeated(client, service):
    frames = clips(1, time=3)
    stream = client.stream()
    stream.step(frames[:, 0])
    service.failures = [(grpc.StatusCode.INTERNAL, "broken")]
    with pytest.raises(ServingError, match="INTERNAL: broken"):
        stream.step(frames[:, 1])
    answers = [stream.step(frames[:, index])["output"] for index in (1, 2)]
    np.testing.assert_allclose(answers[1], expected(frames)[0][:, 2], atol=1e-6)


def test_a_model_that_sees_all_frames_at_once_has_no_stream(client, monkeypatch):
    monkeypatch.delitem(SIGNATURES, "step")
    with pytest.raises(ValueError, match=r"fading sees all frames at once.*Keep the last frames and call predict"):
        client.stream()


# Failures -----------------------------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch):
    """The pauses of a client, which take no time: only they move its clock."""
    made = []
    clock = SimpleNamespace(monotonic=lambda: sum(made), sleep=made.append)
    monkeypatch.setattr(client_module, "time", clock)
    return made


def test_unavailable_is_repeated_with_growing_pauses(client, service, pauses, monkeypatch):
    monkeypatch.setattr(client_module.random, "uniform", lambda low, high: high)
    client.predict(clips(1))
    service.failures = [(grpc.StatusCode.UNAVAILABLE, "starting")] * 4
    client.predict(clips(1))
    assert pauses == [0.05, 0.1, 0.2, 0.4] and not service.failures


def test_other_refusals_are_not_repeated_and_carry_the_reason(client, service):
    for code in ("INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"):
        service.failures = [(grpc.StatusCode[code], f"why {code}")] * 2
        with pytest.raises(ServingError, match=f"{code}: why {code}") as error:
            client.predict(clips(1))
        assert (error.value.code, error.value.message, len(service.failures)) == (code, f"why {code}", 1)


def test_repetitions_end_with_the_time(client, service, pauses):
    service.failures = [(grpc.StatusCode.UNAVAILABLE, "starting")] * 1000
    with pytest.raises(ServingError, match="UNAVAILABLE: starting"):
        client.predict(clips(1))
    assert client.timeout - 2 < sum(pauses) < client.timeout and len(service.failures) == 999 - len(pauses)


def test_answers_of_another_model(client, service):
    client.predict(clips(1))
    service.outputs = {"steering": np.zeros(1, "float32")}
    with pytest.raises(
        ServingError, match="of another model: expected labels, output, received steering. Give the version"
    ):
        client.predict(clips(1))
    service.model = "other"
    with pytest.raises(ServingError, match="of another model: expected fading, received other"):
        client.predict(clips(1))
    with pytest.raises(ServingError, match="of another model: expected fading, received other"):
        Client(client.address, "fading").predict(clips(1))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:1"])
def test_no_server(address, pauses):
    with Client(address, "fading") as client, pytest.raises(ServingError) as error:
        client.predict(clips(1))
    assert f"UNAVAILABLE: no server answers at {address}" in str(error.value)
    assert "Start one: scs-keras serve DIR" in str(error.value) and "certificate=FILE" in str(error.value)


def test_which_model(client):
    with Client(client.address) as other, pytest.raises(ValueError) as error:
        other.predict(clips(1))  # this server has no health service, as TF Serving by default
    assert str(error.value).endswith(f"does not tell what it serves. Type: Client('{client.address}', 'NAME').")


def test_time_is_positive():
    with pytest.raises(ValueError, match="timeout must be positive seconds. Received: 0"):
        Client("http://127.0.0.1:1", timeout=0)


# REST -----------------------------------------------------------------------------------------------------


def test_rest_imports_no_tensorflow():
    code = (
        "import sys\nfor name in ('tensorflow', 'keras', 'grpc'): sys.modules[name] = None\n"
        "from scs_keras.serving import Client\nClient('http://127.0.0.1:1', 'x')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("address", "missing", "typed"),
    [
        ("127.0.0.1:1", "grpc", 'pip install "scs-keras[serving]"'),
        ("127.0.0.1:1", "tensorflow_serving", "pip install --no-deps tensorflow-serving-api"),
        ("http://127.0.0.1:1", "httpx", 'REST needs httpx. Type: pip install "scs-keras[serving]"'),
    ],
)
def test_missing_packages(address, missing, typed, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in (missing, "tensorflow_serving", "grpc_health")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError) as error:
        Client(address, "x")
    assert typed in str(error.value)


@pytest.fixture
def rest():
    """(client, list of the answers to come, (status, JSON or text); the requests)."""
    httpx = pytest.importorskip("httpx")
    answers, requests = [], []

    def answer(request):
        requests.append(request)
        status, content = answers.pop(0)
        return (
            httpx.Response(status, content=content)
            if isinstance(content, str)
            else httpx.Response(status, json=content)
        )

    client = Client("http://127.0.0.1:1", "fading", timeout=2)
    client._connection._client = httpx.Client(base_url=client.address, transport=httpx.MockTransport(answer))
    client._signatures = {"serving_default": FRAMES}
    return client, answers, requests


def test_rest_says_why(rest):
    client, answers, requests = rest
    answers += [(503, {"error": "starting"}), (400, {"error": "Illegal"})]
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: Illegal"):
        client.predict(clips(1))
    assert [each.url.path for each in requests] == ["/v1/models/fading:predict"] * 2
    answers += [(502, "a proxy")] + [(500, "<html>nothing</html>")]
    with pytest.raises(ServingError, match="INTERNAL: HTTP 500 <html>nothing"):
        client.predict(clips(1))
    answers += [(200, {"outputs": [[1.0]]})]
    client._signatures = {
        "serving_default": Signature(FRAMES.inputs, {"a": FRAMES.outputs["output"], "b": Tensor("object", ())})
    }
    with pytest.raises(ServingError, match="of another model: expected a, b, received one output"):
        client.predict(clips(1))


def test_rest_names_versions_and_labels(rest):
    client, answers, requests = rest
    for version, path in ((None, "a%2Fb"), (7, "a%2Fb/versions/7"), ("stable", "a%2Fb/labels/stable")):
        client.model, client.version = "a/b", version
        answers.append((200, '{"outputs": [NaN]}'))
        assert np.isnan(client.predict(clips(1)))
        assert requests[-1].url.raw_path.decode() == f"/v1/models/{path}:predict"
