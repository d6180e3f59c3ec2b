"""The scores on the validation part that are logged while a model trains."""

from typing import Any

import keras

from scs_keras.training.driving.predictors import predictors
from scs_keras.training.driving.scores import DrivingScores
from scs_keras.training.evaluate import score
from scs_keras.training.samples import Samples

LOGGED = ("r2", "mse", "accuracy_6")


class Validation(keras.callbacks.Callback):
    """Adds `val_r2`, `val_mse` (degrees²) and `val_accuracy_6` to the logs of an epoch.

    Args:
        samples: to score on.
        count: how many of them, evenly spread.
    """

    def __init__(self, samples: Samples, count: int):
        super().__init__()
        self.samples, self.count = samples, count

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        preset = self.model.preset
        scores = score(predictors(self.model), self.samples, lambda: DrivingScores(preset), self.count, batch_size=32)
        if logs is not None:
            found = scores["model"].result()
            logs.update({f"val_{name}": found[name] for name in LOGGED if found[name] is not None})
