"""LTSC: Eq. 21-23, and training clip by clip against truncated back-propagation written out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from scs_keras import ASTSGD, LTSC, STSGD, SCSModel, SCSNetwork
from scs_keras.core.keras_step import KerasStep
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from tests.checks import assert_close, random, randomize, to_numpy

X, Y = random(2, 7, 5, 5, 2), random(2, 7, 5, 5, 1, seed=1)


# The partition -----------------------------------------------------------------------------------


@given(
    steps=st.integers(1, 200),
    length=st.integers(2, 40),
    overlap=st.floats(0, 1, exclude_min=True, exclude_max=True),
    carry=st.sampled_from(["end", "aligned", "none"]),
)
def test_partition(steps, length, overlap, carry):
    ltsc = LTSC(length, overlap, carry=carry)
    clips = ltsc.clips(steps)
    frames = [range(clip.start, clip.stop) for clip in clips]
    assert set().union(*frames) == set(range(steps))  # Eq. 21
    assert all(set(a) & set(b) for a, b in zip(frames, frames[1:]))  # Eq. 22
    assert all(a.start < b.start and a.stop < b.stop for a, b in zip(frames, frames[1:]))
    assert frames[-1].stop == steps
    assert all(len(clip) == min(length, steps) for clip in frames)
    new = [frame for clip in clips for frame in range(clip.start + clip.new, clip.stop)]
    assert new == list(range(steps))  # each frame counts once
    assert sum(clip.share for clip in clips) == pytest.approx(1)
    shared = min(max(round(overlap * length), 1), length - 1)
    assert ltsc.shared == shared
    assert all(a.stop - b.start == shared for a, b in list(zip(frames, frames[1:]))[:-1])
    assert all(a.stop - b.start >= shared for a, b in zip(frames, frames[1:]))
    for clip, following in zip(clips, clips[1:]):
        handed_on = None if clip.carry is None else clip.start + clip.carry
        assert handed_on == {"end": clip.stop - 1, "aligned": following.start - 1, "none": None}[carry]


def test_partition_of_the_paper():
    """Clips of 5 frames that share a quarter; (x1 x2 x3), (x2 x3 x4) of Sec. 5.3."""
    spans = lambda ltsc, steps: [(clip.start, clip.stop, clip.new) for clip in ltsc.clips(steps)]  # noqa: E731
    assert spans(LTSC(5), 13) == [(0, 5, 0), (4, 9, 1), (8, 13, 1)]
    assert spans(LTSC(3, 2 / 3), 4) == [(0, 3, 0), (1, 4, 2)]
    assert spans(LTSC(10), 4) == [(0, 4, 0)]
    assert spans(LTSC(4, 0.5), 7) == [(0, 4, 0), (2, 6, 2), (3, 7, 3)]


def test_overlap_loss_is_equation_23():
    earlier, later = random(2, 4, 3, 3, 1), random(2, 4, 3, 3, 1, seed=1)
    with tf.GradientTape() as tape:
        pair = [tf.constant(earlier), tf.constant(later)]
        tape.watch(pair)
        loss = LTSC(4).overlap_loss(*pair, shared=2)
    assert_close(loss, np.mean((earlier[:, 2:] - later[:, :2]) ** 2))
    before, after = tape.gradient(loss, pair)
    assert before is None or not np.any(before)  # the earlier side is detached
    assert np.any(after[:, :2]) and not np.any(after[:, 2:])


# Training ----------------------------------------------------------------------------------------


def make_model(carry=None, average=False, run_eagerly=True, **arguments):
    model = SCSModel(SCSNetwork([3, 2]), keras.layers.Dense(1), average=average)
    model(X)
    randomize(model)
    ltsc = carry and LTSC(4, 0.5, overlap_weight=0.7, carry=carry)
    model.compile(keras.optimizers.SGD(1.0), "mse", long_sequence=ltsc, clip=None, run_eagerly=run_eagerly, **arguments)
    return model


def by_hand(model, carry, average=False, streams=("main",)):
    """Loss, overlap loss and gradients of LTSC(4, 0.5) on 7 frames: clips 0-4, 2-6 and 3-7.

    Each row: the clip, its first new frame, the index in the clip of the state handed on.
    """
    rows = {
        "end": [(0, 4, 0, 3), (2, 6, 2, 3), (3, 7, 3, None)],
        "aligned": [(0, 4, 0, 1), (2, 6, 2, 0), (3, 7, 3, None)],
        "none": [(0, 4, 0, None), (2, 6, 2, None), (3, 7, 3, None)],
    }[carry]
    total, overlap, states, earlier, outputs = 0.0, 0.0, {}, None, []
    with tf.GradientTape() as tape:
        for start, stop, new, handed_on in rows:
            for stream in streams:
                after, gates = [], states.get(stream)
                for index in range(start, stop):  # frame by frame
                    frame, gates = model.network.step(
                        X[:, index], model.network.initial_states(2, 5, 5) if gates is None else gates, stream
                    )
                    after.append((frame, gates))
                features = tf.stack([frame for frame, _ in after], axis=1)
                y = model.head(features)
                share = (stop - start - new) / 7
                if average:
                    total += share * tf.reduce_mean((tf.reduce_mean(y[:, new:], axis=1) - Y[:, 0]) ** 2)
                else:
                    total += share * tf.reduce_mean((y[:, new:] - Y[:, start + new : stop]) ** 2)
                if stream == "main":
                    if earlier is not None:
                        overlap += tf.reduce_mean((y[:, :new] - tf.stop_gradient(earlier[:, -new:])) ** 2)
                    earlier = y
                    outputs.append(y[:, new:])
                states[stream] = None if handed_on is None else [tf.stop_gradient(g) for g in after[handed_on][1]]
        loss = total + 0.7 * overlap
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return loss, overlap, gradients, tf.concat(outputs, axis=1)


def step_gradients(model, *data):
    """The gradients of one step of plain SGD with rate 1, and the logs."""
    before = [to_numpy(variable) for variable in model.trainable_variables]
    logs = model.train_on_batch(*data, return_dict=True)
    return [old - to_numpy(new) for old, new in zip(before, model.trainable_variables)], logs


@pytest.mark.parametrize("carry", ["aligned", "end", "none"])
def test_truncated_back_propagation(carry):
    model = make_model(carry, run_eagerly=carry != "end")
    loss, overlap, expected, outputs = by_hand(model, carry)
    if carry == "aligned":
        assert_close(outputs, model(X))  # as one pass over the whole sequence
        assert_close(overlap, 0.0)
    else:
        assert np.abs(outputs - model(X)).max() > 1e-3 and overlap > 1e-5
    with tf.GradientTape() as tape:  # the way of backends with one gradient of everything
        in_one_piece = model.compute_loss(X, Y, training=True)
    variables = [variable.value for variable in model.trainable_variables]
    assert_close(tape.gradient(in_one_piece, variables), expected, 1e-6)
    model.reset_metrics()
    gradients, logs = step_gradients(model, X, Y)
    assert_close(gradients, expected, 1e-6)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert logs["overlap_loss"] == pytest.approx(float(overlap), rel=1e-4, abs=1e-7)
    assert logs["main_loss"] == pytest.approx(float(loss - 0.7 * overlap), rel=1e-5)


def test_a_convlstm_hands_on_the_state_after_the_step_that_is_asked_for():
    """`carry="aligned"` was given the state of the clip's end."""
    network = ConvLSTMNetwork([3, 2])
    network.build(X.shape)
    sequence = X.swapaxes(0, 1)
    for step in (0, 2, 6, -1, -3):
        stop = step % 7 + 1
        outputs, states = network.run(sequence, states_at=step)
        assert_close(outputs, network.run(sequence)[0])
        assert_close(list(states), list(network.run(sequence[:stop])[1]))
    assert np.abs(network.run(sequence, states_at=2)[1][0] - network.run(sequence)[1][0]).max() > 1e-3


@pytest.mark.parametrize("network", [SCSNetwork, ConvLSTMNetwork])
def test_aligned_clips_give_what_one_pass_gives(network):
    model = SCSModel(network([3, 2]), keras.layers.Dense(1))
    model(X)
    model.compile("sgd", "mse", long_sequence=LTSC(4, 0.5, carry="aligned"))
    model.compute_loss(X, Y, training=True)
    logs = {name: float(tracker.result()) for name, tracker in model.trackers.items()}
    assert logs["overlap"] == pytest.approx(0.0, abs=1e-9)
    assert logs["main"] == pytest.approx(float(np.mean((model(X) - Y) ** 2)), rel=1e-5)


def test_states_of_the_three_streams_are_carried_apart():
    model = make_model("end", spatial_loss="mse", temporal_loss="mse")
    loss, _, expected, _ = by_hand(model, "end", streams=("main", "spatial", "temporal"))
    gradients, logs = step_gradients(model, X, Y)
    assert_close(gradients, expected, 1e-6)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_one_target_a_sequence():
    model = make_model("end", average=True)
    loss, _, expected, _ = by_hand(model, "end", average=True)
    gradients, logs = step_gradients(model, X, Y[:, 0])
    assert_close(gradients, expected, 1e-6)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_one_clip_is_the_whole_sequence():
    whole, clipped = make_model(), make_model()
    clipped.compile(keras.optimizers.SGD(1.0), "mse", long_sequence=LTSC(7), clip=None, run_eagerly=True)
    (expected, logs), (actual, clip_logs) = (step_gradients(model, X, Y) for model in (whole, clipped))
    assert_close(actual, expected, 1e-6)
    assert clip_logs["loss"] == pytest.approx(logs["loss"], rel=1e-6)
    assert clip_logs["overlap_loss"] == 0.0


def test_sample_weights_of_frames_and_sequences():
    for weights in (np.array([0.0, 2.0], "float32"), np.array([[0.0], [2.0]], "float32"), np.abs(random(2, 7))):
        model = make_model("aligned")
        errors = to_numpy(tf.reduce_mean((model(X) - Y) ** 2, axis=(2, 3, 4)))  # (batch, time)
        logs = model.train_on_batch(X, Y, sample_weight=weights, return_dict=True)
        assert logs["main_loss"] == pytest.approx(np.mean(errors * weights.reshape(2, -1)), rel=1e-4)


@pytest.mark.parametrize("carry", ["aligned", "end"])
def test_metrics_see_every_frame_once(carry):
    model = make_model(carry, metrics=["mse"])
    _, _, _, outputs = by_hand(model, carry)
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["mse"] == pytest.approx(float(np.mean((outputs - Y) ** 2)), rel=1e-5)


def test_config_round_trip():
    ltsc = LTSC(8, 0.4, overlap_weight=3.0, carry="none")
    assert vars(LTSC.from_config(ltsc.get_config())) == vars(ltsc)


def train_without_length():
    model = make_model("end", run_eagerly=False)
    data = tf.data.Dataset.from_generator(
        lambda: iter([(X, Y)]),
        output_signature=(tf.TensorSpec((2, None, 5, 5, 2)), tf.TensorSpec((2, None, 5, 5, 1))),
    )
    model.fit(data, verbose=0)


@pytest.mark.parametrize(
    "make, message",
    [
        *[
            (lambda n=n: LTSC(n), "`length`, the frames of a clip, must be an integer of at least 2")
            for n in (1, 0, 2.5, "8")
        ],
        *[
            (lambda x=x: LTSC(8, x), "`overlap`.*must lie between 0 and 1")
            for x in (0, 1, -0.5, 1.5, float("nan"), "half")
        ],
        *[(lambda w=w: LTSC(8, overlap_weight=w), "`overlap_weight` must not be negative") for w in (-1, float("nan"))],
        (lambda: LTSC(8, carry="start"), "`carry` must be one of"),
        (lambda: LTSC(8).clips(0), "needs to know the number of frames"),
        (train_without_length, "needs to know the number of frames"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "Received" in str(error.value)


@pytest.mark.parametrize("ltsc", [None, LTSC(3, overlap=0.3, overlap_weight=0.0, carry="none")])
def test_q_is_set_from_the_losses_of_the_last_clip_as_they_are(ltsc):
    """Not from their share of the sequence: Eq. 20 compares them with the first loss. Without clips: of the whole."""
    switch = ASTSGD(initial_loss=50.0, threshold=0.1, alpha=1.0)
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
    model.compile(
        keras.optimizers.SGD(0.0), "mse", spatial_loss="mse", switch=switch, long_sequence=ltsc, run_eagerly=True
    )
    x, y = random(2, 7, 5, 5, 1), 3 + random(2, 7, 5, 5, 1, seed=1)
    model.train_on_batch(x, y)
    start, new = (ltsc.clips(7)[-1].start, ltsc.clips(7)[-1].new) if ltsc else (0, 0)
    assert ltsc is None or ltsc.clips(7)[-1].share < 0.5
    frames, target = x[:, start:], y[:, start + new :]
    L_g, L_s = (
        float(np.mean((to_numpy(model(frames, stream=stream))[:, new:] - target) ** 2))
        for stream in ("main", "spatial")
    )
    expected = 0.5 + 0.5 * (L_s - 0.1) / (50.0 - 0.1) * (L_g / L_s)
    assert 0.5 < expected < 1
    assert float(switch.q) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("clip", [2, 3, 5])
def test_regularisation_counts_once_however_many_clips(clip):
    """With no other loss a step of SGD takes the kernels by the gradient of the penalty, once."""
    model = SCSModel(SCSNetwork([2], kernel_regularizer=keras.regularizers.L2(0.1)), keras.layers.Dense(1))
    model.build((None, 5, 4, 4, 1))
    ltsc = LTSC(clip, overlap_weight=0.0)
    model.compile(
        keras.optimizers.SGD(1.0), "mse", loss_weights=dict(main=0.0), long_sequence=ltsc, clip=None, run_eagerly=True
    )
    kernel = model.network.scs_layers[0].cell.spatial_kernel
    before = to_numpy(kernel)
    loss = model.train_on_batch(random(2, 5, 4, 4, 1), random(2, 5, 4, 4, 1))
    np.testing.assert_allclose(to_numpy(kernel), 0.8 * before, rtol=1e-5)
    penalty = 0.1 * sum(
        float(np.sum(to_numpy(v) ** 2)) for v in (before, model.network.scs_layers[0].cell.temporal_kernel / 0.8)
    )
    assert float(np.ravel(loss)[0]) == pytest.approx(penalty, rel=1e-4)


# The loop -----------------------------------------------------------------------------------------


class Unrolled(SCSModel):
    unroll_clips = True


def looped(model_class, carry, make_switch=None, reduce="none", normalization=None, **arguments):
    """A model after two steps on 10 frames, with what was logged; in the graph the middle ones of its clips are a loop."""
    keras.utils.set_random_seed(3)
    x, y = random(2, 10, 4, 5, 2), random(2, 10, 4, 5, 1, seed=1)
    model = model_class(
        SCSNetwork([2], normalization=normalization, kernel_regularizer=keras.regularizers.L2(0.01)),
        keras.layers.Dense(1), reduce=reduce,
    )  # fmt: skip
    model.build(x.shape)
    randomize(model)
    model.compile(
        keras.optimizers.SGD(0.3), "mse", long_sequence=LTSC(3, carry=carry), spatial_loss="mse", metrics=["mse"],
        switch=make_switch and make_switch(), run_eagerly=model_class is Unrolled, **arguments,
    )  # fmt: skip
    assert max(map(len, model.long_sequence.runs(10))) > 1
    y = y if reduce == "none" else y[:, 0]
    return model, [model.train_on_batch(x, y, return_dict=True) for _ in range(2)]


@pytest.mark.parametrize(
    "arguments",
    [
        dict(carry="end", make_switch=lambda: ASTSGD(initial_loss=9.0, threshold=0.01, seed=1)),
        pytest.param(dict(carry="aligned", reduce="second_half", normalization="batch"), marks=pytest.mark.slow),
        pytest.param(
            dict(carry="none", make_switch=lambda: STSGD(0.5, seed=1), dtype="mixed_float16", accumulate_steps=2),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["end", "aligned", "none"],
)
def test_a_loop_in_the_graph_gives_what_the_unrolled_clips_give(arguments):
    dtype = arguments.pop("dtype", None)
    keras.config.set_dtype_policy(dtype or "float32")
    try:
        (loop, logs), (unrolled, expected) = (looped(each, **arguments) for each in (SCSModel, Unrolled))
    finally:
        keras.config.set_dtype_policy("float32")
        arguments.update(dict(dtype=dtype) if dtype else {})
    tolerance = 2e-3 if dtype else 1e-5
    assert_close(loop.get_weights(), unrolled.get_weights(), tolerance)
    assert_close(logs, expected, 10 * tolerance)
    if loop.switch is not None:
        assert_close(loop.switch.draws.state.value, unrolled.switch.draws.state.value)
    if isinstance(loop.switch, ASTSGD):
        assert 0.5 < float(loop.switch.q) < 1


def operations(frames):
    """Number of operations in the graph of a training step."""
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
    model.build((None, frames, 4, 4, 1))
    model.compile("sgd", "mse", long_sequence=LTSC(2))
    graph = tf.function(model.train_step).get_concrete_function((tf.zeros((1, frames, 4, 4, 1)),) * 2).graph
    definition = graph.as_graph_def()
    return len(definition.node) + sum(len(function.node_def) for function in definition.library.function)


@pytest.mark.slow
def test_the_graph_does_not_grow_with_the_sequence():
    assert operations(17) == operations(9)


def test_the_loop_of_other_backends_is_written_out():
    loop = KerasStep.loop  # which asks for nothing of the model
    carried, parts = loop(None, lambda index, sums: (sums + index, (2.0 * sums, index)), 3, tf.constant(1.0))
    assert float(carried) == 4.0
    assert_close(parts, (np.array([2.0, 2.0, 4.0]), np.array([0, 1, 2])))


def test_clips_of_a_run_differ_in_their_place_only():
    for steps in (1, 5, 16, 17, 100):
        for carry in ("end", "aligned", "none"):
            ltsc = LTSC(5, 0.3, carry=carry)
            runs = ltsc.runs(steps)
            assert sum(runs, []) == ltsc.clips(steps) and len(runs) <= 4
            for run in runs:
                strides = {b.start - a.start for a, b in zip(run, run[1:])}
                assert len({clip[2:4] for clip in run}) == 1 and len(strides) <= 1
