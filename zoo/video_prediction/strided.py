"""Convolution layers that pad the same number of zeros on every side, with strides too, as PyTorch's users do.

Keras's "same" pads a stride of 2 on one side only, which moves the picture by a pixel. Kernels start with
PyTorch's initial values, U(-1/sqrt(fan in), 1/sqrt(fan in)); biases start at zero.
"""

import keras
from keras import ops


def uniform():
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


class _SymmetricPadding:
    """Pads kernel_size // 2 zeros on every side of every axis; the kernel's sizes must be odd."""

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(filters, kernel_size, strides, padding="valid", kernel_initializer=uniform(), **kwargs)

    def call(self, inputs):
        return super().call(ops.pad(inputs, [[0, 0], *([size // 2] * 2 for size in self.kernel_size), [0, 0]]))

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
        super().__init__(filters, kernel_size, strides, padding="valid", kernel_initializer=uniform(), **kwargs)

    def call(self, inputs):
        (top, left), (rows, columns) = (size // 2 for size in self.kernel_size), self._frame(ops.shape(inputs))
        return super().call(inputs)[:, top : top + rows, left : left + columns]

    def _frame(self, shape):
        return [size and size * stride for size, stride in zip(shape[1:3], self.strides)]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self._frame(input_shape), self.filters)
