"""Action recognition: presets, builder, scores, baselines, controls, recipe, predictions."""

import csv
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from scs_keras import SCSModel, SCSNetwork, branch_maps, zoo
from scs_keras.core.goals import LastFrameFlow
from scs_keras.training.action.baselines import baselines, features_of, motion, small
from scs_keras.training.action.controls import reversed_order, shuffled_order
from scs_keras.training.action.recipe import ActionClips
from scs_keras.training.action.scores import ActionScores, predictors
from scs_keras.training.evaluate import evaluate
from scs_keras.training.film_strip import film_strip
from scs_keras.training.importance import check_same_goals
from scs_keras.training.logistic import Logistic
from scs_keras.training.predict import predict
from scs_keras.training.recipe import with_settings
from scs_keras.training.source import Source
from scs_keras.training.task import task
from scs_keras.zoo.action import pixels
from scs_keras.zoo.action.builder import build
from scs_keras.zoo.action.goals import FlowOfDifferences
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from tests.checks import assert_close, in_own_process

KINDS = (
    "scs_action_17", "cbm_action_17", "scs_action_vgg", "scs_action_inception", "cbm_action_vgg", "lrcn_action_vgg",
    "convlstm_action_15",
)  # fmt: skip
TINY = dict(
    arguments=dict(structure=[dict(filters=3, strides=2)]), labels=("a", "b"), input_shape=(4, 8, 8, 3), flow_stages=()
)


def trainable(part):
    return sum(int(np.prod(variable.shape)) for variable in part.trainable_variables)


# Models -------------------------------------------------------------------------------------------------------------


def test_every_row_of_table_2_for_every_data_set():
    presets = {preset.name: preset for preset in zoo.list_presets("action")}
    for data, classes in (("ucf101", 101), ("hmdb51", 51), ("kinetics", 400)):
        of_data = [presets[f"{kind}_{data}"] for kind in KINDS]
        assert all(len(set(preset.labels)) == classes == preset.output_shape[0] for preset in of_data)
        assert {preset.dataset for preset in of_data} == {data}
        # 6 clips of 5 frames and 7 of 10, a quarter shared (Tab. 8).
        assert [preset.input_shape for preset in of_data[:3]] == [(25, 224, 224, 3)] * 2 + [(58, 224, 224, 3)]
    assert presets["scs_action_17_ucf101"].labels[36] == "HandstandPushups"  # 37 in the official list


def scs_parameters(kernel, channels, filters):
    """Of a layer, with two normalised branches."""
    return kernel**2 * (channels * filters + (channels + filters) * filters) + 6 * filters


def table_1():
    """(kernel, channels in, filters) of the 17 layers."""
    layers, channels = [(7, 3, 64)], 64
    for filters in (64, 128, 256, 512):
        layers += [(3, channels, filters), *[(3, filters, filters)] * 3]
        channels = filters
    return layers


def parameters_of(name):
    """Of the network of a preset."""
    return trainable(zoo.load(name, weights=None).network)


def test_parameters_of_table_1_are_34_9_million():
    lines = sum(filters**2 // 2 + 3 * filters for filters in (128, 256, 512))  # 1x1 convolutions, normalised
    assert len(table_1()) == 17 and sum(scs_parameters(*each) for each in table_1()) + lines == 34_922_368
    assert 15 * scs_parameters(3, 512, 512) == 106_214_400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("scs_action_17", 34_922_368),
        ("cbm_action_17", 34_922_368),
        ("scs_action_vgg", 106_214_400),
        ("cbm_action_vgg", 106_214_400),
        # Its first layer sees 1,024 channels, and so does the residual line beside it.
        ("scs_action_inception", 106_214_400 + 9 * 2 * 512 * 512 + 1024 * 512 + 3 * 512),
        (
            "convlstm_action_15",
            sum(4 * (k * k * (c + f) * f + f) + 2 * f for k, c, f in table_1()[:15]),
        ),
    ],
)
def test_parameters_at_paper_size(name, parameters):
    assert in_own_process(parameters_of, f"{name}_ucf101") == parameters


def shapes_of(name, features, stages):
    """(sizes after the stages of the network, scales of the flow) of a preset."""
    model = zoo.load(name, weights=None)
    shapes = model.network.tap_shapes(features, tuple(range(stages)))
    return [tuple(shape[2:]) for shape in shapes], list(model.goals["temporal"].scales)


@pytest.mark.slow
def test_shapes_of_table_1():
    shapes, scales = in_own_process(shapes_of, "scs_action_17_ucf101", (1, 25, 224, 224, 3), 5)
    assert shapes == [(56, 56, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    assert scales == [4, 8, 16, 32]
    shapes, _ = in_own_process(shapes_of, "scs_action_vgg_ucf101", (1, 58, 7, 7, 512), 3)
    assert shapes == [(4, 4, 512), (2, 2, 512), (1, 1, 512)]


@pytest.mark.parametrize("data", ["fight", "thermal"])
def test_small_models_are_of_one_size(data):
    sizes = [trainable(zoo.load(f"{kind}_action_small_{data}", weights=None)) for kind in ("scs", "lrcn", "convlstm")]
    assert max(sizes) / min(sizes) < 1.1, sizes


def test_other_classes_and_frames_change_the_shapes():
    preset = zoo.get_preset("scs_action_small_thermal").with_arguments(labels=("a", "b"), input_shape=(5, 8, 8, 1))
    assert (preset.output_shape, preset.labels) == ((5, 2), ("a", "b"))
    preset = zoo.get_preset("scs_action_small_fight").with_arguments(labels=["a", "b", "c"])
    assert (preset.output_shape, preset.labels) == ((3,), ("a", "b", "c"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(labels=("a",)), "at least two, all different. Received: labels=.'a',."),
        (dict(labels=("a", "a")), "at least two, all different"),
        (dict(network="gru"), "There is no network 'gru'"),
        (dict(sub_goals="pose"), "There is no choice of sub_goals 'pose'"),
        (dict(switch="off"), "There is no switch 'off'"),
        (dict(network="lstm", sub_goals="none"), "An LSTM sees the features of a backbone"),
        (dict(network="convlstm", sub_goals="spatial"), "Sub-goals and switches are those of semi-coupled layers"),
        (dict(sub_goals="none", switch="astsgd"), "ASTSGD sets q from the loss of T1"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**{"network": "scs", **TINY, **changes})


def test_goals_and_schemes_are_arguments():
    whole = build("scs", **TINY, sub_goals="flow", switch="astsgd", clip_length=3)
    assert isinstance(whole.goals["temporal"], LastFrameFlow) and whole.long_sequence.length == 3
    assert type(whole.switch).__name__ == "ASTSGD" and whole.objective.streams == ("main", "spatial", "temporal")
    same = build("scs", **TINY, sub_goals="same")
    assert same.goals["temporal"] is None and same.objective.streams == ("main", "spatial", "temporal")
    spatial = build("scs", **TINY, sub_goals="spatial", switch="cbm")
    assert spatial.objective.streams == ("main", "spatial") and spatial.switch.config["temporal"] == 0.5


def test_weights_and_freezing_of_a_backbone_are_arguments(tmp_path, monkeypatch):
    """With a small network in place of Keras's."""
    asked = []

    def network(include_top, weights, input_tensor):
        asked.append(weights)
        source = keras.utils.get_source_inputs(input_tensor)
        return keras.Model(source, keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(input_tensor)))

    monkeypatch.setattr(keras.applications, "VGG19", network)
    given = dict(weights="imagenet", frozen=True)
    preset = zoo.get_preset("lrcn_action_vgg_ucf101").with_arguments(
        input_shape=(2, 8, 8, 3), arguments=dict(units=2), backbone_arguments=given, labels=("a", "b")
    )
    model = preset.make()
    model.run_eagerly = True
    before = model.backbone.get_weights()
    model.train_on_batch(np.random.default_rng(0).random((2, 2, 8, 8, 3), "float32"), np.array([0, 1]))
    assert asked == ["imagenet"] and len(before) == 6 and len(model.trainable_variables) == 5  # LSTM 3, classes 2
    for mine, other in zip(before, model.backbone.get_weights()):
        np.testing.assert_array_equal(mine, other)
    model.save_weights(tmp_path / "mine.weights.h5")
    trained = zoo.load(preset.name, tmp_path / "mine.weights.h5", **preset.changed)
    assert asked == ["imagenet", None]  # nothing is downloaded for a training that is finished
    assert all(map(np.array_equal, trained.get_weights(), model.get_weights()))


def test_labels_are_in_record_and_card():
    trained = [preset for preset in zoo.list_presets("action") if preset.has_weights]
    assert len(trained) >= 7
    for preset in trained:
        assert preset.record["labels"] == list(preset.labels)
        assert f"Classes: {', '.join(preset.labels)}." in preset.card_path.read_text()


def test_strides_and_pooling_of_a_convlstm():
    network = ConvLSTMNetwork([dict(filters=2, strides=2, pool=3), 3])
    frames = np.ones((2, 3, 9, 12, 1), "float32")
    assert network(frames).shape == network.compute_output_shape(frames.shape) == (2, 3, 3, 3, 3)
    assert [state.shape for state in network.initial_states(2, 9, 12)] == [(2, 5, 6, 2)] * 2 + [(2, 3, 3, 3)] * 2
    assert ConvLSTMNetwork.from_config(network.get_config()).get_config() == network.get_config()
    with pytest.raises(ValueError, match="plain stack. Allowed: stages with shortcut_every=None"):
        ConvLSTMNetwork([dict(filters=2, layers=2, shortcut_every=2)])


def test_what_the_models_see():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 4, 3)).astype("uint8")
    for function in (pixels.differences, pixels.normalized, pixels.unit):
        assert_close(function(frames), function(keras.ops.convert_to_tensor(frames)))
    changes = pixels.differences(frames)
    assert np.all(changes[:, 0] == 0) and pixels.unit(frames).max() <= 1
    np.testing.assert_allclose(changes[:, 2], (frames[:, 2].astype(float) - frames[:, 1]) / pixels.STEP, atol=1e-4)
    room = np.full((2, 4, 4, 1), 20.0, "float32")
    room[1] += 5
    room[:, 0, 0] += 10
    seen = pixels.thermal(room)
    assert seen[0, 0, 0, 0] == 5 and seen[1, 0, 0, 0] == 5 and seen[1, 2, 2, 0] == 0
    assert_close(seen, pixels.thermal(keras.ops.convert_to_tensor(room)))


def test_the_flow_of_differences_is_that_of_what_moves():
    random = np.random.default_rng(0)
    object_ = random.random((16, 16, 1))
    frames = np.zeros((1, 3, 32, 32, 1), "float32")
    for time in range(3):
        frames[0, time, 8:24, 6 + time : 22 + time] = object_
    goal = FlowOfDifferences(1)
    changes = np.diff(frames, axis=1, prepend=frames[:, :1])
    expected, weights = LastFrameFlow(1)(frames - frames[:, :1], None)
    flow, found = goal(changes, None)
    assert_close(flow, expected, 1e-3)
    assert found.tolist() == weights.tolist() == [[0, 1, 1]]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(goal))
    assert type(again) is FlowOfDifferences and again.scales == 1


# Branches and importance --------------------------------------------------------------------------------------------


def test_maps_of_branches_are_what_the_layer_multiplies():
    network = SCSNetwork([dict(filters=4, layers=2, shortcut_every=2), dict(filters=3, pool=2)], normalization="batch")
    model = SCSModel(network, keras.layers.Flatten())
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6, 2)).astype("float32")
    model.build((None, *x.shape[1:]))
    maps = branch_maps(model, x)
    assert (
        maps["F"].shape == (2, 4, 6, 6, 3) and maps["h_s"].min() >= 0 and 0 < maps["h_t"].min() < maps["h_t"].max() < 1
    )
    np.testing.assert_allclose(maps["F"], maps["h_s"] * maps["h_t"], atol=1e-6)
    time_major = np.moveaxis(maps["F"], 0, 1)
    pooled = np.asarray(keras.ops.max_pool(time_major.reshape(-1, 6, 6, 3), 2, 2, data_format="channels_last"))
    np.testing.assert_allclose(np.moveaxis(np.asarray(network(x)), 0, 1).reshape(pooled.shape), pooled, atol=1e-5)
    with pytest.raises(ValueError, match="layer -1 .the last. or 0 to 2. Received: layer=3"):
        branch_maps(model, x, layer=3)


def test_importance_takes_the_same_goals():
    check_same_goals(zoo.get_preset("scs_action_importance_small_thermal"))
    with pytest.raises(ValueError, match="sub-goals are 'flow'. For example: scs_action_importance_small_thermal"):
        check_same_goals(zoo.get_preset("scs_action_small_fight"))
    with pytest.raises(ValueError, match="sub-goals are 'none'"):
        predictors(SimpleNamespace(preset=zoo.get_preset("lrcn_action_small_fight")), importance=True)


def test_importance_is_refused_before_data_is_looked_for(tmp_path):
    fight = Source("fight", zoo.get_preset("scs_action_small_fight"), None, {})
    with pytest.raises(ValueError, match="T2 less that of T1"):
        evaluate(fight, tmp_path / "none", task_options=dict(importance=True))
    with pytest.raises(ValueError, match="T2 less that of T1"):
        predict(fight, tmp_path / "none", tmp_path / "told", importance=True)


# Scores -------------------------------------------------------------------------------------------------------------

THREE = SimpleNamespace(labels=("a", "b", "c"), output_shape=(3,))


def test_scores_by_hand():
    scores = ActionScores(THREE)
    for target, chances in ((0, (0.7, 0.2, 0.1)), (0, (0.2, 0.5, 0.3)), (1, (0.1, 0.8, 0.1))):
        scores.add(target, np.array(chances), None, {"group": "g"})
    result = scores.result()
    assert result["accuracy"] == pytest.approx(2 / 3) and result["count"] == 3
    assert result["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)  # 2 of (2 + 1), 2 of (1 + 2); there is no c
    assert result["cross_entropy"] == pytest.approx(-np.log([0.7, 0.2, 0.8]).mean())
    assert scores.parts()["class"] == {
        "a": {"accuracy": 0.5, "macro_f1": pytest.approx(2 / 3), "count": 2.0},
        "b": {"accuracy": 1.0, "macro_f1": pytest.approx(2 / 3), "count": 1.0},
    }
    assert scores.extras({"model": scores})["confusion"] == {"model": [[1, 1, 0], [0, 1, 0], [0, 0, 0]]}
    assert "model: is, was called" in scores.remarks({"model": scores})[0]
    assert ActionScores(THREE).result() == dict.fromkeys(("accuracy", "macro_f1", "cross_entropy", "count"))


def test_frames_without_weight_do_not_count():
    scores = ActionScores(THREE)
    chances = np.eye(3)[[0, 1, 2, 0]]
    scores.add(np.array([0, 1, 0, 0]), chances, np.array([1.0, 1.0, 0.0, 1.0]), {"group": "g"})
    assert scores.result()["accuracy"] == 1 and scores.result()["count"] == 3
    with pytest.raises(ValueError, match="must have shape .4, 3. on g. Received: .3,."):
        scores.add(np.zeros(4, int), chances[0], None, {"group": "g"})


def test_top_five_of_many_classes():
    many = SimpleNamespace(labels=tuple("abcdefg"), output_shape=(7,))
    scores = ActionScores(many)
    scores.add(6, np.arange(7) / 21.0, None, {"group": "g"})
    scores.add(1, np.arange(7) / 21.0, None, {"group": "g"})
    assert scores.result()["top_5"] == 0.5


class Films:
    """Noise that stays, or changes (class 1); by frame or not."""

    def __init__(self, by_frame=False):
        self.by_frame = by_frame

    def __len__(self):
        return 12

    def __getitem__(self, index):
        random, label = np.random.default_rng(index), int(index % 3 > 0)
        still = np.repeat(random.integers(0, 255, (1, 6, 8, 3)), 5, axis=0)
        x = (random.integers(0, 255, (5, 6, 8, 3)) if label else still).astype("uint8")
        y = np.full(5, label, "int32") if self.by_frame else np.int32(label)
        return x, y, np.ones(np.shape(y), "float32")


@pytest.mark.parametrize("by_frame", [False, True])
def test_baselines(by_frame):
    films = Films(by_frame)
    preset = SimpleNamespace(
        labels=("still", "moving"), output_shape=(5, 2) if by_frame else (2,), preprocess=pixels.unit
    )
    made = baselines(preset, films, lambda: films)
    x = np.stack([films[index][0] for index in range(3)])
    said = {name: np.asarray(each(x, [])) for name, each in made.items()}
    assert all(each.shape == ((3, 5, 2) if by_frame else (3, 2)) for each in said.values())
    np.testing.assert_allclose(said["majority"].reshape(-1, 2)[0], [1 / 3, 2 / 3])
    last = said["motion"][:, -1] if by_frame else said["motion"]
    assert last.argmax(axis=1).tolist() == [0, 1, 1]


def test_features_of_baselines():
    clip = np.zeros((3, 48, 64, 1), "float32")
    clip[1], clip[2] = 2.0, 6.0
    np.testing.assert_allclose(motion(clip), [[0, 0, 0], [2, 0, 2], [3, 1, 4]])
    features = features_of(SimpleNamespace(preprocess=lambda clip: clip + 1))
    assert small(clip).shape == (3, 24 * 32) and np.all(features["last_minus_first"](clip)[2] == 6)
    assert np.all(features["last_frame"](clip)[2] == 7)


def test_logistic_regression_is_at_its_minimum():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 3)) * [1, 5, 0.1], np.repeat([0, 1, 2], [10, 20, 30])
    model = Logistic(x, y, 3)
    scaled = np.c_[(x - x.mean(axis=0)) / x.std(axis=0), np.ones(60)]
    weights = np.repeat([2.0, 1.0, 2 / 3], [10, 20, 30])[:, None]
    gradient = scaled.T @ (weights * (model(x) - np.eye(3)[y])) + np.array([[1], [1], [1], [0]]) * model.weights
    assert np.abs(gradient).max() < 1e-3
    with pytest.raises(ValueError, match="at most 5000 features. Received: .2, 5001."):
        Logistic(np.zeros((2, 5001)), np.zeros(2, int), 2)


def test_controls_put_frames_back_to_their_places():
    x = np.arange(6.0).reshape(1, 6, 1, 1, 1)
    seen = []

    def tell(frames, about):
        seen.append(frames.reshape(-1).tolist())
        return frames.reshape(1, 6, 1)

    for control in (reversed_order, shuffled_order):
        assert control(tell)(x, []).reshape(-1).tolist() == [0, 1, 2, 3, 4, 5]
    assert seen[0] == [5, 4, 3, 2, 1, 0] and sorted(seen[1]) == [0, 1, 2, 3, 4, 5] != seen[1]
    first = reversed_order(lambda frames, about: frames[:, 0, 0, 0])
    assert first(x, []).tolist() == [[5.0]]


# Recipe and predictions ---------------------------------------------------------------------------------------------


def test_settings_of_the_reader_that_a_data_set_does_not_take():
    with_settings(ActionClips(), ["fold=2", "folds=5", "flip=false"]).check()
    with pytest.raises(ValueError, match="There is no setting of the data set ucf101 'group'"):
        with_settings(ActionClips(), ["dataset=ucf101", "group=person"]).check()
    with pytest.raises(ValueError, match="average at least 0 and below 1. Received: validate=0, average=1.0"):
        with_settings(ActionClips(), ["average=1"]).check()
    with pytest.raises(ValueError, match="There is no precision 'half'"):
        with_settings(ActionClips(), ["precision=half"]).check()


@pytest.fixture
def films(tmp_path):
    """Two folders of .npz films; those of `right` move."""
    folder = tmp_path / "films"
    for label in ("left", "right"):
        (folder / label).mkdir(parents=True)
        for seed in range(5):
            frames = np.random.default_rng(seed).integers(0, 255, (1 if label == "left" else 9, 8, 8, 3), "uint8")
            frames = np.repeat(frames, 9 // len(frames), axis=0)
            np.savez(folder / label / f"{seed}.npz", frames=frames)
    return folder


SHAPE = "model.input_shape=[4, 8, 8, 3]"
STRUCTURE = 'model.arguments={"structure": [{"filters": 3, "strides": 2}]}'


def test_classes_of_ones_own_data_take_the_place_of_the_presets(films):
    recipe = with_settings(ActionClips(), ["dataset=folder", SHAPE])
    samples = SimpleNamespace(train=recipe.samples(films, "train"))
    resolved = recipe.resolve(samples)
    assert resolved.arguments["labels"] == ("left", "right") == resolved.changed_preset.labels
    assert resolved.samples(films, "val").labels == ("left", "right")
    named = with_settings(ActionClips(), ["dataset=folder", SHAPE, 'model.labels=["left", "up"]'])
    with pytest.raises(ValueError, match="only in the data: right .right/0.npz.; only in the model: up"):
        named.samples(films, "train")
    x, y, weight = resolved.pair(None, samples.train.batch(0, 2, 0))
    assert tuple(x.shape) == (2, 4, 8, 8, 3) and y.shape == weight.shape == (2,)


def source_of(films, **changes):
    preset = zoo.get_preset("scs_action_small_fight")
    arguments = dict(
        arguments=dict(structure=[dict(filters=3, strides=2)]), flow_stages=(0,), input_shape=(4, 8, 8, 3),
        labels=("left", "right"), **changes,
    )  # fmt: skip
    return Source("tiny", preset.with_arguments(**arguments), None, arguments)


def same_model(source, monkeypatch):
    """The source gives one model, so that its random weights are the same each time."""
    model = source.load()
    model.run_eagerly = True
    monkeypatch.setattr(Source, "load", lambda self: model)
    return model


def test_predictions_are_those_of_evaluate(films, tmp_path, monkeypatch, capsys):
    source = source_of(films, sub_goals="same", switch="none")
    same_model(source, monkeypatch)
    predict(source, films / "left", tmp_path / "told", importance=True)
    with open(tmp_path / "told" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{index}.npz" for index in range(5)]
    samples = task("action").read("folder", films, "val", source.preset)
    said = source.load().predict(source.preset.preprocess(samples[0][0][None]), verbose=0)[0]
    name = Path(samples.about(0)["name"]).name
    assert samples.about(0)["label"] == "left"
    row = next(row for row in rows if row["file"] == name)
    np.testing.assert_allclose([float(row[label]) for label in ("left", "right")], said, atol=1e-5)
    told = json.loads((tmp_path / "told" / f"{name}.json").read_text())
    assert told["labels"] == ["left", "right"] and len(told["frames"]) == 4 and not told["per_frame"]
    np.testing.assert_allclose(np.mean([each["probabilities"] for each in told["frames"]], axis=0), said, atol=1e-5)
    difference = told["importance"]["temporal"] - told["importance"]["spatial"]
    assert told["importance"]["difference"] == pytest.approx(difference, abs=2e-6)
    assert (tmp_path / "told" / f"{name}.png").exists()


def test_maps_are_drawn(films, tmp_path, monkeypatch):
    source = source_of(films, sub_goals="none", switch="none")
    same_model(source, monkeypatch)
    predict(source, films / "left" / "0.npz", tmp_path / "told", explain=True)
    with np.load(tmp_path / "told" / "0.npz.maps.npz") as maps:
        assert maps["h_s"].shape == (4, 4, 4, 3) and set(maps.files) == {"h_s", "h_t", "F"}
    assert (tmp_path / "told" / "0.npz.maps.png").exists()


def test_every_frame_of_a_file_is_told_once_as_evaluate_tells_it(films, tmp_path, monkeypatch):
    preset = zoo.get_preset("scs_action_small_thermal")
    arguments = dict(
        arguments=dict(structure=[dict(filters=3, strides=2)]), flow_stages=(0,), input_shape=(4, 8, 8, 3),
        labels=("left", "right"),
    )  # fmt: skip
    source = Source("tiny", preset.with_arguments(**arguments), None, arguments)
    model = same_model(source, monkeypatch)
    samples = task("action").read("folder", films, "val", source.preset)
    path = samples.clips[0].path
    predict(source, path, tmp_path / "told")
    told = json.loads((tmp_path / "told" / f"{path.name}.json").read_text())
    assert len(told["frames"]) == 9 and [each["seconds"] for each in told["frames"]][:3] == [0.0, 0.04, 0.08]
    windows = [samples[index] for index in range(3)]  # of frames 1 to 4, 5 to 8, and 9 alone
    scored = [predictors(model)["model"](x[None], [])[0][weight > 0] for x, _, weight in windows]
    np.testing.assert_allclose([each["probabilities"] for each in told["frames"]], np.concatenate(scored), atol=1e-5)


def test_inputs_that_predict_refuses(films, tmp_path):
    source = source_of(films)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: holds no videos"):
        predict(source, tmp_path / "empty", tmp_path / "told")
    lrcn = Source("lrcn", zoo.get_preset("lrcn_action_small_fight"), None, {})
    with pytest.raises(ValueError, match="those of semi-coupled layers. Received: lrcn_action_small_fight"):
        predict(lrcn, films, tmp_path / "told", explain=True)
    assert not (tmp_path / "told").exists()


def test_evaluate_with_controls_and_importance(films, tmp_path, monkeypatch, capsys):
    source = source_of(films, sub_goals="same", switch="none")
    same_model(source, monkeypatch)
    options = dict(controls=True, importance=True)
    evaluate(source, films, dataset="folder", json_file=tmp_path / "s.json", task_options=options)
    found = json.loads((tmp_path / "s.json").read_text())
    own = ["model", "reversed", "shuffled", "spatial", "temporal"]
    assert list(found["scores"]) == [*own, "majority", "motion", "last_frame", "last_minus_first"]
    assert found["scores"]["motion"]["accuracy"] == 1 and found["labels"] == ["left", "right"]


def test_pictures_of_films(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 6, 8, 3), "uint8")
    film_strip(tmp_path / "a.png", frames, [0, 0.5, 1], np.eye(3)[:, :2] * 0.9, ("a", "b"), "title")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


# Folds --------------------------------------------------------------------------------------------------------------


def test_scores_over_folds_are_of_all_clips_together(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    folds = importlib.import_module("action_folds")
    scored = [
        {"labels": ["a", "b"], "confusion": {"model": [[2, 0], [0, 1]]}},
        {"labels": ["a", "b"], "confusion": {"model": [[0, 2], [0, 0]]}},
    ]
    pooled = folds.pooled(scored)["model"]
    assert pooled["count"] == 5 and pooled["accuracy"] == 0.6 and pooled["recall"] == {"a": 0.5, "b": 1.0}
    assert [each["accuracy"] for each in pooled["folds"]] == [1.0, 0.0] and pooled["spread"]["accuracy"] == 0.5
    assert pooled["macro_f1"] == pytest.approx((2 * 2 / (4 + 2) + 2 / (1 + 3)) / 2)
