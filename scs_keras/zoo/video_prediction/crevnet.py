"""CrevNet: a reversible 3-D autoencoder around reversible predictive modules (Yu et al. 2020)."""

import keras
from keras import ops

from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.encoder_decoder import fold, unfold
from scs_keras.zoo.pytorch_weights import layer_weights
from scs_keras.zoo.video_prediction.convolutions import Convolution3D
from scs_keras.zoo.video_prediction.predictor import VideoPredictor

WINDOW = 3  # frames that the 3-D autoencoder sees at once


def squeeze(windows):
    """Space to channels, (batch, 3, height, width, c) to (batch, 3, height / 2, width / 2, 4 c): loses nothing."""
    return fold(windows, 2)


def unsqueeze(windows):
    """The inverse of `squeeze`."""
    return unfold(windows, 2)


class CouplingBlock(keras.Layer):
    """One invertible block (i-RevNet): (x1, x2) to (x2, x1 + F(x2)), with stride 2 squeezed on the way.

    F: [batch normalisation, ReLU,] three 3x3x3 convolutions without bias, with batch normalisation and ReLU
    between them, and half the channels inside.

    Args:
        filters: channels of each half that comes out.
        strides: 1, or 2 to halve height and width.
        first: the very first block has no normalisation before its first convolution.
        dropout: rate, after the second convolution.

    Call: two tensors (batch, 3, height, width, channels) to two.
    """

    def __init__(self, filters, strides=1, first=False, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides
        inner = max(filters // 2, 1)
        self.convolutions = [
            Convolution3D(inner, 3, (1, strides, strides), use_bias=False, name="conv_0"),
            Convolution3D(inner, 3, use_bias=False, name="conv_1"),
            Convolution3D(filters, 3, use_bias=False, name="conv_2"),
        ]
        self.norms = [
            None if first and index == 0 else
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm_{index}")
            for index in range(3)
        ]  # fmt: skip
        self.dropout_layer = keras.layers.Dropout(dropout)

    def build(self, shape):
        for norm, convolution in zip(self.norms, self.convolutions):
            if norm is not None:
                norm.build(shape)
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.built = True

    def residual(self, x, training=None):
        for index, (norm, convolution) in enumerate(zip(self.norms, self.convolutions)):
            if index == 2:
                x = self.dropout_layer(x, training=training)
            if norm is not None:
                x = ops.relu(norm(x, training=training))
            x = convolution(x)
        return x

    def call(self, x1, x2, training=None, inverse=False):
        if inverse:
            return self.invert(x1, x2, training)
        residual = self.residual(x2, training)
        if self.strides == 2:
            x1, x2 = squeeze(x1), squeeze(x2)
        return x2, x1 + residual

    def invert(self, x2, y1, training=None):
        if self.strides == 2:
            x2 = unsqueeze(x2)
        x1 = y1 - self.residual(x2, training)
        return unsqueeze(x1) if self.strides == 2 else x1, x2


class ReversibleAutoencoder(keras.Layer):
    """Windows of three frames to two halves of features and, by the inverse of every block, exactly back.

    Args:
        n_blocks: number of blocks of each stage.
        n_strides: stride of the first block of each stage.
        dropout: of the blocks.

    Call: windows (batch, 3, height, width, c) to two tensors (batch, 3, height / s, width / s, c s^2 / 2), with
    s the product of the strides times 2; `decode(x1, x2)` is the inverse.
    """

    def __init__(self, n_blocks=(4, 5, 3), n_strides=(1, 2, 2), dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.n_blocks, self.n_strides, self.dropout = n_blocks, n_strides, dropout
        self.blocks = []

    def build(self, shape):
        batch, time, height, width, channels = shape
        shape = (batch, time, height // 2, width // 2, 2 * channels)  # of one half
        for count, strides in zip(self.n_blocks, self.n_strides):
            filters = shape[-1] * strides**2
            for index in range(count):
                block = CouplingBlock(
                    filters, strides if index == 0 else 1, not self.blocks, self.dropout,
                    name=f"block_{len(self.blocks)}", dtype=self.dtype_policy,
                )  # fmt: skip
                block.build(shape)
                self.blocks.append(block)
                if index == 0:
                    shape = (*shape[:2], shape[2] // strides, shape[3] // strides, filters)
        self.built = True

    def call(self, windows, training=None):
        return self.encode(windows, training)

    def encode(self, windows, training=None):
        halves = ops.split(squeeze(windows), 2, axis=-1)
        for block in self.blocks:
            halves = block(*halves, training=training)
        return halves

    def decode(self, x1, x2, training=None):
        halves = x1, x2
        for block in reversed(self.blocks):
            halves = block(*halves, training=training, inverse=True)
        return unsqueeze(ops.concatenate(halves, axis=-1))


class SpatiotemporalCell(keras.Layer):
    """ST-LSTM with 3-D convolutions and peepholes, its memory m shared by the layers.

        i, f = sigmoid(conv[x, h, c]),  g = tanh(conv[x, h, c]),    c' = f c + i g
        i', f' = sigmoid(conv[x, m, c']),  g' = tanh(conv[x, m, c']),   m' = f' m + i' g'
        h' = sigmoid(conv[x, h, c', m']) tanh(conv1[c', m'])

    Call: x, m and the state (h, c), each (batch, 3, height, width, filters), to (h', c'), m'.
    """

    GATES = ("in_gate", "remember_gate", "cell_gate")

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.gates = [Convolution3D(filters, 3, name=name) for name in self.GATES]
        self.memory_gates = [Convolution3D(filters, 3, name=f"{name}1") for name in self.GATES]
        self.out_gate = Convolution3D(filters, 3, name="out_gate")
        self.mix = Convolution3D(filters, 1, name="w1")

    def build(self, shape):
        for layer in (*self.gates, *self.memory_gates):
            layer.build((*shape[:-1], 3 * self.filters))
        self.out_gate.build((*shape[:-1], 4 * self.filters))
        self.mix.build((*shape[:-1], 2 * self.filters))
        self.built = True

    def call(self, x, m, state):
        h, c = state
        i, f, g = together(self.gates, ops.concatenate([x, h, c], axis=-1))
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        i, f, g = together(self.memory_gates, ops.concatenate([x, m, c], axis=-1))
        m = ops.sigmoid(f) * m + ops.sigmoid(i) * ops.tanh(g)
        o = ops.sigmoid(self.out_gate(ops.concatenate([x, h, c, m], axis=-1)))
        return (o * ops.tanh(self.mix(ops.concatenate([c, m], axis=-1))), c), m


def together(layers, x):
    """The outputs of 3-D convolutions of the same input, computed as one convolution."""
    kernel = ops.concatenate([layer.kernel for layer in layers], axis=-1)
    bias = ops.concatenate([layer.bias for layer in layers], axis=-1)
    return ops.split(ops.conv(x, kernel, padding="same", data_format="channels_last") + bias, len(layers), axis=-1)


@keras.saving.register_keras_serializable("scs_keras")
class CrevNet(VideoPredictor):
    """CrevNet with 3-D convolutions, as far as its public definition reaches.

    A window of three frames is encoded into two halves (x1, x2) by the reversible autoencoder; layer by layer
    a reversible predictive module changes one half by what an ST-LSTM makes of the other, then they swap:

        (h, c), m = ST-LSTM(x1, m, (h, c));  g = sigmoid(conv1(h));  x1, x2 = (1 - g) x2 + g h, x1

    and the inverse of the autoencoder gives the window one frame on. Its last frame is the prediction; of the
    next input window, frames that have been observed are the true ones, and the rest is the predicted window.

    What is public: layers, sizes, loss and learning rate (5e-4) of the authors' Moving MNIST script, in copies by
    others, and the same network as `crevnet` of the reference benchmark's legacy branch: 4, 5 and 3 blocks,
    strides 1, 2, 2 after a squeeze by 2, 8 ST-LSTM layers of 32 channels for each channel of the frames. The
    authors' own repository has a 2-D model for Traffic4cast, with group normalisation and a deeper gate: another one.
    What is missing: trained weights, a number of parameters or multiply-adds to compare with, any numerical
    case, a result of the reference benchmark, and the settings of the paper's KITTI rows. So nothing here is
    checked against a run of the original; the names of the legacy branch's parameters are accepted.
    Two public versions differ at inference: the authors' feeds all observed windows before it predicts, which is
    done here; the benchmark's starts from the last observed window with empty states, and reads two frames of the
    future unless its input length is first reduced by 2, as its training wrapper does.

    Trained on windows of true frames only: with known future frames (`training_pair`) the output is one
    prediction for every frame from the second on; the error of the predicted windows' other frames, which the
    original counts too, is added as a loss. With `compile(loss="mse")` the sum is the original's loss times
    3 / (number of predictions).

    Args:
        input_shape: (time, height, width, channels): at least 3 frames; height and width are multiples of 8.
        output_length, output_channels: see `VideoPredictor`; other channels come from a 1x1 convolution.
        rnn_size: channels of the ST-LSTM, which must be 32 times the frames' (also the default, None).
        predictor_rnn_layers: number of predictive modules.
        n_blocks: reversible blocks of each stage.
        dropout: rate inside the blocks.

    References:
        Yu et al., ICLR 2020, https://openreview.net/forum?id=B1eY_pVYvB
    """

    def __init__(
        self, input_shape, output_length=None, output_channels=None, rnn_size=None, predictor_rnn_layers=8,
        n_blocks=(4, 5, 3), dropout=0.0, **kwargs,
    ):  # fmt: skip
        super().__init__(input_shape, output_length, output_channels, frame_multiple=8, minimum_frames=WINDOW, **kwargs)
        features = 32 * self.frames_shape[-1]
        if rnn_size not in (None, features):
            raise ValueError(
                "The ST-LSTM has as many channels as half of the reversible features: `rnn_size` is 32 times the "
                f"channels of a frame, here {features}. Received: rnn_size={rnn_size}. Leave it out."
            )
        if len(n_blocks) != 3 or min(n_blocks) < 1:
            raise ValueError(f"`n_blocks` has three numbers of at least 1. Received: n_blocks={n_blocks}.")
        if predictor_rnn_layers < 1:
            raise ValueError(
                f"`predictor_rnn_layers` must be at least 1. Received: predictor_rnn_layers={predictor_rnn_layers}."
            )
        self.rnn_size = features
        self.predictor_rnn_layers = predictor_rnn_layers
        self.n_blocks = list(n_blocks)
        self.dropout = dropout
        with default_dtype(self.dtype_policy):
            self.autoencoder = ReversibleAutoencoder(self.n_blocks, dropout=dropout, name="autoencoder")
            self.cells = [SpatiotemporalCell(features, name=f"cell_{i}") for i in range(predictor_rnn_layers)]
            self.attention = [
                Convolution3D(features, 1, activation="sigmoid", name=f"attention_{i}")
                for i in range(predictor_rnn_layers)
            ]
            self.readout = None
            if self.output_channels != self.frames_shape[-1]:
                self.readout = Convolution3D(self.output_channels, 1, name="readout")

    def build(self, input_shape=None):
        _, height, width, channels = self.frames_shape
        self.autoencoder.build((None, WINDOW, height, width, channels))
        for layer in (*self.cells, *self.attention):
            layer.build((None, WINDOW, height // 8, width // 8, self.rnn_size))
        if self.readout is not None:
            self.readout.build((None, None, height, width, channels))
        self.built = True

    # Forward ------------------------------------------------------------------------------------

    def call(self, frames, training=None):
        frames = self.check_frames(frames, longest=self.input_length + self.output_length)
        known = frames.shape[1]
        if known > self.input_length:
            return self._readout(self._predict_all(frames[:, : self.input_length + self.output_length - 1], training))
        states, predicted, outputs = self.first_states(*ops.shape(frames[:, 0])[:3]), None, []
        for start in range(known + self.output_length - WINDOW):
            window = frames[:, start : start + WINDOW]
            if start + WINDOW > known:  # what has not been observed is what was predicted
                window = ops.concatenate([window, predicted[:, max(known - start, 0) :]], axis=1)
            predicted, states = self.advance(window, states, training)
            if start + WINDOW >= known:
                outputs.append(predicted[:, -1])
        return self._readout(ops.stack(outputs, axis=1))

    def _predict_all(self, frames, training):
        """From (batch, time, ...) the prediction of every frame from the second on, time of them."""
        steps, states, predicted = frames.shape[1] - WINDOW + 1, self.first_states(*ops.shape(frames[:, 0])[:3]), []
        for start in range(steps):
            window, states = self.advance(frames[:, start : start + WINDOW], states, training)
            predicted.append(window)
        seen = [
            ops.mean(ops.square(ops.cast(window[:, :-1] - frames[:, start + 1 : start + WINDOW], "float32")))
            for start, window in enumerate(predicted)
            if start > 0  # the first window's are outputs themselves
        ]
        if seen and training:
            self.add_loss(sum(seen) * (WINDOW - 1) / frames.shape[1])
        return ops.concatenate([predicted[0], *(window[:, -1:] for window in predicted[1:])], axis=1)

    def _readout(self, frames):
        return ops.cast(frames if self.readout is None else self.readout(frames), "float32")

    def first_states(self, batch_size, height, width):
        """Zeros: the shared memory and (h, c) of each layer."""
        zeros = ops.zeros((batch_size, WINDOW, height // 8, width // 8, self.rnn_size), dtype=self.compute_dtype)
        return [zeros, *((zeros, zeros) for _ in self.cells)]

    def advance(self, window, states, training=None):
        """A window (batch, 3, height, width, channels) and the states, to the next window and the next states."""
        x1, x2 = self.autoencoder(window, training=training)
        memory, *layers = states
        for index, (cell, attention) in enumerate(zip(self.cells, self.attention)):
            layers[index], memory = cell(x1, memory, layers[index])
            hidden = layers[index][0]
            gate = attention(hidden)
            x1, x2 = (1 - gate) * x2 + gate * hidden, x1
        return self.autoencoder.decode(x1, x2, training=training), [memory, *layers]

    def training_pair(self, sequence):
        """(x, y): the frames but the last, each seen as it was, and the frames but the first.

        With one frame to predict, x is the whole sequence, so that it is longer than what is observed.
        """
        x = sequence if self.output_length == 1 else sequence[:, :-1]
        return x, sequence[:, 1:, ..., : self.output_channels]

    # The reference's names ----------------------------------------------------------------------

    def reference_weights(self):
        if self.readout is not None:
            return {}
        names = {}
        for index, block in enumerate(self.autoencoder.blocks):
            position = 0  # in the reference's list of layers, which also counts activations and dropout
            for number, (norm, convolution) in enumerate(zip(block.norms, block.convolutions)):
                position += number == 2
                prefix = f"encoder.stack.{index}.bottleneck_block"
                if norm is not None:
                    names |= layer_weights(f"{prefix}.{position}", norm)
                    position += 2
                names |= layer_weights(f"{prefix}.{position}", convolution)
                position += 1
        for index, (cell, attention) in enumerate(zip(self.cells, self.attention)):
            for layer in (*cell.gates, *cell.memory_gates, cell.out_gate, cell.mix):
                names |= layer_weights(f"frame_predictor.convlstm.{index}.{layer.name}", layer)
            names |= layer_weights(f"frame_predictor.att.{index}.0", attention)
        return names
