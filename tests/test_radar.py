"""The radar reader, its units, windows and training batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras.training.data.bilinear import resize
from scs_keras.training.data.radar import (
    Augmentation,
    RadarEvent,
    RadarSequences,
    read_event,
    read_events,
)
from scs_keras.training.precipitation.samples import RadarSamples
from scs_keras.training.samples import training_dataset
from scs_keras.zoo.precipitation.sample import DEMO_EVENT, SAMPLE
from scs_keras.zoo.radar_units import dbz_to_scaled, detectable_rain, rain_to_scaled, scaled_to_dbz, scaled_to_rain

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="makes a tf.data.Dataset")


def content(time=12, height=24, width=28, **changes):
    """What a well-formed file holds."""
    rain = np.random.default_rng(0).integers(0, 500, (time, height, width)).astype("uint16")
    times = 1_500_000_000 + 300 * np.arange(time)
    valid = np.ones((height, width), bool)
    return {"rain": rain, "valid": valid, "times": times, "step_minutes": np.int32(5)} | changes


def write(folder, name="a.npz", **changes):
    np.savez(folder / name, **{key: value for key, value in content(**changes).items() if value is not None})
    return folder / name


def event(name="a", time=40, side=48, seed=0, step_minutes=5, valid=None):
    """Smooth rain that covers about a third of the frame."""
    noise = np.random.default_rng(seed).normal(size=(time, side, side))
    for axis in (0, 1, 2):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-3, 4))
    rain = np.maximum(noise / noise.std() - 0.4, 0).astype("float32") * 5
    valid = np.ones((side, side), bool) if valid is None else valid
    return RadarEvent(name, rain * valid, valid, 300 * np.arange(time), step_minutes)


# --- units ------------------------------------------------------------------------------------------------------------


def test_units_against_hand_computed_values():
    # R = 1 mm/h: Z = 200, 23.0103 dBZ; R = 10: Z = 200 * 39.81, 39.0103 dBZ
    scaled = rain_to_scaled(np.array([0.0, 0.001, 1.0, 10.0, 1e5], "float32"))
    np.testing.assert_allclose(scaled, [0, 0, 23.0103 / 70, 39.0103 / 70, 1], rtol=1e-6)
    assert scaled.dtype == "float32"
    np.testing.assert_allclose(scaled_to_dbz(scaled)[2:4], [23.0103, 39.0103], rtol=1e-6)
    np.testing.assert_allclose(dbz_to_scaled([-5, 0, 35, 80]), [0, 0, 0.5, 1])


def test_scaled_to_rain_inverts_rain_to_scaled():
    rain = np.array([0, 0.05, 0.5, 3.3, 120, 800])
    np.testing.assert_allclose(scaled_to_rain(rain_to_scaled(rain)), rain, rtol=1e-9)


def test_a_forecast_below_the_detection_limit_is_dry():
    scaled = rain_to_scaled(np.array([0.037, 0.049, 0.051, 3.0], "float32"))
    np.testing.assert_allclose(detectable_rain(scaled), [0, 0, 0.051, 3], rtol=1e-4)


def test_units_are_the_same_on_tensors():
    rain = np.array([[0, 0.2], [2, 50]], "float32")
    for function, values in ((rain_to_scaled, rain), (scaled_to_rain, rain / 50), (scaled_to_dbz, rain / 50)):
        made = function(keras.ops.convert_to_tensor(values))
        assert keras.ops.is_tensor(made)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(made), function(values), rtol=1e-5)
    assert keras.ops.is_tensor(rain_to_scaled(keras.ops.convert_to_tensor([1, 2])))


# --- reading ----------------------------------------------------------------------------------------------------------


def test_reads_hundredths_of_mm_per_hour(tmp_path):
    valid = np.ones((24, 28), bool)
    valid[:, :3] = False
    given = content(valid=valid, km_per_pixel=np.float32(2), source="here")
    np.savez(tmp_path / "a.npz", **given)
    read = read_event(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.rain_mm_h, np.where(valid, given["rain"] / np.float32(100), 0))
    assert read.rain_mm_h.dtype == read.scaled.dtype == "float32" and read.valid.dtype == bool
    assert (read.name, read.step_minutes, read.km_per_pixel, read.source) == ("a", 5, 2, "here")
    np.testing.assert_array_equal(read.times, given["times"])
    np.testing.assert_array_equal(read.scaled, rain_to_scaled(read.rain_mm_h))


def test_reads_floats_as_mm_per_hour_and_ignores_pixels_without_data(tmp_path):
    rain = np.full((12, 24, 28), 2.5)
    valid = np.ones((24, 28), bool)
    rain[:, 0, 0], valid[0, 0] = np.nan, False
    read = read_event(write(tmp_path, rain=rain, valid=valid))
    assert read.rain_mm_h[0, 0, 0] == 0 and (read.rain_mm_h[:, 1:] == 2.5).all()
    assert read.km_per_pixel is None and read.source == ""


def test_the_shipped_sample_is_read():
    sample = read_event(SAMPLE)
    assert sample.rain_mm_h.shape == (15, 256, 256) and sample.valid.mean() > 0.999 and sample.step_minutes == 5
    assert sample.rain_mm_h.max() == pytest.approx(54.8, abs=0.1)  # index.json of the data set
    assert "meteonet" in sample.source
    assert "Météo-France" in (SAMPLE.parent / "README.md").read_text(encoding="utf-8")


def test_the_demos_event_is_wet_and_free():
    event = read_event(DEMO_EVENT)
    assert event.rain_mm_h.shape == (12, 192, 192) and event.valid.all() and event.step_minutes == 6
    assert (event.rain_mm_h >= 0.5).mean() > 0.25 and (event.rain_mm_h >= 10).mean() > 0.02
    assert "NOAA/NSSL" in event.source and "public domain" in event.source
    assert DEMO_EVENT.name in (DEMO_EVENT.parent / "README.md").read_text(encoding="utf-8")
    assert DEMO_EVENT.stat().st_size < 400_000


def test_a_folder_needs_only_npz_files(tmp_path):
    write(tmp_path, "b.npz")
    write(tmp_path, "a.npz")
    write(tmp_path, ".writing.npz")
    assert [e.name for e in read_events(tmp_path)] == ["a", "b"]
    assert [e.name for e in read_events(tmp_path, "train", exclude=["a", "unknown"])] == ["b"]
    assert [e.name for e in read_events(tmp_path, exclude=["b.npz"])] == ["a"]
    assert read_events(tmp_path, "val") == []


def test_split_json_divides_the_folder(tmp_path):
    for name in "abc":
        write(tmp_path, f"{name}.npz")
    (tmp_path / "split.json").write_text(json.dumps({"train": ["a.npz"], "val": ["c"]}))
    assert [e.name for e in read_events(tmp_path, "train")] == ["a"]
    assert [e.name for e in read_events(tmp_path, "val")] == ["c"]
    assert [e.name for e in read_events(tmp_path)] == ["a", "b", "c"]


@pytest.mark.needs_data("radar_nowcasting", "the radar data set")
def test_the_data_set_is_read(data_folder):
    validation = {e.name: e for e in read_events(data_folder, "val")}
    assert {"mch_20160711", "bom_melb_20180616"} <= set(validation)
    assert validation["bom_melb_20180616"].step_minutes == 6
    facts = {Path(e["file"]).stem: e for e in json.loads((data_folder / "index.json").read_text())["events"]}
    for name, each in validation.items():
        assert each.rain_mm_h.max() == pytest.approx(facts[name]["max_mm_h"], abs=0.06)
        assert each.valid.mean() == pytest.approx(facts[name]["valid_fraction"], abs=6e-4)


# --- errors -----------------------------------------------------------------------------------------------------------


def rain_with(value, frame=7):
    rain = np.ones((12, 24, 28), "float32")
    rain[frame, 3, 4] = value
    return rain


TIMES = content()["times"]
BROKEN = {
    "valid not found": dict(valid=None),
    "rain must be (time, height, width)": dict(rain=np.zeros((24, 28), "uint16")),
    "1 NaN or infinite pixels in frame 7": dict(rain=rain_with(np.nan)),
    "1 NaN or infinite pixels in frame 2": dict(rain=rain_with(np.inf, frame=2)),
    "1 negative pixels in frame 7": dict(rain=rain_with(-1)),
    "rain must be uint16 (0.01 mm/h) or floating point": dict(rain=np.zeros((12, 24, 28), "int32")),
    "valid must have the frames' size, 24x28": dict(valid=np.ones((24, 27), bool)),
    "valid must be bool": dict(valid=np.full((24, 28), 2)),
    "times must have one entry per frame": dict(times=TIMES[:-1]),
    "20 min between frame 4 and frame 5": dict(times=TIMES + 900 * (np.arange(12) > 4)),
    "-5 min between frame 0 and frame 1": dict(times=TIMES[::-1]),
    "every 10 min (step_minutes)": dict(step_minutes=10),
    "step_minutes must be above 0": dict(step_minutes=0),
    "step_minutes must be one number": dict(step_minutes=np.array([5, 5])),
    "km_per_pixel must be one number": dict(km_per_pixel="two"),
    "times must be whole Unix seconds": dict(times=TIMES / 1.0),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_file_that_breaks_the_layout_is_named(tmp_path, message):
    path = write(tmp_path, **BROKEN[message])
    with pytest.raises(ValueError) as error:
        read_event(path)
    assert message in str(error.value) and "a.npz" in str(error.value)


@pytest.mark.parametrize("kept", (0, 10, 0.3, 0.9, 0.999))
def test_a_truncated_file_is_named(tmp_path, kept):
    path = write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match="a.npz: cannot be read"):
        read_event(path)


def test_a_file_with_damaged_bytes_is_named(tmp_path):
    path = write(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[2000:2100] = bytes(100)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="a.npz: cannot be read"):
        read_event(path)


def test_frames_of_different_size_in_a_file_are_refused_without_unpickling(tmp_path):
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros((3, 3)), np.zeros((4, 4))]
    with pytest.raises(ValueError, match="a.npz: cannot be read.*different size"):
        read_event(write(tmp_path, rain=ragged))


def test_a_bare_array_is_not_an_event(tmp_path):
    np.save(tmp_path / "a", np.zeros((3, 3)))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="a.npz: is not an npz file"):
        read_event(tmp_path / "a.npz")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder. Expected.*rain .*uint16"):
        read_events(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no radar events. Expected .npz, ODIM"):
        read_events(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing.npz: there is no such file"):
        read_event(tmp_path / "nothing.npz")


def test_frames_of_different_size_in_a_folder(tmp_path):
    write(tmp_path, "a.npz")
    write(tmp_path, "b.npz", height=20)
    with pytest.raises(ValueError, match="a.npz with 24x28 and b.npz with 20x28"):
        read_events(tmp_path)


def test_split_errors(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="split must be None"):
        read_events(tmp_path, "test")
    for text in ("{", "[]", '{"val": []}', '{"train": 3}'):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(ValueError, match="split.json: expected"):
            read_events(tmp_path, "train")
    (tmp_path / "split.json").write_text('{"train": ["a.npz", "gone.npz"]}')
    with pytest.raises(FileNotFoundError, match="not in the folder: gone"):
        read_events(tmp_path, "train")


# --- windows ----------------------------------------------------------------------------------------------------------


def test_windows_cover_the_event():
    valid = np.ones((48, 48), bool)
    valid[:5] = False
    one = event(time=11, valid=valid)
    made = RadarSamples("radar", RadarSequences([one], 4, 3, stride=2))
    assert len(made) == 3
    for index, start in enumerate((0, 2, 4)):
        frames, target, mask = made[index]
        np.testing.assert_array_equal(frames[..., 0], one.scaled[start : start + 4])
        np.testing.assert_array_equal(target[..., 0], one.scaled[start + 4 : start + 7])
        np.testing.assert_array_equal(mask[..., 0], np.broadcast_to(valid, (3, 48, 48)))
        np.testing.assert_array_equal(made.about(index)["times"], one.times[start : start + 7])
        assert made.about(index)["group"] == "a" and made.about(index)["step_minutes"] == 5
    assert len(RadarSamples("radar", RadarSequences([one], 8, 3))) == 1
    assert len(made.every(1)) == 5 and made.every(1).sequences.events == [one]


def test_window_errors():
    with pytest.raises(ValueError, match=r"a.npz: the sequence is too short. Needed: 41 frames \(20 .* 21 .*found: 40"):
        RadarSequences([event()], 20, 21)
    with pytest.raises(ValueError, match="stride must be a whole number"):
        RadarSequences([event()], 5, 5, stride=0)


# --- training batches -------------------------------------------------------------------------------------------------

SIZES = dict(batch_size=4, crop=24, input_length=5, output_length=3)


def training_samples(events, batch_size, crop, input_length, output_length, augmentation=Augmentation()):
    return RadarSamples("radar train", RadarSequences(events, input_length, output_length), crop, augmentation)


def training_batch(events, step, batch_size, crop, input_length, output_length, seed=0, augmentation=Augmentation()):
    """Observed and future images and the future's valid pixels, as a forecaster cuts them."""
    samples = training_samples(events, batch_size, crop, input_length, output_length, augmentation)
    sequences, valid = samples.batch(step, batch_size, seed)
    mask = np.broadcast_to(valid[:, None], sequences[:, input_length:].shape)
    return sequences[:, :input_length], sequences[:, input_length:], mask


def test_a_batch_is_a_function_of_seed_and_step():
    events = [event(), event("b", seed=1)]
    first = training_batch(events, step=7, seed=3, **SIZES)
    assert [part.shape for part in first] == [(4, 5, 24, 24, 1), (4, 3, 24, 24, 1), (4, 3, 24, 24, 1)]
    for part, again in zip(first, training_batch(events, step=7, seed=3, **SIZES)):
        assert part.dtype == "float32"
        np.testing.assert_array_equal(part, again)
    for other in (training_batch(events, step=8, seed=3, **SIZES), training_batch(events, step=7, seed=4, **SIZES)):
        assert not np.array_equal(first[0], other[0])


def test_without_augmentation_a_crop_is_cut_as_it_is():
    one = event(side=30)
    frames, target, mask = training_batch([one], 0, augmentation=Augmentation.none(), **SIZES)
    sequence = np.concatenate([frames, target], axis=1)[0, ..., 0]
    found = [
        (start, top, left)
        for start in range(len(one.times) - 7)
        for top in range(7)
        for left in range(7)
        if np.array_equal(sequence, one.scaled[start : start + 8, top : top + 24, left : left + 24])
    ]
    assert len(found) == 1 and (mask == 1).all()


def test_flips_keep_the_values_and_reach_all_eight_orientations():
    one = event(side=24)  # as large as the crop: only time and orientation are drawn
    augmentation = Augmentation(**vars(Augmentation.none()) | {"flips": True})
    batch = [training_batch([one], step, augmentation=augmentation, **SIZES)[0] for step in range(30)]
    seen = set()
    for image in np.concatenate(batch)[:, 0, :, :, 0]:
        for time in range(33):
            for turn in range(4):
                for mirror in (False, True):
                    candidate = np.rot90(one.scaled[time], turn)
                    if np.array_equal(image, candidate[:, ::-1] if mirror else candidate):
                        seen.add((turn, mirror))
    assert len(seen) == 8


def test_gain_and_detection_threshold():
    one = event(side=24)
    base = vars(Augmentation.none())
    plain = training_batch([one], 0, augmentation=Augmentation.none(), **SIZES)[0]
    louder = training_batch([one], 0, augmentation=Augmentation(**base | {"gain_db": 3.0}), **SIZES)[0]
    for before, after in zip(plain, louder):
        gain = 70 * (after - before)[(before > 0) & (after > 0)]
        assert np.ptp(gain) < 1e-3 and 0 < abs(gain[0]) <= 3
        assert (after[before == 0] == 0).all()
    deaf = training_batch([one], 0, augmentation=Augmentation(**base | {"detection_dbz": (14, 15)}), **SIZES)[0]
    assert (deaf[plain > 15 / 70] == plain[plain > 15 / 70]).all() and (deaf[plain < 14 / 70] == 0).all()


def test_temporal_stride_only_for_fast_radars():
    def steps(step_minutes, time=40):
        rain = np.broadcast_to(np.arange(1, time + 1, dtype="float32")[:, None, None], (time, 24, 24)).copy()
        one = RadarEvent("a", rain, np.ones((24, 24), bool), 300 * np.arange(time), step_minutes)
        augmentation = Augmentation(**vars(Augmentation.none()) | {"temporal_strides": (1, 2)})
        frames = np.concatenate([training_batch([one], k, augmentation=augmentation, **SIZES)[0] for k in range(5)])
        return {int(round(float(d))) for d in np.diff(scaled_to_rain(frames[:, :, 0, 0, 0])).ravel()}

    assert steps(5) == steps(6) == {1, 2}
    assert steps(10) == {1}
    assert steps(5, time=14) == {1}  # too short for 15 frames


def test_resize_is_bilinear():
    line = np.arange(8, dtype="float32")
    images = np.stack([np.add.outer(10 * line, line)] * 2)
    for size in (6, 12):
        at = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
        np.testing.assert_allclose(resize(images, (size, size))[1], np.add.outer(10 * at, at), rtol=1e-5)
    assert resize(images, (8, 8)) is images


def test_pixels_without_data_are_zero_in_the_input_and_masked_in_the_target():
    valid = np.ones((48, 48), bool)
    valid[:, 20:] = False
    one = event(valid=valid)
    wet = RadarEvent("a", np.where(valid, np.float32(9), 0) * np.ones_like(one.rain_mm_h), valid, one.times, 5)
    for step in range(8):
        frames, target, mask = training_batch([wet], step, **SIZES)
        dropped = mask[:, 0] == 0
        assert set(np.unique(mask)) <= {0.0, 1.0}
        assert (frames[:, 0][dropped] == 0).all() and (target[:, 0][dropped] == 0).all()
        assert (target[:, 0][~dropped] > 0.4).all()  # no bilinear mixture with the zeros beside


def test_wet_crops_are_preferred_and_dry_ones_kept():
    rain = np.zeros((40, 96, 96), "float32")
    rain[:, :24, :24] = 5
    one = RadarEvent("a", rain, np.ones((96, 96), bool), 300 * np.arange(40), 5)

    def wet_share(**changes):
        augmentation = Augmentation(**vars(Augmentation.none()) | changes)
        targets = [training_batch([one], k, augmentation=augmentation, **SIZES)[1] for k in range(60)]
        return np.mean([(target > 0).any() for batch in targets for target in batch])

    plain, preferred = wet_share(), wet_share(candidates=4)
    assert preferred > 1.5 * plain and preferred < 0.95


def test_training_errors():
    small = event(side=20)
    for events, changes, message in (
        ([], {}, "events is empty"),
        ([small], {}, "a.npz: crop=24 is larger than the frames, 20x20"),
        ([event(time=6)], {}, "a.npz: the sequence is too short. Needed: 8"),
        ([event()], {"seed": -1}, "must not be negative"),
        ([event()], {"batch_size": 0}, "batch_size must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            training_batch(events, step=0, **SIZES | changes)
        with pytest.raises(ValueError, match="must" if changes else message):  # at once, not at the first batch
            arguments = SIZES | changes
            seed = arguments.pop("seed", 0)
            training_dataset(training_samples(events, **arguments), arguments["batch_size"], seed)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(temporal_strides=()), "temporal_strides"),
        (dict(temporal_strides=(0,)), "temporal_strides"),
        (dict(zoom=(0, 1)), "zoom"),
        (dict(zoom=(2, 1)), "zoom"),
        (dict(gain_db=-1), "gain_db"),
        (dict(detection_dbz=(5, 1)), "detection_dbz"),
        (dict(candidates=0), "candidates"),
        (dict(dry_share=0), "dry_share"),
    ],
)
def test_augmentation_errors(changes, message):
    with pytest.raises(ValueError, match=f"{message} must.*Received"):
        Augmentation(**changes)


@on_tensorflow
def test_a_dataset_goes_on_where_training_stopped():
    events = [event(), event("b", seed=1)]
    samples = training_samples(events, **SIZES)
    whole = training_dataset(samples, 4, seed=5).take(6)
    resumed = list(training_dataset(samples, 4, seed=5, start_step=4).take(2))
    for step, parts in enumerate(whole):
        for part, expected in zip(parts, samples.batch(step, 4, 5), strict=True):
            assert part.shape == expected.shape
            np.testing.assert_array_equal(part, expected)
        if step >= 4:
            np.testing.assert_array_equal(parts[0], resumed[step - 4][0])
    assert [tuple(spec.shape) for spec in whole.element_spec] == [(4, 8, 24, 24, 1), (4, 24, 24, 1)]


@pytest.mark.slow
@on_tensorflow
def test_python_exits_while_batches_are_being_made(tmp_path):
    script = """
import time
from scs_keras.training.step_dataset import step_dataset
import numpy as np
def batch(step):
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        np.arange(1000).sum()
    return (np.full(3, step, "float32"),)
iterator = iter(step_dataset(batch, start_step=2))
print(float(next(iterator)[0][0]))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0 and done.stdout.strip() == "2.0", done.stderr
