"""Training by recipe: settings, resuming, logs, that it learns."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from scs_keras import ASTSGD, SCSModel, SCSNetwork
from scs_keras.training import run
from scs_keras.training.data.step_dataset import step_dataset

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


def test_killed_and_resumed_equals_uninterrupted(radar, tmp_path):
    command = [sys.executable, "-m", "scs_keras", "train", "precipitation_radar", "--data", str(radar), "--quiet"]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for sign in ("recipe.json", run.CHECKPOINT):  # before the first checkpoint, and after it
        killed = subprocess.Popen([*command, "--output", str(parts)])
        while not (parts / sign).exists():
            assert killed.poll() is None
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (parts / run.CHECKPOINT).exists() == (sign == run.CHECKPOINT)
    assert not (parts / run.WEIGHTS).exists()
    resumed = subprocess.run([*command, "--output", str(parts)], capture_output=True, text=True)
    assert resumed.returncode == 0 and "Going on from step" in resumed.stdout, resumed.stderr
    subprocess.run([*command, "--output", str(whole)], check=True)
    expected, received = weights_of(whole / run.WEIGHTS), weights_of(parts / run.WEIGHTS)
    assert expected.keys() == received.keys() and len(expected) > 20
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-6, err_msg=name)
    rows = list(csv.DictReader(open(parts / "log.csv")))
    assert [row["epoch"] for row in rows[-5:]] == list("12345")  # the killed epoch's row may be missing
    assert {"loss", "spatial_loss", "p"} <= set(rows[0])
    assert (parts / "tensorboard").exists()
    assert os.path.getsize(whole / run.WEIGHTS) < os.path.getsize(whole / run.CHECKPOINT) / 2  # no optimiser state


def test_it_learns(radar, tmp_path):
    settings = [*SETTINGS[3:], "preset=convlstm_precipitation_small_radar", "steps=40", "checkpoint_every=10"]
    run.train("precipitation_radar", radar, tmp_path / "learns", [*settings, "learning_rate=0.003"], verbose=0)
    losses = [float(row["loss"]) for row in csv.DictReader(open(tmp_path / "learns" / "log.csv"))]
    assert losses[-1] < losses[0] / 2


def tiny_recipe():
    """A recipe of one semi-coupled layer on random sequences."""

    @dataclass(frozen=True)
    class Recipe:
        steps: int = 5
        checkpoint_every: int = 2
        seed: int = 0

    def build(recipe):
        model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
        model.build((None, 2, 4, 3, 1))
        model.compile(keras.optimizers.Adam(0.01), "mse", spatial_loss="mse", switch=ASTSGD())
        return model

    def batches(recipe, folder, start_step):
        def batch(step):
            return tuple(
                np.random.default_rng((step, part)).normal(size=(4, 2, 4, 3, 1)).astype("float32") for part in (0, 1)
            )

        return step_dataset(batch, [(4, 2, 4, 3, 1)] * 2, start_step)

    return SimpleNamespace(Recipe=Recipe, build=build, batches=batches)


@pytest.mark.parametrize(("strategy", "stopped_after"), [("one", 1), ("mirrored", 0)])
def test_last_stretch_may_be_shorter(strategy, stopped_after, tmp_path, monkeypatch, two_replicas, uninterrupted):
    """Five steps, a checkpoint every two: on one device or two, stopped and resumed anywhere, the weights are the same."""
    import tensorflow as tf

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    monkeypatch.setattr(run, "load_recipe", lambda name: tiny_recipe())
    with monkeypatch.context() as patch:
        save = run.Checkpoint.on_epoch_end

        def save_and_stop(self, epoch, logs=None):
            save(self, epoch, logs)
            if epoch == stopped_after:
                raise KeyboardInterrupt

        patch.setattr(run.Checkpoint, "on_epoch_end", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run.train("tiny", tmp_path, tmp_path / "out", strategy=strategy, verbose=0)
    model = run.train("tiny", tmp_path, tmp_path / "out", strategy=strategy, verbose=0)
    assert keras.ops.convert_to_numpy(model.optimizer.iterations) == 5
    expected, received = uninterrupted, weights_of(tmp_path / "out" / run.WEIGHTS)
    assert expected.keys() == received.keys()
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights of the tiny recipe, trained in one go on one device."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_recipe", lambda name: tiny_recipe())
        run.train("tiny", folder, folder, verbose=0)
    assert [row["epoch"] for row in csv.DictReader(open(folder / "log.csv"))] == ["0", "1", "2"]
    return weights_of(folder / run.WEIGHTS)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(0, [(0, 6, 3), (6, 7, 1)]), (3, [(3, 6, 3), (6, 7, 1)]), (6, [(6, 7, 1)]), (7, [])],
)
def test_stretches_of_the_steps_that_are_left(steps, expected):
    assert run._stretches(steps, 7, 3) == expected
    assert run._stretches(0, 3, 100) == [(0, 3, 3)]  # `--set steps=3` alone


def test_misspelt_setting_names_the_nearest(radar, tmp_path):
    with pytest.raises(ValueError, match="Did you mean learning_rate=0.0005"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["learning_rat=1"])
    assert not (tmp_path / "x").exists()


def test_setting_of_another_type(radar, tmp_path):
    with pytest.raises(ValueError, match="steps is of type int"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["steps=many"])


@pytest.mark.parametrize("setting", ["steps=0", "checkpoint_every=0"])
def test_steps_and_checkpoints_must_be_positive(setting, radar, tmp_path):
    with pytest.raises(ValueError, match="steps and checkpoint_every must be at least 1"):
        run.train("precipitation_radar", radar, tmp_path / "x", [setting])
    assert not (tmp_path / "x").exists()


def test_border_must_leave_some_of_the_crop(radar, tmp_path):
    with pytest.raises(ValueError, match="border must leave some of the crop"):
        run.train("precipitation_radar", radar, tmp_path / "x", ["crop=16", "border=8"])
    assert not (tmp_path / "x").exists()


def test_unknown_recipe(radar, tmp_path):
    with pytest.raises(ValueError, match="no recipe 'rain'. Allowed: precipitation_radar"):
        run.train("rain", radar, tmp_path / "x")


def test_missing_data_leaves_no_output(tmp_path):
    with pytest.raises((ValueError, FileNotFoundError)):
        run.train("precipitation_radar", tmp_path / "nothing", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_output_of_another_training_is_not_overwritten(tmp_path):
    recipe = run.load_recipe("precipitation_radar").Recipe()
    run._remember(tmp_path, "precipitation_radar", recipe)
    with pytest.raises(ValueError, match="holds a training with other settings \\(seed\\)"):
        run._remember(tmp_path, "precipitation_radar", run.with_settings(recipe, ["seed=1"]))


def test_a_checkpoint_of_another_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load_recipe", lambda name: tiny_recipe())
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save_weights(tmp_path / run.CHECKPOINT)
    before = (tmp_path / run.CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match="does not hold weights of this recipe's model .*another --output"):
        run.train("tiny", tmp_path, tmp_path, verbose=0)
    assert (tmp_path / run.CHECKPOINT).read_bytes() == before


def test_a_matching_recipe_json_is_left_alone(tmp_path):
    recipe = run.load_recipe("precipitation_radar").Recipe()
    run._remember(tmp_path, "precipitation_radar", recipe)
    before = (tmp_path / "recipe.json").stat()
    run._remember(tmp_path, "precipitation_radar", recipe)
    after = (tmp_path / "recipe.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_killed_while_writing_leaves_no_half_a_file(tmp_path, monkeypatch):
    def write_half(path, text):
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    checkpoint = run.Checkpoint(tmp_path / run.CHECKPOINT)
    checkpoint.set_model(SimpleNamespace(save_weights=lambda path: path.write_bytes(b"weights")))
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    before = (tmp_path / "time.json").read_text()
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.on_epoch_end(1, {"loss": 1.0})
    with pytest.raises(KeyboardInterrupt):
        run._remember(tmp_path, "precipitation_radar", run.load_recipe("precipitation_radar").Recipe())
    assert (tmp_path / "time.json").read_text() == before and not (tmp_path / "recipe.json").exists()


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(tmp_path):
    callback = run.Checkpoint(tmp_path / "c.weights.h5")
    with pytest.raises(FloatingPointError, match="smaller --set learning_rate"):
        callback.on_epoch_end(0, {"loss": float("nan")})
    assert not (tmp_path / "c.weights.h5").exists()


def test_unknown_strategy():
    with pytest.raises(ValueError, match="must be one of"):
        run.strategy_scope("two")


def test_mirrored_needs_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        run.strategy_scope("mirrored")
