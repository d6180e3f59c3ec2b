"""What the cells of the recurrent models are made of: convolutions that make gates, and sums of them."""

import keras
from keras import ops

from scs_keras.zoo.pytorch_weights import ReferenceWeight
from scs_keras.zoo.video_prediction.convolutions import EPSILON, uniform


def layer_normalization(x, scale, bias):
    """x over all its axes but the first brought to mean 0 and variance 1, then scale * x + bias; in float32."""
    values, axes = ops.cast(x, "float32"), tuple(range(1, len(x.shape)))
    mean, variance = ops.moments(values, axes, keepdims=True)
    values = (values - mean) * ops.rsqrt(variance + EPSILON)
    return ops.cast(values * ops.cast(scale, "float32") + ops.cast(bias, "float32"), x.dtype)


class GateConvolution(keras.Layer):
    """A convolution of stride 1 without bias, zero padding; layer normalisation after it if a frame size is given.

    Args:
        channels, filters: channels in and out.
        kernel_size: odd integer.
        frame: (height, width) to normalise over with a scale and bias for each element; None: no normalisation.
        dead: the weights are kept because the reference has them, but nothing uses them: they do not train.
    """

    depth = 1  # frames seen together

    def __init__(self, channels, filters, kernel_size, frame=None, dead=False, **kwargs):
        super().__init__(**kwargs)
        shape = (kernel_size, kernel_size, self.depth * channels, filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=uniform(), trainable=not dead)
        self.scale = self.bias = None
        if frame:
            shape = (*frame, *[self.depth] * (self.depth > 1), filters)
            self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", trainable=not dead)
            self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros", trainable=not dead)
        self.built = True

    def call(self, x):
        x = ops.conv(x, self.kernel, padding="same", data_format="channels_last")
        return x if self.scale is None else layer_normalization(x, self.scale, self.bias)

    def reference_weights(self):
        """{end of the name in the reference: ReferenceWeight}."""
        weights = {".0.weight": ReferenceWeight(self.kernel, "convolution")}
        if self.scale is not None:
            weights[".1.weight"] = ReferenceWeight(self.scale, "image")
            weights[".1.bias"] = ReferenceWeight(self.bias, "image")
        return weights


class PointwiseConvolution(GateConvolution):
    """A 1x1 `GateConvolution`, without normalisation."""

    def __init__(self, channels, filters, **kwargs):
        super().__init__(channels, filters, kernel_size=1, **kwargs)

    def reference_weights(self):
        return {".weight": ReferenceWeight(self.kernel, "convolution")}


class Cell(keras.Layer):
    """One layer of a recurrent model at one time step. Its attributes bear the names of the reference's parameters."""

    def reference_weights(self, prefix):
        """{name in the reference: ReferenceWeight} of all its convolutions."""
        return {
            f"{prefix}.{name}{end}": weight
            for name, layer in vars(self).items()
            if isinstance(layer, GateConvolution)
            for end, weight in layer.reference_weights().items()
        }
