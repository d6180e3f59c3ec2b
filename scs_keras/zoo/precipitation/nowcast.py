"""Nowcasts: the scale-wise filter along the flow, alone or corrected by SCS, as products for different uses."""

from typing import Any, NamedTuple

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.empty import RefusesEmpty
from scs_keras.core.flow import blur
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.signatures import Signature, streaming, whole
from scs_keras.zoo.encoder_decoder import EncoderDecoder
from scs_keras.zoo.knows_preset import KnowsPreset
from scs_keras.zoo.output_length import OutputLength
from scs_keras.zoo.precipitation.any_size import AnySize
from scs_keras.zoo.precipitation.last_images import no_images, with_image
from scs_keras.zoo.precipitation.lost_images import mended
from scs_keras.zoo.precipitation.motion import aligned, move
from scs_keras.zoo.precipitation.products import (
    DETECTION_LIMIT,
    RATES,
    ExceedanceLogits,
    match,
    probabilities,
    ranking,
)
from scs_keras.zoo.precipitation.scale_filter import scale_filter

PRODUCTS = ("mean", "matched", "probability", "lost")
FEWEST_IMAGES = 3  # the filter's
LARGEST_GROWTH = 0.1  # between two images, that the network is shown: 7 dBZ; more is a fault of an image
SURROUNDINGS = 8.0  # pixels, deviation of the blur that shows the network what is around
ENCODED, DECODED = 2, 5  # channels that encoder and decoder see
CORRECTION = 0.1  # of the mean, for a head's output of 1: else its noise in training is larger than what is to learn


class Observed(NamedTuple):
    """What was seen, where rain stands still: all moved along the flow to the time of the last image."""

    images: Tensor  # (batch, time, height, width, 1)
    filtered: Tensor  # (batch, output_length, height, width, 1), the scale-wise filter's forecast
    path: Tensor  # (batch, output_length, height, width, 2), along which a forecast moves to its own time
    lost: Tensor  # (batch, time), 1 for an image that was filled


def observe(images: Tensor, steps: int) -> Observed:
    """Finds and fills lost images, estimates the flow without them, moves all along it and filters.

    Args:
        images: (batch, time, height, width, 1), at least 3, scaled to [0, 1].
        steps: number of future images.

    Raises:
        ValueError: fewer images, or not this many axes.
    """
    images, path, lost = standing_still(images, steps)
    return Observed(images, scale_filter(images, steps, lost), path, lost)


def standing_still(images: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """(images, path, lost) of `Observed`; arguments and errors of `observe`."""
    if len(images.shape) != 5 or images.shape[1] < FEWEST_IMAGES:
        raise ValueError(
            "A nowcast takes (batch, time, height, width, 1) images and at least 3 time steps, to see them move and "
            f"change. Received: shape={tuple(images.shape)}."
        )
    images, flow, lost = mended(ops.cast(images, "float32"))
    return *aligned(images, flow, steps), lost


class FlowForecaster(AnySize, OutputLength):
    """For a Keras model: forecasts in the coordinates of the last image, moved on and made into products.

    A subclass has `exceedance`, an `ExceedanceLogits`, and says in `correct(observed, stream, training)` what is
    added to the filter's image and to its logits, (batch, output_length, height, width, 1 + rates), or None.

    Returns, at inference, a dict:
        mean: (batch, output_length, height, width, 1), reflectivity / 70 dBZ: the forecast of least squared error.
        matched: likewise: rain at the most probable places, as much and as strong as was observed.
        probability: (batch, output_length, height, width, 4): P(R >= 0.5, 2, 5, 10 mm/h).
        lost: (batch, observed time): 1 for an image that was found blank, half-blank, speckled or frozen and was filled
            along the flow.
    In training: (batch, output_length, height, width, 1 + rates), the mean and the logits of `products.RATES`.

    No forecast exceeds the largest value that was observed, mean rain below 0.05 mm/h is 0, and where nothing at all
    was observed everything is 0.
    """

    products = PRODUCTS
    exceedance: ExceedanceLogits

    def forecast(self, x: Tensor, stream: str, training: bool) -> Any:
        forecast, observed = self.mean_and_logits(x, stream, training)
        return forecast if training else as_products(forecast, observed)

    def mean_and_logits(self, x: Tensor, stream: str, training: bool) -> tuple[Tensor, Observed]:
        """What is trained, (batch, output_length, height, width, 1 + rates), and what was seen."""
        observed = observe(x, self.output_length)
        mean, logits = observed.filtered, self.exceedance(observed.filtered)
        correction = self.correct(observed, stream, training)
        if correction is not None:
            mean, logits = mean + CORRECTION * correction[..., :1], logits + correction[..., 1:]
        return move(ops.concatenate([mean, logits], axis=-1), observed.path), observed

    def correct(self, observed: Observed, stream: str, training: bool) -> Tensor | None:
        return None

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss is of the mean and the logits, which the products at inference are made of."""
        if isinstance(y_pred, dict):
            y_pred = self.mean_and_logits(x, "main", training)[0]
        return super().compute_loss(x, y, y_pred, sample_weight, training)  # type: ignore[misc]

    def all_outputs(self, x, streams, training, **options):
        """What the losses of an `SCSModel` are of, in evaluation too."""
        if training:
            return super().all_outputs(x, streams, training, **options)  # type: ignore[misc]
        return {name: self.mean_and_logits(x, name, training)[0] for name in streams}

    # Streaming ----------------------------------------------------------------------------------

    def initial_states(self, inputs: Any) -> list:
        """The images seen last, the first one repeated before it: until as many were seen, `lost` marks the copies.

        Raises:
            ValueError: if the number of observed images is not known.
        """
        return no_images(inputs)

    def step(self, frame: Tensor, states: list) -> tuple[Any, list]:
        """One more observed image (batch, height, width, 1): (the forecast from here, the next states)."""
        images, states = with_image(frame, states)
        return self(images), states

    def reduce_outputs(self, frames: Any) -> Any:
        """The forecast of the call is that of the last step."""
        return keras.tree.map_structure(lambda each: each[:, -1], frames)


def as_products(forecast: Tensor, observed: Observed) -> dict[str, Tensor]:
    """The products of a forecast (batch, output_length, height, width, 1 + rates)."""
    mean, logits = forecast[..., :1], forecast[..., 1:]
    return dict(
        mean=bounded(mean, observed),
        matched=match(ranking(mean, logits), observed.images[:, -1]),
        probability=probabilities(logits) * ops.cast(_largest(observed) > 0, "float32"),
        lost=observed.lost,
    )


def with_surroundings(images: Tensor) -> Tensor:
    """Images (batch, time, height, width, 1) and, as a second channel, what is around."""
    return ops.concatenate([images, blur(images[..., 0], SURROUNDINGS)[..., None]], axis=-1)


def bounded(mean: Tensor, observed: Observed) -> Tensor:
    """The mean, not above the largest value observed, and 0 where it cannot be detected."""
    mean = ops.clip(mean, 0.0, _largest(observed))
    return ops.where(mean < DETECTION_LIMIT, 0.0, mean)


def _largest(observed):
    return ops.max(observed.images, axis=(1, 2, 3, 4), keepdims=True)


def filtered_mean(images: Tensor, steps: int) -> Tensor:
    """`mean` of the scale-wise filter alone, nothing learnt: (batch, steps, height, width, 1); see `observe`."""
    observed = observe(images, steps)
    return bounded(move(observed.filtered, observed.path), observed)


@keras.saving.register_keras_serializable("scs_keras")
class ScaleFilter(FlowForecaster, KnowsPreset, RefusesEmpty, KeepsFrozen, keras.Model):
    """The scale-wise filter alone, see `FlowForecaster`: nothing of the forecasts is learnt but how sure they are.

    Args:
        output_length: number of future images, at least 1; may be changed at any time.
    """

    def __init__(self, output_length: int = 5, **kwargs: Any):
        super().__init__(**kwargs)
        self.output_length = output_length
        self.exceedance = ExceedanceLogits(name="exceedance")

    def build(self, input_shape):
        self.exceedance.build(input_shape)
        self.built = True

    def call(self, x, training=None):
        return self.forecast(x, "main", bool(training))

    def signatures(self, input_shape: tuple) -> tuple[Signature, ...]:
        """See `SCSModel.signatures`."""
        return (whole(self, input_shape), *streaming(self, input_shape))

    def get_config(self):
        return {**super().get_config(), "output_length": self.output_length}


@keras.saving.register_keras_serializable("scs_keras")
class Nowcast(FlowForecaster, EncoderDecoder):
    """The scale-wise filter corrected by SCS, see `FlowForecaster`.

        lost images filled -> all moved along the flow to the last time -> filter + SCS -> moved on -> products

    Where rain stands still, what is left to learn is growth and decay. The encoder sees the moved images and their
    surroundings; at every lead the decoder sees the filter's image, the last one, how that grew, and its
    surroundings, and puts out what to add to the filter's image and to the logits of exceedance. It starts at zero,
    so that untrained the model is the filter.

    Args:
        encoder, decoder: two networks of the same structure (`SCSNetwork` or `ConvLSTMNetwork`).
        output_length: number of future images, at least 1; may be changed at any time.
        patch: side of the blocks that the networks work on.
    """

    def __init__(self, encoder, decoder, output_length: int = 5, patch: int = 4, **kwargs: Any):
        super().__init__(encoder, decoder, patch, channels=1 + len(RATES), **kwargs)
        self.output_length = output_length
        self.exceedance = ExceedanceLogits(name="exceedance")

    def channels_seen(self, channels):
        return ENCODED, DECODED

    def build(self, input_shape):
        self.exceedance.build(input_shape)
        super().build(input_shape)

    def correct(self, observed, stream, training):
        last = observed.images[:, -1]
        growth = ops.clip((last - observed.images[:, -2]) / LARGEST_GROWTH, -1.0, 1.0)
        images = with_surroundings(observed.images)
        states = self.encode(images, stream, training=training)
        constant = ops.concatenate([last, growth, ops.abs(growth), images[:, -1, ..., 1:]], axis=-1)
        corrections = []
        for filtered in ops.unstack(observed.filtered, self.output_length, axis=1):
            seen = ops.concatenate([filtered, constant], axis=-1)
            correction, states = self.decode_one(seen, states, stream, training)
            corrections.append(correction)
        return ops.stack(corrections, axis=1)

    def seen_by_network(self, x):
        return self.folded(with_surroundings(standing_still(x, self.output_length)[0]))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        networks = dict(encoder=serialize(self.network), decoder=serialize(self.decoder))
        layer = keras.Model.get_config(self)  # name, dtype, trainable
        own = dict(output_length=self.output_length, patch=self.patch)
        return {**layer, **networks, **own, **self.preset_config()}

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        return cls(**{**config, **networks})
