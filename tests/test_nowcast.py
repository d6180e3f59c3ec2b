"""The nowcast: scale-wise filter, lost images, products, loss; and that bad images do no harm."""

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import zoo
from scs_keras.training.data.radar import read_event
from scs_keras.training.precipitation.demo import DEMO_EVENT
from scs_keras.zoo.precipitation.losses import NowcastLoss
from scs_keras.zoo.precipitation.lost_images import fill_lost, find_lost, pairs_seen
from scs_keras.zoo.precipitation.nowcast import observe
from scs_keras.zoo.precipitation.products import DETECTION_LIMIT, RATES, match, probabilities, ranking
from scs_keras.zoo.precipitation.scale_filter import SCALES, WINDOW, scale_filter
from scs_keras.zoo.radar_units import LEVELS, rain_to_scaled, scaled_to_rain
from tests.checks import assert_close, random, randomize, sigmoid, to_numpy

NOWCAST, FILTER = "scs_precipitation_nowcast_small_radar", "scale_filter_precipitation_small_radar"
SIDE = 64


def rain(time=5, side=SIDE, speed=2, seed=0):
    """Showers that move to the right, scaled, (1, time, side, side, 1)."""
    generator, beyond = np.random.default_rng(seed), 40
    y, x = np.mgrid[:side, : side + beyond]
    field = np.zeros((side, side + beyond))
    for _ in range(14):
        row, column, size = generator.uniform(0, side), generator.uniform(0, side + beyond), generator.uniform(3, 9)
        field += generator.uniform(0.3, 0.6) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))
    field = np.where(field < 0.15, 0, field).clip(0, 0.75)
    starts = [beyond - speed * step for step in range(time)]
    return np.stack([field[:, start : start + side] for start in starts])[None, ..., None].astype("float32")


def blurred(image, deviation):
    """Plain Gaussian blur, normalised at the edges."""

    def rows(size):
        weights = np.exp(-0.5 * ((np.arange(size) - np.arange(size)[:, None]) / deviation) ** 2)
        return weights / weights.sum(axis=1, keepdims=True)

    return rows(image.shape[0]) @ image @ rows(image.shape[1]).T


def small(name, **arguments):
    preset = zoo.get_preset(name)
    model = zoo.load(name, weights=None, **{**preset.reduced, "input_shape": (5, SIDE, SIDE, 1), **arguments})
    model.run_eagerly = True  # a graph takes longer to trace than these tests to run
    return model


@pytest.fixture(scope="module")
def nowcast():
    return small(NOWCAST)


# The filter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [None, (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)])
def test_the_filter_is_the_autoregression_of_each_scale(lost):
    """Without pairs of images of which one was lost, unless there is no other."""
    seen = [not each for each in lost or (0, 0, 0)]
    pairs = [seen[0] and seen[1], seen[1] and seen[2], seen[0] and seen[2]]
    images = np.random.default_rng(0).random((3, 24, 20))
    expected = autoregression(images, pairs if any(pairs) else (True, True, True), 4)
    lost = None if lost is None else ops.convert_to_tensor([lost], "float32")
    forecast = to_numpy(scale_filter(ops.convert_to_tensor(images[None, ..., None], "float32"), 4, lost))
    assert_close(forecast[0, ..., 0], expected, 1e-4)


def autoregression(images, pairs, steps):
    """Forecasts (steps, height, width) by float64 equations; `pairs` says which of the three count."""
    early, late, lag2 = pairs
    smooth, levels = images, []
    for scale in SCALES:
        smoother = np.stack([blurred(image, scale) for image in smooth])
        levels.append(smooth - smoother)
        smooth = smoother
    expected = np.repeat(smooth[-1:], steps, axis=0)
    for oldest, before, now in levels:
        products = oldest**2, before**2, now**2, oldest * before, before * now, oldest * now
        v2, v1, v0, c21, c10, c20 = (blurred(product, WINDOW) for product in products)
        s2, s1, s0 = (np.sqrt(v + 1e-7) for v in (v2, v1, v0))
        measured = np.clip(c20 / (s2 * s0), 0, None)
        r1 = (early * c21 + late * c10) / (early * s2 * s1 + late * s1 * s0) if early or late else np.sqrt(measured)
        r1 = np.clip(r1, 0, 0.999)
        r2 = np.clip(c20 / (s2 * s0) if lag2 else r1**2, 2 * r1**2 - 1 + 1e-3, 0.9995)
        phi1, phi2 = r1 * (1 - r2) / (1 - r1**2), (r2 - r1**2) / (1 - r1**2)
        for step in range(steps):
            before, now = now, phi1 * now + phi2 * before
            expected[step] += now
    return expected.clip(0, 1)


def test_the_filter_is_exact_where_little_changes():
    """Taken from 1, correlations near it would leave rounding, ten times as much."""
    images = rain(3, speed=1)[0, ..., 0]
    forecast = to_numpy(scale_filter(ops.convert_to_tensor(images[None, ..., None]), 4))
    assert_close(forecast[0, ..., 0], autoregression(images.astype("float64"), (True, True, True), 4), 1.5e-6)


def test_the_filter_keeps_what_stays_and_fades_what_does_not():
    steady = np.repeat(rain(1), 5, axis=1)
    assert_close(scale_filter(ops.convert_to_tensor(steady), 3)[:, 2], steady[:, -1], 0.01)
    noise = np.random.default_rng(0).random((1, 5, SIDE, SIDE, 1)).astype("float32")
    assert np.std(to_numpy(scale_filter(ops.convert_to_tensor(noise), 3))[:, 2]) < 0.2 * np.std(noise[:, -1])


def test_untrained_the_nowcast_is_the_filter(nowcast):
    alone, frames = small(FILTER), rain()
    for name, product in nowcast(frames).items():
        assert_close(product, alone(frames)[name], 1e-4)
    observed = observe(ops.convert_to_tensor(frames), 2)
    assert_close(nowcast(frames, training=True)[..., :1], _moved(observed), 1e-4)


def _moved(observed):
    from scs_keras.zoo.precipitation.motion import move

    return move(observed.filtered, observed.path)


# Lost images --------------------------------------------------------------------------------------


def spoilt(frames, index, kind):
    clean, frames, half = frames, frames.copy(), frames.shape[2] // 2
    if kind == "frozen":
        frames[0, index] = clean[0, max(index - 1, 0)]
    else:
        frames[0, index][dict(blank=np.s_[:, :], top=np.s_[:half, :], left=np.s_[:, :half])[kind]] = 0
    return frames


@pytest.mark.parametrize("kind", ["blank", "top", "left"])
@pytest.mark.parametrize("index", range(5))
def test_a_lost_image_is_found_and_filled(index, kind):
    clean = rain()
    frames = spoilt(clean, index, kind)
    lost = find_lost(ops.convert_to_tensor(frames))
    assert to_numpy(lost)[0].tolist() == [float(each == index) for each in range(5)]
    flow = ops.stack([ops.full((1, SIDE, SIDE), 2.0), ops.zeros((1, SIDE, SIDE))], axis=-1)
    filled = to_numpy(fill_lost(ops.convert_to_tensor(frames), lost, flow))[:, :, :, 12:-12]
    assert_close(filled, clean[:, :, :, 12:-12], 1e-3)


def test_drizzle_is_not_speckle():
    """A few pixels alone beside a shower: more than 4 % of the little echo that there is, but hardly any of the image."""
    frames = np.zeros((1, 5, 128, 128, 1), "float32")
    for time in range(5):
        frames[0, time, 60:70, 40 + time : 50 + time] = 0.4
        frames[0, time, 10:110:10, 100] = 0.2  # ten pixels, 0.06 %
    assert not to_numpy(find_lost(frames)).any()
    frames[0, 2, 2:122:6, 2:42:10] = 0.2  # eighty more, 0.5 %
    assert to_numpy(find_lost(frames))[0].tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("index", range(5))
def test_a_speckled_image_is_lost(index):
    frames = rain()
    frames = np.where(frames > 0.5, frames, np.float32(0))  # where it rains everywhere speckle does little
    frames[0, index] = speckled(frames[0, index])
    assert to_numpy(find_lost(ops.convert_to_tensor(frames)))[0].tolist() == [float(each == index) for each in range(5)]


@pytest.mark.parametrize("index", range(1, 5))
def test_an_image_that_comes_twice_is_lost(index):
    frames, flow = rain(), np.zeros((1, SIDE, SIDE, 2), "float32")
    flow[..., 0] = 2
    clean = frames.copy()
    frames[:, index] = frames[:, index - 1]
    lost = find_lost(ops.convert_to_tensor(frames))
    assert to_numpy(lost)[0].tolist() == [float(each == index) for each in range(5)]
    filled = to_numpy(fill_lost(ops.convert_to_tensor(frames), lost, flow))
    assert_close(filled[:, :, :, 12:-12], clean[:, :, :, 12:-12], 1e-3)


def test_whole_images_are_not_lost():
    frames = rain(seed=1)
    assert not to_numpy(find_lost(ops.convert_to_tensor(frames))).any()
    assert not to_numpy(find_lost(ops.zeros_like(frames))).any()


def test_pairs_with_a_lost_image_do_not_count():
    assert to_numpy(pairs_seen(ops.convert_to_tensor([[0.0, 1.0, 0.0, 0.0]]))).tolist() == [[0, 0, 1]]


def test_fields_without_a_pair_have_no_flow():
    lost = ops.convert_to_tensor([[0.0, 1.0, 0.0, 1.0, 0.0]])
    from scs_keras.core.goals import mean_flow

    assert_close(mean_flow(rain(), weights=pairs_seen(lost)), np.zeros((1, SIDE, SIDE, 2)))
    with pytest.raises(ValueError, match=r"weights of pairs must be \(batch, 4\).*\(1, 5\)"):
        mean_flow(rain(), weights=lost)


@pytest.mark.parametrize("kind", ["blank", "top", "left", "frozen"])
@pytest.mark.parametrize("index", range(5))
def test_a_bad_image_does_no_harm(nowcast, index, kind):
    clean = rain()
    check_harm(nowcast(clean), nowcast(spoilt(clean, index, kind)), index)


def check_harm(good, bad, index):
    """Area means within 20 % of the clean forecast's; those of `mean` within 28 % where the last image is lost."""
    for name in ("mean", "matched"):
        assert abs(amount(bad[name]) / amount(good[name]) - 1) < (0.28 if (name, index) == ("mean", 4) else 0.2), name


@pytest.mark.slow
def test_a_bad_image_does_no_harm_to_the_trained_nowcast():
    """On the shipped event, its first and its last images, where it weakens."""
    model, images = zoo.load(NOWCAST), read_event(DEMO_EVENT).scaled
    for clean in (images[None, :5, ..., None], images[None, -5:, ..., None]):
        good = model.predict(clean, verbose=0)
        for kind in ("blank", "top", "left", "frozen"):
            for index in range(5):
                check_harm(good, model.predict(spoilt(clean, index, kind), verbose=0), index)


def amount(images):
    """Mean rain in mm/h."""
    return scaled_to_rain(to_numpy(images)).mean()


def clipped(image):
    return np.minimum(image, 0.35)


def shifted(image):
    return np.roll(image, 20, axis=1)


def speckled(image):
    return np.where(np.random.default_rng(0).random(image.shape) < 0.03, np.float32(0.75), image)


@pytest.mark.parametrize("spoil", [clipped, shifted, speckled])
@pytest.mark.parametrize("index", range(5))
def test_an_image_whose_fault_cannot_be_seen_does_little_harm(nowcast, index, spoil):
    """At most 2.5 times the rain of the clean images that were observed."""
    clean = rain()
    frames = clean.copy()
    frames[0, index] = spoil(clean[0, index])
    for name, images in nowcast(frames).items():
        if name in ("mean", "matched"):
            assert amount(images) < 2.5 * amount(clean), name


# Products -----------------------------------------------------------------------------------------


def test_matching_puts_the_values_where_the_ranks_are():
    order, reference = random(2, 3, 4, 5, 1), random(2, 4, 5, 1, seed=1)
    matched = to_numpy(match(ops.convert_to_tensor(order), ops.convert_to_tensor(reference)))
    for batch in range(2):
        for lead in range(3):
            expected = np.empty(20)
            expected[np.argsort(order[batch, lead].ravel())] = np.sort(reference[batch].ravel())
            assert_close(matched[batch, lead].ravel(), expected)


def test_probabilities_never_rise_with_the_rate():
    logits = random(2, 3, 4, 4, len(RATES), scale=3.0)
    expected = np.minimum.accumulate(sigmoid(logits.astype("float64")), axis=-1)
    expected = expected[..., [RATES.index(rate) for rate in LEVELS]]
    assert_close(probabilities(ops.convert_to_tensor(logits)), expected)


def test_the_order_is_that_of_the_mean_and_the_expectation():
    mean, logits = random(1, 2, 3, 3, 1), random(1, 2, 3, 3, len(RATES), seed=1)
    rates = [0.0, *(float(rain_to_scaled(rate)) for rate in RATES)]
    expected = mean[..., 0].astype("float64")
    for index in range(len(RATES)):
        expected = expected + sigmoid(logits[..., index].astype("float64")) * (rates[index + 1] - rates[index])
    assert_close(ranking(ops.convert_to_tensor(mean), ops.convert_to_tensor(logits))[..., 0], expected)


def test_no_forecast_exceeds_what_was_observed_and_weak_means_are_dry(nowcast):
    model = small(NOWCAST)
    randomize(model, scale=0.5)
    frames = rain()
    products = {name: to_numpy(value) for name, value in model(frames).items()}
    for name in ("mean", "matched"):
        assert products[name].max() <= frames.max() + 1e-6 and products[name].min() >= 0
    wet = products["mean"][products["mean"] > 0]
    assert wet.size and wet.min() >= DETECTION_LIMIT
    assert 0 <= products["probability"].min() and products["probability"].max() <= 1


def test_dry_in_dry_out():
    model = small(NOWCAST)
    randomize(model, scale=0.5)
    for name, product in model(np.zeros((1, 5, SIDE, SIDE, 1), "float32")).items():
        assert not to_numpy(product).any(), name


def test_physical_values():
    model = small(FILTER)
    frames = scaled_to_rain(rain())
    products = model.preset.predict(model, frames)
    assert frames.max() * 0.5 < products["matched"].max() <= frames.max() * 1.001
    assert_close(rain_to_scaled(products["mean"]), model.predict(rain_to_scaled(frames), verbose=0)["mean"], 1e-4)


# Training -----------------------------------------------------------------------------------------


def test_the_loss_is_squared_error_and_cross_entropy():
    target, forecast = (
        np.random.default_rng(0).random((1, 2, 3, 3, 1)).astype("float32"),
        random(1, 2, 3, 3, 1 + len(RATES)),
    )
    expected = (target - forecast[..., :1]) ** 2 / 0.01
    for index, rate in enumerate(RATES):
        event, p = target >= rain_to_scaled(rate), sigmoid(forecast[..., 1 + index : 2 + index].astype("float64"))
        expected = expected - 0.3 * np.where(event, np.log(p), np.log(1 - p))
    assert_close(NowcastLoss(0.3)(target, forecast), expected.mean(), 1e-4)


def test_what_evaluate_computes_is_the_loss_of_training(nowcast):
    frames, target = rain(7)[:, :5], rain(7)[:, 5:]
    expected = NowcastLoss()(target, nowcast(frames, training=True))
    assert_close(nowcast.evaluate(frames, target, verbose=0), to_numpy(expected), 1e-4)


@pytest.mark.slow
def test_it_learns_growth():
    """Rain that doubles from image to image, which the filter does not know."""
    model = small(NOWCAST, learning_rate=0.02)
    model.run_eagerly = False
    frames = np.concatenate([rain(7, seed=seed) for seed in range(4)]) * np.linspace(0.4, 1, 7)[:, None, None, None]
    x, y = frames[:, :5].astype("float32"), frames[:, 5:].astype("float32")

    def error():
        return float(np.square(to_numpy(model(x, training=True))[..., :1] - y).mean())

    before = error()
    model.fit(x, y, epochs=60, batch_size=4, verbose=0)
    assert error() < 0.7 * before


@pytest.mark.parametrize("shape", [(1, 2, 16, 16, 1), (1, 5, 16, 16)])
def test_too_few_images(nowcast, shape):
    with pytest.raises(ValueError, match=r"at least 3 time steps.*Received: shape="):
        nowcast.forecast(ops.zeros(shape), "main", False)


def test_images_too_small_to_see_rain_move(nowcast):
    with pytest.raises(ValueError, match=r"at least 8 pixels a side.*shape=\(1, 5, 8, 1, 1\). Give a larger"):
        nowcast.forecast(ops.zeros((1, 5, 8, 1, 1)), "main", False)


def test_states_need_the_number_of_images(nowcast):
    with pytest.raises(ValueError, match="the number of observed images must be known"):
        nowcast.initial_states(keras.KerasTensor((None, None, 16, 16, 1)))
