"""Files saved by version 0.1.0, before its modules moved: they load and compute what they computed."""

from pathlib import Path

import keras
import numpy as np
import pytest

import scs_keras.zoo.precipitation.presets
import scs_keras.zoo.video_prediction.presets  # noqa: F401  (registers the classes)

SAVED = Path(__file__).parent / "saved_by_0.1"
STEPS_MADE = {  # of the optimiser, for those that were trained
    "rnn_scs_cell": 1,
    "scs2d": 1,
    "scs_model": 2,
    "tau_video": 1,
}


def case(name):
    with np.load(SAVED / f"{name}.npz", allow_pickle=False) as arrays:
        return arrays["input"], arrays["output"]


@pytest.mark.parametrize("name", sorted(path.stem for path in SAVED.glob("*.keras")))
def test_models_load_and_compute_the_same(name):
    model = keras.saving.load_model(SAVED / f"{name}.keras")
    frames, expected = case(name)
    np.testing.assert_allclose(np.asarray(model(frames)), expected, atol=1e-6)
    if name in STEPS_MADE:
        assert int(model.optimizer.iterations) == STEPS_MADE[name]


def test_weights_load_into_a_model_made_today():
    model = keras.saving.load_model(SAVED / "scs_model.keras")
    for variable in model.trainable_variables:
        variable.assign(keras.ops.zeros_like(variable))
    model.load_weights(SAVED / "scs_model.weights.h5")
    frames, expected = case("scs_model")
    np.testing.assert_allclose(np.asarray(model(frames)), expected, atol=1e-6)
