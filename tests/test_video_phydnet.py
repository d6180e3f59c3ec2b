"""PhyDNet: the reference's numbers, its cells, the moment penalty, teacher forcing, the published loss."""

from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras.zoo.video_prediction import build, load_reference
from scs_keras.zoo.video_prediction.convolutions import Convolution, TransposedConvolution
from scs_keras.zoo.video_prediction.phydnet import PhyCell, PhyDNet, ResidualCell, StepSumError, moment_matrix
from tests.checks import assert_close, convolve, random, sigmoid
from tests.video_checks import check_learns, check_lengths, check_saved_and_loaded, moving_squares, randomize

FIXTURE = Path(__file__).parent / "fixtures" / "phydnet.npz"


def model(length=2, channels=1, **arguments):
    keras.utils.set_random_seed(0)
    return build("phydnet", (2, 8, 12, channels), length, **arguments)


def squares(time=2, channels=1):
    return moving_squares(2, time, 8, 12, channels, side=3)


@pytest.fixture(scope="module")
def case():
    with np.load(FIXTURE, allow_pickle=False) as arrays:
        return dict(arrays)


def reference_weights(case):
    return {name[3:]: array for name, array in case.items() if name.startswith("sd/")}


def test_outputs_and_loss_of_the_reference(case):
    x, target, expected = (np.moveaxis(case[name], 2, -1) for name in ("in/x", "in/target", "out/y"))
    network = load_reference(build("phydnet", x.shape[1:], target.shape[1]), reference_weights(case))
    np.testing.assert_allclose(network(x), expected, atol=1e-5)
    network.return_all = True
    frames = StepSumError()(np.concatenate([x[:, 1:], target], axis=1), network(x))
    np.testing.assert_allclose(frames + network.moment_penalty(), case["out/loss"], rtol=1e-5)


def test_one_of_the_two_names_of_a_tensor_is_enough_but_they_must_agree(case):
    weights = reference_weights(case)
    network = build("phydnet", (4, 16, 24, 1), 3)
    once = {name: array for name, array in weights.items() if not name.startswith(("phycell.", "convcell.", "k2m."))}
    load_reference(network, {f"model.{name}": array for name, array in once.items()})
    name = "phycell.cell_list.0.convgate.bias"
    np.testing.assert_array_equal(network.physical_cell.gate.bias, weights[name])
    with pytest.raises(
        ValueError,
        match="phycell.cell_list.0.convgate.bias: not equal to|not equal to phycell.cell_list.0.convgate.bias",
    ):
        load_reference(network, {**weights, name: weights[name] + 1})


def test_parameters_of_the_published_configurations():
    for shape, patch_size, expected in (((10, 64, 64, 1), 4, 3091732), ((4, 32, 32, 2), 2, 3092309)):
        network = build("phydnet", shape, patch_size=patch_size)
        assert network.parameters == network.live_parameters == expected
    assert len(network.reference_weights()) == 82 + 4  # tensors, of which 20 are there twice; and four constants


@pytest.mark.parametrize("strides", [1, 2])
def test_strided_convolution_pads_all_sides_alike(strides):
    x = random(1, 6, 8, 2)
    layer = Convolution(3, 3, strides)
    outputs = layer(x)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    assert_close(outputs, convolve(padded, np.asarray(layer.kernel), strides, "valid"))
    assert tuple(layer.compute_output_shape(x.shape)) == tuple(outputs.shape)
    transposed = TransposedConvolution(2, 3, strides, use_bias=False)
    y = random(*outputs.shape, seed=1)
    transposed.build(y.shape)
    transposed.kernel.assign(layer.kernel)  # <convolution(x), y> = <x, transposed(y)>
    assert_close(np.sum(outputs * y), np.sum(x * transposed(y)), 1e-4)


def test_physical_cell_against_numpy():
    cell, x, h = PhyCell(), random(1, 4, 5, 64), random(1, 4, 5, 64, seed=1)
    cell.build(x.shape)
    randomize(cell)
    first, second, gate = (np.asarray(each.kernel) for each in (cell.derivatives, cell.combination, cell.gate))
    derivatives = (convolve(h, first) + np.asarray(cell.derivatives.bias)).reshape(1, 4, 5, 7, 7)
    mean = derivatives.mean(axis=(1, 2, 4), keepdims=True)
    normal = (derivatives - mean) / np.sqrt(derivatives.var(axis=(1, 2, 4), keepdims=True) + 1e-5)
    normal = normal.reshape(1, 4, 5, 49) * np.asarray(cell.norm.gamma) + np.asarray(cell.norm.beta)
    predicted = h + convolve(normal, second) + np.asarray(cell.combination.bias)
    k = sigmoid(convolve(np.concatenate([x, h], -1), gate) + np.asarray(cell.gate.bias))
    assert_close(cell(x, h), predicted + k * (x - predicted), 1e-4)


def test_residual_cell_against_numpy():
    cell, x, h, c = ResidualCell(3), random(1, 4, 5, 2), random(1, 4, 5, 3, seed=1), random(1, 4, 5, 3, seed=2)
    cell.build(x.shape)
    gates = convolve(np.concatenate([x, h], -1), np.asarray(cell.gates.kernel)) + np.asarray(cell.gates.bias)
    i, f, o, g = np.split(gates, 4, axis=-1)
    c_next = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    assert_close(cell(x, (h, c)), (sigmoid(o) * np.tanh(c_next), c_next))


def test_moment_penalty_is_zero_for_derivatives_only():
    network = model()
    inverse = np.linalg.inv(moment_matrix())
    kernel = np.stack([np.outer(inverse[:, o // 7], inverse[:, o % 7]) for o in range(49)], axis=-1)
    derivatives = network.physical_cell.derivatives
    derivatives.kernel.assign(np.repeat(kernel[:, :, None], 64, axis=2))
    assert float(network.moment_penalty()) < 1e-4
    rows, columns = np.meshgrid(np.arange(15.0), np.arange(15.0), indexing="ij")
    surface = np.repeat((rows**2 * columns)[None, ..., None], 64, axis=-1) / 64
    d = np.asarray(derivatives(surface.astype("float32")))[0, 7, 7]
    np.testing.assert_allclose(d[[1, 7, 14, 15]], [49, 98, 14, 2], atol=0.02)  # d/dx, d/dy, d2/dy2, d3/dy2dx
    derivatives.kernel.assign(derivatives.kernel + 0.1)
    assert float(network.moment_penalty()) > 1


def test_teacher_forcing_shows_the_future_in_training_only():
    network, sequence = model(2), squares(4)
    other = np.concatenate([sequence[:, :2], 1 - sequence[:, 2:]], axis=1)
    for truth, training, differs in ((1.0, True, True), (0.0, True, False), (1.0, False, False)):
        predicted = [network(each[:, :-1], teacher_forcing=truth, training=training) for each in (sequence, other)]
        assert predicted[0].shape == (2, 3, 8, 12, 1)
        np.testing.assert_allclose(predicted[0][:, :2], predicted[1][:, :2], atol=1e-6)
        assert np.allclose(predicted[0], predicted[1], atol=1e-6) != differs
    np.testing.assert_allclose(network(sequence[:, :2]), predicted[0][:, 1:], atol=1e-6)


def test_teacher_forcing_ends_with_the_epochs():
    network, sequence = model(2, teacher_forcing_decay=1.0, steps_per_epoch=2), squares(4)
    shown = network(sequence[:, :-1], teacher_forcing=1.0, training=True)
    hidden = network(sequence[:, :-1], teacher_forcing=0.0, training=True)
    for step in range(4):
        np.testing.assert_allclose(network(sequence[:, :-1], training=True), (shown, hidden)[step // 2], atol=1e-6)


def test_the_published_loss_compares_the_loss_with_every_pixel():
    network, sequence = model(1), squares(3)
    x, y = network.training_pair(sequence)
    network.compile(loss=StepSumError())
    predicted = network(x, training=True)
    right = float(network.compute_loss(x, y, predicted))
    frames = np.sum(np.mean((np.asarray(predicted) - y) ** 2, axis=(0, 2, 3, 4)))
    np.testing.assert_allclose(right, frames + float(network.moment_penalty()), rtol=1e-4)
    network.published_loss = True
    published = float(network.compute_loss(x, y, predicted))
    np.testing.assert_allclose(published, np.mean((right - y[:, -1:]) ** 2), rtol=1e-4)
    np.testing.assert_allclose(network.compute_loss(x, y, predicted, training=False), right, rtol=1e-4)


@pytest.mark.parametrize("channels, predicted", [(2, 1), (1, 2)])
def test_other_channels_out_than_in(channels, predicted):
    network = model(3, channels, output_channels=predicted)
    sequence = squares(5, channels)
    assert network(sequence[:, :2]).shape == (2, 3, 8, 12, predicted)
    x, y = network.training_pair(sequence)
    assert x.shape[1] == y.shape[1] == 4 and y.shape[-1] == min(channels, predicted)


def test_any_output_length():
    check_lengths(model(2), squares(), longer=4)


def test_patches_of_two_and_other_frame_sizes():
    network = model(1, patch_size=2)
    assert network(moving_squares(1, 2, 10, 14, side=3)).shape == (1, 1, 10, 14, 1)


def test_saved_and_loaded(tmp_path):
    network = model(2, teacher_forcing_decay=0.01, patch_size=2)
    network(squares(4)[:, :-1], training=True)
    check_saved_and_loaded(network, squares(), tmp_path)
    assert int(keras.saving.load_model(tmp_path / "model.keras").training_calls) == 1


def test_mixed_precision():
    network, mixed = model(), model(dtype="mixed_bfloat16")
    assert mixed.physical_cell.gate.compute_dtype == "bfloat16" and mixed(squares()).dtype == "float32"
    mixed.set_weights(network.get_weights())
    np.testing.assert_allclose(mixed(squares()), network(squares()), atol=0.03)


@pytest.mark.slow
def test_it_learns():
    network = model(1, moment_weight=0.0)
    check_learns(network, squares(3), epochs=12, learning_rate=3e-3, loss=StepSumError())


def test_frame_sizes_must_suit_the_strides():
    with pytest.raises(ValueError, match="multiples of 4. Received: height 10, width 12.*height 8 or 12"):
        build("phydnet", (2, 10, 12, 1))
    with pytest.raises(ValueError, match="multiples of 2. Received: height 8, width 11"):
        model(patch_size=2)(np.zeros((1, 2, 8, 11, 1)))


@pytest.mark.parametrize("name, value, least", [
    ("teacher_forcing_decay", -0.1, 0), ("steps_per_epoch", 0, 1), ("moment_weight", -1.0, 0),
])  # fmt: skip
def test_hyperparameters_out_of_range(name, value, least):
    with pytest.raises(ValueError, match=f"`{name}` must be at least {least}. Received: {name}={value}"):
        PhyDNet((2, 8, 12, 1), **{name: value})


def test_patch_size_is_a_number():
    with pytest.raises(ValueError, match="`patch_size` is a whole number of at least 1. Received: patch_size='a'"):
        PhyDNet((2, 8, 12, 1), patch_size="a")


def test_too_few_and_too_many_frames():
    for count in (1, 5):
        with pytest.raises(ValueError, match=f"built for 2 to 4 frames. Received: {count} frames"):
            model()(squares(count))
