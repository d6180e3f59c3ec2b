"""SCS for video: persistence at the start, encoder states into the decoder, sub-goals, any size and length."""

import keras
import numpy as np
import pytest

from scs_keras import ASTSGD, LTSC, Stage
from scs_keras.zoo.encoder_decoder import feed_back, fold, unfold, with_channels
from scs_keras.zoo.video_prediction import build
from scs_keras.zoo.video_prediction.scs import future_difference
from tests.video_checks import check_learns, check_lengths, check_saved_and_loaded, moving_squares


def model(length=2, channels=1, head=True, **arguments):
    keras.utils.set_random_seed(0)
    network = build("scs_video", (3, 9, 12, channels), length, **(dict(structure=[6, 5], patch_size=2) | arguments))
    if head:  # no longer persistence
        kernel = np.random.default_rng(0).normal(0, 0.05, network.head.kernel.shape)
        network.head.kernel.assign(kernel)
    return network


def squares(time=3, channels=1):
    return moving_squares(4, time, 9, 12, channels, side=3)


def test_untrained_it_repeats_the_last_frame():
    frames = squares()
    np.testing.assert_allclose(model(head=False)(frames), np.repeat(frames[:, -1:], 2, axis=1), atol=1e-6)


def test_the_decoder_goes_on_from_the_encoder_and_sees_its_own_frames():
    network, frames = model(2), squares()
    states = network.network.initial_states(4, 5, 6)
    for t in range(3):
        states = network.network.run(fold(frames[:, t], 2)[None], "main", states)[1]
    image, expected = frames[:, -1], []
    for _ in range(2):
        folded = fold(image, 2)
        features, states = network.decoder.run(folded[None], "main", states)
        image = image + unfold(network.head(np.concatenate([features[0], folded], -1)), 2, 9, 12)
        expected.append(np.asarray(image))
    np.testing.assert_allclose(network(frames), np.stack(expected, 1), atol=1e-5)
    assert np.abs(expected[1] - expected[0]).max() > 1e-3


def test_frame_by_frame_as_the_whole():
    network, frames = model(), squares()
    states = network.initial_states(frames)
    for t in range(3):
        predicted, states = network.step(frames[:, t], states)
    np.testing.assert_allclose(predicted, network(frames), atol=1e-5)


def test_temporal_goal_is_the_difference_from_frame_to_frame():
    frames = squares(5, 2)
    goal = np.asarray(future_difference(frames[:, :3], frames[:, 3:]))
    np.testing.assert_array_equal(goal, frames[:, 3:] - frames[:, 2:-1])
    assert np.abs(goal).max() == 1
    more = np.asarray(future_difference(frames[:, :3, ..., :1], frames[:, 3:]))
    np.testing.assert_array_equal(more[:, 0, ..., 1], frames[:, 3, ..., 1])


def test_channels_are_matched():
    image, prediction = np.arange(6.0).reshape(1, 1, 2, 3), -np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(feed_back(image, prediction), [[[[-1, -1, 2], [-1, -1, 5]]]])
    np.testing.assert_array_equal(feed_back(prediction, image), [[[[0, 1], [3, 4]]]])
    np.testing.assert_array_equal(with_channels(prediction, 3), [[[[-1, -1, 0], [-1, -1, 0]]]])
    np.testing.assert_array_equal(with_channels(image, 1), [[[[0], [3]]]])


@pytest.mark.parametrize("channels, predicted", [(2, 1), (1, 2)])
def test_other_channels_out_than_in(channels, predicted):
    network = model(2, channels, output_channels=predicted, sub_goals=True)
    for stream in ("main", "temporal"):
        assert network(squares(3, channels), stream=stream).shape == (4, 2, 9, 12, predicted)


def test_any_output_length():
    check_lengths(model(2), squares(), longer=5)


def test_any_frame_size():
    assert model()(moving_squares(1, 3, 7, 10, side=3)).shape == (1, 2, 7, 10, 1)


def test_saved_and_loaded(tmp_path):
    structure = [Stage(4, layers=2, shortcut_every=2), 5]
    check_saved_and_loaded(model(2, structure=structure, normalization=None, sub_goals=True), squares(), tmp_path)


def test_mixed_precision():
    network, mixed = model(), model(dtype="mixed_bfloat16")
    mixed.set_weights(network.get_weights())
    assert mixed.decoder.compute_dtype == "bfloat16" and mixed(squares()).dtype == "float32"
    np.testing.assert_allclose(mixed(squares()), network(squares()), atol=0.1)


@pytest.mark.slow
def test_it_learns_with_sub_goals_and_a_switch():
    network = model(1, sub_goals=True, head=False)
    losses = dict(loss="mse", spatial_loss="mse", temporal_loss="mse", switch=ASTSGD())
    history = check_learns(network, squares(4), epochs=30, **losses)
    for name in ("main_loss", "spatial_loss", "temporal_loss"):
        assert history[name][-1] < 0.8 * history[name][0]
    assert history["q"][0] > 0.9 > history["q"][-1]


def test_strides_and_pooling_are_refused():
    for stage in (Stage(4, strides=2), Stage(4, pool=2)):
        with pytest.raises(ValueError, match="no strides and no pooling. Received: structure=.*patch_size"):
            model(structure=[stage])


def test_hyperparameters_out_of_range():
    with pytest.raises(ValueError, match="`patch_size` is a whole number of at least 1. Received: patch_size=0"):
        model(patch_size=0)


def test_wrong_frames():
    with pytest.raises(ValueError, match="SCSVideo was built for 3 frames. Received: 4 frames"):
        model()(squares(4))
    with pytest.raises(ValueError, match="frames \\(batch, time, height, width, channels\\) with 1 channels"):
        model()(squares(3, 2))


def test_clips_are_refused():
    with pytest.raises(ValueError, match="SCSVideo forecasts.*Allowed: long_sequence=None. Received"):
        model().compile("adam", "mse", long_sequence=LTSC(4))


def test_initial_states_are_refused():
    network = model()
    with pytest.raises(ValueError, match="starts from its observed images"):
        network(squares(), initial_states=network.initial_states(squares()))
