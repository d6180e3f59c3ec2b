"""Precipitation forecasting: radar images in, the images that follow out."""

from scs_keras.zoo.precipitation.presets import PRESETS

__all__ = ["PRESETS"]
