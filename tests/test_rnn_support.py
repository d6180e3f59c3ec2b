"""keras.layers.RNN(SCSCell(...)) wherever a Keras user tries it, and what Keras would do without our help."""

import contextlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.layers import RNN

from scs_keras import SCS2D, STSGD, SCSCell
from scs_keras.core import rnn_support
from tests.checks import assert_close, check_layer, numpy_scs, random, randomize, to_numpy

X = random(2, 3, 8, 7, 2)


def rnn(cell=None, **arguments):
    """An RNN(SCSCell) with random weights, built for X."""
    layer = RNN(cell or SCSCell(3, strides=2), **arguments)
    layer.build(X.shape)
    randomize(layer)
    return layer


def test_layer_contract(tmp_path):
    check_layer(lambda dtype=None: RNN(SCSCell(3, dtype=dtype), return_sequences=True, dtype=dtype), X, tmp_path)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("return_state", [True, False])
@pytest.mark.parametrize("mode", ["eager", "graph", "unrolled", "functional", "sequential", "subclassed", "predict"])
def test_ways_to_call(mode, return_sequences, return_state):
    layer = rnn(return_sequences=return_sequences, return_state=return_state, unroll=mode == "unrolled")
    outputs, gates = numpy_scs(layer.get_weights(), X, strides=2)
    expected = outputs if return_sequences else outputs[:, -1]
    expected = (expected, gates[:, -1]) if return_state else expected
    inputs = keras.Input(X.shape[1:])
    functional = keras.Model(inputs, layer(inputs))
    if mode in ("eager", "unrolled"):
        actual = layer(X)
    elif mode == "graph":
        actual = tf.function(layer)(tf.constant(X))
    elif mode == "functional":
        shapes = [tuple(each.shape[1:]) for each in functional.outputs]
        assert shapes == [each.shape[1:] for each in keras.tree.flatten(expected)]
        actual = functional(X)
    elif mode == "predict":
        actual = functional.predict(X, verbose=0)
    elif mode == "sequential":
        actual = keras.Sequential([layer])(X)
    else:

        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.layer = layer

            def call(self, x):
                return self.layer(x)

        actual = Model()(X)
    assert_close(actual, expected)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
def test_equals_scs2d(stream, strides):
    layer = rnn(SCSCell(3, strides=strides, stream=stream), return_sequences=True, return_state=True)
    fast = SCS2D(3, strides=strides, return_state=True)
    fast.build(X.shape)
    fast.set_weights(layer.get_weights())
    assert_close(fast(X, stream=stream), layer(X))


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_functional_at_other_ranks(rank):
    x = random(2, 3, *(6, 5, 4)[:rank], 2)
    layer = RNN(SCSCell(3, rank=rank), return_sequences=True)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    randomize(model)
    assert model.output_shape[1:] == (*x.shape[1:-1], 3)
    assert_close(model(x), numpy_scs(layer.get_weights(), x)[0])


def two_layers(weights, x):
    """NumPy: outputs of the second layer, and both layers' gates."""
    first, gates_1 = numpy_scs(weights[:5], x, strides=2)
    second, gates_2 = numpy_scs(weights[5:], first)
    return second, gates_1, gates_2


@pytest.mark.parametrize("frame", [(8, 7), (None, None)])
def test_stack_of_cells(frame, tmp_path):
    layer = RNN([SCSCell(3, strides=2), SCSCell(4, initial_gate=0.5)], return_sequences=True, return_state=True)
    inputs = keras.Input((None, *frame, 2))
    model = keras.Model(inputs, layer(inputs))
    randomize(model)
    second, gates_1, gates_2 = two_layers(layer.get_weights(), X)
    expected = [second, gates_1[:, -1], gates_2[:, -1]]
    assert_close(list(model(X)), expected)
    assert_close(list(model.predict(X, verbose=0)), expected)
    model.save(tmp_path / "stack.keras")
    assert_close(list(keras.saving.load_model(tmp_path / "stack.keras")(X)), expected)


def test_stack_in_a_row_of_layers():
    model = keras.Sequential(
        [RNN(SCSCell(3, strides=2), return_sequences=True), RNN(SCSCell(4), return_sequences=True)]
    )
    model(X)
    randomize(model)
    assert_close(model(X), two_layers(model.get_weights(), X)[0])


def test_unknown_frame_and_length(tmp_path):
    inputs = keras.Input((None, None, None, 2))
    layer = RNN(SCSCell(3, strides=2), return_sequences=True)
    model = keras.Model(inputs, layers.GlobalAveragePooling3D()(layer(inputs)))
    randomize(model)
    model.save(tmp_path / "any.keras")
    model = keras.saving.load_model(tmp_path / "any.keras")
    for shape in ((2, 3, 8, 7, 2), (1, 5, 6, 6, 2)):
        x = random(*shape)
        outputs, _ = numpy_scs(layer.get_weights(), x, strides=2)
        assert_close(model(x), outputs.mean(axis=(1, 2, 3)))
        assert_close(model.predict(x, verbose=0), outputs.mean(axis=(1, 2, 3)))


def test_initial_state():
    layer, gate = rnn(), random(2, 4, 4, 3)
    assert_close(layer(X, initial_state=gate), numpy_scs(layer.get_weights(), X, gate, strides=2)[0][:, -1])
    assert_close(layer(X, initial_state=[gate]), layer(X, initial_state=gate))


@pytest.mark.parametrize("initial_gate", [0.5, 0.0, 0.3])
def test_stateful(initial_gate):
    layer = rnn(SCSCell(3, strides=2, initial_gate=initial_gate), stateful=True, return_sequences=True)
    expected = numpy_scs(layer.get_weights(), X, initial_gate, strides=2)[0]
    for _ in range(2):
        assert_close(layer(X[:, :2]), expected[:, :2])
        assert_close(layer(X[:, 2:]), expected[:, 2:])
        layer.reset_state()
    stack = rnn(layers.StackedRNNCells([SCSCell(3), SCSCell(4, initial_gate=initial_gate)]), stateful=True)
    first = stack(X)
    assert np.abs(stack(X) - first).max() > 1e-4
    stack.reset_state()
    assert_close(stack(X), first)


def test_go_backwards():
    layer = rnn(go_backwards=True, return_sequences=True)
    assert_close(layer(X), numpy_scs(layer.get_weights(), X[:, ::-1], strides=2)[0])


@pytest.mark.parametrize("unroll", [True, False])
def test_mask(unroll):
    mask = np.array([[True, False, True], [False, True, False]])
    layer = rnn(return_sequences=True, return_state=True, unroll=unroll)
    outputs, gate = map(to_numpy, layer(X, mask=mask))
    for row, steps in enumerate(([0, 2], [1])):  # a masked step is as if it were not there
        expected, gates = numpy_scs(layer.get_weights(), X[row : row + 1, steps], strides=2)
        assert_close(outputs[row, steps], expected[0])
        assert_close(gate[row], gates[0, -1])
    assert_close(outputs[0, 1], outputs[0, 0])  # and repeats the last output
    assert_close(outputs[1, 2], outputs[1, 1])
    assert_close(outputs[1, 0], np.zeros_like(outputs[1, 0]))
    fast = SCS2D(3, strides=2, return_state=True)
    fast.build(X.shape)
    fast.set_weights(layer.get_weights())
    assert_close(fast(X, mask=mask), (outputs, gate))


def test_mask_of_another_layer():
    model = keras.Sequential([layers.Masking(), RNN(SCSCell(3, rank=0))])
    x = random(2, 4, 5)
    x[:, 2:] = 0
    model(x)
    randomize(model)
    assert_close(model(x), numpy_scs(model.get_weights(), x[:, :2])[0][:, -1])


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
def test_bidirectional(merge_mode, tmp_path):
    inputs = keras.Input(X.shape[1:])
    layer = layers.Bidirectional(RNN(SCSCell(3, strides=2), return_sequences=True), merge_mode=merge_mode)
    model = keras.Model(inputs, layer(inputs))
    randomize(model)
    forward = numpy_scs(layer.forward_layer.get_weights(), X, strides=2)[0]
    backward = numpy_scs(layer.backward_layer.get_weights(), X[:, ::-1], strides=2)[0][:, ::-1]
    expected = {"concat": np.concatenate([forward, backward], -1), "sum": forward + backward, None: [forward, backward]}
    assert_close(model(X), expected[merge_mode])
    if merge_mode:
        assert model.output_shape[1:] == expected[merge_mode].shape[1:]
    model.save(tmp_path / "both.keras")
    assert_close(keras.saving.load_model(tmp_path / "both.keras")(X), expected[merge_mode])


@pytest.mark.parametrize(
    "make", [lambda: RNN(SCSCell(3), return_sequences=True), lambda: SCS2D(3), lambda: SCS2D(3, unroll=False)]
)
def test_jit_compile(make):
    layer = make()
    layer.build(X.shape)
    randomize(layer)

    def outputs_and_gradients(x):
        with tf.GradientTape() as tape:
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs**2)
        return outputs, tape.gradient(loss, [variable.value for variable in layer.trainable_variables])

    x = tf.constant(X)
    assert_close(tf.function(outputs_and_gradients, jit_compile=True)(x), outputs_and_gradients(x), 1e-4)


def test_jit_compiled_fit():
    model = keras.Sequential([RNN(SCSCell(3, switch=STSGD(0.5)))])
    model(X)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.compile("sgd", "mse", jit_compile=True)
    model.fit(X, np.ones((2, 8, 7, 3)), verbose=0)
    assert all(np.any(a != b.numpy()) for a, b in zip(before, model.trainable_variables))


# Wrong input ---------------------------------------------------------------------------------------


def pair():
    return rnn([SCSCell(3), SCSCell(3)])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RNN(SCSCell(3))(X[:, 0]), r"inside RNN it needs 5 axes \(batch, time, height, width, channels\)"),
        (lambda: rnn()(X[:, 0]), r"RNN\(SCSCell\) takes sequences of images with 5 axes.*\(2, 8, 7, 2\)"),
        (lambda: rnn()(keras.Input(X.shape[2:])), "takes sequences of images with 5 axes"),
        (lambda: rnn()(X[..., :1]), r"RNN\(SCSCell\) was built for inputs with 2 channels"),
        (lambda: pair()(keras.Input((3, 8, 7, 1))), "was built for inputs with 2 channels"),
        (lambda: rnn()(keras.Input((0, 8, 7, 2))), "at least one time step"),
        (lambda: rnn()(X, initial_state=random(2, 8, 7, 3)), r"\(2, 4, 4, 3\).*a state of shape=\(2, 8, 7, 3\)"),
        (lambda: pair()(X, initial_state=[random(2, 8, 7, 3)]), "one initial state for each SCSCell.*1 states for 2"),
        (lambda: rnn(SCSCell(3, padding="valid"))(X[:, :, :2]), "at least as large as the kernel.*2 pixels"),
        (lambda: RNN(SCSCell(3, rank=1))(random(2, 3, 4)), r"one frame with 3 axes \(batch, length, channels\)"),
    ],
)
def test_wrong_input(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        make()
    assert "Received" in str(error.value)


@pytest.mark.parametrize("unroll", [True, False])
def test_integers_are_cast(unroll):
    x, layer = (100 * np.abs(X)).astype("uint8"), rnn(unroll=unroll)
    assert_close(layer(x), layer(x.astype("float32")))


# The switch --------------------------------------------------------------------------------------


def cells_of(model):
    return [cell for layer in model.layers for cell in getattr(layer.cell, "cells", [layer.cell])]


def switched_model(switch):
    return keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            RNN([SCSCell(3, switch=switch), SCSCell(3, switch=switch)], return_sequences=True),
            SCS2D(3, switch=switch),
            RNN(SCSCell(3, switch=switch)),
        ]
    )


def test_shared_switch_is_shared_again_after_load(tmp_path):
    model = switched_model(STSGD(0.5, decay_steps=10, seed=3))
    switch = cells_of(model)[0].switch
    switch.advance(4)
    switch.draw()
    model.save(tmp_path / "model.keras")
    loaded, other = (keras.saving.load_model(tmp_path / "model.keras") for _ in range(2))
    switches = {id(cell.switch): cell.switch for cell in cells_of(loaded)}
    assert len(cells_of(loaded)) == 4 and len(switches) == 1  # one switch again, not four
    assert cells_of(other)[0].switch is not cells_of(loaded)[0].switch
    (again,) = switches.values()
    assert float(again.p.value) == pytest.approx(0.3)
    assert_close(list(again.draw(50)), list(switch.draw(50)))  # and it goes on where it was
    assert_close(loaded(X), model(X))


def test_two_switches_stay_two(tmp_path):
    a, b = STSGD(0.1), STSGD(0.9)
    model = keras.Sequential([keras.Input(X.shape[1:]), SCS2D(2, switch=a), SCS2D(2, switch=b), SCS2D(2, switch=a)])
    model.save(tmp_path / "model.keras")
    first, second, third = cells_of(keras.saving.load_model(tmp_path / "model.keras"))
    assert first.switch is third.switch is not second.switch
    assert float(second.switch.p.value) == pytest.approx(0.9)


def test_switch_is_drawn_once_a_call_before_the_loop():
    switch = STSGD(0.5)
    layer = rnn(SCSCell(3, switch=switch))
    counter = switch.draws.state.numpy().copy()
    layer(X, training=False)
    assert np.array_equal(switch.draws.state, counter)
    layer(X, training=True)
    once = switch.draws.state.numpy() - counter
    layer(np.repeat(X, 4, axis=1), training=True)
    assert np.any(once) and np.array_equal(switch.draws.state.numpy() - counter, 2 * once)
    assert layer.cell.draw is None


# Keras's own methods: each test fails as soon as Keras no longer needs the wrapper -------------------


def keras_own(cls, name):
    """The method as Keras wrote it."""
    SCSCell(1)  # wraps, if no cell was made before
    return getattr(cls, name).__wrapped__


def test_keras_still_infers_vector_shapes():
    layer = rnn(return_sequences=True)
    assert layer.compute_output_shape(X.shape) == (2, 3, 4, 4, 3)
    assert keras_own(RNN, "compute_output_shape")(layer, X.shape) != (2, 3, 4, 4, 3)


def test_keras_still_resets_states_to_zero():
    layer = rnn(stateful=True)
    layer(X)
    layer.reset_state()
    assert_close(layer.states[0], np.full((2, 4, 4, 3), 0.5))
    keras_own(RNN, "reset_state")(layer)
    assert_close(layer.states[0], np.zeros((2, 4, 4, 3)))


def test_keras_still_does_not_broadcast_or_draw_before_the_loop():
    inputs = keras.Input((None, None, None, 2))
    layer = RNN(SCSCell(3))
    layer(inputs)
    state = layer.get_initial_state(2)
    assert state[0].shape == (2, 1, 1, 3)
    assert layer.inner_loop(tf.constant(X), state, None)[0].shape == (2, 8, 7, 3)
    with pytest.raises(ValueError, match="shape"):
        tf.function(lambda x: keras_own(RNN, "inner_loop")(layer, x, state, None))(tf.constant(X))

    switch = STSGD(0.5)
    layer = rnn(SCSCell(3, switch=switch))
    state = layer.get_initial_state(2)
    before = switch.draws.state.numpy().copy()
    layer.inner_loop(X, state, None, training=True)
    once = switch.draws.state.numpy() - before
    before = switch.draws.state.numpy().copy()
    keras_own(RNN, "inner_loop")(layer, X, state, None, training=True)
    assert np.any(switch.draws.state.numpy() - before != once)  # at least one draw for every step


def test_keras_still_builds_stacks_on_vector_shapes():
    cells = layers.StackedRNNCells([SCSCell(3, strides=2), SCSCell(4)])
    with pytest.raises(ValueError, match="one frame with 4 axes"):
        keras_own(layers.StackedRNNCells, "build")(cells, (2, 8, 7, 2))
    cells = layers.StackedRNNCells([SCSCell(3, strides=2), SCSCell(4)])
    cells.build((2, 8, 7, 2))
    assert cells.cells[1].frame_size == (4, 4)


@contextlib.contextmanager
def functions_of(module):
    """The names of the module's functions that are called inside, also where others hold them by another name."""
    called = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename == module.__file__:
            called.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "make, x, ours",
    [
        (lambda: layers.LSTM(3, stateful=True), random(2, 3, 4), ""),
        (lambda: RNN(layers.LSTMCell(3), stateful=True), random(2, 3, 4), ""),
        (lambda: RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True), random(2, 3, 4), ""),
        (lambda: RNN([SCSCell(3, rank=0), layers.GRUCell(2)]), random(2, 3, 4), "rnn_inner_loop"),  # for its switch
        (lambda: layers.ConvLSTM2D(3, 3, stateful=True), X, ""),
        (
            lambda: RNN([SCSCell(3), SCSCell(2)], stateful=True),
            X,
            "rnn_compute_output_shape rnn_reset_state rnn_inner_loop rnn_compute_mask stacked_build",
        ),
    ],
)
def test_other_cells_reach_keras_untouched(make, x, ours):
    SCSCell(1)
    with functions_of(rnn_support) as called:
        layer = make()
        first = layer(x)
        inputs = keras.Input(batch_shape=x.shape)
        assert layer(inputs).shape == first.shape == layer.compute_output_shape(x.shape)
        layer.compute_mask(inputs, None)
        if layer.stateful:
            layer.reset_state()
            assert_close(layer(x), first)
    assert {name for name in called if name.startswith("rnn_") or name == "stacked_build"} == set(ours.split())


def test_stateful_needs_a_frame_size():
    layer = RNN(SCSCell(3), stateful=True)
    layer(keras.Input(batch_shape=(2, 3, None, None, 2)))
    with pytest.raises(ValueError, match="`stateful=True` needs a known frame size"):
        layer(X)


# Cells of a user's own around an SCSCell ------------------------------------------------------------


class Doubled(keras.layers.Layer):
    """A cell of a user's own around an SCSCell."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.inner = SCSCell(filters, strides=2)
        self.state_size = self.output_size = filters

    def build(self, shape):
        self.inner.build(shape)

    def call(self, frame, states, training=False):
        outputs, states = self.inner(frame, states, training=training)
        return 2 * outputs, states

    def get_initial_state(self, batch_size=None):
        return self.inner.get_initial_state(batch_size)


class Told(Doubled):
    """One that says the shape of its output."""

    def compute_output_shape(self, inputs_shape, states_shape=None):
        return self.inner.compute_output_shape(inputs_shape)


@pytest.mark.parametrize("cells", [lambda: Told(3), lambda: [SCSCell(2), Told(3)], lambda: [Told(2), Told(3)]])
def test_a_cell_around_one_that_says_its_shape_works(cells):
    x = random(2, 3, 8, 8, 1)
    layer = keras.layers.RNN(cells(), return_sequences=True, return_state=True)
    model = keras.Model(inputs := keras.Input(x.shape[1:]), layer(inputs))
    found = [tuple(each.shape[1:]) for each in model(x)]
    assert [tuple(each.shape[1:]) for each in model.outputs] == found


@pytest.mark.parametrize("steps", [2, 5])
def test_the_switch_in_a_cell_around_one_is_drawn_once_a_sequence(steps):
    """The gradient of what lies below is passed on by all time steps or by none."""
    switch, cell = STSGD(temporal=0.5, spatial=0.5, seed=1), Told(3)
    cell.inner.switch = switch
    layer, plain = keras.layers.RNN(cell, return_sequences=True), STSGD(temporal=0.5, spatial=0.5, seed=1)
    x = tf.constant(random(2, steps, 8, 8, 1))
    layer(x)
    open_or_closed = []
    for _ in range(6):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True))
        found = tape.gradient(loss, x)
        draw = plain.draw()
        passed = tf.reduce_any(found != 0, axis=(0, 2, 3, 4)).numpy().tolist()
        assert passed == [bool(draw.spatial) or bool(draw.temporal)] * steps
        open_or_closed += passed[:1]
    assert len(set(open_or_closed)) == 2 and cell.inner.draw is None
    np.testing.assert_array_equal(switch.draws.state, plain.draws.state)


@pytest.mark.parametrize(
    "cells",
    [
        lambda: Doubled(3),
        lambda: [SCSCell(2), Doubled(3)],
        lambda: [Doubled(3), SCSCell(2)],
    ],
)
def test_a_cell_of_unknown_shape_beside_or_around_one_is_refused(cells):
    with pytest.raises(ValueError, match="to be vectors. Allowed: SCSCells alone or stacked.*compute_output_shape"):
        keras.layers.RNN(cells(), return_sequences=True)(keras.Input((3, 8, 8, 1)))


@pytest.mark.parametrize("symbolic", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_stacked_with_a_conv_lstm_it_is_as_layers_one_after_the_other(first, symbolic):
    x = random(2, 3, 6, 6, 1)
    conv = keras.layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    parts = [(SCSCell(2), SCS2D(2)), (keras.layers.ConvLSTM2D(3, 3, padding="same").cell, conv)][:: 1 if first else -1]
    stack = keras.layers.RNN([cell for cell, _ in parts], return_sequences=True, return_state=True)
    if symbolic:
        model = keras.Model(inputs := keras.Input(x.shape[1:]), stack(inputs))
        assert [each.shape[1:] for each in model.outputs] == [tuple(each.shape[1:]) for each in model(x)]
    outputs = stack(x)[0]
    layers_alone = keras.Sequential([layer for _, layer in parts])
    layers_alone(x)
    layers_alone.set_weights(stack.get_weights())
    assert_close(outputs, layers_alone(x))
