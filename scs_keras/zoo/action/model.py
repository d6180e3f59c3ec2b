"""The model of the task: an `SCSModel` that knows its preset, and with it the names of its classes."""

import keras

from scs_keras.core.model import SCSModel
from scs_keras.zoo.knows_preset import KnowsPreset


@keras.saving.register_keras_serializable("scs_keras.action")
class ActionModel(KnowsPreset, SCSModel):
    """Frames to probabilities of classes, for the sequence or, with `reduce="none"`, for every frame.

    Args:
        preset: {"name": ..., "arguments": ...} of the preset that it is made from, or None.
        *args, **kwargs: of `SCSModel`.

    Call arguments:
        x: what `preset.preprocess` makes of frames (batch, time, height, width, channels).

    Output shape: (batch, classes), or (batch, time, classes); float32, each row sums to 1.
    """
