"""What every model of the zoo does, each choice that a builder offers once, at `preset.reduced`.

A new preset is covered by being there, and fails here if it has no small version.
"""

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.core.frozen import parts
from scs_keras.serving.export import export
from tests.checks import assert_close, check_step, randomize, to_numpy

PRESETS = zoo.list_presets()
LARGEST = 20_000  # parameters of a reduced model; more only for those whose widths are fixed
FIXED_WIDTHS = ("crevnet", "phydnet")
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's")


def choices(preset):
    """The builder with each of its arguments that choose between models: words and switches, no numbers."""
    chosen = {name: value for name, value in preset.arguments.items() if isinstance(value, str | bool)}
    return {(preset.builder, "", ""), *((preset.builder, *each) for each in chosen.items())}


SMALL, COVERED = [], set()
for each in PRESETS:
    if not choices(each) <= COVERED:
        COVERED |= choices(each)
        SMALL.append(each.with_arguments(**each.reduced))
ONE_PER_TASK = [next(preset for preset in SMALL if preset.task == task) for task in zoo.tasks()]


def named(presets):
    return [pytest.param(preset, id=preset.name) for preset in presets]


@pytest.fixture(scope="module", params=named(SMALL))
def model(request):
    """A small model of a variant at random weights; heads that start at zero would hide what is before them."""
    made = request.param.make()
    randomize(made, scale=0.2)
    return made


def inputs(preset, batch=2, extra=0):
    """Random frames of the example's shape, and a number more of them; or several inputs, whole numbers as in it."""

    def drawn(example):
        shape = (batch, example.shape[1] + extra, *example.shape[2:])
        values = np.random.default_rng(0)
        return (
            values.random(shape, "float32") if example.dtype.kind == "f" else values.integers(example.max(), size=shape)
        )

    return keras.tree.map_structure(drawn, preset.make_example())


def predicted(model, frames):
    """What the model predicts, the first of its products if there are several."""
    output = model(frames)
    return output[model.products[0]] if isinstance(output, dict) else output


# Coverage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", named(PRESETS))
def test_a_case_covers_every_preset(preset):
    assert preset.reduced, f"{preset.name} has no `reduced`: arguments of a small version of it"
    assert choices(preset.with_arguments(**preset.reduced)) == choices(preset), "`reduced` makes another model"
    assert choices(preset) <= COVERED


def test_every_task_has_a_case():
    assert {preset.task for preset in SMALL} == set(zoo.tasks()) and len(SMALL) >= 19


def copy(model):
    """The model as its config makes it, at new weights."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))


# The zoo's models ---------------------------------------------------------------------------------


def test_built_and_small(model):
    preset = model.preset
    assert model.built and model.compiled and preset.changed == preset.with_arguments(**preset.reduced).changed
    assert predicted(model, inputs(preset)).shape == (2, *preset.output_shape)
    assert model.count_params() < LARGEST or preset.arguments.get("name") in FIXED_WIDTHS


def test_config_round_trip(model):
    again = copy(model)
    assert str(again.get_config()) == str(model.get_config()) and again.preset == model.preset
    assert again.built and again.compiled
    again.set_weights(model.get_weights())
    assert_close(again(inputs(model.preset)), model(inputs(model.preset)))


@pytest.mark.parametrize("use", ["predict", "fit", "evaluate"])
def test_arrays_without_a_sample_are_refused(model, use):
    message = f"{type(model).__name__} takes at least one sequence. Received: an empty batch, shape=.0, "
    with pytest.raises(ValueError, match=message):
        getattr(model, use)(keras.tree.map_structure(lambda each: each[:0], inputs(model.preset)), verbose=0)


def test_a_frozen_part_stays_frozen(model):
    again = copy(model)
    part = next(part for _, part, _ in parts(again) if part.trainable_variables)
    part.trainable = False
    left = [variable.trainable for variable in again.variables]
    assert [variable.trainable for variable in copy(again).variables] == left
    assert sum(left) < len(model.trainable_variables)


def test_file_round_trip(model, tmp_path):
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.preset == model.preset and type(loaded) is type(model) and loaded.compiled
    assert_close(loaded(inputs(model.preset)), model(inputs(model.preset)))


def test_frame_by_frame_is_the_whole(model):
    """For models that stream; the others are served whole only."""
    streams = hasattr(model, "reduce_outputs")
    names = [signature.name for signature in zoo.signatures(model)]
    seen = streams and model.initial_states(inputs(model.preset))  # a model of single frames has no state
    assert names == (["model", "step", "initial_state"] if seen else ["model"])
    if streams:
        check_step(model, inputs(model.preset))


def test_other_lengths_begin_alike(model):
    if not hasattr(model, "output_length"):
        pytest.skip("predicts no sequence")
    frames, length = inputs(model.preset), model.output_length
    outputs = to_numpy(predicted(model, frames))
    try:
        for other in (1, length + 1):
            model.output_length = other
            others = to_numpy(predicted(model, frames))
            assert others.shape == (2, other, *outputs.shape[2:])
            assert_close(others[:, :length], outputs[:, :other])
    finally:
        model.output_length = length


def check_export(preset, folder):
    """Exporting compares all signatures with the model."""
    assert (export(preset.make(), folder) / "assets.extra" / "parity.json").exists()


@on_tensorflow
@pytest.mark.parametrize("preset", named(ONE_PER_TASK))
def test_export_of_one_per_task(preset, tmp_path):
    check_export(preset, tmp_path)
