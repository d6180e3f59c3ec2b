"""Action recognition: frames in, probabilities of classes out."""

from scs_keras.zoo.action.presets import PRESETS

__all__ = ["PRESETS"]
