"""Training by recipe: settings, resuming, logs, that it learns."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest

from scs_keras import ASTSGD, SCSModel, SCSNetwork, zoo
from scs_keras.training import evaluate, output, run
from scs_keras.training.checkpoint import Checkpoint, cost_of
from scs_keras.training.distribute import is_chief, strategy_scope
from scs_keras.training.output import Output
from scs_keras.training.precipitation.recipe import PrecipitationRadar
from scs_keras.training.predict import predict
from scs_keras.training.recipe import Recipe, converted, with_settings
from scs_keras.training.source import source
from scs_keras.training.task import Task

CHECKPOINT, WEIGHTS = "checkpoint.weights.h5", "model.weights.h5"

SETTINGS = [
    "preset=scs_precipitation_small_radar", "steps=12", "checkpoint_every=2", "batch_size=2", "crop=16", "border=2", "warmup=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def radar(tmp_path_factory):
    """Two small storms that move, in the layout of a user's folder."""
    folder = tmp_path_factory.mktemp("radar")
    y, x = np.mgrid[:32, :32]
    for name, speed in (("east", 1), ("west", -1)):
        rain = np.stack([15 * np.exp(-((x - 16 - speed * (t - 8)) ** 2 + (y - 16) ** 2) / 40) for t in range(16)])
        np.savez_compressed(
            folder / f"{name}.npz", rain=(100 * rain).astype("uint16"), valid=np.ones((32, 32), bool),
            times=300 * np.arange(16), step_minutes=5,
        )  # fmt: skip
    return folder


def weights_of(path):
    import h5py

    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
    return found


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(radar, tmp_path):
    command = [sys.executable, "-m", "scs_keras", "train", "precipitation_radar", "--data", str(radar), "--quiet"]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for sign in ("recipe.json", CHECKPOINT):  # before the first checkpoint, and after it
        killed = subprocess.Popen([*command, "--output", str(parts)])
        while not (parts / sign).exists():
            assert killed.poll() is None
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (parts / CHECKPOINT).exists() == (sign == CHECKPOINT)
    assert not (parts / WEIGHTS).exists()
    loud = [part for part in command if part != "--quiet"]
    resumed = subprocess.run([*loud, "--output", str(parts)], capture_output=True, text=True)
    assert resumed.returncode == 0 and "Going on from step" in resumed.stdout, resumed.stderr
    subprocess.run([*command, "--output", str(whole)], check=True)
    expected, received = weights_of(whole / WEIGHTS), weights_of(parts / WEIGHTS)
    assert expected.keys() == received.keys() and len(expected) > 20
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-6, err_msg=name)
    rows = list(csv.DictReader(open(parts / "log.csv")))
    assert [row["epoch"] for row in rows[-5:]] == list("12345")  # the killed epoch's row may be missing
    assert {"loss", "spatial_loss", "p"} <= set(rows[0])
    assert (parts / "tensorboard").exists()
    assert os.path.getsize(whole / WEIGHTS) < os.path.getsize(whole / CHECKPOINT) / 2  # no optimiser state


@pytest.mark.slow
def test_it_learns(radar, tmp_path):
    settings = [*SETTINGS[3:], "preset=convlstm_precipitation_small_radar", "steps=40", "checkpoint_every=10"]
    run.train("precipitation_radar", radar, tmp_path / "learns", [*settings, "learning_rate=0.003"], verbose=0)
    losses = [float(row["loss"]) for row in csv.DictReader(open(tmp_path / "learns" / "log.csv"))]
    assert losses[-1] < losses[0] / 2


class RandomSequences:
    """Random inputs and targets, as samples."""

    name, labels = "random", ()

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return (*(part[0] for part in self.batch(index, 1, 0)), None)

    def about(self, index):
        return dict(name=str(index), group="random")

    def batch(self, step, size, seed):
        return tuple(
            np.random.default_rng((step, part)).normal(size=(size, 2, 4, 3, 1)).astype("float32") for part in (0, 1)
        )


@dataclass(frozen=True)
class Tiny(Recipe):
    """A recipe of one semi-coupled layer on random sequences."""

    task: ClassVar[str] = "precipitation"

    steps: int = 5
    batch_size: int = 4
    checkpoint_every: int = 2
    dropout: float = 0.0

    def check(self):
        pass

    def samples(self, folder, split):
        return RandomSequences()

    def resolve(self, samples):
        return self

    def model(self, samples):
        head = keras.Sequential([keras.layers.Dropout(self.dropout), keras.layers.Dense(1)])
        model = SCSModel(SCSNetwork([2]), head)
        model.build((None, 2, 4, 3, 1))
        model.compile(keras.optimizers.Adam(0.01), "mse", spatial_loss="mse", switch=ASTSGD())
        return model


@pytest.fixture
def tiny(monkeypatch):
    with_tiny(monkeypatch)


def with_tiny(monkeypatch):
    for module in (run, output):
        monkeypatch.setattr(module, "recipes", lambda: {"tiny": Tiny})


@pytest.mark.parametrize(
    ("strategy", "stopped_after"), [("one", 1), pytest.param("mirrored", 0, marks=pytest.mark.slow)]
)
def test_last_stretch_may_be_shorter(strategy, stopped_after, tiny, tmp_path, monkeypatch, two_replicas, uninterrupted):
    """Five steps, a checkpoint every two: on one device or two, stopped and resumed anywhere, the weights are the same."""
    import tensorflow as tf

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    interrupt(monkeypatch, stopped_after, "tiny", tmp_path, tmp_path / "out", strategy=strategy, verbose=0)
    model = run.train("tiny", tmp_path, tmp_path / "out", strategy=strategy, verbose=0)
    assert keras.ops.convert_to_numpy(model.optimizer.iterations) == 5
    expected, received = uninterrupted, weights_of(tmp_path / "out" / WEIGHTS)
    assert expected.keys() == received.keys()
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-5, err_msg=name)


def interrupt(monkeypatch, stopped_after, *arguments, **options):
    """Trains, as if it were interrupted right after the checkpoint of that epoch."""
    with monkeypatch.context() as patch:
        save = Checkpoint.on_epoch_end

        def save_and_stop(self, epoch, logs=None):
            save(self, epoch, logs)
            if epoch == stopped_after:
                raise KeyboardInterrupt

        patch.setattr(Checkpoint, "on_epoch_end", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run.train(*arguments, **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights of the tiny recipe, trained in one go on one device."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        with_tiny(patch)
        run.train("tiny", folder, folder, verbose=0)
    assert [row["epoch"] for row in csv.DictReader(open(folder / "log.csv"))] == ["0", "1", "2"]
    return weights_of(folder / WEIGHTS)


def test_the_checkpoint_holds_the_random_generators(tiny, tmp_path, monkeypatch):
    """Dropout goes on where it was: what it drops does not depend on an interruption."""
    settings = ["dropout=0.5"]
    run.train("tiny", tmp_path, tmp_path / "whole", settings, verbose=0)
    interrupt(monkeypatch, 0, "tiny", tmp_path, tmp_path / "parts", settings, verbose=0)
    run.train("tiny", tmp_path, tmp_path / "parts", settings, verbose=0)
    whole, parts = (weights_of(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-6, err_msg=name)


def test_a_training_goes_on_by_its_folder_alone(tiny, tmp_path, monkeypatch, uninterrupted):
    interrupt(monkeypatch, 0, "tiny", tmp_path, tmp_path / "out", verbose=0)
    run.train(tmp_path / "out", tmp_path, verbose=0)
    received = weights_of(tmp_path / "out" / WEIGHTS)
    for name in uninterrupted:
        np.testing.assert_allclose(received[name], uninterrupted[name], atol=1e-5, err_msg=name)
    with pytest.raises(ValueError, match="A new training needs an output folder"):
        run.train("tiny", tmp_path)


def test_a_training_of_an_older_version_says_what_to_do(tiny, tmp_path):
    (tmp_path / "recipe.json").write_text('{"recipe": "tiny", "steps": 5}')
    with pytest.raises(ValueError, match="a training of scs-keras 0.1, .* Start anew in another `output`"):
        run.train("tiny", tmp_path, tmp_path, verbose=0)
    with pytest.raises(FileNotFoundError, match="holds no training: recipe.json is missing"):
        run.train(tmp_path.parent, tmp_path, verbose=0)


def test_only_the_chief_writes(tmp_path, monkeypatch):
    cluster = {"worker": ["a:1", "b:1"]}
    for task, expected in (("worker", 0), True), (("worker", 1), False):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": dict(zip(("type", "index"), task))}))
        assert is_chief() is expected
    monkeypatch.delenv("TF_CONFIG")
    assert is_chief()
    folder = Output(tmp_path / "out", chief=False)
    with folder.writing(folder.weights) as path:
        path.write_text("x")
    assert folder.loggers(append=False) == [] and not folder.folder.exists()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(0, [(0, 6, 3), (6, 7, 1)]), (3, [(3, 6, 3), (6, 7, 1)]), (6, [(6, 7, 1)]), (7, [])],
)
def test_stretches_of_the_steps_that_are_left(steps, expected):
    assert run._stretches(steps, 7, 3) == expected
    assert run._stretches(0, 3, 100) == [(0, 3, 3)]  # `--set steps=3` alone


def test_misspelt_setting_names_the_nearest(radar, tmp_path):
    with pytest.raises(ValueError, match="no setting of this recipe 'learning_rat'. Did you mean 'learning_rate'"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["learning_rat=1"])
    assert not (tmp_path / "x").exists()


def test_setting_of_another_type(radar, tmp_path):
    with pytest.raises(ValueError, match="steps is of type int"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["steps=many"])


@pytest.mark.parametrize("setting", ["steps=0", "checkpoint_every=0"])
def test_steps_and_checkpoints_must_be_positive(setting, radar, tmp_path):
    with pytest.raises(ValueError, match="steps, checkpoint_every and batch_size must be at least 1"):
        run.train("precipitation_radar", radar, tmp_path / "x", [setting])
    assert not (tmp_path / "x").exists()


def test_border_must_leave_some_of_the_crop(radar, tmp_path):
    with pytest.raises(ValueError, match="border must leave some of the crop"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["crop=16", "border=8"])
    assert not (tmp_path / "x").exists()


def test_unknown_recipe(radar, tmp_path):
    with pytest.raises(
        ValueError, match="no recipe, preset or folder of a training 'rain'. .*Allowed: .*precipitation_radar"
    ):
        run.train("rain", radar, tmp_path / "x")


def test_missing_data_leaves_no_output(tmp_path):
    with pytest.raises((ValueError, FileNotFoundError)):
        run.train("precipitation_radar", tmp_path / "nothing", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_output_of_another_training_is_not_overwritten(tmp_path):
    Output(tmp_path).remember(PrecipitationRadar())
    with pytest.raises(ValueError, match="holds a training with other settings \\(seed\\)"):
        Output(tmp_path).remember(with_settings(PrecipitationRadar(), ["seed=1"]))


def test_a_checkpoint_of_another_model_is_named(tiny, tmp_path):
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save_weights(tmp_path / CHECKPOINT)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match="does not hold weights of this recipe's model .*another `output`"):
        run.train("tiny", tmp_path, tmp_path, verbose=0)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_matching_recipe_json_is_left_alone(tmp_path):
    recipe = replace(PrecipitationRadar(), arguments={"patch": 2}, freeze=("head",))
    Output(tmp_path).remember(recipe)
    before = (tmp_path / "recipe.json").stat()
    Output(tmp_path).remember(recipe)
    assert Output(tmp_path).recipe() == recipe
    after = (tmp_path / "recipe.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_killed_while_writing_leaves_no_half_a_file(tmp_path, monkeypatch):
    def write_half(path, text):
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    checkpoint = Checkpoint(Output(tmp_path))
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    before = (tmp_path / CHECKPOINT).read_bytes()
    minutes, hardware = cost_of(tmp_path / CHECKPOINT)
    assert minutes >= 0 and keras.backend.backend() in hardware and "CPU cores" in hardware
    monkeypatch.setattr(Path, "write_text", write_half)
    monkeypatch.setattr(keras.Sequential, "save_weights", lambda self, path: write_half(path, "half"))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.on_epoch_end(1, {"loss": 1.0})
    with pytest.raises(KeyboardInterrupt):
        Output(tmp_path).remember(PrecipitationRadar())
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(tmp_path):
    callback = Checkpoint(Output(tmp_path))
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        callback.on_epoch_end(0, {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_weights_that_became_nan_are_not_kept(tiny, tmp_path, monkeypatch):
    """By the last step of an epoch, whose loss was still a number."""
    monkeypatch.setattr(keras.optimizers.Adam, "learning_rate", float("nan"))
    with pytest.raises(FloatingPointError, match="weights became infinite or NaN in epoch 1. .*another `output`"):
        run.train("tiny", tmp_path, tmp_path / "out", ["steps=1"], verbose=0)
    assert not (tmp_path / "out" / CHECKPOINT).exists() and not (tmp_path / "out" / WEIGHTS).exists()


def test_what_cannot_end_well_leaves_no_training(tiny, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Tiny, "model", lambda self, samples: 1 / 0)  # for example weights of another model
        with pytest.raises(ZeroDivisionError):
            run.train("tiny", tmp_path, out, verbose=0)
    assert not out.exists()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: type("Usage", (), dict(free=100)))
        patch.setattr(SCSModel, "fit", None)
        with pytest.raises(OSError, match="MB of free disk"):
            run.train("tiny", tmp_path, out, verbose=0)
    assert not list(out.iterdir())
    (out / "tensorboard").write_text("")
    with pytest.raises(OSError, match="is a file where a folder is needed"):
        run.train("tiny", tmp_path, out, verbose=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing", "is not what a training wrote"),
        ("[1]", "is not what a training wrote"),
        ('{"format": 2, "recipe": "tiny"}', "recipe or settings are missing"),
        ('{"format": 2, "recipe": "tiny", "settings": {"gone": 1, "arguments": {}}}', "of another version"),
    ],
)
def test_a_broken_recipe_json_is_one_sentence(text, expected, tiny, tmp_path):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match=f"recipe.json is .*{expected.removeprefix('is ')}"):
        run.train(tmp_path, tmp_path, verbose=0)


def test_a_broken_checkpoint_shows_before_data_is_read(tiny, tmp_path, monkeypatch):
    (tmp_path / CHECKPOINT).write_text("half")
    monkeypatch.setattr(Tiny, "samples", None)
    with pytest.raises(ValueError, match="does not hold weights of a training .it is no HDF5 file.. Delete it"):
        run.train("tiny", tmp_path, tmp_path, verbose=0)


def test_what_a_killed_training_left_is_removed_at_the_next_start(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    for name in (CHECKPOINT, WEIGHTS, "recipe.json"):
        (tmp_path / f".{killed.pid}.{name}").write_text("half")
    (tmp_path / f".{os.getppid()}.{WEIGHTS}").write_text("another's")
    Output(tmp_path).check()
    assert [path.name for path in tmp_path.iterdir()] == [f".{os.getppid()}.{WEIGHTS}"]


def test_something_must_be_left_to_train():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="a"), keras.layers.Dense(1, name="b")])
    PrecipitationRadar(freeze=("a",))._freeze(model)
    assert len(model.trainable_variables) == 2
    with pytest.raises(ValueError, match="Nothing is left to train. Received: freeze=a,b"):
        PrecipitationRadar(freeze=("a", "b"))._freeze(model)


@pytest.fixture
def eagerly(monkeypatch):
    """Training without a graph, which takes longer to trace than a few steps take."""
    monkeypatch.setattr(keras.Model, "run_eagerly", property(lambda model: True, lambda model, value: None))


def test_quiet_is_quiet(eagerly, tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # of which there is a hint
    for verbose, expected in ((0, False), (2, True)):
        out = tmp_path / str(verbose)
        interrupt(monkeypatch, 0, "tiny", tmp_path, out, verbose=verbose)
        run.train("tiny", tmp_path, out, verbose=verbose)
        said = capfd.readouterr().out
        assert ("Going on from step 2" in said) == ('pip install "scs-keras[tensorboard]"' in said) == expected


def test_unknown_strategy():
    with pytest.raises(ValueError, match="must be one of"):
        strategy_scope("two")


def test_mirrored_needs_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        strategy_scope("mirrored")


def test_settings_are_converted_by_their_annotation():
    recipe = with_settings(
        PrecipitationRadar(),
        ["freeze=head,encoder", "warmup=7", "model.patch=8", "model.network=convlstm", "dry_share=.5"],
    )
    assert recipe.freeze == ("head", "encoder") and recipe.warmup == 7 and recipe.dry_share == 0.5
    assert recipe.arguments == {"patch": 8, "network": "convlstm"}
    assert converted("False", bool) is False and converted("true", bool) is True
    assert converted("none", int | None) is None and converted("3", int | None) == 3
    assert converted("(1, 2)", tuple[int, ...]) == (1, 2) and converted("", tuple[str, ...]) == ()
    with pytest.raises(ValueError, match="must be KEY=VALUE. For example: the setting .steps=1200"):
        with_settings(PrecipitationRadar(), ["steps"])


def test_unknown_arguments_of_the_model_are_refused_before_data_is_read(tmp_path):
    with pytest.raises(ValueError, match="'patsh'. Did you mean 'patch'"):
        run.train("precipitation_radar", tmp_path / "nothing", tmp_path / "x", ["model.patsh=2"])


def test_a_preset_is_trained_by_its_recipe():
    recipe = run.recipe_of("convlstm_precipitation_small_radar", ["steps=3"])
    assert (recipe.preset, recipe.steps) == ("convlstm_precipitation_small_radar", 3)
    assert isinstance(recipe, PrecipitationRadar)


def test_weights_and_names_that_do_not_fit_show_before_data_is_read(radar, tmp_path, monkeypatch):
    zoo.load("convlstm_precipitation_small_radar", weights=None, patch=8).save_weights(tmp_path / "other.weights.h5")
    monkeypatch.setattr(PrecipitationRadar, "samples", lambda *arguments: pytest.fail("data was read"))
    for setting, message in (
        (f"weights={tmp_path / 'other.weights.h5'}", "does not hold weights of convlstm_precipitation_small_radar"),
        ("freeze=encodr", "no layer of this model 'encodr'. Did you mean 'encoder'"),
    ):
        with pytest.raises(ValueError, match=message):
            run.train("convlstm_precipitation_small_radar", radar, tmp_path / "out", [setting], verbose=0)
    assert not (tmp_path / "out").exists()


def test_how_files_are_read_is_remembered(tmp_path, monkeypatch):
    """By `evaluate` and `predict` of the training's folder, unless it is said anew."""
    folder = Output(tmp_path / "run")
    folder.remember(with_settings(PrecipitationRadar(), ["zr=300,1.4", "variable=DBZH", "steps=7"]).resolve(None))
    folder.weights.touch()
    trained, other = source(folder.folder), source("scs_precipitation_small_radar")
    told = dict(zr="300,1.4", variable="DBZH")
    assert trained.options("evaluate", {}) == trained.options("evaluate", {}, "radar") == told
    assert trained.options("evaluate", {}, "folder") == other.options("evaluate", {}) == {}
    given = dict(steps=None, zr=None, unit=None, variable="")
    assert trained.options("predict", given) == dict(
        steps=None, zr="300,1.4", unit=None, variable=""
    )  # steps: of images
    assert other.options("predict", given) == given
    seen = []
    monkeypatch.setattr(Task, "read", lambda self, *arguments, **options: seen.append(options))
    evaluate.read(trained, tmp_path, stride=3, zr="200,1.6")
    monkeypatch.setattr("scs_keras.training.predict.resolve", lambda name: lambda *_, **options: seen.append(options))
    predict(trained, tmp_path, tmp_path / "out", steps=2, zr=None)
    assert seen == [dict(told, stride=3, zr="200,1.6"), dict(told, steps=2)]


def test_files_are_read_once(eagerly, radar, tmp_path, monkeypatch):
    from scs_keras.training.data import radar_files

    seen, read = [], radar_files.read_event
    monkeypatch.setattr(radar_files, "read_event", lambda path, *given: seen.append(path.name) or read(path, *given))
    settings = [*SETTINGS[3:], "preset=convlstm_precipitation_small_radar", "steps=2", "checkpoint_every=1"]
    run.train("precipitation_radar", radar, tmp_path / "once", settings, verbose=0)
    assert sorted(seen) == ["east.npz", "west.npz"]
