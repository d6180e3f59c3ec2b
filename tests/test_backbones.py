"""Backbones by name: sizes and counts of the papers, images as ImageNet's networks expect them, frozen ones."""

import keras
import numpy as np
import pytest
from keras import layers

from scs_keras import LTSC, SCSModel, SCSNetwork, goals
from scs_keras.zoo import backbones
from scs_keras.zoo.backbones import GOOGLENET, ScaledPixels, backbone, on_features
from tests.checks import assert_close, random, to_numpy

IMAGES = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
FRAMES, Y = np.random.default_rng(1).random((2, 5, 16, 16, 3), "float32"), random(2, 5, 1)


def small(**arguments):
    """A functional network with batch normalisation and dropout."""
    keras.utils.set_random_seed(0)  # such that its last units are not all dead
    inputs = keras.Input((16, 16, 3))
    x = backbones.residual_block(ScaledPixels("torch")(inputs), 4, 2)
    return keras.Model(inputs, layers.Dropout(0.5)(x), **arguments)


def make(part, **arguments):
    head = keras.Sequential([layers.TimeDistributed(layers.GlobalAveragePooling2D()), layers.Dense(1)])
    model = SCSModel(SCSNetwork([2]), head, backbone=part)
    model.build((None, *FRAMES.shape[1:]))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True, **arguments)
    return model


def numbers(part):
    return [to_numpy(variable) for variable in part.variables]


def weights(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.slow
def test_resnet_18_and_googlenet_have_the_weights_of_torchvisions():
    """Theirs less their last layer; in the 5x5 convolutions of its GoogLeNet theirs has 3x3 kernels."""
    resnet, google = backbone("resnet_18"), backbone("googlenet")
    assert resnet.output_shape == (None, 7, 7, 512) and google.output_shape == (None, 7, 7, 1024)
    assert weights(resnet) == 11_689_512 - 513_000
    larger = sum((25 - 9) * sizes[3] * sizes[4] for sizes in GOOGLENET if sizes)
    assert weights(google) - larger == 6_624_904 - 1_025_000


def test_config_round_trip():
    model = small()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    assert_close(again(IMAGES), model(IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "shape", "count"),
    [
        ("vgg16", 32, (1, 1, 512), 14_714_688),
        ("vgg19", 32, (1, 1, 512), 20_024_384),
        ("inception_v3", 75, (1, 1, 2048), 21_802_784),
    ],
)
def test_networks_of_keras(name, size, shape, count):
    """Also the images: those that Keras's own `preprocess_input` makes of 0 to 255."""
    model = backbone(name, (size, size, 3), frozen=True)
    assert model.output_shape[1:] == shape and model.count_params() == count and model.trainable_variables == []
    function, _ = backbones.APPLICATIONS[name]
    plain = getattr(keras.applications, function)(include_top=False, weights=None, input_shape=(size, size, 3))
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((1, size, size, 3), "float32")
    expected = plain(getattr(keras.applications, name).preprocess_input(255 * images))
    assert_close(model(images), expected, 1e-4)
    assert np.any(expected)


def test_pixels_and_layers_by_name(monkeypatch):
    """With a small network in place of Keras's."""

    asked = []

    def network(include_top, weights, input_tensor):
        asked.append(weights)
        x = layers.Conv2D(2, 1, name="first")(input_tensor)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), layers.Conv2D(3, 1, name="second")(x))

    monkeypatch.setattr(keras.applications, "VGG16", network)
    model = backbone("vgg16", (16, 16, 3))
    backbone("vgg16", (16, 16, 3), weights="imagenet")
    assert asked == [None, "imagenet"]  # weights are downloaded for those who ask
    assert model.output_shape == (None, 16, 16, 3)
    assert backbone("vgg16", (16, 16, 3), until="first").output_shape == (None, 16, 16, 2)
    expected = keras.applications.vgg16.preprocess_input(255 * IMAGES)
    assert_close(ScaledPixels("caffe", flip=True)(IMAGES), expected, 1e-3)
    assert_close(ScaledPixels("tf")(IMAGES), keras.applications.inception_v3.preprocess_input(255 * IMAGES))
    assert_close(ScaledPixels("torch")(IMAGES), (IMAGES - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])


def test_channels_are_last_whatever_keras_json_says(monkeypatch):
    keras.config.set_image_data_format("channels_first")
    try:
        monkeypatch.setitem(backbones.OWN, "resnet_18", lambda x: backbones.resnet_18(x, filters=2))
        model = backbone("resnet_18", (16, 16, 3))
        assert model.output_shape == (None, 1, 1, 16)
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


def test_weights_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setitem(backbones.OWN, "resnet_18", lambda x: layers.Conv2D(2, 3)(x))
    model = backbone("resnet_18", (16, 16, 3))
    model.save_weights(tmp_path / "mine.weights.h5")
    assert_close(backbone("resnet_18", (16, 16, 3), weights=tmp_path / "mine.weights.h5")(IMAGES), model(IMAGES))


def test_without_a_network_weights_are_a_file(monkeypatch):
    def offline(**arguments):
        raise Exception("URL fetch failure on https://...: None -- no route")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(OSError, match="weights of 'vgg16' cannot be downloaded .URL fetch failure.* path of that file"):
        backbone("vgg16", (16, 16, 3), weights="imagenet")


@pytest.mark.parametrize("long_sequence", [None, LTSC(3)])
def test_a_frozen_backbone_is_a_function_of_the_frame_alone(long_sequence):
    """No gradient, no moving statistics, no dropout; one that trains has all three."""
    for frozen in (True, False):
        part = small()
        part.trainable = not frozen
        model = make(part, long_sequence=long_sequence)
        before, network = numbers(part), numbers(model.network)
        features = to_numpy(model.features(FRAMES, training=True))
        assert np.array_equal(features, to_numpy(model.features(FRAMES))) == frozen
        model.train_on_batch(FRAMES, Y)
        changed = [not np.array_equal(a, b) for a, b in zip(before, numbers(part))]
        assert not any(changed) if frozen else sum(changed) > 0.9 * len(changed)
        assert any(not np.array_equal(a, b) for a, b in zip(network, numbers(model.network)))


def test_features_of_a_frozen_backbone_stand_for_frames():
    part = small()
    part.trainable = False
    model, other = make(part), make(part)
    other.set_weights(model.get_weights())
    features = to_numpy(model.features(FRAMES)).astype("float32")
    behind = on_features(other)
    behind.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    assert_close(behind(features), model(FRAMES))
    model.train_on_batch(FRAMES, Y)
    behind.train_on_batch(features, Y)
    assert_close(other.get_weights(), model.get_weights())
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    loaded.set_weights(model.get_weights())
    assert not loaded.backbone.trainable
    assert_close(loaded(FRAMES), model(FRAMES))


@pytest.mark.slow
def test_a_backbone_of_keras_hub():
    models = pytest.importorskip("keras_hub.models", reason="needs keras-hub: pip install keras-hub")
    part = models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[7], stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2], stackwise_num_strides=[1, 2, 2, 2], block_type="basic_block",
        image_shape=(64, 64, 3),
    )  # fmt: skip
    head = keras.Sequential([layers.TimeDistributed(layers.GlobalAveragePooling2D()), layers.Dense(1)])
    model = SCSModel(SCSNetwork([2]), head, backbone=part)
    assert model(np.zeros((1, 2, 64, 64, 3), "float32")).shape == (1, 2, 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: backbone("resnet18"), "There is no backbone 'resnet18'. Did you mean 'resnet_18'"),
        (lambda: backbone("vgg16", (32, 32, 1)), r"three channels, RGB. Received: input_shape=\(32, 32, 1\)"),
        (lambda: backbone("googlenet", weights="imagenet"), "no ImageNet weights for 'googlenet'. Allowed: 'vgg16'"),
        (lambda: backbone("vgg16", weights="imagenett"), "no file of weights 'imagenett' for the backbone 'vgg16'. Give"),
        (lambda: on_features(make(small())), "a frozen backbone makes them.*trainable=True"),
        (
            lambda: on_features(
                SCSModel(SCSNetwork([2]), layers.Dense(1), temporal_goal=goals.LastFrameFlow(),
                         backbone=small(trainable=False))
            ),
            r"goals=\['temporal'\]",
        ),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()
