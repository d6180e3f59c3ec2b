"""SCSCell against a plain NumPy loop of Eq. 4-6, 9 and 11, the reference's numbers, its errors."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import SCS2D, SCSCell, SCSNetwork
from tests.checks import assert_close, numpy_scs, random, randomize, sigmoid

FRAMES = {0: (), 1: (7,), 2: (7, 6), 3: (5, 4, 3)}


def run_cell(cell, sequence, gate=None):
    """The cell step by step, without keras.layers.RNN."""
    if not cell.built:
        cell.build((sequence.shape[0], *sequence.shape[2:]))
        randomize(cell)
    states = cell.get_initial_state(sequence.shape[0]) if gate is None else [gate]
    outputs, gates = [], []
    for step in range(sequence.shape[1]):
        output, states = cell(sequence[:, step], states)
        outputs.append(output)
        gates.append(states[0])
    return keras.ops.stack(outputs, axis=1), keras.ops.stack(gates, axis=1)


@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_equations(rank, strides, stream):
    x = random(2, 3, *FRAMES[rank], 2)
    cell = SCSCell(4, rank=rank, strides=strides, stream=stream)
    actual = run_cell(cell, x)
    assert_close(actual, numpy_scs(cell.get_weights(), x, stream=stream, strides=strides))


def test_valid_padding_and_kernel_sizes():
    x = random(2, 3, 9, 8, 2)
    cell = SCSCell(3, kernel_size=(5, 3), strides=2, padding="valid")
    actual = run_cell(cell, x)
    assert actual[0].shape == (2, 3, 3, 3, 3)
    assert_close(actual, numpy_scs(cell.get_weights(), x, strides=2, padding="valid"))


def test_activations_and_given_gate():
    x, gate = random(2, 3, 5, 5, 2), random(2, 5, 5, 3, seed=2)
    cell = SCSCell(3, activation="tanh", gate_activation="sigmoid")
    actual = run_cell(cell, x, gate)
    assert_close(actual, numpy_scs(cell.get_weights(), x, gate, activation=np.tanh))


def test_without_bias():
    x = random(2, 3, 5, 5, 2)
    cell = SCSCell(3, use_bias=False)
    actual = run_cell(cell, x)
    spatial, temporal, recurrent = cell.get_weights()
    assert_close(actual, numpy_scs([spatial, 0, temporal, recurrent, 0], x))


def test_initial_gate():
    cell = SCSCell(3, initial_gate=0.0)
    cell.build((None, 5, 4, 2))
    (gate,) = cell.get_initial_state(2)
    assert_close(gate, np.zeros((2, 5, 4, 3)))
    (gate,) = SCSCell(3).get_initial_state(2)  # unknown frame size: ones that broadcast
    assert_close(gate, np.full((2, 1, 1, 3), sigmoid(0)))


def test_gate_of_size_one_stands_for_every_pixel():
    x, cell = random(2, 1, 5, 4, 2), SCSCell(3)
    small = cell.get_initial_state(2)  # not built: the frame size is not known
    assert small[0].shape == (2, 1, 1, 3)
    cell(x[:, 0], small)
    randomize(cell)
    assert_close(cell(x[:, 0], small)[0], numpy_scs(cell.get_weights(), x)[0][:, 0])


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_are_cast(dtype):
    x, cell = np.arange(40).reshape(1, 1, 5, 4, 2), SCSCell(3)
    actual = run_cell(cell, x.astype(dtype), np.full((1, 5, 4, 3), 0.5, "float32"))
    assert_close(actual, numpy_scs(cell.get_weights(), x.astype("float32")), 1e-4)


def test_numbers_of_numpy():
    cell = SCSCell(np.int64(4), kernel_size=(np.int32(3), 5), strides=np.int64(2), initial_gate=np.float32(0.25))
    config = json.loads(json.dumps(cell.get_config()))
    assert (config["filters"], config["kernel_size"], config["strides"]) == (4, [3, 5], [2, 2])
    assert config["initial_gate"] == 0.25


def test_weights():
    cell = SCSCell(4, kernel_size=(3, 5), rank=2)
    cell.build((None, 8, 8, 2))
    assert [(variable.name, tuple(variable.shape)) for variable in cell.weights] == [
        ("spatial_kernel", (3, 5, 2, 4)),
        ("spatial_bias", (4,)),
        ("temporal_kernel", (3, 5, 2, 4)),
        ("recurrent_kernel", (3, 5, 4, 4)),
        ("temporal_bias", (4,)),
    ]


@pytest.mark.parametrize("initializer", ["glorot_normal", keras.initializers.HeNormal()])
def test_branches_and_layers_start_differently(initializer):
    network = SCSNetwork([4, 4], kernel_initializer=initializer, recurrent_initializer=initializer)
    network.build((None, None, 8, 8, 4))
    kernels = [variable.numpy() for variable in network.trainable_variables if len(variable.shape) == 4]
    assert len(kernels) == 6
    for index, kernel in enumerate(kernels):
        assert all(np.abs(kernel - other).max() > 0.01 for other in kernels[:index])


def test_own_initializers_of_a_branch():
    cell = SCSCell(
        3, spatial_initializer="ones", kernel_initializer="zeros", recurrent_initializer="zeros",
        gate_bias_initializer=keras.initializers.Constant(2.0), bias_initializer=keras.initializers.Constant(1.0),
    )  # fmt: skip
    cell.build((None, 8, 8, 2))
    values = [np.unique(value).tolist() for value in cell.get_weights()]
    assert values == [[1.0], [1.0], [0.0], [0.0], [2.0]]


def test_regularizers_and_constraints():
    cell = SCSCell(
        2, kernel_regularizer="l1", recurrent_regularizer=keras.regularizers.L2(1.0), bias_constraint="non_neg",
        kernel_constraint="non_neg", recurrent_constraint="non_neg",
    )  # fmt: skip
    cell.build((None, 4, 4, 1))
    spatial, _, temporal, recurrent, _ = cell.get_weights()
    expected = 0.01 * np.abs(spatial).sum() + 0.01 * np.abs(temporal).sum() + np.square(recurrent).sum()
    assert_close(sum(cell.losses), expected)
    assert all(variable.constraint is not None for variable in cell.trainable_variables)
    again = SCSCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()


def reference_weights(case, layer, inputs):
    """The reference's channels-first weights as ours; its second convolution takes [state, input]."""
    data, control = (f"param:cell_list.{layer}.{name}_cnn" for name in ("data", "ctrl"))
    to_ours = lambda kernel: np.transpose(kernel, (2, 3, 1, 0))  # noqa: E731
    control_kernel = to_ours(case[f"{control}.weight"])
    return [
        to_ours(case[f"{data}.weight"]), case[f"{data}.bias"],
        control_kernel[:, :, -inputs:], control_kernel[:, :, :-inputs], case[f"{control}.bias"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [SCS2D, lambda filters, **kw: keras.layers.RNN(SCSCell(filters, **kw), return_sequences=True, return_state=True)],
)
def test_reference_stack(make):
    """The outline model's conv stack of the public reference code: tanh data path, first gate zero."""
    case = np.load(Path(__file__).parent / "cases" / "scs_stack.npz", allow_pickle=False)
    u = np.moveaxis(case["input"], 2, -1)
    for index in range(2):
        arguments = dict(activation="tanh", initial_gate=0.0)
        if make is SCS2D:
            arguments["return_state"] = True
        layer = make(case[f"output{index}"].shape[2], **arguments)
        layer.build(u.shape)
        layer.set_weights(reference_weights(case, index, u.shape[-1]))
        u, gate = layer(u)
        assert_close(u, np.moveaxis(case[f"output{index}"], 2, -1))
        assert_close(gate, np.moveaxis(case[f"state{index}"], 1, -1))


@pytest.mark.parametrize(
    "variant, parameters",
    [("outline_2", 197_712), ("outline_5", 1_127_952), ("outline_10", 2_677_264), ("outline_15", 5_846_480)],
)
def test_parameters_of_table_4(variant, parameters):
    network = SCSNetwork(variant)
    network.build((None, None, 28, 28, 131))
    assert network.count_params() == parameters


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(rank=4), "`rank` must be 0"),
        (dict(filters=0), "`filters` must be a positive integer"),
        (dict(filters=2.5), "`filters` must be a positive integer"),
        (dict(padding="causal"), "`padding` must be 'same' or 'valid'"),
        (dict(kernel_size=4), "`kernel_size` must be odd"),
        (dict(kernel_size=(3, 2)), "`kernel_size` must be odd"),
        (dict(kernel_size=0), "`kernel_size` must be a positive integer or a tuple of 2"),
        (dict(kernel_size=(3, 3, 3)), "`kernel_size` must be a positive integer or a tuple of 2"),
        (dict(kernel_size="3"), "`kernel_size` must be a positive integer or a tuple of 2"),
        (dict(kernel_size=3.0), "`kernel_size` must be a positive integer or a tuple of 2"),
        (dict(strides=-1), "`strides` must be a positive integer or a tuple of 2"),
        (dict(stream="both"), "`stream` must be one of"),
        (dict(switch=0.5), "`switch` must be an STSGD, an ASTSGD or None"),
        (dict(initial_gate=2.0), r"`initial_gate` is a value of the sigmoid and must lie in \[0, 1\]"),
        (dict(initial_gate="half"), "`initial_gate` is a value of the sigmoid"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        SCSCell(**{"filters": 3, **arguments})
    assert "Received" in str(error.value)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((None, 4, 8, 8, 3), r"takes one frame with 4 axes \(batch, height, width, channels\)"),
        ((None, 8, 3), r"keras.layers.RNN\(SCSCell\(...\)\) or SCS2D, and inside RNN it needs 5 axes \(batch, time,"),
        ((None, 8, 8, None), "number of input channels must be known"),
    ],
)
def test_wrong_input(shape, message):
    with pytest.raises(ValueError, match=message):
        SCSCell(3).build(shape)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda cell, frame, gate: cell(frame[:, None], gate), "takes one frame with 4 axes.*SCS2D"),
        (lambda cell, frame, gate: cell(keras.Input((4, 8, 8, 2)), keras.Input((8, 8, 3))), "one frame with 4 axes"),
        (lambda cell, frame, gate: cell(frame[..., :1], gate), r"built for inputs with 2 channels.*\(1, 8, 8, 1\)"),
        (lambda cell, frame, gate: cell(frame, gate[:, :4]), r"output for one frame, \(1, 8, 8, 3\).*\(1, 4, 8, 3\)"),
        (lambda cell, frame, gate: cell(frame, gate[..., 0]), r"has the shape.*\(1, 8, 8\)"),
    ],
)
def test_wrong_input_of_a_built_cell(call, message):
    cell = SCSCell(3)
    cell.build((None, 8, 8, 2))
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        call(cell, random(1, 8, 8, 2), random(1, 8, 8, 3))
    assert "Received" in str(error.value)
