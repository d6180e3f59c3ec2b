"""The scores on the validation part that are logged while a model trains."""

from typing import Any

import keras

from scs_keras.training.action.scores import ActionScores, predictors
from scs_keras.training.evaluate import score
from scs_keras.training.samples import Samples

LOGGED = ("accuracy", "macro_f1", "cross_entropy")


class Validation(keras.callbacks.Callback):
    """Adds `val_accuracy`, `val_macro_f1` and `val_cross_entropy` to the logs of an epoch.

    Args:
        samples: to score on.
        count: how many of them, evenly spread.
    """

    def __init__(self, samples: Samples, count: int):
        super().__init__()
        self.samples, self.count = samples, count

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        preset = self.model.preset
        found = score(predictors(self.model), self.samples, lambda: ActionScores(preset), self.count)["model"].result()
        if logs is not None:
            logs.update({f"val_{name}": found[name] for name in LOGGED})
