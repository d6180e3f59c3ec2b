"""Precipitation forecasting (Sec. 5.8, Fig. 5d): an encoder reads observed images, a decoder writes future ones."""

import keras
import numpy as np
from keras import ops

from scs_keras.core.goals import frame_difference, mean_flow, optical_flow
from scs_keras.zoo.encoder_decoder import EncoderDecoder
from scs_keras.zoo.precipitation.any_size import AnySize
from scs_keras.zoo.precipitation.last_images import no_images, with_image
from scs_keras.zoo.precipitation.lost_images import mended
from scs_keras.zoo.precipitation.motion import aligned, move
from scs_keras.zoo.radar_units import rain_to_scaled

FLOW_SCALE = 10.0  # pixels per frame; brings the flow to the size of the differences


@keras.saving.register_keras_serializable("scs_keras")
def difference_and_flow(x, y):
    """Temporal goal r_t: pixel-wise difference and optical flow between consecutive future images.

    Args:
        x: observed images (batch, time, height, width, 1); y: future images, likewise.

    Returns:
        (batch, future time, height, width, 3): difference, and flow (dx, dy) in units of 10 pixels a frame,
        clipped to [-1, 1] and 0 where it is dry: nothing is seen to move there.
    """
    images = ops.concatenate([x[:, -1:], y], axis=1)
    flow = ops.clip(optical_flow(images) / FLOW_SCALE, -1.0, 1.0) * ops.cast(images[:, :-1] > 0, images.dtype)
    return ops.concatenate([frame_difference(images), flow], axis=-1)


class Calibration(keras.Layer):
    """Clips forecasts to [0, 1] and corrects the bias of weak rain, below 0.5 mm/h, at inference.

    A loss that asks for CSI draws the surroundings of rain up towards the threshold. `offsets` are what
    is added at five forecast values from 0 on, linear between them and 0 from 0.5 mm/h on; they start at
    0 and are fitted after training (`fit`), on the training data.
    """

    KNOTS = 5

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.offsets = self.add_weight(name="offsets", shape=(self.KNOTS,), initializer="zeros", trainable=False)
        self.built = True

    def hats(self, images):
        """The five functions of the forecast, 1 at their own value and 0 at their neighbours'."""
        spacing = float(rain_to_scaled(0.5)) / self.KNOTS
        return [ops.relu(1.0 - ops.abs(images / spacing - index)) for index in range(self.KNOTS)]

    def call(self, images):
        images = ops.clip(images, 0.0, 1.0)
        offsets = ops.unstack(ops.convert_to_tensor(self.offsets))
        correction = sum(offset * hat for offset, hat in zip(offsets, self.hats(images)))
        return ops.clip(images + correction, 0.0, 1.0)

    def fit(self, pairs):
        """Weighted least squares of the offsets over arrays (forecast, target, weight)."""
        self.offsets.assign(np.zeros(self.KNOTS))  # the forecasts are made while the pairs are drawn
        matrix, vector = 1e-9 * np.eye(self.KNOTS), np.zeros(self.KNOTS)
        for forecast, target, weight in pairs:
            hats = np.stack([ops.convert_to_numpy(hat).ravel() for hat in self.hats(forecast)])
            weighted = hats * np.ravel(weight)
            matrix += weighted @ hats.T
            vector += weighted @ np.ravel(target - forecast)
        self.offsets.assign(np.linalg.solve(matrix, vector))


@keras.saving.register_keras_serializable("scs_keras")
class PrecipitationForecaster(AnySize, EncoderDecoder):
    """Forecasts radar images: (batch, observed time, height, width, 1) to (batch, future time, height, width, 1).

    The encoder's states, and the last image, go to the decoder, which puts out one image after the
    other; each goes in again. Both work on images folded into `patch` x `patch` blocks, as Shi et al. do.
    T1 forecasts the images too; T2 the temporal goal: difference (which moves its image on) and flow.

    Each image is the last one plus what a 3x3 convolution makes of the decoder's features and its input;
    it starts at zero, so that the untrained model forecasts persistence. With `advection` the networks see
    the observed images moved along their common flow to the time of the last one, the decoder also what
    grew and decayed between the last two, and each forecast is moved along the flow to its own time:
    untrained, the model is the advection forecast.

    Args:
        encoder, decoder: two networks of the same structure (`SCSNetwork` or `ConvLSTMNetwork`).
        output_length: number of future images, at least 1; may be changed at any time
            (`model.output_length = 12`), the weights do not depend on it.
        patch: side of the blocks.
        advection: whether to move the images along the flow.
        sub_goals: whether T1 and T2 are trained (`compile` then needs their losses).

    Images are reflectivity / 70 dBZ in [0, 1]; forecasts are clipped and calibrated (`Calibration`) at inference only.
    With `advection` lost images are filled (`find_lost`) and no forecast exceeds the largest value that was observed,
    at inference too: what grew since a blank image would grow without bound.
    """

    def __init__(self, encoder, decoder, output_length=5, patch=4, advection=False, sub_goals=False, **kwargs):
        self.config = dict(output_length=output_length, patch=patch, advection=advection, sub_goals=sub_goals)
        super().__init__(
            encoder,
            decoder,
            patch,
            temporal_channels=3 if sub_goals else None,
            temporal_goal=difference_and_flow,
            extra_channels=2 if advection else 0,
            **kwargs,
        )
        self.output_length = output_length
        self.advection = self.fills_lost = advection
        self.sub_goals = sub_goals
        self.calibration = Calibration(name="calibration")

    def forecast(self, x, stream, training):
        if len(x.shape) != 5 or x.shape[1] < (2 if self.advection else 1):
            raise ValueError(
                "A forecaster takes (batch, time, height, width, 1) images"
                f"{' and at least 2 time steps, to see them move' if self.advection else ''}. "
                f"Received: shape={tuple(x.shape)}."
            )
        x = ops.cast(x, "float32")
        observed, path, change = x, None, None
        if self.advection:
            x, flow = (x, mean_flow(x)) if training else mended(x)[:2]
            observed, path = aligned(x, flow, self.output_length)
            growth = observed[:, -1] - observed[:, -2]
            change = ops.concatenate([growth, ops.abs(growth)], axis=-1)
        states = self.encode(observed, stream, training=training)
        images = self.decode(observed[:, -1], states, stream, training=training, extra=change)
        if self.advection and stream != "temporal":
            images = move(images, path)
        if stream != "temporal" and not training:
            images = self.calibration(images)
            if self.advection:
                images = ops.minimum(images, ops.max(x, axis=(1, 2, 3, 4), keepdims=True))
        return images

    def seen_by_network(self, x):
        return super().seen_by_network(aligned(*mended(x)[:2], self.output_length)[0] if self.advection else x)

    # Streaming ----------------------------------------------------------------------------------

    def initial_states(self, inputs):
        """States before the first image: the encoder's gates, or with `advection` the images seen last (the first one).

        Raises:
            ValueError: with `advection`, if the number of observed images is not known.
        """
        if not self.advection:
            return super().initial_states(inputs)
        return no_images(inputs)

    def step(self, frame, states):
        """One more observed image (batch, height, width, 1): (the forecast from here, the next states)."""
        if self.advection:
            images, states = with_image(frame, states)
            return self(images), states
        forecast, states = super().step(frame, states)
        return self.calibration(forecast), states

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        networks = dict(encoder=serialize(self.network), decoder=serialize(self.decoder))
        layer = keras.Model.get_config(self)  # name, dtype, trainable
        return {**layer, **self.config, **networks, "output_length": self.output_length, **self.preset_config()}

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        return cls(**{**config, **networks})
