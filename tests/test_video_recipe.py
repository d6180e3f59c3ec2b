"""The recipe of video prediction, end to end on tiny models: schedule, resuming, logs, that it learns."""

import csv
import json

import h5py
import keras
import numpy as np
import pytest
from video_case import add_preset, save_blobs

from scs_keras import zoo
from scs_keras.training import run
from scs_keras.training.checkpoint import Checkpoint
from scs_keras.training.evaluate import read, score_model
from scs_keras.training.recipe import with_settings
from scs_keras.training.samples import spread
from scs_keras.training.source import source
from scs_keras.training.video_prediction.one_cycle import OneCycle, OneCycleAdam
from scs_keras.training.video_prediction.recipe import VideoPrediction
from scs_keras.training.video_prediction.samples import VideoSamples
from scs_keras.training.video_prediction.validation import Validation

WEIGHTS = "model.weights.h5"

SETTINGS = ["preset=tiny", "dataset=folder", "batch_size=4", "validate=2", "steps=4", "checkpoint_every=2"]


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def losses(folder, column="loss"):
    with open(folder / "log.csv") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def weights_of(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
    return found


class Interrupted(Exception):
    pass


def interrupt_after(monkeypatch, epochs):
    """As killed right after the checkpoint of that epoch."""
    original = Checkpoint.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch + 1 == epochs:
            raise Interrupted

    monkeypatch.setattr(Checkpoint, "on_epoch_end", on_epoch_end)


# --- one cycle --------------------------------------------------------------------------------------------------------


def plain_one_cycle(step, steps, first, peak, last):
    """Two half cosines; the peak is at step 0.3 steps - 1, as in the reference's library."""
    turn, end = 0.3 * steps - 1, steps - 1
    start, stop, share = (first, peak, step / turn) if step <= turn else (peak, last, (step - turn) / (end - turn))
    return stop + (start - stop) / 2 * (1 + np.cos(np.pi * share))


def test_one_cycle_equals_its_definition():
    schedule = OneCycle.of_learning_rate(1e-3, 100)
    for step in range(100):
        expected = plain_one_cycle(step, 100, 4e-5, 1e-3, 4e-9)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-10)
    assert float(schedule(29)) == pytest.approx(1e-3)
    assert float(schedule(99)) == pytest.approx(4e-9, abs=1e-10) == float(schedule(500))
    assert float(OneCycle(1.0, 2.0, 0.0, 2)(1)) == 0
    with pytest.raises(ValueError, match="at least 2 steps. Received: steps=1"):
        OneCycle(1, 2, 3, 1)


def test_one_cycle_adam_equals_plain_adam_with_moving_momentum():
    steps, peak = 20, 0.1
    optimizer = OneCycleAdam(peak, steps)
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    optimizer.build([variable])
    expected, mean, square = np.array([1.0, -2.0]), 0, 0
    for step in range(steps):
        gradient = 2 * expected + np.sin(step)
        beta = plain_one_cycle(step, steps, 0.95, 0.85, 0.95)
        rate = plain_one_cycle(step, steps, peak / 25, peak, peak / 25e4)
        mean, square = beta * mean + (1 - beta) * gradient, 0.999 * square + 0.001 * gradient**2
        corrected = mean / (1 - beta ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        expected = expected - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))])
        np.testing.assert_allclose(numpy_of(variable), expected, rtol=1e-4)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (again.peak, again.steps, again.epsilon) == (peak, steps, 1e-8)


def test_cosine_schedule_warms_up_and_ends_at_the_published_rate():
    recipe = VideoPrediction(schedule="cosine", steps=100, warmup=10, learning_rate=1e-3)
    rate = recipe.optimizer()._learning_rate
    np.testing.assert_allclose(
        [float(rate(step)) for step in (0, 10, 55, 100)], [1e-5, 1e-3, 5.005e-4, 1e-6], rtol=1e-3
    )
    rate = with_settings(recipe, ["warmup=0"]).optimizer()._learning_rate
    np.testing.assert_allclose([float(rate(step)) for step in (0, 50, 100)], [1e-3, 5.005e-4, 1e-6], rtol=1e-3)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def blobs(tmp_path):
    return save_blobs(tmp_path / "blobs")


def test_it_learns(blobs, tmp_path, monkeypatch):
    add_preset(monkeypatch, tmp_path, "tiny")
    settings = [*SETTINGS[:4], "steps=60", "checkpoint_every=20", "learning_rate=0.01"]
    model = run.train("video_prediction", blobs, tmp_path / "out", settings, verbose=0)
    assert losses(tmp_path / "out")[-1] < losses(tmp_path / "out")[0] / 2
    validation = losses(tmp_path / "out", "val_mse_per_frame")
    assert validation[-1] < validation[0]
    trained = source(tmp_path / "out")
    samples = read(trained, blobs, split="val")
    scores = {name: each.result() for name, each in score_model(model, trained, samples, lambda: samples).items()}
    assert validation[-1] == pytest.approx(scores["model"]["mse"], rel=1e-4)
    assert scores["model"]["mse"] < scores["persistence"]["mse"]  # on a video that was not trained on
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["settings"]["preset"] == "tiny"


@pytest.mark.parametrize("model", ["extrapolation", "predrnn"])
def test_interrupted_and_resumed_equals_uninterrupted(model, blobs, tmp_path, monkeypatch):
    """Also with dropout and scheduled sampling: what is drawn does not depend on the interruption."""
    arguments = dict(drop=0.5) if model == "extrapolation" else dict(sampling_changing_rate=0.1)
    add_preset(monkeypatch, tmp_path, "tiny", model, **arguments)
    settings = SETTINGS if model == "extrapolation" else [*SETTINGS, "validate=0", "steps=2", "checkpoint_every=1"]
    run.train("video_prediction", blobs, tmp_path / "whole", settings, verbose=0)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 1)
        run.train("video_prediction", blobs, tmp_path / "parts", settings, verbose=0)
    resumed = run.train("video_prediction", blobs, tmp_path / "parts", settings, verbose=0)
    assert model == "extrapolation" or resumed.sampling.count == 2  # scheduled sampling goes on, too
    expected, received = (weights_of(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert expected.keys() == received.keys() and len(expected) > 3
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-6, err_msg=name)
    assert losses(tmp_path / "whole")[-1] == pytest.approx(losses(tmp_path / "parts")[-1], rel=1e-5)


def test_radar_trains_with_the_same_recipe(tmp_path, monkeypatch):
    y, x = np.mgrid[:24, :24]
    for name in ("a", "b"):
        rain = np.stack([1500 * np.exp(-((x - 6 - t) ** 2 + (y - 12) ** 2) / 20) for t in range(12)]).astype("uint16")
        valid, times = np.ones((24, 24), bool), 300 * np.arange(12)
        np.savez(tmp_path / f"{name}.npz", rain=rain, valid=valid, times=times, step_minutes=5)
    (tmp_path / "split.json").write_text('{"train": ["a"], "val": ["b"]}')
    add_preset(monkeypatch, tmp_path, "tiny")
    settings = [*SETTINGS, "dataset=radar", "schedule=cosine", "warmup=1"]
    run.train("video_prediction", tmp_path, tmp_path / "out", settings, verbose=0)
    assert len(losses(tmp_path / "out", "val_mse_per_frame")) == 2


def test_settings_are_checked_before_anything_is_written(blobs, tmp_path, monkeypatch):
    add_preset(monkeypatch, tmp_path, "tiny")
    for settings, message in (
        (["dataset=foldr"], "Did you mean 'folder'"),
        (["schedule=linear"], "schedule must be one of onecycle, cosine. Received: schedule=linear"),
        (
            ["preset=scs_precipitation_small_radar"],
            "is no video_prediction model but for precipitation. Allowed: .*tau",
        ),
        (["warmup=9"], "warmup must be 0 to steps - 1. Received: warmup=9, steps=4"),
        (["batch_size=0"], "batch_size must be at least 1. Received: .*batch_size=0"),
        (["validate=-1"], "validate must be at least 1, or 0 for none. Received: -1"),
        (["steps=1", "checkpoint_every=1"], "One cycle needs at least 2 steps"),
    ):
        with pytest.raises(ValueError, match=message):
            run.train("video_prediction", blobs, tmp_path / "out", [*SETTINGS, *settings], verbose=0)
        assert not (tmp_path / "out").exists(), settings


def test_validation_scores_evenly_spread_sequences():
    assert spread(10, 4) == [0, 3, 6, 9] and spread(3, 9) == spread(3) == [0, 1, 2]

    class Model:
        input_length, output_channels = 2, 1

        def predict_on_batch(self, frames):
            return frames[:, :1] * 0 + 1

    videos = np.arange(5, dtype="float32")[:, None, None, None, None] * np.ones((3, 2, 2, 1), "float32")
    callback = Validation(VideoSamples("five", videos, 2, 1), 3, batch_size=2)
    callback.set_model(Model())
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs == {"val_mse_per_frame": pytest.approx(4 * (1 + 1 + 9) / 3)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["preset=tau_video_taxibj", "steps=1000"], ("taxibj", 5e-4, "cosine", 100)),
        (["preset=predrnnpp_video_moving_mnist"], ("moving_mnist", 1e-4, "onecycle", 0)),
        (["preset=tau_video_taxibj", "dataset=folder", "learning_rate=0.1"], ("folder", 0.1, "onecycle", 0)),
        (["preset=tau_video_taxibj", "warmup=7"], ("taxibj", 5e-4, "cosine", 7)),
    ],
)
def test_what_is_not_set_is_the_presets(settings, expected):
    recipe = with_settings(VideoPrediction(), settings).completed()
    assert (recipe.dataset, recipe.learning_rate, recipe.schedule, recipe.warmup) == expected


def test_schedules_of_the_models_are_shares_of_the_steps():
    def values(preset, **settings):
        return VideoPrediction(preset=preset, **settings).scheduled_arguments()

    published = dict(sampling_stop_iter=50000, sampling_changing_rate=2e-5)
    reverse = dict(r_sampling_step_1=25000, r_sampling_step_2=50000, r_exp_alpha=5000)
    assert values("convlstm_video_moving_mnist", steps=125_000) == published | reverse
    assert values("convlstm_video_moving_mnist", steps=1000)["sampling_changing_rate"] == 1 / 400
    assert values("convlstm_video_moving_mnist", sampling=0.0)["sampling_stop_iter"] == 0
    assert values("phydnet_video_moving_mnist", steps=125_000) == dict(steps_per_epoch=625)
    assert values("tau_video_moving_mnist") == {}


def test_the_recipes_default_preset_is_in_the_zoo():
    assert zoo.get_preset(VideoPrediction().preset).task == "video_prediction"
