"""The same layers and the same model on JAX: equal outputs, training, weights that load on TensorFlow."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import zoo
from tests.checks import assert_close, randomize, to_numpy
from tests.jax_training import (
    COMPILE,
    NOWCAST,
    RADAR,
    RECURRENT,
    SHOWERS,
    build_layer,
    build_model,
    build_scales,
    build_several,
    call,
    load_preset,
    train,
    train_scales,
    train_several,
)  # fmt: skip

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason='needs JAX: pip install "jax>=0.5"')
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"  # compiling is most of the time


def run_on_jax(*arguments):
    command = [sys.executable, str(Path(__file__).with_name("jax_training.py")), *map(str, arguments)]
    for flags in (QUICK, ""):
        settings = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
        done = subprocess.run(command, env=settings, capture_output=True, text=True)
        if "Unknown flag" not in done.stderr:  # another version of JAX
            break
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What one JAX process left, which started from this process's weights."""
    folder = tmp_path_factory.mktemp("jax")
    for name, make in RECURRENT.items():
        model = build_layer(make)
        randomize(model)
        model.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}_expected.npz", *call(model))
    for name, make in COMPILE.items():
        model = build_model(**make())
        randomize(model)
        model.save_weights(folder / f"{name}_start.weights.h5")
    run_on_jax(folder)
    return folder


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", RECURRENT)
def test_layers_give_the_same_numbers(name, folder):
    actual, expected = (arrays(folder / f"{each}.npz") for each in (name, f"{name}_expected"))
    assert_close(list(actual.values()), list(expected.values()))


def test_a_preset_forecasts_the_same(folder):
    (actual,), (expected,) = arrays(folder / "preset.npz").values(), call(load_preset(), RADAR)
    assert_close(actual, expected, 1e-4)
    assert np.abs(expected - RADAR[:, -1:]).max() > 0.01


@pytest.mark.parametrize("name", COMPILE)
def test_models_train_and_load_on_tensorflow(name, folder):
    found = arrays(folder / f"{name}.npz")
    model = build_model(**COMPILE[name]())
    model.load_weights(folder / f"{name}.weights.h5")
    assert_close(call(model), [found["arr_0"]])
    loaded = keras.saving.load_model(folder / f"{name}.keras")
    assert_close(call(loaded), [found["arr_0"]])
    if model.switch is not None:
        (log, variable), *_ = model.switch.logs().items()
        assert found[log][-1] == pytest.approx(float(to_numpy(variable)), rel=1e-5)
        assert_close(loaded.switch.logs()[log].value, variable.value)
    if name == "accumulated":  # three epochs of two batches, a step of the optimiser each
        assert found["p"].tolist() == pytest.approx([0.375, 0.25, 0.125])
    train(loaded, epochs=1)  # training goes on here


@pytest.mark.parametrize("name", ["plain"])
def test_training_is_the_same_where_no_draws_are_made(name, folder):
    """LTSC and accumulation, without a switch: TensorFlow's own step reaches the same weights."""
    model = build_model(**COMPILE[name]())
    model.load_weights(folder / f"{name}_start.weights.h5")
    history = train(model)
    found = arrays(folder / f"{name}.npz")
    assert_close(call(model), [found["arr_0"]], 1e-4)
    for log in ("loss", "main_loss", "temporal_loss", "overlap_loss"):
        assert history[log] == pytest.approx(found[log].tolist(), rel=1e-4)


@pytest.mark.slow
def test_several_inputs_and_several_scales_in_clips_train_the_same(tmp_path):
    model, scales = build_several(), build_scales()
    randomize(model)
    model.save_weights(tmp_path / "several_start.weights.h5")
    scales.save_weights(tmp_path / "scales_start.weights.h5")
    before = model.get_weights()
    run_on_jax(tmp_path, "several")
    train_several(model)
    assert all(np.abs(new - old).max() > 1e-6 for new, old in zip(model.get_weights(), before))
    ours = model.get_weights()
    model.load_weights(tmp_path / "several.weights.h5")
    assert_close(model.get_weights(), ours)
    found, history = arrays(tmp_path / "scales.npz"), train_scales(scales)
    assert {"loss", "main_loss", "spatial_loss", "temporal_loss", "overlap_loss"} <= set(found) == set(history)
    for log, values in found.items():
        assert values.tolist() == pytest.approx(history[log], rel=1e-3), log


@pytest.mark.slow
def test_a_nowcast_is_the_same(tmp_path):
    """All products, with a lost image among those that are seen."""
    run_on_jax(tmp_path, "nowcast")
    expected = zoo.load(NOWCAST).predict(SHOWERS, verbose=0)
    found = arrays(tmp_path / "nowcast.npz")
    assert found.keys() == expected.keys() and expected["lost"].tolist() == [[0, 0, 1, 0, 0]]
    for name, array in found.items():
        # Ranks of pixels that are equal but for rounding may differ.
        assert np.abs(array - expected[name]).mean() < 1e-4, name
    assert expected["mean"].max() > 0.2
