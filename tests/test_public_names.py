"""Every public name: each layer's and model's build, config, file, eager step, streaming, other lengths; the rest runs.

A new name in `scs_keras.__all__` fails here until `CASES` has a case for it.
"""

import json

import keras
import numpy as np
import pytest
from keras import ops

import scs_keras
from tests.checks import assert_close, check_step, randomize

FRAMES = np.random.default_rng(0).random((2, 4, 8, 8, 2), "float32")


def check_layer(make, folder):
    """A layer from sequences to sequences: config, file, an eager training step, other lengths."""
    layer = make()
    expected = layer(FRAMES)
    randomize(layer)
    expected = layer(FRAMES)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    inputs = keras.Input((None, *FRAMES.shape[2:]))
    model = keras.Model(inputs, again(inputs))
    again.set_weights(layer.get_weights())
    assert_close(model(FRAMES), expected)
    assert_close(model(FRAMES[:, :2]), expected[:, :2])
    model.save(folder / "layer.keras")
    loaded = keras.saving.load_model(folder / "layer.keras")
    assert_close(loaded(FRAMES), expected)
    loaded.compile("sgd", "mse", run_eagerly=True)
    assert np.isfinite(loaded.train_on_batch(FRAMES, np.zeros(expected.shape)))
    return layer, expected


def scs_cell(folder):
    layer, expected = check_layer(lambda: keras.layers.RNN(scs_keras.SCSCell(3), return_sequences=True), folder)
    state = layer.cell.get_initial_state(batch_size=2)
    for index in range(FRAMES.shape[1]):
        output, state = layer.cell(FRAMES[:, index], state)
        assert_close(output, expected[:, index])


def scs2d(folder):
    layer, expected = check_layer(lambda: scs_keras.SCS2D(3, return_sequences=True), folder)
    gate = layer.cell.initial_gate * np.ones((2, 8, 8, 3), "float32")
    for index in range(FRAMES.shape[1]):
        output, gate = layer.step(FRAMES[:, index], gate)
        assert_close(output, expected[:, index])


def scs_network(folder):
    stages = [scs_keras.Stage(3, strides=2, pool=3), scs_keras.Stage(4, layers=2, shortcut_every=2)]
    layer, expected = check_layer(lambda: scs_keras.SCSNetwork(stages, normalization="group"), folder)
    states = layer.initial_states(2, 8, 8)
    for index in range(FRAMES.shape[1]):
        output, states = layer.step(FRAMES[:, index], states)
        assert_close(output, expected[:, index])


def trainable_model(average=False, **arguments):
    goal = None if average else scs_keras.goals.next_frame_difference
    network, head = scs_keras.SCSNetwork([3, 2]), keras.layers.Dense(2)
    model = scs_keras.SCSModel(network, head, temporal_goal=goal, average=average)
    model.build(FRAMES.shape)
    randomize(model)
    model.compile("adam", loss="mse", spatial_loss="mse", temporal_loss="mse", run_eagerly=True, **arguments)
    return model


def scs_model(folder, **arguments):
    for average in (False, True):
        model = trainable_model(average, **arguments)
        check_step(model, FRAMES)
        assert str(type(model).from_config(model.get_config()).get_config()) == str(model.get_config())
        assert np.all(np.isfinite(model.train_on_batch(FRAMES, FRAMES.mean(axis=1) if average else FRAMES)))
        model.save(folder / "model.keras")
        loaded = keras.saving.load_model(folder / "model.keras")
        assert_close(loaded(FRAMES), model(FRAMES))
        assert str(loaded.get_compile_config()) == str(model.get_compile_config())
        assert_close(loaded(FRAMES[:, :2]), model(FRAMES[:, :2]))


def metric_classes(folder):
    names = [name for name in scs_keras.metrics.__all__ if isinstance(getattr(scs_keras.metrics, name), type)]
    classes = [getattr(scs_keras.metrics, name) for name in names]
    classes = [each for each in classes if issubclass(each, keras.metrics.Metric)]
    assert len(classes) >= 9
    for each in classes:
        metric = each(0.5) if each is scs_keras.metrics.ThresholdAccuracy else each()
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert type(again) is each and again.get_config() == metric.get_config()
        again.update_state(FRAMES, FRAMES[::-1])
        assert np.isfinite(float(again.result()))


def callback(folder):
    switch = scs_keras.STSGD(0.5, decay_steps=2)
    inputs = keras.Input(FRAMES.shape[1:])
    model = keras.Model(inputs, scs_keras.SCS2D(2, switch=switch, return_sequences=True)(inputs))
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(FRAMES, FRAMES, epochs=2, callbacks=[scs_keras.SwitchCallback(switch)], verbose=0)
    assert int(switch.steps) == 2


def importance(folder):
    model = scs_keras.SCSModel(scs_keras.SCSNetwork([2]), keras.layers.Dense(2))
    model.build(FRAMES.shape)
    found = scs_keras.temporal_importance(
        model, FRAMES, FRAMES, lambda target, output: -ops.mean(ops.abs(target - output), (2, 3, 4))
    )
    assert np.all(np.isfinite(found))


def goals(folder):
    for name in ("next_frame_difference", "next_frame_flow"):
        goal = getattr(scs_keras.goals, name)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(goal))
        assert again is goal and goal(FRAMES[..., :1], FRAMES[..., :1]).shape[:4] == FRAMES.shape[:4]


def several_inputs():
    """A model of an image and of two sequences, with a recurrent head, and flow at two scales."""
    model = scs_keras.SCSModel(
        scs_keras.SCSNetwork([3, scs_keras.Stage(4, strides=2)]),
        scs_keras.RecurrentHead(keras.layers.GRU(3), after=keras.layers.Dense(2), inputs="speed"),
        temporal_head=scs_keras.ScaleHeads([keras.layers.Dense(2), keras.layers.Dense(2)], taps=(0, 1)),
        temporal_goal=scs_keras.goals.LastFrameFlow(scales=(1, 2)),
        backbone=scs_keras.JoinInputs({"frames": None, "image": None}),
        context="image",
        context_encoder=keras.layers.Conv2D(2, 3, padding="same"),
    )
    inputs = {"frames": FRAMES, "image": FRAMES[:, 0], "speed": FRAMES[:, :, 0, 0]}
    model.build({name: each.shape for name, each in inputs.items()})
    randomize(model)
    model.compile("adam", loss="mse", temporal_loss="mse", run_eagerly=True, long_sequence=scs_keras.LTSC(3))
    return model, inputs


def parts(folder):
    model, inputs = several_inputs()
    states, outputs = model.initial_states(inputs), []
    for index in range(FRAMES.shape[1]):
        frame = {name: inputs[name][:, index] for name in ("frames", "speed")}
        output, states = model.step(frame, states)
        outputs.append(output)
    assert_close(model.reduce_outputs(ops.stack(outputs, axis=1)), model(inputs))
    assert np.all(np.isfinite(model.train_on_batch(inputs, FRAMES[:, :, 0, 0])))
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert_close(loaded(inputs), model(inputs))
    assert_close(loaded(inputs, stream="temporal"), model(inputs, stream="temporal"))
    shorter = {name: each if name == "image" else each[:, :2] for name, each in inputs.items()}
    assert_close(model(shorter), model(inputs)[:, :2])


CASES = {
    "ASTSGD": lambda folder: scs_model(folder, switch=scs_keras.ASTSGD()),
    "JoinInputs": parts,
    "LTSC": lambda folder: scs_model(folder, long_sequence=scs_keras.LTSC(3)),
    "RecurrentHead": lambda folder: None,  # with JoinInputs
    "SCS2D": scs2d,
    "SCSCell": scs_cell,
    "SCSModel": scs_model,
    "SCSNetwork": scs_network,
    "STSGD": lambda folder: scs_model(folder, switch=scs_keras.STSGD(0.5)),
    "ScaleHeads": lambda folder: None,  # with JoinInputs
    "Stage": scs_network,
    "SwitchCallback": callback,
    "branch_maps": lambda folder: None,  # tests/test_action.py
    "expected_chains": lambda folder: np.testing.assert_array_equal(scs_keras.expected_chains(1, 1, 0), [0, 2]),
    "goals": goals,
    "metrics": metric_classes,
    "temporal_importance": importance,
    "zoo": lambda folder: None,  # tests/test_conformance.py
}


@pytest.mark.parametrize("name", scs_keras.__all__)
def test_public_names(name, tmp_path):
    assert name in CASES, f"{name} is public: CASES needs a case for it"
    CASES[name](tmp_path)
