"""Outlines of objects: an image and the vertices so far in, log-probabilities of the next vertex's cell out."""

from scs_keras.zoo.outline.presets import PRESETS

__all__ = ["PRESETS"]
