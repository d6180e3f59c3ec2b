"""Several inputs, whole-sequence ones encoded once, heads with a state and at several scales; clips and steps of these."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from scs_keras import LTSC, JoinInputs, RecurrentHead, ScaleHeads, SCSModel, SCSNetwork, Stage, goals
from scs_keras.core.signatures import Spec
from tests.checks import assert_close, random, randomize, to_numpy

FRAMES, IMAGE, SPEED = random(2, 7, 5, 5, 2), random(2, 5, 5, 1, seed=1), random(2, 7, 3, seed=2)
INPUTS = {"frames": FRAMES, "image": IMAGE, "speed": SPEED}
Y = random(2, 7, 2, seed=3)


@keras.saving.register_keras_serializable("tests")
class Counted(layers.Layer):
    """A 3x3 convolution that tells how many images it saw in how many calls."""

    def __init__(self, filters=2, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(filters, 3, padding="same")
        self.calls = []

    def build(self, shape):
        self.convolution.build(shape)
        self.built = True

    def call(self, x):
        if not isinstance(x, keras.KerasTensor) and x.shape[0] is not None:
            self.calls.append(x.shape[0])
        return self.convolution(x)


def make(encoder=None, backbone=None, head=None, eagerly=True, sub_goals=False, build=True, **arguments):
    model = SCSModel(
        SCSNetwork([3]),
        head or RecurrentHead(layers.LSTM(4), after=layers.Dense(2), inputs="speed"),
        backbone=JoinInputs({"frames": backbone, "image": None}),
        context="image",
        context_encoder=encoder,
    )
    if build:
        model.build({name: each.shape for name, each in INPUTS.items()})
        randomize(model)
    losses = dict(spatial_loss="mse", temporal_loss="mse") if sub_goals else {}
    model.compile(keras.optimizers.SGD(1.0), "mse", clip=None, run_eagerly=eagerly, **losses, **arguments)
    return model


def cut(inputs, start, stop):
    return {name: each if name == "image" else each[:, start:stop] for name, each in inputs.items()}


def test_what_the_network_and_the_head_see():
    encoder, backbone = layers.Conv2D(2, 3, padding="same"), layers.Conv2D(3, 3, padding="same")
    model = make(encoder, backbone)
    image = np.repeat(to_numpy(encoder(IMAGE))[:, None], 7, axis=1)
    frames = np.stack([to_numpy(backbone(FRAMES[:, index])) for index in range(7)], axis=1)
    features = to_numpy(model.network(np.concatenate([frames, image], axis=-1).astype("float32")))
    vectors = np.concatenate([features.mean(axis=(2, 3)), SPEED], axis=-1).astype("float32")
    assert_close(model(INPUTS), model.head.after(model.head.recurrent(vectors)[0]))


def test_steps_and_pieces_are_the_whole():
    model = make(layers.Conv2D(2, 3, padding="same"))
    expected, last = model(INPUTS, return_states=True)
    states, outputs = model.initial_states(INPUTS), []
    assert [tuple(state.shape) for state in states] == [(2, 5, 5, 3), (2, 4), (2, 4), (2, 5, 5, 2)]
    for index in range(7):
        frame = {name: INPUTS[name][:, index] for name in ("frames", "speed")}  # the image is in the states
        output, states = model.step(frame, states)
        outputs.append(output)
    assert_close(np.stack(outputs, axis=1), expected)
    assert_close(states, last)
    _, states = model(INPUTS, return_states=True, state_index=2)
    assert_close(model(cut(INPUTS, 3, 7), initial_states=states), expected[:, 3:])


@pytest.mark.parametrize("recurrent", [layers.GRU, layers.SimpleRNN, layers.LSTM])
def test_a_recurrent_head_is_the_layer_over_the_whole_sequence(recurrent):
    head = RecurrentHead(recurrent(3), before=layers.TimeDistributed(layers.Flatten()))
    model = SCSModel(SCSNetwork([2]), head)
    outputs = to_numpy(model(FRAMES))
    flat = np.reshape(model.network(FRAMES), (2, 7, -1))
    expected = head.recurrent(flat)[0]
    assert_close(outputs, expected)
    mask = np.array([[1, 1, 0, 1, 1, 0, 0], [1] * 7], bool)
    features = to_numpy(model.network(FRAMES, mask=mask)).reshape(2, 7, -1).astype("float32")
    assert_close(model(FRAMES, mask=mask), head.recurrent(features, mask=mask)[0])


# Training ------------------------------------------------------------------------------------------


def by_hand(model, carry, share=(4, 2, 1)):
    """Loss and gradients of LTSC(4, 0.5, carry) on 7 frames, the image encoded once."""
    index = {"end": (3, 3, None), "aligned": (1, 0, None)}[carry]
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        encoding, states, total = model.context_encoder(IMAGE), None, 0.0
        for start, new, at, count in zip((0, 2, 3), (0, 2, 3), index, share):
            part = cut({**INPUTS, "image": encoding}, start, start + 4)
            features = model.backbone.layers[0](tf.reshape(part["frames"], (-1, 5, 5, 2)))
            features = tf.concat([tf.reshape(features, (2, 4, 5, 5, -1)), tf.repeat(encoding[:, None], 4, 1)], -1)
            gates, held = states or (model.network.initial_states(2, 5, 5), [tf.zeros((2, 4))] * 2)
            outputs = []
            for step in range(4):
                u, gates = model.network.step(features[:, step], gates)
                vector = tf.concat([tf.reduce_mean(u, (1, 2)), part["speed"][:, step]], -1)
                h, held = model.head.recurrent.cell(vector, held)
                outputs.append(model.head.after(h))
                if step == at:
                    states = tf.nest.map_structure(tf.stop_gradient, (gates, held))
            y = tf.stack(outputs, 1)[:, new:]
            total += count / 7 * tf.reduce_mean((y - Y[:, start + new : start + 4]) ** 2)
    return total, tape.gradient(total, variables)


@pytest.mark.parametrize(
    ("carry", "eagerly"), [("end", True), ("aligned", True), pytest.param("end", False, marks=pytest.mark.slow)]
)
def test_clips_share_one_encoding_and_hand_on_the_heads_state(carry, eagerly):
    """Of an LSTM head every clip started at zero."""
    make_model = lambda: make(  # noqa: E731
        Counted(), layers.Conv2D(2, 3, padding="same"), long_sequence=LTSC(4, 0.5, 0.0, carry), eagerly=eagerly
    )
    model = make_model()
    expected, gradients = by_hand(model, carry)
    model.context_encoder.calls.clear()
    before = [to_numpy(variable) for variable in model.trainable_variables]
    logs = model.train_on_batch(INPUTS, Y, return_dict=True)
    assert logs["main_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert_close([old - to_numpy(new) for old, new in zip(before, model.trainable_variables)], gradients, 1e-6)
    assert not eagerly or model.context_encoder.calls == [2]
    other = make_model()  # the way of backends with one gradient of everything
    with tf.GradientTape() as tape:
        loss = other.compute_loss(INPUTS, Y, training=True)
    assert_close(tape.gradient(loss, [variable.value for variable in other.trainable_variables]), gradients, 1e-6)


def test_a_backbone_runs_once_for_all_streams():
    backbone = Counted()
    model = make(backbone=backbone, sub_goals=True)
    backbone.calls.clear()
    for call in (model.train_on_batch, model.test_on_batch):
        call(INPUTS, Y)
        assert backbone.calls == [14]
        backbone.calls.clear()
    model = make(backbone=backbone, sub_goals=True, long_sequence=LTSC(4, 0.5))
    backbone.calls.clear()
    model.train_on_batch(INPUTS, Y)
    assert backbone.calls == [8, 8, 8]


def test_dropout_of_a_head_acts_in_clips_too():
    head = lambda: keras.Sequential([layers.Dropout(0.9, seed=1), layers.Dense(1)])  # noqa: E731
    losses = []
    for long_sequence in (None, LTSC(7)):
        model = SCSModel(SCSNetwork([2]), head())
        model.build(FRAMES.shape)
        randomize(model)
        model.compile("sgd", "mse", long_sequence=long_sequence, run_eagerly=True)
        losses.append(model.train_on_batch(FRAMES, FRAMES[..., :1], return_dict=True)["loss"])
    inference = np.mean((to_numpy(model(FRAMES)) - FRAMES[..., :1]) ** 2)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and abs(losses[0] - inference) > 1e-3


# Scales ------------------------------------------------------------------------------------------


def test_taps_are_the_features_after_the_stages():
    network = SCSNetwork([Stage(2, strides=2, pool=3), Stage(3, layers=4, shortcut_every=2), Stage(4, strides=2)])
    frames = random(1, 3, 17, 20, 1)
    network(frames)
    sequence = np.moveaxis(frames, 1, 0)
    for stream in ("main", "temporal"):
        u, states, after = network.run(sequence, stream, taps=(2, 0, 1))
        assert_close((u, states), network.run(sequence, stream))
        assert_close(after[0], u)
        for count, found in ((1, after[1]), (2, after[2])):
            shorter = SCSNetwork(network.stages[:count])
            shorter(frames)
            for layer, same in zip(shorter.scs_layers, network.scs_layers):
                layer.set_weights(same.get_weights())
            for (_, line, _), (_, same, _) in zip(shorter.blocks, network.blocks):
                if line is not None:
                    line.set_weights(same.get_weights())
            assert_close(found, shorter.run(sequence, stream)[0])
        assert [tuple(each.shape[i] for i in (1, 0, 2, 3, 4)) for each in after] == network.tap_shapes(
            (1, 3, 17, 20, 1), (2, 0, 1)
        )


def moving(steps=5, size=32):
    """A pattern that moves by two pixels to the right and one down a frame."""
    y, x = np.mgrid[:size, :size].astype("float32")
    pattern = lambda x, y: np.sin(x / 3) + np.cos(y / 2.5) + np.sin((x + y) / 4)  # noqa: E731
    return np.stack([pattern(x - 2 * t, y - t) for t in range(steps)])[None, ..., None].astype("float32")


@pytest.mark.parametrize("at_once", [32, pytest.param(2, marks=pytest.mark.slow)])
def test_flow_from_the_last_frame_in_the_pixels_of_each_head(at_once, monkeypatch):
    monkeypatch.setattr(goals.LastFrameFlow, "MOST_AT_ONCE", at_once)
    goal = goals.LastFrameFlow(scales=(1, 4), levels=2)
    (fine, coarse), weights = goal({"frames": moving()}, None)
    assert fine.shape == (1, 5, 32, 32, 2) and coarse.shape == (1, 5, 8, 8, 2)
    np.testing.assert_array_equal(weights, [[0, 1, 1, 1, 1]])
    assert not np.any(fine[:, 0])
    assert_close(fine[:, 1:], goals.optical_flow(moving(), levels=2), 1e-4)
    inner = to_numpy(coarse)[:, 1:, 2:-2, 2:-2]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1, 2, 3)), [2 / 4, 1 / 4], atol=0.05)
    assert_close(coarse, np.mean(np.reshape(fine, (1, 5, 8, 4, 8, 4, 2)), axis=(3, 5)) / 4, 1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(goal))
    assert again.get_config() == goal.get_config()
    assert goals.LastFrameFlow()(moving(1), None)[0].shape == (1, 1, 32, 32, 2)


@pytest.mark.parametrize("long_sequence", [None, LTSC(4, 0.5, 0.0, "aligned")])
def test_the_loss_is_the_sum_over_the_scales(long_sequence):
    x = random(2, 7, 8, 8, 1)
    heads = ScaleHeads([layers.Dense(2), layers.Dense(2)], taps=(0, 1))
    model = SCSModel(
        SCSNetwork([2, Stage(3, strides=2)]), layers.Dense(1), temporal_head=heads,
        temporal_goal=goals.LastFrameFlow(scales=(1, 2)),
    )  # fmt: skip
    model.build(x.shape)
    randomize(model)
    model.compile("sgd", "mse", temporal_loss="mse", long_sequence=long_sequence, run_eagerly=True)
    targets, _ = model.goals["temporal"](x, None)
    outputs = model(x, stream="temporal")
    errors = [np.mean((to_numpy(a) - to_numpy(b))[:, 1:] ** 2) * 6 / 7 for a, b in zip(outputs, targets)]
    logs = model.train_on_batch(x, random(2, 7, 4, 4, 1), return_dict=True)
    assert logs["temporal_loss"] == pytest.approx(sum(errors), rel=1e-4)


# Serving, files ----------------------------------------------------------------------------------


def test_signatures_of_several_inputs():
    model = make(layers.Conv2D(2, 3, padding="same"))
    whole, step, initial_state = model.signatures()
    assert whole.inputs == (Spec("frames", (7, 5, 5, 2)), Spec("image", (5, 5, 1)), Spec("speed", (7, 3)))
    assert [spec.name for spec in step.inputs] == ["frames", "speed", *(f"state_{index}" for index in range(4))]
    assert initial_state.inputs == (Spec("frames", (5, 5, 2)), Spec("image", (5, 5, 1)), Spec("speed", (3,)))
    assert_close(whole.function(FRAMES, IMAGE, SPEED)[0], model(INPUTS))
    before = initial_state.function(FRAMES[:, 0], ops.convert_to_tensor(IMAGE), SPEED[:, 0])
    output, *_ = step.function(FRAMES[:, 0], SPEED[:, 0], *before)
    assert_close(output, model(INPUTS)[:, 0])


# Errors ------------------------------------------------------------------------------------------


def lost_state():
    model = SCSModel(SCSNetwork([2]), keras.Sequential([layers.TimeDistributed(layers.Flatten()), layers.LSTM(2)]))
    model.compile("sgd", "mse", long_sequence=LTSC(3))


def without_backbone():
    SCSModel(SCSNetwork([2]), layers.Dense(1))({"frames": FRAMES, "more": FRAMES})


def other_scale():
    model = SCSModel(
        SCSNetwork([2]), layers.Dense(1), temporal_head=layers.Dense(2), temporal_goal=goals.LastFrameFlow(scales=2)
    )
    model.compile("sgd", "mse", temporal_loss="mse", run_eagerly=True)
    model.train_on_batch(random(1, 3, 8, 8, 1), random(1, 3, 8, 8, 1))


def one_scale_too_many():
    model = SCSModel(
        SCSNetwork([2]), layers.Dense(1), temporal_head=layers.Dense(2), temporal_goal=goals.LastFrameFlow((1, 2))
    )
    model.compile("sgd", "mse", temporal_loss="mse", run_eagerly=True)
    model.train_on_batch(random(1, 3, 8, 8, 1), random(1, 3, 8, 8, 1))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: make()({"frames": FRAMES, "speed": SPEED}), r"'image' for the whole sequence.*Received: \['frames', 'speed'\]"),
        (lambda: make()(FRAMES), "'image' for the whole sequence.*Received: one tensor"),
        (lambda: make()({**INPUTS, "frames": FRAMES[:, :3]}), "same number of time steps. Received: {'frames': 3, 'speed': 7}"),
        (without_backbone, r"a backbone joins them. Received: \['frames', 'more'\].*JoinInputs\(\{'frames'"),
        (lambda: SCSModel(SCSNetwork([2]), layers.Dense(1), context=3), "`context` names the inputs.*Received: context=3"),
        (
            lambda: SCSModel(SCSNetwork([2]), layers.Dense(1), context_encoder=layers.Dense(1)),
            r"`context_encoder` encodes the inputs that `context` names.*Received: context=\(\)",
        ),
        (
            lambda: SCSModel(
                SCSNetwork([2]), layers.Dense(1), backbone=JoinInputs({"frames": None}), context=("image", "speed"),
                context_encoder=keras.Sequential([layers.Lambda(lambda x: x["image"])]),
            )(INPUTS),
            r"returns a dict with the same names. Allowed: \['image', 'speed'\]",
        ),
        (lambda: JoinInputs({}), "`layers` is a dict.*Received: {}"),
        (lambda: JoinInputs({"frames": None})({"image": IMAGE}), r"joins the inputs \['frames'\]. Received: \['image'\]"),
        (lambda: RecurrentHead(layers.Dense(2)), "`recurrent` must be a keras.layers.LSTM.*Received: <Dense"),
        (lambda: make(head=RecurrentHead(layers.LSTM(2), inputs="speeds")), "There is no input of the model 'speeds'. Did you mean 'speed'"),
        (lambda: ScaleHeads([layers.Dense(2)], taps=(0, 1)), r"a head for each stage. Received: 1 heads for taps=\(0, 1\)"),
        (lambda: SCSNetwork([2]).run(np.moveaxis(FRAMES, 1, 0), taps=(1,)), "`taps` names stages of the network, 0 to 0. Received: 1"),
        (lambda: goals.LastFrameFlow(scales=(4, 0.5)), r"`scales` are pixels.*Received: scales=\(4, 0.5\)"),
        (lost_state, r"LTSC hands the state of a head on.*Received: a recurrent layer inside .*RecurrentHead\("),
        (other_scale, r"another size than the head's output. Allowed: \(1, 3, 8, 8, 2\). Received: \(1, 3, 4, 4, 2\)"),
        (one_scale_too_many, "Received: 2 targets and 2 weights for 1 outputs"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()
