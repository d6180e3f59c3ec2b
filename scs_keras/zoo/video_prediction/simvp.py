"""SimVP and TAU: an encoder and a decoder of single frames, and between them a translator that sees all frames."""

import keras
from keras import initializers, ops

from scs_keras.core.arguments import check_counts
from scs_keras.zoo.encoder_decoder import feed_back
from scs_keras.zoo.pytorch_weights import layer_weights
from scs_keras.zoo.video_prediction.convolutions import (
    Convolution,
    built,
    convolution,
    group_normalization,
    pixel_shuffle,
)
from scs_keras.zoo.video_prediction.losses import DifferentialDivergenceLoss
from scs_keras.zoo.video_prediction.predictor import VideoPredictor
from scs_keras.zoo.video_prediction.translators import Inception, InceptionTranslator, MetaTranslator

TRANSLATORS = ("gSTA", "TAU", "IncepU")


class ConvSC(keras.Layer):
    """Convolution (down: stride 2; up: four times the filters, then pixel shuffle), GroupNorm of 2 groups, SiLU."""

    def __init__(self, channels, filters, kernel_size, down=False, up=False):
        super().__init__()
        self.up = up
        # The reference's normal is cut at +-2, a hundred deviations away: not cut at all.
        initial = initializers.RandomNormal(stddev=0.02)
        self.convolution = built(
            Convolution(filters * 4 if up else filters, kernel_size, 2 if down else 1, initial), channels
        )
        self.norm = group_normalization(2, filters)
        self.built = True

    def call(self, x):
        x = self.convolution(x)
        return ops.silu(self.norm(pixel_shuffle(x) if self.up else x))

    def reference_weights(self, name):
        convolution = f"{name}.conv.conv.0" if self.up else f"{name}.conv.conv"
        return layer_weights(convolution, self.convolution) | layer_weights(f"{name}.conv.norm", self.norm)


@keras.saving.register_keras_serializable("scs_keras")
class SimVP(VideoPredictor):
    """SimVP's skeleton with the translator of SimVP (IncepU), SimVP v2 (gSTA) or TAU.

    Each frame is encoded by N_S convolutions, every second of stride 2; the latent frames, side by side as
    channels, go through the translator, and each is decoded, with the encoder's first features added before the
    last convolution. One pass predicts as many frames as are observed: fewer are cut off, for more the
    prediction is fed back, in training too (as the first channels of the input; others keep their last observed
    values).

    Args:
        input_shape, output_length, output_channels: see `VideoPredictor`.
        model_type: "gSTA", "TAU" or "IncepU".
        hid_S: width of encoder and decoder, even.
        hid_T: width of the translator; for IncepU a multiple of 16.
        N_S: number of convolutions of the encoder, and of the decoder.
        N_T: number of the translator's blocks (IncepU: down, and as many up), at least 2.
        spatio_kernel_enc, spatio_kernel_dec: kernel sizes, odd.
        mlp_ratio: widening in the blocks' MLP. gSTA and TAU only, as all that follow.
        drop: dropout in the MLP.
        drop_path: stochastic depth of the last block; it rises linearly from `first_drop_path`.
        first_drop_path: of the first block. The reference's is 0.01 even for drop_path = 0; 0 turns it off.
        alpha: weight of the differential divergence regularisation in `benchmark_loss`; TAU is published with 0.1.
        tau, over_pixels: of that regularisation, see `DifferentialDivergenceLoss`.
        static_attention, dynamic_attention: TAU's ablations "w/o SA" and "w/o DA" (Tab. 6) where False.

    References: Gao et al., SimVP (CVPR 2022); Tan et al., SimVP: Towards Simple yet Powerful Spatiotemporal
    Predictive Learning (gSTA); Tan et al., Temporal Attention Unit (CVPR 2023).
    """

    takes_any_size = True  # of frames, in one graph

    def __init__(
        self, input_shape, output_length=None, output_channels=None, model_type="gSTA", hid_S=64, hid_T=512, N_S=4,
        N_T=8, spatio_kernel_enc=3, spatio_kernel_dec=3, mlp_ratio=8.0, drop=0.0, drop_path=0.0,
        first_drop_path=0.01, alpha=0.0, tau=0.1, over_pixels="mean", static_attention=True,
        dynamic_attention=True, **kwargs,
    ):  # fmt: skip
        kinds = {kind.lower(): kind for kind in TRANSLATORS}
        if str(model_type).lower() not in kinds:
            raise ValueError(f"`model_type` is one of {', '.join(TRANSLATORS)}. Received: model_type={model_type!r}.")
        check_counts(hid_S=hid_S, hid_T=hid_T, N_S=N_S, N_T=N_T)
        super().__init__(input_shape, output_length, output_channels, frame_multiple=2 ** (N_S // 2), **kwargs)
        self.model_type = kinds[str(model_type).lower()]
        self.hid_S, self.hid_T, self.N_S, self.N_T = hid_S, hid_T, N_S, N_T
        self.spatio_kernel_enc, self.spatio_kernel_dec = spatio_kernel_enc, spatio_kernel_dec
        self.mlp_ratio, self.drop, self.drop_path = mlp_ratio, drop, drop_path
        self.first_drop_path, self.alpha, self.tau, self.over_pixels = first_drop_path, alpha, tau, over_pixels
        self.static_attention, self.dynamic_attention = static_attention, dynamic_attention
        self._check_hyperparameters()

        channels = self.frames_shape[-1]
        strided = [i % 2 == 1 for i in range(N_S)]
        self.encoder = [
            ConvSC(channels if i == 0 else hid_S, hid_S, spatio_kernel_enc, down=down) for i, down in enumerate(strided)
        ]
        self.translator = self._make_translator(self.input_length * hid_S)
        self.decoder = [ConvSC(hid_S, hid_S, spatio_kernel_dec, up=up) for up in reversed(strided)]
        self.readout = convolution(hid_S, self.output_channels)

    def _check_hyperparameters(self):
        groups = Inception.GROUPS if self.model_type == "IncepU" else 1
        latent = self.input_length * self.hid_S
        for name, fits, allowed in (
            ("hid_S", self.hid_S % 2 == 0, "a positive even number"),
            ("N_T", self.N_T >= 2, "at least 2"),
            ("spatio_kernel_enc", self.spatio_kernel_enc in range(1, 1000, 2), "a positive odd number"),
            ("spatio_kernel_dec", self.spatio_kernel_dec in range(1, 1000, 2), "a positive odd number"),
            ("mlp_ratio", self.mlp_ratio > 0, "more than 0"),
            ("drop", 0 <= self.drop < 1, "in [0, 1)"),
            ("drop_path", 0 <= self.drop_path < 1, "in [0, 1)"),
            ("first_drop_path", 0 <= self.first_drop_path < 1, "in [0, 1)"),
            ("alpha", self.alpha >= 0, "at least 0"),
            ("hid_T", self.model_type != "TAU" or self.hid_T >= 4, "for TAU at least 4"),
            ("hid_T", groups == 1 or self.hid_T % (2 * groups) == 0, "for IncepU a multiple of 16"),
            ("hid_S", latent % groups == 0, "for IncepU such that time * hid_S is a multiple of 8"),
        ):
            if not fits:
                raise ValueError(f"`{name}` is {allowed}. Received: {name}={getattr(self, name)!r}.")
        if self.model_type != "TAU" and not (self.static_attention and self.dynamic_attention):
            raise ValueError(
                'Only model_type="TAU" can go without static or dynamic attention. Received: '
                f"model_type={self.model_type!r}."
            )

    def _make_translator(self, channels):
        if self.model_type == "IncepU":
            return InceptionTranslator(channels, self.hid_T, self.N_T)
        return MetaTranslator(
            channels, self.hid_T, self.N_T, self.drop_path, self.first_drop_path, mlp_ratio=self.mlp_ratio,
            drop=self.drop, kind=self.model_type, static=self.static_attention, dynamic=self.dynamic_attention,
        )  # fmt: skip

    def call(self, frames, training=None):
        frames = self.check_frames(frames)
        last = ops.repeat(frames[:, -1:], self.input_length, axis=1)  # of it remain channels that are not predicted
        predicted = [self.predict_as_many(frames, training=training)]
        while len(predicted) < self.passes:
            predicted.append(self.predict_as_many(feed_back(last, predicted[-1]), training=training))
        predicted = ops.concatenate(predicted, axis=1)[:, : self.output_length]
        return ops.cast(predicted, "float32")

    @property
    def passes(self):
        return -(-self.output_length // self.input_length)

    def predict_as_many(self, frames, training=None):
        """One pass: as many frames as are given."""
        _, time, height, width, _ = ops.shape(frames)
        latent, skip = self.encode(ops.reshape(frames, (-1, height, width, self.frames_shape[-1])))
        decoded = self.decode(self.translate(latent, training=training), skip)
        return ops.reshape(decoded, (-1, time, height, width, self.output_channels))

    def encode(self, images):
        """Single frames (batch * time, height, width, channels) to (latent frames, features at full size)."""
        skip = x = self.encoder[0](images)
        for block in self.encoder[1:]:
            x = block(x)
        return x, skip

    def translate(self, latent, training=None):
        """Latent frames (batch * time, h, w, hid_S) of the past to those of the future."""
        _, height, width, width_S = ops.shape(latent)
        x = ops.reshape(latent, (-1, self.input_length, height, width, width_S))
        x = ops.reshape(ops.transpose(x, (0, 2, 3, 1, 4)), (-1, height, width, self.input_length * width_S))
        x = self.translator(x, training=training)
        x = ops.reshape(x, (-1, height, width, self.input_length, width_S))
        return ops.reshape(ops.transpose(x, (0, 3, 1, 2, 4)), (-1, height, width, width_S))

    def decode(self, latent, skip):
        """Latent frames to frames."""
        for block in self.decoder[:-1]:
            latent = block(latent)
        return self.readout(self.decoder[-1](latent + skip))

    def benchmark_loss(self):
        if not self.alpha:
            return keras.losses.MeanSquaredError()
        return DifferentialDivergenceLoss(self.alpha, self.tau, over_pixels=self.over_pixels)

    def reference_weights(self):
        blocks = {f"enc.enc.{index}": block for index, block in enumerate(self.encoder)}
        blocks |= {f"dec.dec.{index}": block for index, block in enumerate(self.decoder)}
        weights = self.translator.reference_weights("hid") | layer_weights("dec.readout", self.readout)
        for name, block in blocks.items():
            weights |= block.reference_weights(name)
        return weights
