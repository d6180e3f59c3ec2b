"""Presets: records, weights, goldens, cards, errors."""

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.zoo import preset as preset_module
from scs_keras.zoo.card import model_card

PRESETS = zoo.list_presets()
TRAINED = [preset for preset in PRESETS if preset.has_weights]


def test_the_small_forecasters_ship_with_weights():
    assert {preset.name for preset in TRAINED} >= {
        "scs_precipitation_small_radar",
        "convlstm_precipitation_small_radar",
        "scs_precipitation_advection_small_radar",
    }
    assert zoo.list_presets("precipitation") == [p for p in PRESETS if p.task == "precipitation"]


@pytest.mark.parametrize("preset", TRAINED, ids=lambda preset: preset.name)
def test_weights_give_the_golden_output(preset):
    model = zoo.load(preset.name)
    frames, expected = preset.golden()
    np.testing.assert_allclose(np.asarray(model(frames)), expected, atol=1e-4)
    assert np.abs(expected - frames[:, -1:]).max() > 1e-3  # the weights do something
    assert model.compiled and model.preset is preset


@pytest.mark.parametrize("preset", TRAINED, ids=lambda preset: preset.name)
def test_card_and_record_are_those_of_the_weights(preset):
    assert preset.card_path.read_text() == model_card(preset)
    assert preset.record["bytes"] == preset.weights_path.stat().st_size
    assert preset.record["sha256"] == preset_module.file_sha256(preset.weights_path)


def test_small_scs_and_convlstm_have_the_same_parameters_within_ten_percent():
    scs, convlstm = (
        zoo.get_preset(f"{name}_precipitation_small_radar").record["parameters"] for name in ("scs", "convlstm")
    )
    assert abs(scs / convlstm - 1) <= 0.1


def test_the_paper_size_runs():
    model = zoo.load("scs_precipitation_15_reec", weights=None)
    assert len(model.network.scs_layers) == 15
    assert all(layer.cell.filters == 128 for layer in model.network.scs_layers)
    assert model.preset.input_shape == (5, 224, 244, 1)
    model.output_length = 1
    assert model(np.zeros((1, 2, 224, 244, 1), "float32")).shape == (1, 1, 224, 244, 1)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'scs_precipitation_small_radar'"):
        zoo.load("scs_precipitation_smal_radar")


def test_a_preset_without_weights_says_what_to_type():
    with pytest.raises(ValueError, match=r'zoo.load\("scs_precipitation_15_reec", weights=None\)'):
        zoo.load("scs_precipitation_15_reec")


@pytest.mark.parametrize("path", ["mine.weights.h5", "."])
def test_a_missing_weights_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"no weights file '{path}'. Give the path of a .weights.h5 file"):
        zoo.load(TRAINED[0].name, weights=path)


def test_weights_of_another_model_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "no.weights.h5").write_text("nothing")
    for name in ("other", "no"):
        with pytest.raises(ValueError, match=f"does not hold weights of {TRAINED[0].name} .*scs-keras convert"):
            zoo.load(TRAINED[0].name, weights=tmp_path / f"{name}.weights.h5")


def test_a_changed_weights_file_is_refused(monkeypatch):
    monkeypatch.setattr(preset_module, "file_sha256", lambda path: "0" * 64)
    with pytest.raises(ValueError, match="not the file that was published"):
        zoo.load(TRAINED[0].name)
