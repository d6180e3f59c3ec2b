"""ConvLSTM: stacked convolutional LSTM cells."""

import keras
from keras import ops

from scs_keras.zoo.video_prediction.frame_by_frame import FrameByFrame
from scs_keras.zoo.video_prediction.gates import Cell, GateConvolution, PointwiseConvolution
from scs_keras.zoo.video_prediction.recurrent import RecurrentPredictor


class ConvLSTMCell(Cell):
    """One layer, with X = conv_x(x) and H = conv_h(h), each split into (i, f, g, o):

        i = sigmoid(i_x + i_h),  f = sigmoid(f_x + f_h),  g = tanh(g_x + g_h),  o = sigmoid(o_x + o_h)
        c' = f c + i g
        h' = o tanh(c'),   with legacy: h' = o g

    conv_o and conv_last of the reference are kept, unused. `call(x, h, c)` returns (h', c').
    """

    def __init__(self, channels, hidden, gates, legacy=False, **kwargs):
        super().__init__(**kwargs)
        self.conv_x = GateConvolution(channels, 4 * hidden, **gates)
        self.conv_h = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_o = GateConvolution(2 * hidden, hidden, dead=True, **gates)
        self.conv_last = PointwiseConvolution(2 * hidden, hidden, dead=True, dtype=self.dtype_policy)
        self.legacy = legacy
        self.built = True

    def call(self, x, h, c):
        i, f, g, o = ops.split(self.conv_x(x) + self.conv_h(h), 4, axis=-1)
        g, o = ops.tanh(g), ops.sigmoid(o)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * g
        return o * (g if self.legacy else ops.tanh(c)), c


@keras.saving.register_keras_serializable("scs_keras")
class ConvLSTM(FrameByFrame, RecurrentPredictor):
    """Stacked ConvLSTM cells on patches; arguments as `RecurrentPredictor`, and:

    Args:
        legacy: the output gate acts on g and not on tanh(c), as in the reference up to version 0.3, with which
            its published weights were trained; set it for them. Later weights, and new ones, do not need it.

    References:
        Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting", 2015.
    """

    def __init__(self, input_shape, output_length=None, output_channels=None, *, legacy=False, **kwargs):
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        self.legacy = bool(legacy)
        observed, predicted = self.patch_channels
        channels = (observed, *self.num_hidden)
        self.cells = [
            ConvLSTMCell(channels[index], hidden, self.gates, self.legacy, dtype=self.dtype_policy)
            for index, hidden in enumerate(self.num_hidden)
        ]
        self.conv_last = PointwiseConvolution(self.num_hidden[-1], predicted, dtype=self.dtype_policy)

    def first_states(self, patches):
        return [(self.zeros(patches, hidden),) * 2 for hidden in self.num_hidden]

    def advance(self, patches, states, training):
        x, new = patches, []
        for cell, (h, c) in zip(self.cells, states):
            x, c = cell(x, h, c)
            new.append((x, c))
        return self.conv_last(x), new
