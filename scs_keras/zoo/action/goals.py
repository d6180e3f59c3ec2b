"""The temporal goal of models that see changes in place of frames."""

from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.goals import LastFrameFlow


@keras.saving.register_keras_serializable("scs_keras.action")
class FlowOfDifferences(LastFrameFlow):
    """`LastFrameFlow` of what the differences add up to, the frames less the first: the flow of what moves.

    Args:
        scales, **flow_options: of `LastFrameFlow`.

    Call arguments:
        x: differences of neighbouring frames, (batch, time, height, width, channels), 0 for the first.
        y: not used.
    """

    def __call__(self, x: Any, y: Any) -> tuple[Any, Tensor]:
        return super().__call__(ops.cumsum(x, axis=1), y)
