"""From the crop to features on the grid: the maps of a backbone at four depths, brought to one size (Polygon-RNN)."""

from typing import Any

import keras
from keras import layers

from scs_keras.core.arguments import Tensor, check_known
from scs_keras.zoo.backbones import ScaledPixels, backbone, channels_last, convolution
from scs_keras.zoo.outline.layers import Resized

BACKBONES = ("vgg16", "vgg16_bn", "small")
VGG_MAPS = ("block2_pool", "block3_pool", "block4_conv3", "block5_conv3")
VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def encoder(
    name: str,
    image_size: tuple[int, int],
    grid: int,
    features: int,
    filters: tuple[int, ...] = (),
    weights: str | None = None,
    frozen: bool = False,
    maps: tuple[str, ...] = VGG_MAPS,
) -> keras.Model:
    """An image (batch, height, width, 3), RGB in [0, 1], to features (batch, grid, grid, features).

    Each of four maps goes through a 3x3 convolution to `features` channels, ReLU, batch normalisation, and to the
    grid's size; they are joined, and a fifth convolution like these makes the features. The first map is pooled before.

    Args:
        name: "vgg16" of `keras.applications`; "vgg16_bn", with batch normalisation, the public reference's; "small",
            four pairs of convolutions.
        image_size: height and width.
        grid: cells along a side.
        features: channels.
        filters: of the blocks of the last two, in place of VGG's or (24, 48, 96, 128).
        weights: of "vgg16": "imagenet", a file, or None for random ones.
        maps: names of the four layers of "vgg16".
        frozen: whether the backbone, without the convolutions after it, is made with `trainable=False`.

    Raises:
        ValueError: for an unknown name, or weights that there are not.
    """
    check_known("backbone", name, BACKBONES)
    if weights is not None and name != "vgg16":
        raise ValueError(f"There are weights of 'vgg16' alone. Received: {weights!r} for {name!r}. Type weights=None.")
    if name == "vgg16":
        whole = backbone("vgg16", (*image_size, 3), weights)
        image, seen = whole.input, [whole.get_layer(each).output for each in maps]
    else:
        image = keras.Input((*image_size, 3), name="image")
        with channels_last():
            make = {"vgg16_bn": vgg16_bn, "small": small}[name]
            seen = make(ScaledPixels("torch")(image), *([tuple(filters)] if filters else []))
    if frozen:
        keras.Model(image, seen).trainable = False
    with channels_last():
        seen[0] = layers.MaxPooling2D(2, name="pool")(seen[0])
        joined = [
            Resized(grid, name=f"resize_{index}")(_reduced(each, features, f"convlayer{index}"))
            for index, each in enumerate(seen, start=1)
        ]
        output = _reduced(layers.Concatenate(name="join")(joined), features, "convlayer5")
    return keras.Model(image, output, name="encoder")


def _reduced(x: Tensor, filters: int, name: str) -> Tensor:
    """3x3 convolution, ReLU, then batch normalisation, in the reference's order."""
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def vgg16_bn(x: Tensor, blocks: tuple = VGG_BLOCKS) -> list[Tensor]:
    """The maps of VGG-16 with batch normalisation: after two and three poolings, before the fourth, and the last."""
    maps: list[Any] = []
    for block, widths in enumerate(blocks, start=1):
        for index, filters in enumerate((widths,) if isinstance(widths, int) else widths, start=1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        maps.append(x)
        if block < len(blocks):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
            maps[-1] = x if block < 4 else maps[-1]
    return maps[1:]


def small(x: Tensor, filters: tuple[int, ...] = (24, 48, 96, 128)) -> list[Tensor]:
    """The maps after each of four pairs of 3x3 convolutions, the first of stride 2, with batch normalisation."""
    maps = []
    for each in filters:
        # No residual lines: TensorFlow's oneDNN crashes in the gradient of a 1x1 convolution of stride 2 on 3 channels.
        x = convolution(convolution(x, each, 3, 2), each, 3)
        maps.append(x)
    return maps
