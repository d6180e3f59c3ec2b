"""Steering data: every layout from a copy made here, windows, splits, flips, balanced batches, bad files."""

import csv
import json
import re

import h5py
import numpy as np
import pytest
from PIL import Image

from scs_keras import zoo
from scs_keras.training.driving import drives as drives_module
from scs_keras.training.driving.drives import Drive, Row, with_splits
from scs_keras.training.driving.images import as_crop, cut_out
from scs_keras.training.driving.readers import DRIVES, drives_of, read
from scs_keras.training.driving.samples import DrivingSamples
from scs_keras.training.task import task
from scs_keras.zoo.words import typed

PRESET = zoo.get_preset("scs_driving_small_rc").with_arguments(input_shape=(3, 4, 6, 3))
COMMA = zoo.get_preset("scs_driving_17_comma").with_arguments(input_shape=(3, 4, 6, 3))


def write_image(path, value=0, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def write_table(folder, rows, columns=("file", "steering"), size=(12, 8)):
    """A CSV file and its images, whose grey is their number."""
    folder.mkdir(exist_ok=True)
    with open(folder / "driving_log.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    for index, row in enumerate(rows):
        write_image(folder / str(row[0]), index, size)
    return folder


def frames(count, degrees=5.0, **more):
    return [(f"{index}.png", degrees, *(value for value in more.values())) for index in range(count)]


# Windows ------------------------------------------------------------------------------------------------------------


def drive(count=8, start=0, **more):
    """Frame i is grey start + i, its angle start + i - 4 degrees."""
    grey = np.arange(start, start + count, dtype="uint8")
    images = np.broadcast_to(grey[:, None, None, None], (count, 4, 6, 3)).copy()
    images[:, :, 0] = 200  # so that mirror images differ
    return Drive("a", images, np.arange(start, start + count) - 4.0, **more)


def test_a_window_is_the_last_frames_and_the_angle_at_the_last():
    samples = DrivingSamples("x", [drive()], (3, 4, 6, 3), before=2)
    x, y, weight = samples[0]
    assert x.dtype == np.uint8 and x[:, 0, 1, 0].tolist() == [0, 1, 2] and weight is None
    assert y.dtype == np.float32 and y.tolist() == [-2.0]
    every = DrivingSamples("x", [drive()], (3, 4, 6, 3), before=2, per_frame=True)
    assert every[1][1].tolist() == [[-3.0], [-2.0], [-1.0]]


@pytest.mark.parametrize("length", [1, 3, 7])
def test_models_of_any_length_are_scored_on_the_same_frames(length):
    samples = DrivingSamples("x", [drive(9), drive(8, 20)], (length, 4, 6, 3))
    scored = [samples.about(index)["degrees"] for index in range(len(samples))]
    assert scored == [2.0, 3.0, 4.0, 22.0, 23.0]
    assert [samples[index][1].tolist()[-1] for index in range(5)] == scored


def test_no_window_crosses_from_one_drive_to_the_next():
    samples = DrivingSamples("x", [drive(5), drive(5, 100)], (3, 4, 6, 3), before=2, flip=False, jitter=0)
    x, y = samples.batch(0, 6, 0)
    assert sorted(y[:, 0].tolist()) == [-2.0, -1.0, 0.0, 98.0, 99.0, 100.0]
    assert all(np.ptp(window[:, 0, 1, 0]) == 2 for window in x)
    # What the baselines see beyond a short window is of the drive too.
    assert samples.window(0, 5)[:, 0, 1, 0].tolist() == [0, 0, 0, 1, 2]


def test_a_mirror_image_has_the_other_angle_and_a_batch_is_a_function_of_its_step():
    samples = DrivingSamples("x", [drive(30, 40)], (3, 4, 6, 3), jitter=0)
    (x, y), (again, _), (other, _) = samples.batch(3, 16, 7), samples.batch(3, 16, 7), samples.batch(4, 16, 7)
    mirrored = x[:, 0, 0, 0, 0] != 200
    assert 0 < mirrored.sum() < 16 and np.array_equal(np.sign(y[:, 0]), np.where(mirrored, -1, 1))
    assert np.array_equal(np.abs(y[:, 0]) + 4, x[:, -1, 0, 2, 0])
    assert np.array_equal(x, again) and not np.array_equal(x, other)


def test_every_window_comes_before_any_comes_again():
    samples = DrivingSamples("x", [drive(12)], (3, 4, 6, 3), flip=False, jitter=0)
    angles = np.concatenate([samples.batch(step, 5, 0)[1][:, 0] for step in range(4)])
    assert sorted(angles[:10]) == sorted(angles[10:]) == (np.arange(2, 12) - 4.0).tolist()


def test_jitter_changes_brightness_alike_for_all_frames_of_a_window():
    samples = DrivingSamples("x", [drive(12, 90)], (3, 4, 6, 3), flip=False, jitter=0.3)
    plain = DrivingSamples("x", [drive(12, 90)], (3, 4, 6, 3), flip=False, jitter=0)
    (x, y), (before, same) = samples.batch(0, 8, 0), plain.batch(0, 8, 0)
    change = x.astype(int) - before
    assert np.array_equal(y, same) and np.abs(change[:, 0]).max() > 5
    assert np.abs(change[:, 0, 0, 1] - change[:, 2, 0, 1]).max() <= 2


def test_balanced_batches_show_rare_angles_as_often_as_straight_road():
    degrees = np.zeros(100)
    degrees[50:54] = 18.0
    made = Drive("a", np.zeros((100, 4, 6, 3), "uint8"), degrees)
    shares = {}
    for balanced in (False, True):
        samples = DrivingSamples("x", [made], (1, 4, 6, 3), balanced=balanced, flip=False)
        shares[balanced] = np.mean([np.mean(samples.batch(step, 20, 0)[1] > 9) for step in range(5)])
    assert shares == {False: pytest.approx(0.04), True: 0.5}


def test_the_memory_of_frames_has_a_limit():
    class Counted:
        asked = 0

        def __len__(self):
            return 9

        def __getitem__(self, index):
            Counted.asked += 1
            return np.full((4, 6, 3), index, "uint8")

    samples = DrivingSamples("x", [Drive("a", Counted(), np.zeros(9))], (3, 4, 6, 3), cache_mb=72 * 4 / 1e6)
    first = Counted.asked
    for _ in range(3):
        samples[0], samples.window(0, 7)
    assert first == 3 and Counted.asked < 30 and len(samples._kept) == 4
    assert samples.window(0, 7)[:, 0, 0, 0].tolist() == list(range(7))


def test_about_tells_recording_frame_road_and_time():
    made = drive(
        8, first=30, names=[f"{index}.jpg" for index in range(8)], seconds=np.arange(8) / 4, roads=["curve"] * 8
    )
    known = DrivingSamples("x", [made], (3, 4, 6, 3)).about(1)
    assert known == dict(
        name="a, 7.jpg", group="a, from frame 31", index=1, frame=7, degrees=3.0, road="curve", seconds=1.75
    )
    samples = DrivingSamples("x", [drive(8, first=30)], (3, 4, 6, 3))
    assert samples.about(0)["name"] == "a, frame 37" and samples.file_names == ("a, frames 31 to 38",)


# The table ----------------------------------------------------------------------------------------------------------


def test_a_table_as_it_is_asked_for(tmp_path):
    rows = [
        (f"{index}.png", index / 20, "m" if index < 12 else "e", "val" if index >= 8 else "train")
        for index in range(20)
    ]
    write_table(tmp_path / "t", rows, ("file", "steering", "sequence", "split"))
    drives, notes = drives_of("table", tmp_path / "t", PRESET, full_scale=20)
    assert [(each.name, each.split, each.first, len(each.frames)) for each in drives] == [
        ("m", "train", 0, 8), ("m", "val", 8, 4), ("e", "val", 0, 8),
    ]  # fmt: skip
    assert notes == [] and drives[1].degrees.tolist() == [8.0, 9.0, 10.0, 11.0]
    assert drives[2].frames[3].shape == (4, 6, 3) and drives[2].frames[3].max() == 15


def test_the_steering_data_at_hand_are_tables_with_images_in_a_folder(tmp_path):
    """Columns, clock and folders of rc_car_csc3520 and udacity_sim."""
    columns = ("file", "steering", "throttle", "time_ms", "session", "index", "split")
    rows = [
        (f"{i:05d}.jpg", 0.5, 0.4, 1000 + 50 * i + 2000 * (i > 6), "s", i, "train" if i < 10 else "val")
        for i in range(20)
    ]
    write_table(tmp_path / "rc", rows, columns)
    (tmp_path / "rc" / "images").mkdir()
    for path in (tmp_path / "rc").glob("*.jpg"):
        path.rename(tmp_path / "rc" / "images" / path.name)
    drives, _ = drives_of("rc_car", tmp_path / "rc", PRESET)
    assert [(each.split, each.first, len(each.frames)) for each in drives] == [
        ("train", 0, 7),
        ("train", 7, 3),
        ("val", 10, 10),
    ]
    assert drives[0].degrees[0] == 12.5 and drives[0].seconds[1] == pytest.approx(1.05)
    samples = read("rc_car", tmp_path / "rc", "val", PRESET)
    assert len(samples) == 4 and samples.name == "rc_car val"


@pytest.mark.parametrize("step, parts", [(0.05, [12]), (0.7, [12]), (3.0, [12])])
def test_a_slow_camera_has_no_gaps(tmp_path, step, parts):
    write_table(tmp_path / "t", [(f"{i}.png", 5, step * i) for i in range(12)], ("file", "steering", "time_s"))
    drives, _ = drives_of("table", tmp_path / "t", PRESET)
    together = {"train": 0, "val": 0}
    for each in drives:
        together[each.split] += len(each.frames)
    assert len(drives) == 4 and sum(together.values()) == sum(parts)  # train, val, train, val


def test_clocks_that_go_back_and_missing_numbers_are_gaps(tmp_path):
    rows = [
        (f"{i}.png", 5, time, number, "train")
        for i, (time, number) in enumerate([(0, 0), (1, 1), (0.5, 2), (1.5, 3), (2.5, 5)])
    ]
    write_table(tmp_path / "t", rows, ("file", "steering", "time_s", "index", "split"))
    drives, _ = drives_of("table", tmp_path / "t", PRESET)
    assert [len(each.frames) for each in drives] == [2, 2, 1]


def test_without_a_split_whole_blocks_or_whole_recordings_are_kept_out(tmp_path):
    rows = [Row(None, 0.0, f"line {index}", "one") for index in range(100)]
    kept_out = [index for index, row in enumerate(with_splits("x", rows)) if row.split == "val"]
    assert kept_out == [*range(40, 50), *range(90, 100)]
    rows = [Row(None, 0.0, "", f"drive {index // 3}") for index in range(33)]
    kept_out = {row.recording for row in with_splits("x", rows) if row.split == "val"}
    assert kept_out == {"drive 4", "drive 9"}


def test_the_crop_is_where_the_road_is_and_a_pixel_is_the_mean_of_those_it_stands_for():
    image = np.zeros((8, 12, 3), "uint8")
    image[4:] = np.arange(12)[None, :, None] * 20
    seen = cut_out(Image.fromarray(image), as_crop("0.5,1"), (2, 6))
    assert np.array_equal(seen[..., 0], [[10, 50, 90, 130, 170, 210]] * 2)
    assert as_crop((0, 1)) == (0, 1) and cut_out(Image.fromarray(image), (0, 1), (16, 24)).shape == (16, 24, 3)


# Other layouts ------------------------------------------------------------------------------------------------------


def write_udacity(folder, header=True, count=20, paths="C:\\Users\\me\\data\\IMG\\{}", lost=()):
    lines = [["center", "left", "right", "steering", "throttle", "brake", "speed"]] if header else []
    for index in range(count):
        names = [f"{side}_2016_12_01_13_30_{index:02d}_287.jpg" for side in ("center", "left", "right")]
        lines.append([*(paths.format(name) for name in names), 0.1 * (index % 5), 0.5, 0, 20])
        for place, name in enumerate(names):
            write_image(folder / "IMG" / name, 20 * place + index)
    lines = [line for index, line in enumerate(lines) if index not in lost]
    (folder / "driving_log.csv").write_text("".join(", ".join(map(str, line)) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("paths", ["{}", "/home/them/IMG/{}", "C:\\Users\\me\\IMG\\{}"])
def test_udacity_with_names_or_without_and_paths_of_another_machine(tmp_path, header, paths):
    drives, _ = drives_of("udacity", write_udacity(tmp_path, header, paths=paths), PRESET)
    assert [(each.split, len(each.frames)) for each in drives] == [("train", 8), ("val", 2), ("train", 8), ("val", 2)]
    assert drives[0].degrees[:3].tolist() == pytest.approx([0.0, 2.5, 5.0]) and drives[0].frames[3].max() == 3


def test_udacity_has_a_gap_where_the_time_in_the_names_jumps(tmp_path):
    drives, _ = drives_of("udacity", write_udacity(tmp_path, False, lost=(2, 3, 4, 5, 6)), PRESET)
    assert [len(each.frames) for each in drives if each.split == "train"] == [2, 4, 6]


def test_side_cameras_are_trained_on_and_corrected_but_not_scored(tmp_path):
    drives, notes = drives_of("udacity", write_udacity(tmp_path), PRESET, correction=4.0)
    by_camera = {}
    for each in drives:
        by_camera.setdefault((each.name, each.split), []).append(each)
    assert set(by_camera) == {("center", "train"), ("center", "val"), ("left", "train"), ("right", "train")}
    centre, left, right = (by_camera[name, "train"][0] for name in ("center", "left", "right"))
    assert [len(each.frames) for each in by_camera["left", "train"]] == [8, 8]
    assert np.allclose(left.degrees, centre.degrees + 4) and np.allclose(right.degrees, centre.degrees - 4)
    assert (left.frames[0].max(), right.frames[0].max()) == (20, 40) and "4 degrees" in notes[0]


def write_tub(folder, count=20, deleted=(), sessions=1):
    folder.mkdir(exist_ok=True)
    inputs = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    tail = {
        "paths": ["catalog_0.catalog", "catalog_1.catalog"],
        "current_index": count,
        "max_len": 1000,
        "deleted_indexes": list(deleted),
    }
    lines = [inputs, ["image_array", "float", "float", "str"], {}, {"created_at": 1.6e9}, tail]
    (folder / "manifest.json").write_text("\n".join(map(json.dumps, lines)))
    catalogs = [[], []]
    for index in range(count):
        record = {
            "_index": index, "_session_id": f"s{index * sessions // count}", "_timestamp_ms": 1000 + 50 * index,
            "cam/image_array": f"{index}_cam_image_array_.jpg", "user/angle": 0.2, "user/throttle": 0.3, "user/mode": "user",
        }  # fmt: skip
        catalogs[2 * index // count].append(json.dumps(record))
        write_image(folder / "images" / record["cam/image_array"], index)
    for place, records in enumerate(catalogs):
        (folder / f"catalog_{place}.catalog").write_text("\n".join(records) + "\n")
    return folder


def test_donkeycar_leaves_deleted_records_out_and_no_window_crosses_them_or_a_session(tmp_path):
    tub = write_tub(tmp_path / "tub", deleted=(3, 12), sessions=2)
    drives, notes = drives_of("donkeycar", tub, PRESET)
    starts = [(each.name, each.names[0].split("_")[0], len(each.frames)) for each in drives]
    assert sum(length for *_, length in starts) == 18 and "2 deleted" in notes[0]
    assert ("s0", "4") in [start[:2] for start in starts] and ("s1", "13") in [start[:2] for start in starts]
    assert all(np.allclose(each.degrees, 5.0) for each in drives)


def write_comma(folder, recordings=1, count=10, rows=5, log_frames=None, angle=20.0):
    for index in range(recordings):
        for part in ("camera", "log"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        images = np.broadcast_to(np.arange(count, dtype="uint8")[:, None, None, None], (count, 3, 8, 12)).copy()
        images[:, 0] += 100  # red
        with h5py.File(folder / "camera" / f"T{index}.h5", "w") as file:
            file["X"] = images
        pointer = np.repeat(np.arange(log_frames or count), rows).astype("float64")
        with h5py.File(folder / "log" / f"T{index}.h5", "w") as file:
            file["cam1_ptr"] = pointer
            file["steering_angle"] = np.full(len(pointer), angle) + np.tile(np.arange(rows), len(pointer) // rows)
    return folder


def test_comma_pairs_frames_and_angles_by_the_log_and_splits_by_recording(tmp_path):
    drives, notes = drives_of("comma", write_comma(tmp_path, recordings=11), COMMA)
    assert [each.name for each in drives if each.split == "val"] == ["T4", "T9"] and len(drives) == 11
    assert np.allclose(drives[0].degrees, 22.0) and notes == []  # the mean of 20 to 24
    assert drives[0].frames[7][0, 0].tolist() == [107, 7, 7] and drives[0].seconds[1] == 0.05


def test_comma_leaves_out_frames_beyond_the_models_angles_and_windows_do_not_cross_them(tmp_path):
    write_comma(tmp_path, count=20)
    with h5py.File(tmp_path / "log" / "T0.h5", "a") as file:
        file["steering_angle"][10:15] = 300.0
    drives, notes = drives_of("comma", tmp_path, COMMA)
    assert [each.names[0] for each in drives][:2] == ["frame 0", "frame 3"] and "1 frames" in notes[0]


def write_livi(folder, images=12, angles=12):
    for part in ("train", "val", "test"):
        for name in ("1", "2", "10"):
            for index in range(images):
                write_image(folder / part / name / "dvr_66x200" / f"{index}.jpg", 2 * index)
            if part != "test":
                lines = "".join(f"{-0.5 + index},{12.0}\n" for index in range(angles))
                (folder / part / name / "behavior.csv").write_text(lines)
    return folder


def test_livi_has_its_own_split_and_frames_in_the_order_of_their_numbers(tmp_path):
    livi = zoo.get_preset("scs_driving_17_livi").with_arguments(input_shape=(3, 4, 6, 3))
    drives, _ = drives_of("livi", write_livi(tmp_path), livi)
    assert [each.name for each in drives] == [f"{part}/{name}" for part in ("train", "val") for name in (1, 2, 10)]
    assert drives[0].frames[10].max() == 20 and drives[0].degrees[10] == 9.5
    assert len(read("livi", tmp_path, "val", livi)) == 3 * 6


# Bad input ----------------------------------------------------------------------------------------------------------


def refused(error, message, dataset, folder, preset=PRESET, **options):
    with pytest.raises(error, match=re.escape(message)):
        drives_of(dataset, folder, preset, **options)


@pytest.mark.parametrize(
    "column, bad, message",
    [
        ("steering", "nan", "driving_log.csv, line 4: the angle must be a number. Received: 'nan'"),
        ("steering", "left", "driving_log.csv, line 4: the angle must be a number. Received: 'left'"),
        ("steering", "31", "driving_log.csv, line 4: an angle of 31 degrees; the model's are at most 25. Correct it, or make a model of larger ones: limit=31."),
        ("file", "", "driving_log.csv, line 4: the file is empty"),
        ("split", "valid", "driving_log.csv, line 4: the split must be one of train, val, test. Received: 'valid'"),
        ("split", "", "some frames have a split, others none (driving_log.csv, line 4)"),
        ("time_s", "noon", "driving_log.csv, line 4: time_s must be a number"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, column, bad, message):
    columns = ["file", "steering", "split", "time_s"]
    rows = [[f"{index}.png", 5, "train", index] for index in range(4)]
    write_table(tmp_path / "t", rows, columns)
    rows[2][columns.index(column)] = bad
    with open(tmp_path / "t" / "driving_log.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    refused(ValueError, message, "table", tmp_path / "t")


def test_units_that_look_wrong_are_asked_for(tmp_path):
    write_table(tmp_path / "t", frames(12, 0.4))
    message = "driving_log.csv, line 2: angles are taken as degrees, but all are between -1 and 1"
    refused(ValueError, message, "table", tmp_path / "t")
    with (
        typed("train"),
        pytest.raises(ValueError, match="--set full_scale=25; if they are degrees: --set full_scale=1"),
    ):
        drives_of("table", tmp_path / "t", PRESET)
    assert drives_of("table", tmp_path / "t", PRESET, full_scale=1)[0][0].degrees[0] == 0.4
    write_table(tmp_path / "t", frames(12, 4.0))
    message = "driving_log.csv, line 2: the angle must be between -1 and 1, which stands for 25 degrees. Received: 4."
    refused(ValueError, message, "table", tmp_path / "t", full_scale=25)
    refused(
        ValueError,
        "`full_scale` is the angle that 1 stands for, degrees. Received: -1",
        "table",
        tmp_path / "t",
        full_scale=-1,
    )


def test_bad_tables_are_refused(tmp_path):
    refused(FileNotFoundError, "there is no such folder", "table", tmp_path / "none")
    refused(FileNotFoundError, "expected one CSV file", "table", tmp_path)
    write_table(tmp_path / "t", frames(3), ("file", "angle"))
    refused(ValueError, "has no column 'steering'", "table", tmp_path / "t")
    assert drives_of("table", tmp_path / "t", PRESET, column="angle")
    write_table(tmp_path / "e", [])
    refused(ValueError, "has no rows", "table", tmp_path / "e")
    (tmp_path / "t" / "driving_log.csv").write_text("file,steering\n0.png,1,2\n")
    refused(ValueError, "driving_log.csv, line 2: has more values than the table has columns", "table", tmp_path / "t")


def test_images_that_are_missing_broken_or_of_another_size_are_named(tmp_path):
    folder = write_table(tmp_path / "t", frames(4))
    write_image(folder / "2.png", size=(14, 8))
    message = "driving_log.csv, line 4: 2.png has 14x8 pixels, 0.png (driving_log.csv, line 2) has 12x8"
    refused(ValueError, message, "table", folder)
    (folder / "2.png").write_bytes(b"no image")
    refused(ValueError, f"driving_log.csv, line 4: {folder / '2.png'} is no image that can be read", "table", folder)
    (folder / "2.png").unlink()
    refused(FileNotFoundError, f"driving_log.csv, line 4: there is no image {folder / '2.png'}", "table", folder)
    noise = np.random.default_rng(0).integers(256, size=(8, 12, 3), dtype="uint8")
    Image.fromarray(noise).save(folder / "2.png")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[:-100])  # its size can still be read
    drives, _ = drives_of("table", folder, PRESET)
    with pytest.raises(ValueError, match="line 4: .* is no image that can be read"):
        drives[0].frames[2]


@pytest.mark.parametrize("crop", ["1,0.5", "0.5", "a,b", (0, 2), "nan,1"])
def test_a_crop_is_a_part_of_the_height(crop):
    with pytest.raises(ValueError, match=re.escape(f"0 <= top < bottom <= 1. Received: {crop!r}")):
        as_crop(crop)


def test_an_empty_part_and_drives_that_are_too_short_are_refused(tmp_path):
    write_table(tmp_path / "t", [(f"{index}.png", 5, "train") for index in range(5)], ("file", "steering", "split"))
    with pytest.raises(ValueError, match="table: no frame belongs to .*val.*. Its splits: train"):
        read("table", tmp_path / "t", "val", PRESET)
    with pytest.raises(
        ValueError, match="no frame has 6 frames before it; the longest drive without a gap has 5 frames"
    ):
        read("table", tmp_path / "t", "train", PRESET)
    assert len(read("table", tmp_path / "t", "train", PRESET, before=0)) == 3
    with pytest.raises(ValueError, match="`before` is a number of frames, at least 0. Received: -1"):
        read("table", tmp_path / "t", "train", PRESET, before=-1)
    with pytest.raises(ValueError, match="split"):
        read("table", tmp_path / "t", "half", PRESET)
    with pytest.raises(ValueError, match="dataset"):
        read("tabel", tmp_path / "t", "train", PRESET)


def test_bad_recordings_of_udacity_are_refused(tmp_path):
    refused(FileNotFoundError, "expected driving_log.csv and a folder IMG", "udacity", tmp_path)
    (tmp_path / "driving_log.csv").write_text("")
    refused(ValueError, "has no rows", "udacity", tmp_path)
    (tmp_path / "driving_log.csv").write_text("a.jpg,b.jpg\n")
    refused(ValueError, "driving_log.csv, line 1: expected center,left,right,steering", "udacity", tmp_path)
    write_udacity(tmp_path)
    refused(
        ValueError, "`correction` is an angle of at least 0 degrees. Received: -1", "udacity", tmp_path, correction=-1
    )
    log = tmp_path / "driving_log.csv"
    log.write_text(re.sub("[^ ]*left_2016_12_01_13_30_01_287.jpg", "", log.read_text()))
    refused(
        ValueError, "driving_log.csv, line 3: the image of the left camera is empty", "udacity", tmp_path, correction=1
    )


def test_bad_tubs_are_refused(tmp_path):
    refused(FileNotFoundError, "there is no manifest.json", "donkeycar", tmp_path)
    tub = write_tub(tmp_path / "tub")
    catalog, manifest = tub / "catalog_1.catalog", tub / "manifest.json"
    whole = catalog.read_text()
    catalog.write_text(whole.replace('"user/angle"', '"pilot/angle"', 1))
    refused(ValueError, "catalog_1.catalog, line 1: the record has no 'user/angle'", "donkeycar", tub)
    catalog.write_text(whole.replace('"user/angle": 0.2', '"user/angle": 1.5', 1))
    refused(ValueError, "catalog_1.catalog, line 1: the angle must be between -1 and 1", "donkeycar", tub)
    catalog.write_text(whole[:-20])
    refused(ValueError, "catalog_1.catalog, line 10: is no JSON", "donkeycar", tub)
    catalog.unlink()
    refused(FileNotFoundError, "there is no catalog", "donkeycar", tub)
    refused(
        ValueError, "has no records that are not deleted", "donkeycar", write_tub(tmp_path / "all", 2, deleted=(0, 1))
    )
    manifest.write_text("[]")
    refused(ValueError, 'no line has {"paths": [...]', "donkeycar", tub)


def test_camera_and_log_of_different_recordings_are_refused(tmp_path):
    refused(FileNotFoundError, "has no recordings. Expected the folders camera and log", "comma", tmp_path)
    write_comma(tmp_path, log_frames=12)
    refused(ValueError, f"{tmp_path / 'log' / 'T0.h5'}, row 55: points to frame 11, but", "comma", tmp_path, COMMA)
    write_comma(tmp_path)
    with h5py.File(tmp_path / "log" / "T0.h5", "a") as file:
        file["steering_angle"][7] = np.nan
    refused(ValueError, "T0.h5, row 7: the angle must be a number. Received: nan", "comma", tmp_path, COMMA)
    with h5py.File(tmp_path / "log" / "T0.h5", "a") as file:
        del file["steering_angle"]
        file["steering_angle"] = np.zeros(3)
    refused(ValueError, "cam1_ptr has 50 rows, steering_angle 3", "comma", tmp_path, COMMA)
    with h5py.File(tmp_path / "log" / "T0.h5", "a") as file:
        del file["steering_angle"]
    refused(ValueError, "has no array 'steering_angle'. It holds: cam1_ptr", "comma", tmp_path, COMMA)
    (tmp_path / "log" / "T0.h5").unlink()
    refused(FileNotFoundError, "there is no log", "comma", tmp_path, COMMA)
    with h5py.File(tmp_path / "camera" / "T0.h5", "w") as file:
        file["X"] = np.zeros((4, 8, 12, 3), "uint8")
    write_comma(tmp_path / "log_only")
    (tmp_path / "log_only" / "log" / "T0.h5").rename(tmp_path / "log" / "T0.h5")
    refused(
        ValueError,
        "X must be (frames, 3, height, width) uint8. Received: (4, 8, 12, 3) uint8",
        "comma",
        tmp_path,
        COMMA,
    )
    (tmp_path / "camera" / "T0.h5").write_bytes(b"no")
    refused(ValueError, "is no HDF5 file that can be read", "comma", tmp_path, COMMA)


def test_images_and_angles_of_different_number_are_refused(tmp_path):
    refused(FileNotFoundError, "there is no folder train", "livi", tmp_path)
    write_livi(tmp_path, images=3, angles=2)
    refused(ValueError, "train/1/behavior.csv, line 3: 2 angles for 3 images", "livi", tmp_path)
    (tmp_path / "train" / "1" / "behavior.csv").unlink()
    refused(FileNotFoundError, "there is no behavior.csv", "livi", tmp_path)


def test_every_reader_has_its_row_and_its_options():
    datasets = task("driving").datasets
    assert set(DRIVES) == set(datasets)
    assert {option.name for option in datasets["udacity"].options} >= {
        "correction",
        "full-scale",
        "crop",
        "before",
        "flip",
    }
    assert drives_module.HELD_OUT == (4, 9)


# Real recordings ----------------------------------------------------------------------------------------------------


@pytest.mark.needs_data("steering", "recorded steering")
def test_all_recordings_at_hand_are_read_as_they_lie(data_folder):
    counts = {}
    for dataset, folder in (("rc_car", "rc_car_csc3520"), ("udacity_sim", "udacity_sim")):
        drives, _ = drives_of(dataset, data_folder / folder, PRESET)
        counts[dataset] = [(each.split, len(each.frames)) for each in drives]
    assert counts["udacity_sim"] == [("train", 1622), ("val", 405), ("train", 1621), ("val", 405)]
    assert counts["rc_car"] == [
        ("train", 407),
        ("train", 1599),
        ("val", 123),
        ("val", 379),
        ("train", 2006),
        ("val", 501),
    ]
    drives, _ = drives_of("table", data_folder / "donkeycar_tub", PRESET, full_scale=25)
    assert [(each.split, len(each.frames)) for each in drives] == [("train", 400), ("val", 100)] * 2
    assert max(np.abs(each.degrees).max() for each in drives) == 25
    drives, _ = drives_of("table", data_folder / "sullychen_dashcam", PRESET, column="steering_wheel_deg")
    assert [(each.split, len(each.frames)) for each in drives] == [("train", 81), ("val", 20)]
    assert drives[0].degrees.max() <= 11.7
