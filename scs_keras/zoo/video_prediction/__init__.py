"""TAU and the systems it is compared with: frames in, future frames out."""

import importlib
from typing import TYPE_CHECKING

from scs_keras.zoo.video_prediction.presets import PRESETS

if TYPE_CHECKING:
    from scs_keras.zoo.video_prediction.builder import NAMES, build
    from scs_keras.zoo.video_prediction.reference import load_reference

__all__ = ["NAMES", "PRESETS", "build", "load_reference"]

_HOME = {"NAMES": "builder", "build": "builder", "load_reference": "reference"}  # modules that need Keras


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
