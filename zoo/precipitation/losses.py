"""The loss of the forecasters: squared error, and at chosen rain rates a soft exceedance error for CSI."""

import keras
from keras import ops

from scs_keras.zoo.precipitation.units import rain_to_scaled


@keras.saving.register_keras_serializable("scs_keras")
class ForecastLoss(keras.losses.Loss):
    """(y - y')^2 + weight * sum over thresholds of the cross-entropy of "at least this much rain".

    The squared error alone rewards blur, which costs CSI. The second term asks at each threshold r
    whether the forecast exceeds it, softly: sigmoid((y' - r) / width) against y >= r. Events weigh
    `event_weight` times non-events: CSI is largest where one forecasts rain from a probability of
    CSI / (1 + CSI) on (0.36 at CSI 0.56, so a weight of 1.8), not from 0.5.

    Args:
        weight: of the second term; 0 is the mean squared error.
        thresholds: rain rates in mm/h.
        event_weight: weight of pixels that exceed the threshold.
        width: softness of the threshold, in scaled units (0.03 is 2 dBZ).

    Elementwise, so that `sample_weight` may hold the radar's mask, (batch, time, height, width, 1).
    """

    def __init__(self, weight=0.0, thresholds=(0.5, 2.0), event_weight=1.8, width=0.03, name="forecast_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.weight, self.thresholds = weight, tuple(thresholds)
        self.event_weight, self.width = event_weight, width

    def call(self, y_true, y_pred):
        loss = ops.square(y_pred - y_true)
        for rain in self.thresholds if self.weight else ():
            threshold = float(rain_to_scaled(rain))
            logit = (y_pred - threshold) / self.width
            event = ops.cast(y_true >= threshold, logit.dtype)
            entropy = self.event_weight * event * ops.softplus(-logit) + (1.0 - event) * ops.softplus(logit)
            loss = loss + self.weight * entropy
        return loss

    def get_config(self):
        own = dict(
            weight=self.weight, thresholds=self.thresholds, event_weight=self.event_weight, width=self.width
        )
        return {**super().get_config(), **own}
