"""What is made of a nowcast: probabilities of exceedance, and the forecast matched to the observed rain."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.zoo.radar_units import DETECTABLE, LEVELS, detectable_rain, rain_to_scaled

RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # mm/h, whose exceedance is learnt
DETECTION_LIMIT = float(rain_to_scaled(DETECTABLE))
SCALED_RATES = [float(rain_to_scaled(rate)) for rate in RATES]


@keras.saving.register_keras_serializable("scs_keras")
class ExceedanceLogits(keras.Layer):
    """Logits of P(R >= r) from a forecast image, for the rates r of `RATES`: (image - r) / width + offset.

    The width, how far forecasts are off, grows with the root of the lead: each rate has its own for the first image,
    and an offset; both are learnt.

    Call arguments:
        images: (batch, lead, height, width, 1), scaled to [0, 1].

    Returns:
        (batch, lead, height, width, rates).
    """

    def build(self, input_shape):
        rates = (len(RATES),)
        self.log_width = self.add_weight(name="log_width", shape=rates, initializer=_constant(math.log(0.04)))
        self.offset = self.add_weight(name="offset", shape=rates, initializer="zeros")

    def call(self, images):
        leads = ops.reshape(ops.sqrt(ops.arange(1, images.shape[1] + 1, dtype="float32")), (-1, 1, 1, 1))
        return (images - ops.array(SCALED_RATES, "float32")) / (ops.exp(self.log_width) * leads) + self.offset


def _constant(value):
    return keras.initializers.Constant(value)


def probabilities(logits: Tensor) -> Tensor:
    """P(R >= r) for the rates of `LEVELS`, none larger than that of a smaller rate: (..., rates) to (..., 4)."""
    smallest, found = None, []
    for rate, logit in zip(RATES, ops.unstack(ops.sigmoid(logits), axis=-1)):
        smallest = logit if smallest is None else ops.minimum(smallest, logit)
        if rate in LEVELS:
            found.append(smallest)
    return ops.stack(found, axis=-1)


def ranking(mean: Tensor, logits: Tensor) -> Tensor:
    """What orders the pixels for `match`: the mean, and the expectation that the probabilities come to,

        sum over rates of P(R >= r_k) (r_k - r_(k-1)).

    Of each alone, the former is better where rain is heavy, the latter where the radar is one it has learnt from.
    """
    widths = ops.array(np.diff([0.0, *SCALED_RATES]), "float32")
    return mean + ops.sum(ops.sigmoid(logits) * widths, axis=-1, keepdims=True)


def match(order: Tensor, reference: Tensor) -> Tensor:
    """The values of an image, put where another one of the same size has its ranks: the largest where it is largest.

    Args:
        order: (batch, lead, height, width, 1), what the ranks are of.
        reference: (batch, height, width, 1), whose values are put.

    Returns:
        (batch, lead, height, width, 1): at each lead all values of the reference, each once.
    """
    batch, lead, height, width, _ = ops.shape(order)
    values = ops.sort(ops.reshape(reference, (-1, 1, height * width)), axis=-1)
    flat = ops.reshape(order, (-1, lead, height * width))
    ranks = ops.argsort(ops.argsort(flat, axis=-1), axis=-1)
    matched = ops.take_along_axis(ops.broadcast_to(values, ops.shape(flat)), ranks, axis=-1)
    return ops.reshape(matched, (-1, lead, height, width, 1))


def to_rain(products: Any) -> Any:
    """The products with `mean` and `matched` as rain rates in mm/h, see `detectable_rain`; the others have no unit and
    stay. An image alone as rain rates."""
    if not isinstance(products, Mapping):
        return detectable_rain(products)
    scaled = ("mean", "matched")
    return {name: detectable_rain(value) if name in scaled else value for name, value in products.items()}
