"""Scores on the validation part that are logged while a model trains."""

from collections.abc import Sequence
from typing import Any

import keras

from scs_keras.training.evaluate import score
from scs_keras.training.samples import Samples
from scs_keras.training.task import task

BATCH_SIZE = 32


class Validation(keras.callbacks.Callback):
    """Adds what `evaluate` says of the model to the logs of an epoch, as `val_NAME`; a score that is None is left out.

    Args:
        samples: to score on.
        count: how many of them, evenly spread.
        names: of the scores that are logged.
    """

    def __init__(self, samples: Samples, count: int, names: Sequence[str]):
        super().__init__()
        self.samples, self.count, self.names = samples, count, names

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        model: Any = self.model
        of = task(model.preset.task)
        scores = score(
            of.predictors_of(model), self.samples, lambda: of.empty_scores(model.preset), self.count, BATCH_SIZE
        )
        found = scores["model"].result()
        if logs is not None:
            logs.update({f"val_{name}": found[name] for name in self.names if found[name] is not None})
