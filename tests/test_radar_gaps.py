"""Radar sequences with holes: missing images, pixels without data, irregular times, what is not rain."""

import numpy as np
import pytest

from scs_keras.training.data.radar import Augmentation, RadarEvent, RadarSequences, Reading, read_event
from scs_keras.training.data.radar_crops import draw_crop
from scs_keras.training.data.radar_fill import fill
from scs_keras.training.precipitation import samples
from scs_keras.training.precipitation.samples import RadarSamples, said_of
from scs_keras.zoo import get_preset
from scs_keras.zoo.radar_units import rain_to_scaled
from tests.radar_case import START, npz, storm

SIZE = (48, 64)
RAIN = storm(9, *SIZE, speed=3.0)
TIMES = START + 300 * np.arange(9)


def saved(path, rain=RAIN, keep=None, **changes):
    """An event, of the images `keep`."""
    keep = np.arange(len(rain)) if keep is None else np.array(keep)
    given = dict(rain=rain[keep], valid=np.ones(rain.shape[1:], bool), times=TIMES[keep]) | changes
    return npz(path / "a.npz", **given)


def error(one, other):
    return float(np.square(rain_to_scaled(one) - rain_to_scaled(other)).mean())


@pytest.mark.parametrize("gone", [[4], [4, 5]])
def test_images_that_are_not_there_are_filled_along_the_flow(tmp_path, gone):
    event = read_event(saved(tmp_path, keep=[index for index in range(9) if index not in gone]))
    np.testing.assert_array_equal(event.times, TIMES)
    np.testing.assert_array_equal(np.flatnonzero(event.missing), gone)
    assert event.valid.all() and not event.measured[gone].any() and event.measured.sum() == (9 - len(gone)) * 48 * 64
    for index in gone:
        assert error(event.rain_mm_h[index], RAIN[index]) < 0.1 * error(RAIN[3], RAIN[index])
        assert np.argmax(event.rain_mm_h[index].max(axis=0)) == pytest.approx(5 + 3 * index, abs=1)
    rest = np.delete(np.arange(9), gone)
    np.testing.assert_array_equal(event.rain_mm_h[rest], RAIN[rest])
    clocks = ", ".join(f"2018-08-24 18:{5 * index:02}" for index in gone)
    assert event.notes == (f"Missing and filled along the flow: the image of {clocks}.",)


def test_the_nearer_image_weighs_more():
    images = np.zeros((4, *SIZE), "float32")
    images[0, 10:30, 10:40], images[3, 10:30, 10:40] = 0.3, 0.6
    measured = np.ones(images.shape, bool)
    measured[1:3] = False
    filled, has_value = fill(images, measured)
    assert has_value.all()
    np.testing.assert_allclose(filled[:, 20, 25], [0.3, 0.4, 0.5, 0.6], atol=1e-3)


def test_half_an_image_without_data_is_filled_where_there_is_something_to_fill_it_from(tmp_path):
    """The last image too, from those before; pixels without data in any image stay without."""
    valid = np.ones(RAIN.shape, bool)
    valid[8, :, 20:] = False
    valid[3, :24] = False
    valid[:, :, 0] = False
    event = read_event(saved(tmp_path, np.where(valid, RAIN, 7), valid=valid))
    np.testing.assert_array_equal(event.measured, valid)
    assert event.valid[:, 1:].all() and not event.valid[:, 0].any() and not event.missing.any()
    assert (event.rain_mm_h[:, :, 0] == 0).all()
    for index in (3, 8):
        assert error(event.rain_mm_h[index], RAIN[index]) < 0.2 * error(RAIN[index - 1], RAIN[index])
    assert event.notes == ("Pixels without data filled along the flow: 58.98% of 2 images.",)


def test_an_image_without_any_data_is_missing_also_the_last_one(tmp_path):
    valid = np.ones(RAIN.shape, bool)
    valid[8] = False
    event = read_event(saved(tmp_path, valid=valid), last=4)
    assert list(event.missing) == [False] * 3 + [True] and event.valid.all()
    assert error(event.rain_mm_h[3], RAIN[8]) < 0.2 * error(RAIN[7], RAIN[8])
    np.testing.assert_array_equal(event.times, TIMES[5:])


def test_the_first_image_is_filled_from_those_that_follow(tmp_path):
    valid = np.ones(RAIN.shape, bool)
    valid[0] = False
    event = read_event(saved(tmp_path, valid=valid))
    assert error(event.rain_mm_h[0], RAIN[0]) < 0.3 * error(RAIN[1], RAIN[0])


def test_real_gaps_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match="gaps of more than 2 frames. Received: 20 min between frame 2 and frame 3. Cut"
    ):
        read_event(saved(tmp_path, keep=[0, 1, 2, 6, 7, 8]))
    valid = np.ones(RAIN.shape, bool)
    valid[4:7] = False
    with pytest.raises(ValueError, match="more than 2 images in a row are without data, from 2018-08-24 18:20 on"):
        read_event(saved(tmp_path, valid=valid))


def test_a_gap_before_the_last_images_does_not_matter_to_them(tmp_path):
    path = saved(tmp_path, keep=[0, 4, 5, 7, 8], times=TIMES[[0, 4, 5, 7, 8]] - 3600 * (np.arange(5) < 1))
    event = read_event(path, last=4)
    np.testing.assert_array_equal(event.times, TIMES[5:])
    assert list(event.missing) == [False, True, False, False] and len(read_event(path, last=5).times) == 5
    for last in (None, 6):
        with pytest.raises(ValueError, match="Received: 80 min between frame 0 and frame 1"):
            read_event(path, last=last)


def test_times_that_are_off_by_seconds_are_taken_as_regular(tmp_path):
    off = np.array([0, 7, -6, 0, 0, 30, -30, 1, 0])
    event = read_event(saved(tmp_path, times=TIMES + off))
    np.testing.assert_array_equal(event.times, TIMES)
    assert event.notes == ("Times are up to 30 s off and taken as every 5 min.",) and not event.missing.any()
    off[5] = 31
    with pytest.raises(
        ValueError, match=r"every 5 min \(step_minutes\) within a tenth .*5.51667 min between frame 4 and"
    ):
        read_event(saved(tmp_path, times=TIMES + off))
    assert read_event(saved(tmp_path, times=TIMES + 12)).notes == ()  # a clock that is late is as regular


def test_the_largest_integer_is_no_rain(tmp_path):
    rain = np.round(100 * RAIN).astype("uint16")
    rain[5, 20:24, 30:34] = 65535
    event = read_event(saved(tmp_path, rain))
    assert event.rain_mm_h.max() < 21 and event.valid.all() and not event.measured[5, 20:24, 30:34].any()
    assert event.notes[0] == "65535 in rain is taken as no data: 16 pixels."
    rain[:, 0] = 65535
    assert not read_event(saved(tmp_path, rain)).valid[0].any()


def test_no_data_at_all_and_small_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a.npz: no pixel has data: all are marked as missing .*valid is False"):
        read_event(saved(tmp_path, valid=np.zeros(SIZE, bool)))
    for size in ((1, 1), (15, 64), (64, 15)):
        with pytest.raises(ValueError, match=f"at least 16 pixels a side. Received: {size[0]}x{size[1]}"):
            read_event(saved(tmp_path, storm(9, *size)))
    valid = np.ones(RAIN.shape, bool)
    valid[:5, :24] = False
    valid[4:, 24:] = False
    valid[4, 0, 0] = True
    with pytest.raises(ValueError, match="no pixel has data in every image. Leave out"):
        read_event(saved(tmp_path, valid=valid))


def test_what_was_not_measured_is_not_scored(tmp_path):
    valid = np.ones(RAIN.shape, bool)
    valid[7, :24] = False
    event = read_event(saved(tmp_path, valid=valid, keep=[0, 1, 2, 3, 4, 5, 6, 7, 8]))
    _, _, weight = RadarSamples("radar", RadarSequences([event], 5, 4))[0]
    assert weight.shape == (4, *SIZE, 1) and weight.dtype == "float32"
    np.testing.assert_array_equal(weight[..., 0], valid[5:])


def test_nothing_is_learnt_from_images_that_were_filled(tmp_path):
    event = read_event(saved(tmp_path, keep=[0, 1, 2, 4, 5, 6, 7, 8]))
    generator = np.random.default_rng(0)

    def start(length):
        crop, _ = draw_crop([event], generator, 48, length, Augmentation.none())
        windows = np.lib.stride_tricks.sliding_window_view(event.scaled, (length, *crop.shape[1:]))[:, 0]
        return int(np.argwhere((windows == crop).all(axis=(2, 3, 4)))[0][0])

    assert {start(4) for _ in range(30)} == {4, 5}
    assert start(9) == 0  # there is no other


def test_a_step_that_no_model_was_trained_for_is_said_once():
    events = [RadarEvent("a", RAIN, np.ones(SIZE, bool), 120 * np.arange(9), 2)] * 2
    said = said_of(events)
    assert len(said) == 1 and said[0].startswith(
        "Images every 2 min: the shipped models were trained on images every 5"
    )
    assert said_of([RadarEvent("a", RAIN, np.ones(SIZE, bool), TIMES, 15)]) == []


def test_reading_a_folder_says_what_was_filled(tmp_path):
    saved(tmp_path, keep=[0, 1, 2, 4, 5, 6, 7, 8])
    preset = get_preset("scs_precipitation_advection_small_radar").with_arguments(output_length=1)
    with pytest.warns(UserWarning, match="a.npz: Missing and filled along the flow: the image of 2018-08-24 18:15"):
        samples.read(tmp_path, "all", preset, zr="300,1.4")
    with pytest.raises(ValueError, match="zr must be"):
        samples.read(tmp_path, "all", preset, zr="300")
    event = read_event(tmp_path / "a.npz", Reading(zr="300,1.4"))
    assert event.reading == "" and event.notes[0].startswith("An npz event holds rain in mm/h: Z-R, unit")


@pytest.mark.needs_data("radar_nowcasting", "the radar data set")
def test_filling_real_rain_beats_the_image_before(data_folder, tmp_path):
    with np.load(data_folder / "mrms_ohio_20190610.npz") as arrays:
        given = {name: arrays[name][..., :128, :128] if name in ("rain", "valid") else arrays[name] for name in arrays}
    keep = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    np.savez(tmp_path / "a.npz", **given | dict(rain=given["rain"][keep], times=given["times"][keep]))
    event, rain = read_event(tmp_path / "a.npz"), given["rain"] / 100
    assert list(np.flatnonzero(event.missing)) == [5, 6]
    for index in (5, 6):
        assert error(event.rain_mm_h[index], rain[index]) < 0.6 * error(rain[4], rain[index])
