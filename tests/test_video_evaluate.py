"""`evaluate`, `predict` and the card of video models, as a user types them, on tiny presets and fabricated data."""

import json

import h5py
import numpy as np
import pytest
from test_video_data import save_hickle, save_images
from video_case import add_preset, moving_blobs, save_blobs

from scs_keras import __main__ as cli
from scs_keras import zoo
from scs_keras.training import evaluate as evaluation
from scs_keras.training import publish, run
from scs_keras.training.card import model_card
from scs_keras.training.data.radar import read_event
from scs_keras.training.samples import spread
from scs_keras.training.source import Source
from scs_keras.training.task import task
from scs_keras.training.unusual import unusual
from scs_keras.training.video_prediction.scores import VideoScores
from scs_keras.training.video_prediction.video_datasets import read_videos
from scs_keras.zoo.video_prediction.pictures import prediction_animation, prediction_picture
from scs_keras.zoo.video_prediction.presets import RAIN
from tests.radar_case import netcdf, odim, stamp

METRICS = [column.name for column in VideoScores.columns]
CHECKPOINT, WEIGHTS = "checkpoint.weights.h5", "model.weights.h5"

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A model with weights of its own: (preset, weights file)."""
    preset = add_preset(monkeypatch, tmp_path / "zoo", "tiny")
    model = zoo.load("tiny", weights=None)
    model.optimizer = None
    model.save_weights(tmp_path / "tiny.weights.h5")
    return preset, tmp_path / "tiny.weights.h5"


def test_evaluate_writes_scores_beside_persistence(trained, tmp_path, capsys):
    folder, (_, weights) = save_blobs(tmp_path / "blobs"), trained
    out = tmp_path / "s.json"
    cli.main(["evaluate", "tiny", "--weights", str(weights), "--data", str(folder), "--json", str(out)])
    found = json.loads(out.read_text())
    scores = found["scores"]
    assert found["data"] == "folder test"
    assert scores.keys() == {"model", "persistence"} and all(list(each) == METRICS for each in scores.values())
    frames = moving_blobs(start=0.7 * 4)  # the last of five videos: two windows that do not overlap
    change = [((frames[s + 3 : s + 6] - frames[s + 2]) ** 2).sum((1, 2, 3)) for s in (0, 6)]
    assert scores["persistence"]["mse"] == pytest.approx(np.mean(change), rel=1e-4)
    by_lead = [each["persistence"]["mse"] for each in found["parts"]["lead time in frames"].values()]
    np.testing.assert_allclose(by_lead, np.mean(change, axis=0), rtol=1e-4)
    printed = capsys.readouterr().out
    assert "SSIM (range 2)" in printed and "+3" in printed and "persistence" in printed


def test_evaluate_options(trained, tmp_path, capsys):
    folder, (_, weights) = save_blobs(tmp_path / "blobs"), trained
    command = ["evaluate", "tiny", "--weights", str(weights), "--data", str(folder), "--json", str(tmp_path / "s.json")]
    cli.main([*command, "--dataset", "folder", "--split", "train", "--stride", "3", "--limit", "2"])
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["data"] == "folder train" and found["samples"] == 2
    for options, message in (
        (["--dataset", "kht"], "Did you mean 'kth'"),
        (["--limit", "0"], "must be at least 1. Received: 0"),
        (["--stride", "0"], "--stride must be at least 1"),
    ):
        with pytest.raises(SystemExit, match=message):
            cli.main([*command, *options])
    with pytest.raises(SystemExit, match="no dataset 'folder'.*Allowed: radar"):
        cli.main(["evaluate", "scs_precipitation_small_radar", "--data", str(folder), "--dataset", "folder"])
    with pytest.raises(SystemExit) as exit:  # an option of another task is an error of use
        cli.main(["predict", "scs_precipitation_small_radar", "--input", "a", "--output", "b", "--beyond"])
    assert exit.value.code == 2 and "--beyond" in capsys.readouterr().err


def test_weights_of_another_model_show_before_data_is_read(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "read", lambda *arguments, **options: pytest.fail("data was read"))
    with pytest.raises(SystemExit, match="does not hold weights of scs_precipitation_small_radar"):
        cli.main(["evaluate", "scs_precipitation_small_radar", "--weights", str(trained[1]), "--data", str(tmp_path)])


def predict(weights, file, output, *options):
    cli.main(["predict", "tiny", "--weights", str(weights), "--input", str(file), "--output", str(output), *options])
    with np.load(output / "forecast.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}


def test_predict_compares_with_the_last_frames(trained, tmp_path, capsys):
    frames = moving_blobs(9)
    np.save(tmp_path / "a.npy", frames)
    made = predict(trained[1], tmp_path / "a.npy", tmp_path / "out")
    np.testing.assert_array_equal(made["observed"], frames[3:6])
    np.testing.assert_array_equal(made["truth"], frames[6:9])
    model = zoo.load("tiny", weights=str(trained[1]))
    np.testing.assert_allclose(made["predicted"], np.asarray(model(frames[None, 3:6]))[0], atol=1e-5)
    assert "its last 3 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "forecast.gif") as animation:
        assert animation.n_frames == 6
    assert (tmp_path / "out" / "forecast.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("length, options", [(5, ()), (9, ("--beyond",))])
def test_predict_beyond_the_end(trained, tmp_path, length, options):
    frames = moving_blobs(length)
    np.savez(tmp_path / "a.npz", frames=(255 * frames).astype("uint8"))
    made = predict(trained[1], tmp_path / "a.npz", tmp_path / "out", *options)
    assert "truth" not in made and made["predicted"].shape == (3, 16, 16, 1)
    np.testing.assert_allclose(made["observed"], frames[-3:], atol=1 / 255)


def test_predict_more_frames_than_were_trained(trained, tmp_path):
    np.save(tmp_path / "a.npy", moving_blobs(5))
    made = predict(trained[1], tmp_path / "a.npy", tmp_path / "out", "--steps", "8")
    assert made["predicted"].shape == (8, 16, 16, 1)
    three = predict(trained[1], tmp_path / "a.npy", tmp_path / "out", "--steps", "3")
    np.testing.assert_allclose(made["predicted"][:3], three["predicted"], atol=1e-5)


def test_predict_from_a_folder_of_images(trained, tmp_path):
    save_images(tmp_path / "clip", range(4), size=(20, 30), start=100)
    made = predict(trained[1], tmp_path / "clip", tmp_path / "out")
    np.testing.assert_allclose(made["observed"][:, 0, 0, 0] * 255, [101, 102, 103], rtol=1e-5)


def test_predict_errors(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(Source, "load", lambda self: pytest.fail("the model was made before all was checked"))
    np.save(tmp_path / "short.npy", moving_blobs(2))
    np.save(tmp_path / "large.npy", moving_blobs(9, size=20))
    for file, options, message in (
        ("short.npy", (), "too short. Needed: 3 frames to see, found: 2"),
        ("large.npy", (), "must have the model's size, 16x16 .* Received: 20x20"),
        ("none.npy", (), "none.npy: there is no such file"),
        ("short.npy", ("--steps", "0"), "--steps must be at least 1. Received: 0"),
    ):
        with pytest.raises(SystemExit, match=message):
            predict(trained[1], tmp_path / file, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_predict_says_what_it_cut_and_scores_beside_persistence(trained, tmp_path, capsys):
    folder = tmp_path / "street"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(np.full((16, 40, 3), (40 * index, 0, 0), "uint8")).save(folder / f"{index}.png")
    made = predict(trained[1], folder, tmp_path / "out")
    printed = capsys.readouterr().out
    assert "street: the middle 16x16 of 40x16 pixels (width x height) was taken; colours were made grey.\n" in printed
    assert "Warning" not in printed and "advection" not in printed  # the model is for anybody's videos
    rows = {
        line.split()[0]: line for line in reversed(printed.splitlines()) if line.startswith(("model ", "persistence "))
    }
    for name, frames in (("model", made["predicted"]), ("persistence", made["observed"][[-1] * 3])):
        assert f"{((made['truth'] - frames) ** 2).sum((1, 2, 3)).mean():.2f}" in rows[name]
    predict(trained[1], folder, tmp_path / "out", "--beyond")
    assert "MSE" not in capsys.readouterr().out  # no truth, no scores


def test_predict_warns_where_frames_are_nothing_like_the_models_data(tmp_path, monkeypatch, capsys):
    add_preset(monkeypatch, tmp_path / "zoo", "tiny", dataset="moving_mnist")
    weights = tmp_path / "tiny.weights.h5"
    zoo.load("tiny", weights=None).save_weights(weights)
    videos = tmp_path / "videos"
    videos.mkdir()
    digits = np.zeros((6, 16, 16), "uint8")
    digits[:, 3:9, 3:9] = 255
    np.save(tmp_path / "digits.npy", digits)
    np.save(videos / "grey.npy", np.maximum(digits, 90))
    predict(weights, tmp_path / "digits.npy", tmp_path / "out")
    assert "Warning" not in capsys.readouterr().out
    predict(weights, videos / "grey.npy", tmp_path / "out")
    warned = "is for moving_mnist; the frames of grey.npy are unlike its: share of black 0.00 (there 0.75 to 1)."
    assert warned in capsys.readouterr().out
    settings = ["preset=tiny", "dataset=folder", "steps=2", "checkpoint_every=2", "batch_size=1", "validate=0"]
    run.train("video_prediction", videos, tmp_path / "run", settings, verbose=0)
    capsys.readouterr()
    cli.main(["predict", str(tmp_path / "run"), "--input", str(videos / "grey.npy"), "--output", str(tmp_path / "o")])
    assert "Warning" not in capsys.readouterr().out  # trained on such videos


def test_training_and_scores_say_what_was_cut(tmp_path, monkeypatch, capsys):
    add_preset(monkeypatch, tmp_path / "zoo", "tiny")
    for index in range(3):
        save_images(tmp_path / "clips" / f"{index}", range(8), size=(16, 40))
    cut = "the middle 16x16 of 40x16 pixels (width x height) was taken."
    settings = ["dataset=folder", "steps=2", "checkpoint_every=2", "batch_size=1", "validate=0"]
    run.train("tiny", tmp_path / "clips", tmp_path / "out", settings, verbose=2)
    assert capsys.readouterr().out.count(f"clips train: 0: {cut}\n") == 1
    cli.main(["evaluate", str(tmp_path / "out"), "--data", str(tmp_path / "clips")])
    printed = capsys.readouterr().out
    assert f"clips test: 2: {cut}\n" in printed
    assert "clips test: 2 frames lie in no window of 6 and are left out (2).\n" in printed


def test_what_is_unusual_is_said():
    frames = np.concatenate([np.zeros(60), np.full(40, 0.5)])
    usual = {"share of black": (0.6, 1.0), "mean": (0.0, 0.1), "standard deviation": (0.3, 0.4)}
    assert unusual(frames, usual) == "mean 0.20 (there 0 to 0.1), standard deviation 0.24 (there 0.3 to 0.4)"
    assert unusual(frames, {}) == unusual(frames, {"mean": (0.2, 0.2)}) == ""


@pytest.mark.parametrize(
    ("dataset", "length", "seen"),
    [
        pytest.param("moving_mnist", 20, 10, marks=pytest.mark.needs_data("moving_mnist_digits", "the real digits")),
        pytest.param("radar", 10, 5, marks=pytest.mark.needs_data("radar_nowcasting", "the radar data set")),
    ],
)
def test_real_sequences_are_usual(data_folder, dataset, length, seen):
    videos = read_videos(dataset, data_folder, "val", (length, 64, 64, 1))
    usual = task("video_prediction").dataset(dataset).usual
    assert len(usual) == 2
    for index in spread(len(videos), 60):
        assert not unusual(videos[index][:seen], usual), index


# --- radar ------------------------------------------------------------------------------------------------------------


def save_storm(folder, length=8, minutes=5):
    """Rain in mm/h that moves to the right in the lower right of 32x48 pixels, in one of five squares of 16 with data."""
    t, y, x = np.mgrid[:length, :32, :48]
    rain = (20 * np.exp(-((x - 34 - t) ** 2 + (y - 24) ** 2) / 20)).astype("float32")
    valid = np.ones((32, 48), bool)
    valid[0, 0] = False
    folder.mkdir(exist_ok=True)
    times = 60 * minutes * np.arange(length)
    np.savez(folder / "storm.npz", rain=rain, valid=valid, times=times, step_minutes=minutes)
    return rain


@pytest.fixture
def radar_weights(tmp_path, monkeypatch):
    add_preset(monkeypatch, tmp_path / "zoo", "tiny", dataset="radar", units=RAIN)
    zoo.load("tiny", weights=None).save_weights(tmp_path / "tiny.weights.h5")
    return tmp_path / "tiny.weights.h5"


def test_a_radar_model_reads_radar_events(radar_weights, tmp_path, capsys):
    rain = save_storm(tmp_path / "radar")
    made = predict(radar_weights, tmp_path / "radar" / "storm.npz", tmp_path / "out")
    printed = capsys.readouterr().out
    taken = "storm.npz: rows 16 to 31, columns 32 to 47 of 32x48 pixels were taken: of the 5 squares of 16x16"
    assert taken in printed and "advection" in printed and "persistence" in printed
    model = zoo.load("tiny", weights=str(radar_weights))
    preset, square = model.preset, rain[2:, 16:, 32:, None]  # of the last 6 images 3 are observed, 3 are the truth
    scaled = preset.preprocess(square)  # what a pixel means is the same everywhere
    np.testing.assert_allclose(made["observed"], scaled[:3], atol=1e-6)
    np.testing.assert_allclose(made["truth"], scaled[3:], atol=1e-6)
    np.testing.assert_allclose(made["rain"], preset.predict(model, square[None, :3])[0, ..., 0], rtol=1e-3, atol=1e-4)
    event = read_event(tmp_path / "out" / "forecast.npz")  # laid out as an event
    assert event.times.tolist() == [1500, 1800, 2100] and event.rain_mm_h.shape == (3, 16, 16)
    np.save(tmp_path / "scaled.npy", scaled)
    same = predict(radar_weights, tmp_path / "scaled.npy", tmp_path / "out")
    np.testing.assert_allclose(same["predicted"], made["predicted"], atol=1e-6)


def test_a_radar_model_reads_what_services_write(radar_weights, tmp_path, capsys, monkeypatch):
    """The same event as npz, as a folder of ODIM HDF5 with reflectivity, and as one NetCDF file."""
    for name in ("prediction_picture", "prediction_animation"):  # seconds
        monkeypatch.setattr(f"scs_keras.training.video_prediction.predict.{name}", lambda *_: None)
    rain = save_storm(tmp_path / "radar")
    expected = predict(radar_weights, tmp_path / "radar" / "storm.npz", tmp_path / "out")
    (tmp_path / "odim").mkdir()
    for index, image in enumerate(rain):
        dbz = np.where(image > 0.01, 10 * np.log10(300 * np.maximum(image, 0.01) ** 1.4), -8888000.0)
        dbz[0, 0] = -9999000.0
        odim(tmp_path / "odim" / f"{stamp(index)}.h5", dbz, index, "DBZH")
    netcdf(tmp_path / "storm.nc", np.where(np.arange(32 * 48).reshape(32, 48) > 0, rain, np.nan))
    capsys.readouterr()
    for name, options, said in (
        ("odim", ["--zr", "300,1.4"], "radar: DBZH in dBZ, Z = 300 R^1.4."),
        ("storm.nc", [], "radar: rainfall_rate (mm h-1) in mm/h."),
    ):
        made = predict(radar_weights, tmp_path / name, tmp_path / "out", *options)
        np.testing.assert_allclose(made["observed"], expected["observed"], atol=0.01)  # what is below 0.01 mm/h
        np.testing.assert_allclose(made["rain"], expected["rain"], rtol=0.02, atol=0.05)
        assert said in capsys.readouterr().out and made["km_per_pixel"] == {"odim": 2, "storm.nc": 1}[name]
    assert read_event(tmp_path / "out" / "forecast.npz").rain_mm_h.shape == (3, 16, 16)
    (tmp_path / "val").mkdir()
    (tmp_path / "odim").rename(tmp_path / "val" / "odim")
    (tmp_path / "val" / "split.json").write_text('{"train": [], "val": ["odim"]}')
    notes = task("video_prediction").read("radar", tmp_path / "val", "val", zoo.get_preset("tiny"), zr="300,1.4").notes
    assert "radar: DBZH in dBZ, Z = 300 R^1.4." in notes


def test_options_of_radar_files_are_for_radar_models(trained, tmp_path):
    np.save(tmp_path / "a.npy", moving_blobs(9))
    with pytest.raises(SystemExit, match="--unit dBZ is of radar files, which tiny does not see. Leave it out."):
        predict(trained[1], tmp_path / "a.npy", tmp_path / "out", "--unit", "dBZ")


def test_a_radar_model_takes_no_pictures(radar_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(Source, "load", lambda self: pytest.fail("the model was made before all was checked"))
    np.save(tmp_path / "grey.npy", (255 * moving_blobs(9)).astype("uint8"))
    save_images(tmp_path / "clip", range(9))
    rain = save_storm(tmp_path / "radar")
    np.savez(tmp_path / "bare.npz", rain=rain, valid=np.ones((32, 48), bool))
    no_data = np.arange(48) % 16 == np.zeros((32, 1))  # a column of each square
    np.savez(tmp_path / "holes.npz", rain=rain, valid=no_data, times=300 * np.arange(8), step_minutes=5)
    for name, message in (
        ("grey.npy", "tiny sees radar, .* Received: uint8 pixels, which say no reflectivity"),
        ("clip", "tiny sees radar, .*: a radar event .*with rain in mm/h"),
        ("bare.npz", "times, step_minutes not found"),
        ("holes.npz", "no square of 16x16 pixels.*has data everywhere. Received: 32x48 pixels, 6% of them with data"),
    ):
        with pytest.raises(SystemExit, match=message):
            predict(radar_weights, tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_evaluate_on_radar_shows_advection(radar_weights, tmp_path, capsys):
    save_storm(tmp_path / "radar")
    (tmp_path / "radar" / "split.json").write_text('{"train": [], "val": ["storm.npz"]}')
    command = ["evaluate", "tiny", "--weights", str(radar_weights), "--data", str(tmp_path / "radar")]
    cli.main([*command, "--json", str(tmp_path / "s.json")])
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert list(scores) == ["model", "persistence", "advection"] and "advection" in capsys.readouterr().out
    assert scores["advection"]["mse"] < 0.5 * scores["persistence"]["mse"]


# --- pictures ---------------------------------------------------------------------------------------------------------


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_picture_shows_observed_predicted_and_difference(tmp_path):
    observed, predicted, truth = (np.full((2, 8, 8, 1), value, "float32") for value in (0.2, 0.6, 0.5))
    prediction_picture(tmp_path / "p.png", observed, predicted, truth, "Title")
    prediction_picture(tmp_path / "beyond.png", observed, predicted)

    def share(name, level):
        return (pixels(tmp_path / name) == round(level * 255)).all(-1).sum()

    cell = share("p.png", 0.2) / 2
    for level in (0.6, 0.5, 0.1):  # predicted, truth, difference: two cells each
        assert share("p.png", level) == pytest.approx(2 * cell, rel=0.1), level
    assert share("beyond.png", 0.6) > 0 and share("beyond.png", 0.5) < 0.05 * share("beyond.png", 0.6)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_animation_loops_over_all_frames(tmp_path, channels):
    observed, predicted, truth = (np.full((2, 8, 12, channels), value, "float32") for value in (0.2, 0.6, 0.5))
    predicted[..., 0] = 1.7  # drawn as 1
    prediction_animation(tmp_path / "a.gif", observed, predicted, truth)
    prediction_animation(tmp_path / "beyond.gif", observed, predicted)
    with Image.open(tmp_path / "a.gif") as animation, Image.open(tmp_path / "beyond.gif") as beyond:
        assert animation.n_frames == beyond.n_frames == 4 and animation.info["loop"] == 0
        assert animation.width > beyond.width  # no difference is known
        shown = []
        for index in range(4):
            animation.seek(index)
            shown.append(np.asarray(animation.convert("RGB")))
    grey = [(abs(frame.astype(int) - 51) < 6).all(-1).mean() for frame in shown]
    assert min(grey[:2]) > 0.3 > max(grey[2:])  # both panels show what was seen
    bright = [255, 255, 255] if channels != 3 else [255, 153, 153]
    light = [(abs(frame.astype(int) - bright) < 6).all(-1).mean() for frame in shown]
    assert light[3] > light[0] + 0.1


def test_picture_errors(tmp_path, monkeypatch):
    frames = np.zeros((2, 8, 8, 1))
    for draw in (prediction_picture, prediction_animation):
        for observed, predicted, truth in (
            (frames[0], frames, None),
            (frames, frames[:, :4], None),
            (frames, frames, frames[:1]),
        ):
            with pytest.raises(ValueError, match="must be .time, height, width, channels., of one frame size"):
                draw(tmp_path / "p", observed, predicted, truth)
    for name, draw in (("matplotlib.figure", prediction_picture), ("PIL", prediction_animation)):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(ImportError, match=r'pip install "scs-keras\[pictures\]"'):
            draw(tmp_path / "p", frames, frames)
    assert not list(tmp_path.iterdir())


# --- the datasets of the paper, end to end ----------------------------------------------------------------------------


@pytest.mark.slow
def test_kth_ten_to_twenty_and_forty(tmp_path, monkeypatch):
    """Trained for as many frames as are observed, or twice as many; evaluated and predicted at four times as many."""
    for person in (1, 15, 17):
        for action in ("walking", "running"):
            folder = tmp_path / "data" / action / f"person{person:02}_x"
            folder.mkdir(parents=True)
            for index, frame in enumerate(moving_blobs(52, start=person)[..., 0]):
                Image.fromarray((255 * frame).astype("uint8")).save(folder / f"image_{index + 1:04}.jpg")
    add_preset(monkeypatch, tmp_path, "tiny_20", "tau", observed=(10, 16, 16, 1), future=20)
    settings = ["preset=tiny_20", "dataset=kth", "steps=2", "checkpoint_every=2", "batch_size=2", "validate=1"]
    run.train("video_prediction", tmp_path / "data", tmp_path / "out", settings, verbose=0)
    folder, found = str(tmp_path / "data"), {}
    for future in (20, 40):
        command = ["evaluate", str(tmp_path / "out"), "--data", folder, "--dataset", "kth", "--limit", "2"]
        cli.main([*command, "--set", f"model.output_length={future}", "--json", str(tmp_path / "s.json")])
        found = json.loads((tmp_path / "s.json").read_text())
        leads = found["parts"]["lead time in frames"]
        assert found["data"] == "kth test" and len(leads) == future
        assert all(np.isfinite(each["model"]["mse"]) for each in leads.values())


@pytest.mark.slow
def test_kitti_to_caltech(tmp_path, monkeypatch):
    frames = (255 * moving_blobs(40, channels=3)).astype("uint8")
    hickle, arrays = tmp_path / "data" / "kitti_hkl", tmp_path / "data" / "kitticaltech_npy"
    hickle.mkdir(parents=True)
    arrays.mkdir()
    save_hickle(hickle / "X_train.hkl", frames)
    save_hickle(hickle / "sources_train.hkl", ["a"] * 23 + ["b"] * 17)
    np.save(arrays / "test_data.npy", frames[::-1])
    np.save(arrays / "test_idx.npy", np.array([7, 18, 29]))
    add_preset(monkeypatch, tmp_path, "tiny", "tau", observed=(10, 16, 16, 3), future=1)
    settings = ["preset=tiny", "dataset=kitti_caltech", "steps=2", "checkpoint_every=2", "batch_size=2", "validate=1"]
    run.train("video_prediction", tmp_path / "data", tmp_path / "out", settings, verbose=0)
    with h5py.File(tmp_path / "out" / WEIGHTS) as file:
        assert len(file) > 0
    command = ["evaluate", str(tmp_path / "out"), "--data", str(tmp_path / "data")]
    for dataset in ("kitti_caltech", "kitti_caltech_bgr"):
        cli.main([*command, "--dataset", dataset, "--json", str(tmp_path / "s.json")])
        found = json.loads((tmp_path / "s.json").read_text())
        assert found["data"] == f"{dataset} test"
        expected = np.mean(
            [((frames[::-1][s + 10] / 255.0 - frames[::-1][s + 9] / 255.0) ** 2).sum() for s in (7, 18, 29)]
        )
        assert found["scores"]["persistence"]["mse"] == pytest.approx(expected, rel=1e-4)


def test_a_model_of_ones_own_sizes(tmp_path, monkeypatch, capsys):
    folder = save_blobs(tmp_path / "blobs", size=20, channels=3)
    add_preset(monkeypatch, tmp_path / "zoo", "tiny")
    model = ["model.input_shape=[2, 20, 20, 3]", "model.output_length=4", "model.drop=0.0"]
    settings = ["preset=tiny", "dataset=folder", "steps=2", "checkpoint_every=2", "batch_size=2", "validate=0"]
    run.train("video_prediction", folder, tmp_path / "out", [*settings, *model], verbose=0)
    own = [str(tmp_path / "out")]
    other = [
        "tiny",
        "--weights",
        str(tmp_path / "out" / WEIGHTS),
        *(part for each in model for part in ("--set", each)),
    ]
    for given in (own, other):  # the training's folder knows its arguments, weights alone do not
        cli.main(["evaluate", *given, "--data", str(folder)])
        cli.main(["predict", *given, "--input", str(folder / "0.npy"), "--output", str(tmp_path / "forecast")])
        with np.load(tmp_path / "forecast" / "forecast.npz") as arrays:
            assert (arrays["observed"].shape, arrays["predicted"].shape) == ((2, 20, 20, 3), (4, 20, 20, 3))
    with pytest.raises(SystemExit, match="a training with other arguments than the preset's"):
        cli.main(["publish", str(tmp_path / "out"), "--data", str(folder)])
    with pytest.raises(SystemExit, match="only arguments of the model can be set here. .*--set model.output_length=20"):
        cli.main(["evaluate", "tiny", "--data", str(folder), "--set", "steps=3"])
    with pytest.raises(SystemExit, match="which has weights of its own. Leave --weights out"):
        cli.main(["evaluate", *own, "--data", str(folder), "--weights", "x.weights.h5"])
    with pytest.raises(SystemExit, match="'patsh'. Did you mean 'patch'"):
        cli.main(
            ["predict", "scs_precipitation_small_radar", "--input", "x", "--output", "y", "--set", "model.patsh=1"]
        )


# --- publishing -------------------------------------------------------------------------------------------------------


def test_publish_and_card(tmp_path, monkeypatch):
    folder = save_blobs(tmp_path / "blobs")
    preset = add_preset(monkeypatch, tmp_path / "zoo", "tiny")
    settings = ["preset=tiny", "dataset=folder", "steps=2", "checkpoint_every=2", "batch_size=2", "validate=0"]
    run.train("video_prediction", folder, tmp_path / "out", settings, verbose=0)
    publish.publish(tmp_path / "out", folder)
    model = zoo.load("tiny")  # the published file
    frames, trained = preset.make_example(), zoo.load("tiny", weights=tmp_path / "out" / WEIGHTS)
    assert frames.shape == (1, 3, 16, 16, 1)
    np.testing.assert_allclose(np.asarray(model(frames)), trained(frames), atol=1e-5)
    scores = preset.record["metrics"]["folder test (2 samples)"]
    assert scores.keys() == {"model", "persistence"}
    assert preset.record["files"] == {"trained": ["0.npy", "1.npy", "2.npy"], "scored": ["4.npy"]}
    card = preset.card_path.read_text()
    assert "- Files: trained on `0.npy`, `1.npy`, `2.npy`; scored on `4.npy`.\n" in card
    assert card == model_card(preset)
    assert "| MSE | MAE | SSIM | SSIM (range 2) | PSNR |" in card
    assert f"{scores['persistence']['mse']:.2f}" in card
    assert (
        "scs-keras evaluate tiny --data DIR --dataset folder" in card
        and "dBZ" not in card
        and "height and width" not in card
    )
    checkpoint, published = tmp_path / "out" / CHECKPOINT, preset.weights_path.read_bytes()
    checkpoint.unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {CHECKPOINT}, which says on what hardware"):
        publish.publish(tmp_path / "out", folder)
    assert preset.weights_path.read_bytes() == published
