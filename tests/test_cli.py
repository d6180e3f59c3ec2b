"""The command line as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from scs_keras import __main__ as cli
from scs_keras.training.source import Source
from scs_keras.zoo.precipitation.sample import SAMPLE

PRESET = "scs_precipitation_advection_small_radar"


def run(*arguments, **environment):
    command = [sys.executable, "-m", "scs_keras", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.fixture
def small_event(tmp_path):
    with np.load(SAMPLE) as arrays:
        event = {key: arrays[key] for key in arrays}
    area = slice(24, 88), slice(24, 88)  # it rains there
    event |= dict(rain=event["rain"][(slice(None), *area)], valid=event["valid"][area])
    folder = tmp_path / "radar"
    folder.mkdir()
    np.savez_compressed(folder / "small.npz", **event)
    return folder / "small.npz"


@pytest.mark.slow
def test_evaluate_writes_the_scores(small_event, tmp_path, capsys):
    out = tmp_path / "scores.json"
    cli.main(["evaluate", PRESET, "--data", str(small_event.parent), "--json", str(out), "--stride", "3"])
    found = json.loads(out.read_text())
    scores = {name: values for name, values in found["parts"]["event"]["small"].items()}
    assert scores == found["scores"]  # of one event
    assert scores.keys() == {"model", "persistence", "advection", "scale_filter"}
    expected = {"mse", "correlation", "spectrum", "crps", "bias_paper", "csi_0.5", "brier_2", "fss_10_40km"}
    assert all(values.keys() >= expected for values in scores.values())
    assert scores["model"]["mse"] < scores["persistence"]["mse"]


@pytest.mark.slow
def test_predict_writes_an_event_and_a_picture(small_event, tmp_path):
    cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "out"), "--steps", "7"])
    with np.load(tmp_path / "out" / "forecast.npz", allow_pickle=False) as forecast, np.load(small_event) as observed:
        assert forecast["rain"].shape == (7, 64, 64) and forecast["rain"].min() >= 0
        assert list(np.diff(forecast["times"])) == [300] * 6 and forecast["times"][0] == observed["times"][-1] + 300
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"forecast.npz", "forecast.png", "forecast.gif"}


def test_presets_are_listed(capsys):
    cli.main(["presets", "--task", "precipitation"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and any(
        line.startswith("scs_precipitation_15_reec") and "no weights" in line for line in lines
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", PRESET, "--input", "nothing.npz", "--output", "x"], "nothing.npz: there is no such file"),
        (["evaluate", PRESET, "--data", "nothing"], "nothing: there is no such folder"),
        (["evaluate", PRESET, "--data", "."], "the folder has no radar events"),
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
            "Train it, scs-keras train scs_precipitation_15_reec --data DIR --output RUN, or give --weights FILE.",
        ),
    ],
)
def test_errors_are_one_message(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert str(exit.value).startswith(f"scs-keras {arguments[0]}: ") and message in str(exit.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_model(monkeypatch):
    """What can be checked before the model is made is."""
    monkeypatch.setattr(Source, "load", lambda self: pytest.fail("the model was made before all was checked"))


def test_predict_needs_enough_images(small_event, tmp_path, no_model):
    with np.load(small_event) as arrays:
        event = {key: arrays[key] for key in arrays}
    np.savez_compressed(small_event, **{**event, "rain": event["rain"][:3], "times": event["times"][:3]})
    with pytest.raises(SystemExit, match="Needed: 5 frames to see, found: 3"):
        cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_predict_needs_positive_steps(small_event, tmp_path, no_model):
    with pytest.raises(SystemExit, match="--steps must be at least 1"):
        cli.main(["predict", PRESET, "--input", str(small_event), "--output", str(tmp_path / "o"), "--steps", "0"])


def test_publish_needs_a_finished_training(tmp_path):
    with pytest.raises(SystemExit, match="holds no training: recipe.json is missing"):
        cli.main(["publish", str(tmp_path), "--data", str(tmp_path)])


def test_export_needs_a_finished_training(tmp_path):
    run, output = tmp_path / "run", tmp_path / "served"
    run.mkdir()
    (run / "recipe.json").write_text('{"format": 2, "recipe": "precipitation_radar", "settings": {"arguments": {}}}')
    message = f"holds no finished training: .* is missing. Go on with it: scs-keras train {run} --data DIR"
    with pytest.raises(SystemExit, match=message):
        cli.main(["export", str(run), "--output", str(output)])
    assert not output.exists()


def test_missing_backend_says_what_to_type():
    result = run("evaluate", PRESET, "--data", ".", KERAS_BACKEND="torch_that_is_not_there")
    assert result.returncode != 0 and 'pip install "scs-keras[tensorflow]"' in result.stderr


HELP = (
    ["--help"],
    ["--version"],
    ["presets"],
    ["train", "--help"],
    ["train", "precipitation_radar", "--help"],
    ["train", "video_prediction", "--help"],
    ["train", "tau_video_small_radar", "--help"],
    ["evaluate", "--help"],
    ["evaluate", PRESET, "--help"],
    ["predict", "tau_video_taxibj", "--help"],
    ["export", "--help"],
    ["demo", "--help"],
    ["convert", "--help"],
)
WRONG = (
    (["evaluate", PRESET], "the following arguments are required: --data. Type: scs-keras evaluate --help"),
    (["evaluat", "x"], "invalid choice: 'evaluat'"),
    (["train", "precipitation_rada", "--data", "x", "--output", "y"], "Did you mean 'precipitation_radar'"),
    (["train", "precipitation_radar", "--data", "x", "--output", "y", "--set", "step=3"], "Did you mean 'steps'"),
    (["export", "scs_precipitation_smal_radar", "--output", "x"], "Did you mean 'scs_precipitation_small_radar'"),
    (["evaluate", "tau_video_smal_radar", "--data", "x", "--stride", "2"], "Did you mean 'tau_video_small_radar'"),
    (["evaluate", "--data", "x", "tau_video_smal_radar"], "Did you mean 'tau_video_small_radar'"),
    (["predict", PRESET, "--input", "x", "--output", "y", "--beyond"], "unrecognized arguments: --beyond"),
    (["presets", "--task", "rain"], "There is no task 'rain'."),
    (["evaluate", "tau", "--data", "x"], "There is no preset 'tau'. All are listed by: scs-keras presets.\n"),
    (["demo", "--output", __file__], f"scs-keras demo: {__file__}: is a file where a folder is needed"),
    (["demo", "--output", "."], 'scs-keras demo: matplotlib is needed: pip install "scs-keras[pictures]"'),
    (["convert", "x", "--model", "y", "--output", f"{__file__}/a.weights.h5"], f"{__file__}: is a file where a folder"),
    (["train", PRESET, "--data", "x", "--output", __file__], f"{__file__}: is a file where a folder is needed"),
)
WITHOUT_BACKEND = """
import sys
for name in ("keras", "tensorflow", "jax", "matplotlib", "h5py"):
    sys.modules[name] = None                      # cannot be imported
from scs_keras.__main__ import main
for words in {commands}:
    try:
        main(words)
    except SystemExit as exit:
        print("exit:", exit.code, flush=True)
"""


def test_help_and_errors_of_use_need_no_backend():
    commands = [*HELP, *(words for words, _ in WRONG)]
    code = WITHOUT_BACKEND.format(commands=commands)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    exits = [line for line in result.stdout.splitlines() if line.startswith("exit:")]
    assert exits[: len(HELP) - 1] == ["exit: 0"] * (len(HELP) - 1)  # `presets` just ends
    said = result.stdout + result.stderr
    for _, message in WRONG:
        assert message in said, said
    assert "learning_rate=0.0005" in said and "--beyond" in said and "tau_video_taxibj" in said
    helped = " ".join(said.split())
    assert "steps=1200 int" in helped and "freeze= list of str" in helped and "weight_decay=0.0001 float" in helped
    assert "precipitation_radar Precipitation forecasting on radar" in helped and "weight_decay: of AdamW" in helped


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["predict", PRESET, "--input", __file__, "--output", __file__], "is a file where a folder is needed"),
        (["evaluate", PRESET, "--data", ".", "--json", f"{__file__}/a.json"], "is a file where a folder is needed"),
        (["evaluate", PRESET, "--data", ".", "--json", "."], "is a folder where a file is to be written"),
        (["export", PRESET, "--output", f"{__file__}/x"], "is a file where a folder is needed"),
        (["export", PRESET, "--output", "x", "--size", "0", "8"], "--size must be positive"),
        (["demo", "--output", f"{__file__}/x"], "is a file where a folder is needed"),
        (["predict", PRESET, "--input", __file__, "--output", "x"], 'matplotlib is needed: pip install "scs-keras['),
        (["evaluate", PRESET, "--data", "nothing", "--weights", __file__], "does not end in .weights.h5"),
        (["train", PRESET, "--data", "nothing", "--output", "x", "--weights", __file__], "does not end in .weights.h5"),
        (["train", PRESET, "--data", "nothing", "--output", "x", "--weights", "y"], "There is no weights file 'y'"),
        (["train", PRESET, "--data", "nothing", "--output", "x", "--set", "seed=-1"], "seed must be at least 0"),
    ],
)
def test_what_can_be_checked_is_checked_before_anything_is_made(arguments, expected, tmp_path, monkeypatch):
    from scs_keras.zoo.preset import Preset

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Preset, "make", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert expected in str(exit.value) and "\n" not in str(exit.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "a.npz"), "scs-keras presets: a.npz: permission denied."),
        (OSError("Unable to open file\n (bad)"), "scs-keras presets: Unable to open file (bad)"),
        (KeyboardInterrupt(), "scs-keras presets: interrupted."),  # and goes on from nowhere
    ],
)
def test_errors_of_files_are_one_sentence(error, said, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr("scs_keras.zoo.tasks", fail)
    with pytest.raises(SystemExit) as exit:
        cli.main(["presets"])
    assert exit.value.code == said


@pytest.mark.slow
def test_commands_print_no_line_that_is_not_ours(small_event, tmp_path):
    result = run("predict", PRESET, "--input", small_event, "--output", tmp_path / "out")
    assert result.returncode == 0 and result.stderr == "" and len(result.stdout.splitlines()) == 1, result.stderr


def test_every_task_names_its_parts():
    """Each reference of a task leads to something, and its data sets and recipes fit the presets."""
    from scs_keras import zoo
    from scs_keras.training.task import recipes, tasks
    from scs_keras.zoo.reference import resolve

    seen = list(tasks())
    assert {task.name for task in seen} == set(zoo.tasks())
    for task in seen:
        references = [task.scores, task.baselines, task.predict, task.predictors]
        references += [dataset.read for dataset in task.datasets.values()]
        references += [command.run for command in task.commands.values()]
        assert all(callable(resolve(reference)) for reference in references if reference)
        for preset in zoo.list_presets(task.name):
            assert preset.dataset in task.datasets and recipes()[preset.recipe].task == task.name
        for recipe in task.recipes.values():
            assert recipe.task == task.name and recipe().preset in [p.name for p in zoo.list_presets(task.name)]


def test_a_reader_of_the_output_may_have_enough():
    command = f"{sys.executable} -m scs_keras presets | head -1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert len(result.stdout.splitlines()) == 1 and result.stderr == ""


@pytest.mark.slow
def test_it_trains_on_jax(small_event, tmp_path):
    settings = ["steps=2", "checkpoint_every=1", "batch_size=2", "crop=16", "border=2", "warmup=1"]
    command = [
        "train",
        "convlstm_precipitation_small_radar",
        "--data",
        small_event.parent,
        "--output",
        tmp_path / "run",
    ]
    for setting in (*settings, "exclude=", "model.patch=8"):
        command += ["--set", setting]
    result = run(*command, "--quiet", KERAS_BACKEND="jax")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "model.weights.h5").exists()
    cli.main(["evaluate", str(tmp_path / "run"), "--data", str(small_event.parent), "--limit", "1"])  # on TensorFlow
