"""Heads of an `SCSModel` that several tasks use: classes of each frame, and optical flow at one scale."""

from typing import Any

import keras
from keras import layers, ops

from scs_keras.core.arguments import Tensor


@keras.saving.register_keras_serializable("scs_keras")
class ClassHead(keras.Layer):
    """Probabilities of classes for every frame: the mean over the pixels, dense layers, softmax.

    Args:
        classes: number of classes.
        hidden: units of the dense layers before the last, each with ReLU and dropout.
        dropout: share of the inputs of each dense layer that is left out in training.

    Call arguments:
        features: (batch, time, height, width, channels), or vectors (batch, time, channels).

    Output shape: (batch, time, classes), float32; each row sums to 1.
    """

    def __init__(self, classes: int, hidden: tuple[int, ...] = (), dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes, self.hidden, self.dropout = classes, tuple(hidden), dropout
        same = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.drop = layers.Dropout(dropout, **same)
        self.dense = [layers.Dense(units, "relu", **same) for units in self.hidden]
        self.dense.append(layers.Dense(classes, **same))

    def build(self, features_shape: tuple) -> None:
        channels = features_shape[-1]
        for layer in self.dense:
            layer.build((None, None, channels))
            channels = layer.units
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        u = ops.mean(features, axis=(2, 3)) if len(features.shape) == 5 else features
        for layer in self.dense:
            u = layer(self.drop(u, training=training))
        return ops.softmax(ops.cast(u, "float32"))

    def compute_output_spec(self, features: Any, training: bool = False) -> Any:
        return keras.KerasTensor((*features.shape[:2], self.classes), dtype="float32")

    def get_config(self) -> dict:
        own = dict(classes=self.classes, hidden=list(self.hidden), dropout=self.dropout)
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("scs_keras")
class FlowHead(keras.Layer):
    """Flow of every frame: convolutions of 1x1, 3x3 and 1x1, the first two with batch normalisation and ReLU.

    The reference puts normalisation and ReLU behind the last one too; then no flow could be negative.

    Args:
        width: channels of the first two.

    Call arguments:
        features: (batch, time, height, width, channels).

    Output shape: (batch, time, height, width, 2), float32: [dx, dy], see `scs_keras.goals`.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        same = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.convolutions = [
            layers.Conv2D(filters, size, padding="same", data_format="channels_last", **same)
            for filters, size in ((width, 1), (width, 3), (2, 1))
        ]
        self.norms = [layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **same) for _ in range(2)]

    def build(self, features_shape: tuple) -> None:
        channels = features_shape[-1]
        for convolution in self.convolutions:
            convolution.build((None, None, None, channels))
            channels = convolution.filters
        for norm in self.norms:
            norm.build((None, None, None, self.width))
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        batch, time, *frame = ops.shape(features)
        u = ops.reshape(features, (-1, *frame))
        for convolution, norm in zip(self.convolutions, self.norms):
            u = ops.relu(norm(convolution(u), training=training))
        u = ops.cast(self.convolutions[-1](u), "float32")
        return ops.reshape(u, (batch, time, *frame[:2], 2))

    def compute_output_spec(self, features: Any, training: bool = False) -> Any:
        return keras.KerasTensor((*features.shape[:-1], 2), dtype="float32")

    def get_config(self) -> dict:
        return {**super().get_config(), "width": self.width}
