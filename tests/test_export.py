"""SavedModel: a process with TensorFlow alone gives the model's numbers, whole and streamed."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import SCSModel, SCSNetwork, branch_maps, zoo
from scs_keras.core.signatures import Signature, Spec
from scs_keras.core.traced_once import traced_once
from scs_keras.serving import export
from scs_keras.serving.parity import ABSOLUTE, RELATIVE, Reference, differences, moving_frames
from scs_keras.serving.saved_model import one_trace, saved_model_runner, write_saved_model
from scs_keras.serving.signatures import served_signatures
from scs_keras.zoo.values import PIXELS, RAIN, Values
from tests.checks import randomize

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's")
TINY = "predrnn_video_small_moving_mnist"  # streams, takes pictures, and its graph is small

CLIENT = """
import sys
for name in ("keras", "scs_keras"):
    sys.modules[name] = None                      # a client has neither
import numpy as np, tensorflow as tf
path, frames, result = sys.argv[1:]
frames = np.load(frames)
served = tf.saved_model.load(path)
state, streamed = served.signatures["initial_state"](frame=tf.constant(frames[:, 0])), []
for frame in np.moveaxis(frames, 1, 0):
    out = served.signatures["step"](frame=tf.constant(frame), **state)
    state = {key.removeprefix("next_"): value for key, value in out.items() if key != "output"}
    streamed.append(out["output"])
with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # as TF Serving does
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], path)
    whole = {}
    for name, values in (("serving_default", frames), ("model", frames.astype("float32") / 255)):
        signature = loaded.signature_def[name]
        whole[name] = session.run(signature.outputs["output"].name, {signature.inputs["frames"].name: values})
np.savez(result, streamed=streamed[-1], **whole)
"""


def tiny():
    preset = zoo.get_preset(TINY)
    model = preset.with_arguments(**preset.reduced).make()
    randomize(model, scale=0.2)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(model, folder): a small model and its export."""
    model, folder = tiny(), tmp_path_factory.mktemp("export") / "served"
    assert export.export(model, folder) == folder / "1"
    return model, folder


@pytest.fixture(scope="module")
def served(exported):
    return saved_model_runner(exported[1] / "1")


def pixels(model, batch=3):
    return moving_frames(PIXELS, (batch, *model.preset.input_shape))


# Numbers ----------------------------------------------------------------------------------------------------------


def test_a_process_without_keras_gives_the_same_numbers(exported, tmp_path):
    model, folder = exported
    frames = pixels(model)
    np.save(tmp_path / "frames.npy", frames)
    command = [sys.executable, "-c", CLIENT, folder / "1", tmp_path / "frames.npy", tmp_path / "result.npz"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = np.asarray(model(model.preset.preprocess(frames)))
    with np.load(tmp_path / "result.npz") as arrays:
        np.testing.assert_allclose(arrays["model"], expected, atol=1e-5)
        for name in ("serving_default", "streamed"):
            assert arrays[name].dtype == "uint8"
            np.testing.assert_allclose(arrays[name].astype(int), model.preset.postprocess(expected), atol=1)


def test_pictures_as_files(exported, served):
    import tensorflow as tf

    model = exported[0]
    frames = pixels(model, 2)
    files = np.array([[tf.io.encode_png(frame).numpy() for frame in clip] for clip in frames])
    expected = served("serving_default", {"frames": frames})["output"]
    np.testing.assert_array_equal(served("serve_bytes", {"frames_bytes": files})["output"], expected)
    wide = np.array([[tf.io.encode_png(np.zeros((16, 18, 1), "uint8")).numpy()] * 4])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Image \[16,18,1\] is not compatible .* \[16,16,1\]"):
        served("serve_bytes", {"frames_bytes": wide})


@pytest.mark.parametrize("shape", [(1, 3, 16, 16, 1), (1, 4, 16, 20, 1), (1, 4, 16, 16, 3)])
def test_wrong_frames_fail_with_a_sentence(served, shape):
    import tensorflow as tf

    received = ",".join(map(str, shape))
    message = rf"Shape of tensor frames \[{received}\] is not compatible with expected shape \[\?,4,16,16,1\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served("serving_default", {"frames": np.zeros(shape, "uint8")})


def test_free_sizes_and_what_the_strides_cannot_take(tmp_path):
    import tensorflow as tf

    preset = zoo.get_preset("tau_video_small_radar")
    model = preset.with_arguments(**preset.reduced).make()
    signatures = [each for each in served_signatures(model, (4, None, None, 1)) if each.name == "model"]
    write_saved_model(model, signatures, tmp_path / "served")
    run = saved_model_runner(tmp_path / "served")
    frames = np.random.default_rng(0).random((2, 4, 20, 12, 1), "float32")
    np.testing.assert_allclose(run("model", {"frames": frames})["output"], model(frames), atol=1e-5)
    message = r"Height and width of frames must be multiples of 2. Received shape:.* \[2 4 19 12 1\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run("model", {"frames": frames[:, :, 1:]})


def test_what_is_beside_the_graph(exported):
    model, folder = exported
    extra = folder / "1" / "assets.extra"
    record = json.loads((extra / "preset.json").read_text())
    assert record["name"] == TINY and record["takes"]["dtype"] == "uint8" and record["takes"]["high"] == 255
    assert list(record["signatures"]) == ["serving_default", "model", "serve_bytes", "step", "initial_state"]
    assert record["signatures"]["step"]["inputs"]["frame"] == ["uint8", 16, 16, 1]
    parity = json.loads((extra / "parity.json").read_text())
    assert parity["preset"] == TINY and parity["frames"] == list(model.preset.input_shape)
    assert set(parity["parity"]["saved_model"]) == {"model", "model of noise", "serving_default", "step"}
    assert parity["parity"]["saved_model"]["model"]["output"]["difference"] <= ABSOLUTE
    assert not (extra / "labels.txt").exists()


def test_clients_are_told_the_sizes_and_the_batch_is_free(exported):
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(exported[1] / "1"))
    sizes = {
        (name, key): [axis.size for axis in info.tensor_shape.dim]
        for name in ("serving_default", "model", "serve_bytes", "step", "initial_state")
        for side in ("inputs", "outputs")
        for key, info in getattr(loaded.signature_def[name], side).items()
    }
    assert sizes["serving_default", "frames"] == [-1, 4, 16, 16, 1] and sizes["serve_bytes", "frames_bytes"] == [-1, 4]
    assert sizes["step", "state_0"] == sizes["initial_state", "state_0"] == [-1, 8, 8, 4]
    assert all(shape[0] == -1 for shape in sizes.values())  # batching needs it of every input and output


def test_all_calls_of_the_model_are_one_trace():
    calls = []

    class Model:
        def call(self, x, training=None):
            calls.append(training)
            return x + 1

    model = Model()
    with one_trace(model):
        for options in ({}, dict(training=False), dict(training=None)):
            np.testing.assert_array_equal(model.call(keras.ops.zeros((2, 3)), **options), np.ones((2, 3)))
    assert len(calls) == 1 and model.call(np.zeros(3))[0] == 1 and len(calls) == 2


# The check --------------------------------------------------------------------------------------------------------


def test_what_is_traced_once_is_one_function_of_the_graph():
    made = []

    @traced_once
    def scaled(x, *, by):
        made.append(by)
        return by * x

    model = keras.Sequential([keras.layers.Identity()])
    x = np.ones((2, 3), "float32")
    assert scaled(scaled(x, by=2.0), by=2.0).sum() == 4 * 6 and made == [2.0, 2.0]
    made.clear()
    with one_trace(model):
        for by in (2.0, 2.0, 3.0):
            np.testing.assert_array_equal(scaled(x, by=by), by * x)
    assert made == [2.0, 3.0]


def test_the_check_sees_another_models_export(exported):
    model, folder = exported
    other = tiny()
    randomize(other, seed=2, scale=0.2)
    shape = model.preset.input_shape
    run = saved_model_runner(folder / "1")
    assert Reference(model, served_signatures(model, shape), shape).compare(run, "SavedModel")
    with pytest.raises(ValueError, match="The SavedModel does not give the model's numbers: output of model is off by"):
        Reference(other, served_signatures(other, shape), shape).compare(run, "SavedModel")


def test_the_check_sees_a_stream_that_goes_wrong(exported):
    model, folder = exported
    shape = model.preset.input_shape
    run = saved_model_runner(folder / "1")

    def forgets(name, inputs):
        made = run(name, inputs)
        return {key: 0 * each if key == "next_state_0" else each for key, each in made.items()}

    with pytest.raises(ValueError, match="output of step is off by"):
        Reference(model, served_signatures(model, shape), shape).compare(forgets, "SavedModel")


def test_differences_are_measured_as_the_values_are():
    image = np.array([[[0.0, 0.04], [2.0, 50.0]]])
    near = image * (1 + 1e-4)
    assert differences(near, image, RAIN, RELATIVE)["difference"] == pytest.approx(1e-4, rel=1e-3)
    assert differences(near, image, Values(), ABSOLUTE)["difference"] == pytest.approx(1e-4, rel=1e-3)
    assert differences(near / 100, image / 100, Values(), ABSOLUTE)["difference"] == pytest.approx(5e-5, rel=1e-3)
    angles = Values(low=-25.0, high=25.0, unit="degrees")
    assert differences(near, image, angles, ABSOLUTE)["difference"] == pytest.approx(1e-4, rel=1e-3)
    flipped = near.copy()
    flipped[0, 0] = [0.04, 0.0]
    measured = differences(flipped, image, RAIN, RELATIVE)
    assert measured["flipped"] == 0.5 and measured["difference"] <= RELATIVE
    assert differences(flipped, image, replace(RAIN, gap=0.0), RELATIVE)["difference"] == pytest.approx(0.4)
    swapped = image[..., ::-1]
    measured = differences(swapped, image, replace(RAIN, ranked=True), RELATIVE)
    assert measured["moved"] == 1.0 and measured["difference"] == 0.0
    assert differences(np.array([3, 250]), np.array([4, 250]), PIXELS, RELATIVE) == dict(difference=1, allowed=1)
    assert differences(np.array([np.nan]), np.array([0.0]), RAIN, RELATIVE)["difference"] == np.inf
    assert differences(image[:, 0], image, RAIN, RELATIVE)["difference"] == np.inf


# Versions ---------------------------------------------------------------------------------------------------------


def written(monkeypatch):
    """Exports write an empty folder with one file."""
    monkeypatch.setattr(export, "write_saved_model", lambda model, signatures, path: path.mkdir())
    monkeypatch.setattr(export, "write_warmup", lambda path, *arguments: path.touch())
    monkeypatch.setattr(export, "_prove", lambda *arguments: {})


def test_versions_count_up_and_a_wrong_export_gets_no_name(tmp_path, monkeypatch):
    (tmp_path / "4").mkdir()
    written(monkeypatch)
    assert export.export(tiny(), tmp_path).name == "5"

    def wrong(*arguments):
        raise ValueError("The export does not give the model's numbers.")

    monkeypatch.setattr(export, "_prove", wrong)
    with pytest.raises(ValueError, match="does not give the model's numbers"):
        export.export(tiny(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5", "tf_serving"]


def test_two_exports_at_once_are_two_versions(tmp_path, monkeypatch):
    """The other one takes the number that this one has seen to be free."""
    written(monkeypatch)
    seen = export.versions_in
    looks = iter([lambda folder: [], seen, seen])
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    monkeypatch.setattr(export, "versions_in", lambda folder: next(looks)(folder))
    assert export.export(tiny(), tmp_path).name == "2"
    assert (tmp_path / "1" / "saved_model.pb").exists()


def test_what_a_killed_export_left_is_removed(tmp_path, monkeypatch):
    written(monkeypatch)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f".{gone.stdout.strip()}.version"
    left.mkdir()
    (left / "saved_model.pb").touch()
    runs = tmp_path / f".{os.getppid()}.version"  # another export that is still writing
    runs.mkdir()
    export.export(tiny(), tmp_path)
    assert not left.exists() and runs.exists() and (tmp_path / "1").exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    import tensorflow as tf

    def full(module, path, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "{{node SaveV2}} part-0.temp; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match=f"^{tmp_path}: the export cannot be written: No space left on device$"):
        export.export(tiny(), tmp_path)
    assert not list(tmp_path.iterdir())


# Signatures -------------------------------------------------------------------------------------------------------


def test_signatures_of_a_model_that_takes_whole_inputs_and_of_one_that_streams():
    preset = zoo.get_preset("tau_video_small_radar")
    model = preset.with_arguments(**preset.reduced).make()
    signatures = served_signatures(model, (4, 16, 16, 1))
    assert [each.name for each in signatures] == ["serving_default", "model"]  # radar is no picture
    assert signatures[0].inputs == (Spec("frames", (4, 16, 16, 1), "float32"),)
    assert "keep the last 4 frames and call serving_default" in export.how_to_stream(model)[0]
    model = zoo.load("scs_precipitation_advection_small_radar", weights=None)
    signatures = {each.name: each for each in served_signatures(model, (5, 24, 32, 1))}
    assert list(signatures) == ["serving_default", "model", "step", "initial_state", "explain"]
    assert [spec.shape for spec in signatures["step"].inputs] == [(24, 32, 1), (4, 24, 32, 1)]
    first = np.full((2, 24, 32, 1), 5.0, "float32")  # mm/h
    (state,) = signatures["initial_state"].function(keras.ops.convert_to_tensor(first))
    expected = np.broadcast_to(model.preset.preprocess(first)[:, None], (2, 4, 24, 32, 1))
    np.testing.assert_allclose(state, expected, atol=1e-6)  # no blank images before the first
    assert export.how_to_stream(model) == []


def test_the_best_classes_have_their_labels():
    labels = tuple("abcdefg")
    scores = keras.ops.convert_to_tensor([[0.1, 0.2, 0.05, 0.3, 0.15, 0.15, 0.05]])
    preset = replace(zoo.get_preset(TINY), labels=labels, postprocess="tests.test_export:unchanged")
    whole = Signature("model", (Spec("frames", (4,)),), ("output",), lambda frames: (scores,))

    class Model:
        pass

    model = Model()
    model.preset = preset
    from scs_keras.serving.signatures import _in_values

    signature = _in_values(model, whole)
    output, best, ordered = signature.function(keras.ops.zeros((1, 4), "uint8"))
    assert signature.outputs == ("output", "labels", "scores") and output is scores
    assert [each.decode() for each in best.numpy()[0]][:2] == ["d", "b"] and best.shape == (1, 5)
    np.testing.assert_allclose(ordered[0, :2], [0.3, 0.2])


def unchanged(values):
    return values


# Several inputs, and what semi-coupled layers see -----------------------------------------------------------------


class Marked(keras.Layer):
    """The image's features and maps of the cells of two vertices."""

    def call(self, inputs, training=False):
        maps = ops.one_hot(ops.cast(inputs["vertices"], "int32"), 16)
        maps = ops.reshape(ops.transpose(maps, (0, 2, 1)), (-1, 4, 4, 2))
        return ops.concatenate([inputs["image"], maps], axis=-1)


def ready(inputs):
    """`preprocess`: pixels to [0, 1]; of a step there is no image."""
    return {
        name: ops.cast(each, "float32") / 255.0 if name == "image" else ops.convert_to_tensor(each)
        for name, each in inputs.items()
    }


def corners(preset):
    image = np.random.default_rng(0).random((1, *preset.input_shape["image"]), "float32")
    return {"image": image, "vertices": np.array([[[0, 5], [5, 3], [3, 12], [12, 0]]], "int32")}


@pytest.fixture(scope="module")
def of_image_and_vertices():
    """A model of an image and the vertices so far, whose T1 and T2 learn the main goal."""
    model = SCSModel(
        SCSNetwork([2, dict(filters=3, layers=2, shortcut_every=2)]),
        keras.layers.Dense(1),
        backbone=Marked(),
        context="image",
        context_encoder=keras.layers.AveragePooling2D(2),
    )
    model.compile(loss="mse", spatial_loss="mse", temporal_loss="mse")
    shapes = {"image": (8, 8, 3), "vertices": (4, 2)}
    model.build({name: (None, *shape) for name, shape in shapes.items()})
    randomize(model)
    model.preset = replace(
        zoo.get_preset(TINY),
        name="outlines",
        input_shape=shapes,
        takes={"image": PIXELS, "vertices": Values("int32", 0, 15, "cell")},
        preprocess="tests.test_export:ready",
        postprocess="tests.test_export:unchanged",
        example="tests.test_export:corners",
    )
    return model


def test_several_inputs_keep_their_names_and_types(of_image_and_vertices, tmp_path):
    """Written, compared and warmed up like one: an image for the whole sequence, vertices as whole numbers."""
    import tensorflow as tf

    model = of_image_and_vertices
    path = export.export(model, tmp_path)  # compares all signatures, streams too
    record = json.loads((path / "assets.extra" / "preset.json").read_text())
    inputs = {name: each["inputs"] for name, each in record["signatures"].items()}
    whole = dict(image=["uint8", 8, 8, 3], vertices=["int32", 4, 2])
    assert inputs["serving_default"] == inputs["explain"] == whole
    assert inputs["model"] == dict(whole, image=["float32", 8, 8, 3])
    assert inputs["serve_bytes"] == dict(image_bytes=["string"], vertices=["int32", 4, 2])
    assert inputs["initial_state"] == dict(image=["uint8", 8, 8, 3], vertices=["int32", 2])
    assert list(inputs["step"]) == ["vertices", "state_0", "state_1", "state_2", "state_3"]
    assert record["takes"]["vertices"]["unit"] == "cell" and record["takes"]["image"]["high"] == 255
    records = list(tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests")))
    assert len(records) == 2 * len(inputs)

    run, image = saved_model_runner(path), np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), "uint8")
    vertices = np.repeat(corners(model.preset)["vertices"], 2, axis=0)
    expected = run("serving_default", dict(image=image, vertices=vertices))["output"]
    files = np.array([tf.io.encode_png(each).numpy() for each in image])
    np.testing.assert_array_equal(run("serve_bytes", dict(image_bytes=files, vertices=vertices))["output"], expected)
    np.testing.assert_allclose(expected, model(ready(dict(image=image, vertices=vertices))), atol=1e-5)
    with pytest.raises(ValueError, match="`size` is for presets of one sequence of frames. Received: outlines, which"):
        export.export(model, tmp_path, size=(8, 8))


def test_explain_is_the_branches_and_what_time_adds(of_image_and_vertices):
    model = of_image_and_vertices
    explain = {each.name: each for each in served_signatures(model, model.preset.input_shape)}["explain"]
    assert explain.outputs == ("h_s_0", "h_t_0", "h_s_1", "h_t_1", "h_s_2", "h_t_2", "importance")
    example = corners(model.preset)
    pixels = np.round(255 * example["image"]).astype("uint8")
    found = dict(zip(explain.outputs, explain.function(pixels, example["vertices"])))
    seen = ready(dict(image=pixels, vertices=example["vertices"]))
    for layer in range(3):
        maps = branch_maps(model, seen, layer)
        for name in ("h_s", "h_t"):
            np.testing.assert_allclose(found[f"{name}_{layer}"], maps[name].mean(axis=-1), atol=1e-6)
    added = model(seen, stream="temporal") - model(seen, stream="spatial")
    np.testing.assert_allclose(found["importance"], added, atol=1e-6)
    assert np.abs(added).max() > 1e-3


@pytest.mark.parametrize("name", ["scs_precipitation_nowcast_small_radar", "scs_precipitation_advection_small_radar"])
def test_what_the_encoder_of_a_forecaster_sees_is_explained(name, monkeypatch):
    """What `explain` gives the network is what the forecast gives it; its sub-goals are others, so no importance."""
    preset = zoo.get_preset(name)
    model = preset.with_arguments(**preset.reduced).make()
    seen, run = [], model.network.run

    def looked_at(sequence, *rest, **options):
        seen.append(sequence)
        return run(sequence, *rest, **options)

    monkeypatch.setattr(model.network, "run", looked_at)
    frames = model.preset.make_example()
    model(frames)
    np.testing.assert_allclose(model.seen_by_network(frames), seen[0], atol=1e-6)
    names = served_signatures(model, model.preset.input_shape)[-1].outputs
    assert names[:2] == ("h_s_0", "h_t_0") and "importance" not in names
    assert names[-1] == f"h_t_{len(model.network.scs_layers) - 1}"


# Errors -----------------------------------------------------------------------------------------------------------


def test_a_model_without_preset(tmp_path):
    with pytest.raises(ValueError, match="Export takes a model of the zoo. Received: Sequential"):
        export.export(keras.Sequential([keras.layers.Dense(1)]), tmp_path)


def test_size_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match=r"`size` must be positive. Received: \(0, 8\). For example: size="):
        export.export(tiny(), tmp_path, size=(0, 8))


def test_a_size_that_the_strides_cannot_take(tmp_path):
    with pytest.raises(ValueError, match="multiples of 2. Received: height 15, width 16"):
        export.export(tiny(), tmp_path, size=(15, 16))
    assert not list(tmp_path.iterdir())


def test_steps_must_be_positive_and_there_to_predict(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="`steps` must be at least 1. Received: 0"):
        export.export(tiny(), tmp_path, steps=0)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.preset = zoo.get_preset(TINY)
    with pytest.raises(ValueError, match="Sequential predicts no frames. Received: steps=3"):
        export.export(model, tmp_path, steps=3)


def test_formats_are_known_and_their_packages_there(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="There is no format 'onx'. Did you mean 'onnx'"):
        export.export(tiny(), tmp_path, formats=["onx"])
    monkeypatch.setitem(export.FORMATS, "litert", ("scs_keras.serving.litert", ("package_of_nobody",)))
    message = r'needs package_of_nobody. Type: pip install "scs-keras\[litert\]"'
    with pytest.raises(ImportError, match=message):
        export.export(tiny(), tmp_path, formats=["litert"])


def test_export_needs_tensorflow(tmp_path, monkeypatch):
    model = tiny()
    monkeypatch.setattr(export.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export.export(model, tmp_path)
