"""CrevNet: exact reversibility, the ST-LSTM against NumPy, no look into the future, the loss of its windows."""

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras.zoo.video_prediction import build
from scs_keras.zoo.video_prediction.crevnet import ReversibleAutoencoder, SpatiotemporalCell, squeeze, unsqueeze
from tests.checks import random, sigmoid
from tests.video_checks import check_learns, check_lengths, check_saved_and_loaded, moving_squares, randomize


def model(length=2, channels=1, **arguments):
    keras.utils.set_random_seed(0)
    small = dict(predictor_rnn_layers=2, n_blocks=(1, 1, 1))
    return build("crevnet", (4, 8, 16, channels), length, **(small | arguments))


def squares(time=4, channels=1):
    return moving_squares(2, time, 8, 16, channels, side=3)


def convolve3d(x, layer):
    """A 3x3x3 or 1x1x1 convolution of zero-padded x."""
    kernel = np.asarray(layer.kernel)
    padded = np.pad(x, [(0, 0), *[(kernel.shape[0] // 2,) * 2] * 3, (0, 0)])
    total = np.asarray(layer.bias)
    for offset in np.ndindex(*kernel.shape[:3]):
        window = tuple(slice(o, o + size) for o, size in zip(offset, x.shape[1:4]))
        total = total + padded[(slice(None), *window)] @ kernel[offset]
    return total


def test_squeeze_loses_nothing():
    windows = random(2, 3, 4, 6, 2)
    squeezed = squeeze(ops.convert_to_tensor(windows))
    assert squeezed.shape == (2, 3, 2, 3, 8)
    np.testing.assert_array_equal(squeezed[0, 1, 1, 2], windows[0, 1, 2:4, 4:6].ravel())
    np.testing.assert_array_equal(unsqueeze(squeezed), windows)


@pytest.mark.parametrize("training", [False, True])
def test_the_autoencoder_is_its_own_inverse(training):
    autoencoder, windows = ReversibleAutoencoder((2, 2, 1)), random(2, 3, 8, 16, 2)
    autoencoder.build(windows.shape)
    randomize(autoencoder, 0.7)
    halves = autoencoder(windows, training=training)
    assert [tuple(half.shape) for half in halves] == [(2, 3, 1, 2, 64)] * 2
    assert np.std(autoencoder.blocks[-1].residual(unsqueeze(halves[0]))) > 0.01  # the blocks do something
    np.testing.assert_allclose(autoencoder.decode(*halves, training=training), windows, atol=1e-4)


def test_cell_against_numpy():
    cell = SpatiotemporalCell(3)
    x, m, h, c = (random(1, 3, 2, 4, 3, seed=seed) for seed in range(4))
    cell.build(x.shape)
    randomize(cell)
    join = lambda *parts: np.concatenate(parts, axis=-1)  # noqa: E731
    i, f, g = (convolve3d(join(x, h, c), gate) for gate in cell.gates)
    c_next = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    i, f, g = (convolve3d(join(x, m, c_next), gate) for gate in cell.memory_gates)
    m_next = sigmoid(f) * m + sigmoid(i) * np.tanh(g)
    o = sigmoid(convolve3d(join(x, h, c_next, m_next), cell.out_gate))
    expected = o * np.tanh(convolve3d(join(c_next, m_next), cell.mix)), c_next, m_next
    (h_next, c_actual), m_actual = cell(x, m, (h, c))
    for actual, wanted in zip((h_next, c_actual, m_actual), expected):
        np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_predictions_come_from_windows_of_what_is_known():
    network, frames = model(3), squares()
    states, window, predicted = network.first_states(2, 8, 16), frames[:, :3], []
    for start in range(4):
        output, states = network.advance(ops.convert_to_tensor(window), states)
        output = np.asarray(output)
        predicted.append(output[:, -1])
        known = frames[:, start + 1 : start + 4]
        window = np.concatenate([known, output[:, known.shape[1] :]], axis=1)
    np.testing.assert_allclose(network(frames), np.stack(predicted[1:], 1), atol=1e-5)


def test_in_training_every_frame_is_predicted_from_those_before_it():
    network, sequence = model(2), squares(6)
    x, y = network.training_pair(sequence)
    other = np.concatenate([x[:, :4], 1 - x[:, 4:]], axis=1)
    predicted, changed = np.asarray(network(x)), np.asarray(network(other))
    assert predicted.shape == y.shape == (2, 5, 8, 16, 1)
    np.testing.assert_allclose(predicted[:, :4], changed[:, :4], atol=1e-6)
    assert np.abs(predicted[:, 4] - changed[:, 4]).max() > 1e-4
    np.testing.assert_allclose(network(x[:, :4])[:, 0], predicted[:, 3], atol=1e-6)


def test_the_loss_is_the_originals_sum_over_windows():
    network, sequence = model(2, n_blocks=(1, 2, 1)), squares(6)
    for variable in network.non_trainable_variables:  # so that training changes no statistics between the two passes
        variable.assign(ops.zeros_like(variable) + ("moving_variance" in variable.path))
    x, y = network.training_pair(sequence)
    network.compile(loss="mse")
    total = float(network.compute_loss(x, y, network(x, training=True)))
    states, original = network.first_states(2, 8, 16), 0.0
    for start in range(3):
        window, states = network.advance(ops.convert_to_tensor(x[:, start : start + 3]), states, training=True)
        original += np.mean((np.asarray(window) - sequence[:, start + 1 : start + 4]) ** 2)
    np.testing.assert_allclose(total, original * 3 / 5, rtol=1e-4)


def test_parameters_of_the_public_definition():
    network = build("crevnet", (10, 64, 64, 1))
    half, total = (2, 8, 32), 0
    for stage, (channels, count) in enumerate(zip(half, (4, 5, 3))):
        for block in range(count):
            first, before = (stage, block) == (0, 0), half[stage - 1] if stage and not block else channels
            inner = channels // 2
            total += 27 * (before * inner + inner**2 + inner * channels)
            total += 2 * (0 if first else before) + 4 * inner  # normalisations
    cell = 6 * (27 * 96 * 32 + 32) + 27 * 128 * 32 + 32 + 64 * 32 + 32
    assert network.parameters == total + 8 * (cell + 32 * 32 + 32) == 4997444
    names = network.reference_weights()
    assert {"encoder.stack.0.bottleneck_block.7.weight", "encoder.stack.11.bottleneck_block.9.weight"} < set(names)


def test_any_output_length():
    check_lengths(model(2), squares(), longer=4)


def test_other_channels_out_than_in():
    assert model(1, 2, output_channels=1)(squares(4, 2)).shape == (2, 1, 8, 16, 1)


def test_saved_and_loaded(tmp_path):
    network = model()
    network(squares(), training=True)  # moves the statistics
    check_saved_and_loaded(network, squares(), tmp_path)


def test_mixed_precision():
    network, mixed = model(1), model(1, dtype="mixed_bfloat16")
    mixed.set_weights(network.get_weights())
    assert mixed.cells[0].compute_dtype == "bfloat16" and mixed(squares()).dtype == "float32"
    np.testing.assert_allclose(mixed(squares()), network(squares()), atol=0.1)


@pytest.mark.slow
def test_it_learns():
    check_learns(model(1, predictor_rnn_layers=1), squares(5), epochs=25)


def test_frame_sizes_must_suit_the_strides():
    with pytest.raises(ValueError, match="multiples of 8. Received: height 12, width 16.*height 8 or 16"):
        build("crevnet", (4, 12, 16, 1))


def test_a_window_has_three_frames():
    with pytest.raises(ValueError, match="CrevNet needs at least 3 observed frames. Received: 2"):
        build("crevnet", (2, 8, 16, 1))


@pytest.mark.parametrize("arguments, message", [
    (dict(rnn_size=64), "`rnn_size` is 32 times the channels of a frame, here 32. Received: rnn_size=64"),
    (dict(n_blocks=(1, 1)), "`n_blocks` has three numbers of at least 1. Received: n_blocks=\\(1, 1\\)"),
    (dict(predictor_rnn_layers=0), "`predictor_rnn_layers` must be at least 1"),
])  # fmt: skip
def test_hyperparameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**arguments)
