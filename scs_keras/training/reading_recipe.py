"""What recipes share whose data set's reader has settings of its own: those settings, precision and optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from scs_keras.core.arguments import check_known
from scs_keras.training.recipe import Recipe, TrainingData, check_precision
from scs_keras.training.task import task

if TYPE_CHECKING:
    import keras

    from scs_keras.training.samples import Samples


@dataclass(frozen=True)
class ReadingRecipe(Recipe):
    """A recipe with settings for its reader, AdamW on a cosine schedule, averaged weights and a chosen precision.

    Attributes:
        reading: names of the settings that go to the reader; None leaves one to the data set.
        learning_rate: peak of a cosine schedule; 0 for the preset's.
        weight_decay: of AdamW.
        warmup: steps up to the peak.
        average: of the weights at each step, the moving average's momentum; 0 for none.
        precision: float32, or mixed_bfloat16 where the processor has it; weights are float32.
        validate: validation samples that are scored after each epoch; 0 for none.
        logged: names of the scores that are logged of them.
    """

    reading: ClassVar[tuple[str, ...]] = ()
    logged: ClassVar[tuple[str, ...]] = ()

    learning_rate: float = 0.0
    weight_decay: float = 1e-4
    warmup: int = 100
    average: float = 0.99
    precision: str = "float32"
    validate: int = 0

    def check(self) -> None:
        super().check()
        self.reader_options()
        check_precision(self.precision)
        if self.validate < 0 or not 0 <= self.average < 1:
            raise ValueError(
                "validate must be at least 1, or 0 for none; average at least 0 and below 1. "
                f"Received: validate={self.validate}, average={self.average}."
            )

    def samples(self, folder: str, split: str) -> "Samples":
        return task(self.task).read(self.dataset_name, folder, split, self.changed_preset, **self.reader_options())

    def reader_options(self) -> dict[str, Any]:
        """{name: value} of what is given for the reader.

        Raises:
            ValueError: the data set does not take one of them.
        """
        given = {name: getattr(self, name) for name in self.reading if getattr(self, name) is not None}
        known = [option.python_name for option in task(self.task).dataset(self.dataset_name).options]
        for name in given:
            check_known(f"setting of the data set {self.dataset_name}", name, known)
        return given

    def scheduled_arguments(self) -> Mapping[str, Any]:
        return {} if self.precision == "float32" else {"dtype": self.precision}

    def optimizer(self) -> "keras.optimizers.Optimizer":
        from scs_keras.training.optimizers import cosine_adamw

        peak = self.learning_rate or self.changed_preset.arguments.get("learning_rate", 1e-4)
        warmup = min(self.warmup, self.steps - 1)
        return cosine_adamw(peak, self.steps - warmup, warmup, self.weight_decay, self.average)

    def callbacks(self, samples: TrainingData) -> "list[keras.callbacks.Callback]":
        from scs_keras.training.validation import Validation

        return [Validation(samples.val, self.validate, self.logged)] if self.validate else []

    def pair(self, model: Any, batch: Any) -> tuple[Any, ...]:
        """(x, y), and the weight where there is one, with x as the model sees it."""
        x, *others = batch
        return (self.changed_preset.preprocess(x), *others)
