"""What is saved besides weights: which parts train, the policy, the optimiser's state."""

import operator

import keras
import numpy as np
import pytest

from scs_keras import SCS2D, SCSCell, SCSModel, SCSNetwork, Stage
from scs_keras.core.frozen import freeze
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.precipitation.builder import build
from tests.checks import assert_close, random

FRAMES = random(1, 3, 8, 8, 1)
STAGES = [2, Stage(3, layers=2, strides=2, shortcut_every=2)]


def whole_model(**kwargs):
    network = SCSNetwork(STAGES, normalization="batch")
    backbone = keras.Sequential([keras.layers.Conv2D(2, 3, padding="same")])
    return SCSModel(network, keras.layers.Dense(1), backbone=backbone, **kwargs)


def layers_alone():
    return keras.Sequential([SCS2D(2, normalization="group"), ConvLSTMNetwork([2, 2], normalization="group")])


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("network", lambda model: model.network),
        ("network.scs_layers.1", lambda model: model.network.scs_layers[1]),
        ("sub_heads.spatial", lambda model: model.sub_heads["spatial"]),
        ("rows", lambda model: model.head),  # the name that it was given
    ],
)
def test_parts_are_frozen_by_attribute_or_name(name, frozen):
    model = SCSModel(SCSNetwork(STAGES), keras.layers.Dense(1, name="rows"), keras.layers.Dense(1))
    model(FRAMES)
    freeze(model, [name])
    still = {id(variable) for variable in frozen(model).variables}
    assert flags(model) == [id(variable) not in still for variable in model.variables] and still


def test_all_of_a_list_is_frozen():
    model = SCSModel(SCSNetwork(STAGES), keras.layers.Dense(1))
    model(FRAMES)
    freeze(model, ["network.scs_layers"])
    assert not any(layer.trainable_variables for layer in model.network.scs_layers) and model.trainable_variables


def test_what_can_be_frozen_is_listed():
    model = SCSModel(SCSNetwork(STAGES), keras.layers.Dense(1))
    model(FRAMES)
    with pytest.raises(ValueError, match="no layer of this model 'hed'. Did you mean 'head'. Allowed: head, network, "):
        freeze(model, ["network", "hed"])
    assert all(flags(model))  # none, or all


def copy_of(model):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))


def flags(model):
    return [variable.trainable for variable in model.variables]


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (whole_model, "network"),
        (whole_model, "head"),
        (whole_model, "network.scs_layers.1"),
        (whole_model, "network.scs_layers.1.cell"),
        (whole_model, "network.scs_layers.2.s_norm"),
        (whole_model, "network.blocks.1.1"),
        (whole_model, "network.blocks.1.1.convolution"),
        (whole_model, "backbone.layers.0"),
        (layers_alone, "layers.0.cell"),
        (layers_alone, "layers.0.c_norm"),
        (layers_alone, "layers.1.recurrent_layers.1"),
        (layers_alone, "layers.1.norms.0"),
    ],
)
def test_a_frozen_part_is_frozen_in_a_copy(make, part):
    model = make()
    model(FRAMES)
    frozen = model
    for name in part.split("."):
        frozen = frozen[int(name)] if name.isdigit() else operator.attrgetter(name)(frozen)
    frozen.trainable = False
    assert flags(copy_of(model)) == flags(model) and not all(flags(model))
    assert flags(copy_of(copy_of(model))) == flags(model)


def test_a_part_that_was_thawed_inside_a_frozen_one_trains_in_a_copy():
    model = whole_model()
    model(FRAMES)
    model.network.trainable = False
    model.network.scs_layers[1].trainable = True
    assert any(variable.trainable for variable in model.network.variables)
    assert flags(copy_of(model)) == flags(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SCSCell(2, trainable=False),
        lambda: SCS2D(2, trainable=False, normalization="batch"),
        lambda: SCS2D(8, trainable=False, normalization="group"),
        lambda: SCSNetwork(STAGES, trainable=False, normalization="batch"),
        lambda: ConvLSTMNetwork([2], trainable=False, normalization="group"),
        lambda: whole_model(trainable=False),
    ],
)
def test_a_layer_made_not_to_train_does_not_inside_a_model(make):
    layer = make()
    model = keras.Sequential([keras.layers.RNN(layer) if isinstance(layer, SCSCell) else layer])
    model(FRAMES)
    assert model.trainable_variables == [] and model.variables


def test_the_policy_and_the_loss_scale_are_saved(tmp_path):
    model = SCSModel(SCSNetwork([2], dtype="mixed_float16"), keras.layers.Dense(1), dtype="mixed_float16")
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    model.fit(FRAMES, FRAMES, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_float16"
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert_close([v.value for v in loaded.optimizer.variables], [v.value for v in model.optimizer.variables])
    assert int(loaded.optimizer.iterations) == 1


def test_the_forecasters_optimiser_is_saved_whole(tmp_path):
    """Of the encoder's last layer only the gate is used: what makes its output never gets a gradient."""
    arguments = dict(structure=[3])
    model = build("scs", arguments, patch=4, input_shape=(3, 8, 8, 1), output_length=1)
    model.run_eagerly = True
    model.fit(FRAMES, FRAMES[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    assert int(loaded.optimizer.iterations) == 1
    for each in (model, loaded):
        each.fit(FRAMES, FRAMES[:, :1], verbose=0)
    assert_close(model.get_weights(), loaded.get_weights())


@pytest.mark.parametrize("name", ["stateful", "return_sequences", "return_state", "activity_regularizer", "stream"])
def test_a_network_refuses_what_it_cannot_do(name):
    with pytest.raises(ValueError, match=f"does not take the argument `{name}`. Allowed: name"):
        SCSNetwork([2], **{name: True})


@pytest.mark.parametrize(
    "make", [lambda **kwargs: SCSCell(2, **kwargs), lambda **kwargs: ConvLSTMNetwork([2], **kwargs), whole_model]
)
def test_an_activity_regularizer_is_refused_where_it_would_do_nothing(make):
    with pytest.raises(ValueError, match="cannot honour `activity_regularizer`"):
        make(activity_regularizer="l2")


def test_an_activity_regularizer_of_a_layer_counts():
    layer = SCS2D(2, activity_regularizer=keras.regularizers.L2(1.0))
    outputs = np.asarray(layer(FRAMES))
    np.testing.assert_allclose(float(layer.losses[0]), np.sum(outputs**2), rtol=1e-5)


@pytest.mark.parametrize("name", ["average", "reduce", "backbone", "spatial_head", "spatial_goal", "context"])
def test_a_forecaster_refuses_what_it_does_not_use(name):
    from scs_keras.zoo.video_prediction.scs import SCSVideo

    with pytest.raises(ValueError, match=f"does not take the argument `{name}`"):
        SCSVideo((2, 8, 8, 1), **{name: True})


def test_residual_lines_refuse_valid_padding():
    with pytest.raises(ValueError, match="residual line .* Allowed: padding='same'"):
        SCSNetwork([Stage(2, layers=2, shortcut_every=2)], padding="valid")
    assert SCSNetwork([Stage(2, layers=2)], padding="valid")(FRAMES).shape == (1, 3, 4, 4, 2)


@pytest.mark.parametrize("eagerly", [True, False])
def test_accumulation_on_a_model_that_is_not_built(eagerly):
    model, built = (SCSModel(SCSNetwork([2]), keras.layers.Dense(1)) for _ in range(2))
    built(FRAMES)
    x = random(4, 3, 8, 8, 1)
    for each in (model, built):
        each.compile(keras.optimizers.SGD(0.1), "mse", accumulate_steps=2, run_eagerly=eagerly)
    model.fit(x, x, batch_size=1, epochs=1, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 2
    built.set_weights(model.get_weights())
    for each in (model, built):
        each.fit(x, x, batch_size=1, shuffle=False, verbose=0)
    assert_close(model.get_weights(), built.get_weights())
