"""Steering: presets, builder, head and loss, scores, baselines, streamed angles, recipe."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import STSGD, metrics, zoo
from scs_keras.core.goals import LastFrameFlow
from scs_keras.training.driving.baselines import Ridge, baselines, small
from scs_keras.training.driving.drives import Drive
from scs_keras.training.driving.predictors import Streamed, predictors
from scs_keras.training.driving.recipe import Steering
from scs_keras.training.driving.samples import DrivingSamples
from scs_keras.training.driving.scores import DrivingScores, angle_scores
from scs_keras.training.evaluate import evaluate, score
from scs_keras.training.recipe import with_settings
from scs_keras.training.source import Source
from scs_keras.training.task import task
from scs_keras.zoo.driving.builder import build
from scs_keras.zoo.driving.model import AngleError, AngleHead
from scs_keras.zoo.words import typed
from tests.checks import assert_close, in_own_process, randomize, sigmoid, to_numpy

SMALL = ("scs_driving_small_rc", "lstm_driving_small_rc", "cnn_driving_small_rc")
SHAPE = (3, 8, 12, 3)
TINY = dict(input_shape=SHAPE, arguments=dict(structure=[dict(filters=3, strides=2)]))


def tiny(**changes):
    """A small SCS model with its preset, at random weights."""
    changes = {**TINY, "flow_stages": (), "sub_goals": "none", "switch": "none", **changes}
    model = zoo.get_preset("scs_driving_small_rc").with_arguments(**changes).make()
    randomize(model, scale=0.5)
    return model


def pixels(count=1, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(256, size=(count, *shape), dtype="uint8")


# Models -------------------------------------------------------------------------------------------------------------


def test_every_row_of_table_5_for_both_data_sets():
    presets = {preset.name: preset for preset in zoo.list_presets("driving")}
    for data in ("livi", "comma"):
        scs, lstm, cnn = (
            presets[f"{kind}_{data}"] for kind in ("scs_driving_17", "lstm_driving_resnet18", "resnet18_driving")
        )
        assert scs.input_shape == lstm.input_shape == (7, 64, 192, 3) and cnn.input_shape == (1, 64, 192, 3)
        assert {each.dataset for each in (scs, lstm, cnn)} == {data} and scs.output_shape == (1,)
    shorter = scs.with_arguments(input_shape=(3, 64, 192, 3), p=0.3)
    assert shorter.output_shape == (1,) and shorter.with_arguments(per_frame=True).output_shape == (3, 1)
    assert scs.gives["output"].unit == "degrees" and scs.takes.dtype == "uint8"


def parameters_of(name, **arguments):
    model = zoo.load(name, weights=None, **arguments)
    count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return count, len(getattr(model.network, "scs_layers", ()))


def test_small_models_are_of_one_size():
    counts = [parameters_of(name)[0] for name in SMALL]
    assert 60_000 <= min(counts) and max(counts) <= min(120_000, 1.1 * min(counts)), counts


def sizes_of_the_paper():
    """(parameters, layers) at 17 and at 15 layers, with ResNet-18 alone, with VGG before an LSTM."""
    shape = (3, 32, 96, 3)
    return [
        parameters_of("scs_driving_17_livi", input_shape=shape),
        parameters_of("scs_driving_17_livi", input_shape=shape, depth=15),
        parameters_of("resnet18_driving_comma", input_shape=(1, *shape[1:])),
        parameters_of("lstm_driving_resnet18_comma", input_shape=shape, backbone="vgg16"),
    ]


@pytest.mark.slow
def test_depths_and_backbones_of_the_paper():
    deep, shallow, resnet, vgg = in_own_process(sizes_of_the_paper)
    assert (deep[1], shallow[1]) == (17, 15) and deep[0] > shallow[0]
    assert resnet[0] == 11_176_512 + 513  # ResNet-18 without its classifier, one angle
    assert vgg[0] == 14_714_688 + 4 * 512 * (512 + 512 + 1) + 513


def test_the_head_is_a_sigmoid_of_stated_slope():
    features = np.random.default_rng(0).normal(size=(2, 3, 2, 4, 5)).astype("float32")
    for flatten, seen in ((True, features.reshape(2, 3, -1)), (False, features.mean(axis=(2, 3)))):
        head = AngleHead(40.0, slope=0.7, flatten=flatten, hidden=(6,))
        head.build(features.shape)
        randomize(head)
        first, bias, last, level = (to_numpy(each) for each in head.trainable_variables)
        z = np.maximum(seen @ first + bias, 0) @ last + level
        assert_close(head(features), 40 * (2 * sigmoid(0.7 * z) - 1))
        assert type(head).from_config(head.get_config())(features).shape == (2, 3, 1)


def test_the_loss_is_in_units_of_the_sigmoid():
    true, made = np.array([[10.0], [-25.0]]), np.array([[5.0], [25.0]])
    assert float(AngleError(25.0)(true, made)) == pytest.approx((0.1**2 + 1) / 2)
    assert AngleError.from_config(AngleError(30.0).get_config()).limit == 30.0
    units = (true + 25) / 50, (made + 25) / 50
    assert float(AngleError(25.0)(true, made)) == pytest.approx(float(keras.losses.MeanSquaredError()(*units)))


def test_the_answer_is_the_last_frames_and_t1_sees_no_other():
    model = tiny(sub_goals="same")
    x = model.preset.preprocess(pixels())
    changed = x.copy()
    changed[:, 0] = 1 - changed[:, 0]
    outputs, others = (model(each, stream=("main", "spatial", "temporal")) for each in (x, changed))
    assert outputs["main"].shape == (1, 1) and np.abs(to_numpy(outputs["main"])).max() < 25
    assert_close(outputs["spatial"], others["spatial"])
    for stream in ("main", "temporal"):
        assert np.abs(to_numpy(outputs[stream]) - to_numpy(others[stream])).max() > 1e-4
    every = tiny(per_frame=True)
    every.set_weights(model.get_weights())
    assert_close(every(x)[:, -1], outputs["main"])


def test_goals_and_schemes_are_arguments():
    flow = build("scs", **TINY, sub_goals="flow", switch="stsgd", p=0.3, decay_steps=7)
    assert isinstance(flow.goals["temporal"], LastFrameFlow) and flow.reduce == "last"
    assert isinstance(flow.switch, STSGD) and (flow.switch.p0, flow.switch.decay_steps) == (pytest.approx(0.3), 7)
    assert build("scs", **TINY, switch="stsgd", p=0.0).switch.p0 == 0
    clips = build("scs", **TINY, clip_length=2, overlap_weight=2.0).long_sequence
    assert clips.length == 2 and clips.overlap_weight == pytest.approx(2 / 50**2)
    assert build("scs", **TINY, sub_goals="same").goals == dict(spatial=None, temporal=None)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(network="gru"), "network"),
        (dict(sub_goals="both"), "sub_goals"),
        (dict(switch="off"), "switch"),
        (dict(depth=16), "17 (Sec. 5.7) or 15 (Tab. 8)"),
        (dict(network="lstm", depth=15, backbone="small_cnn"), "Received: network='lstm', depth=15"),
        (dict(network="lstm"), "An LSTM or a CNN sees the features of a backbone"),
        (dict(network="cnn", backbone="small_cnn"), "A CNN sees the last frame alone. Received: network='cnn', input_shape=(3, 8, 12, 3). For example: input_shape=(1, 8, 12, 3)"),
        (dict(network="lstm", backbone="small_cnn", sub_goals="flow"), "Sub-goals and switches are those of semi-coupled layers"),
        (dict(switch="astsgd"), "ASTSGD sets q from the loss of T1"),
        (dict(limit=0), "`limit` must be a number above 0. Received: limit=0"),
        (dict(slope="steep"), "`slope` must be a number above 0. Received: slope='steep'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**{"network": "scs", **TINY, **changes})


def test_what_the_models_see():
    frames = pixels()
    centred = zoo.get_preset("scs_driving_small_rc").preprocess(frames)
    unit = zoo.get_preset("resnet18_driving_livi").preprocess(frames)
    assert centred.dtype == unit.dtype == "float32"
    assert_close(centred, 2 * (frames / 255.0) - 1)
    assert_close(unit, frames / 255.0)
    assert_close(zoo.get_preset("scs_driving_small_rc").preprocess(keras.ops.convert_to_tensor(frames)), centred)


def test_the_example_bends_to_the_right():
    preset = zoo.get_preset("scs_driving_small_rc")
    example = preset.make_example()
    assert example.shape == (1, 3, 32, 96, 3) and -1 <= example.min() and example.max() <= 1
    upper = example[0, :, 4, :, 0] > 0.2
    middles = [np.flatnonzero(row).mean() for row in upper]
    assert middles[0] < middles[1] < middles[2]


# Scores -------------------------------------------------------------------------------------------------------------


def scored(targets, outputs, roads=None, preset=SMALL[0]):
    scores = DrivingScores(zoo.get_preset(preset))
    for place, (target, output) in enumerate(zip(targets, outputs)):
        about = dict(group="g", road=roads[place] if roads else "")
        scores.add(np.array([target]), np.array([output]), None, about)
    return scores


def test_scores_by_hand():
    targets, outputs = [0.0, 0.5, 3.0, -10.0, 12.0], [0.0, 6.5, 3.0, -4.0, 9.0]
    result = scored(targets, outputs).result()
    errors = [0, 6, 0, 6, 3]
    assert result["accuracy_3"] == pytest.approx((1 + 0.5 + 1 + 0.5 + 1) / 5)
    assert result["accuracy_6"] == pytest.approx(1.0) and result["mae"] == 3 and result["count"] == 5
    assert result["mse"] == pytest.approx(81 / 5) and result["mse_units"] == pytest.approx(81 / 5 / 50**2)
    assert result["r2"] == pytest.approx(1 - 81 / 5 / np.var(targets))
    ours = metrics.threshold_accuracy(np.array(targets), np.array(outputs), 3.0)
    assert result["accuracy_3"] == pytest.approx(float(np.mean(to_numpy(ours))))
    parts = scored(targets, outputs).parts()["steering"]
    assert list(parts) == ["straight (< 1°)", "middle", "curve (≥ 6°)"]
    assert [part["count"] for part in parts.values()] == [2, 1, 2] and parts["curve (≥ 6°)"]["mse"] == 22.5
    assert parts["straight (< 1°)"]["r2"] is None and parts["curve (≥ 6°)"]["r2"] == pytest.approx(1 - 22.5 / 121)
    assert errors == np.abs(np.subtract(targets, outputs)).tolist()


def test_of_every_frames_angle_the_last_counts_and_bad_ones_are_refused():
    scores = DrivingScores(zoo.get_preset(SMALL[0]))
    scores.add(np.array([[9.0], [2.0]]), np.array([[0.0], [5.0]]), None, dict(group="g"))
    assert scores.result()["mse"] == 9.0 and "road" not in scores.parts()
    with pytest.raises(ValueError, match="must have shape"):
        scores.add(np.array([1.0]), np.array([[1.0]]), None, dict(group="g"))
    with pytest.raises(ValueError, match="NaN"):
        scores.add(np.array([1.0]), np.array([np.nan]), None, dict(group="g"))
    assert set(DrivingScores(zoo.get_preset(SMALL[0])).result().values()) == {None}


def test_what_time_adds_is_told_by_kind_of_road():
    targets, roads = [0.0, 0.0, 12.0, 12.0], ["straight", "straight", "T-junction", "T-junction"]
    scores = {
        "spatial": scored(targets, [0.0, 0.0, 0.0, 12.0], roads),
        "temporal": scored(targets, [0.0, 0.0, 12.0, 12.0], roads),
    }
    extras = scores["spatial"].extras(scores)["importance"]
    assert extras["straight"]["difference"] == pytest.approx(0.0, abs=1e-6)
    assert extras["T-junction"] == dict(
        spatial=pytest.approx(0.75), temporal=pytest.approx(1.0), difference=pytest.approx(0.25)
    )
    assert extras["all"]["difference"] == pytest.approx(0.125) and "curve (≥ 6°)" in extras
    lines = scores["spatial"].remarks(scores)
    assert "T2 - T1" in lines[0] and any(line.startswith("T-junction") and "0.250" in line for line in lines)
    assert json.dumps(extras) and scores["spatial"].remarks({"model": scores["spatial"]}) == []
    assert scores["spatial"].extras({"model": scores["spatial"]}) == {}


# Baselines ----------------------------------------------------------------------------------------------------------


def test_ridge_is_the_closed_form_and_its_penalty_the_best_on_stretches_left_out():
    random = np.random.default_rng(0)
    x, slopes = random.normal(size=(60, 5)) + 3, np.array([1.0, -2.0, 0.0, 0.5, 3.0])
    y = x @ slopes + 7 + 0.1 * random.normal(size=60)
    fitted = Ridge(x, y, [4.0])
    centred, level = x - x.mean(axis=0), y.mean()
    weights = np.linalg.inv(centred.T @ centred + 4 * np.eye(5)) @ centred.T @ (y - level)
    assert_close(fitted(x[:7]), centred[:7] @ weights + level)
    assert Ridge(x, y, [0.01, 1e4]).penalty == 0.01
    noise = random.normal(size=(40, 30))
    assert Ridge(noise, random.normal(size=40), [1e-6, 1e4]).penalty == 1e4


def world(count=40, speed=1, seed=0):
    """Whose angle is how far a bright column has moved in two frames: no single frame shows it."""
    random = np.random.default_rng(seed)
    drives = []
    for index in range(count):
        move = random.integers(-2, 3)
        frames = np.zeros((4, 4, 24, 3), "uint8")
        for time in range(4):
            frames[time, :, 12 + move * time * speed] = 250
        drives.append(Drive(f"d{index}", frames, np.full(4, 5.0 * move)))
    return DrivingSamples("world", drives, (1, 4, 24, 3), before=3)


def test_baselines_see_one_frame_and_three_whatever_the_models_length():
    preset = zoo.get_preset("cnn_driving_small_rc").with_arguments(input_shape=(1, 4, 24, 3))
    train, test = world(60), world(30, seed=1)
    made = baselines(preset, test, lambda: train)
    assert list(made) == ["straight_on", "ridge_1", "ridge_3"]
    found = score(made, test, lambda: DrivingScores(preset))
    assert all(output == 0 for output in found["straight_on"].outputs)
    assert found["ridge_3"].result()["r2"] > 0.9 and found["ridge_1"].result()["count"] == 30


def test_what_the_ridge_sees_is_grey_and_small():
    frames = pixels(1, (2, 32, 96, 3))[0]
    seen = small(frames)
    assert seen.shape == (2, 16 * 48)
    assert seen[1, 49] == pytest.approx(frames[1, 2:4, 2:4].mean() / 255)
    assert small(frames[:, :3, :5]).shape == (2, 15)


# Predictions --------------------------------------------------------------------------------------------------------


def drive_samples(count=12):
    frames = pixels(1, (count, *SHAPE[1:]))[0]
    return DrivingSamples(
        "x", [Drive("a", frames, np.arange(count) - 5.0), Drive("b", frames[:6], np.zeros(6))], SHAPE, before=3
    )


@pytest.mark.parametrize("size", [1, 4])
def test_a_streamed_model_carries_its_state_from_the_first_window_of_a_drive_on(size):
    model, samples = tiny(), drive_samples()
    found = score(predictors(model, streamed=True), samples, lambda: DrivingScores(model.preset), batch_size=size)
    frames = np.asarray(samples.drives[0].frames)[1:]  # the first scored frame is the fourth
    whole = to_numpy(model(model.preset.preprocess(frames[None]), return_sequences=True))[0, :, 0]
    streamed, windows = (np.array(found[name].outputs) for name in ("streamed", "model"))
    assert_close(streamed[:9], whole[2:])
    assert_close(streamed[[0, 9]], windows[[0, 9]])  # the first of each drive
    assert np.abs(streamed - windows)[1:9].max() > 1e-3


def test_a_stream_starts_anew_where_frames_are_left_out():
    model, samples = tiny(), drive_samples()
    streamed = Streamed(model)
    for index in (0, 4):
        x, known = samples[index][0][None], [samples.about(index)]
        assert_close(streamed(x, known), model(model.preset.preprocess(x)))


def test_importance_scores_both_streams_and_is_refused_without_the_same_goals():
    model, samples = tiny(sub_goals="same"), drive_samples()
    found = score(predictors(model, importance=True), samples, lambda: DrivingScores(model.preset))
    assert list(found) == ["model", "spatial", "temporal"] and found["model"].outputs != found["temporal"].outputs
    with pytest.raises(
        ValueError, match="both must learn the main goal. Received: scs_driving_small_rc.* Train one with"
    ):
        predictors(tiny(), importance=True)
    rc, asked = zoo.get_preset("scs_driving_small_rc"), dict(importance=True)
    with (
        typed("evaluate"),
        pytest.raises(ValueError, match="sub-goals are 'flow'. Train one with --set model.sub_goals="),
    ):
        evaluate(Source("rc", rc, None, {}), "nowhere", task_options=asked)


# The recipe ---------------------------------------------------------------------------------------------------------


def test_settings_are_checked_before_data_is_read():
    for setting, message in {
        "correction=3": "correction",
        "validate=-1": "validate must be at least 1",
        "average=1": "average at least 0 and below 1",
        "precision=half": "precision",
        "dataset=kitti": "dataset",
    }.items():
        with pytest.raises(ValueError, match=message):
            with_settings(Steering(), [setting]).check()
    with_settings(Steering(), ["dataset=udacity", "correction=3", "crop=0.2,0.9", "full_scale=20"]).check()


def test_p_falls_to_nothing_until_the_last_step_unless_it_is_to_stay():
    assert Steering(steps=700).scheduled_arguments() == {"decay_steps": 700}
    assert Steering(decay=False).scheduled_arguments() == {}
    assert Steering(preset="lstm_driving_small_rc").scheduled_arguments() == {}
    assert Steering(arguments={"switch": "none"}, precision="mixed_bfloat16").scheduled_arguments() == {
        "dtype": "mixed_bfloat16"
    }


def test_samples_of_a_recipe_are_those_of_its_settings(tmp_path):
    from tests.test_driving_data import write_table

    rows = [(f"{index}.png", 0.5, "val" if index > 9 else "train") for index in range(20)]
    write_table(tmp_path / "t", rows, ("file", "angle", "split"))
    settings = [
        "dataset=table",
        "column=angle",
        "full_scale=20",
        "before=3",
        "model.input_shape=[3,8,12,3]",
        "flip=false",
    ]
    recipe = with_settings(Steering(), [*settings, "model.per_frame=true"])
    samples = recipe.samples(str(tmp_path / "t"), "val")
    assert len(samples) == 7 and samples[0][1].tolist() == [[10.0]] * 3
    x, y = recipe.pair(None, samples.batch(0, 4, 0))
    assert x.shape == (4, *SHAPE) and x.min() >= -1 and (y == 10).all()


def test_readers_take_what_the_recipe_sets():
    from scs_keras.training.driving.recipe import READING

    options = {option.python_name for each in task("driving").datasets.values() for option in each.options}
    assert options == set(READING)


@pytest.mark.parametrize("sub_goals, per_frame", [("none", False), ("same", True)])
def test_a_step_with_other_goals_and_no_switch(sub_goals, per_frame):
    settings = [f"model.sub_goals={sub_goals}", "model.switch=none", f"model.per_frame={str(per_frame).lower()}"]
    shapes = [f"model.input_shape={list(SHAPE)}", 'model.arguments={"structure": [{"filters": 3, "strides": 2}]}']
    recipe = with_settings(Steering(), [*settings, *shapes])
    recipe.check()
    model = recipe.model(None)
    model.run_eagerly = True
    x, y = recipe.pair(model, (pixels(4), np.full((4, 3, 1) if per_frame else (4, 1), 5.0, "float32")))
    logs = model.train_on_batch(x, y, return_dict=True)
    parts = {"main_loss", "spatial_loss", "temporal_loss"} if sub_goals == "same" else set()
    assert set(logs) == {"loss", "accuracy_3", "accuracy_6", *parts} and all(map(np.isfinite, logs.values()))
    assert model(x).shape == y.shape


def test_nobody_is_told_to_drive_with_it():
    cards = [preset.card_path for preset in zoo.list_presets("driving") if preset.has_weights]
    assert len(cards) >= 3 and all("Never steer a car with it." in card.read_text() for card in cards)
    for page in ("README.md", "docs/tasks/driving.md"):
        assert "not for driving a car" in (Path(__file__).parents[1] / page).read_text()


def test_validation_logs_r2():
    from scs_keras.training.validation import Validation

    model, samples = tiny(), drive_samples()
    names = ("r2", "mse", "accuracy_6")
    callback, logs = Validation(samples, 5, names), {}
    callback.set_model(model)
    callback.on_epoch_end(0, logs)
    outputs = [
        float(to_numpy(model(model.preset.preprocess(samples[index][0][None])))[0, 0]) for index in (0, 2, 5, 8, 11)
    ]
    targets = np.array([samples.about(index)["degrees"] for index in (0, 2, 5, 8, 11)])
    expected = angle_scores(targets, np.array(outputs), 25.0)
    assert logs == {f"val_{name}": pytest.approx(expected[name], rel=1e-4) for name in names}


def test_a_model_of_single_frames_has_nothing_to_stream():
    model = zoo.load("cnn_driving_small_rc", weights=None)
    assert [each.name for each in zoo.signatures(model)] == ["model"]  # no step whose state would be empty
    model = zoo.load("scs_driving_small_rc", weights=None)
    assert [each.name for each in zoo.signatures(model)] == ["model", "step", "initial_state"]
