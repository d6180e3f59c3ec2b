"""TAU and the systems it is compared with: frames in, future frames out."""

import importlib
from typing import TYPE_CHECKING

from scs_keras.zoo.video_prediction.presets import PRESETS

if TYPE_CHECKING:
    from scs_keras.zoo.pytorch_weights import load_reference
    from scs_keras.zoo.video_prediction.builder import NAMES, build

__all__ = ["NAMES", "PRESETS", "build", "load_reference"]

_BUILDER = "scs_keras.zoo.video_prediction.builder"
_HOME = {"NAMES": _BUILDER, "build": _BUILDER, "load_reference": "scs_keras.zoo.pytorch_weights"}  # they need Keras


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
