"""The forecasters: encoder and decoder, goals, advection, streaming, any output length."""

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import ASTSGD, LTSC, SCSNetwork
from scs_keras.core.goals import advect, frame_difference
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.encoder_decoder import fold, unfold
from scs_keras.zoo.precipitation.losses import ForecastLoss
from scs_keras.zoo.precipitation.model import PrecipitationForecaster, difference_and_flow
from scs_keras.zoo.radar_units import rain_to_scaled


def frames(time=5, height=24, width=20, batch=2, seed=0):
    """Smooth random images that move one pixel a frame."""
    random = np.random.default_rng(seed).random((batch, height // 4, width // 4 + 4, 1), "float32")
    canvas = np.asarray(ops.image.resize(random, (height, width + 16)))
    return np.stack([canvas[:, :, 8 - t : 8 - t + width] for t in range(time)], axis=1)


def forecaster(network="scs", head="random", **arguments):
    make = {"scs": lambda: SCSNetwork([6, 5]), "convlstm": lambda: ConvLSTMNetwork([6, 5])}[network]
    keras.utils.set_random_seed(1)
    model = PrecipitationForecaster(make(), make(), output_length=3, patch=2, **arguments)
    model.build((None, 5, 24, 20, 1))
    if head == "random":
        model.head.set_weights([np.random.default_rng(2).normal(0, 0.05, w.shape) for w in model.head.get_weights()])
    return model


def test_fold_and_unfold_are_inverse_for_any_size():
    images = frames(height=23, width=19)
    folded = fold(ops.convert_to_tensor(images), 4)
    assert tuple(folded.shape) == (2, 5, 6, 5, 16)
    np.testing.assert_array_equal(unfold(folded[:, 0], 4, 23, 19), images[:, 0])
    np.testing.assert_array_equal(folded[0, 0, 1, 2].numpy().reshape(4, 4), images[0, 0, 4:8, 8:12, 0])


def test_untrained_it_forecasts_persistence():
    x = frames()
    np.testing.assert_allclose(forecaster(head="zero")(x), np.repeat(x[:, -1:], 3, axis=1), atol=1e-6)


def test_untrained_on_advection_it_is_the_advection_forecast():
    x = frames(height=48, width=40)
    expected = np.asarray(advect(x, 3))
    np.testing.assert_allclose(forecaster(head="zero", advection=True)(x), expected, atol=1e-5)
    assert np.abs(expected - x[:, -1:]).max() > 0.05


def test_advection_fills_a_blank_image_and_exceeds_nothing_observed():
    x = 0.7 * frames(height=48, width=40)
    model = forecaster(advection=True)
    model.head.bias.assign(np.full(model.head.bias.shape, 0.3))
    clean = np.asarray(model(x))
    np.testing.assert_allclose(clean.max(axis=(1, 2, 3, 4)), x.max(axis=(1, 2, 3, 4)), rtol=1e-6)
    model.head.bias.assign(np.zeros(model.head.bias.shape))
    clean = np.asarray(model(x))
    for lost in (3, 4):
        bad = x.copy()
        bad[:, lost] = 0
        assert abs(np.asarray(model(bad)).mean() / clean.mean() - 1) < 0.2
    assert not np.asarray(model(0 * x)).any()


@pytest.mark.parametrize("network", ["scs", "convlstm"])
def test_the_decoder_starts_from_the_encoders_states_and_feeds_its_images_back(network):
    model, x = forecaster(network), frames()
    states = model.network.initial_states(2, 12, 10)
    for t in range(5):
        _, states = model.network.run(fold(x[:, t], 2)[None], "main", states)
    image, expected = ops.convert_to_tensor(x[:, -1]), []
    for _ in range(3):
        folded = fold(image, 2)
        features, states = model.decoder.run(folded[None], "main", states)
        image = image + unfold(model.head(ops.concatenate([features[0], folded], -1)), 2, 24, 20)
        expected.append(image)
    np.testing.assert_allclose(model(x), np.clip(np.stack(expected, 1), 0, 1), atol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"advection": True}, {"network": "convlstm"}])
def test_streamed_equals_whole(arguments):
    model, x = forecaster(**arguments), frames()
    states = model.initial_states(x)
    for t in range(5):
        forecast, states = model.step(x[:, t], states)
    np.testing.assert_allclose(forecast, model(x), atol=1e-5)


def test_any_number_of_frames():
    model, x = forecaster(), frames()
    short = np.asarray(model(x))
    model.output_length = 7
    longer = np.asarray(model(x))
    assert longer.shape == (2, 7, 24, 20, 1)
    np.testing.assert_allclose(longer[:, :3], short, atol=1e-6)


def test_temporal_goal_is_difference_and_flow():
    images = frames(8, height=48, width=40)
    goal = np.asarray(difference_and_flow(images[:, :5], images[:, 5:]))
    assert goal.shape == (2, 3, 48, 40, 3)
    np.testing.assert_allclose(goal[..., :1], frame_difference(images[:, 4:]), atol=1e-6)
    np.testing.assert_allclose(goal[:, :, 12:-12, 12:-12, 1].mean(), 0.1, atol=0.02)  # one pixel a frame, in tens


@pytest.mark.slow
def test_sub_goals_train_the_switch_and_stay_apart():
    model, images = forecaster(sub_goals=True), frames(8)
    model.compile(keras.optimizers.Adam(1e-2), loss="mse", spatial_loss="mse", temporal_loss="mse", switch=ASTSGD())
    history = model.fit(images[:, :5], images[:, 5:], epochs=12, batch_size=2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["q"][0] > 0.9 > history["q"][-1]
    cell = model.decoder.scs_layers[0].cell
    import tensorflow as tf

    for stream, own in (("spatial", cell.spatial_kernel), ("temporal", cell.temporal_kernel)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(images[:, :5], stream=stream))
        gradients = tape.gradient(total, [own.value, cell.spatial_kernel.value, cell.temporal_kernel.value])
        assert gradients[0] is not None
        assert (gradients[1] is None, gradients[2] is None) == (stream == "temporal", stream == "spatial")


def test_forecasts_are_clipped_at_inference_only():
    model, x = forecaster(), frames()
    model.head.bias.assign(np.full(model.head.bias.shape, 0.8))
    assert float(ops.max(model(x))) == 1.0 < float(ops.max(model(x, training=True)))


def test_saved_and_loaded(tmp_path):
    model, x = forecaster(advection=True), frames()
    model.compile("adam", loss=ForecastLoss(0.02))
    model.output_length = 4
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    assert loaded.objective.main_loss.weight == 0.02
    assert loaded.objective.main_loss.thresholds == model.objective.main_loss.thresholds


def test_forecast_loss_against_numpy():
    random = np.random.default_rng(0)
    y, predicted = random.random((2, 2, 3, 3, 4, 1)).astype("float32")
    expected = (y - predicted) ** 2
    for rain, event_weight in {0.5: 1.4, 2.0: 3.0}.items():
        threshold = rain_to_scaled(rain)
        probability = 1 / (1 + np.exp(-(predicted - threshold) / 0.05))
        event = y >= threshold
        expected = expected - 0.1 * np.where(event, event_weight * np.log(probability), np.log(1 - probability))
    loss = ForecastLoss(0.1, {0.5: 1.4, 2.0: 3.0}, width=0.05)
    np.testing.assert_allclose(loss(y, predicted), expected.mean(), rtol=1e-4)
    mask = (random.random(y.shape) > 0.5).astype("float32")
    np.testing.assert_allclose(loss(y, predicted, sample_weight=mask), (expected * mask).mean(), rtol=1e-4)
    np.testing.assert_allclose(ForecastLoss()(y, predicted), ((y - predicted) ** 2).mean(), rtol=1e-5)


def test_wrong_number_of_axes():
    with pytest.raises(ValueError, match="takes \\(batch, time, height, width, 1\\) images"):
        forecaster()(frames()[:, 0])


def test_advection_needs_two_images():
    with pytest.raises(ValueError, match="at least 2 time steps, to see them move"):
        forecaster(advection=True)(frames()[:, :1])


def test_output_length_must_be_positive():
    with pytest.raises(ValueError, match="`output_length` is a whole number of at least 1"):
        PrecipitationForecaster(SCSNetwork([4]), SCSNetwork([4]), output_length=0)


def test_initial_states_are_refused():
    model, x = forecaster(), frames()
    with pytest.raises(ValueError, match="starts from its observed images"):
        model(x, initial_states=model.initial_states(x))


def test_clips_are_refused():
    with pytest.raises(ValueError, match="PrecipitationForecaster forecasts.*Allowed: long_sequence=None. Received"):
        forecaster().compile("adam", "mse", long_sequence=LTSC(4))


def test_states_for_symbolic_images():
    model, x = forecaster(), frames()
    for inputs in (keras.Input((5, 24, 20, 1)), keras.KerasTensor((2, None, 24, 20, 1))):
        states = model.initial_states(inputs)
        assert [tuple(state.shape[1:]) for state in states] == [(12, 10, 6), (12, 10, 5)]
    moving = forecaster(advection=True)
    assert tuple(moving.initial_states(keras.Input((3, 24, 20, 1)))[0].shape) == (None, 2, 24, 20, 1)
    with pytest.raises(ValueError, match="the number of observed images must be known. Received: shape="):
        moving.initial_states(keras.Input((None, 24, 20, 1)))
    np.testing.assert_array_equal(model.reduce_outputs(x), x[:, -1])


def test_a_convlstm_has_no_sub_goals():
    with pytest.raises(ValueError, match="no sub-goal networks"):
        forecaster("convlstm")(frames(), stream="spatial")


def test_another_normalization_of_a_convlstm():
    with pytest.raises(ValueError, match="must be None or 'group'. Received: normalization='batch'"):
        ConvLSTMNetwork([4], normalization="batch")


@pytest.mark.slow
def test_predict_takes_another_size_at_each_call():
    model = forecaster(advection=True)
    for height, width in ((24, 20), (32, 24), (24, 20), (40, 40)):
        x = frames(height=height, width=width)
        np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-5)


@pytest.mark.parametrize("network", ["scs", "convlstm"])
def test_the_size_of_the_images_may_change(network):
    model = forecaster(network)
    for height, width in ((24, 20), (16, 28)):
        x = frames(height=height, width=width)
        assert model(x).shape == (2, 3, height, width, 1)
