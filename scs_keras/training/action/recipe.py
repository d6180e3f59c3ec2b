"""The recipe of action recognition."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from scs_keras import zoo
from scs_keras.training.reading_recipe import ReadingRecipe
from scs_keras.training.recipe import Recipe, TrainingData
from scs_keras.training.task import task

if TYPE_CHECKING:
    from scs_keras.training.samples import Samples

# Of the data set's reader; what is not given is the data set's own.
READING = ("fold", "folds", "group", "class_weight", "balanced", "flip", "jitter", "skip_broken", "cache_mb")


@dataclass(frozen=True)
class ActionClips(ReadingRecipe):
    """Action recognition (Sec. 5.5, Tab. 2) on UCF-101, HMDB-51, Kinetics-400 or labelled videos of your own.

        scs-keras train action_clips --data DIR --output DIR
        scs-keras train lrcn_action_small_fight --data DIR --output DIR
        scs-keras train action_clips --data MY_VIDEOS --output DIR --set dataset=folder

    The small models learn from 240 clips of fight_detection or five recordings of fir_thermal; what came out, with
    hardware and minutes, is in their model cards. Your own classes take the place of the preset's. The paper's sizes
    take its batches (Tab. 8: 40 clips alone, 16 with a backbone) and GPUs. The ablations of Tab. 3 are arguments of the
    model: `--set model.sub_goals=none --set model.switch=stsgd` (no sub-goals), `model.sub_goals=spatial` (no T2),
    `model.switch=none` (no ASTSGD), `model.clip_length=null` (no LTSC).

    Attributes:
        preset, arguments, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`.
        dataset: fight, thermal, ucf101, hmdb51, kinetics, folder (one per class) or table (a CSV); "" for the preset's.
        learning_rate: peak of a cosine schedule; 0 for the preset's.
        weight_decay: of AdamW.
        warmup: steps up to the peak.
        average: of the weights at each step, the moving average's momentum; 0 for none.
        precision: float32, or mixed_bfloat16 where the processor has it; weights are float32.
        fold: part of the data that is kept out for validation; none for the data set's own.
        folds: number of parts; none for the data set's own.
        group: column of a table whose rows stay together; none for the data set's own.
        class_weight: "balanced": all classes weigh alike in sum; or a JSON object {label: weight}; none for 1 each.
        balanced: show all classes equally often, in place of weights.
        flip: mirror half of the clips; none for the data set's own.
        jitter: largest change of brightness, contrast and colour; none for the data set's own.
        skip_broken: leave out files that cannot be read.
        cache_mb: so many MB of small clips stay decoded; none for the data set's own.
        validate: validation clips that are scored after each epoch (`val_accuracy`, `val_macro_f1`, `val_cross_entropy`
            in the logs); 0 for none.
    """

    task: ClassVar[str] = "action"
    reading: ClassVar[tuple[str, ...]] = READING
    logged: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "cross_entropy")

    preset: str = "scs_action_small_fight"
    steps: int = 300
    batch_size: int = 16
    checkpoint_every: int = 60
    weight_decay: float = 1e-3
    warmup: int = 30
    average: float = 0.98
    fold: int | None = None
    folds: int | None = None
    group: str | None = None
    class_weight: str | None = "balanced"
    balanced: bool | None = None
    flip: bool | None = None
    jitter: float | None = None
    skip_broken: bool | None = None
    cache_mb: float | None = None

    def samples(self, folder: str, split: str) -> "Samples":
        """Clips with the preset's classes; with those of the data where these are others' data."""
        options = self.reader_options()
        preset = replace(self.changed_preset, labels=()) if self._takes_labels else self.changed_preset
        return task(self.task).read(self.dataset_name, folder, split, preset, **options)

    @property
    def _takes_labels(self) -> bool:
        return self.dataset_name != zoo.get_preset(self.preset).dataset and "labels" not in self.arguments

    def resolve(self, samples: TrainingData) -> Recipe:
        """The classes of other data take the place of the preset's."""
        labels = {"labels": tuple(samples.train.labels)} if self._takes_labels else {}
        return replace(super().resolve(samples), arguments={**self.arguments, **labels})
