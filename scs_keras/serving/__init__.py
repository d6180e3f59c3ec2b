"""From a model to what serves it."""

if __name__ != "scs_keras.serving":  # through the link at the top of a checkout it would be a second package
    raise ImportError(
        "Import scs_keras.serving: the folder serving at the top of the repository is a link for readers."
    )

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scs_keras.serving.client import Client, Stream
    from scs_keras.serving.server.errors import ServingError

__all__ = ["Client", "ServingError", "Stream"]


def __getattr__(name: str):
    if name in __all__:  # a client needs no Keras, and a REST client no TensorFlow
        return getattr(importlib.import_module("scs_keras.serving.client"), name)
    raise AttributeError(f"module 'scs_keras.serving' has no attribute {name!r}")
