"""SavedModel: a process with TensorFlow alone gives the model's numbers, whole and streamed."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.serving import export
from tests.presets import add_preset

CLIENT = """
import sys
for name in ("keras", "scs_keras"):
    sys.modules[name] = None                      # a client has neither
import numpy as np, tensorflow as tf
path, frames, result = sys.argv[1:]
frames = np.load(frames)
served = tf.saved_model.load(path)
whole = served.signatures["serving_default"](frames=tf.constant(frames))["output"]
state = served.signatures["initial_state"](batch_size=tf.constant(len(frames)))
for frame in np.moveaxis(frames, 1, 0):
    out = served.signatures["step"](frame=tf.constant(frame), **state)
    state = {key.removeprefix("next_"): value for key, value in out.items() if key != "output"}
np.savez(result, whole=whole, streamed=out["output"])
"""


def test_a_process_without_keras_gives_the_same_numbers(tmp_path):
    name = "scs_precipitation_small_radar"  # the README's export is the one with advection
    path = export.export(zoo.load(name), tmp_path / "served", size=(32, 40))
    frames = np.random.default_rng(1).random((3, 5, 32, 40, 1), "float32")
    np.save(tmp_path / "frames.npy", frames)
    command = [sys.executable, "-c", CLIENT, path, tmp_path / "frames.npy", tmp_path / "result.npz"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = np.asarray(zoo.load(name)(frames))
    with np.load(tmp_path / "result.npz") as arrays:
        np.testing.assert_allclose(arrays["whole"], expected, atol=1e-5)
        np.testing.assert_allclose(arrays["streamed"], expected, atol=1e-5)
    report = json.loads((path / "assets.extra" / "parity.json").read_text())
    assert path.name == "1" and max(report["largest_difference"].values()) <= 1e-5


@pytest.mark.slow
def test_video_models_are_served_whole(tmp_path, monkeypatch):
    preset = zoo.get_preset("tau_video_small_radar")
    arguments = dict(input_shape=(3, 16, 16, 1), output_length=4, hid_S=4, hid_T=16, N_S=2, N_T=2)
    add_preset(monkeypatch, replace(preset.with_arguments(**arguments), name="tiny"))
    path = export.export(zoo.load("tiny", weights=None), tmp_path / "served")
    report = json.loads((path / "assets.extra" / "parity.json").read_text())
    assert set(report["largest_difference"]) == {"serving_default"} and report["frame"] == [16, 16, 1]


def test_versions_count_up_and_a_wrong_export_gets_no_name(tmp_path, monkeypatch):
    (tmp_path / "4").mkdir()
    model = zoo.load("scs_precipitation_small_radar", weights=None)
    monkeypatch.setattr(export, "_write", lambda model, signatures, path: path.mkdir())
    monkeypatch.setattr(export, "check", lambda *arguments: {"serving_default": 0.0, "step": 0.0})
    assert export.export(model, tmp_path).name == "5"

    def wrong(*arguments):
        raise ValueError("The export does not give the model's numbers.")

    monkeypatch.setattr(export, "check", wrong)
    with pytest.raises(ValueError, match="does not give the model's numbers"):
        export.export(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    import tensorflow as tf

    class Archive:
        track = add_endpoint = lambda *arguments: None

        def write_out(self, path, verbose):
            raise tf.errors.ResourceExhaustedError(None, None, "{{node SaveV2}} part-0.temp; No space left on device")

    model = zoo.load("scs_precipitation_small_radar", weights=None)
    monkeypatch.setattr(keras.export, "ExportArchive", Archive)
    with pytest.raises(OSError, match=f"^{tmp_path}: the export cannot be written: No space left on device$"):
        export.export(model, tmp_path, size=(16, 16))
    assert not list(tmp_path.iterdir())


def test_the_check_sees_another_models_export(tmp_path):
    model, trained = (zoo.load("convlstm_precipitation_small_radar", weights=each) for each in (None, "preset"))
    signatures = zoo.signatures(model, (5, 16, 16, 1))
    export._write(model, signatures, tmp_path / "served")
    assert max(export.check(model, signatures, tmp_path / "served").values()) <= 1e-5
    with pytest.raises(ValueError, match="does not give the model's numbers"):
        export.check(trained, zoo.signatures(trained, (5, 16, 16, 1)), tmp_path / "served")


def test_signatures_of_a_model_that_takes_whole_inputs_and_of_one_that_streams():
    preset = zoo.get_preset("tau_video_small_radar")
    arguments = dict(input_shape=(3, 16, 16, 1), output_length=4, hid_S=4, hid_T=16, N_S=2, N_T=2)
    (whole,) = zoo.signatures(preset.with_arguments(**arguments).make())
    assert (whole.name, whole.outputs, whole.inputs[0].shape) == ("serving_default", ("output",), (3, 16, 16, 1))
    model = zoo.load("scs_precipitation_advection_small_radar", weights=None)
    signatures = {each.name: each for each in zoo.signatures(model, (5, 24, 32, 1))}
    assert list(signatures) == ["serving_default", "step", "initial_state"]
    assert [spec.shape for spec in signatures["step"].inputs] == [(24, 32, 1), (4, 24, 32, 1)]
    assert zoo.signatures(model)[0].inputs[0].shape == (5, 256, 256, 1)  # the preset's


def test_a_model_without_preset(tmp_path):
    with pytest.raises(ValueError, match="Export takes a model of the zoo. Received: Sequential"):
        export.export(keras.Sequential([keras.layers.Dense(1)]), tmp_path)


def test_size_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match=r"`size` must be positive. Received: \(0, 8\). For example: size="):
        export.export(zoo.load("scs_precipitation_small_radar", weights=None), tmp_path, size=(0, 8))


def test_export_needs_tensorflow(tmp_path, monkeypatch):
    model = zoo.load("scs_precipitation_small_radar", weights=None)
    monkeypatch.setattr(export.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export.export(model, tmp_path)
