"""SCS2D: the equations, normalisation, states, long sequences, and its errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from scs_keras import SCS2D, SCSCell, SCSNetwork
from scs_keras.core.normalization import BranchNormalization
from scs_keras.core.recurrence import hold_last
from tests.checks import (
    assert_close,
    check_layer,
    convolve,
    numpy_scs,
    random,
    randomize,
    relu,
    sigmoid,
    to_numpy,
)

X = random(2, 3, 8, 7, 2)


def scs(filters=3, shape=X.shape, **arguments):
    layer = SCS2D(filters, **arguments)
    layer.build(shape)
    randomize(layer)
    return layer


@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("unroll", [True, False])
def test_equations(unroll, strides, stream):
    layer = scs(strides=strides, unroll=unroll, return_state=True)
    outputs, gates = numpy_scs(layer.get_weights(), X, stream=stream, strides=strides)
    assert_close(layer(X, stream=stream), (outputs, gates[:, -1]))


@pytest.mark.parametrize("normalization", [None, "batch", "group"])
def test_layer_contract(normalization, tmp_path):
    make = lambda dtype=None: SCS2D(3, strides=2, normalization=normalization, dtype=dtype)  # noqa: E731
    check_layer(make, X, tmp_path, tolerance=3e-2)


def test_cell_arguments():
    layer = scs(padding="valid", kernel_size=(3, 1), activation="tanh", initial_gate=0.2, use_bias=True)
    weights = layer.get_weights()
    assert_close(layer(X), numpy_scs(weights, X, 0.2, padding="valid", activation=np.tanh)[0])


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("return_state", [True, False])
def test_what_is_returned(return_sequences, return_state):
    layer = scs(return_sequences=return_sequences, return_state=return_state)
    outputs, gates = numpy_scs(layer.get_weights(), X)
    expected = outputs if return_sequences else outputs[:, -1]
    expected = [expected, gates[:, -1]] if return_state else [expected]
    assert_close(layer(X), expected)
    functional = keras.Model(inputs := keras.Input(X.shape[1:]), layer(inputs))
    assert [each.shape[1:] for each in functional.outputs] == [each.shape[1:] for each in expected]
    assert_close(functional(X), expected)


def test_initial_state():
    layer, gate = scs(), random(2, 8, 7, 3)
    expected = numpy_scs(layer.get_weights(), X, gate)[0]
    assert_close(layer(X, initial_state=gate), expected)
    assert_close(layer(X, initial_state=[gate]), expected)
    inputs, states = keras.Input(X.shape[1:]), keras.Input(gate.shape[1:])
    assert_close(keras.Model([inputs, states], layer(inputs, initial_state=states))([X, gate]), expected)


def test_stateful():
    layer = scs(stateful=True, initial_gate=0.3)
    expected = numpy_scs(layer.cell.get_weights(), X, 0.3)[0]
    for _ in range(2):
        assert_close(layer(X[:, :1]), expected[:, :1])
        assert_close(layer(X[:, 1:]), expected[:, 1:])
        layer.reset_state()


def test_step():
    layer = scs(strides=2)
    outputs, gates = numpy_scs(layer.get_weights(), X, strides=2)
    gate = layer.initial_gate(X[:, 0])
    for index in range(X.shape[1]):
        output, gate = layer.step(tf.constant(X[:, index]), gate)
        assert_close((output, gate), (outputs[:, index], gates[:, index]))


def test_long_and_unknown_lengths_loop_in_the_graph():
    long = random(1, 40, 4, 4, 1)
    layer = scs(2, long.shape)
    expected = numpy_scs(layer.get_weights(), long)[0]
    assert_close(layer(long), expected)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, None, 1))])
    assert_close(graph(long), expected)
    assert_close(graph(long[:, :3]), expected[:, :3])
    assert "While" in " ".join(node.op for node in graph.get_concrete_function().graph.as_graph_def().node)


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_normalization_follows_the_input_convolutions_only(normalization):
    layer = scs(4, normalization=normalization)
    spatial_kernel, spatial_bias, temporal_kernel, recurrent_kernel, temporal_bias = layer.cell.get_weights()
    gammas = [
        norm.group.get_weights() if normalization == "group" else [norm.gamma, norm.beta]
        for norm in (layer.s_norm, layer.c_norm)
    ]
    frames = X.reshape(-1, *X.shape[2:])

    def normalized(branch, gamma, beta):
        axes = (0, 1, 2) if normalization == "batch" else (1, 2)  # 4 channels: 4 groups of one
        scaled = (branch - branch.mean(axes, keepdims=True)) / np.sqrt(branch.var(axes, keepdims=True) + 1e-5)
        return (scaled * np.asarray(gamma) + np.asarray(beta)).reshape(2, 3, 8, 7, 4)

    s = normalized(convolve(frames, spatial_kernel) + spatial_bias, *gammas[0])
    half = normalized(convolve(frames, temporal_kernel) + temporal_bias, *gammas[1])
    gate, outputs = np.full((2, 8, 7, 4), 0.5), []
    for step in range(3):
        gate = sigmoid(half[:, step] + convolve(gate, recurrent_kernel))
        outputs.append(relu(s[:, step]) * gate)
    assert_close(layer(X, training=True), np.stack(outputs, 1), 1e-4)


def test_moving_statistics_are_kept_per_stream():
    norm = BranchNormalization("batch", ("main", "spatial"), momentum=0.0)
    norm.build((None, 8, 7, 3))
    main, spatial = random(4, 8, 7, 3), 5 + 2 * random(4, 8, 7, 3, seed=2)
    norm(main, stream="main", training=True)
    norm(spatial, stream="spatial", training=True)
    for values, stream in ((main, "main"), (spatial, "spatial")):
        whitened = to_numpy(norm(values, stream=stream, training=False))
        assert_close(whitened.mean((0, 1, 2)), np.zeros(3), 1e-3)
        assert_close(whitened.std((0, 1, 2)), np.ones(3), 1e-3)
    assert len(norm.trainable_variables) == 2  # one gamma and beta for all streams


def test_hold_last():
    outputs = random(4, 2, 3)  # time first
    mask = np.array([[True, False], [False, True], [False, False], [True, True]])
    held = to_numpy(hold_last(outputs, mask))
    expected = np.stack(
        [[outputs[0, 0], 0 * outputs[0, 1]], [outputs[0, 0], outputs[1, 1]], [outputs[0, 0], outputs[1, 1]], outputs[3]]
    )
    assert_close(held, expected)


def test_mask_is_handed_on():
    x = X.copy()
    x[:, 2:] = 0
    mask = np.array([[True, True, False]] * 2)
    inputs = keras.Input(X.shape[1:])
    masked = keras.layers.Lambda(lambda t: t, mask=lambda t, previous: tf.constant(mask))(inputs)
    first, second = scs(), scs(shape=(2, 3, 8, 7, 3), return_sequences=False)
    model = keras.Model(inputs, second(first(masked)))
    assert_close(model(x), second(first(x[:, :2])))


@pytest.mark.parametrize("stream", ["spatial", "temporal"])
def test_masks_in_the_other_streams(stream):
    mask = np.array([[True, False, True], [True, True, False]])
    layer = scs(return_state=True)
    outputs, gate = map(to_numpy, layer(X, stream=stream, mask=mask))
    for row, steps in enumerate(([0, 2], [0, 1])):
        expected, gates = numpy_scs(layer.get_weights(), X[row : row + 1, steps], stream=stream)
        assert_close(outputs[row, steps], expected[0])
        assert_close(gate[row], gates[0, -1])


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_are_cast(dtype):
    x, layer = (100 * np.abs(X)).astype(dtype), scs()
    assert_close(layer(x), layer(x.astype("float32")))
    inputs = keras.Input(X.shape[1:], dtype=dtype)
    assert_close(keras.Model(inputs, layer(inputs))(x), layer(x))


def test_state_of_size_one_stands_for_every_pixel():
    layer = scs(return_state=True)
    assert_close(
        layer(X, initial_state=np.full((1, 1, 1, 3), 0.2, "float32")),
        layer(X, initial_state=np.full((2, 8, 7, 3), 0.2, "float32")),
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SCS2D(3, normalization="layer"), "`normalization` must be one of"),
        (lambda: SCS2D(3, kernel_size=2), "`kernel_size` must be odd"),
        (lambda: SCS2D(3)(X[:, 0]), r"5 axes \(batch, time, height, width, channels\).*x\[:, None\]"),
        (lambda: SCS2D(3)(keras.Input((3, 8, 8, None))), "number of input channels must be known"),
        (lambda: SCS2D(3, stateful=True)(keras.Input((3, 8, 8, 2))), "`stateful=True` needs a known batch"),
        (lambda: SCS2D(3)(X, stream="both"), "`stream` must be one of"),
        (lambda: SCS2D(3, switch="astsgd"), "`switch` must be an STSGD"),
        (lambda: scs()(X[:, 0]), r"5 axes \(batch, time, height, width, channels\).*\(2, 8, 7, 2\)"),
        (lambda: scs()(keras.Input(X.shape[2:])), r"5 axes.*\(None, 8, 7, 2\)"),
        (lambda: scs()(X[..., :1]), "built for inputs with 2 channels.*another layer for inputs of 1 channels"),
        (lambda: scs()(keras.Input((3, 8, 7, 1))), "built for inputs with 2 channels"),
        (lambda: scs()(X[:, :0]), "at least one time step"),
        (lambda: scs()(X, initial_state=X[:, 0]), r"\(2, 8, 7, 3\).*a state of shape=\(2, 8, 7, 2\)"),
        (lambda: SCS2D(3, kernel_size=9, padding="valid")(X), "at least as large as the kernel.*8 pixels.*has 9"),
        (lambda: scs(padding="valid")(X[:, :, :2]), "at least as large as the kernel.*2 pixels.*has 3"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        make()
    assert "Received" in str(error.value)


@pytest.mark.parametrize("make", [lambda: SCS2D(2), lambda: SCSNetwork([2]), lambda: keras.layers.RNN(SCSCell(2))])
def test_an_empty_batch_is_refused(make):
    with pytest.raises(ValueError, match="at least one sequence. Received: an empty batch"):
        make()(np.zeros((0, 3, 4, 4, 1)))


@pytest.mark.parametrize("frame", [(3,), (4, 4, 1)])
def test_a_cell_alone_refuses_an_empty_batch(frame):
    cell = SCSCell(2, rank=len(frame) - 1)
    with pytest.raises(ValueError, match="SCSCell takes at least one sequence. Received: an empty batch, shape=.0, "):
        cell(np.zeros((0, *frame)), np.zeros((0, *frame[:-1], 2)))
