"""A preset says what it takes and gives; its conversions are the same of arrays and of tensors."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.core.inputs import named
from scs_keras.zoo.radar_units import rain_to_scaled
from scs_keras.zoo.values import PIXELS, RAIN, SEQUENCE, Values
from tests.checks import to_numpy

PRESETS = zoo.list_presets()
CONVERSIONS = {(each.preprocess, each.postprocess): each for each in PRESETS}  # one preset for each pair


def of(preset):
    """Values of what the preset takes, of several inputs by their names."""
    if isinstance(preset.takes, dict):
        return {name: within(takes, preset.input_shape[name][-1]) for name, takes in preset.takes.items()}
    return within(preset.takes, preset.input_shape[-1])


def within(takes, channels):
    """Values, their limits among them; rain beyond what the model can tell apart."""
    low, high = (0.0, 1000.0 if takes == RAIN else 1.0) if takes.high is None else (takes.low, takes.high)
    values = np.concatenate([[low, high, (low + high) / 2], np.random.default_rng(0).uniform(low, high, 509)])
    return np.repeat(values.reshape((2, 4, 8, 8, 1)), channels, axis=-1).astype(takes.dtype)


@pytest.mark.parametrize("preset", CONVERSIONS.values(), ids=lambda preset: preset.name)
def test_tensors_are_converted_as_arrays_are(preset):
    values = of(preset)
    scaled = preset.preprocess(values)
    of_tensor = preset.preprocess(keras.tree.map_structure(keras.ops.convert_to_tensor, values))
    if isinstance(values, dict):  # what comes out is none of them
        assert [each.dtype for each in scaled.values()] == ["float32", "int32"]
        for name, each in scaled.items():
            assert each.dtype == keras.backend.standardize_dtype(of_tensor[name].dtype)
            np.testing.assert_allclose(to_numpy(of_tensor[name]), each, atol=1e-6)
        return
    assert keras.ops.is_tensor(of_tensor) and isinstance(scaled, np.ndarray)
    assert scaled.dtype == "float32" == keras.backend.standardize_dtype(of_tensor.dtype)
    np.testing.assert_allclose(to_numpy(of_tensor), scaled, atol=1e-6)
    if preset.takes.layout not in [each.layout for each in preset.gives.values()]:
        return  # what comes out are no images
    back, of_tensor = preset.postprocess(scaled), preset.postprocess(keras.ops.convert_to_tensor(scaled))
    assert keras.ops.is_tensor(of_tensor) and isinstance(back, np.ndarray)
    assert back.dtype == preset.takes.dtype == keras.backend.standardize_dtype(of_tensor.dtype)
    np.testing.assert_allclose(to_numpy(of_tensor), back, rtol=2e-5)  # 1e-6 of the scaled image
    np.testing.assert_allclose(preset.preprocess(back), scaled, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_says_what_it_takes(preset):
    shapes = named(preset.input_shape)
    for name, takes in (preset.takes if isinstance(preset.takes, dict) else {"frames": preset.takes}).items():
        assert takes.unit, f"{preset.name} has no `takes`: dtype, range and unit of its input"
        assert len(takes.layout) == 1 + len(shapes[name])


def test_pixels_flows_and_rain():
    takes = {
        name: zoo.get_preset(name).takes for name in ("tau_video_kth", "tau_video_taxibj", "tau_video_small_radar")
    }
    assert takes["tau_video_kth"] == PIXELS and PIXELS.dtype == "uint8" and (PIXELS.low, PIXELS.high) == (0, 255)
    assert (takes["tau_video_taxibj"].low, takes["tau_video_taxibj"].high) == (-1.0, 1.0)
    assert takes["tau_video_small_radar"] is RAIN and RAIN.unit == "mm/h" and RAIN.layout == SEQUENCE
    assert Values() == replace(RAIN, low=None, unit="", note="", gap=0.0)


def test_a_pixel_of_the_radar_videos_is_reflectivity_over_70_dbz():
    """As in the training: 1 mm/h is 23 dBZ; pixels of a picture would be divided by 255."""
    preset = zoo.get_preset("tau_video_small_radar")
    np.testing.assert_allclose(preset.preprocess(np.array([0.0, 1.0])), [0.0, 10 * np.log10(200) / 70], rtol=1e-6)
    np.testing.assert_allclose(preset.postprocess(np.array([0.5])), [(10**3.5 / 200) ** (1 / 1.6)], rtol=1e-5)


@pytest.mark.parametrize("made", [np.asarray, keras.ops.convert_to_tensor], ids=["array", "tensor"])
def test_rain_that_is_not_a_number_is_dry(made):
    scaled = to_numpy(rain_to_scaled(made(np.array([np.nan, 1.0, np.inf, -1.0], "float32"))))
    np.testing.assert_allclose(scaled, [0.0, 10 * np.log10(200) / 70, 1.0, 0.0], atol=1e-6)


def test_a_nowcasts_image_alone_is_rain_too():
    preset = zoo.get_preset("scs_precipitation_nowcast_small_radar")
    rain = np.array([0.0, 0.5, 20.0], "float32")
    np.testing.assert_allclose(preset.postprocess(preset.preprocess(rain)), rain, rtol=1e-5)
    assert set(preset.gives) == {"mean", "matched", "probability", "lost"} and preset.gives["mean"] is RAIN
