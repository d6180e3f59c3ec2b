"""E3D-LSTM: cells that look at pairs of consecutive frames and attend to all their past states."""

import keras
import numpy as np
from keras import ops

from scs_keras.zoo.pytorch_weights import ReferenceWeight
from scs_keras.zoo.video_prediction.gates import Cell, GateConvolution, PointwiseConvolution, layer_normalization
from scs_keras.zoo.video_prediction.recurrent import RecurrentPredictor

WINDOW = 2  # frames that a cell sees together; the reference's kernels fit no other number


class PairWeight(ReferenceWeight):
    """A weight of the reference for pairs of frames: kernels here are 2-D, over the frames side by side."""

    def to_keras(self, array):
        array = super().to_keras(array)  # kernel (depth, k, k, in, out) or image (depth, height, width, channels)
        if array.ndim == 5:
            return np.moveaxis(array, 0, 2).reshape(*array.shape[1:3], -1, array.shape[-1])
        return np.moveaxis(array, 0, 2) if array.ndim == 4 else array


class PairConvolution(GateConvolution):
    """A convolution over (depth, height, width) of a pair of frames; its result, of depth 1, stands for both.

    It is computed as a 2-D convolution of the two frames side by side: (batch, height, width, 1 or 2, channels) ->
    (batch, height, width, 1, filters), or depth 2 with layer normalisation. A result made smaller by the stride
    is repeated to the input's size.
    """

    depth = WINDOW

    def __init__(self, channels, filters, kernel_size, frame=None, stride=1, **kwargs):
        super().__init__(channels, filters, kernel_size, frame, **kwargs)
        self.stride, self.size = stride, kernel_size

    def call(self, x):
        x = as_pair(x)
        batch, height, width, depth, channels = ops.shape(x)
        x = ops.reshape(x, (batch, height, width, depth * channels))
        if self.stride == 1:
            x = ops.conv(x, self.kernel, padding="same", data_format="channels_last")
        else:
            border = [[0, 0], *[[self.size // 2] * 2] * 2, [0, 0]]
            x = ops.conv(ops.pad(x, border), self.kernel, self.stride, "valid", "channels_last")
            for axis, size in ((1, height), (2, width)):
                x = ops.take(x, np.arange(size) * x.shape[axis] // size, axis=axis)  # the nearest
        x = x[:, :, :, None]
        return x if self.scale is None else layer_normalization(as_pair(x), self.scale, self.bias)

    def reference_weights(self):
        weights = {".0.conv3d.weight": PairWeight(self.kernel, "convolution")}
        if self.scale is not None:
            weights[".1.weight"] = PairWeight(self.scale, "image")
            weights[".1.bias"] = PairWeight(self.bias, "image")
        return weights


class PointwisePairConvolution(PointwiseConvolution):
    """The same 1x1 convolution of both frames."""

    def call(self, x):
        batch, height, width, depth, channels = ops.shape(x)
        y = super().call(ops.reshape(x, (batch, height, width * depth, channels)))
        return ops.reshape(y, (batch, height, width, depth, y.shape[-1]))

    def reference_weights(self):
        return {".conv3d.weight": PairWeight(self.kernel, "convolution")}


class PairReadout(PairConvolution):
    """A pair of frames to one: (batch, height, width, 2, channels) -> (batch, height, width, filters)."""

    def __init__(self, channels, filters, **kwargs):
        super().__init__(channels, filters, kernel_size=1, **kwargs)

    def call(self, x):
        return super().call(x)[:, :, :, 0]

    def reference_weights(self):
        return {".weight": PairWeight(self.kernel, "convolution")}


def as_pair(x):
    """(batch, height, width, 1 or 2, channels) with depth 2."""
    batch, height, width, depth, channels = ops.shape(x)
    return x if depth == WINDOW else ops.broadcast_to(x, (batch, height, width, WINDOW, channels))


def to_rows(x):
    """(batch, height, width, 1 or 2, C) -> (batch, 2 * height * width, C), for the attention.

    As in the reference, C consecutive values of (C, depth, height, width) make a row: a row holds many positions
    of one or two channels, not the channels of one position. The published weights were trained so.
    """
    x = as_pair(x)
    batch, height, width, depth, channels = ops.shape(x)
    return ops.reshape(ops.transpose(x, (0, 4, 3, 1, 2)), (batch, depth * height * width, channels))


def from_rows(rows, like):
    """The inverse of `to_rows`."""
    batch, height, width, depth, channels = ops.shape(like)
    return ops.transpose(ops.reshape(rows, (batch, channels, depth, height, width)), (0, 3, 4, 2, 1))


def attend(query, values):
    """softmax(query values^T) values; (batch, n, C) and (batch, any, C)."""
    scores = ops.cast(ops.matmul(query, ops.swapaxes(values, 1, 2)), "float32")
    return ops.matmul(ops.cast(ops.softmax(scores, axis=-1), values.dtype), values)


class EideticLSTMCell(Cell):
    """One layer, with H = conv_h(h) split into (i, g, r, o) and X = conv_x(x) into (i, g, r, o, i', g', f'):

        i = sigmoid(i_x + i_h),  g = tanh(g_x + g_h),  r = sigmoid(r_x + r_h)
        c' = LayerNorm(c + attend(r, all c so far)) + i g
        GM = conv_gm(M) split into (i, f, g, m):
        i' = sigmoid(i'_x + i_m),  f' = sigmoid(f'_x + f_m + 1),  g' = tanh(g'_x + g_m),  M' = f' tanh(m) + i' g'
        o  = tanh(o_x + o_h + conv_new_cell(c') + conv_new_gm(M')),  h' = tanh(conv_last([c', M'])) sigmoid(o)

    `call(x, h, c, memory, history)` with the rows of all earlier c and of c returns (h', c', M').
    """

    def __init__(self, channels, hidden, frame, gates, **kwargs):
        super().__init__(**kwargs)
        shape = (*frame, WINDOW, hidden)
        self.norm_scale = self.add_weight(name="norm_scale", shape=shape, initializer="ones")
        self.norm_bias = self.add_weight(name="norm_bias", shape=shape, initializer="zeros")
        self.conv_x = PairConvolution(channels, 7 * hidden, **gates)
        self.conv_h = PairConvolution(hidden, 4 * hidden, **gates)
        self.conv_gm = PairConvolution(hidden, 4 * hidden, **gates)
        self.conv_new_cell = PairConvolution(hidden, hidden, **gates)
        self.conv_new_gm = PairConvolution(hidden, hidden, **gates)
        self.conv_last = PointwisePairConvolution(2 * hidden, hidden, dtype=self.dtype_policy)
        self.built = True

    def call(self, x, h, c, memory, history):
        i_h, g_h, r_h, o_h = ops.split(self.conv_h(h), 4, axis=-1)
        i_x, g_x, r_x, o_x, i_x_, g_x_, f_x_ = ops.split(self.conv_x(x), 7, axis=-1)
        recalled = from_rows(attend(to_rows(ops.sigmoid(r_x + r_h)), ops.concatenate(history, axis=1)), c)
        c = layer_normalization(c + recalled, self.norm_scale, self.norm_bias)
        c = c + ops.sigmoid(i_x + i_h) * ops.tanh(g_x + g_h)
        i_m, f_m, g_m, m_m = ops.split(self.conv_gm(memory), 4, axis=-1)
        memory = ops.sigmoid(f_x_ + f_m + 1) * ops.tanh(m_m) + ops.sigmoid(i_x_ + i_m) * ops.tanh(g_x_ + g_m)
        o = ops.tanh(o_x + o_h + self.conv_new_cell(c) + self.conv_new_gm(memory))
        h = ops.tanh(self.conv_last(ops.concatenate([c, as_pair(memory)], axis=-1))) * ops.sigmoid(o)
        return h, c, memory

    def reference_weights(self, prefix):
        norm = {"weight": self.norm_scale, "bias": self.norm_bias}
        own = {f"{prefix}._norm_c_t.{name}": PairWeight(weight, "image") for name, weight in norm.items()}
        return own | super().reference_weights(prefix)


@keras.saving.register_keras_serializable("scs_keras")
class MeanSquaredAndAbsoluteError(keras.losses.Loss):
    """mean (y_pred - y_true)^2 + mean |y_pred - y_true|, which E3D-LSTM is trained with; one value per sample."""

    def __init__(self, name="mean_squared_and_absolute_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        error = y_pred - y_true
        return ops.mean(ops.square(error) + ops.abs(error), axis=tuple(range(1, len(error.shape))))


@keras.saving.register_keras_serializable("scs_keras")
class E3DLSTM(RecurrentPredictor):
    """Stacked eidetic 3-D LSTM cells on patches; arguments as `RecurrentPredictor`, and:

    Args:
        stride: of the convolutions that make gates; their results are repeated to the input's size.
        update_memory: the reference, and its authors', hand on the global memory M as they got it, so that it stays
            zero for ever and the weights of conv_gm never learn: False, which the published weights need. True
            hands on M', as the paper says.

    References:
        Wang et al., "Eidetic 3D LSTM: A Model for Video Prediction and Beyond", 2019.
    """

    has_weight_for_every_position = True

    def __init__(self, input_shape, output_length=None, output_channels=None, *, update_memory=False, **kwargs):
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        self._check_equal_widths()
        self.update_memory = bool(update_memory)
        observed, predicted = self.patch_channels
        hidden, gates = self.num_hidden[0], {**self.gates, "stride": self.stride}
        self.cells = [
            EideticLSTMCell(hidden if index else observed, hidden, self.patch_frame, gates, dtype=self.dtype_policy)
            for index in range(len(self.num_hidden))
        ]
        self.conv_last = PairReadout(hidden, predicted, dtype=self.dtype_policy)

    def _check_stride(self):
        """Results are repeated to the input's size."""
        if self.stride > min(self.patch_frame):
            raise ValueError(
                f"`stride` is at most a frame's size in patches, {self.patch_frame}. Received: stride={self.stride}."
            )

    def benchmark_loss(self):
        return MeanSquaredAndAbsoluteError()

    def first_states(self, patches):
        """(the frame before, h and c of each layer, M, rows of all c of each layer)."""
        shape = (*ops.shape(patches)[:3], WINDOW, self.num_hidden[0])
        zero, layers = ops.zeros(shape, dtype=self.compute_dtype), len(self.cells)
        return ops.zeros_like(patches), [zero] * layers, [zero] * layers, zero[:, :, :, :1], [[]] * layers

    def advance(self, patches, states, training):
        before, h_before, c_before, memory, histories = states
        x, h, c, longer = ops.stack([before, patches], axis=3), [], [], []
        for cell, h_cell, c_cell, history in zip(self.cells, h_before, c_before, histories):
            longer.append([*history, to_rows(c_cell)])
            x, c_after, new_memory = cell(x, h_cell, c_cell, memory, longer[-1])
            memory = new_memory if self.update_memory else memory
            h, c = [*h, x], [*c, c_after]
        return self.conv_last(x), (patches, h, c, memory, longer)
