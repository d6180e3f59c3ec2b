"""The score on the validation part that is logged while a model trains."""

from typing import Any

import keras

from scs_keras.training.evaluate import score
from scs_keras.training.outline.predictors import predictors
from scs_keras.training.outline.scores import OutlineScores
from scs_keras.training.samples import Samples


class Validation(keras.callbacks.Callback):
    """Adds `val_iou`, of outlines drawn greedily from a given first vertex, to the logs of an epoch.

    Args:
        samples: to score on.
        count: how many of them, evenly spread.
    """

    def __init__(self, samples: Samples, count: int):
        super().__init__()
        self.samples, self.count = samples, count

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        found = score(predictors(self.model), self.samples, OutlineScores, self.count)["model"].result()
        if logs is not None:
            logs["val_iou"] = found["iou"]
