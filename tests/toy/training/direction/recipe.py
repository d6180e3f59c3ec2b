"""The recipe of the task."""

from dataclasses import dataclass, replace
from typing import ClassVar

from scs_keras.training.recipe import Recipe


@dataclass(frozen=True)
class DirectionDots(Recipe):
    """Left or right? A second on one core; ends with an accuracy of 1.

        scs-keras train direction_dots --data DIR --output DIR

    Attributes:
        learning_rate: of Adam.
        shuffle: nothing, a truth value.
    """

    task: ClassVar[str] = "direction"

    preset: str = "scs_direction_small_dots"
    steps: int = 60
    checkpoint_every: int = 20
    learning_rate: float = 0.05
    shuffle: bool = True

    def resolve(self, samples):
        """The classes are those of the folder."""
        classes = {"classes": len(samples.train.labels)}
        return replace(super().resolve(samples), arguments={**self.arguments, **classes})

    def optimizer(self):
        import keras

        return keras.optimizers.Adam(self.learning_rate)

    def pair(self, model, batch):
        return batch["frames"], batch["label"]
