"""Normalisation of one branch: shared scale and offset, moving statistics of each stream by itself."""

import math

import keras
from keras import ops

KINDS = (None, "batch", "group")


def check_normalization(kind):
    """Returns `kind`; raises ValueError if it is not one of `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"`normalization` must be one of {KINDS}. Received: normalization={kind!r}.")
    return kind


class BranchNormalization(keras.Layer):
    """Batch or group normalisation after a branch's convolution over the input.

    The streams send different values through the same weights, so batch normalisation keeps the
    moving mean and variance of each stream apart; gamma and beta are shared.

    Args:
        kind: "batch" or "group" (8 groups, or the largest common divisor of 8 and the channels).
        streams: names of the streams that pass here.
        momentum: of the moving statistics.
        epsilon: added to the variance.
    """

    def __init__(self, kind, streams, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.kind = check_normalization(kind)
        self.streams, self.momentum, self.epsilon = tuple(streams), momentum, epsilon
        self.statistics = {}

    def build(self, shape):
        channels = shape[-1]
        same = dict(trainable=self.trainable, dtype=self.dtype_policy)
        if self.kind == "group":
            groups = math.gcd(8, channels)
            self.group = keras.layers.GroupNormalization(groups, epsilon=self.epsilon, **same)
            self.group.build((None, *shape[-3:]))
        else:
            self.gamma = self.add_weight(name="gamma", shape=(channels,), initializer="ones")
            self.beta = self.add_weight(name="beta", shape=(channels,), initializer="zeros")
            for stream in self.streams:
                layer = keras.layers.BatchNormalization(
                    momentum=self.momentum, epsilon=self.epsilon, center=False, scale=False,
                    name=stream, **same,
                )  # fmt: skip
                layer.build((None, *shape[-3:]))
                self.statistics[stream] = layer
        self.built = True

    def call(self, inputs, stream, training=False):
        """inputs: (batch or batch*time, height, width, channels)."""
        if self.kind == "group":
            return self.group(inputs)
        normalized = self.statistics[stream](inputs, training=training)
        return normalized * ops.cast(self.gamma, inputs.dtype) + ops.cast(self.beta, inputs.dtype)
