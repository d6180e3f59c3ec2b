"""The recipe of video prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from scs_keras import zoo
from scs_keras.training.recipe import Recipe, TrainingData

if TYPE_CHECKING:
    import keras

SCHEDULES = ("onecycle", "cosine")
SMALLEST_RATE, WARMUP_RATE = 1e-6, 1e-5  # of the published cosine schedule


@dataclass(frozen=True)
class VideoPrediction(Recipe):
    """Video prediction (TAU, Sec. 4) on Moving MNIST, TaxiBJ, KTH, KITTI, radar or your own videos.

        scs-keras train video_prediction --data DIR --output DIR
        scs-keras train convlstm_video_moving_mnist --data DIR --output DIR
        scs-keras train tau_video_small_moving_mnist --data DIR --output DIR --set dataset=folder
            --set "model.input_shape=[10, 48, 48, 3]" --set model.output_length=20

    The benchmark's setting is Adam with one cycle (TaxiBJ: cosine, a tenth of the steps warm-up) and batches of 16; its
    200 epochs of 10,000 Moving MNIST sequences are `--set steps=125000`. What came out of a training, with hardware and
    time, is in the preset's model card: 5 to 20 minutes on two CPU cores for the small ones.

    Attributes:
        preset, arguments, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`; the preset's frame
            size, channels and lengths are the sequences'.
        dataset: moving_mnist, taxibj, kth, kitti_caltech, radar, or folder for your own videos; "" for the preset's.
        learning_rate: peak of the schedule; 0 for the preset's.
        schedule: "onecycle", or "cosine"; "" for the published: cosine on TaxiBJ, else onecycle.
        warmup: steps of the cosine schedule from 1e-5 up to learning_rate; -1 for the published tenth of them.
        sampling: share of the steps in which recurrent models are shown true future frames, ever less often
            (published: 50,000 of 125,000). Not for models whose arguments set the schedule themselves.
        validate: validation sequences that are scored after each epoch (`val_mse_per_frame` in the logs); 0 for none.
    """

    task: ClassVar[str] = "video_prediction"

    preset: str = "tau_video_small_moving_mnist"
    steps: int = 5000
    batch_size: int = 16
    checkpoint_every: int = 250
    learning_rate: float = 0.0
    schedule: str = ""
    warmup: int = -1
    sampling: float = 0.4
    validate: int = 64

    def check(self) -> None:
        super().check()
        self.completed().optimizer()
        if self.validate < 0:
            raise ValueError(f"validate must be at least 1, or 0 for none. Received: {self.validate}.")

    def completed(self) -> "VideoPrediction":
        """The recipe with everything that is the preset's or the data set's own filled in."""
        dataset = self.dataset_name
        schedule = self.schedule or ("cosine" if dataset == "taxibj" else "onecycle")
        published = self.steps // 10 if schedule == "cosine" else 0
        return replace(
            self,
            dataset=dataset,
            learning_rate=self.learning_rate or self.changed_preset.arguments["learning_rate"],
            schedule=schedule,
            warmup=published if self.warmup == -1 else self.warmup,
        )

    def resolve(self, samples: TrainingData) -> "VideoPrediction":
        return self.completed()

    def scheduled_arguments(self) -> Mapping[str, Any]:
        """Hyperparameters that are numbers of steps, published for 125,000 steps of 200 epochs, as shares of ours."""
        from scs_keras.zoo.video_prediction.builder import NAMES, hyperparameters_of

        sampled = max(round(self.sampling * self.steps), 1)
        values = dict(
            sampling_stop_iter=sampled if self.sampling else 0,
            sampling_changing_rate=1 / sampled,
            r_sampling_step_1=sampled // 2,
            r_sampling_step_2=sampled,
            r_exp_alpha=sampled / 10,
            steps_per_epoch=max(self.steps // 200, 1),
        )
        model_class, _ = NAMES.get(zoo.get_preset(self.preset).arguments.get("name"), (None, None))
        return {name: values[name] for name in values if model_class and name in hyperparameters_of(model_class)}

    def optimizer(self) -> "keras.optimizers.Optimizer":
        """Adam with the recipe's schedule.

        Raises:
            ValueError: for an unknown schedule, or too few steps for it.
        """
        import keras

        from scs_keras.training.video_prediction.one_cycle import OneCycleAdam

        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}. Received: schedule={self.schedule}.")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup must be 0 to steps - 1. Received: warmup={self.warmup}, steps={self.steps}.")
        if self.schedule == "onecycle":
            return OneCycleAdam(self.learning_rate, self.steps)
        schedule = keras.optimizers.schedules.CosineDecay(
            WARMUP_RATE if self.warmup else self.learning_rate,
            self.steps - self.warmup,
            alpha=SMALLEST_RATE / self.learning_rate,
            warmup_target=self.learning_rate if self.warmup else None,
            warmup_steps=self.warmup,
        )
        return keras.optimizers.Adam(schedule, epsilon=1e-8)

    def pair(self, model: Any, batch: Any) -> tuple[Any, Any]:
        """(x, y) of whole sequences, as the model learns from them."""
        return model.training_pair(batch)

    def callbacks(self, samples: TrainingData) -> "list[keras.callbacks.Callback]":
        from scs_keras.training.video_prediction.validation import Validation

        return [Validation(samples.val, self.validate)] if self.validate else []
