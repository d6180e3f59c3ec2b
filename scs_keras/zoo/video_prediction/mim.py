"""MIM: memory in memory, recurrent cells on the differences between the states of consecutive steps."""

import keras
from keras import ops

from scs_keras.core.signatures import whole
from scs_keras.zoo.pytorch_weights import ReferenceWeight
from scs_keras.zoo.video_prediction.frame_by_frame import FrameByFrame
from scs_keras.zoo.video_prediction.gates import Cell, GateConvolution, PointwiseConvolution
from scs_keras.zoo.video_prediction.predrnn import SpatioTemporalLSTMCell
from scs_keras.zoo.video_prediction.recurrent import RecurrentPredictor


class PeepholeCell(Cell):
    """LSTM with a weight for each position between cell state and gates: MIM-N, and MIM-S inside `MIMBlock`.

    With H = conv_h_concat(h) and X = conv_x_concat(x), each split into (i, g, f, o), and (i_c, f_c) = ct_weight [c, c]:

        i = sigmoid(i_x + i_h + i_c),  f = sigmoid(f_x + f_h + f_c + 1)
        c' = f c + i tanh(g_x + g_h),  h' = sigmoid(o_x + o_h + oc_weight c') tanh(c')

    `peephole(x, h, c)` returns (h', c').
    """

    def __init__(self, hidden, frame, gates, **kwargs):
        super().__init__(**kwargs)
        self.ct_weight = self.add_weight(name="ct_weight", shape=(*frame, 2 * hidden), initializer="zeros")
        self.oc_weight = self.add_weight(name="oc_weight", shape=(*frame, hidden), initializer="zeros")
        self.conv_h_concat = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_x_concat = GateConvolution(hidden, 4 * hidden, **gates)
        self.built = True

    def peephole(self, x, h, c):
        i, g, f, o = ops.split(self.conv_x_concat(x) + self.conv_h_concat(h), 4, axis=-1)
        i_weight, f_weight = ops.split(ops.convert_to_tensor(self.ct_weight), 2, axis=-1)
        c = ops.sigmoid(f + f_weight * c + 1) * c + ops.sigmoid(i + i_weight * c) * ops.tanh(g)
        return ops.sigmoid(o + self.oc_weight * c) * ops.tanh(c), c

    def reference_weights(self, prefix):
        peepholes = dict(ct_weight=self.ct_weight, oc_weight=self.oc_weight)
        own = {f"{prefix}.{name}": ReferenceWeight(weight, "image") for name, weight in peepholes.items()}
        return own | super().reference_weights(prefix)


class MIMN(PeepholeCell):
    """The non-stationary module. conv_last of the reference is kept, unused. `call(x, h, c)` returns (h', c')."""

    def __init__(self, hidden, frame, gates, **kwargs):
        super().__init__(hidden, frame, gates, **kwargs)
        self.conv_last = PointwiseConvolution(2 * hidden, hidden, dead=True, dtype=self.dtype_policy)

    def call(self, x, h, c):
        return self.peephole(x, h, c)


class MIMBlock(PeepholeCell):
    """An ST-LSTM whose forget gate is the stationary module, fed by the differences d of the layer below.

    With T = conv_t_cc(h) split into (i, g, o), S = conv_s_cc(m) and X = conv_x_cc(x) into (i, g, f, o):

        m' = sigmoid(f_x + f_s + 1) m + sigmoid(i_x + i_s) tanh(g_x + g_s)
        s, n' = peephole(d, c, n)                   (MIM-S: c is its hidden state, n its memory)
        c' = s + sigmoid(i_x + i_t) tanh(g_x + g_t)
        h' = sigmoid(o_x + o_t + o_s) tanh(conv_last([c', m']))

    `call(x, d, h, c, m, n)` returns (h', c', m', n').
    """

    def __init__(self, hidden, frame, gates, **kwargs):
        super().__init__(hidden, frame, gates, **kwargs)
        self.conv_t_cc = GateConvolution(hidden, 3 * hidden, **gates)
        self.conv_s_cc = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_x_cc = GateConvolution(hidden, 4 * hidden, **gates)
        self.conv_last = PointwiseConvolution(2 * hidden, hidden, dtype=self.dtype_policy)

    def call(self, x, d, h, c, m, n):
        i_t, g_t, o_t = ops.split(self.conv_t_cc(h), 3, axis=-1)
        i_s, g_s, f_s, o_s = ops.split(self.conv_s_cc(m), 4, axis=-1)
        i_x, g_x, f_x, o_x = ops.split(self.conv_x_cc(x), 4, axis=-1)
        m = ops.sigmoid(f_x + f_s + 1) * m + ops.sigmoid(i_x + i_s) * ops.tanh(g_x + g_s)
        s, n = self.peephole(d, c, n)
        c = s + ops.sigmoid(i_x + i_t) * ops.tanh(g_x + g_t)
        memory = ops.concatenate([c, m], axis=-1)
        return ops.sigmoid(o_x + o_t + o_s) * ops.tanh(self.conv_last(memory)), c, m, n


@keras.saving.register_keras_serializable("scs_keras")
class MIM(FrameByFrame, RecurrentPredictor):
    """One ST-LSTM cell, then MIM blocks, each with a MIM-N that sees the change of the layer below.

    Arguments as `RecurrentPredictor`, at least two layers, and:

    Args:
        carry_memory: the reference never resets the memory n of its blocks: a batch starts with what the one
            before left, no gradient flows through n, and all batches must be of one size. False starts each call at
            zero, so that equal inputs give equal outputs; gradients then flow. A number is the size of all batches
            and does as the reference does; `reset_memory()` starts afresh. Weights fit both.

    References:
        Wang et al., "Memory In Memory: A Predictive Neural Network for Learning Higher-Order Non-Stationarity from
        Spatiotemporal Dynamics", 2019.
    """

    cells_name = "stlstm_layer"
    has_weight_for_every_position = True

    def __init__(self, input_shape, output_length=None, output_channels=None, *, carry_memory=False, **kwargs):
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        self._check_equal_widths()
        if len(self.num_hidden) < 2:
            raise ValueError(
                "MIM has at least two layers: its blocks begin at the second. "
                f"Received: num_hidden={self.num_hidden}. For example: (64, 64)."
            )
        if carry_memory is not False and not (type(carry_memory) is int and carry_memory >= 1):
            raise ValueError(
                "`carry_memory` is False or the size of all batches, a whole number of at least 1, for example 16. "
                f"Received: carry_memory={carry_memory!r}."
            )
        self.carry_memory = carry_memory
        observed, predicted = self.patch_channels
        hidden, blocks, frame = self.num_hidden[0], len(self.num_hidden) - 1, self.patch_frame
        first = SpatioTemporalLSTMCell(observed, hidden, self.gates, dtype=self.dtype_policy)
        self.cells = [first] + [MIMBlock(hidden, frame, self.gates, dtype=self.dtype_policy) for _ in range(blocks)]
        self.differences = [MIMN(hidden, frame, self.gates, dtype=self.dtype_policy) for _ in range(blocks)]
        self.conv_last = PointwiseConvolution(hidden, predicted, dtype=self.dtype_policy)
        self.memory = None
        if carry_memory:
            shape = (blocks, carry_memory, *frame, hidden)
            self.memory = self.add_weight(name="memory", shape=shape, initializer="zeros", trainable=False)

    def reset_memory(self):
        """Sets the carried memory to zero."""
        if self.memory is not None:
            self.memory.assign(ops.zeros_like(self.memory))

    def first_states(self, patches):
        """h and c of each layer, m, n of each block, and (h, c) of each MIM-N, None before the second step."""
        zero = self.zeros(patches, self.num_hidden[0])
        layers, blocks = len(self.cells), len(self.differences)
        n = [zero] * blocks if self.memory is None else self._carried(patches)
        return [zero] * layers, [zero] * layers, zero, n, None

    def streamed_states(self, seen):
        """Those of `first_states` with zeros for each (h, c) of a MIM-N, and 0 for the second step has not come yet."""
        *states, _ = self.first_states(seen)
        zero = states[2]
        return *states, [(zero, zero)] * len(self.differences), ops.zeros_like(zero[:, :1, :1, :1])

    def signatures(self, input_shape):
        """See `SCSModel.signatures`; a memory that is carried from call to call is no state of one stream."""
        return super().signatures(input_shape) if self.memory is None else (whole(self, input_shape),)

    def _carried(self, patches):
        if patches.shape[0] not in (None, self.carry_memory):
            raise ValueError(
                f"With carry_memory={self.carry_memory} every batch has {self.carry_memory} samples. "
                f"Received: {patches.shape[0]}. Drop the last, smaller batch, or build with carry_memory=False."
            )
        return [ops.cast(n, self.compute_dtype) for n in ops.unstack(ops.convert_to_tensor(self.memory))]

    def advance(self, patches, states, training):
        h_before, c_before, m, n_before, d_before, *started = states  # the last in a stream only
        zero = ops.zeros_like(m)
        x, c, m, *_ = self.cells[0](patches, h_before[0], c_before[0], m)
        h, c, n, d = [x], [c], [], []
        change = x - h_before[0]
        for index, (block, difference) in enumerate(zip(self.cells[1:], self.differences)):
            if d_before is None:  # the first step has no change yet
                change = zero
            else:
                d.append([each * started[0] if started else each for each in difference(change, *d_before[index])])
                change = d[-1][0]
            memory = ops.stop_gradient(n_before[index]) if self.carry_memory else n_before[index]
            x, c_after, m, n_after = block(x, change, h_before[index + 1], c_before[index + 1], m, memory)
            h, c, n = [*h, x], [*c, c_after], [*n, n_after]
        started = [ops.ones_like(each) for each in started]
        return self.conv_last(x), (h, c, m, n, d or [(zero, zero)] * len(self.differences), *started)

    def finish(self, states, training):
        if self.memory is not None:
            self.memory.assign(ops.stop_gradient(ops.cast(ops.stack(states[3]), self.memory.dtype)))

    def reference_weights(self):
        weights = super().reference_weights()
        for index, cell in enumerate(self.differences):
            weights |= cell.reference_weights(f"stlstm_layer_diff.{index}")
        return weights
