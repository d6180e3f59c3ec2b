"""Steering: frames of the road in, the angle of the wheel at the last one out. For study; not for driving a car."""

from scs_keras.zoo.driving.presets import PRESETS

__all__ = ["PRESETS"]
