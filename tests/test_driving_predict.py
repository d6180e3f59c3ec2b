"""Predictions from a user's own drive: what the table, the sentence and the pictures say."""

import csv
import json

import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.training.driving import pictures
from scs_keras.training.driving.scores import DrivingScores
from scs_keras.training.predict import predict
from scs_keras.training.source import Source

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

SHAPE = (3, 8, 12, 3)
DEGREES = (2.5, -5, 0, 10, 7.5, -12.5, 20)  # of the records that are not deleted
DELETED = 4  # between the fourth and the fifth of them


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (8, 8, 12, 3), "uint8")


@pytest.fixture
def tub(tmp_path, images):
    """Eight records of donkeycar, one of them deleted; PNG files under the names that the records give."""
    folder = tmp_path / "tub"
    (folder / "images").mkdir(parents=True)
    manifest = [[], [], {}, {}, {"paths": ["catalog_0.catalog"], "deleted_indexes": [DELETED]}]
    (folder / "manifest.json").write_text("\n".join(map(json.dumps, manifest)))
    angles = iter(DEGREES)
    records = []
    for index, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        angle = 0 if index == DELETED else next(angles) / 25
        records.append({"_index": index, "cam/image_array": f"{index}.png", "user/angle": angle})
    (folder / "catalog_0.catalog").write_text("\n".join(map(json.dumps, records)))
    return folder


def source_of(monkeypatch, **changes):
    """A tiny model, the same each time that it is loaded, of random weights."""
    preset = zoo.get_preset("scs_driving_small_rc")
    arguments = dict(
        arguments=dict(structure=[dict(filters=3, strides=2)]), flow_stages=(0,), input_shape=SHAPE, switch="none",
        **changes,
    )  # fmt: skip
    source = Source("tiny", preset.with_arguments(**arguments), None, arguments)
    model = source.load()
    model.run_eagerly = True
    monkeypatch.setattr(Source, "load", lambda self: model)
    return source, model


def rows_of(folder):
    with open(folder / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows, column):
    return np.array([float(row[column]) if row[column] else np.nan for row in rows])


def test_a_tub(tub, images, tmp_path, monkeypatch, capsys):
    """Windows cross neither the deleted record nor the parts of the split, and each angle is that of its window."""
    source, model = source_of(monkeypatch, sub_goals="same")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scs_keras.training.driving.drives.HELD_OUT", ())  # all are for training
        predict(source, tub, tmp_path / "told", importance=True, streamed=True)
    rows = rows_of(tmp_path / "told")
    assert [row["frame"] for row in rows] == ["0.png", "1.png", "2.png", "3.png", "5.png", "6.png", "7.png"]
    np.testing.assert_allclose(numbers(rows, "steered"), DEGREES, atol=1e-4)
    windows = np.stack([images[[0, 1, 2]], images[[1, 2, 3]], images[[5, 6, 7]]])
    own = source.preset.predict(model, windows)[:, 0]
    missing = np.full(2, np.nan)
    np.testing.assert_allclose(numbers(rows, "angle"), [*missing, *own[:2], *missing, own[2]], atol=1e-3)
    streams = {
        name: np.asarray(model(source.preset.preprocess(windows), stream=name))[:, 0]
        for name in ("spatial", "temporal")
    }
    for name, degrees in streams.items():
        np.testing.assert_allclose(numbers(rows, name)[[2, 3, 6]], degrees, atol=1e-3)
    truth = np.array(DEGREES)[[2, 3, 6]]
    accuracy = {name: np.minimum(6 / np.abs(degrees - truth), 1) for name, degrees in streams.items()}
    added = numbers(rows, "time_adds")[[2, 3, 6]]
    np.testing.assert_allclose(added, accuracy["temporal"] - accuracy["spatial"], atol=1e-3)
    streamed = numbers(rows, "streamed")
    np.testing.assert_allclose(streamed[[2, 6]], own[[0, 2]], atol=1e-3)  # where the state starts
    carried = np.asarray(model(source.preset.preprocess(images[None, :4])))[0, 0]
    np.testing.assert_allclose(streamed[3], carried, atol=1e-3)
    said = capsys.readouterr().out
    error = np.abs(own - truth).mean()
    assert "tub: 1 deleted records are left out." in said
    assert f"3 angles, on the mean {error:.2f} degrees from what was steered" in said
    assert f"(straight on: {np.abs(truth).mean():.2f})" in said
    for name in ("film.png", "angles.png"):
        assert (tmp_path / "told" / name).read_bytes()[:4] == b"\x89PNG"


def test_images_whose_angles_are_not_known(tub, tmp_path, monkeypatch, capsys):
    source, model = source_of(monkeypatch)
    with pytest.warns(UserWarning, match="images take no --full-scale; it is not used|full_scale"):
        predict(source, tub / "images", tmp_path / "told", full_scale=25.0)
    rows = rows_of(tmp_path / "told")
    assert [row["frame"] for row in rows] == [f"{index}.png" for index in range(8)]
    assert not any(row["steered"] or row["seconds"] for row in rows)
    assert list(numbers(rows, "angle") == numbers(rows, "angle")) == [False] * 2 + [True] * 6
    assert "6 angles. Wrote predictions.csv, film.png and angles.png" in capsys.readouterr().out


def test_a_table_with_options_of_its_reader(tub, images, tmp_path, monkeypatch):
    source, model = source_of(monkeypatch)
    lines = [f"{index}.png,{index / 10}\n" for index in range(8)]
    (tub / "images" / "drive.csv").write_text("file,angle\n" + "".join(lines))
    predict(source, tub / "images", tmp_path / "told", column="angle", full_scale=20.0)
    rows = rows_of(tmp_path / "told")
    np.testing.assert_allclose(numbers(rows, "steered"), 2 * np.arange(8), atol=1e-4)
    own = source.preset.predict(model, images[None, :3])[0, 0]  # before the fifth tenth, which is for validation
    np.testing.assert_allclose(numbers(rows, "angle")[2], own, atol=1e-3)


def test_inputs_that_are_refused(tub, tmp_path, monkeypatch):
    source, _ = source_of(monkeypatch)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: expected a tub of donkeycar .* It holds none of these"):
        predict(source, tmp_path / "empty", tmp_path / "told")
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"film.mp4: expected a tub of donkeycar .* It holds none of these"):
        predict(source, tmp_path / "film.mp4", tmp_path / "told")
    (tmp_path / "short").mkdir()
    for index in range(2):
        Image.new("RGB", (12, 8)).save(tmp_path / "short" / f"{index}.png")
    with pytest.raises(ValueError, match="short: the model sees 3 frames, the longest drive without a gap has 2"):
        predict(source, tmp_path / "short", tmp_path / "told")
    with pytest.raises(ValueError, match="T2 less that of T1"):
        predict(source, tub, tmp_path / "told", importance=True)
    assert not (tmp_path / "told").exists()


def test_what_time_adds_to_each_window_is_in_the_scores():
    preset = zoo.get_preset("scs_driving_small_rc")
    scores = {name: DrivingScores(preset) for name in ("model", "spatial", "temporal")}
    for name, degrees in {"model": (0, 0), "spatial": (-12, 5), "temporal": (0, 17)}.items():
        for window, (truth, angle) in enumerate(zip((0, 5), degrees)):
            scores[name].add([truth], [angle], None, {"name": f"window {window}", "group": "a"})
    assert scores["model"].extras(scores)["samples"] == [
        dict(name="window 0", degrees=0, spatial=-12, temporal=0, difference=0.5),  # Eq. 24: 6 / 12, and 1
        dict(name="window 1", degrees=5, spatial=5, temporal=17, difference=-0.5),
    ]
    assert scores["model"].extras({"model": scores["model"]}) == {}


def test_a_needle_points_to_its_side(tmp_path):
    """Of two dials the first shows an angle to the left, the second one to the right; grey is what was steered."""
    frames = np.zeros((2, 8, 12, 3), "uint8")
    path = tmp_path / "film.png"
    pictures.steering_strip(path, frames, ("a", "b"), np.array([-20.0, 20.0]), np.array([np.nan, 0.0]), 25.0, "title")
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    blue = np.argwhere(pixels[..., 2] - pixels[..., 0] > 60)[:, 1] / pixels.shape[1]
    left, right = blue[blue < 0.5], blue[blue > 0.5]
    assert len(left) > 20 and len(right) > 20
    assert left.mean() < 0.24 and right.mean() > 0.76


def test_drives_are_apart_on_the_time_line():
    frames, values = pictures._broken(np.array([1.0, 2, 3, 4]), [0, 2])
    np.testing.assert_array_equal(frames, [0, 1, np.nan, 2, 3])
    np.testing.assert_array_equal(values, [1, 2, np.nan, 3, 4])
