"""PredRNN, PredRNN++ and PredRNN v2: a second memory that goes up through the layers and on to the next step."""

import keras
from keras import ops

from scs_keras.zoo.video_prediction.frame_by_frame import FrameByFrame
from scs_keras.zoo.video_prediction.gates import Cell, GateConvolution, PointwiseConvolution
from scs_keras.zoo.video_prediction.recurrent import RecurrentPredictor


class SpatioTemporalLSTMCell(Cell):
    """One layer of PredRNN (ST-LSTM).

    With X = conv_x(x) split into (i, f, g, i', f', g', o), H = conv_h(h) into (i, f, g, o) and M = conv_m(m) into
    (i, f, g):

        i  = sigmoid(i_x + i_h),    f  = sigmoid(f_x + f_h + 1),    g  = tanh(g_x + g_h),    c' = f c + i g
        i' = sigmoid(i'_x + i_m),   f' = sigmoid(f'_x + f_m + 1),   g' = tanh(g'_x + g_m),   m' = f' m + i' g'
        o  = sigmoid(o_x + o_h + conv_o([c', m'])),                 h' = o tanh(conv_last([c', m']))

    `call(x, h, c, m)` returns (h', c', m', i g, i' g').
    """

    def __init__(self, channels, hidden, gates, **kwargs):
        super().__init__(**kwargs)
        self.conv_x = GateConvolution(channels, 7 * hidden, **gates)
        self.conv_h = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_m = GateConvolution(hidden, 3 * hidden, **gates)
        self.conv_o = GateConvolution(2 * hidden, hidden, **gates)
        self.conv_last = PointwiseConvolution(2 * hidden, hidden, dtype=self.dtype_policy)
        self.built = True

    def call(self, x, h, c, m):
        i_x, f_x, g_x, i_x_, f_x_, g_x_, o_x = ops.split(self.conv_x(x), 7, axis=-1)
        i_h, f_h, g_h, o_h = ops.split(self.conv_h(h), 4, axis=-1)
        i_m, f_m, g_m = ops.split(self.conv_m(m), 3, axis=-1)
        delta_c = ops.sigmoid(i_x + i_h) * ops.tanh(g_x + g_h)
        c = ops.sigmoid(f_x + f_h + 1) * c + delta_c
        delta_m = ops.sigmoid(i_x_ + i_m) * ops.tanh(g_x_ + g_m)
        m = ops.sigmoid(f_x_ + f_m + 1) * m + delta_m
        memory = ops.concatenate([c, m], axis=-1)
        o = ops.sigmoid(o_x + o_h + self.conv_o(memory))
        return o * ops.tanh(self.conv_last(memory)), c, m, delta_c, delta_m


class CausalLSTMCell(Cell):
    """One layer of PredRNN++.

    With X = conv_x(x) split into (i, f, g, i', f', g', o), H = conv_h(h) into (i, f, g, o), C = conv_c(c) into
    (i, f, g) and M = conv_m(m) into (i, f, mm):

        i  = sigmoid(i_x + i_h + i_c),  f = sigmoid(f_x + f_h + f_c + 1),  g = tanh(g_x + g_h + g_c),  c' = f c + i g
        C' = conv_c2m(c') split into (i, g, f, o)
        i' = sigmoid(i'_x + i_m + i_C'),  f' = sigmoid(f'_x + f_m + f_C' + 1),  g' = tanh(g'_x + g_C')
        m' = f' tanh(mm) + i' g'
        o  = tanh(o_x + o_h + o_C' + conv_om(m')),   h' = o tanh(conv_last([c', m']))

    With legacy: C = conv_c(m). conv_o of the reference is kept, unused. `call(x, h, c, m)` returns (h', c', m').
    """

    def __init__(self, channels, hidden, gates, legacy=False, **kwargs):
        super().__init__(**kwargs)
        self.conv_x = GateConvolution(channels, 7 * hidden, **gates)
        self.conv_h = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_c = GateConvolution(hidden, 3 * hidden, **gates)
        self.conv_m = GateConvolution(hidden, 3 * hidden, **gates)
        self.conv_o = GateConvolution(2 * hidden, hidden, dead=True, **gates)
        self.conv_c2m = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_om = GateConvolution(hidden, hidden, **gates)
        self.conv_last = PointwiseConvolution(2 * hidden, hidden, dtype=self.dtype_policy)
        self.legacy = legacy
        self.built = True

    def call(self, x, h, c, m):
        i_x, f_x, g_x, i_x_, f_x_, g_x_, o_x = ops.split(self.conv_x(x), 7, axis=-1)
        i_h, f_h, g_h, o_h = ops.split(self.conv_h(h), 4, axis=-1)
        i_c, f_c, g_c = ops.split(self.conv_c(m if self.legacy else c), 3, axis=-1)
        i_m, f_m, m_m = ops.split(self.conv_m(m), 3, axis=-1)
        i, f, g = ops.sigmoid(i_x + i_h + i_c), ops.sigmoid(f_x + f_h + f_c + 1), ops.tanh(g_x + g_h + g_c)
        c = f * c + i * g
        i_c, g_c, f_c, o_c = ops.split(self.conv_c2m(c), 4, axis=-1)
        i, f, g = ops.sigmoid(i_x_ + i_m + i_c), ops.sigmoid(f_x_ + f_m + f_c + 1), ops.tanh(g_x_ + g_c)
        m = f * ops.tanh(m_m) + i * g
        o = ops.tanh(o_x + o_h + o_c + self.conv_om(m))
        return o * ops.tanh(self.conv_last(ops.concatenate([c, m], axis=-1))), c, m


class GradientHighwayUnit(Cell):
    """z' = u p + (1 - u) z with (p, u) = split(z_concat(z) + x_concat(x)), p = tanh(p), u = sigmoid(u)."""

    def __init__(self, hidden, gates, **kwargs):
        super().__init__(**kwargs)
        self.z_concat = GateConvolution(hidden, 2 * hidden, **gates)
        self.x_concat = GateConvolution(hidden, 2 * hidden, **gates)
        for layer in (self.z_concat, self.x_concat):
            layer.kernel.assign(keras.random.uniform(layer.kernel.shape, -0.001, 0.001))
        self.built = True

    def call(self, x, z):
        p, u = ops.split(self.z_concat(z) + self.x_concat(x), 2, axis=-1)
        u = ops.sigmoid(u)
        return u * ops.tanh(p) + (1 - u) * z


@keras.saving.register_keras_serializable("scs_keras")
class PredRNN(FrameByFrame, RecurrentPredictor):
    """Stacked ST-LSTM cells on patches; arguments as `RecurrentPredictor`.

    References:
        Wang et al., "PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal LSTMs", 2017.
    """

    def __init__(self, input_shape, output_length=None, output_channels=None, **kwargs):
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        self._check_equal_widths()
        observed, predicted = self.patch_channels
        hidden = self.num_hidden[0]
        self.cells = [self.make_cell(hidden if index else observed, hidden) for index in range(len(self.num_hidden))]
        self.conv_last = PointwiseConvolution(hidden, predicted, dtype=self.dtype_policy)

    def make_cell(self, channels, hidden):
        return SpatioTemporalLSTMCell(channels, hidden, self.gates, dtype=self.dtype_policy)

    def first_states(self, patches):
        """(h of each layer, c of each layer, m, penalties so far)."""
        zero = self.zeros(patches, self.num_hidden[0])
        return [zero] * len(self.cells), [zero] * len(self.cells), zero, []

    def advance(self, patches, states, training):
        x, h, c, m, penalties = patches, [], [], states[2], states[3]
        for cell, h_before, c_before in zip(self.cells, *states[:2]):
            x, c_after, m, delta_c, delta_m = cell(x, h_before, c_before, m)
            h, c = [*h, x], [*c, c_after]
            penalties = penalties + (self.penalties(delta_c, delta_m) if training else [])
        return self.conv_last(x), (h, c, m, penalties)

    def penalties(self, delta_c, delta_m):
        """What one layer's step adds to the loss: a list of scalars."""
        return []


@keras.saving.register_keras_serializable("scs_keras")
class PredRNNv2(PredRNN):
    """PredRNN whose two memories are pushed apart, with reverse scheduled sampling.

    While training, decouple_beta * mean over layers, steps, samples and channels of |cos(A i g, A i' g')| is added
    to the loss, where A is a 1x1 convolution shared by all and the angle is that over all positions.

    Arguments as `RecurrentPredictor`, and:

    Args:
        decouple_beta: weight of that penalty.

    References:
        Wang et al., "PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning", 2022.
    """

    def __init__(
        self, input_shape, output_length=None, output_channels=None, *,
        reverse_scheduled_sampling=True, decouple_beta=0.1, **kwargs,
    ):  # fmt: skip
        super().__init__(
            input_shape, output_length, output_channels, reverse_scheduled_sampling=reverse_scheduled_sampling, **kwargs
        )
        if decouple_beta < 0:
            raise ValueError(f"`decouple_beta` is at least 0. Received: decouple_beta={decouple_beta!r}.")
        self.decouple_beta = decouple_beta
        self.adapter = PointwiseConvolution(*self.num_hidden[:1] * 2, dtype=self.dtype_policy)

    def penalties(self, delta_c, delta_m):
        a, b = (ops.cast(self.adapter(delta), "float32") for delta in (delta_c, delta_m))

        def over_positions(values):
            return ops.sum(values, axis=(1, 2))  # (batch, channels)

        lengths = [ops.sqrt(ops.maximum(over_positions(each * each), 1e-24)) for each in (a, b)]
        return [ops.mean(ops.abs(over_positions(a * b)) / (lengths[0] * lengths[1]))]

    def finish(self, states, training):
        if training:
            penalties = states[3]
            self.add_loss(self.decouple_beta * (sum(penalties) / len(penalties)))

    def reference_weights(self):
        return {**super().reference_weights(), "adapter.weight": self.adapter.reference_weights()[".weight"]}


@keras.saving.register_keras_serializable("scs_keras")
class PredRNNpp(PredRNN):
    """PredRNN++: stacked causal LSTM cells with a gradient highway between the first two.

    Arguments as `RecurrentPredictor`, and:

    Args:
        legacy: conv_c acts on m and not on c, as in the reference up to version 0.3, with which its published
            weights were trained; set it for them. Later weights, and new ones, do not need it.

    References:
        Wang et al., "PredRNN++: Towards A Resolution of the Deep-in-Time Dilemma in Spatiotemporal Predictive
        Learning", 2018.
    """

    def __init__(self, input_shape, output_length=None, output_channels=None, *, legacy=False, **kwargs):
        self.legacy = bool(legacy)
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        self.gradient_highway = GradientHighwayUnit(self.num_hidden[0], self.gates, dtype=self.dtype_policy)

    def make_cell(self, channels, hidden):
        return CausalLSTMCell(channels, hidden, self.gates, self.legacy, dtype=self.dtype_policy)

    def first_states(self, patches):
        """(h of each layer, c of each layer, m, z)."""
        zero = self.zeros(patches, self.num_hidden[0])
        return [zero] * len(self.cells), [zero] * len(self.cells), zero, zero

    def advance(self, patches, states, training):
        x, h, c, m, z = patches, [], [], states[2], states[3]
        for cell, h_before, c_before in zip(self.cells, *states[:2]):
            x, c_after, m = cell(x, h_before, c_before, m)
            h, c = [*h, x], [*c, c_after]
            if len(h) == 1:
                x = z = self.gradient_highway(x, z)
        return self.conv_last(x), (h, c, m, z)

    def reference_weights(self):
        return {**super().reference_weights(), **self.gradient_highway.reference_weights("gradient_highway")}
