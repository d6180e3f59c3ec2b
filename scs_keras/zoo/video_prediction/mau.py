"""MAU: a motion-aware unit that looks back over several steps (Chang et al. 2021)."""

import math

import keras
from keras import ops

from scs_keras.zoo.pytorch_weights import ReferenceWeight, layer_weights
from scs_keras.zoo.video_prediction.convolutions import Convolution, TransposedConvolution
from scs_keras.zoo.video_prediction.frame_by_frame import FrameByFrame
from scs_keras.zoo.video_prediction.gates import Cell, GateConvolution, layer_normalization
from scs_keras.zoo.video_prediction.recurrent import RecurrentPredictor


class NormalizedConvolution(GateConvolution):
    """A convolution with bias and layer normalisation."""

    def __init__(self, channels, filters, kernel_size, frame, **kwargs):
        super().__init__(channels, filters, kernel_size, frame, **kwargs)
        self.offset = self.add_weight(name="offset", shape=(filters,), initializer="zeros")

    def call(self, x):
        return layer_normalization(
            ops.conv(x, self.kernel, padding="same", data_format="channels_last") + self.offset, self.scale, self.bias
        )

    def reference_weights(self):
        return super().reference_weights() | {".0.bias": ReferenceWeight(self.offset)}


class MAUCell(Cell):
    """One layer. S_i and T_i are its last tau inputs and motions, zeros before the first step; LN normalises a layer:

        w_i = softmax_i( sum(S_i * LN conv_s_next(S)) / sqrt(hidden * height * width) )
        g = sigmoid(LN conv_t_next(T));   T_f = g T + (1 - g) sum_i w_i T_i
        (t_g, t_t, t_s) = LN conv_t(T_f);   (s_g, s_t, s_s) = LN conv_s(S)
        T' = sigmoid(t_g) t_t + (1 - sigmoid(t_g)) s_t
        S' = sigmoid(s_g) s_s + (1 - sigmoid(s_g)) t_s,   with cell_mode "residual" + S

    Args:
        hidden: channels.
        kernel_size: odd integer.
        frame: (height, width) of the states.
        residual: whether S is added to S'.

    Call: T and S (batch, height, width, hidden), and the stacked T_i and S_i (tau, batch, height, width, hidden),
    to (T', S').
    """

    def __init__(self, hidden, kernel_size, frame, residual=False, **kwargs):
        super().__init__(**kwargs)
        arguments = dict(kernel_size=kernel_size, frame=frame, dtype=self.dtype_policy)
        self.conv_t = NormalizedConvolution(hidden, 3 * hidden, **arguments)
        self.conv_t_next = NormalizedConvolution(hidden, hidden, **arguments)
        self.conv_s = NormalizedConvolution(hidden, 3 * hidden, **arguments)
        self.conv_s_next = NormalizedConvolution(hidden, hidden, **arguments)
        self.scale = math.sqrt(hidden * frame[0] * frame[1])
        self.residual = residual
        self.built = True

    def call(self, t, s, past_t, past_s):
        likeness = ops.cast(past_s, "float32") * ops.cast(self.conv_s_next(s), "float32")
        weights = ops.softmax(ops.sum(likeness, axis=(2, 3, 4), keepdims=True) / self.scale, axis=0)
        trend = ops.sum(ops.cast(weights, t.dtype) * past_t, axis=0)
        gate = ops.sigmoid(self.conv_t_next(t))
        t_g, t_t, t_s = ops.split(self.conv_t(gate * t + (1 - gate) * trend), 3, axis=-1)
        s_g, s_t, s_s = ops.split(self.conv_s(s), 3, axis=-1)
        t_g, s_g = ops.sigmoid(t_g), ops.sigmoid(s_g)
        new_s = s_g * s_s + (1 - s_g) * t_s
        return t_g * t_t + (1 - t_g) * s_t, new_s + s if self.residual else new_s


@keras.saving.register_keras_serializable("scs_keras")
class MAU(FrameByFrame, RecurrentPredictor):
    """MAU as the reference benchmark defines it; 4,483,588 parameters on Moving MNIST, 8,259 of them dead.

    An encoder of stride-2 convolutions makes frames `sr_size` times smaller, MAU cells work there, a decoder of
    transposed convolutions puts out the next frame. Layer normalisation has a weight for every position, so
    the frame size is the one the model was built for. The convolutions `merge` and `conv_last_sr` of the reference
    are kept, unused (`dead_weights`).

    Arguments as `RecurrentPredictor`, with four layers of 64 channels and patches of 1 by default (`layer_norm` has
    no effect: every convolution of a cell is normalised), and:

    Args:
        sr_size: how many times smaller the states are than the frames in patches: a power of 2. 4 for Moving
            MNIST, 2 for the other data sets.
        tau: number of past steps that the attention sees.
        cell_mode: "normal", or "residual": a cell's input is added to its output.
        model_mode: "normal", or "recall": the encoder's features are added in the decoder.

    In the reference's newer version scheduled sampling never decays for this model, for a lost assignment; there and
    here `sampling_changing_rate=0.0` is that behaviour. The published recipe is the default, which decays.

    References:
        Chang et al., NeurIPS 2021, https://openreview.net/forum?id=qwtfY-3ibt7
    """

    def __init__(
        self, input_shape, output_length=None, output_channels=None, *, num_hidden="64,64,64,64", patch_size=1,
        sr_size=4, tau=5, cell_mode="normal", model_mode="normal", **kwargs,
    ):  # fmt: skip
        _check(sr_size, tau, cell_mode, model_mode)
        super().__init__(
            input_shape, output_length, output_channels, num_hidden=num_hidden, patch_size=patch_size, **kwargs
        )
        self._check_equal_widths()
        self.sr_size, self.tau, self.cell_mode, self.model_mode = sr_size, tau, cell_mode, model_mode
        self.frame_multiple = self.patch_size * sr_size
        self._check_size(*self.frames_shape[1:3])
        hidden, levels = self.num_hidden[0], int(math.log2(sr_size))
        dtype = dict(dtype=self.dtype_policy)
        frame = tuple(size // sr_size for size in self.patch_frame)
        self.cells = [
            MAUCell(hidden, self.filter_size, frame, cell_mode == "residual", name=f"cell_{index}", **dtype)
            for index in range(len(self.num_hidden))
        ]
        self.encoders = [
            Convolution(hidden, 3 if level else 1, 2 if level else 1, name=f"encoder_{level}", **dtype)
            for level in range(levels + 1)
        ]
        self.decoders = [
            TransposedConvolution(hidden, 3, 2, name=f"decoder_{level}", **dtype) for level in range(levels)
        ]
        observed, predicted = self.patch_channels
        self.srcnn = Convolution(predicted, 1, name="srcnn", **dtype)
        self.merge = Convolution(hidden, 1, name="merge", **dtype)
        self.conv_last_sr = Convolution(observed, 1, name="conv_last_sr", **dtype)

    def build(self, input_shape=None):
        hidden = (None, None, None, self.num_hidden[0])
        observed = self.patch_channels[0]
        for index, encoder in enumerate(self.encoders):
            encoder.build(hidden if index else (None, None, None, observed))
        for layer in (*self.decoders, self.srcnn):
            layer.build(hidden)
        self.merge.build((*hidden[:-1], 2 * hidden[-1]))
        self.conv_last_sr.build((*hidden[:-1], 2 * observed))
        self.merge.trainable = self.conv_last_sr.trainable = False
        self.built = True

    # Forward ------------------------------------------------------------------------------------

    def check_frames(self, frames, longest=None):
        frames, expected = super().check_frames(frames, longest), self.frames_shape[1:3]
        if any(size not in (None, built) for size, built in zip(frames.shape[2:4], expected)):
            raise ValueError(
                f"MAU has a weight for every position and takes frames of the size it was built for, {expected}. "
                f"Received: shape={tuple(frames.shape)}. Resize the frames, or build a model of their size."
            )
        return frames

    def first_states(self, patches):
        """For each layer the last tau inputs S_i and the last tau motions T_i, the last of which is T."""
        batch, height, width, _ = ops.shape(patches)
        frame = (batch, height // self.sr_size, width // self.sr_size, self.num_hidden[0])
        zeros = [ops.zeros(frame, dtype=self.compute_dtype)] * self.tau
        return [(zeros, zeros) for _ in self.cells]

    def advance(self, patches, states, training):
        features = [patches]
        for encoder in self.encoders:
            features.append(ops.leaky_relu(encoder(features[-1]), 0.2))
        s, new = features[-1], []
        for cell, (past_t, past_s) in zip(self.cells, states):
            t, next_s = cell(past_t[-1], s, ops.stack(past_t), ops.stack(past_s))
            new.append(([*past_t[1:], t], [*past_s[1:], s]))
            s = next_s
        for index, decoder in enumerate(self.decoders):
            s = decoder(s)
            if index < len(self.decoders) - 1:
                s = ops.leaky_relu(s, 0.2)
            if self.model_mode == "recall":
                s = s + features[-2 - index]
        return self.srcnn(s), new

    # The reference's names ----------------------------------------------------------------------

    def reference_weights(self):
        names = {}
        for index, cell in enumerate(self.cells):
            names |= cell.reference_weights(f"cell_list.{index}")
        for level, encoder in enumerate(self.encoders):
            names |= layer_weights(f"encoders.{level}.encoder_t{level - 1 if level else '_conv-1'}", encoder)
        for level, decoder in enumerate(self.decoders):
            names |= layer_weights(f"decoders.{level}.c_decoder{level}", decoder, "transposed")
        for name, layer in {"srcnn.0": self.srcnn, "merge": self.merge, "conv_last_sr": self.conv_last_sr}.items():
            names |= layer_weights(name, layer)
        return names


def _check(sr_size, tau, cell_mode, model_mode):
    if not isinstance(sr_size, int) or sr_size < 1 or sr_size & (sr_size - 1):
        raise ValueError(f"`sr_size` must be a power of 2: 1, 2, 4, ... Received: sr_size={sr_size!r}.")
    if not isinstance(tau, int) or tau < 1:
        raise ValueError(f"`tau` must be at least 1: the cell looks back. Received: tau={tau!r}.")
    for name, value, allowed in (
        ("cell_mode", cell_mode, ("normal", "residual")),
        ("model_mode", model_mode, ("normal", "recall")),
    ):
        if value not in allowed:
            raise ValueError(f"`{name}` is 'normal' or {allowed[1]!r}. Received: {name}={value!r}.")
