"""Backbones by name: networks of single images, for `SCSModel(backbone=...)`.

Any Keras model from images to a feature map (batch, height, width, channels) is one too.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from scs_keras.core.arguments import Tensor, check_counts, check_known
from scs_keras.core.model import SCSModel

APPLICATIONS = {  # name: (of keras.applications, what its images are scaled to)
    "vgg16": ("VGG16", "caffe"),
    "vgg19": ("VGG19", "caffe"),
    "inception_v3": ("InceptionV3", "tf"),
}
# Szegedy et al. 2015, Table 1: filters of 1x1; reduced to, of 3x3; reduced to, of 5x5; after pooling. None: pooling.
GOOGLENET = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip
SCALES = {  # what images in [0, 1] are multiplied by and what is then added, for red, green, blue
    "caffe": (255.0, (-123.68, -116.779, -103.939)),
    "tf": (2.0, (-1.0, -1.0, -1.0)),
    "torch": ((1 / 0.229, 1 / 0.224, 1 / 0.225), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)),
}


def backbone(
    name: str,
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    weights: str | Path | None = None,
    frozen: bool = False,
    until: str | None = None,
    **arguments: Any,
) -> keras.Model:
    """A network of images (batch, height, width, 3), RGB in [0, 1], to feature maps (batch, height, width, channels).

    | name | source | at 224x224 |
    |---|---|---|
    | "vgg16", "vgg19" | `keras.applications`, to the last pooling | 7x7x512 |
    | "inception_v3" | `keras.applications`, at least 75x75 pixels | 5x5x2048 |
    | "resnet_18" | He et al. 2016, to the last block | 7x7x512 |
    | "googlenet" | Szegedy et al. 2015 (Inception V1), with batch normalisation | 7x7x1024 |

    Args:
        name: see above.
        input_shape: (height, width, 3).
        weights: None for random ones, "imagenet" for those that Keras offers for its own networks (they are
            downloaded), or a file: `.weights.h5`, or that download (`vgg19_..._notop.h5`) where there is no network.
        frozen: whether it is made with `trainable=False`: no gradients, no moving statistics, no dropout; its features
            are a function of the image alone and can be kept (`on_features`).
        until: the name of the layer whose output is the feature map, in place of the last one.
        **arguments: of `resnet_18` or `googlenet`, for other widths.

    Raises:
        ValueError: if the name, the shape or the layer is unknown, or there are no such weights.
        OSError: the weights cannot be downloaded.
    """
    check_known("backbone", name, [*APPLICATIONS, *OWN])
    if len(input_shape) != 3 or input_shape[-1] != 3:
        raise ValueError(
            "A backbone takes images of three channels, RGB. "
            f"Received: input_shape={tuple(input_shape)}. For example: input_shape=(224, 224, 3)."
        )
    if name in OWN and weights == "imagenet":
        raise ValueError(
            f"There are no ImageNet weights for {name!r}. Allowed: {', '.join(map(repr, APPLICATIONS))}. "
            "Received: weights='imagenet'. Type weights=None, or a file of your own."
        )
    if weights not in (None, "imagenet") and not Path(weights).is_file() and not _weights_follow.get():
        raise ValueError(
            f"There is no file of weights {str(weights)!r} for the backbone {name!r}. Give the path of one, 'imagenet' "
            "or None."
        )
    weights = None if _weights_follow.get() else weights
    inputs = keras.Input(tuple(input_shape), name="image")
    with channels_last():
        if name in APPLICATIONS:
            function, scale = APPLICATIONS[name]
            make, offered = getattr(keras.applications, function), "imagenet" if weights == "imagenet" else None
            pixels = ScaledPixels(scale, flip=scale == "caffe")(inputs)
            outputs = _downloaded(
                name, make, include_top=False, weights=offered, input_tensor=pixels, **arguments
            ).output
        else:
            outputs = OWN[name](ScaledPixels("torch")(inputs), **arguments)
        model = keras.Model(inputs, outputs, name=name)
    if weights not in (None, "imagenet"):
        model.load_weights(weights)
    if until is not None:
        check_known(f"layer of {name}", until, [layer.name for layer in model.layers])
        model = keras.Model(inputs, model.get_layer(until).output, name=name)
    model.trainable = not frozen
    return model


_weights_follow: ContextVar[bool] = ContextVar("weights_follow", default=False)


@contextlib.contextmanager
def weights_follow() -> Iterator[None]:
    """Inside, backbones start at random weights whatever they ask for, since those of a whole model are loaded next:
    nothing is downloaded for a training that is finished."""
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


def _downloaded(name: str, make: Callable[..., keras.Model], **arguments: Any) -> keras.Model:
    try:
        return make(**arguments)
    except Exception as error:
        if "URL fetch failure" not in str(error):  # which Keras raises as a plain Exception
            raise
        raise OSError(
            f"The ImageNet weights of {name!r} cannot be downloaded ({error}). Without a network, give the path "
            "of that file as the backbone's `weights`."
        ) from error


def on_features(model: SCSModel) -> SCSModel:
    """The model behind its backbone: one that shares its network and heads and takes features in place of frames.

        features = model.features(frames)  # once, of a frozen backbone
        behind = on_features(model)
        behind.compile("adam", "mse")
        behind.fit(features, y)            # trains `model` too

    Raises:
        ValueError: if its backbone is not frozen, it has several inputs, or goals that look at the frames.
    """
    wrong = [name for name, goal in model.goals.items() if goal is not None]
    several = bool(model.context) or isinstance(model.frames_shape, dict)
    if model.backbone is None or model.backbone.trainable or wrong or several:
        raise ValueError(
            "Features can stand for frames where a frozen backbone makes them of one sequence, and no goal looks at "
            f"the frames. Received: backbone={model.backbone!r}, trainable="
            f"{getattr(model.backbone, 'trainable', None)}, goals={wrong}, context={model.context}. "
            "Set model.backbone.trainable = False before."
        )
    heads = {f"{name}_head": head for name, head in model.sub_heads.items()}
    return SCSModel(model.network, model.head, **heads, reduce=model.reduce, dtype=model.dtype_policy)


@contextlib.contextmanager
def channels_last() -> Iterator[None]:
    """Inside, what keras.json says of the axis of the channels does not hold."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


@keras.saving.register_keras_serializable("scs_keras")
class ScaledPixels(layers.Layer):
    """Images in [0, 1], RGB, as a network trained on ImageNet expects them.

    Args:
        scale: "caffe" (0 to 255 less the mean), "tf" (-1 to 1) or "torch" (less the mean, over the standard deviation).
        flip: whether the channels go out as BGR.
    """

    def __init__(self, scale: str, flip: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.flip = scale, flip

    def call(self, images: Tensor) -> Tensor:
        factor, offset = SCALES[self.scale]
        images = ops.cast(images, self.compute_dtype)
        images = images * ops.cast(factor, images.dtype) + ops.cast(offset, images.dtype)
        return ops.flip(images, axis=-1) if self.flip else images

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        return tuple(images_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale, "flip": self.flip}


# Networks that Keras lacks -----------------------------------------------------------------------


def resnet_18(x: Tensor, filters: int = 64) -> Tensor:
    """He et al. 2016, Table 1, 18 layers: 7x7 of stride 2, pooling, four stages of two blocks, first of `filters`."""
    check_counts(filters=filters)
    x = convolution(x, filters, 7, 2)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage in range(4):
        for block in range(2):
            x = residual_block(x, filters * 2**stage, 2 if stage and not block else 1)
    return x


def residual_block(x: Tensor, filters: int, strides: int) -> Tensor:
    line = x
    x = convolution(x, filters, 3, strides)
    x = convolution(x, filters, 3, activation=None)
    if strides != 1 or line.shape[-1] != filters:
        line = convolution(line, filters, 1, strides, activation=None)
    return layers.ReLU()(layers.Add()([x, line]))


def googlenet(x: Tensor, table: tuple = GOOGLENET, stem: tuple[int, int, int] = (64, 64, 192)) -> Tensor:
    """Szegedy et al. 2015, Table 1, without the classifiers; normalised over the batch where they normalise locally."""
    x = convolution(x, stem[0], 7, 2)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = convolution(convolution(x, stem[1], 1), stem[2], 3)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for sizes in table:
        x = layers.MaxPooling2D(3, 2, padding="same")(x) if sizes is None else inception_block(x, *sizes)
    return x


def inception_block(
    x: Tensor, single: int, reduce_3: int, filters_3: int, reduce_5: int, filters_5: int, pooled: int
) -> Tensor:
    branches = [
        convolution(x, single, 1),
        convolution(convolution(x, reduce_3, 1), filters_3, 3),
        convolution(convolution(x, reduce_5, 1), filters_5, 5),
        convolution(layers.MaxPooling2D(3, 1, padding="same")(x), pooled, 1),
    ]
    return layers.Concatenate()(branches)


def convolution(x: Tensor, filters: int, kernel_size: int, strides: int = 1, activation: str | None = "relu") -> Tensor:
    """Convolution, batch normalisation and, unless `activation` is None, ReLU."""
    x = layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)  # fmt: skip
    x = layers.BatchNormalization(epsilon=1e-5)(x)
    return x if activation is None else layers.ReLU()(x)


OWN = {"resnet_18": resnet_18, "googlenet": googlenet}
