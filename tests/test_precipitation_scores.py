"""Scores of rain beyond those of single pixels, their intervals, and pysteps: against plain loops and against pysteps."""

import contextlib
import json
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from scs_keras import __main__ as cli
from scs_keras import zoo
from scs_keras.training.card import model_card
from scs_keras.training.evaluate import evaluate, score
from scs_keras.training.precipitation import bootstrap, uncertainty
from scs_keras.training.precipitation.probability_scores import BINS, crps_weights, reliability_sums
from scs_keras.training.precipitation.reliability import reliability_diagram
from scs_keras.training.precipitation.scores import RainScores, baselines, predictors
from scs_keras.training.precipitation.spatial_scores import band_power, box_sums, fraction_sums
from scs_keras.training.precipitation.tally import LEVELS, pixels_of_scales, reliability_of, scores_of, stacked, tally
from scs_keras.training.scores import text_tables
from scs_keras.training.source import Source
from scs_keras.zoo.radar_units import rain_to_scaled, scaled_to_rain

SIZES = (1, 2, 3, 5, 8, 30)
PRESET = "scs_precipitation_advection_small_radar"


def pysteps(module):
    """A module of pysteps, which greets on stdout; skips the test where pysteps is missing."""
    with contextlib.redirect_stdout(None):
        return pytest.importorskip(f"pysteps.{module}", reason='compares with pysteps: pip install "scs-keras[radar]"')


def rain(shape, seed=0, wet=0.4):
    """Scaled images of rain, smooth enough to have squares of it."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis in (-2, -1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-2, 3))
    return np.clip((noise - np.quantile(noise, 1 - wet)) / 40 + 0.25, 0, 1).astype("float32") * (noise > 0)


def scores_of_images(observed, forecasts, km=None, valid=True):
    """Scores of pairs of images (height, width), (height, width[, 4])."""
    valid = np.full(observed[0].shape, True) & valid
    pairs = [(image, each if each.ndim == 3 else each[..., None]) for image, each in zip(observed, forecasts)]
    scores = scores_of(stacked(tally(image, each, valid, km) for image, each in pairs).sum(axis=0))
    return {name: float(value) for name, value in scores.items()}


def about(event="a", start=0, length=10, step=5, km=2.0):
    """What is known of a window that begins with image `start` of its event."""
    times = 60 * step * np.arange(start, start + length)
    return dict(name=event, group=event, step_minutes=step, times=times, km_per_pixel=km)


def added(forecast, events, size=16):
    """RainScores of `forecast(target, number)` on {event: starts of windows}; 5 of 10 images are forecast."""
    scores, number = RainScores(), 0
    for event, starts in events.items():
        for start in starts:
            target = rain((5, size, size), seed=start)[..., None]
            scores.add(target, forecast(target, number), np.ones(target.shape, "float32"), about(event, start))
            number += 1
    return scores


def noisy(amount):
    return lambda target, number: np.clip(
        target + np.random.default_rng(number).normal(0, amount, target.shape), 0, 1
    ).astype("float32")


# --- squares and spectra ----------------------------------------------------------------------------------------------


def plain_box(image, size):
    """The square around each pixel by a loop; an even one reaches further up and to the left."""
    height, width = image.shape
    before, after = size // 2, size - size // 2
    return np.array(
        [
            [image[max(0, y - before) : y + after, max(0, x - before) : x + after].sum() for x in range(width)]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize("sizes", [SIZES, (3,), (4,)])
def test_squares_equal_a_loop(sizes):
    images = np.random.default_rng(0).random((2, 12, 9)) > 0.6
    for size, made in zip(sizes, box_sums(images, sizes), strict=True):
        np.testing.assert_array_equal(made, [plain_box(image, size) for image in images])
    values = np.random.default_rng(1).normal(size=(12, 9))
    np.testing.assert_allclose(next(box_sums(values, [5])), plain_box(values, 5), atol=1e-12)


def test_fractions_skill_score_equals_its_definition():
    observed, forecast = np.random.default_rng(2).random((2, 14, 11)) > 0.7
    for size, (error, reference) in zip(SIZES, fraction_sums(observed, forecast, SIZES)):
        fractions = plain_box(forecast, size) / size**2, plain_box(observed, size) / size**2
        assert error == pytest.approx(np.square(fractions[0] - fractions[1]).sum())
        assert reference == pytest.approx(np.square(fractions).sum())


def test_a_shift_costs_less_at_larger_scales():
    image = np.zeros((64, 64), "float32")
    image[20:30, 20:30] = 0.5
    scores = scores_of_images([image], [np.roll(image, 4, axis=1)], km=1)
    assert 0.5 < scores["fss_2_1km"] < scores["fss_2_5km"] < scores["fss_2_10km"] < scores["fss_2_20km"] < 1
    assert np.isnan(scores["fss_10_1km"]) and np.isnan(scores["csi_10"])  # 35 dBZ is less


def test_scales_in_pixels():
    assert list(pixels_of_scales(2).values()) == [1, 3, 5, 10, 20]
    assert list(pixels_of_scales(None).values()) == list(pixels_of_scales(1).values()) == [1, 5, 10, 20, 40]
    image, other = rain((2, 40, 40))
    fine, coarse = (scores_of_images([image], [other], km=km) for km in (1, 2))
    assert coarse["fss_2_20km"] == fine["fss_2_10km"] != coarse["fss_2_10km"]


def wave(wavelength, size=(64, 64), amplitude=0.2, axis=1):
    return 0.4 + amplitude * np.cos(2 * np.pi * np.arange(size[axis]) / wavelength).reshape(
        (-1, 1) if axis == 0 else (1, -1)
    ) * np.ones(size)


@pytest.mark.parametrize("size, axis", [((64, 64), 0), ((64, 64), 1), ((48, 64), 0), ((48, 64), 1), ((33, 33), 1)])
def test_power_of_a_wave_counts_where_its_length_lies_in_the_band(size, axis):
    side = size[axis]
    inside, outside = wave(side / 4, size, axis=axis), wave(side / 12, size, axis=axis)
    band = side / 5, side / 3
    assert band_power(outside, band) < 1e-12 < band_power(inside, band)
    assert band_power(inside + outside, band) == pytest.approx(band_power(inside, band))
    assert band_power(3 * inside, band) == pytest.approx(9 * band_power(inside, band))
    assert band_power(inside, (1000, 2000)) == 0


def test_power_equals_a_loop_over_the_whole_transform():
    image = np.random.default_rng(3).normal(size=(21, 30))
    power = np.abs(np.fft.fft2(image)) ** 2 / image.size
    rings = {}
    for y in range(21):
        for x in range(30):
            waves = np.hypot(min(y, 21 - y) / 21, min(x, 30 - x) / 30) * 30  # along the longer side
            rings.setdefault(round(waves), []).append(power[y, x])
    expected = np.mean([np.mean(rings[ring]) for ring in range(3, 8)])  # 30 / 7.5 < 7, 30 / 10 = 3
    assert band_power(image, (30 / 7.5, 10)) == pytest.approx(expected)


def test_spectrum_is_in_decibels_and_in_km():
    observed, forecast = wave(16, amplitude=0.2), wave(16, amplitude=0.1)
    assert scores_of_images([observed], [forecast], km=1)["spectrum"] == pytest.approx(20 * np.log10(0.5), abs=1e-4)
    assert abs(scores_of_images([observed], [observed], km=1)["spectrum"]) < 1e-9
    both = forecast + wave(64 / 12, amplitude=0.05) - 0.4
    assert scores_of_images([observed], [both], km=1)["spectrum"] == pytest.approx(-6.02, abs=0.01)
    assert scores_of_images([observed], [both], km=2)["spectrum"] > 40  # now the band has 64 / 12 pixels, 10.7 km
    assert np.isnan(scores_of_images([observed], [forecast], km=30)["spectrum"])  # no wave is that short


def test_pixels_without_data_do_not_count():
    observed, forecast, other = rain((3, 24, 24))
    valid = np.arange(24) > 5
    changed = np.where(valid, forecast, other)
    one, two = (scores_of_images([observed], [each], 2, valid) for each in (forecast, changed))
    assert one == pytest.approx(two, nan_ok=True)
    assert one["mse"] == pytest.approx(np.square(observed - forecast)[:, 6:].mean())


# --- probabilities ----------------------------------------------------------------------------------------------------


def test_brier_score_and_crps_of_an_ensemble_equal_their_definitions():
    generator = np.random.default_rng(4)
    members, observed = generator.gamma(0.4, 8, (6, 7, 9)), generator.gamma(0.4, 8, (7, 9))
    probability = (members[..., None] >= np.array(LEVELS)).mean(axis=0)
    scores = scores_of_images([rain_to_scaled(observed)], [probability])
    for level, share in zip(LEVELS, np.moveaxis(probability, -1, 0)):
        assert scores[f"brier_{level}"] == pytest.approx(np.mean((share - (observed >= level)) ** 2))
    assert scores["crps"] == pytest.approx(plain_crps(rounded(members), rounded(observed)), rel=1e-3)
    assert np.isnan(scores["mse"]) and np.isnan(scores["csi_2"]) and np.isnan(scores["fss_2_5km"])


def rounded(values):
    """Down to 0 or a threshold."""
    return np.array((0, *LEVELS))[np.searchsorted(LEVELS, values, side="right")]


def plain_crps(members, observed):
    """The integral over x of (P(R >= x) - [observed >= x])², by small steps."""
    x = np.arange(0.005, 12, 0.01)
    share = (members[..., None] >= x).mean(axis=0)
    return np.square(share - (observed[..., None] >= x)).sum(axis=-1).mean() * 0.01


def test_crps_of_one_forecast_is_its_absolute_error():
    generator = np.random.default_rng(5)
    observed, forecast = generator.gamma(0.4, 8, (2, 20, 20))
    scores = scores_of_images([rain_to_scaled(observed)], [rain_to_scaled(forecast)])
    assert scores["crps"] == pytest.approx(np.abs(rounded(observed) - rounded(forecast)).mean())
    np.testing.assert_array_equal(crps_weights(LEVELS), [0.5, 1.5, 3, 5])


def test_reliability_of_calibrated_and_of_certain_forecasts():
    generator = np.random.default_rng(6)
    probability = np.repeat(generator.random((60, 60, 1)), 4, axis=-1)
    observed = np.where(generator.random((60, 60)) < probability[..., 0], 0.9, 0.0)  # above all thresholds
    tallies = [tally(observed, probability, np.full((60, 60), True), None)]
    for diagram in reliability_of(stacked(tallies).sum(axis=0)).values():
        assert len(diagram) == BINS and sum(point["count"] for point in diagram) == 3600
        assert all(abs(point["forecast"] - point["observed"]) < 0.12 for point in diagram)
        assert [round(10 * point["forecast"] - 0.5) for point in diagram] == list(range(10))
    image, other = rain((2, 30, 30))
    valid = np.random.default_rng(7).random((30, 30)) > 0.1
    certain = reliability_of(stacked([tally(image, other[..., None], valid, None)]).sum(axis=0))
    likely = np.stack([other >= rain_to_scaled(level) for level in LEVELS], axis=-1).astype("float32")
    assert certain == reliability_of(stacked([tally(image, likely, valid, None)]).sum(axis=0))
    assert [point["forecast"] for point in certain["2"]] == [0, 1]


def test_edges_of_probability_have_a_bin():
    made = reliability_sums(np.array([True, False, True]), np.array([0.0, 1.0, 0.05]))
    assert made[0].tolist() == [2, 2, 0.05] and made[-1].tolist() == [1, 0, 1] and not made[1:-1].any()


# --- pysteps as the reference -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("km", [1, 2, 3])
def test_fractions_skill_score_equals_that_of_pysteps(km):
    reference = pysteps("verification.spatialscores")
    observed, forecast = rain((4, 50, 41)), rain((4, 50, 41), seed=1)
    scores = scores_of_images(observed, forecast, km)
    for level in LEVELS[:3]:
        for scale, size in pixels_of_scales(km).items():
            sums = reference.fss_init(rain_to_scaled(level) - 1e-6, size)
            for pair in zip(forecast, observed):
                reference.fss_accum(sums, *pair)
            assert scores[f"fss_{level}_{scale}km"] == pytest.approx(reference.fss_compute(sums), rel=1e-6)


def test_crps_and_reliability_equal_those_of_pysteps():
    reference = pysteps("verification.probscores")
    generator = np.random.default_rng(7)
    members, observed = generator.gamma(0.4, 8, (6, 40, 50)), generator.gamma(0.4, 8, (40, 50))
    probability = (members[..., None] >= np.array(LEVELS)).mean(axis=0)
    sums = stacked([tally(rain_to_scaled(observed), probability, np.full(observed.shape, True), None)]).sum(axis=0)
    apart = rounded(observed) + 1e-9  # pysteps leaves out what lies between a member and an observation equal to one
    expected = reference.CRPS(rounded(members).astype(float), apart)
    assert scores_of(sums)["crps"] == pytest.approx(expected)
    for level, diagram in zip(LEVELS, reliability_of(sums).values()):
        with np.errstate(invalid="ignore"):
            x, y = reference.reldiag(probability[..., LEVELS.index(level)], observed, level, min_count=1)
        known = np.isfinite(x)
        assert [point["forecast"] for point in diagram] == pytest.approx(x[known])
        assert [point["observed"] for point in diagram] == pytest.approx(y[known])


@pytest.mark.parametrize("size", [64, 65])
def test_power_equals_that_of_pysteps(size):
    rapsd = pysteps("utils.spectral").rapsd
    image = rain((size, size))
    power, frequency = rapsd(image, fft_method=np.fft, return_freq=True, d=2.0)
    in_band = (frequency >= 1 / 30) & (frequency <= 1 / 10)
    assert in_band.sum() > 5
    assert band_power(image, (10 / 2, 30 / 2)) == pytest.approx(power[in_band].mean(), rel=1e-6)


# --- blocks and intervals ---------------------------------------------------------------------------------------------


def blocks_of(events):
    """Blocks of {event: starts of windows of 10 images}, and the times that each scores."""
    scores = added(lambda target, number: target, events, size=4)
    blocks = scores.blocks
    times = {}
    for block, image in zip(blocks.of_image, scores.images):
        times.setdefault(int(block), set()).add(image.time)
    return blocks, times


def test_an_event_has_as_many_blocks_as_windows_fit_into_it():
    blocks, times = blocks_of({"a": range(31)})  # 40 images
    assert list(times) == [0, 1, 2, 3] and list(blocks.of_event["a"]) == [0, 1, 2, 3]
    assert sum(map(len, times.values())) == len(set().union(*times.values())) == 35  # no image in two blocks
    assert {len(each) for each in times.values()} <= {8, 9} and blocks.minutes == {"a": 35 * 5 / 4}
    assert [max(times[block]) < min(times[block + 1]) for block in range(3)] == [True] * 3
    assert set().union(*times.values()) == {300 * image for image in range(5, 40)}
    assert len(blocks_of({"a": range(3)})[1]) == 1


def test_windows_without_a_common_image_are_blocks():
    blocks, times = blocks_of({"a": [0, 10, 25, 40]})
    assert [len(times[block]) for block in times] == [5, 5, 5, 5] and list(blocks.of_event["a"]) == [0, 1, 2, 3]
    assert len(blocks_of({"a": [0, 9]})[1]) == 1  # image 9 is in both


def test_radars_at_the_same_time_are_one_event():
    blocks, times = blocks_of({"a": [0, 1], "b": [50, 60], "c": [8, 9], "d": [0]})
    assert blocks.files == {"a and 2 more": ["a", "c", "d"], "b": ["b"]}
    assert {event: list(each) for event, each in blocks.of_event.items()} == {"a and 2 more": [0], "b": [1, 2]}
    assert len(times) == 3


def test_blocks_sum_to_all():
    scores = added(noisy(0.05), {"a": range(31), "b": [100, 101, 130]})
    blocks = scores.blocks
    sums = blocks.sums(stacked(scores.tallies))
    np.testing.assert_allclose(sums.sum(axis=0), stacked(scores.tallies).sum(axis=0))
    alone = added(noisy(0.05), {"a": range(31)})
    np.testing.assert_allclose(
        sums[blocks.of_event["a"]].sum(axis=0), stacked(alone.tallies).sum(axis=0), rtol=1e-9, atol=1e-9
    )
    assert scores.drawn()[0] == pytest.approx(scores.result(), nan_ok=True)


def test_replicates_are_scores_of_blocks_drawn_again():
    scores = added(noisy(0.1), {"a": [0, 10, 20, 30, 40, 50]})
    by_block = [stacked(scores.tallies[5 * window : 5 * window + 5]).sum(axis=0) for window in range(6)]
    values, replicates = scores.drawn()
    counts = np.random.default_rng(0).multinomial(6, [1 / 6] * 6, size=bootstrap.REPLICATES)
    for index in (0, 1, 999):
        drawn = sum(count * each for count, each in zip(counts[index], by_block))
        for name, value in scores_of(drawn).items():
            assert replicates[name][index] == pytest.approx(float(value), nan_ok=True)
    low, high = scores.intervals()["csi_2"]
    assert low < values["csi_2"] < high
    assert (low, high) == pytest.approx(np.percentile(replicates["csi_2"], [5, 95]))
    errors = [each["squared_error"] / each["rain_pixels"] for each in map(as_tally, by_block)]
    expected = 1.645 * np.std(errors) / np.sqrt(6)
    low, high = scores.intervals()["mse"]
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)


def as_tally(sums):
    from scs_keras.training.precipitation.tally import TALLY

    return sums.view(TALLY)[0]


def test_no_interval_of_few_blocks_or_of_what_is_not_defined():
    few = added(noisy(0.1), {"a": [0, 10, 20]})
    assert set(few.intervals().values()) == {None} and few.drawn()[1] == {}
    rare = added(lambda target, number: 0.2 * target, {"a": [0, 10, 20, 30]})
    assert rare.intervals()["far_10"] is None and rare.intervals()["mse"] is not None
    assert bootstrap.interval(np.array([0.1, np.nan, 0.2])) is None  # a draw without such rain


def test_differences_are_paired():
    events = {"a": [0, 10, 20, 30, 40], "b": [100, 110]}
    scores = {name: added(noisy(amount), events) for name, amount in dict(advection=0.1, model=0.1, mean=0.05).items()}
    made = uncertainty.differences(scores)
    assert list(made) == ["advection"] and list(made["advection"]) == ["all", "a", "b"]
    assert made["advection"]["all"]["model"]["mse"] == dict(value=0, low=0, high=0)
    better = made["advection"]["all"]["mean"]["mse"]
    assert better["low"] < better["value"] < better["high"] < 0
    assert better["value"] == pytest.approx(scores["mean"].result()["mse"] - scores["advection"].result()["mse"])
    width = np.subtract(*scores["mean"].intervals()["csi_2"]), np.subtract(*scores["advection"].intervals()["csi_2"])
    found = made["advection"]["all"]["mean"]["csi_2"]
    assert found["high"] - found["low"] < np.hypot(*width)
    assert made["advection"]["b"]["mean"]["csi_2"]["low"] is None  # two blocks
    assert made["advection"]["a"]["mean"]["csi_2"]["low"] is not None


def test_text_has_intervals_differences_and_what_they_are_from():
    events = {"a": [0, 10, 20, 30, 40], "b": [100, 110]}
    scores = {name: added(noisy(amount), events) for name, amount in dict(mean=0.05, advection=0.1).items()}
    scores["probability"] = added(lambda target, number: np.repeat(target, 4, axis=-1), events)
    text = text_tables("radar", scores)
    value, (low, high) = scores["mean"].result()["csi_2"], scores["mean"].intervals()["csi_2"]
    assert f"{value:.4f}*±{(high - low) / 2:.4f}".replace("±0.", "±.") in text
    assert "± is half of the 90 % interval of a bootstrap over 7 blocks of 2 events" in text
    less = (
        text.split("Less advection (!: the 90 % interval, seldom symmetric, lies on one side of 0):\n")[1]
        .split("\n\n")[0]
        .splitlines()
    )
    assert less[1].startswith("mean ") and "!±." in less[1] and len(less) == 2
    tables = text.split("\n\n")[1:]
    of_probabilities = next(each for each in tables if "Brier" in each)
    assert "probability" not in tables[0] and "probability" in of_probabilities and " - " not in of_probabilities
    assert "lost" not in text
    scores["mean"].lost = {"a": np.array([25, 1]), "b": np.array([10, 0])}
    text = text_tables("radar", scores)
    assert "Of 35 observed images, each counted in every window that sees it, the model took 1 (2.9 %) for lost" in text
    assert "filled them along the flow: a 1 of 25.\n" in text
    few = {"mean": added(noisy(0.1), {"a": [0]})}
    assert "No intervals: 1 block of 1 event (at least 4 are needed" in text_tables("radar", few)


def test_notes_of_columns_stand_once_above_their_table():
    text = text_tables("radar", {"mean": added(noisy(0.1), {"a": [0]})})
    note = "FSS: fractions skill score at thresholds in mm/h, in squares of so many km."
    assert text.count(note) == 1 and text.split(note + "\n\n")[1].split("\n")[0].split()[:2] == ["FSS", "0.5"]


def test_a_card_shows_and_explains_what_its_record_has(monkeypatch):
    preset = zoo.get_preset(PRESET)
    assert "bias" not in model_card(preset)  # its record is of earlier scores
    scores = added(noisy(0.1), {"a": [0]})
    record = {**preset.record, "metrics": {"a": {"mean": scores.result()}}}
    monkeypatch.setattr(type(preset), "record", record)
    card = model_card(preset)
    assert "| bias 0.5 |" in card and "Bias: area forecast over area observed, best 1." in card
    assert "FSS" not in card and "Brier" not in card


def test_a_file_without_km_is_scored_in_pixels_and_said_so():
    scores = RainScores()
    target = rain((5, 16, 16))[..., None]
    scores.add(target, target, np.ones(target.shape), about("old", km=None))
    assert "in pixels, not km, for want of km_per_pixel: old." in text_tables("radar", {"mean": scores})
    assert scores.extras({"mean": scores})["files"] == {"old": dict(km_per_pixel=None, fss_pixels=[1, 5, 10, 20, 40])}


def test_document_holds_all_that_was_measured(monkeypatch):
    events = {"a": [0, 10, 20, 30], "b": [100]}
    scores = {name: added(noisy(0.1), events) for name in ("mean", "advection")}
    divide, divided = bootstrap.divide, []
    monkeypatch.setattr(bootstrap, "divide", lambda images: divided.append(1) or divide(images))
    made = json.loads(json.dumps(scores["mean"].extras(scores), allow_nan=False))
    assert made["settings"]["thresholds_mm_h"] == [0.5, 2, 5, 10] and made["settings"]["least_blocks"] == 4
    assert made["settings"]["fss_scales_km"] == [1, 5, 10, 20, 40] and made["settings"]["confidence"] == 0.9
    assert made["files"]["a"] == dict(km_per_pixel=2.0, fss_pixels=[1, 3, 5, 10, 20])
    assert made["events"]["a"] == dict(files=["a"], blocks=4, block_minutes=25)
    result, interval = scores["mean"].result(), made["intervals"]["mean"]["csi_2"]
    assert interval["low"] < interval["value"] == result["csi_2"] < interval["high"]
    assert made["intervals"]["mean"].keys() == result.keys()
    assert made["differences"]["advection"].keys() == {"all", "a", "b"}
    scores["mean"].remarks(scores)
    assert len(divided) == 2 and made["lost_images"] == {}  # once for each forecast
    diagrams = made["reliability"]["mean"]
    assert diagrams.keys() == {"all", "event", "lead time"} and diagrams["event"].keys() == {"a", "b"}
    assert sum(point["count"] for point in diagrams["all"]["2"]) == 5 * 5 * 16 * 16
    assert list(diagrams["lead time"]) == [f"+{minutes} min" for minutes in (5, 10, 15, 20, 25)]


# --- the reliability diagram ------------------------------------------------------------------------------------------


def test_the_diagram_shows_observed_over_forecast(tmp_path, monkeypatch):
    figures = []
    figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib, of the extra pictures").Figure
    save = figure.savefig
    monkeypatch.setattr(
        figure, "savefig", lambda self, *args, **kwargs: figures.append(self) or save(self, *args, **kwargs)
    )
    diagram = [dict(forecast=0.05, observed=0.02, count=75), dict(forecast=0.5, observed=0.6, count=25)]
    certain = [dict(forecast=0.0, observed=0.1, count=50), dict(forecast=1.0, observed=0.9, count=50)]
    shown = {"mean": {"2": certain}, "probability": {"2": diagram}, "steps": {"2": diagram[1:] + certain}}
    reliability_diagram(tmp_path / "r.png", shown)
    curves, counts = figures[0].axes
    assert curves.get_title() == "2 mm/h or more"
    assert [each.get_label() for each in curves.get_lines()[1:]] == ["probability", "STEPS"]
    np.testing.assert_allclose(curves.get_lines()[1].get_xydata(), [[5, 2], [50, 60]])
    np.testing.assert_allclose(counts.get_lines()[0].get_xydata(), [[5, 75], [50, 25]])
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="needs forecasts of probabilities. Received: mean."):
        reliability_diagram(tmp_path / "r.png", {"mean": {"2": certain}})


def test_evaluate_draws_it(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra pictures")
    data, path, model = tmp_path / "data", tmp_path / "out" / "r.png", Products()
    data.mkdir()
    images, valid = scaled_to_rain(rain((9, 64, 64)) / 3), np.ones((64, 64), bool)
    np.savez(data / "a.npz", rain=images, valid=valid, times=300 * np.arange(9), step_minutes=5)
    scores = {"probability": added(lambda target, number: np.repeat(target, 4, axis=-1), {"a": [0]})}
    monkeypatch.setattr("scs_keras.training.evaluate.score_model", lambda *args, **kwargs: scores)
    monkeypatch.setattr(Source, "load", lambda self: model)
    model.preset = replace(zoo.get_preset(PRESET), input_shape=(3, 64, 64, 1), output_shape=(2, 64, 64, 1))
    source = Source("some", model.preset, "preset", {})
    evaluate(source, data, task_options={"reliability": path})
    assert path.is_file() and capsys.readouterr().out.endswith(f"\n\nWrote {path}.\n")
    with pytest.raises(OSError, match="a.npz"):  # before any work
        evaluate(source, "nowhere", task_options={"reliability": data / "a.npz" / "r.png"})
    monkeypatch.setattr(Products, "products", ())
    with pytest.raises(ValueError, match=f"b.png.* is for models that forecast probabilities. Received: {PRESET}"):
        evaluate(source, data, task_options={"reliability": str(tmp_path / "b.png")})


# --- what is scored ---------------------------------------------------------------------------------------------------


class Products(keras.Model):
    """Gives several forecasts, and counts how often it is asked."""

    products = ("mean", "matched", "probability", "lost")
    calls = 0

    def call(self, x):
        rain = x[:, -2:]
        return {
            "mean": rain,
            "matched": 2 * rain,
            "probability": keras.ops.repeat(rain, 4, axis=-1),
            "lost": 0 * x[:, :, 0, 0, 0] + np.array([0.0, 1.0, 0.0], "float32"),
        }

    def predict(self, x, **arguments):
        self.calls += 1
        return super().predict(x, **arguments)


def test_the_products_of_a_model_are_scored_with_one_call():
    model = Products()
    model.preset = type("Preset", (), dict(input_shape=(3, 8, 8, 1)))
    x, y = rain((2, 5, 8, 8))[..., None] / 3
    made = predictors(model)
    assert list(made) == ["mean", "matched", "probability"]

    class Two:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return (x, y)[index][:3], (x, y)[index][3:], np.ones((2, 8, 8, 1))

        def about(self, index):
            return about(length=5, start=index)

    scores = score(made, Two(), RainScores, batch_size=1)
    assert model.calls == 2
    expected = np.mean([np.square(each[1:3] - each[3:]).mean() for each in (x, y)])
    assert scores["mean"].result()["mse"] == pytest.approx(expected, rel=1e-5)
    assert scores["matched"].result()["mse"] != scores["mean"].result()["mse"]
    assert scores["probability"].result()["mse"] is None and scores["probability"].result()["crps"] > 0
    assert uncertainty.lost_images(scores) == {each: dict(observed=6, lost=2, share=1 / 3) for each in ("all", "a")}


def test_a_model_of_one_forecast_is_called_model():
    inputs = keras.Input((3, 8, 8, 1))
    model = keras.Model(inputs, inputs[:, -1:])
    model.preset = type("Preset", (), dict(input_shape=(3, 8, 8, 1)))
    (name, predict), *others = predictors(model).items()
    x = rain((1, 3, 8, 8))[..., None]
    assert name == "model" and not others
    np.testing.assert_array_equal(predict(x, None), x[:, -1:])


def test_errors():
    scores, target = RainScores(), rain((5, 8, 8))[..., None]
    for output, message in (
        (
            target[..., [0, 0]],
            r"must have shape \(5, 8, 8, 1\), or 4 channels of probabilities, on a. Received: \(5, 8, 8, 2\)",
        ),
        (target[:4], r"Received: \(4, 8, 8, 1\)"),
        (np.repeat(target, 4, axis=-1) + 0.5, r"has probabilities outside of \[0, 1\] on a: 0.5 to 1"),
        (np.full_like(target, np.nan), "has NaN or infinite values on a"),
    ):
        with pytest.raises(ValueError, match=message):
            scores.add(target, output, np.ones(target.shape), about())
    assert not scores.tallies


def test_pysteps_is_asked_for_before_data_is_read(monkeypatch, tmp_path):
    for module in [name for name in sys.modules if name.split(".")[0] == "pysteps"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pysteps", None)
    with pytest.raises(SystemExit, match=r'pysteps is needed: pip install "scs-keras\[radar\]"'):
        cli.main(["evaluate", PRESET, "--data", str(tmp_path / "nothing"), "--baselines", "pysteps"])


def nowcasts(observed=3, steps=2, which="pysteps"):
    pysteps("nowcasts")
    from scs_keras.training.precipitation.pysteps_baselines import nowcasts

    return nowcasts(observed, steps, which)


def test_nowcasts_of_pysteps_beat_persistence(capsys):
    made, state = nowcasts(observed=5), np.random.get_state()[1].tolist()
    storm, inner = rain((96, 96), wet=0.3), slice(24, -24)
    for direction in (1, -1):
        images = np.stack([np.roll(storm, 3 * direction * time, axis=1) for time in range(7)])
        frames, target = images[None, :5, ..., None], images[5:, ..., None]
        errors = {}
        for name, forecast in made.items():
            output = forecast(frames, [about()])
            assert output.shape == (1, 2, 96, 96, 4 if name == "steps" else 1) and output.dtype == "float32"
            assert output.min() >= 0 and output.max() <= 1
            observed = target >= rain_to_scaled(np.array(LEVELS)) if name == "steps" else target
            errors[name] = np.square(output[0] - observed)[:, inner, inner].mean()
        persistence = np.square(images[4] - images[5:])[:, inner, inner].mean()
        assert errors["extrapolation"] < 0.3 * persistence and errors["sprog"] < 0.6 * persistence
        assert errors["steps"] < 0.1
    np.testing.assert_allclose(output * 6, np.round(output * 6), atol=1e-5)  # shares of six members
    assert np.mean((output > 0) & (output < 1)) > 0.05
    np.testing.assert_array_equal(made["steps"](frames.copy(), [about()]), output)
    assert list(nowcasts(5, which="sprog")) == ["sprog"]
    assert capsys.readouterr() == ("", "") and np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("wet", ["none", "last", "first", "frozen"])
def test_nowcasts_of_pysteps_of_dry_and_frozen_images(wet):
    frames = np.zeros((1, 3, 40, 40, 1), "float32")
    frames[:, {"none": [], "last": [2], "first": [0], "frozen": [0, 1, 2]}[wet], 10:20, 10:20] = 0.5
    for name, forecast in nowcasts().items():
        output = forecast(frames, [about(length=5)])
        if wet in ("none", "first"):
            assert not output.any(), name
        else:
            assert output[0, 0, 15, 15, 0] == pytest.approx(1 if name == "steps" else 0.5), name
            assert not output[0, :, 30:, 30:].any(), name


def test_nowcasts_of_pysteps_need_three_images():
    pysteps("nowcasts")
    preset = type("Preset", (), dict(input_shape=(2, 8, 8, 1), output_shape=(2, 8, 8, 1)))
    with pytest.raises(ValueError, match="baselines='pysteps' needs 3 observed images. The model sees 2"):
        baselines(preset, None, None, "pysteps")
