"""The local server as clients see it: paths, codes, messages, limits; one server of a tiny model for all."""

import gc
import gzip
import json
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving_case import Clients, metadata_of, reload_request, request, served, status_of, write_model

from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.loaded import Loaded
from scs_keras.serving.server.run import local_server

PREDICT = "/tensorflow.serving.PredictionService/Predict"
LIMITS = dict(max_body_mb=1, max_values=5000, max_pixels=10_000, body_timeout=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder / "00003")
    return folder


@pytest.fixture(scope="module")
def clients(folder):
    with served(folder, **LIMITS) as clients:
        yield clients


def error(answer):
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()["error"]


# REST ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, body, answer",
    [
        ("tiny:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        ("tiny/versions/3:predict", {"inputs": 1.0}, {"outputs": 2.5}),
        ("tiny/versions/0003:predict", {"inputs": [[1]]}, {"outputs": [[2.5]]}),
        ("%74iny:predict", {"signature_name": "", "instances": [1]}, {"predictions": [2.5]}),
        (
            "tiny:predict",
            {"signature_name": "pair", "inputs": {"frames": [[1, 255]], "n": [3]}},
            {"outputs": {"frames": [[2, 0]], "n": [6]}},
        ),
        (
            "tiny:predict",
            {"signature_name": "texts", "instances": ["é"]},
            {"predictions": [{"s": "é", "s_bytes": {"b64": "w6k="}}]},
        ),
        (
            "tiny:predict",
            {"signature_name": "texts", "inputs": "a"},
            {"outputs": {"s": "a", "s_bytes": {"b64": "YQ=="}}},
        ),
    ],
)
def test_predict_by_rest(clients, path, body, answer):
    made = clients.post(path, body)
    assert (made.status_code, made.json()) == (200, answer)


@pytest.mark.parametrize(
    "method, path, status, said",
    [
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/models", 400, "Malformed request"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("PUT", "/v1/models/tiny:predict", 400, "Malformed request: PUT /v1/models/tiny:predict"),
        ("POST", "/v1/models/tiny/metadata", 400, "Malformed request"),
        ("POST", "/v1/models/tiny:PREDICT", 400, "Malformed request"),
        ("POST", "/V1/Models/nope/Versions/1:predict", 400, "document is empty"),
        ("POST", "/v1/models/tiny/versions/x:predict", 400, "Malformed request"),
        ("POST", "/v1/models/tiny/versions/3/labels/a:predict", 400, "Malformed request"),
        ("POST", "/v1/models/tiny/versions/9223372036854775808:predict", 400, "Failed to convert version"),
        ("POST", "/v1/models/nope:predict", 400, "JSON Parse error: The document is empty"),  # JSON comes first
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/tiny/versions/9", 404, "Could not find version 9 of model tiny"),
        ("GET", "/v1/models/tiny/versions/9/metadata", 404, "Servable not found for request: Specific(tiny, 9)"),
        ("GET", "/v1/models/..%2F..%2Fetc%2Fpasswd/metadata", 404, "Latest(../../etc/passwd)"),
    ],
)
def test_paths_that_are_refused(clients, method, path, status, said):
    found = error(clients.rest.request(method, path))
    assert found[0] == status and said in found[1]


@pytest.mark.parametrize(
    "path, body, status, said",
    [
        ("nope:predict", '{"instances": [1]}', 404, "Servable not found for request: Latest(nope)"),
        ("tiny/versions/9:predict", '{"instances": [1]}', 404, "Servable not found for request: Specific(tiny, 9)"),
        ("tiny/labels/x:predict", '{"instances": ["x"]}', 400, "Unrecognized servable version label: x"),
        ("nope:predict", '{"signature_name": 1}', 400, "'signature_name' key must be a string value."),
        ("nope:predict", '{"signature_name": "u"}', 404, "Latest(nope)"),
        ("tiny:predict", '{"signature_name": "u"}', 400, 'Serving signature name: "u" not found in signature def'),
        ("tiny:predict", '{"signature_name": "__saved_model_init_op"}', 400, "Failed to get input map for signature"),
        ("tiny:predict", '{"signature_name": "half", "instances": [1]}', 400, "JSON value for tensor type: half"),
        ("tiny:predict", '{"inputs": 1.0, "instances": [1.0]}', 400, "only one of"),
        ("tiny:predict", '{"signature_name": "picky", "instances": [-1]}', 400, "negative"),
        ("tiny:classify", "{}", 400, "key 'examples' is expected"),
        ("nope:classify", '{"examples": [{"x": 1.0}]}', 404, "Latest(nope)"),
        ("tiny:classify", '{"examples": [{"x": 1.0}], "signature_name": "u"}', 400, "found with the name: u"),
        (
            "tiny:regress", '{"examples": [{"x": 1.0}]}', 400,
            "Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict",
        ),
    ],
)  # fmt: skip
def test_bodies_that_are_refused(clients, path, body, status, said):
    found = error(clients.post(path, body))
    assert found[0] == status and said in found[1]


def test_what_is_outside_v1_is_not_found(clients):
    answer = clients.rest.get("/statuspage")
    assert answer.status_code == 404 and answer.content == b""


def test_status_and_metadata_by_rest(clients):
    status = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("tiny", "tiny/versions/3", "tiny/labels/whatever"):
        assert clients.rest.get(f"/v1/models/{path}").json() == {"model_version_status": [status]}
    found = clients.rest.get("/v1/models/tiny/metadata").json()
    assert found["model_spec"] == {"name": "tiny", "signature_name": "", "version": "3"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "pair", "__saved_model_init_op"} <= signatures.keys()
    frames = signatures["pair"]["inputs"]["frames"]
    assert frames["dtype"] == "DT_UINT8" and frames["tensor_shape"]["unknown_rank"] is False
    assert frames["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}] * 2


# gRPC ---------------------------------------------------------------------------------------------------------------


def test_predict_by_grpc(clients):
    answer = clients.prediction.Predict(request("tiny", {"x": np.float32([1, 2])}), 60)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("tiny", 3)
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["y"].float_val) == [2.5, 3.0] and not answer.outputs["y"].tensor_content
    pixels = np.arange(256, dtype="uint8").reshape(2, 128)
    made = clients.predict("tiny", {"frames": pixels, "n": np.int64([1, -2])}, signature="pair", version=3)
    assert made["frames"].dtype == np.uint8 and np.array_equal(made["frames"], pixels + np.uint8(1))
    assert made["n"].tolist() == [2, -4]
    made = clients.predict("tiny", {"x": np.float32([-1, 2])}, signature="half")
    assert made["h"].dtype == np.float16 and made["h"].tolist() == [-1, 2] and made["d"].dtype == np.float64
    assert made["b"].tolist() == [False, True]
    assert clients.predict("tiny", {"s": [b"a\0b\0"]}, signature="texts")["s"].tolist() == [b"a\0b\0"]
    assert clients.predict("tiny", {"s": b"one"}, signature="texts")["s"].tolist() == b"one"


def test_a_tensor_may_come_as_lists_or_as_bytes(clients):
    x = tf.make_tensor_proto(np.float32([1, 2]))
    assert x.tensor_content
    listed = type(x)(dtype=x.dtype, tensor_shape=x.tensor_shape, float_val=[1, 2])
    repeated = type(x)(dtype=x.dtype, tensor_shape=x.tensor_shape, float_val=[1])
    for proto, expected in ((x, [2.5, 3.0]), (listed, [2.5, 3.0]), (repeated, [2.5, 2.5])):
        assert clients.predict("tiny", {"x": proto})["y"].tolist() == expected


def wrong(**changes):
    proto = tf.make_tensor_proto(np.float32([1, 2]))
    proto.MergeFrom(type(proto)(**changes))
    return proto


def shaped(*sizes):
    proto = tf.make_tensor_proto(np.float32(1))
    for size in sizes:
        proto.tensor_shape.dim.add().size = size
    return proto


@pytest.mark.parametrize(
    "asked, code, said",
    [
        (request("", {}), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (request("nope", {}), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (request("tiny", {}, version=9), "NOT_FOUND", "Specific(tiny, 9)"),
        (request("tiny", {}, label="x"), "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        (request("tiny", {}, signature="u"), "FAILED_PRECONDITION", 'Serving signature key "u" not found.'),
        (request("tiny", {}, signature="__saved_model_init_op"), "INTERNAL", "method_name to be one of"),
        (
            request("tiny", {}),
            "INVALID_ARGUMENT",
            "0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            request("tiny", {"z": 1.0}),
            "INVALID_ARGUMENT",
            "alias not found in signature: z. Inputs expected to be in the",
        ),
        (request("tiny", {"x": 1}), "INVALID_ARGUMENT", "Expects arg[0] to be float but int32 is provided"),
        (request("tiny", {"x": True}), "INVALID_ARGUMENT", "to be float but bool is provided"),
        (request("tiny", {"x": b"a"}), "INVALID_ARGUMENT", "to be float but string is provided"),
        (
            request("tiny", {"x": 1.0}, outputs=["u"]),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: u",
        ),
        (request("tiny", {"x": 1.0}, outputs=["y", "y"]), "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
        (request("tiny", {"x": wrong(tensor_content=b"abc")}), "INVALID_ARGUMENT", "tensor parsing error: x"),
        (request("tiny", {"x": wrong(dtype=99)}), "INVALID_ARGUMENT", "tensor parsing error: x"),
        (request("tiny", {"x": shaped(-1)}), "INVALID_ARGUMENT", "tensor parsing error: x"),
        (request("tiny", {"x": shaped(2**40, 2**40)}), "INVALID_ARGUMENT", "this server takes 5000"),
        (request("tiny", {"x": shaped(0, 2**62)}), "INVALID_ARGUMENT", "tensor parsing error: x"),
        (request("tiny", {"x": np.float32([-1])}, signature="picky"), "INVALID_ARGUMENT", "negative"),
        (request("tiny", {"x": np.float32([[[1]]])}, signature="rows"), "INVALID_ARGUMENT", ""),
    ],
)
def test_what_grpc_refuses(clients, asked, code, said):
    found = clients.refused(clients.prediction.Predict, asked)
    assert found[0] == code and said in found[1]


def test_other_calls_that_grpc_refuses(clients):
    from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

    assert clients.refused(clients.prediction.Predict, predict_pb2.PredictRequest()) == (
        "INVALID_ARGUMENT", "Missing ModelSpec",
    )  # fmt: skip
    for kind, call in (
        (classification_pb2.ClassificationRequest, clients.prediction.Classify),
        (regression_pb2.RegressionRequest, clients.prediction.Regress),
    ):
        asked = kind()
        asked.model_spec.name = "tiny"
        code, said = clients.refused(call, asked)
        assert code == "INVALID_ARGUMENT" and "signature method_name to be" in said
    asked = inference_pb2.MultiInferenceRequest()
    assert clients.refused(clients.prediction.MultiInference, asked)[0] == "UNIMPLEMENTED"
    call = clients.channel.unary_unary(PREDICT)
    assert clients.refused(call, b"\x0a\xff\xff") == ("INVALID_ARGUMENT", "The message cannot be parsed.")


def test_long_texts_are_cut(clients):
    code, said = clients.refused(clients.prediction.Predict, request("n" * 2000, {}))
    assert code == "NOT_FOUND" and len(said) == 1024 + len("...TRUNCATED")


def test_status_and_metadata_by_grpc(clients):
    assert status_of(clients, "tiny") == {3: ("AVAILABLE", 0, "")}
    answer = metadata_of(clients, "tiny")
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("tiny", 3)
    signatures = json_format.MessageToDict(answer.metadata["signature_def"])["signatureDef"]
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
    for fields, said in (((), "at least one metadata_field"), (("u",), "Metadata field u is not supported")):
        with pytest.raises(grpc.RpcError, match=said):
            metadata_of(clients, "tiny", fields)


def test_an_output_filter_chooses(clients):
    x = np.float32([[1, 2]])
    assert clients.predict("tiny", {"x": x}, signature="rows", outputs=["sum"]).keys() == {"sum"}


def test_health(clients):
    stub = health_pb2_grpc.HealthStub(clients.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == health_pb2.HealthCheckResponse.SERVING


# Metrics ------------------------------------------------------------------------------------------------------------


def test_metrics_have_the_names_of_tf_serving(clients):
    from prometheus_client.parser import text_string_to_metric_families

    def counts():
        page = clients.rest.get("/monitoring/prometheus/metrics")
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/plain")
        lines = [line for line in page.text.splitlines() if not line.startswith("#")]
        assert list(text_string_to_metric_families(page.text))
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    before = counts()
    clients.post("tiny:predict", {"instances": [1]})
    clients.post("tiny:predict", {"instances": ["x"]})
    clients.predict("tiny", {"x": 1.0})
    after = counts()
    name, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    gained = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert gained[f'{name}{{model_name="tiny",status="OK"}}'] == 2
    assert gained[f'{name}{{model_name="tiny",status="INVALID_ARGUMENT"}}'] == 1
    for entrypoint in ("REST", "GRPC"):
        assert gained[f'{latency}_count{{API="Predict",entrypoint="{entrypoint}",model_name="tiny"}}'] == 1
        labels = f'API="Predict",entrypoint="{entrypoint}",le="+Inf",model_name="tiny"'
        assert gained[f"{latency}_bucket{{{labels}}}"] == 1


# Limits -------------------------------------------------------------------------------------------------------------


def test_bodies_and_messages_that_are_too_large(clients):
    assert error(clients.post("tiny:predict", b"[" * (2**20 + 1)))[0] == 413
    parts = iter([b" " * 2**19] * 3)  # without a length
    assert error(clients.rest.post("/v1/models/tiny:predict", content=parts))[0] == 413
    assert "takes 5000" in error(clients.post("tiny:predict", {"instances": [1] * 5001}))[1]
    bomb = gzip.compress(b" " * 2**21)
    assert error(clients.post("tiny:predict", bomb, headers={"content-encoding": "gzip"}))[0] == 413
    large = request("tiny", {"x": np.zeros(2**19, "float32")})
    assert clients.refused(clients.prediction.Predict, large)[0] == "RESOURCE_EXHAUSTED"
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff"
    asked = request("tiny", {"s": [picture]}, signature="texts")
    code, said = clients.refused(clients.prediction.Predict, asked)
    assert code == "INVALID_ARGUMENT" and "decodes 10000" in said


def test_gzip(clients):
    body = gzip.compress(b'{"instances": [1]}')
    headers = {"content-encoding": "gzip"}
    assert clients.post("tiny:predict", body, headers=headers).json() == {"predictions": [2.5]}
    assert error(clients.post("tiny:predict", body[:-5], headers=headers)) == (400, "The body's gzip is cut off.")
    assert error(clients.post("tiny:predict", b"no gzip", headers=headers))[0] == 400


def raw(clients, data, wait=60):
    """What the server answers to bytes before it closes the connection."""
    with socket.create_connection(("127.0.0.1", clients.server.rest_port), timeout=wait) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
            if b"\r\n\r\n" in answer:
                break
        return answer


def test_slow_senders_and_broken_heads_do_not_stay(clients):
    assert raw(clients, b"POST /v1/models/tiny:predict HT").startswith(b"HTTP/1.1 408")
    head = b"POST /v1/models/tiny:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    assert raw(clients, head + b'{"inst').startswith(b"HTTP/1.1 408")
    assert raw(clients, b"no http\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(clients, b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000).startswith(b"HTTP/1.1 431")
    assert clients.post("tiny:predict", {"instances": [1]}).status_code == 200


def test_bodies_together_have_a_limit(folder, monkeypatch):
    """Many large ones at once would fill the memory; those that have ended count no more."""
    free = threading.Event()

    def held(self, *arguments):
        free.wait(60)
        return run(self, *arguments)

    run, large = Loaded.run, '{"instances": [1], "x": "' + "y" * 1_000_000 + '"}'
    with served(folder, max_bodies_mb=2, max_body_mb=2) as clients:
        core = clients.server.core
        monkeypatch.setattr(Loaded, "run", held)
        first = request("tiny", {"x": np.zeros(250_000, "float32")})
        running = clients.prediction.Predict.future(first, 60)
        while core.held < 1_000_000:
            time.sleep(0.01)
        threads = [threading.Thread(target=clients.post, args=("tiny:predict", large))]
        threads[0].start()
        while core.held < 2_000_000:
            time.sleep(0.01)
        said = "The bodies of all requests in work together have 2 MiB, the most here; `max_bodies_mb` allows more."
        assert error(clients.post("tiny:predict", large)) == (429, said)
        packed = gzip.compress(large.encode())
        assert error(clients.post("tiny:predict", packed, headers={"content-encoding": "gzip"})) == (429, said)
        assert clients.refused(clients.prediction.Predict, first) == ("RESOURCE_EXHAUSTED", said)
        free.set()
        threads[0].join()
        running.result()
        while core.held:
            time.sleep(0.01)
        assert clients.post("tiny:predict", large).json() == {"predictions": [2.5]}


def test_what_was_refused_is_not_kept(clients):
    """Without the garbage collector: the last generation of it comes late, and a request may have 32 MB."""
    refused = lambda: [each for each in gc.get_objects() if isinstance(each, ServingError)]  # noqa: E731
    gc.collect()
    gc.disable()
    try:
        assert refused() == []
        for path, body in (
            ("tiny:predict", '{"instances": ['), ("tiny:predict", '{"instances": ["x"]}'), ("nope:predict", "{}"), ("", ""),
            ("tiny:predict", '{"signature_name": "picky", "instances": [-1]}'), ("tiny:predict", " " * 1_100_000),
        ):  # fmt: skip
            assert clients.post(path, body).status_code >= 400
        for packed in (b"no gzip", gzip.compress(bytes(2_000_000)), gzip.compress(b"{}")[:-2]):
            headers = {"content-encoding": "gzip"}
            assert clients.post("tiny:predict", packed, headers=headers).status_code in (400, 413)
        for asked in (
            request("tiny", {"x": "text"}),
            request("tiny", {"x": [-1.0]}, signature="picky"),
            request("", {}),
        ):
            clients.refused(clients.prediction.Predict, asked)
        clients.refused(clients.channel.unary_unary(PREDICT), b"no message")
        end = time.monotonic() + 30
        while refused() and time.monotonic() < end:  # an answer can be here before its request has ended
            time.sleep(0.05)
        assert refused() == []
    finally:
        gc.enable()


def test_deadlines(clients, monkeypatch):
    entered = threading.Event()

    def slow(self, *arguments):
        entered.set()
        time.sleep(0.4)
        return run(self, *arguments)

    run = Loaded.run
    monkeypatch.setattr(Loaded, "run", slow)
    with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
        clients.prediction.Predict(request("tiny", {"x": 1.0}), 0.1)
    monkeypatch.setattr(clients.server.core, "options", type(clients.server.core.options)(timeout=0.1))
    assert error(clients.post("tiny:predict", {"instances": [1]}))[0] == 504
    assert entered.is_set()


def test_too_many_at_a_time_and_a_full_queue(folder, monkeypatch):
    free = threading.Event()

    def held(self, *arguments):
        free.wait(60)
        return run(self, *arguments)

    run = Loaded.run
    with served(folder, max_concurrency=4, max_queue=1, batch_threads=1) as clients:
        monkeypatch.setattr(Loaded, "run", held)
        asked = [request("tiny", {"x": np.float32([number])}) for number in range(2)]
        running = [clients.prediction.Predict.future(asked[0], 60)]
        while not clients.server.core._batcher._running:
            time.sleep(0.01)
        running.append(clients.prediction.Predict.future(asked[1], 60))
        while not clients.server.core._batcher._waiting:
            time.sleep(0.01)
        assert error(clients.post("tiny:predict", {"instances": [1]}))[0] == 429
        code, said = clients.refused(clients.prediction.Predict, asked[0])
        assert code == "RESOURCE_EXHAUSTED" and "queue" in said
        free.set()
        assert [tf.make_ndarray(each.result().outputs["y"])[0] for each in running] == [2.0, 2.5]


# Token and TLS ------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for(folder, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    with served(folder, token_file=str(tmp_path / "token")) as clients:
        for headers in ({}, {"authorization": "Bearer other"}):
            assert error(clients.post("tiny:predict", {"instances": [1]}, headers=headers))[0] == 401
        right = {"authorization": "Bearer secret"}
        assert clients.post("tiny:predict", {"instances": [1]}, headers=right).status_code == 200
        assert clients.rest.get("/monitoring/prometheus/metrics").status_code == 401
        asked = request("tiny", {"x": 1.0})
        assert clients.refused(clients.prediction.Predict, asked)[0] == "UNAUTHENTICATED"
        assert clients.prediction.Predict(asked, 10, metadata=tuple(right.items())).outputs["y"].float_val == [2.5]
        health = health_pb2_grpc.HealthStub(clients.channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=60).status == 1


def test_tls(folder, tmp_path):
    import subprocess

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    import ssl

    with local_server(folder, tls_certificate=str(certificate), tls_key=str(key)) as server:
        channel = grpc.secure_channel(
            f"localhost:{server.port}", grpc.ssl_channel_credentials(certificate.read_bytes())
        )
        clients = Clients(server, channel, verify=ssl.create_default_context(cafile=str(certificate)))
        clients.rest.base_url = f"https://127.0.0.1:{server.rest_port}"
        assert clients.post("tiny:predict", {"instances": [1]}).json() == {"predictions": [2.5]}
        assert clients.predict("tiny", {"x": 1.0})["y"] == 2.5
        clients.close()


# Reload and the end -------------------------------------------------------------------------------------------------


def test_a_reload_names_no_folder_of_its_own(folder, tmp_path):
    with served(folder) as clients:
        call = clients.models.HandleReloadConfigRequest
        config = dict(name="renamed", base_path=str(folder), model_platform="tensorflow")
        call(reload_request(config), timeout=60)
        assert clients.predict("renamed", {"x": 1.0})["y"] == 2.5
        assert clients.refused(clients.prediction.Predict, request("tiny", {"x": 1.0}))[0] == "NOT_FOUND"
        write_model(tmp_path / "other" / "1")
        code, said = clients.refused(call, reload_request(config | {"base_path": str(tmp_path / "other")}))
        assert code == "INVALID_ARGUMENT" and "no folder that this server was started with" in said
        assert clients.refused(call, reload_request())[0] == "INVALID_ARGUMENT"
        labelled = config | {"version_labels": {"stable": 3}}
        call(reload_request(labelled), timeout=60)
        assert clients.predict("renamed", {"x": 1.0}, label="stable")["y"] == 2.5
        code, said = clients.refused(call, reload_request(config | {"version_labels": {"stable": 4}}))
        assert code == "FAILED_PRECONDITION" and "Request to assign label to 4 of model renamed" in said
        assert clients.predict("renamed", {"x": 1.0}, label="stable")["y"] == 2.5
        assert clients.predict("renamed", {"x": 1.0})["y"] == 2.5


def test_at_the_end_requests_in_work_finish_and_new_ones_hear_why(folder, monkeypatch):
    free = threading.Event()

    def held(self, *arguments):
        free.wait(60)
        return run(self, *arguments)

    run = Loaded.run
    with local_server(folder) as server:
        clients = Clients(server)
        clients.post("tiny:predict", {"instances": [1]})
        monkeypatch.setattr(Loaded, "run", held)
        running = clients.prediction.Predict.future(request("tiny", {"x": 1.0}), 60)
        while not server.core._batcher._running:
            time.sleep(0.01)
        server.core.draining = True
        assert error(clients.post("tiny:predict", {"instances": [1]}))[0] == 503
        assert clients.refused(clients.prediction.Predict, request("tiny", {"x": 1.0}))[0] == "UNAVAILABLE"
        threading.Timer(0.2, free.set).start()
    assert running.result().outputs["y"].float_val == [2.5]
    clients.close()


def test_what_a_server_cannot_start_with(folder, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name in ("rest_port", "port"):
            with pytest.raises(ValueError, match=rf"127.0.0.1:{port}: .*in use.*{name}=0"):
                with local_server(folder, **{name: port}):
                    pass
    (tmp_path / "empty").touch()
    for options, said in (
        (dict(tls_key="x"), "TLS needs both: `tls_certificate` and `tls_key`"),
        (dict(timeout=0.0), "timeout.* must be more than 0. Received: 0.0"),
        (dict(port=70000), "must be a port from 0 to 65535. Received: 70000"),
        (dict(token_file=str(tmp_path / "empty")), "is empty"),
        (dict(tls_key=str(tmp_path / "empty"), tls_certificate=str(tmp_path / "empty")), "TLS"),
    ):
        with pytest.raises(ValueError, match=said):
            with local_server(folder, **options):
                pass


def test_json_of_an_answer_reads_back_as_the_same_numbers(clients):
    x = np.random.default_rng(0).normal(size=(3, 50)).astype("float32")
    made = clients.post("tiny:predict", {"signature_name": "rows", "instances": x.tolist()})
    rows = json.loads(made.text)["predictions"]
    assert np.array_equal(np.float32([row["same"] for row in rows]), x)
