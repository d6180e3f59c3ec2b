"""A task is two folders and no shared line: one that only the tests have does all that the commands offer."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import scs_keras.training
import scs_keras.zoo
from scs_keras import __main__ as cli
from scs_keras import zoo
from scs_keras.training import task as tasks
from scs_keras.training.card import model_card

TOY = Path(__file__).parent / "toy"
NAME = "scs_direction_small_dots"


@pytest.fixture(scope="module", autouse=True)
def installed():
    """The task's folders on the packages' paths, as if they lay there."""
    added = [(scs_keras.zoo.__path__, str(TOY / "zoo")), (scs_keras.training.__path__, str(TOY / "training"))]
    for path, folder in added:
        path.append(folder)
    yield
    for path, folder in added:
        path.remove(folder)


def run(*arguments):
    cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder of data, folder of a finished training)."""
    place = tmp_path_factory.mktemp("direction")
    run("dots", place / "data", "--count", "24")
    run("train", "direction_dots", "--data", place / "data", "--output", place / "run", "--quiet")
    return place / "data", place / "run"


def test_it_is_found(capsys):
    assert "direction" in zoo.tasks() and "direction_dots" in tasks.recipes()
    run("presets", "--task", "direction")
    assert capsys.readouterr().out.startswith(NAME)


def test_its_command_and_options_are_in_the_help(capsys):
    for words, expected in (
        (["--help"], ["dots", "write a folder of moving dots"]),
        (["dots", "--help"], ["--count", "folder"]),
        (["evaluate", NAME, "--help"], ["--reversed", "--speed"]),
        (["evaluate", "--help"], ["A task has further options: scs-keras evaluate PRESET --help"]),
        (["predict", NAME, "--help"], ["--digits"]),
        (["train", "direction_dots", "--help"], ["Left or right? A second on one core", "learning_rate=0.05"]),
        (["train", "--help"], ["direction_dots", "precipitation_radar", "video_prediction"]),
    ):
        with pytest.raises(SystemExit) as exit:
            run(*words)
        printed = capsys.readouterr().out
        assert exit.value.code == 0 and all(each in printed for each in expected), printed
    assert "--reversed" not in printed


def test_it_trains_and_evaluates_beside_a_fitted_baseline(trained, tmp_path, capsys):
    data, folder = trained
    run("evaluate", folder, "--data", data, "--reversed", "--json", tmp_path / "scores.json")
    printed = capsys.readouterr().out
    assert "dots test" in printed and "Share of the sequences whose direction is told." in printed
    found = json.loads((tmp_path / "scores.json").read_text())
    assert list(found["scores"]) == ["model", "in reverse", "majority", "centroid"]
    assert found["scores"]["model"]["accuracy"] == 1.0 > found["scores"]["in reverse"]["accuracy"]
    assert found["scores"]["majority"] == {"accuracy": 0.5, "count": 8}
    assert found["parts"]["speed"].keys() == {"speed 1", "speed 2"} and found["samples"] == 8
    assert found["model"] == str(folder) and found["preset"] == NAME
    run("evaluate", folder, "--data", data, "--speed", "2", "--split", "val", "--json", tmp_path / "fast.json")
    assert json.loads((tmp_path / "fast.json").read_text())["parts"]["speed"].keys() == {"speed 2"}


def test_an_option_of_another_data_set_is_refused(trained):
    data, folder = trained
    with pytest.raises(SystemExit, match="--speed is not an option of the data set all_dots. Leave it out."):
        run("evaluate", folder, "--data", data, "--dataset", "all_dots", "--speed", "2")


def test_the_classes_of_the_folder_are_in_the_recipe(trained):
    settings = json.loads((trained[1] / "recipe.json").read_text())["settings"]
    assert settings["arguments"] == {"classes": 2} and settings["dataset"] == "dots"


def test_it_predicts_from_a_file(trained, tmp_path, capsys):
    data, folder = trained
    run("predict", folder, "--input", data / "01.npz", "--output", tmp_path / "out", "--digits", "1")
    assert re.fullmatch(r"right [01]\.\d\n", (tmp_path / "out" / "direction.txt").read_text())
    assert "direction.txt" in capsys.readouterr().out


def test_it_exports(trained, tmp_path):
    import tensorflow as tf

    run("export", trained[1], "--output", tmp_path / "served")
    frames = zoo.get_preset(NAME).make_example()
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    answer = served.signatures["serving_default"](frames=tf.constant(frames))
    assert int(np.argmax(answer["output"])) == 1 and answer["labels"][0, 0] == b"right"
    assert (tmp_path / "served" / "1" / "assets.extra" / "labels.txt").read_text() == "left\nright\n"


def test_it_is_published_with_a_card(trained, tmp_path, monkeypatch):
    import dataclasses

    package = __import__("scs_keras.zoo.direction", fromlist=["PRESETS"])
    preset = dataclasses.replace(package.PRESETS[0], folder=tmp_path / "weights", arguments=dict(filters=4))
    monkeypatch.setattr(package, "PRESETS", (preset,))
    data, folder = trained
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["settings"]["arguments"] = {}  # as if nothing had been left to the folder
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("model.weights.h5", "checkpoint.weights.h5"):
        (copy / name).write_bytes((folder / name).read_bytes())
    (copy / "recipe.json").write_text(json.dumps(recipe))
    run("publish", copy, "--data", data, "--golden", tmp_path / "golden")
    card = preset.card_path.read_text()
    assert card == model_card(preset)
    assert "| speed 1 | accuracy | samples |" in card and "| centroid | **1.000** | 4 |" in card
    assert f"scs-keras evaluate {NAME} --data DIR --dataset dots --limit 12" in card
    model = zoo.load(NAME)
    with np.load(tmp_path / "golden" / f"{NAME}.golden.npz") as arrays:
        np.testing.assert_allclose(np.asarray(model(preset.make_example())), arrays["output"], atol=1e-5)


def test_fine_tuning_starts_from_weights_and_freezes_layers(trained, tmp_path):
    data, folder = trained
    settings = ["--set", f"weights={folder / 'model.weights.h5'}", "--set", "steps=2", "--set", "checkpoint_every=1"]
    run(
        "train",
        NAME,
        "--data",
        data,
        "--output",
        tmp_path / "tuned",
        "--quiet",
        *settings,
        "--set",
        "freeze=network",
    )
    before, after = (
        keras.tree.flatten(zoo.load(NAME, weights=place / "model.weights.h5").network.get_weights())
        for place in (folder, tmp_path / "tuned")
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(SystemExit, match="no layer of this model 'backbon'"):
        run("train", NAME, "--data", data, "--output", tmp_path / "wrong", "--quiet", "--set", "freeze=backbon")


def test_weights_and_frozen_layers_are_options_and_the_end_says_what_to_type(trained, tmp_path, capfd):
    data, folder = trained
    command = ["train", NAME, "--data", data, "--output", tmp_path / "my run", "--set", "steps=1", "--set"]
    command += ["checkpoint_every=1", "--weights", folder / "model.weights.h5", "--freeze", "network"]
    run(*command)
    settings = json.loads((tmp_path / "my run" / "recipe.json").read_text())["settings"]
    assert settings["weights"] == str(folder / "model.weights.h5") and settings["freeze"] == ["network"]
    said = capfd.readouterr().out
    assert f"Wrote {tmp_path / 'my run' / 'model.weights.h5'}. Next:" in said
    assert f"scs-keras evaluate '{tmp_path / 'my run'}' --data {data}" in said and "scs-keras export '" in said
    run(*command, "--quiet")
    assert capfd.readouterr().out == ""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "recipe.json").write_bytes((folder / "recipe.json").read_bytes())
    (tmp_path / "x" / "model.weights.h5").write_bytes((folder / "model.weights.h5").read_bytes()[:3000])
    with pytest.raises(SystemExit, match=f"Write it anew from the checkpoint: scs-keras train {tmp_path / 'x'} --data"):
        run("evaluate", tmp_path / "x", "--data", data)


def test_a_truth_value_is_one(trained, tmp_path):
    data, _ = trained
    arguments = ["train", NAME, "--data", data, "--output", tmp_path / "out", "--quiet", "--set", "steps=1"]
    run(*arguments, "--set", "shuffle=False", "--set", "checkpoint_every=1")
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["settings"]["shuffle"] is False
    with pytest.raises(SystemExit, match="shuffle is true or false"):
        run(*arguments, "--set", "shuffle=maybe")


def test_nothing_outside_the_tests_knows_it():
    package = Path(scs_keras.zoo.__file__).parents[1]
    assert not [path for path in package.rglob("*.py") if "direction_dots" in path.read_text()]
