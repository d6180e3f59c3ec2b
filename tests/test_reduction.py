"""One answer a sequence: which frames make it, at inference, in training, in clips; goals that stay per frame."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scs_keras import LTSC, SCSModel, SCSNetwork, goals
from scs_keras.core.reduction import frame_weights
from tests.checks import assert_close, check_step, random, randomize, to_numpy

X, Y = random(2, 7, 5, 5, 2), random(2, 1, seed=1)


def make(reduce="second_half", eagerly=True, temporal_goal=None, temporal_head=None, **arguments):
    pooled = keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D())
    model = SCSModel(
        SCSNetwork([3, 2]), keras.Sequential([pooled, keras.layers.Dense(1)]), reduce=reduce,
        temporal_goal=temporal_goal, temporal_head=temporal_head,
    )  # fmt: skip
    model.build(X.shape)
    randomize(model)
    model.compile(keras.optimizers.SGD(1.0), "mse", clip=None, run_eagerly=eagerly, **arguments)
    return model


def chosen(reduce, weights, starts=((0, None, 0),)):
    """NumPy: the frames that make the answer, one sequence after the other and one clip after the other."""
    result = np.zeros_like(weights)
    for row, given_weights in zip(result, weights):
        for start, length, new in starts:
            stop = len(row) if length is None else start + length
            counting = [frame for frame in range(start, stop) if given_weights[frame]]
            if reduce == "last":
                counting = [frame for frame in counting if not any(given_weights[frame + 1 :])]
            elif reduce == "second_half":
                counting = counting[len(counting) // 2 :]
            for frame in counting:
                if frame >= start + new:
                    row[frame] = given_weights[frame]
    return result


@given(
    seed=st.integers(0, 99), steps=st.integers(1, 12), length=st.integers(2, 6), overlap=st.floats(0.1, 0.9),
    reduce=st.sampled_from(["mean", "last", "second_half"]),
)  # fmt: skip
def test_weights_of_frames(seed, steps, length, overlap, reduce):
    weights = np.random.default_rng(seed).integers(0, 3, (2, steps)).astype("float32")
    assert_close(frame_weights(reduce, steps, weights), chosen(reduce, weights))
    assert_close(frame_weights(reduce, steps), chosen(reduce, np.ones((1, steps))))
    clips = LTSC(length, overlap).clips(steps)
    starts = [(clip.start, clip.stop - clip.start, clip.new) for clip in clips]
    assert_close(frame_weights(reduce, steps, weights, clips), chosen(reduce, weights, starts))
    assert_close(frame_weights("second_half", steps, weights, clips, training=False), weights)


def test_what_the_call_answers():
    frames = {reduce: make(reduce) for reduce in ("none", "mean", "last", "second_half")}
    each = to_numpy(frames["none"](X))
    assert each.shape == (2, 7, 1)
    expected = {"none": each, "mean": each.mean(1), "last": each[:, -1], "second_half": each.mean(1)}
    for reduce, model in frames.items():
        assert_close(model(X), expected[reduce])
        assert_close(model(X, return_sequences=True), each)
        check_step(model, X)
    assert_close(frames["second_half"](X, training=True), each[:, 3:].mean(1))
    weights = np.array([[1, 2, 0, 1, 0, 0, 0], [1] * 7], "float32")
    last = frames["last"](X, frame_weights=weights)
    assert_close(last, np.stack([each[0, 3], each[1, 6]]))
    half = frames["second_half"](X, frame_weights=weights, training=True)
    assert_close(half, np.stack([(2 * each[0, 1] + each[0, 3]) / 3, each[1, 3:].mean(0)]))


def step_logs(model, *data, **weights):
    return model.train_on_batch(X, *data, return_dict=True, **weights)


@pytest.mark.parametrize("weights", [None, np.ones((2, 7), "float32")])
@pytest.mark.parametrize("reduce", ["mean", "last", "second_half"])
def test_in_clips(reduce, weights):
    """Clips 0-4, 2-6 and 3-7, each with the answer of its own new frames, as much as they count."""
    model = make(reduce, long_sequence=LTSC(4, 0.5, carry="aligned"), metrics=["mse"])
    each = to_numpy(model(X, return_sequences=True))
    frames = {"mean": [[0, 1, 2, 3], [4, 5], [6]], "last": [[], [], [6]], "second_half": [[2, 3], [4, 5], [6]]}[reduce]
    total = sum(len(part) for part in frames)
    expected = sum(len(part) / total * np.mean((each[:, part].mean(axis=1) - Y) ** 2) for part in frames if part)
    options = {} if weights is None else dict(sample_weight=weights)
    of_other_backends = model.compute_loss(X, Y, training=True, **options)  # which take one gradient of everything
    assert float(of_other_backends) == pytest.approx(expected, rel=1e-4)
    logs = step_logs(model, Y, **options)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    assert logs["mse"] == pytest.approx(np.mean((each[:, sum(frames, [])].mean(axis=1) - Y) ** 2), rel=1e-4)


def test_the_switch_is_told_the_last_clips_losses_where_only_that_one_counts():
    from scs_keras import ASTSGD

    switch = ASTSGD(initial_loss=50.0, threshold=0.01)
    model = make("last", long_sequence=LTSC(4, 0.5, carry="aligned"), spatial_loss="mse", switch=switch)
    loss = [np.mean((to_numpy(model(X, stream=stream)) - Y) ** 2) for stream in ("main", "spatial")]
    step_logs(model, Y)
    expected = 0.5 + 0.5 * (loss[1] - 0.01) / (50.0 - 0.01) * loss[0] / loss[1]
    assert float(switch.q) == pytest.approx(expected, rel=1e-5)


@keras.saving.register_keras_serializable("tests")
def change(x, y):
    """Per frame, with weights: the change since the last frame; frame 0 has none and weighs nothing."""
    difference = keras.ops.concatenate([keras.ops.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], axis=1)
    return difference, np.array([[0] + [1] * (x.shape[1] - 1)], "float32")


@pytest.mark.parametrize("long_sequence", [None, LTSC(4, 0.5, carry="aligned", overlap_weight=0.0)])
@pytest.mark.parametrize("weights", [None, np.array([1, 3], "float32"), np.abs(random(2, 7)) + 0.1])
def test_a_goal_with_frames_stays_per_frame(weights, long_sequence):
    arguments = dict(temporal_goal=change, temporal_head=keras.layers.Dense(2))
    model = make("last", temporal_loss="mse", long_sequence=long_sequence, **arguments)
    predicted = to_numpy(model(X, stream="temporal"))
    assert predicted.shape == X.shape
    errors = np.mean((predicted[:, 1:] - (X[:, 1:] - X[:, :-1])) ** 2, axis=(2, 3, 4))
    counted = np.ones((2, 7)) if weights is None else np.broadcast_to(weights.reshape(2, -1), (2, 7))
    logs = step_logs(model, Y, **({} if weights is None else dict(sample_weight=weights)))
    assert logs["temporal_loss"] == pytest.approx(np.sum(errors * counted[:, 1:]) / 14, rel=1e-4)


def test_a_goal_of_the_whole_sequence_says_so():
    def goal(x, y):
        return 2 * y

    goal.per_sequence = True
    model = make("mean", temporal_goal=goal, temporal_loss="mse")
    predicted = to_numpy(model(X, stream="temporal"))
    assert predicted.shape == Y.shape
    assert step_logs(model, Y)["temporal_loss"] == pytest.approx(np.mean((predicted - 2 * Y) ** 2), rel=1e-4)


def test_flow_beside_one_label_a_sequence(tmp_path):
    """It raised: the mean of the flow head's outputs was compared with a flow for each frame."""
    x = random(2, 3, 16, 16, 1)
    pooled = keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D())
    model = SCSModel(
        SCSNetwork([2]), keras.Sequential([pooled, keras.layers.Dense(3)]), reduce="second_half",
        temporal_head=keras.layers.Dense(2), temporal_goal=goals.LastFrameFlow(),
    )  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, spatial_loss=loss, temporal_loss="mse", run_eagerly=True)
    logs = model.fit(x, np.array([0, 2]), verbose=0).history
    assert set(logs) == {"loss", "main_loss", "spatial_loss", "temporal_loss"} and np.all(np.isfinite(logs["loss"]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.reduce == "second_half"
    assert_close(loaded(x), model(x))


def test_average_is_the_mean():
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1), average=True)
    assert model.reduce == "mean" and "average" not in model.get_config()
    config = {**model.get_config(), "average": True}
    del config["reduce"], config["context"], config["context_encoder"]  # as 0.1 saved it
    assert SCSModel.from_config(config).reduce == "mean"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            dict(reduce="max"),
            r"`reduce` must be one of \('none', 'mean', 'last', 'second_half'\). Received: reduce='max'",
        ),
        (dict(reduce="last", average=True), "`average=True` is reduce='mean'. Received: average=True, reduce='last'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        SCSModel(SCSNetwork([2]), keras.layers.Dense(1), **arguments)
