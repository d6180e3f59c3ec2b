"""Convolutions and normalisations with PyTorch's padding, constants and initial values.

Classes are layers like Keras's; functions (`convolution`, `depthwise`, ...) return layers that are built already.
"""

import keras
from keras import initializers, ops

EPSILON = 1e-5  # of every normalisation of the reference


def built(layer, channels):
    """The layer with its weights made, for images of so many channels."""
    layer.build((None, None, None, channels))
    return layer


def torch_uniform(fan_in):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's initial kernels and biases."""
    return initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def uniform():
    """The same for a kernel (..., channels, filters), whose shape tells the fan in."""
    return initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


class _SymmetricPadding:
    """Pads kernel_size // 2 zeros on every side of every axis; the kernel's sizes must be odd.

    Keras's "same" pads a stride of 2 on one side only, which moves the picture by a pixel.
    """

    def __init__(self, filters, kernel_size, strides=1, kernel_initializer=None, **kwargs):
        initial = dict(kernel_initializer=kernel_initializer or uniform())
        super().__init__(
            filters, kernel_size, strides, padding="valid", data_format="channels_last", **initial, **kwargs
        )
        if set(self.strides) == {1}:
            self.padding = "same"  # the same zeros, and nothing to copy

    def call(self, inputs):
        if self.padding == "valid":
            inputs = ops.pad(inputs, [[0, 0], *([size // 2] * 2 for size in self.kernel_size), [0, 0]])
        return super().call(inputs)

    def compute_output_shape(self, input_shape):
        frame = [size and -(-size // stride) for size, stride in zip(input_shape[1:-1], self.strides)]
        return (input_shape[0], *frame, self.filters)


class Convolution(_SymmetricPadding, keras.layers.Conv2D):
    """(batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters)."""


class Convolution3D(_SymmetricPadding, keras.layers.Conv3D):
    """(batch, time, height, width, channels), likewise."""


class TransposedConvolution(keras.layers.Conv2DTranspose):
    """The transpose of `Convolution`: (batch, height * strides, width * strides, filters).

    The kernel's sizes must be odd and larger than the strides.
    """

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding="valid",
            data_format="channels_last",
            kernel_initializer=uniform(),
            **kwargs,
        )

    def call(self, inputs):
        (top, left), (rows, columns) = (size // 2 for size in self.kernel_size), self._frame(ops.shape(inputs))
        return super().call(inputs)[:, top : top + rows, left : left + columns]

    def _frame(self, shape):
        return [size and size * stride for size, stride in zip(shape[1:3], self.strides)]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self._frame(input_shape), self.filters)


class GroupedConv2D(keras.layers.Conv2D):
    """Keras's grouped convolution as one convolution per group.

    Keras has TensorFlow compile grouped convolutions by XLA, whose gradient on a CPU takes 30 to 60 times as long.
    """

    def convolution_op(self, inputs, kernel):
        parts = zip(ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1))
        return ops.concatenate(
            [ops.conv(part, weights, padding=self.padding, data_format=self.data_format) for part, weights in parts],
            axis=-1,
        )


class PointwiseConv2D(keras.layers.Conv2D):
    """A 1x1 convolution as a product of matrices: on TensorFlow's CPU its gradients take half the time."""

    def convolution_op(self, inputs, kernel):
        shape = ops.shape(inputs)
        flat = ops.matmul(ops.reshape(inputs, (-1, shape[-1])), kernel[0, 0])
        return ops.reshape(flat, (-1, *shape[1:-1], self.filters))


def convolution(channels, filters, kernel_size=1, groups=1, initializer=None):
    """A convolution of stride 1, zero padding; initial values PyTorch's, or `initializer` with zero biases."""
    initial = torch_uniform(kernel_size**2 * channels // groups)
    make = GroupedConv2D if groups > 1 else PointwiseConv2D if kernel_size == 1 else keras.layers.Conv2D
    layer = make(
        filters, kernel_size, padding="same", groups=groups, data_format="channels_last",
        kernel_initializer=initializer or initial, bias_initializer="zeros" if initializer else initial,
    )  # fmt: skip
    return built(layer, channels)


def depthwise(channels, kernel_size, dilation=1, initializer=None):
    """A depthwise convolution, otherwise as `convolution`."""
    initial = torch_uniform(kernel_size**2)
    layer = keras.layers.DepthwiseConv2D(
        kernel_size, padding="same", dilation_rate=dilation, data_format="channels_last",
        depthwise_initializer=initializer or initial, bias_initializer="zeros" if initializer else initial,
    )  # fmt: skip
    return built(layer, channels)


def dense(inputs, units):
    """A dense layer without bias, on vectors."""
    layer = keras.layers.Dense(units, use_bias=False, kernel_initializer=torch_uniform(inputs))
    layer.build((None, inputs))
    return layer


class GroupNormalization(keras.layers.GroupNormalization):
    """Keras's layer for (batch, height, width, channels), faster: statistics of each channel first.

    They are of float32, the variance of what is left without the mean.
    """

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        x = x - self._mean(x)
        scale = ops.rsqrt(self._mean(x * x) + self.epsilon) * ops.cast(self.gamma, "float32")
        return ops.cast(x * scale + ops.cast(self.beta, "float32"), inputs.dtype)

    def _mean(self, x):
        """(batch, height, width, channels) to (batch, 1, 1, channels): the mean of each channel's group.

        Along one side after the other: LiteRT adds up one number after the other, which over thousands of pixels costs
        two digits.
        """
        size = x.shape[-1] // self.groups
        groups = ops.reshape(ops.mean(ops.mean(x, axis=1), axis=1), (-1, 1, 1, self.groups, size))
        return ops.repeat(ops.mean(groups, axis=-1), size, axis=-1)


def group_normalization(groups, channels):
    return built(GroupNormalization(groups, epsilon=EPSILON), channels)


def batch_normalization(channels):
    return built(keras.layers.BatchNormalization(momentum=0.9, epsilon=EPSILON), channels)


def pixel_shuffle(images):
    """(batch, height, width, 4 c) to (batch, 2 height, 2 width, c); channel c*4 + 2*row + column, as PyTorch's."""
    _, height, width, channels = ops.shape(images)
    images = ops.reshape(images, (-1, height, width, channels // 4, 2, 2))
    images = ops.transpose(images, (0, 1, 4, 2, 5, 3))
    return ops.reshape(images, (-1, 2 * height, 2 * width, channels // 4))
