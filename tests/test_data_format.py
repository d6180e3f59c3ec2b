"""Ours is channels last, whatever `image_data_format` a user's keras.json has."""

import keras
import pytest

from scs_keras import SCS2D, SCSCell, SCSNetwork, Stage, zoo
from tests.checks import assert_close, random
from tests.test_conformance import SMALL, inputs, named

FRAMES = random(2, 2, 6, 5, 4)
STAGES = [Stage(4, strides=2, pool=3), Stage(4, layers=2, strides=2, shortcut_every=2)]


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.RNN(SCSCell(3)),
        lambda: SCS2D(3, normalization="group"),
        lambda: SCSNetwork(STAGES, normalization="batch"),
    ],
)
def test_layers(channels_first, make):
    under_first = make()
    first = under_first(FRAMES)
    keras.config.set_image_data_format("channels_last")
    under_last = make()
    under_last(FRAMES)
    under_last.set_weights(under_first.get_weights())
    assert first.shape == under_last.compute_output_spec(keras.KerasTensor(FRAMES.shape)).shape
    assert_close(first, under_last(FRAMES))


@pytest.mark.slow
@pytest.mark.parametrize("preset", named(SMALL))
def test_models_of_the_zoo(channels_first, preset):
    frames = inputs(preset, batch=1)
    model = preset.make()
    first = model(frames)
    shown = first[model.products[0]] if isinstance(first, dict) else first
    keras.config.set_image_data_format("channels_last")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    assert shown.shape == (1, *preset.output_shape) and zoo.signatures(model)
    assert_close(again(frames), first)
