"""Encoder and decoder of semi-coupled layers: observed images in, future images out, one after the other."""

import keras
from keras import ops

from scs_keras.core.arguments import check_sequence
from scs_keras.core.cell import check_stream
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.model import SCSModel
from scs_keras.core.states import shape_of
from scs_keras.core.switch import switch_scope
from scs_keras.zoo.knows_preset import KnowsPreset
from scs_keras.zoo.output_length import OutputLength


def fold(images, size):
    """Space to depth: (..., height, width, c) to (..., height / size, width / size, size^2 * c), edges repeated."""
    *lead, height, width, channels = ops.shape(images)
    pad = [[0, 0]] * len(lead) + [[0, -height % size], [0, -width % size], [0, 0]]
    images = ops.pad(images, pad, mode="symmetric") if any(sum(pad, [])) else images
    rows, columns = -(-height // size), -(-width // size)
    images = ops.reshape(images, (-1, rows, size, columns, size, channels))
    images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
    return ops.reshape(images, (*lead, rows, columns, size * size * channels))


def unfold(features, size, height=None, width=None):
    """Depth to space, the inverse of `fold`: (..., rows, columns, size^2 * c), cropped to height x width if given."""
    *lead, rows, columns, channels = ops.shape(features)
    channels //= size * size
    images = ops.reshape(features, (-1, rows, columns, size, size, channels))
    images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
    return ops.reshape(images, (*lead, rows * size, columns * size, channels))[..., :height, :width, :]


def with_channels(images, channels):
    """Images (..., c) with that number of channels: the first of theirs, and zeros for those they lack."""
    missing = channels - images.shape[-1]
    if missing <= 0:
        return images[..., :channels]
    return ops.pad(images, [[0, 0]] * (len(images.shape) - 1) + [[0, missing]])


def feed_back(image, prediction):
    """The next input after `image`, from a prediction of any number of channels.

    The prediction's channels stand for the first of the input's. What it lacks is kept from `image`, the
    last input; what it has beyond them is not seen.
    """
    channels, predicted = image.shape[-1], ops.cast(prediction, image.dtype)
    if predicted.shape[-1] >= channels:
        return predicted[..., :channels]
    return ops.concatenate([predicted, image[..., predicted.shape[-1] :]], axis=-1)


# Arguments of an SCSModel that a forecaster does not use.
REFUSED = ("average", "reduce", "backbone", "spatial_head", "spatial_goal", "context", "context_encoder")


class EncoderDecoder(KnowsPreset, OutputLength, SCSModel):
    """The encoder's states, and the last image, go to the decoder, which puts out one image after the other.

    Each image goes in again. Of the encoder's last layer only the gate is used: what makes its output is there, and in
    weights files, but learns nothing. Both networks work on images folded into `patch` x `patch` blocks, as Shi et
    al. do. Each image is the last one plus what a 3x3 convolution makes of the decoder's features and its
    input; it starts at zero, so that the untrained model forecasts persistence. T1 forecasts the images too,
    T2 a temporal goal whose first channels are the change of the image, which moves it on.

    A subclass sets `output_length` and says in `forecast(x, stream, training)` what the networks see.

    Args:
        encoder, decoder: two networks of the same structure (`SCSNetwork`, or a layer with its `run`).
        patch: side of the blocks.
        channels: of a future image.
        temporal_channels: of the temporal goal; None: T1 and T2 are not trained.
        temporal_goal: function `goal(x, y)` of observed and future images.
        extra_channels: what the decoder sees beside the image, see `decode`.

    Call arguments:
        x: observed images (batch, time, height, width, channels).
        stream: "main", "spatial" or "temporal".
        training: see `SCSNetwork`.
    """

    can_be_cut = False  # into clips: what it puts out follows the whole input

    def __init__(
        self, encoder, decoder, patch=4, channels=1, temporal_channels=None, temporal_goal=None, extra_channels=0,
        **kwargs,
    ):  # fmt: skip
        refused = [name for name in REFUSED if name in kwargs]
        if refused:
            raise ValueError(
                f"{type(self).__name__} forecasts image after image and does not take the argument `{refused[0]}` of "
                f"an SCSModel. Received: {refused[0]}={kwargs[refused[0]]!r}. Leave it out."
            )
        dtype = dict(dtype=encoder.dtype_policy)

        def image_head(channels, name):  # sees the decoder's features and its input image
            return keras.layers.Conv2D(
                patch * patch * channels, 3, padding="same", name=name, data_format="channels_last",
                kernel_initializer="zeros" if name == "head" else "glorot_uniform", **dtype,
            )  # fmt: skip

        super().__init__(
            encoder,
            image_head(channels, "head"),
            temporal_head=image_head(temporal_channels, "temporal_head") if temporal_channels else None,
            temporal_goal=temporal_goal if temporal_channels else None,
            **kwargs,
        )
        self.decoder = decoder
        self.patch = patch
        self.image_channels = channels
        self.extra_channels = extra_channels
        self.supports_masking = False  # its outputs follow the observed images, which have no gaps
        self.freeze_parts()

    def build(self, input_shape):
        batch, _, *size, channels = input_shape
        self.frames_shape = tuple(input_shape[1:])
        encoded, decoded = (
            (batch, None, *self.blocks(size), seen * self.patch**2) for seen in self.channels_seen(channels)
        )
        for network, shape in ((self.network, encoded), (self.decoder, decoded)):
            if not network.built:  # as it is after loading
                network.build(shape)
        features = self.decoder(keras.KerasTensor(decoded)).shape
        for head in (self.head, *self.sub_heads.values()):
            if head is not None:
                head.build((batch, *features[2:4], features[-1] + decoded[-1]))
        self.built = True

    def channels_seen(self, channels):
        """How many channels of images encoder and decoder see, of inputs with that number."""
        return channels, channels + self.extra_channels

    def blocks(self, size):
        """(rows, columns) of blocks in images of size (height, width); None where that is not known."""
        return tuple(None if each is None else -(-each // self.patch) for each in size)

    def call(self, x, stream="main", initial_states=None, training=None):
        if initial_states is not None:
            raise ValueError(
                f"{type(self).__name__} starts from its observed images. Received: initial_states. Leave them out, or "
                "go on from them image by image with `step`."
            )
        if len(x.shape) == 5:  # of others `forecast` says more
            check_sequence(x.shape, type(self).__name__)
        with switch_scope(self.switch):
            return self.forecast(x, check_stream(stream), training)

    def forecast(self, x, stream, training):
        """The images after the observed ones x, (batch, output_length, height, width, channels)."""
        raise NotImplementedError

    def encode(self, observed, stream="main", states=None, training=False):
        """The encoder's states after the observed images (batch, time, height, width, channels)."""
        return self.network.run(self.folded(observed), stream, states, training=bool(training))[1]

    def folded(self, observed):
        """Observed images as the encoder sees them, time-major in blocks."""
        return swap_time_and_batch(fold(observed, self.patch))

    def seen_by_network(self, x):
        return self.folded(ops.cast(x, "float32"))

    def decode(self, image, states, stream="main", training=False, extra=None):
        """The future images after `image`, (batch, output_length, height, width, channels).

        `extra`, if given, is (batch, height, width, extra_channels): more channels of every input of the decoder.
        """
        outputs = []
        for _ in range(self.output_length):
            seen = image if extra is None else ops.concatenate([image, extra], axis=-1)
            output, states = self.decode_one(seen, states, stream, training)
            predicted = with_channels(image, self.image_channels) + output[..., : self.image_channels]
            image = feed_back(image, predicted)
            outputs.append(output if stream == "temporal" else predicted)
        return ops.stack(outputs, axis=1)

    def decode_one(self, seen, states, stream="main", training=False):
        """What the head makes of one input of the decoder, (batch, height, width, channels): (output, next states)."""
        height, width = ops.shape(seen)[1:3]
        folded = fold(seen, self.patch)[None]  # (1, batch, rows, columns, patch * patch * channels)
        features, states = self.decoder.run(folded, stream, states, training=bool(training))
        head = self.sub_heads.get(stream) or self.head
        output = head(ops.concatenate([features[0], ops.cast(folded[0], features.dtype)], axis=-1))
        return unfold(ops.cast(output, "float32"), self.patch, height, width), states

    def initial_states(self, inputs):
        """The encoder's gates before the first image; `inputs` as in `SCSModel.initial_states`."""
        batch, _, *size, _ = shape_of(inputs)
        return self.network.initial_states(batch, *self.blocks(size))

    def step(self, frame, states):
        """One more observed image (batch, height, width, channels): (the forecast from here, the next states)."""
        if not self.built:
            self.build((None, None, *frame.shape[1:]))
        frame = ops.cast(frame, "float32")
        states = self.encode(frame[:, None], states=states)
        return self.decode(frame, states), states

    def reduce_outputs(self, frames):
        """The forecast of the call is that of the last step."""
        return frames[:, -1]
