"""PhyDNet: physical dynamics and the residual beside them, two recurrent branches (Le Guen and Thome 2020)."""

import math

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import check_counts
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.encoder_decoder import feed_back
from scs_keras.zoo.pytorch_weights import ReferenceWeight, layer_weights
from scs_keras.zoo.video_prediction.convolutions import (
    EPSILON,
    Convolution,
    GroupNormalization,
    TransposedConvolution,
)
from scs_keras.zoo.video_prediction.frame_by_frame import ImageByImage
from scs_keras.zoo.video_prediction.predictor import VideoPredictor

FEATURES = 64
KERNEL = 7  # of the physical branch: derivatives up to order 6 in x and y
MOMENTS = KERNEL**2
HIDDEN = (128, 128, 64)  # of the residual branch


@keras.saving.register_keras_serializable("scs_keras")
class StepSumError(keras.losses.Loss):
    """PhyDNet's loss of the frames: the mean squared error of each time step, summed over the steps."""

    def __init__(self, name="step_sum_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        error = ops.square(ops.cast(y_pred, "float32") - ops.cast(y_true, "float32"))
        return ops.sum(ops.mean(error, axis=(2, 3, 4)), axis=1)


def moment_matrix():
    """M with M[i, j] = (j - 3)^i / i!: the moments of a filter K are M K M^T (the reference's K2M)."""
    offsets = np.arange(KERNEL) - KERNEL // 2
    return np.stack([offsets.astype("float64") ** order / math.factorial(order) for order in range(KERNEL)])


class PhyCell(keras.Layer):
    """The physical branch: prediction by derivatives, correction by the input.

        h~ = h + F(h)                       F: 7x7 convolution, group normalisation, 1x1 convolution
        K = sigmoid(conv3([x, h]))
        h' = h~ + K * (x - h~)

    Call: x and h, (batch, height, width, 64), to h'.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.derivatives = Convolution(MOMENTS, KERNEL, name="derivatives")
        self.norm = GroupNormalization(7, epsilon=EPSILON, name="norm")
        self.combination = Convolution(FEATURES, 1, name="combination")
        self.gate = Convolution(FEATURES, 3, activation="sigmoid", name="gate")

    def build(self, shape):
        self.derivatives.build(shape)
        for layer in (self.norm, self.combination):
            layer.build((*shape[:-1], MOMENTS))
        self.gate.build((*shape[:-1], 2 * FEATURES))
        self.built = True

    def call(self, x, h):
        predicted = h + self.combination(self.norm(self.derivatives(h)))
        return predicted + self.gate(ops.concatenate([x, h], axis=-1)) * (x - predicted)

    def moment_penalty(self):
        """Sum over the input channels of the mean squared distance of the filters' moments from one derivative each.

        Output channel o shall be the derivative of order o // 7 in y and o % 7 in x.
        """
        matrix = ops.cast(moment_matrix(), "float32")
        kernel = ops.cast(self.derivatives.kernel, "float32")  # (y, x, channels, moments)
        moments = ops.einsum("iy,jx,yxco->ijco", matrix, matrix, kernel)
        target = ops.reshape(ops.eye(MOMENTS), (KERNEL, KERNEL, 1, MOMENTS))
        return ops.sum(ops.mean(ops.square(moments - target), axis=(0, 1, 3)))


class ResidualCell(keras.Layer):
    """One ConvLSTM layer of the residual branch, all gates by one convolution of [x, h], in the order i, f, o, g.

        c' = f c + i g;   h' = o tanh(c')

    Call: x (batch, height, width, channels) and the state (h, c) to the next state.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.gates = Convolution(4 * filters, 3, name="gates")

    def build(self, shape):
        self.gates.build((*shape[:-1], shape[-1] + self.filters))
        self.built = True

    def call(self, x, state):
        h, c = state
        i, f, o, g = ops.split(self.gates(ops.concatenate([x, h], axis=-1)), 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c


class Blocks(keras.Layer):
    """A stack of (transposed) convolutions of 3x3, each with group normalisation (16) and LeakyReLU (0.2).

    Args:
        *sizes: (filters, strides) of each.
        transposed: whether the strides enlarge the frame.
        last: filters and strides of a last transposed convolution without normalisation and activation, or None.
    """

    def __init__(self, *sizes, transposed=False, last=None, **kwargs):
        super().__init__(**kwargs)
        make = TransposedConvolution if transposed else Convolution
        self.convolutions = [make(filters, 3, strides, name=f"conv_{i}") for i, (filters, strides) in enumerate(sizes)]
        self.norms = [GroupNormalization(16, epsilon=EPSILON, name=f"norm_{i}") for i, _ in enumerate(sizes)]
        self.last = TransposedConvolution(last[0], 3, last[1], name="last") if last else None

    def build(self, shape):
        for convolution, norm in zip(self.convolutions, self.norms):
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
            norm.build(shape)
        if self.last is not None:
            self.last.build(shape)
        self.built = True

    def call(self, x):
        for convolution, norm in zip(self.convolutions, self.norms):
            x = ops.leaky_relu(norm(convolution(x)), 0.2)
        return x if self.last is None else self.last(x)


@keras.saving.register_keras_serializable("scs_keras")
class PhyDNet(ImageByImage, VideoPredictor):
    """PhyDNet as the reference benchmark defines it; 3,091,732 parameters on Moving MNIST.

    A strided encoder leads to two branches: a PhyCell, whose 49 filters are pulled towards the partial
    derivatives up to order 6 in both directions, and three ConvLSTM layers. Their sum is decoded:

        e = E(x);  h_p = PhyCell(Ep(e));  h_c = ConvLSTM(Er(e));  x' = sigmoid(D(Dp(h_p) + Dr(h_c)))

    Each step predicts the next frame. The observed frames come first, then the model sees its own
    predictions; in training with the known future (`training_pair`) the whole batch sees the true frames
    instead with a probability of max(0, 1 - 0.003 epoch): teacher forcing.

    Trained as the reference means it: `compile(loss=StepSumError())`; the moment penalty of the filters
    (`moment_penalty`) is added while training. As the reference does it, the scalar L of the two is compared
    with every pixel of the future frames, mean((L - y)^2), whose optimum is not L = 0 but the mean pixel:
    `published_loss=True` does that. Weights do not depend on it.

    Args:
        input_shape, output_length, output_channels: see `VideoPredictor`.
        patch_size: 4 or 2, the strides' product; height and width must be multiples of it. Any other value
            counts as 4, as in the reference.
        teacher_forcing_decay: what the probability loses each epoch.
        steps_per_epoch: training steps that count as an epoch for teacher forcing; 625 is Moving MNIST's
            10,000 sequences at batch 16.
        moment_weight: factor of the moment penalty; 0 for none.
        published_loss: whether to train as the reference does, see above.
        return_all: whether all predictions are always put out, see below.

    Call arguments:
        frames: (batch, time, height, width, channels) in [0, 1]: the input_length observed frames, or more: the
            known future behind them, at most input_length + output_length frames, the last of which is not used.
        teacher_forcing: probability of seeing the truth while training, instead of the scheduled one.
        training: whether this is training.

    Output shape: (batch, output_length, height, width, output_channels), float32. If the future is known or with
        `return_all`: (batch, input_length + output_length - 1, ...), predictions of frames 1, 2, ...

    References:
        Le Guen and Thome, CVPR 2020, https://arxiv.org/abs/2003.01460
    """

    def __init__(
        self, input_shape, output_length=None, output_channels=None, patch_size=4, teacher_forcing_decay=0.003,
        steps_per_epoch=625, moment_weight=1.0, published_loss=False, return_all=False, **kwargs,
    ):  # fmt: skip
        check_counts(patch_size=patch_size)
        strides = 1 if patch_size == 2 else 2
        super().__init__(input_shape, output_length, output_channels, frame_multiple=2 * strides, **kwargs)
        for name, value, least in (
            ("teacher_forcing_decay", teacher_forcing_decay, 0),
            ("steps_per_epoch", steps_per_epoch, 1),
            ("moment_weight", moment_weight, 0),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}.")
        self.patch_size = patch_size
        self.teacher_forcing_decay = teacher_forcing_decay
        self.steps_per_epoch = steps_per_epoch
        self.moment_weight = moment_weight
        self.published_loss = published_loss
        self.return_all = return_all
        self.seeds = keras.random.SeedGenerator()
        with default_dtype(self.dtype_policy):
            self.encoder = Blocks((32, 2), (32, 1), (FEATURES, strides), name="encoder")
            self.physical_encoder = Blocks((FEATURES, 1), (FEATURES, 1), name="physical_encoder")
            self.residual_encoder = Blocks((FEATURES, 1), (FEATURES, 1), name="residual_encoder")
            self.physical_cell = PhyCell(name="physical_cell")
            self.residual_cells = [ResidualCell(each, name=f"residual_cell_{i}") for i, each in enumerate(HIDDEN)]
            twice = dict(transposed=True)
            self.physical_decoder = Blocks((FEATURES, 1), (FEATURES, 1), **twice, name="physical_decoder")
            self.residual_decoder = Blocks((FEATURES, 1), (FEATURES, 1), **twice, name="residual_decoder")
            last = (self.output_channels, strides)
            self.decoder = Blocks((32, 2), (32, 1), **twice, last=last, name="decoder")

    def build(self, input_shape=None):
        _, height, width, channels = self.frames_shape
        features = (None, height // self.frame_multiple, width // self.frame_multiple, FEATURES)
        self.encoder.build((None, height, width, channels))
        for layer in (
            self.physical_encoder, self.residual_encoder, self.physical_cell,
            self.physical_decoder, self.residual_decoder, self.decoder,
        ):  # fmt: skip
            layer.build(features)
        for cell, inputs in zip(self.residual_cells, (FEATURES, *HIDDEN)):
            cell.build((*features[:-1], inputs))
        self.training_calls = self.add_weight(
            name="training_calls", shape=(), dtype="int32", initializer="zeros", trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip
        self.built = True

    # Forward ------------------------------------------------------------------------------------

    def call(self, frames, teacher_forcing=None, training=None):
        steps = self.input_length + self.output_length - 1
        frames = self.check_frames(frames, longest=steps + 1)
        frames = ops.unstack(frames, frames.shape[1], axis=1)
        future_known = len(frames) > self.input_length
        truth = self._sees_truth(teacher_forcing) if training and future_known else None
        states, outputs, image = self.first_states(*ops.shape(frames[0])[:3]), [], None
        for step in range(steps):
            if step < self.input_length:
                image = frames[step]
            else:
                image = feed_back(image, outputs[-1])
                if truth is not None and step < len(frames):
                    image = truth * frames[step] + (1 - truth) * image
            output, states = self.advance(image, states)
            outputs.append(output)
        if training and self.moment_weight:
            self.add_loss(self.moment_weight * self.moment_penalty())
        first = 0 if future_known or self.return_all else self.input_length - 1
        return ops.cast(ops.stack(outputs[first:], axis=1), "float32")

    def _sees_truth(self, probability):
        """1 with the given or the scheduled probability, else 0; drawn once for the whole batch."""
        if probability is None:
            epoch = ops.cast(self.training_calls // self.steps_per_epoch, "float32")
            probability = ops.maximum(0.0, 1.0 - self.teacher_forcing_decay * epoch)
            self.training_calls.assign_add(1)
        return ops.cast(keras.random.uniform((), seed=self.seeds) < probability, self.compute_dtype)

    def first_states(self, batch_size, height, width):
        """Zeros: the physical state and (h, c) of each residual layer."""
        frame = (batch_size, height // self.frame_multiple, width // self.frame_multiple)
        zeros = lambda channels: ops.zeros((*frame, channels), dtype=self.compute_dtype)  # noqa: E731
        return [zeros(FEATURES), *((zeros(each), zeros(each)) for each in HIDDEN)]

    def streamed_states(self, seen):
        return self.first_states(*ops.shape(seen)[:3])

    def advance(self, image, states, training=False):
        """One frame (batch, height, width, channels) and the states, to the next frame and the next states."""
        features = self.encoder(image)
        physical = self.physical_cell(self.physical_encoder(features), states[0])
        residual, next_states = self.residual_encoder(features), [physical]
        for cell, state in zip(self.residual_cells, states[1:]):
            next_states.append(cell(residual, state))
            residual = next_states[-1][0]
        features = self.physical_decoder(physical) + self.residual_decoder(residual)
        return ops.sigmoid(self.decoder(features)), next_states

    # Training -----------------------------------------------------------------------------------

    def training_pair(self, sequence):
        """(x, y): the frames but the last, with the future for teacher forcing, and the frames but the first.

        With one frame to predict, x is the whole sequence, so that it is longer than what is observed.
        """
        x = sequence if self.output_length == 1 else sequence[:, :-1]
        return x, sequence[:, 1:, ..., : self.output_channels]

    def moment_penalty(self):
        """Distance of the physical filters from derivatives, see `PhyCell.moment_penalty`."""
        return self.physical_cell.moment_penalty()

    def benchmark_loss(self):
        return StepSumError()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.published_loss and training:
            loss = ops.mean(ops.square(loss - ops.cast(y[:, -self.output_length :], loss.dtype)))
        return loss

    # The reference's names ----------------------------------------------------------------------

    def reference_weights(self):
        names = {}
        for prefix in ("", "encoder."):  # the reference saves both branches twice
            cell, name = self.physical_cell, f"{prefix}phycell.cell_list.0"
            names |= layer_weights(f"{name}.F.conv1", cell.derivatives)
            names |= layer_weights(f"{name}.F.bn1", cell.norm)
            names |= layer_weights(f"{name}.F.conv2", cell.combination)
            names |= layer_weights(f"{name}.convgate", cell.gate)
            for index, residual in enumerate(self.residual_cells):
                names |= layer_weights(f"{prefix}convcell.cell_list.{index}.conv", residual.gates)
        for name, blocks in (
            ("encoder_E.c", self.encoder),
            ("encoder_Ep.c", self.physical_encoder),
            ("encoder_Er.c", self.residual_encoder),
            ("decoder_Dp.upc", self.physical_decoder),
            ("decoder_Dr.upc", self.residual_decoder),
            ("decoder_D.upc", self.decoder),
        ):
            kind = "transposed" if "decoder" in name else "convolution"
            for index, (convolution, norm) in enumerate(zip(blocks.convolutions, blocks.norms), start=1):
                names |= layer_weights(f"encoder.{name}{index}.main.0", convolution, kind)
                names |= layer_weights(f"encoder.{name}{index}.main.1", norm)
        names |= layer_weights("encoder.decoder_D.upc3", self.decoder.last, "transposed")
        buffers = (f"k2m.{matrix}{axis}" for matrix in ("_M", "_invM") for axis in (0, 1))
        return names | {name: ReferenceWeight(None, "buffer") for name in buffers}
