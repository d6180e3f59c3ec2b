"""The requests whose answers were worked out from TF Serving's source: ../shared/serving_cases."""

import importlib.util
import json
import os
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_case import equal, request, served

FOLDER = (
    Path(os.environ.get("SCS_KERAS_DATA") or Path(__file__).parents[2] / "shared" / "data").parent / "serving_cases"
)
FILE = FOLDER / "cases_dev.jsonl"
CASES = [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else [{"id": "none"}]
pytestmark = pytest.mark.needs_data("../serving_cases", "the request cases of TF Serving")


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    module = importlib.util.spec_from_file_location("fixture", FOLDER / "fixture.py")
    fixture = importlib.util.module_from_spec(module)
    module.loader.exec_module(fixture)
    folder = tmp_path_factory.mktemp("models") / "echo"
    fixture.write(str(folder / "7"))
    with served(folder) as clients:
        yield clients


@pytest.mark.parametrize("case", CASES, ids=[each["id"] for each in CASES])
def test_case(clients, case):
    (rest if case["transport"] == "rest" else rpc)(clients, case)


def rest(clients, case):
    answer = clients.rest.request(case["method"], case["path"], content=case["body"])
    assert answer.status_code == case["status"] and answer.headers["content-type"] == "application/json"
    if "json" in case:
        assert equal(json.loads(answer.text), json.loads(case["json"])), answer.text
    else:
        assert all(text in answer.json()["error"] for text in case["error_has"]), answer.text


def rpc(clients, case):
    asked = case["request"]
    inputs = {name: np.array(each["value"], each["dtype"]) for name, each in asked["inputs"].items()}
    message = request(asked["model"], inputs, signature=asked.get("signature", ""))
    try:
        answer = clients.prediction.Predict(message, 10)
    except grpc.RpcError as error:
        assert error.code().name == case["code"]
        assert all(text in error.details() for text in case["error_has"]), error.details()
        return
    assert case["code"] == "OK"
    spec = answer.model_spec
    found = dict(name=spec.name, version=spec.version.value, signature_name=spec.signature_name)
    assert found == case["model_spec"]
    for name, expected in case["outputs"].items():
        made = tf.make_ndarray(answer.outputs[name])
        assert made.dtype == expected["dtype"] and made.tolist() == expected["value"]
