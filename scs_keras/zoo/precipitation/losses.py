"""The loss of the forecasters: squared error, and at chosen rain rates a soft exceedance error for CSI."""

import keras
from keras import ops

from scs_keras.zoo.precipitation.products import SCALED_RATES
from scs_keras.zoo.radar_units import rain_to_scaled

THRESHOLDS = {0.5: 1.4, 2.0: 2.2, 5.0: 3.5}


@keras.saving.register_keras_serializable("scs_keras")
class ForecastLoss(keras.losses.Loss):
    """(y - y')^2 + weight * sum over thresholds of the cross-entropy of "at least this much rain".

    The squared error alone rewards blur, which costs CSI. The second term asks at each threshold r
    whether the forecast exceeds it, softly: sigmoid((y' - r) / width) against y >= r. Events weigh
    more than non-events: CSI is largest where rain is forecast from a probability of CSI / (1 + CSI)
    on, not from 0.5; hence a weight of 1 / CSI, for a CSI within reach.

    Args:
        weight: of the second term; 0 is the mean squared error.
        thresholds: {rain rate in mm/h: weight of pixels that reach it}.
        width: softness of the threshold, in scaled units (0.03 is 2 dBZ).

    Elementwise, so that `sample_weight` may hold the radar's mask, (batch, time, height, width, 1).
    """

    def __init__(self, weight=0.0, thresholds=THRESHOLDS, width=0.03, name="forecast_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.weight, self.width = weight, width
        self.thresholds = {float(rain): event_weight for rain, event_weight in thresholds.items()}

    def call(self, y_true, y_pred):
        loss = ops.square(y_pred - y_true)
        for rain, event_weight in self.thresholds.items() if self.weight else ():
            threshold = float(rain_to_scaled(rain))
            logit = (y_pred - threshold) / self.width
            event = ops.cast(y_true >= threshold, logit.dtype)
            entropy = event_weight * event * ops.softplus(-logit) + (1.0 - event) * ops.softplus(logit)
            loss = loss + self.weight * entropy
        return loss

    def get_config(self):
        thresholds = {str(rain): event_weight for rain, event_weight in self.thresholds.items()}
        return {**super().get_config(), "weight": self.weight, "thresholds": thresholds, "width": self.width}


@keras.saving.register_keras_serializable("scs_keras")
class NowcastLoss(keras.losses.Loss):
    """Of the mean the squared error, of the logits of exceedance the cross-entropy, each on its own output.

        (y - mean)^2 / 0.01 + weight * sum over rates of cross-entropy(y >= r, logit)

    Call arguments:
        y_true: (batch, time, height, width, 1), scaled to [0, 1].
        y_pred: (batch, time, height, width, 1 + rates), the mean and the logits for `products.RATES`.

    Args:
        weight: of the second term.

    Elementwise, so that `sample_weight` may hold the radar's mask, (batch, time, height, width, 1).
    """

    channels_of_its_own = True  # the forecast has more than the target

    def __init__(self, weight=0.3, name="nowcast_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.weight = weight

    def call(self, y_true, y_pred):
        mean, logits = y_pred[..., :1], y_pred[..., 1:]
        event = ops.cast(y_true >= ops.array([rate - 1e-6 for rate in SCALED_RATES]), logits.dtype)
        entropy = ops.softplus(logits) - event * logits
        return ops.square(y_true - mean) / 0.01 + self.weight * ops.sum(entropy, axis=-1, keepdims=True)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}
