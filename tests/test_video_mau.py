"""MAU: its cell against NumPy, the sizes of the published configurations, the reference's names."""

import keras
import numpy as np
import pytest

from scs_keras.zoo.video_prediction import build, load_reference
from scs_keras.zoo.video_prediction.mau import MAUCell
from tests.checks import convolve, random, sigmoid
from tests.video_checks import check_learns, check_lengths, check_saved_and_loaded, moving_squares, randomize


def model(length=2, channels=1, **arguments):
    keras.utils.set_random_seed(0)
    small = dict(num_hidden=[6, 6], sr_size=2, filter_size=3, tau=2)
    return build("mau", (3, 8, 12, channels), length, **(small | arguments))


def squares(time=3, channels=1):
    return moving_squares(4, time, 8, 12, channels, side=3)


def normalized_convolution(x, layer):
    x = convolve(x, np.asarray(layer.kernel)) + np.asarray(layer.offset)
    mean, variance = (statistic(x, axis=(1, 2, 3), keepdims=True) for statistic in (np.mean, np.var))
    return (x - mean) / np.sqrt(variance + 1e-5) * np.asarray(layer.scale) + np.asarray(layer.bias)


@pytest.mark.parametrize("residual", [False, True])
def test_cell_against_numpy(residual):
    cell = MAUCell(4, 3, (5, 6), residual)
    randomize(cell)
    t, s = random(2, 5, 6, 4), random(2, 5, 6, 4, seed=1)
    past_t, past_s = random(3, 2, 5, 6, 4, seed=2), random(3, 2, 5, 6, 4, seed=3)

    scores = np.sum(past_s * normalized_convolution(s, cell.conv_s_next), axis=(2, 3, 4)) / np.sqrt(4 * 5 * 6)
    weights = np.exp(scores) / np.exp(scores).sum(axis=0)  # (tau, batch)
    trend = np.einsum("ib,ibhwc->bhwc", weights, past_t)
    g = sigmoid(normalized_convolution(t, cell.conv_t_next))
    t_g, t_t, t_s = np.split(normalized_convolution(g * t + (1 - g) * trend, cell.conv_t), 3, axis=-1)
    s_g, s_t, s_s = np.split(normalized_convolution(s, cell.conv_s), 3, axis=-1)
    new_t = sigmoid(t_g) * t_t + (1 - sigmoid(t_g)) * s_t
    new_s = sigmoid(s_g) * s_s + (1 - sigmoid(s_g)) * t_s + residual * s

    actual = cell(t, s, past_t, past_s)
    np.testing.assert_allclose(actual[0], new_t, atol=1e-4)
    np.testing.assert_allclose(actual[1], new_s, atol=1e-4)


def test_a_cell_sees_its_last_inputs_and_motions():
    network = model(tau=2)
    states = network.first_states(np.zeros((4, 8, 12, 1), "float32"))
    seen = []
    for frame in squares().transpose(1, 0, 2, 3, 4):
        _, states = network.advance(frame, states, False)
        seen.append([np.asarray(each[-1]) for each in states[0]])
    for kept, name in zip(states[0], ("T", "S")):
        assert len(kept) == 2
        for past, expected in zip(kept, (each["TS".index(name)] for each in seen[-2:])):
            np.testing.assert_array_equal(past, expected)
    assert not np.allclose(seen[0][0], seen[1][0])


@pytest.mark.parametrize("shape, length, sr_size, expected", [
    ((10, 64, 64, 1), 10, 4, 4483588),
    ((4, 32, 32, 2), 4, 2, 4409868),
    ((10, 128, 128, 1), 20, 2, 20138372),
    ((10, 128, 160, 3), 1, 2, 24332952),
])  # fmt: skip
def test_parameters_of_the_published_configurations(shape, length, sr_size, expected):
    network = build("mau", shape, length, sr_size=sr_size)
    assert network.parameters == expected
    assert sorted(network.dead_weights) == [
        "conv_last_sr.bias", "conv_last_sr.weight", "merge.bias", "merge.weight"
    ]  # fmt: skip
    dead = 2 * 64 * 64 + 64 + 2 * shape[-1] ** 2 + shape[-1]
    assert network.live_parameters == expected - dead


def test_the_reference_has_80_tensors_on_moving_mnist():
    network = model(num_hidden=[6] * 4, sr_size=4)
    weights = network.reference_weights()
    assert len(weights) == 80
    assert {"cell_list.3.conv_t_next.1.weight", "encoders.0.encoder_t_conv-1.bias", "encoders.2.encoder_t1.weight",
            "decoders.1.c_decoder1.weight", "srcnn.0.weight"} < set(weights)  # fmt: skip


def test_weights_under_the_reference_names():
    network, other = model(), model()
    randomize(other)
    axes = {"same": lambda a: a, "image": lambda a: np.moveaxis(a, -1, 0)}
    channels_first = lambda a: np.moveaxis(a, (-1, -2), (0, 1))  # noqa: E731
    arrays = {
        name: axes.get(weight.kind, channels_first)(np.asarray(weight.variable))
        for name, weight in other.reference_weights().items()
    }
    assert arrays["cell_list.0.conv_t.0.weight"].shape == (18, 6, 3, 3)
    assert arrays["cell_list.0.conv_t.1.weight"].shape == (18, 4, 6)
    load_reference(network, arrays)
    np.testing.assert_allclose(network(squares()), other(squares()), atol=1e-6)
    del arrays["merge.bias"]
    with pytest.raises(ValueError, match="merge.bias: not in the checkpoint"):
        load_reference(network, arrays)


def test_recall_adds_the_features_of_the_encoder():
    network, frame = model(), squares()[:, 0]
    states = network.first_states(frame)
    normal, _ = network.advance(frame, states, False)
    network.model_mode = "recall"
    recalled, _ = network.advance(frame, states, False)
    features = np.asarray(network.encoders[0](frame))
    features = np.where(features > 0, features, 0.2 * features)
    np.testing.assert_allclose(recalled - normal, features @ np.asarray(network.srcnn.kernel)[0, 0], atol=1e-5)


def test_any_output_length():
    check_lengths(model(2), squares(), longer=4)


@pytest.mark.parametrize("channels, predicted", [(2, 1), (1, 2)])
def test_other_channels_out_than_in(channels, predicted):
    assert model(2, channels, output_channels=predicted)(squares(3, channels)).shape == (4, 2, 8, 12, predicted)


def test_saved_and_loaded(tmp_path):
    check_saved_and_loaded(model(2, cell_mode="residual", model_mode="recall", patch_size=2), squares(), tmp_path)


def test_mixed_precision():
    network, mixed = model(), model(dtype="mixed_bfloat16")
    mixed.set_weights(network.get_weights())
    assert mixed.srcnn.compute_dtype == "bfloat16" and mixed(squares()).dtype == "float32"
    np.testing.assert_allclose(mixed(squares()), network(squares()), atol=0.1)


@pytest.mark.slow
def test_it_learns():
    check_learns(model(1), squares(4), epochs=25)


def test_frame_sizes_must_suit_patches_and_strides():
    with pytest.raises(ValueError, match="multiples of 4. Received: height 8, width 14.*width 12 or 16"):
        build("mau", (3, 8, 14, 1))


def test_another_frame_size_than_it_was_built_for():
    with pytest.raises(ValueError, match="size it was built for, \\(8, 12\\). Received: shape=\\(1, 3, 8, 16, 1\\)"):
        model()(np.zeros((1, 3, 8, 16, 1), "float32"))


@pytest.mark.parametrize("arguments, message", [
    (dict(sr_size=3), "`sr_size` must be a power of 2.*sr_size=3"),
    (dict(tau=0), "`tau` must be at least 1.*tau=0"),
    (dict(cell_mode="recall"), "`cell_mode` is 'normal' or 'residual'.*cell_mode='recall'"),
    (dict(model_mode="residual"), "`model_mode` is 'normal' or 'recall'.*model_mode='residual'"),
    (dict(num_hidden=[6, 4]), "All layers of MAU have one number of channels"),
])  # fmt: skip
def test_hyperparameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**arguments)
