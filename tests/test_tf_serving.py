"""What lies beside the versions for TF Serving: configurations and warm-up requests, read by its official messages."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras.core.signatures import Signature, Spec
from scs_keras.serving.tf_serving import versions_in, with_versions, write_tf_serving
from scs_keras.serving.warmup import write_warmup

NAME = "scs_precipitation_small_radar"


@pytest.fixture
def folder(tmp_path):
    """An export folder with one version."""
    (tmp_path / "1").mkdir()
    write_tf_serving(tmp_path, NAME)
    return tmp_path


def models(folder):
    return (folder / "tf_serving" / "models.config").read_text()


def label(text, name):
    return int(re.search(rf'key: "{name}" value: (\d+)', text)[1])


def listed(text):
    return [int(each) for each in re.findall(r"versions: (\d+)", text)]


def test_a_later_version_becomes_canary_and_stable_stays(folder):
    first = models(folder)
    assert (label(first, "stable"), label(first, "canary"), listed(first)) == (1, 1, [1])
    assert f'name: "{NAME}"' in first and f'base_path: "/models/{NAME}"' in first
    for version in ("2", "3"):
        (folder / version).mkdir()
        write_tf_serving(folder, NAME)
    text = models(folder)
    assert (label(text, "stable"), label(text, "canary"), listed(text)) == (1, 3, [1, 2, 3])


def test_what_a_person_changed_stays(folder):
    """Stable moved on by hand, a version taken out, a batch size: the next export touches none of it."""
    for version in ("2", "3"):
        (folder / version).mkdir()
    changed = (
        models(folder).replace('key: "stable" value: 1', 'key: "stable" value: 2').replace("versions: 1", "versions: 2")
    )
    (folder / "tf_serving" / "models.config").write_text("# mine\n" + changed)
    (folder / "tf_serving" / "batching.config").write_text("mine")
    write_tf_serving(folder, NAME)
    text = models(folder)
    assert text.startswith("# mine\n") and (folder / "tf_serving" / "batching.config").read_text() == "mine"
    assert (label(text, "stable"), label(text, "canary"), listed(text)) == (2, 3, [2, 3])
    assert with_versions(text, [1, 2, 3]) == text  # nothing newer


def test_only_whole_numbers_are_versions(folder):
    for name in (".12.version", "2x", "assets"):
        (folder / name).mkdir()
    (folder / "7").touch()
    assert versions_in(folder) == [1]


def test_batch_sizes_end_at_the_largest(folder):
    """The server does not start otherwise."""
    text = (folder / "tf_serving" / "batching.config").read_text()
    sizes = [int(each) for each in re.findall(r"allowed_batch_sizes: (\d+)", text)]
    assert sizes == sorted(set(sizes)) and sizes[-1] == int(re.search(r"max_batch_size { value: (\d+)", text)[1])


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes.yaml"])
def test_the_servers_flags_name_files_that_are_there(folder, file):
    yaml = pytest.importorskip("yaml", reason="reads the manifests")
    text = (folder / "tf_serving" / file).read_text()
    documents = list(yaml.safe_load_all(text))
    if file == "compose.yaml":
        service = documents[0]["services"]["tf-serving"]
        flags, mount = service["command"], service["volumes"][0].split(":")[1]
    else:
        assert [each["kind"] for each in documents] == ["Deployment", "Service"]
        container = documents[0]["spec"]["template"]["spec"]["containers"][0]
        flags, mount = container["args"], container["volumeMounts"][0]["mountPath"]
        assert documents[1]["spec"]["selector"] == documents[0]["spec"]["selector"]["matchLabels"]
    flags = dict(flag.removeprefix("--").split("=") for flag in flags)
    assert mount == f"/models/{NAME}" and flags["enable_batching"] == "true"
    for name in ("model_config_file", "batching_parameters_file", "monitoring_config_file"):
        assert (folder / Path(flags[name]).relative_to(mount)).is_file()


OFFICIAL = """
import json, struct, sys
protos, folder, requests = sys.argv[1:]
sys.path.insert(0, protos)
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2, monitoring_config_pb2
from tensorflow_serving.servables.tensorflow.session_bundle_config_pb2 import BatchingParameters
read = lambda name, message: text_format.Parse(open(f"{folder}/{name}.config").read(), message)
config = read("models", model_server_config_pb2.ModelServerConfig()).model_config_list.config[0]
batching = read("batching", BatchingParameters())
monitoring = read("monitoring", monitoring_config_pb2.MonitoringConfig())
found = dict(name=config.name, path=config.base_path, platform=config.model_platform, labels=dict(config.version_labels),
             versions=list(config.model_version_policy.specific.versions), sizes=list(batching.allowed_batch_sizes),
             largest=batching.max_batch_size.value, metrics=monitoring.prometheus_config.path, requests=[])
data = open(requests, "rb").read()
while data:
    length, = struct.unpack("<Q", data[:8])
    log = prediction_log_pb2.PredictionLog.FromString(data[12:12 + length])
    data = data[16 + length:]
    request = log.predict_log.request
    shapes = {name: [axis.size for axis in value.tensor_shape.dim] for name, value in request.inputs.items()}
    found["requests"].append([request.model_spec.name, request.model_spec.signature_name, shapes])
print(json.dumps(found))
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's")
def test_official_messages_read_it_all(folder, tmp_path):
    """The protos of TF Serving that the package pythie-serving holds; it needs no TensorFlow."""
    found = importlib.util.find_spec("pythie_serving")
    if found is None:
        pytest.skip("needs TF Serving's messages: pip install --no-deps pythie-serving")
    (tmp_path / "2").mkdir()
    write_tf_serving(folder, NAME)
    signatures = [
        Signature("serving_default", (Spec("frames", (5, None, None, 1), "float32"),), ("output",), None),
        Signature("step", (Spec("frame", (8, 8, 1), "uint8"), Spec("state_0", (4, 4, 2))), ("output",), None),
    ]
    write_warmup(tmp_path / "requests", NAME, signatures, (16, 24))
    protos = Path(found.submodule_search_locations[0]) / "tensorflow_proto"
    command = [sys.executable, "-c", OFFICIAL, protos, folder / "tf_serving", tmp_path / "requests"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    read = json.loads(result.stdout)
    assert (read["name"], read["path"], read["platform"]) == (NAME, f"/models/{NAME}", "tensorflow")
    assert read["labels"] == {"stable": 1, "canary": 2} and read["versions"] == [1, 2]
    assert read["sizes"][-1] == read["largest"] and read["metrics"].startswith("/monitoring")
    assert read["requests"] == [
        [NAME, signature, {name: [batch, *shape] for name, shape in shapes.items()}]
        for signature, shapes in (
            ("serving_default", {"frames": [5, 16, 24, 1]}),
            ("step", {"frame": [8, 8, 1], "state_0": [4, 4, 2]}),
        )
        for batch in (1, 8)
    ]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's")
def test_one_value_stands_for_a_whole_tensor():
    import tensorflow as tf

    from scs_keras.serving.warmup import constant

    for spec, expected in (
        (Spec("frames", (2, 3), "uint8"), np.zeros((8, 2, 3), "uint8")),
        (Spec("state", (2,)), np.zeros((8, 2), "float32")),
    ):
        proto = constant(spec, 8, (4, 6))
        assert proto.ByteSize() < 40
        made = tf.io.parse_tensor(proto.SerializeToString(), proto.dtype).numpy()  # as the server reads it
        np.testing.assert_array_equal(made, expected)
        assert made.dtype == spec.dtype
    proto = constant(Spec("frames_bytes", (2,), "string"), 8, (4, 6))
    files = tf.io.parse_tensor(proto.SerializeToString(), tf.string)
    assert files.shape == (8, 2) and tf.io.decode_png(files[7, 1]).shape == (4, 6, 1)
