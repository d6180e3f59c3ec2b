"""The command line as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from scs_keras import __main__ as cli
from scs_keras.training.demo import wettest_area
from scs_keras.zoo.precipitation.sample import SAMPLE

PRESET = "scs_precipitation_advection_small_radar"


def run(*arguments, **environment):
    command = [sys.executable, "-m", "scs_keras", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.fixture
def small_event(tmp_path):
    with np.load(SAMPLE) as arrays:
        event = {key: arrays[key] for key in arrays}
    area = wettest_area(event["rain"], side=64)
    event |= dict(rain=event["rain"][(slice(None), *area)], valid=event["valid"][area])
    folder = tmp_path / "radar"
    folder.mkdir()
    np.savez_compressed(folder / "small.npz", **event)
    return folder / "small.npz"


def test_demo_leaves_pictures_and_a_table(tmp_path, capsys, monkeypatch):
    cli.main(["demo", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    for name in (
        PRESET,
        "scs_precipitation_small_radar",
        "convlstm_precipitation_small_radar",
        "persistence",
        "advection",
    ):
        assert name in printed
    for word in ("MSE", "CSI", "FAR", "POD", "correlation"):
        assert word in printed
    assert (tmp_path / "forecast.png").stat().st_size > 20_000 and (tmp_path / "forecast.gif").stat().st_size > 20_000


def test_evaluate_writes_the_scores(small_event, tmp_path, capsys):
    out = tmp_path / "scores.json"
    cli.main(["evaluate", PRESET, "--data", str(small_event.parent), "--json", str(out), "--stride", "3"])
    scores = json.loads(out.read_text())["small"]
    assert scores.keys() == {"model", "persistence", "advection"}
    expected = {"mse", "correlation"} | {
        f"{score}_{suffix}" for score in ("csi", "far", "pod") for suffix in ("paper", "0.5", "2", "5", "10")
    }
    assert all(values.keys() == expected for values in scores.values())
    assert scores["model"]["mse"] < scores["persistence"]["mse"]


def test_predict_writes_an_event_and_a_picture(small_event, tmp_path):
    cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "out"), "--steps", "7"])
    with np.load(tmp_path / "out" / "forecast.npz", allow_pickle=False) as forecast, np.load(small_event) as observed:
        assert forecast["rain"].shape == (7, 64, 64) and forecast["rain"].min() >= 0
        assert list(np.diff(forecast["times"])) == [300] * 6 and forecast["times"][0] == observed["times"][-1] + 300
    assert (tmp_path / "out" / "forecast.png").exists()


def test_presets_are_listed(capsys):
    cli.main(["presets", "--task", "precipitation"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and any(
        line.startswith("scs_precipitation_15_reec") and "no weights" in line for line in lines
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", PRESET, "--input", "nothing.npz", "--output", "x"], "nothing.npz: there is no such file"),
        (["evaluate", PRESET, "--data", "nothing"], "nothing: there is no such folder"),
        (["evaluate", PRESET, "--data", "."], "the folder has no .npz file"),
        (
            ["evaluate", "scs_precipitation_smal_radar", "--data", "."],
            "There is no preset 'scs_precipitation_smal_radar'. Did you mean 'scs_precipitation_small_radar'?",
        ),
        (
            ["export", PRESET, "--output", "x", "--weights", "mine.weights.h5"],
            "There is no weights file 'mine.weights.h5'",
        ),
        (
            ["export", "scs_precipitation_15_reec", "--output", "x"],
            'zoo.load("scs_precipitation_15_reec", weights=None)',
        ),
    ],
)
def test_errors_are_one_message(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert str(exit.value).startswith(f"scs-keras {arguments[0]}: ") and message in str(exit.value)
    assert not list(tmp_path.iterdir())


def test_predict_needs_enough_images(small_event, tmp_path):
    with np.load(small_event) as arrays:
        event = {key: arrays[key] for key in arrays}
    np.savez_compressed(small_event, **{**event, "rain": event["rain"][:3], "times": event["times"][:3]})
    with pytest.raises(SystemExit, match="Needed: 5 frames to see, found: 3"):
        cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_predict_needs_positive_steps(small_event, tmp_path):
    with pytest.raises(SystemExit, match="--steps must be at least 1"):
        cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "o"), "--steps", "0"])


def test_publish_needs_a_finished_training(tmp_path):
    with pytest.raises(SystemExit, match="holds no finished training"):
        cli.main(["publish", str(tmp_path), "--data", str(tmp_path)])


def test_missing_backend_says_what_to_type():
    result = run("presets", KERAS_BACKEND="torch_that_is_not_there")
    assert result.returncode != 0 and 'pip install "scs-keras[tensorflow]"' in result.stderr
