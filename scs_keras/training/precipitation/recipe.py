"""The recipe of precipitation forecasters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scs_keras import zoo
from scs_keras.training.recipe import Recipe, TrainingData, check_precision
from scs_keras.training.task import task

if TYPE_CHECKING:
    import keras

    from scs_keras.training.data.radar import Augmentation
    from scs_keras.training.precipitation.samples import RadarSamples

CALIBRATION_STRIDE = 7  # images from one window of the calibration to the next
TYPICAL_CHANGE = 0.01  # mean squared error of persistence, in units of (70 dBZ)^2


@dataclass(frozen=True)
class PrecipitationRadar(Recipe):
    """Precipitation forecasting on radar composites of five countries (Sec. 5.8, Tab. 7, at a small scale).

        scs-keras train precipitation_radar --data DIR --output DIR
        scs-keras train convlstm_precipitation_small_radar --data DIR --output DIR

    The same data, steps and optimiser for every preset. What came out, with hardware and time, is in each preset's
    model card: 5 to 15 minutes on two CPU cores.

    Attributes:
        preset, arguments, dataset, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`.
        crop: side of the training crops in pixels.
        border: so many pixels along the edges of a crop do not count: what moves in from outside cannot be known.
        candidates, dry_share: how much crops with rain are preferred, see `Augmentation`.
        learning_rate: peak of a cosine schedule with `warmup` steps.
        weight_decay: of AdamW.
        warmup: steps until the peak of the learning rate.
        exclude: event kept out of training: it is the presets' example.
        zr, unit, variable, importer: of the files, where they do not say it or say it wrongly, see docs.
    """

    task: ClassVar[str] = "precipitation"

    preset: str = "scs_precipitation_advection_small_radar"
    steps: int = 1200
    crop: int = 80
    border: int = 12
    candidates: int = 2
    dry_share: float = 0.1
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warmup: int = 100
    exclude: str = "meteonet_SE_20160828a"
    zr: str = ""
    unit: str = ""
    variable: str = ""
    importer: str = ""

    def check(self) -> None:
        super().check()
        if not 0 <= 2 * self.border < self.crop:
            raise ValueError(
                "border must leave some of the crop. "
                f"Received: border={self.border}, crop={self.crop}. For example: border={self.crop // 8}."
            )

    def samples(self, folder: str, split: str) -> "RadarSamples":
        reading = dict(zr=self.zr, unit=self.unit, variable=self.variable, importer=self.importer)
        options = dict(crop=self.crop, augmentation=self._augmentation(), exclude=[self.exclude], **reading)
        return task(self.task).read(self.dataset_name, folder, split, self.changed_preset, **options)

    def _augmentation(self) -> "Augmentation":
        from scs_keras.training.data.radar import Augmentation

        return Augmentation(temporal_strides=(1,), candidates=self.candidates, dry_share=self.dry_share)

    def optimizer(self) -> "keras.optimizers.Optimizer":
        from scs_keras.training.optimizers import cosine_adamw

        return cosine_adamw(self.learning_rate, self.steps, self.warmup, self.weight_decay)

    def pair(self, model: Any, batch: Any) -> tuple[Any, Any, Any]:
        """(frames, target, weight) of sequences and their valid pixels."""
        sequences, valid = batch
        observed = self.changed_preset.input_shape[0]
        frames, target = sequences[:, :observed], sequences[:, observed:]
        return frames, target, weigh(frames, target, valid[:, None], self.border)

    def finish(self, model: "keras.Model", samples: TrainingData) -> None:
        """Fits the calibration of weak rain, where the model has one, on whole training events as they are."""
        if hasattr(model, "calibration"):
            model.calibration.fit(self._forecasts(model, samples.train.every(CALIBRATION_STRIDE)))

    @staticmethod
    def _forecasts(model, samples) -> Iterator[tuple[Any, Any, Any]]:
        import keras

        for index in range(len(samples)):
            frames, target, mask = (part[None] for part in samples[index])
            weight = weigh(frames, target, mask, border=0)
            yield model.predict(frames, verbose=0), target, keras.ops.convert_to_numpy(weight)


@dataclass(frozen=True)
class PrecipitationNowcast(PrecipitationRadar):
    """The nowcast on radar composites of eight services: SCS corrects the scale-wise filter along the flow.

        scs-keras train precipitation_nowcast --data DIR --output DIR
        scs-keras train scale_filter_precipitation_small_radar --data DIR --output DIR --set steps=200

    Every pixel counts the same, since the scores pool pixels. One training sequence in ten has an observed image that
    is blank or half-blank. About 25 minutes on two CPU cores.

    Attributes:
        preset, arguments, dataset, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`.
        crop, border, candidates, dry_share, learning_rate, weight_decay, warmup, exclude: see `PrecipitationRadar`.
        lost_share: share of the sequences in which an observed image is blank or half-blank.
        precision: of the networks: float32, or mixed_bfloat16 where the processor has it; weights are float32.
    """

    preset: str = "scs_precipitation_nowcast_small_radar"
    steps: int = 2000
    batch_size: int = 4
    crop: int = 128
    border: int = 16
    learning_rate: float = 1e-3
    lost_share: float = 0.1
    precision: str = "float32"

    def check(self) -> None:
        super().check()
        check_precision(self.precision)

    def _augmentation(self) -> "Augmentation":
        # Less zoom than elsewhere: the filter's correlations see that a magnified image is smooth.
        return replace(super()._augmentation(), lost_share=self.lost_share, zoom=(0.8, 1.1))

    def optimizer(self) -> "keras.optimizers.Optimizer":
        """As `PrecipitationRadar`'s; the weights at the end are a moving average, which the mean's small corrections
        need more than a lower learning rate."""
        from scs_keras.training.optimizers import cosine_adamw

        return cosine_adamw(self.learning_rate, self.steps, self.warmup, self.weight_decay, average=0.99)

    def scheduled_arguments(self) -> Mapping[str, Any]:
        networks = zoo.get_preset(self.preset).arguments.get("arguments")
        return {"arguments": {**networks, "dtype": self.precision}} if networks else {}

    def pair(self, model: Any, batch: Any) -> tuple[Any, Any, Any]:
        sequences, valid = batch
        observed = self.changed_preset.input_shape[0]
        frames, target = sequences[:, :observed], sequences[:, observed:]
        return frames, target, without_border(target, valid[:, None], self.border)

    def finish(self, model: "keras.Model", samples: TrainingData) -> None:
        """Nothing is fitted after training."""


def weigh(frames: Any, target: Any, mask: Any, border: int) -> Any:
    """The mask without the border, and each crop weighed by the inverse of what persistence gets wrong there.

    Otherwise a few violent crops make up most of the squared error, and the forecasts of calm rain become too smooth.
    """
    from keras import ops

    mask = without_border(target, mask, border)
    change = ops.mean(mask * ops.square(target - frames[:, -1:]), axis=(1, 2, 3, 4), keepdims=True)
    return mask * TYPICAL_CHANGE / (change + 0.2 * TYPICAL_CHANGE)


def without_border(target: Any, mask: Any, border: int) -> Any:
    """The mask of the target, 0 along its border."""
    from keras import ops

    inner = np.pad(np.ones([size - 2 * border for size in mask.shape[2:4]], "float32"), border)
    return ops.broadcast_to(mask * inner[..., None], ops.shape(target))
