"""The recipe of steering."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from scs_keras.training.reading_recipe import ReadingRecipe

# Of the data set's reader; what is not given is the data set's own.
READING = ("full_scale", "column", "crop", "correction", "before", "balanced", "flip", "jitter", "cache_mb")


@dataclass(frozen=True)
class Steering(ReadingRecipe):
    """The angle of the wheel at the last of some frames (Sec. 5.7, Tab. 5), on recordings of your own or public ones.

        scs-keras train scs_driving_small_rc --data DIR --output DIR
        scs-keras train steering --data MY_TUB --output DIR --set dataset=donkeycar
        scs-keras train scs_driving_17_comma --data DIR --output DIR --set batch_size=128

    The small models learn from 4,012 frames of an RC car; what came out, with hardware and minutes, is in their model
    cards. The paper's sizes take its batch of 128 (Tab. 8) and a GPU. Rows of Tab. 5 are arguments of the model:
    `--set model.input_shape=[3,64,192,3]` for 3 frames, `--set model.p=0.3`, `model.depth=15` (Tab. 8).
    Not for driving a car.

    Attributes:
        preset, arguments, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`.
        dataset: rc_car, udacity_sim, table (a CSV), udacity, donkeycar, comma or livi; "" for the preset's.
        learning_rate: peak of a cosine schedule; 0 for the preset's.
        weight_decay: of AdamW.
        warmup: steps up to the peak.
        average: of the weights at each step, the moving average's momentum; 0 for none.
        precision: float32, or mixed_bfloat16 where the processor has it; weights are float32.
        decay: whether p of STSGD falls to 0 until the last step; else it stays.
        full_scale: degrees that an angle of 1 stands for, 0 where angles are degrees; none for the data set's own.
        column: of a table that has the angles; none for steering.
        crop: where the road begins and ends, as shares of the image's height: 0.4,1; none for the data set's own.
        correction: of Udacity's side cameras, degrees; none to leave them out.
        before: frames that must lie before one that is scored; none for 6.
        balanced: show all angles equally often, not as they come.
        flip: mirror half of the windows, with the angle negated; none for true.
        jitter: largest change of brightness and contrast; none for 0.2.
        cache_mb: so many MB of frames stay in memory; none for 512.
        validate: validation windows that are scored after each epoch (`val_r2`, `val_mse`, `val_accuracy_6` in the
            logs); 0 for none.
    """

    task: ClassVar[str] = "driving"
    reading: ClassVar[tuple[str, ...]] = READING
    logged: ClassVar[tuple[str, ...]] = ("r2", "mse", "accuracy_6")

    preset: str = "scs_driving_small_rc"
    steps: int = 1500
    batch_size: int = 32
    checkpoint_every: int = 150
    weight_decay: float = 1e-3
    warmup: int = 50
    decay: bool = True
    full_scale: float | None = None
    column: str | None = None
    crop: str | None = None
    correction: float | None = None
    before: int | None = None
    balanced: bool | None = None
    flip: bool | None = None
    jitter: float | None = None
    cache_mb: float | None = None

    def scheduled_arguments(self) -> Mapping[str, Any]:
        arguments = super().scheduled_arguments()
        switch = self.changed_preset.arguments.get("switch")
        return {**arguments, "decay_steps": self.steps} if self.decay and switch == "stsgd" else arguments
