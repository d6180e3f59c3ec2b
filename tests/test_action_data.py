"""Readers of labelled videos: tables, folders of classes, and the official layouts of UCF-101, HMDB-51 and Kinetics."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="videos are read with PyAV")

from scs_keras.core.trainer import StreamTrainer
from scs_keras.training.action import folder, hmdb51, kinetics, table, ucf101
from scs_keras.training.action.datasets import DATASETS
from scs_keras.training.action.predict import clips_of
from scs_keras.training.output import Output
from scs_keras.training.run import train
from scs_keras.training.samples import left_out_of, notes_of
from scs_keras.training.source import Source
from scs_keras.zoo import get_preset
from scs_keras.zoo.reference import resolve
from scs_keras.zoo.words import typed
from tests.clip_case import numbers, pictures, preset, save_thermal, write_video

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

needs_clips = pytest.mark.needs_data("action_recognition", "real labelled clips")


def write_table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path.parent


def labelled(where, count=6, split=True):
    """Videos of 8 frames of two classes, the last two for validation."""
    rows = []
    for index in range(count):
        name = f"{index}.mp4"
        write_video(where / name, pictures(8, start=index))
        rows.append(
            [name, "walk, then run" if index % 2 else "sit"] + ["train" if index < count - 2 else "val"] * split
        )
    return write_table(where / "labels.csv", "file,label" + ",split" * split, *rows)


# Tables ---------------------------------------------------------------------------------------------------------------


def test_a_table(tmp_path):
    samples = table.read(labelled(tmp_path), "train", preset())
    assert len(samples) == 4 and samples.labels == ("sit", "walk, then run")
    assert samples.name == f"{tmp_path.name} train" and samples.file_names == tuple(f"{i}.mp4" for i in range(4))
    x, y, weight = samples[3]
    assert x.shape == (4, 24, 32, 3) and x.dtype == np.uint8 and numbers(x) == [4, 6, 8, 10]
    assert y == 1 and y.dtype == np.int32 and weight == 1 and weight.dtype == np.float32
    about = samples.about(3)
    assert {**about, "seconds": about["seconds"].round(3).tolist()} == dict(
        name="3.mp4", group="3.mp4", label="walk, then run", path=str(tmp_path / "3.mp4"), seconds=[0.1, 0.3, 0.5, 0.7]
    )  # fmt: skip
    assert [int(samples[i][1]) for i in range(4)] == [0, 1, 0, 1]
    assert len(table.read(tmp_path / "labels.csv", "val", preset())) == 2


def test_the_models_order_of_the_classes_is_that_of_y(tmp_path):
    samples = table.read(labelled(tmp_path), "val", preset(labels=("walk, then run", "sit")))
    assert samples.labels == ("walk, then run", "sit") and [int(samples[i][1]) for i in range(2)] == [1, 0]
    with pytest.raises(
        ValueError,
        match="the model has other classes than the data .only in the data: walk, then run .labels.csv, line 3.; only in the model: run",
    ):
        table.read(tmp_path, "val", preset(labels=("run", "sit")))


def test_batches_are_functions_of_seed_and_step_and_show_every_clip(tmp_path):
    labelled(tmp_path, 12)
    samples, again = (table.read(tmp_path, "train", preset(), cache_mb=mb) for mb in (64, 0))
    batches = [samples.batch(step, 5, seed=3) for step in range(4)]
    for step in (2, 0, 3, 1):  # in any order, kept or not
        for mine, other in zip(batches[step], again.batch(step, 5, seed=3)):
            np.testing.assert_array_equal(mine, other)
    x, y, weight = batches[0]
    assert x.shape == (5, 4, 24, 32, 3) and x.dtype == np.uint8 and y.shape == weight.shape == (5,)
    assert y.dtype == np.int32 and weight.dtype == np.float32
    assert np.concatenate([batch[1] for batch in batches[:2]]).sum() == 5  # each of the ten clips once
    assert (samples.batch(0, 5, seed=4)[0] != x).any()


def test_training_frames_are_of_one_of_two_offsets(tmp_path):
    write_video(tmp_path / "a.mp4", 24)
    write_table(tmp_path / "labels.csv", "file,label,split", ["a.mp4", "x", "train"])
    samples = table.read(tmp_path, "train", preset(), jitter=0)
    drawn = {tuple(numbers(samples.batch(step, 1, 0)[0][0])) for step in range(20)}
    assert drawn == {(1, 7, 13, 19), (4, 10, 16, 22)} and numbers(samples[0][0]) == [3, 9, 15, 21]


def test_class_weights_are_in_the_batches_only(tmp_path):
    rows = [[f"{i}.mp4", "rare" if i == 0 else "usual", "train"] for i in range(4)]
    for index in range(4):
        write_video(tmp_path / f"{index}.mp4", 5)
    write_table(tmp_path / "labels.csv", "file,label,split", *rows)
    samples = table.read(tmp_path, "train", preset(), class_weight="balanced")
    _, y, weight = samples.batch(0, 4, 0)
    np.testing.assert_allclose(weight, np.where(y == 0, 2, 2 / 3), rtol=1e-6)
    assert [float(samples[i][2]) for i in range(4)] == [1] * 4
    given = table.read(tmp_path, "train", preset(), class_weight='{"rare": 5}')
    np.testing.assert_allclose(given.batch(0, 4, 0)[2], np.where(y == 0, 5, 1))
    even = table.read(tmp_path, "train", preset(), balanced=True)
    assert Counter(np.concatenate([even.batch(step, 2, 0)[1] for step in range(6)]).tolist()) == {0: 6, 1: 6}
    with pytest.raises(ValueError, match="shown more often .balanced. or weigh more .class_weight., not both"):
        table.read(tmp_path, "train", preset(), balanced=True, class_weight="balanced")


def test_parts_of_videos_in_frames_and_in_seconds(tmp_path):
    write_video(tmp_path / "a.mp4", 20)
    write_video(tmp_path / "b.mp4", 20)
    write_table(
        tmp_path / "t.csv", "file,label,start,end,start_s,end_s,split",
        ["a.mp4", "x", 2, 6, "", "", "train"], ["a.mp4", "y", 6, "", "", "", "train"],
        ["b.mp4", "x", "", "", 0.45, 0.8, "train"], ["b.mp4", "y", "", "", 1.6, 2, "train"],
    )  # fmt: skip
    samples = table.read(tmp_path, "train", preset())
    assert [numbers(samples[i][0]) for i in range(4)] == [[2, 3, 4, 5], [7, 11, 14, 18], [4, 5, 6, 7], [16, 17, 18, 19]]
    assert samples.about(0)["name"] == "a.mp4, frames 3 to 6" and samples.about(0)["group"] == "a.mp4"


def test_labels_by_frame(tmp_path):
    write_video(tmp_path / "a.mp4", 21)
    write_table(
        tmp_path / "t.csv", "file,label,start,end,split",
        ["a.mp4", "x", 2, 7, "train"], ["a.mp4", "y", 7, 9, "train"], ["a.mp4", "x", 17, 21, "train"],
    )  # fmt: skip
    samples = table.read(tmp_path, "train", preset(4, by_frame=True), class_weight={"y": 3}, jitter=0)
    expected = np.full(21, -1)
    expected[2:7], expected[7:9], expected[17:21] = 0, 1, 0
    seen = np.zeros(21)
    for index in range(len(samples)):
        x, y, weight = samples[index]
        about = samples.about(index)
        first = round(about["seconds"][0] * 10)
        assert y.shape == weight.shape == (4,) and y.dtype == np.int32 and weight.dtype == np.float32 and weight.any()
        for place, (label, counts) in enumerate(zip(y, weight)):
            frame = min(first + place, 20)
            assert numbers(x)[place] == frame
            assert (counts, about["label"][place]) == ((1, samples.labels[expected[frame]]) if counts else (0, ""))
            seen[frame] += counts
            assert not counts or label == expected[frame]
    assert (seen == (expected >= 0)).all()  # each frame with a label is scored once
    names = [samples.about(index)["name"] for index in range(len(samples))]
    assert names == [f"a.mp4, frame {first}" for first in (1, 5, 9, 17, 21)]  # from the video's first, as of `predict`
    for step in range(10):
        x, y, weight = samples.batch(step, 3, 1)
        for clip, labels, weights in zip(x, y, weight):
            own = expected[numbers(clip)]
            np.testing.assert_array_equal(weights, np.where(own < 0, 0, np.where(own == 1, 3, 1)))
            np.testing.assert_array_equal(labels, np.maximum(own, 0))


def test_predict_sees_the_windows_of_evaluate(tmp_path):
    save_thermal(tmp_path / "a.npz", np.arange(21))
    write_table(
        tmp_path / "t.csv", "file,label,start,end,split", ["a.npz", "x", 6, 13, "val"], ["a.npz", "y", 13, 21, "val"]
    )
    own = preset(4, (24, 32), 1, labels=("x", "y"), by_frame=True)
    scored, told = table.read(tmp_path, "val", own), clips_of(tmp_path / "a.npz", "a.npz", own)
    assert (len(scored), len(told)) == (5, 6)  # the first has no label
    for index in range(5):
        np.testing.assert_array_equal(scored[index][0], told[index + 1][0])


def test_windows_of_training_move(tmp_path):
    save_thermal(tmp_path / "a.npz", np.arange(40))
    write_table(
        tmp_path / "t.csv",
        "file,label,start,end,split",
        ["a.npz", "x", 8, 20, "train"],
        ["a.npz", "y", 20, 33, "train"],
    )
    samples = table.read(tmp_path, "train", preset(8, (24, 32), 1, by_frame=True), flip=False)
    starts = set()
    for step in range(30):
        x, y, weight = samples.batch(step, 2, 0)
        degrees = x[..., 5, 5, 0]
        np.testing.assert_array_equal(np.diff(degrees), 1)
        np.testing.assert_array_equal(weight, (degrees >= 8) & (degrees < 33))
        np.testing.assert_array_equal(y[weight > 0], (degrees >= 20)[weight > 0])
        starts |= set(degrees[:, 0])
    assert min(starts) < 8 and len(starts) > 12 and max(starts) <= 32


def test_rows_of_other_labels_than_the_classes_are_left_out_and_told(tmp_path):
    save_thermal(tmp_path / "a.npz", range(40))
    rows = [["a.npz", "walk", 0, 16, "val"], ["a.npz", "active", 16, 32, "val"], ["a.npz", "falled", 32, 36, "val"]]
    write_table(tmp_path / "t.csv", "file,label,start,end,split", *rows)
    samples = table.read(tmp_path, "val", preset(16, (24, 32), 1, by_frame=True), classes=table.THERMAL)
    assert samples.labels == ("walk", "up", "down-going", "lying")
    assert [samples[i][2].sum() for i in range(len(samples))] == [16, 4] and samples[1][1][0] == 3
    assert notes_of(samples) == ["t.csv: parts without a class are left out: active."]
    clips = table.read(tmp_path, "val", preset(16, (24, 32), 1), classes=table.THERMAL)
    assert len(clips) == 2 and [int(clips[i][1]) for i in range(2)] == [0, 3]


def test_without_a_split_a_fifth_is_held_out_and_folds_hold_out_each_clip_once(tmp_path):
    rows = []
    for index in range(20):
        write_video(tmp_path / f"{index}.mp4", 4)
        rows.append([f"{index}.mp4", "ab"[index % 2], f"person {index // 2}"])
    write_table(tmp_path / "t.csv", "file,label,person", *rows)
    train, val = (table.read(tmp_path, split, preset(), group="person") for split in ("train", "val"))
    assert (len(train), len(val), val.name) == (16, 4, f"{tmp_path.name} val, fold 1 of 5")
    assert not {clip.group for clip in train.clips} & {clip.group for clip in val.clips}
    held_out = []
    for fold in range(1, 4):
        parts = {
            split: table.read(tmp_path, split, preset(), group="person", fold=fold, folds=3)
            for split in ("train", "val")
        }
        groups = {split: {clip.group for clip in samples.clips} for split, samples in parts.items()}
        assert not groups["train"] & groups["val"] and len(groups["train"] | groups["val"]) == 10
        held_out += [clip.name for clip in parts["val"].clips]
    assert sorted(held_out) == sorted(row[0] for row in rows)
    with pytest.raises(ValueError, match="folds have the parts train and val. Received: split='test'"):
        table.read(tmp_path, "test", preset(), fold=1)
    with pytest.raises(ValueError, match="`fold` must be 1 to 3 .`folds`., or 0 for none. Received: 4"):
        table.read(tmp_path, "val", preset(), fold=4, folds=3)
    with pytest.raises(ValueError, match="`folds` must be 2 to 10, the number of groups. Received: 11"):
        table.read(tmp_path, "val", preset(), group="person", fold=1, folds=11)


def test_folds_do_not_ask_for_the_split_of_the_table(tmp_path):
    for index in range(4):
        write_video(tmp_path / f"{index}.mp4", 4)
    rows = [[f"{index}.mp4", "a", f"p{index // 2}", ("train", "val")[index % 2]] for index in range(4)]
    write_table(tmp_path / "t.csv", "file,label,group,split", *rows)
    assert [clip.name for clip in table.read(tmp_path, "val", preset(), fold=2, folds=2).clips] == ["2.mp4", "3.mp4"]
    rows[1][2] = ""  # no group: by itself
    write_table(tmp_path / "t.csv", "file,label,group", *(row[:3] for row in rows))
    assert [clip.group for clip in table.read(tmp_path, "val", preset(), fold=2, folds=3).clips] == ["1.mp4"]


def test_overlapping_labels_are_found_behind_others(tmp_path):
    write_video(tmp_path / "a.mp4", 10)
    rows = [["a.mp4", "x", 0, 9, "train"], ["a.mp4", "x", 2, 4, "train"], ["a.mp4", "y", 6, 8, "train"]]
    write_table(tmp_path / "t.csv", "file,label,start,end,split", *rows)
    with pytest.raises(ValueError, match="t.csv, line 4: frames of a.mp4 are 'y' here and 'x' in t.csv, line 2"):
        table.read(tmp_path, "train", preset())


def test_a_video_that_may_be_truncated_is_told(tmp_path):
    path = write_video(tmp_path / "a.mkv", np.random.default_rng(0).integers(0, 255, (60, 24, 32, 3), "uint8"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    write_table(tmp_path / "labels.csv", "file,label,split", ["a.mkv", "x", "train"])
    samples = table.read(tmp_path, "train", preset())
    told = f"{tmp_path.name}: 1 videos end long before they say (a.mkv); they may be truncated."
    assert notes_of(samples) == [told] and samples.about(0)["seconds"][-1] < 3


HEADER = "file,label,start,end,start_s,end_s,person,split"


@pytest.mark.parametrize(
    "rows, message",
    [
        (["0.mp4", "", "", "", "", "", "p", "train"], "labels.csv, line 3: the label is empty"),
        (["", "a", "", "", "", "", "p", "train"], "labels.csv, line 3: the file is empty"),
        (["0.mp4", "a", "", "", "", "", "p"], "labels.csv, line 3: has fewer values than the table has columns"),
        (["0.mp4", "a", " b", "", "", "", "", "p", "train"], "labels.csv, line 3: has more values .* in quotes"),
        (["0.mp4", "a", "", "", "", "", "p", "dev"], "labels.csv, line 3: the split must be one of train, val, test. Received: 'dev'"),
        (["0.mp4", "a", "", "", "", "", "p", ""], "labels.csv, line 3: the split is empty. Expected one of train, val, test, or no such column"),
        (["none.mp4", "a", "", "", "", "", "p", "train"], "labels.csv, line 3: there is no file .*none.mp4. Get it, or take the line out"),
        (["0.mp4", "a", "", "", "", "", "p", "val"], "file '0.mp4' is on both sides of the split: 'train' .labels.csv, line 2. and 'val' .labels.csv, line 3."),
        (["0.mp4", "a", 3, 9, "", "", "p", "train"], "labels.csv, line 3: start 3 and end 9 are not inside 0.mp4, which has 8 frames. Needed: 0 <= start < end"),
        (["0.mp4", "a", -1, 3, "", "", "p", "train"], "line 3: start -1 and end 3 are not inside 0.mp4"),
        (["0.mp4", "a", 3, 3, "", "", "p", "train"], "line 3: start 3 and end 3 are not inside 0.mp4"),
        (["0.mp4", "a", 8, "", "", "", "p", "train"], "line 3: start 8 and end 8 are not inside 0.mp4"),
        (["0.mp4", "a", "", "", 0.2, 1.9, "p", "train"], "line 3: start 0.2 and end 1.9 are not inside 0.mp4, which has 0.8 s"),
        (["0.mp4", "a", "", "", 0.9, "", "p", "train"], "line 3: start 0.9 and end 0.8 are not inside 0.mp4"),
        (["0.mp4", "a", "x", 3, "", "", "p", "train"], "line 3: start must be a whole number of frames. Received: 'x'"),
        (["0.mp4", "a", "", "", 0, "x", "p", "train"], "line 3: end_s must be a number of seconds. Received: 'x'"),
        (["0.mp4", "a", 0, 3, 0, 1, "p", "train"], "line 3: has start or end in frames and in seconds"),
        (["0.mp4", "other", 4, 6, "", "", "p", "train"], "line 3: frames of 0.mp4 are 'other' here and 'a' in labels.csv, line 2"),
    ],
)  # fmt: skip
def test_wrong_rows(tmp_path, rows, message):
    write_video(tmp_path / "0.mp4", 8)
    write_table(tmp_path / "labels.csv", HEADER, ["0.mp4", "a", 0, 5, "", "", "p", "train"], rows)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        table.read(tmp_path, "train", preset())


def test_a_group_on_both_sides_is_an_error(tmp_path):
    for index in range(2):
        write_video(tmp_path / f"{index}.mp4", 4)
    write_table(
        tmp_path / "labels.csv",
        "file,label,url,group,split",
        ["0.mp4", "a", "u", "g", "train"],
        ["1.mp4", "a", "u", "h", "val"],
    )
    assert len(table.read(tmp_path, "train", preset())) == 1  # by the column of that name
    with pytest.raises(
        ValueError,
        match="url 'u' is on both sides of the split: 'train' .labels.csv, line 2. and 'val' .labels.csv, line 3.",
    ):
        table.read(tmp_path, "train", preset(), group="url")
    with pytest.raises(ValueError, match="There is no column .option `group`. of labels.csv 'uri'. Did you mean 'url'"):
        table.read(tmp_path, "train", preset(), group="uri")


def test_wrong_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: there is no such folder. Expected one with a CSV file"):
        table.read(tmp_path / "none", "train", preset())
    with pytest.raises(
        FileNotFoundError, match="expected one CSV file, .* It holds none. Give the path of the file: '.*labels.csv'"
    ):
        table.read(tmp_path, "train", preset())
    write_table(tmp_path / "a.csv", "video,label", ["x", "y"])
    with pytest.raises(
        ValueError,
        match="a.csv: expected a CSV file with the columns file and label.* Received the columns: video, label",
    ):
        table.read(tmp_path, "train", preset())
    write_table(tmp_path / "a.csv", "file,label")
    with pytest.raises(ValueError, match="a.csv: has no rows"):
        table.read(tmp_path, "train", preset())
    write_table(tmp_path / "b.csv", "file,label")
    with (
        typed("train"),
        pytest.raises(
            FileNotFoundError, match=r"It holds 2 \(a.csv, b.csv\). Give the path of the file: --data .*a.csv"
        ),
    ):
        table.read(tmp_path, "train", preset())
    labelled(tmp_path / "c")
    with pytest.raises(ValueError, match="no row belongs to split='test'. Its splits: train, val"):
        table.read(tmp_path / "c", "test", preset())
    with pytest.raises(ValueError, match="There is no split 'dev'. Allowed: train, val, test"):
        table.read(tmp_path / "c", "dev", preset())


def test_a_class_without_a_clip_to_train_on(tmp_path):
    write_video(tmp_path / "0.mp4", 4)
    write_video(tmp_path / "1.mp4", 4)
    write_table(tmp_path / "labels.csv", "file,label,split", ["0.mp4", "a", "train"], ["1.mp4", "b", "val"])
    with pytest.raises(ValueError, match="no clip to train on has the class b. Add some, or leave it out"):
        table.read(tmp_path, "train", preset())


def test_frames_of_another_size_than_the_models(tmp_path):
    save_thermal(tmp_path / "a.npz", range(8))
    write_table(tmp_path / "labels.csv", "file,label,split", ["a.npz", "a", "train"])
    with pytest.raises(
        ValueError, match="a.npz: frames must have the model's size, 12x16 .height x width.. Received: 24x32"
    ):
        table.read(tmp_path, "train", preset(4, (12, 16), 1))


def test_frames_of_other_channels_than_the_models(tmp_path):
    labelled(tmp_path)
    with pytest.raises(ValueError, match="0.mp4: frames have 3 channels, those of the model 1"):
        table.read(tmp_path, "train", preset(4, (24, 32), 1))


def test_broken_files_are_listed_and_left_out_when_the_user_says_so(tmp_path):
    labelled(tmp_path)
    (tmp_path / "1.mp4").write_bytes(b"no video" * 40)
    (tmp_path / "2.mp4").write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"2 files cannot be used. .* with skip_broken=True.\n"
        r"  labels.csv, line 3: .*1.mp4: cannot be read as a video .*\n  labels.csv, line 4: .*2.mp4: ",
    ):
        table.read(tmp_path, "train", preset())
    with typed("train"), pytest.raises(ValueError, match="with --set skip_broken=true"):
        table.read(tmp_path, "train", preset())
    samples = table.read(tmp_path, "train", preset(), skip_broken=True)
    assert [clip.name for clip in samples.clips] == ["0.mp4", "3.mp4"]
    assert [path.name for path, _ in left_out_of(samples)] == ["1.mp4", "2.mp4"]
    assert notes_of(samples) == [f"{tmp_path.name}: 2 broken files were left out."]


def test_a_file_that_is_broken_in_the_middle_is_found_before_training_where_broken_ones_are_left_out(tmp_path):
    labelled(tmp_path)
    path = write_video(
        tmp_path / "1.mp4", np.random.default_rng(0).integers(0, 255, (20, 24, 32, 3), "uint8"), codec="libx264"
    )
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4 + 8000
    content[start : start + 6000] = bytes(6000)
    path.write_bytes(content)
    samples = table.read(tmp_path, "train", preset())
    with pytest.raises(ValueError, match="1.mp4: cannot be read as a video .*, leave them out with skip_broken=True"):
        samples[1]
    with pytest.raises(ValueError, match="1.mp4: cannot be read as a video .*, leave them out with skip_broken=True"):
        samples.batch(0, 4, 0)
    samples = table.read(tmp_path, "train", preset(), skip_broken=True)
    assert [path.name for path, _ in left_out_of(samples)] == ["1.mp4"]


def test_the_list_of_broken_files_is_in_the_folder_of_the_training(tmp_path):
    from scs_keras.training.video_prediction.recipe import VideoPrediction

    output = Output(tmp_path / "run")
    output.remember(VideoPrediction(), ["0.mp4"], [("a, b.mp4", "truncated"), ("c.mp4", "empty")])
    assert output.left_out.read_text().splitlines() == ["file,reason", '"a, b.mp4",truncated', "c.mp4,empty"]
    Output(tmp_path / "other").remember(VideoPrediction(), ["0.mp4"])
    assert not (tmp_path / "other" / "left_out.csv").exists()


def test_a_training_without_broken_files_lists_them_in_its_folder(tmp_path, monkeypatch):
    for index, place in enumerate(("train/left", "train/right", "val/left", "val/right")):
        (tmp_path / "films" / place).mkdir(parents=True)
        np.savez(tmp_path / "films" / place / f"{index}.npz", frames=np.zeros((4, 8, 8, 3), "uint8"))
    broken = tmp_path / "films" / "train" / "left" / "broken.npz"
    broken.write_bytes(b"no frames")
    monkeypatch.setattr(StreamTrainer, "fit", lambda self, *args, **kwargs: None)
    settings = [
        "dataset=folder", "steps=1", "batch_size=2", "model.input_shape=[4, 8, 8, 3]",
        'model.arguments={"units": 2}', 'model.backbone_arguments={"filters": [2]}',
    ]  # fmt: skip
    run = [tmp_path / "films", tmp_path / "run"]
    with pytest.raises(ValueError, match=r"1 files cannot be used. .*\n  .*broken.npz: cannot be read"):
        train("lrcn_action_small_fight", *run, settings, verbose=0)
    assert not (tmp_path / "run").exists()
    train("lrcn_action_small_fight", *run, [*settings, "skip_broken=true"], verbose=0)
    with open(tmp_path / "run" / "left_out.csv", newline="") as file:
        (_, (path, reason)) = csv.reader(file)
    assert path == str(broken) and reason.startswith("cannot be read")


# A folder for each class ----------------------------------------------------------------------------------------------


def class_folders(where, count=5):
    for kind in ("run", "walk"):
        for index in range(count):
            write_video(where / kind / f"v{index}.mp4", 4)
    return where


def test_a_folder_for_each_class(tmp_path):
    class_folders(tmp_path)
    train, val = (folder.read(tmp_path, split, preset()) for split in ("train", "val"))
    assert train.labels == ("run", "walk") and (len(train), len(val)) == (8, 2)
    assert Counter(clip.segments[0].label for clip in val.clips) == {0: 1, 1: 1}
    assert sorted([clip.name for clip in train.clips + val.clips]) == sorted(
        f"{kind}/v{i}.mp4" for kind in ("run", "walk") for i in range(5)
    )


def test_folders_of_parts(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        class_folders(tmp_path / part, count)
    with pytest.raises(
        ValueError,
        match="file 'run/v0.mp4' is on both sides of the split: 'train' .train/run/v0.mp4. and 'val' .val/run/v0.mp4.",
    ):
        folder.read(tmp_path, "train", preset())
    for kind in ("run", "walk"):
        for path in list((tmp_path / "val" / kind).iterdir()):
            path.rename(path.with_name(f"w{path.name}"))
    assert [len(folder.read(tmp_path, part, preset())) for part in ("train", "val")] == [6, 4]


def test_a_listed_split(tmp_path):
    class_folders(tmp_path, 2)
    names = {"train": ["run/v0.mp4", "walk/v0.mp4"], "val": ["run/v1.mp4"]}
    (tmp_path / "split.json").write_text(json.dumps(names))
    with pytest.warns(UserWarning, match="not read and left out: v1.mp4. Read is what split.json lists"):
        samples = folder.read(tmp_path, "val", preset())
    assert [clip.name for clip in samples.clips] == ["run/v1.mp4"]
    (tmp_path / "split.json").write_text('{"train": ["run/v7.mp4"]}')
    with pytest.raises(FileNotFoundError, match="split.json: lists videos that are not in the folder: run/v7.mp4"):
        folder.read(tmp_path, "train", preset())


def test_wrong_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: there is no such folder. Expected a sub-folder for each class"):
        folder.read(tmp_path / "none", "train", preset())
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="expected a sub-folder for each class.* It holds: a.mp4"):
        folder.read(tmp_path, "train", preset())
    (tmp_path / "a.mp4").unlink()
    class_folders(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("")
    with pytest.raises(ValueError, match="empty: the class 'empty' has no videos .* It holds: a.txt"):
        folder.read(tmp_path, "train", preset())


# UCF-101 --------------------------------------------------------------------------------------------------------------


def ucf(where, classes=("ApplyEyeMakeup", "HandstandPushups"), spelt="HandStandPushups"):
    """The official layout, groups 1 and 8 of each class, with the two spellings that the real files have."""
    lists = where / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_bytes("".join(f"{i} {name}\r\n" for i, name in enumerate(classes, 1)).encode())
    train, test = [], []
    for number, name in enumerate(classes, 1):
        for group in (1, 8):
            file = f"v_{spelt if name == 'HandstandPushups' else name}_g{group:02}_c01.avi"
            write_video(where / "UCF-101" / name / file, 6)
            if group == 1:
                test.append(f"{name}/{file}\r\n")
            else:
                train.append(f"{name}/{file} {number}\r\n")
    for fold in (1, 2, 3):
        (lists / f"trainlist{fold:02}.txt").write_bytes(
            "".join(train if fold == 1 else as_train(test, classes)).encode()
        )
        (lists / f"testlist{fold:02}.txt").write_bytes(
            "".join(test if fold == 1 else [line.split()[0] + "\r\n" for line in train]).encode()
        )
    return where


def as_train(lines=(), classes=()):
    return [f"{line.strip()} {classes.index(line.split('/')[0]) + 1}\r\n" for line in lines]


def test_ucf101(tmp_path):
    ucf(tmp_path)
    train, test, val = (ucf101.read(tmp_path, split, preset()) for split in ("train", "test", "val"))
    assert train.labels == ("ApplyEyeMakeup", "HandstandPushups")
    assert [(clip.group, clip.segments[0].label) for clip in train.clips] == [
        ("ApplyEyeMakeup_g08", 0),
        ("HandstandPushups_g08", 1),
    ]
    assert [clip.path.name for clip in test.clips] == ["v_ApplyEyeMakeup_g01_c01.avi", "v_HandStandPushups_g01_c01.avi"]
    assert test.name == "ucf101, official split 1, test" and notes_of(val) == [ucf101.NO_VALIDATION]
    other = ucf101.read(tmp_path, "test", preset(), fold=2)
    assert [clip.group for clip in other.clips] == [clip.group for clip in train.clips]
    with pytest.raises(ValueError, match="UCF-101 has the official splits 1, 2 and 3. Received: fold=4"):
        ucf101.read(tmp_path, "test", preset(), fold=4)


@pytest.mark.parametrize("spelt", ["HandStandPushups", "HandstandPushups", "handstandpushups"])
def test_handstand_pushups_in_any_spelling(tmp_path, spelt):
    ucf(tmp_path, spelt=spelt)
    lists = tmp_path / "ucfTrainTestlist"
    for path in lists.glob("t*list*.txt"):
        path.write_text(path.read_text().replace(f"v_{spelt}", "v_HandStandPushups"))
    samples = ucf101.read(tmp_path, "train", preset())
    assert (
        len(samples) == 2
        and samples.about(1)["label"] == "HandstandPushups"
        and f"v_{spelt}_g08" in samples.about(1)["path"]
    )


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "trainlist01.txt, line 1: expected a line such as .* 1. Received: 'Apply"),
        ("trainlist01.txt", "Juggling/v_Juggling_g08_c01.avi 1", "trainlist01.txt, line 1: there is no class 'Juggling' of number 1 in classInd.txt"),
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2", "line 1: there is no class 'ApplyEyeMakeup' of number 2"),
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g09_c01.avi 1", "trainlist01.txt, line 1: there is no file .*g09_c01.avi"),
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1", "group 'ApplyEyeMakeup_g01' is on both sides of the split: 'train' .trainlist01.txt, line 1. and 'test' .testlist01.txt, line 1."),
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1", "no clip to train on has the class HandstandPushups"),
        ("testlist01.txt", "\n\nJuggling/v_Juggling_g01_c01.avi", "testlist01.txt, line 3: there is no class 'Juggling' in"),
        ("classInd.txt", "ApplyEyeMakeup", "classInd.txt, line 1: expected a number and a class, such as 1 ApplyEyeMakeup. Received: 'ApplyEyeMakeup'"),
    ],
)  # fmt: skip
def test_wrong_lists_of_ucf101(tmp_path, name, text, message):
    ucf(tmp_path)
    (tmp_path / "ucfTrainTestlist" / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ucf101.read(tmp_path, "train", preset())


def test_a_list_of_ucf101_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="ucfTrainTestlist.classInd.txt: is missing. Expected UCF-101/CLASS/"):
        ucf101.read(tmp_path, "train", preset())


# HMDB-51 --------------------------------------------------------------------------------------------------------------


def hmdb(where, videos=""):
    lists = where / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for kind in ("brush_hair", "wave"):
        for number in range(4):
            write_video(where / videos / kind / f"Film_#{number}_{kind}_u_nm_np1_ba_goo_0.avi", 6)
        for fold in (1, 2, 3):
            parts = np.roll([1, 1, 2, 0], fold - 1)
            lines = [f"Film_#{number}_{kind}_u_nm_np1_ba_goo_0.avi {part} \n" for number, part in enumerate(parts)]
            (lists / f"{kind}_test_split{fold}.txt").write_text("".join(lines))
    return where


@pytest.mark.parametrize("videos", ["", "hmdb51_org"])
def test_hmdb51(tmp_path, videos):
    hmdb(tmp_path, videos)
    train, test = (hmdb51.read(tmp_path, split, preset()) for split in ("train", "test"))
    assert train.labels == ("brush_hair", "wave") and test.name == "hmdb51, official split 1, test"
    assert [clip.path.name.split("_")[1] for clip in train.clips] == ["#0", "#1"] * 2
    assert [(clip.path.name.split("_")[1], clip.segments[0].label) for clip in test.clips] == [("#2", 0), ("#2", 1)]
    assert [clip.path.name.split("_")[1] for clip in hmdb51.read(tmp_path, "test", preset(), fold=3).clips] == [
        "#0",
        "#0",
    ]


def test_wrong_lists_of_hmdb51(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="holds no list for split 1. Expected a folder of .avi files for each class"
    ):
        hmdb51.read(tmp_path, "train", preset())
    hmdb(tmp_path)
    path = tmp_path / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    good = path.read_text()
    path.write_text(good + "a.avi 3\n")
    with pytest.raises(
        ValueError,
        match="wave_test_split1.txt, line 5: expected a name and 0, 1 or 2, such as NAME.avi 1. Received: 'a.avi 3'",
    ):
        hmdb51.read(tmp_path, "train", preset())
    path.write_text(good + "a.avi 1\n")
    with pytest.raises(FileNotFoundError, match="wave_test_split1.txt, line 5: there is no file .*wave.a.avi"):
        hmdb51.read(tmp_path, "train", preset())
    path.write_text(good + good.splitlines()[0].replace("1 ", "2") + "\n")
    with pytest.raises(
        ValueError,
        match="is on both sides of the split: 'train' .wave_test_split1.txt, line 1. and 'test' .wave_test_split1.txt, line 5.",
    ):
        hmdb51.read(tmp_path, "train", preset())


# Kinetics -------------------------------------------------------------------------------------------------------------


def kinetics_case(where):
    rows = {
        "train": [("tai chi", "-abc_1", 10, 20), ("celebrating, outdoors", "xyz", 0, 10), ("abseiling", "gone", 3, 13)],
        "validate": [("tai chi", "val_1", 1, 11), ("celebrating, outdoors", "val_2", 1, 11)],
    }
    for split, clips in rows.items():
        name = {"validate": "val"}.get(split, split)
        write_table(
            where / f"{name}.csv",
            "label,youtube_id,time_start,time_end,split,is_cc",
            *([*clip, split, 0] for clip in clips),
        )
    write_table(where / "test.csv", "youtube_id,time_start,time_end,split", ["test_1", 5, 15, "test"])
    for place in (
        "train/tai_chi/-abc_1_000010_000020",
        "xyz_000000_000010",
        "val/tai chi/val_1_000001_000011",
        "test_1_000005_000015",
    ):
        write_video(where / f"{place}.mp4", 6)
    return where


def test_kinetics(tmp_path):
    kinetics_case(tmp_path)
    train, val = (kinetics.read(tmp_path, split, preset()) for split in ("train", "val"))
    assert train.labels == ("abseiling", "celebrating, outdoors", "tai chi")
    assert [(clip.path.name, clip.segments[0].label, clip.group) for clip in train.clips] == [
        ("-abc_1_000010_000020.mp4", 2, "-abc_1"), ("xyz_000000_000010.mp4", 1, "xyz"),
    ]  # fmt: skip
    missing = "clips of the list are not in the folder and are left out."
    assert notes_of(train) == [f"1 of the 3 {missing}"] and notes_of(val) == [f"1 of the 2 {missing}"]
    with pytest.raises(ValueError, match="test.csv, line 2: has no label. Score on split='val' instead"):
        kinetics.read(tmp_path, "test", preset())


@pytest.mark.parametrize(
    "row, message",
    [
        (["x", "a", "b", 20, "train"], "train.csv, line 2: time_start and time_end must be numbers .* in quotes. Received: b, 20"),
        (["x", "a", 10, 20, "dev"], "train.csv, line 2: the split must be train, validate or test. Received: 'dev'"),
        (["tai chi", "val_1", 10, 20, "train"], "none of the 1 clips that its lists name for split='train'"),
        (["tai chi", "val_1", 1, 11, "train"], "video 'val_1' is on both sides of the split: 'train' .train.csv, line 2. and 'val' .val.csv, line 2."),
    ],
)  # fmt: skip
def test_wrong_lists_of_kinetics(tmp_path, row, message):
    with pytest.raises(
        FileNotFoundError, match="holds no list of Kinetics. Expected CSV files with the columns label,youtube_id"
    ):
        kinetics.read(tmp_path, "train", preset())
    kinetics_case(tmp_path)
    write_table(tmp_path / "train.csv", "label,youtube_id,time_start,time_end,split", row)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        kinetics.read(tmp_path, "train", preset())


# All ------------------------------------------------------------------------------------------------------------------


def test_every_data_set_has_a_reader():
    assert set(DATASETS) == {"ucf101", "hmdb51", "kinetics", "folder", "table", "fight", "thermal"}
    assert all(callable(resolve(dataset.read)) for dataset in DATASETS.values())


def test_a_training_is_scored_on_the_clips_that_it_did_not_see():
    """The fold that it was told holds, unless another is given."""
    told = {"fold": 2, "folds": 4, "group": "url", "class_weight": "balanced"}
    source = Source("run", get_preset("scs_action_small_fight"), None, {}, of_run=True, settings=told)
    assert source.options("evaluate", {}) == {"fold": 2, "folds": 4, "group": "url"}
    assert source.options("evaluate", {"fold": 0, "folds": None}) == {"fold": 0, "folds": 4, "group": "url"}
    assert source.options("evaluate", {"fold": 1}, "ucf101") == {"fold": 1}


# Real clips -----------------------------------------------------------------------------------------------------------


@needs_clips
def test_real_fights_and_their_split(data_folder):
    parts = {
        split: table.fight(data_folder / "fight_detection", split, preset(16, (48, 64))) for split in ("train", "val")
    }
    assert parts["train"].labels == ("fight", "noFight") and parts["train"].name == "fight train"
    counts = {split: Counter(clip.segments[0].label for clip in samples.clips) for split, samples in parts.items()}
    assert counts == {"train": {0: 120, 1: 123}, "val": {0: 30, 1: 27}}
    groups = {split: {clip.group for clip in samples.clips} for split, samples in parts.items()}
    assert (len(groups["train"]), len(groups["val"])) == (37, 9) and not groups["train"] & groups["val"]
    x, y, weight = parts["val"][0]
    assert x.shape == (16, 48, 64, 3) and 20 < x.mean() < 235
    assert parts["val"].about(0)["group"].startswith("https://")


@pytest.mark.slow
@needs_clips
def test_real_fights_in_five_folds(data_folder):
    held_out, groups = [], []
    for fold in range(1, 6):
        val = table.fight(data_folder / "fight_detection", "val", preset(16, (48, 64)), fold=fold)
        held_out += [clip.name for clip in val.clips]
        groups.append({clip.group for clip in val.clips})
        fights = sum(clip.segments[0].label == 0 for clip in val.clips)
        assert 55 <= len(val) <= 65 and 27 <= fights <= 33
    assert len(held_out) == len(set(held_out)) == 300 and sum(map(len, groups)) == len(set.union(*groups)) == 46


@pytest.mark.slow
@needs_clips
def test_real_fights_in_folders(data_folder):
    clips = {path.name for path in (data_folder / "fight_detection" / "fight").iterdir()}
    train, val = (
        folder.read(data_folder / "fight_detection", split, preset(16, (48, 64)), fold=2) for split in ("train", "val")
    )
    assert len(train) == 240 and len(val) == 60 and len(clips) == 150


@needs_clips
def test_real_thermal_recordings(data_folder):
    where, thermal = data_folder / "fir_thermal", preset(16, (24, 32), 1, by_frame=True)
    train, val = (table.thermal(where, split, thermal) for split in ("train", "val"))
    assert train.labels == ("walk", "up", "down-going", "lying") and len({clip.group for clip in val.clips}) == 2
    total = Counter()
    for samples in (train, val):
        for index in range(len(samples)):
            x, y, weight = samples[index]
            assert x.shape == (16, 24, 32, 1) and x.dtype == "float32" and 22 < x.min() and x.max() < 40  # degrees C
            total.update(samples.labels[label] for label in y[weight > 0])
    rows = list(csv.DictReader((where / "segments.csv").read_text().splitlines()))
    expected = Counter()
    for row in rows:
        if row["label"] in table.THERMAL:
            expected[table.THERMAL[row["label"]]] += int(row["end"]) - int(row["start"])
    assert total == expected and len(rows) == 86
    left = {row["file"] for row in rows}
    for fold in range(1, 8):
        (group,) = {clip.group for clip in table.thermal(where, "val", thermal, fold=fold).clips}
        left.remove(group)
        assert group not in {clip.group for clip in table.thermal(where, "train", thermal, fold=fold).clips}
    assert not left


@pytest.mark.slow
@needs_clips
def test_real_hand_signs_of_another_person(data_folder):
    parts = [
        table.read(data_folder / "asl_letters", split, preset(8, (56, 56)), group="person")
        for split in ("train", "val")
    ]
    assert [len(samples) for samples in parts] == [336, 192] and len(parts[0].labels) == 24
    assert [{clip.group for clip in samples.clips} for samples in parts] == [{"jack"}, {"tom"}]


@pytest.mark.slow
@needs_clips
def test_real_clips_in_the_official_layouts(data_folder, tmp_path):
    clips, real = data_folder / "sample_clips", preset(16, (56, 56))
    rows = list(csv.DictReader((clips / "clips.csv").read_text().splitlines()))
    ucf_rows = [row for row in rows if row["dataset"] == "UCF-101"]
    labels = sorted({row["label"] for row in ucf_rows})
    lists = tmp_path / "ucf" / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {label}\n" for i, label in enumerate(labels, 1)))
    lines = []
    for row in ucf_rows:
        name = f"{row['label']}/v_{row['file'].removeprefix('v_').removeprefix('UCF-101_')}"
        (tmp_path / "ucf" / "UCF-101" / row["label"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / row["file"], tmp_path / "ucf" / "UCF-101" / name)
        lines.append(f"{name} {labels.index(row['label']) + 1}\n")
    (lists / "trainlist01.txt").write_text("".join(lines))
    (lists / "testlist01.txt").write_text("")
    samples = ucf101.read(tmp_path / "ucf", "train", real)
    assert len(samples) == 8 and samples.labels == tuple(labels)
    for index, row in enumerate(ucf_rows):
        x, y, _ = samples[index]
        assert x.shape == (16, 56, 56, 3) and samples.labels[y] == row["label"] and x.std() > 10
        length = int(row["frames"]) / float(row["fps"])
        assert abs(samples.about(index)["seconds"][-1] - length * 31 / 32) < 0.15
    hmdb_rows = [row for row in rows if row["dataset"] == "HMDB51"]
    lists = tmp_path / "hmdb" / "splits"
    lists.mkdir(parents=True)
    for row in hmdb_rows:
        (tmp_path / "hmdb" / row["label"]).mkdir(exist_ok=True)
        shutil.copy(clips / row["file"], tmp_path / "hmdb" / row["label"] / row["file"])
        with open(lists / f"{row['label']}_test_split1.txt", "a") as file:
            file.write(f"{row['file']} 1\n")
    samples = hmdb51.read(tmp_path / "hmdb", "train", real, skip_broken=True)  # every frame is decoded
    assert len(samples) == 6 and samples.labels == ("cartwheel", "pour", "wave") and not left_out_of(samples)
    kinetics_rows = [row for row in rows if row["dataset"] == "Kinetics-400"]
    (tmp_path / "kinetics").mkdir()
    listed = [[row["label"], f"id-{i}", 0, 10, "validate"] for i, row in enumerate(kinetics_rows)]
    write_table(
        tmp_path / "kinetics" / "validate.csv",
        "label,youtube_id,time_start,time_end,split",
        *listed,
        ["tai chi", "gone", 0, 10, "validate"],
    )
    for i, row in enumerate(kinetics_rows):
        shutil.copy(clips / row["file"], tmp_path / "kinetics" / f"id-{i}_000000_000010.mp4")
    samples = kinetics.read(tmp_path / "kinetics", "val", real)
    assert len(samples) == 8 and "1 of the 9 clips" in notes_of(samples)[0]
    assert [samples.labels[samples[i][1]] for i in range(8)] == [row["label"] for row in kinetics_rows]


# Memory ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("videos, frames", [(300, 40), (30, 400)])
def test_memory_of_training_does_not_grow_with_the_number_or_the_length_of_the_videos(videos, frames):
    peaks = []
    for case in ((30, 40), (videos, frames)):
        command = [sys.executable, str(BENCHMARKS / "clips.py"), "--case", *map(str, case)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS)
        assert result.returncode == 0, result.stderr
        peaks.append(json.loads(result.stdout.splitlines()[-1])["peak_mib"])
    assert peaks[1] < 1.1 * peaks[0], peaks
