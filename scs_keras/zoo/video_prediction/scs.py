"""SCS for video: an encoder of semi-coupled layers reads the observed frames, a decoder writes the future ones."""

from dataclasses import asdict

import keras
from keras import ops

from scs_keras.core.arguments import check_counts
from scs_keras.core.goals import frame_difference
from scs_keras.core.network import SCSNetwork
from scs_keras.core.stages import as_stages
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.encoder_decoder import EncoderDecoder, with_channels
from scs_keras.zoo.gains import GAINS
from scs_keras.zoo.video_prediction.predictor import VideoPredictor

STRUCTURE = (dict(filters=64, layers=3),)


@keras.saving.register_keras_serializable("scs_keras")
def future_difference(x, y):
    """Temporal goal r_t: the change from each frame to the next, of the future frames y after the observed x.

    Args:
        x: (batch, observed time, height, width, channels); y: (batch, future time, height, width, any channels).

    Returns:
        The shape of y; channels that x lacks count from zero.
    """
    return frame_difference(ops.concatenate([with_channels(x[:, -1:], y.shape[-1]), y], axis=1))


@keras.saving.register_keras_serializable("scs_keras")
class SCSVideo(VideoPredictor, EncoderDecoder):
    """The paper's encoder and decoder (Fig. 5d) for frames of any kind.

    The encoder's gates after the observed frames, and the last frame, go to the decoder, which puts out one
    frame after the other; each goes in again. Each frame is the last one plus what a 3x3 convolution, zero at
    the start, makes of the decoder's features and its input: untrained, the model repeats the last frame.
    Frames of any size are taken: they are folded into blocks, at the edges repeated where they do not fit.

    With `sub_goals`, T1 forecasts the frames by the spatial branches alone and T2 the frame differences by the
    temporal ones, which it adds up to frames for its own input; `compile` then needs their losses, and may be
    given a switch:

        model.compile("adam", loss="mse", spatial_loss="mse", temporal_loss="mse", switch=ASTSGD())

    Args:
        input_shape, output_length, output_channels: see `VideoPredictor`. Predicted channels stand for the first
            of the input's; what is not predicted keeps its last observed values.
        structure: of `SCSNetwork`, for encoder and decoder alike: a list of filters or stages, or a variant. It
            must keep the frame size: no strides, no pooling.
        patch_size: side of the blocks.
        normalization: of the layers: None (with the initial gains `GAINS`), "batch" or "group".
        sub_goals: whether T1 and T2 are trained.

    Call arguments:
        frames: (batch, input_length, height, width, channels).
        stream: "main", "spatial" or "temporal".
        training: see `SCSNetwork`.

    Output shape: (batch, output_length, height, width, output_channels), float32.
    """

    def __init__(
        self, input_shape, output_length=None, output_channels=None, structure=STRUCTURE, patch_size=4,
        normalization=None, sub_goals=False, **kwargs,
    ):  # fmt: skip
        stages = as_stages(structure)
        if any(stage.strides != 1 or stage.pool for stage in stages):
            raise ValueError(
                "The decoder puts out frames of the input's size: `structure` may have no strides and no pooling. "
                f"Received: structure={structure!r}. A larger patch_size makes the work smaller."
            )
        check_counts(patch_size=patch_size)
        channels = output_channels or tuple(input_shape)[-1]
        with default_dtype(kwargs.get("dtype")):
            encoder, decoder = (
                SCSNetwork(stages, name=name, normalization=normalization, **({} if normalization else GAINS))
                for name in ("encoder", "decoder")
            )
        super().__init__(
            input_shape,
            output_length,
            output_channels,
            encoder=encoder,
            decoder=decoder,
            patch=patch_size,
            channels=channels,
            temporal_channels=channels if sub_goals else None,
            temporal_goal=future_difference,
            **kwargs,
        )
        self.structure = [asdict(stage) for stage in stages]
        self.patch_size = patch_size
        self.normalization = normalization
        self.sub_goals = sub_goals

    def build(self, input_shape=None):
        EncoderDecoder.build(self, (None, *self.frames_shape))

    def forecast(self, x, stream, training):
        self.check_frames(x)
        x = ops.cast(x, "float32")  # the frames are added up in full precision
        states = self.encode(x, stream, training=training)
        return self.decode(x[:, -1], states, stream, training=training)
