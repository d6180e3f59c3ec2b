"""Precipitation forecasting on radar composites of five countries (Sec. 5.8, Tab. 7, at a small scale).

    scs-keras train precipitation_radar --data DIR --output DIR
    scs-keras train precipitation_radar --data DIR --output DIR --set preset=convlstm_precipitation_small_radar

The same data, steps and optimiser for every preset. What came out, with hardware and time, is in each
preset's model card.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from scs_keras import zoo
from scs_keras.training.data.radar import Augmentation, read_events, training_batch, training_dataset, windows
from scs_keras.zoo.precipitation.presets import FORECAST, OBSERVED

CALIBRATION_STRIDE = 7  # frames from one window of the calibration to the next
TYPICAL_CHANGE = 0.01  # mean squared error of persistence, in units of (70 dBZ)^2


@dataclass(frozen=True)
class Recipe:
    """Every value can be set: `--set steps=500`.

    Attributes:
        preset: which model of the zoo.
        steps: optimiser steps.
        batch_size, crop: crops a step and their side in pixels.
        border: so many pixels along the edges of a crop do not count: what moves in from outside cannot be known.
        candidates, dry_share: how much crops with rain are preferred, see `Augmentation`.
        learning_rate: peak of a cosine schedule with `warmup` steps.
        weight_decay: of AdamW.
        seed: of initial weights, batches and switch draws.
        checkpoint_every: steps between checkpoints; one such stretch is an epoch in the logs.
        exclude: event kept out of training: it is the demo's.
    """

    preset: str = "scs_precipitation_advection_small_radar"
    steps: int = 1200
    batch_size: int = 8
    crop: int = 80
    border: int = 12
    candidates: int = 2
    dry_share: float = 0.1
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warmup: int = 100
    seed: int = 0
    checkpoint_every: int = 100
    exclude: str = "meteonet_SE_20160828a"


def build(recipe):
    """The compiled model at its initial weights."""
    model = zoo.load(recipe.preset, weights=None)
    config = model.get_compile_config()
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 10, recipe.steps, warmup_target=recipe.learning_rate, warmup_steps=recipe.warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    config["optimizer"] = keras.saving.serialize_keras_object(optimizer)
    model.compile_from_config(config)
    return model


def finish(model, recipe, folder):
    """After the last step: fits the calibration of weak rain on whole training events as they are."""

    def pairs():
        for event in read_events(folder, split="train", exclude=[recipe.exclude]):
            for window in windows(event, OBSERVED, FORECAST, stride=CALIBRATION_STRIDE):
                frames, target, weight = weigh(*(each[None] for each in window[:3]), border=0)
                yield model.predict(frames, verbose=0), target, ops.convert_to_numpy(weight)

    model.calibration.fit(pairs())


def augmentation(recipe):
    return Augmentation(temporal_strides=(1,), candidates=recipe.candidates, dry_share=recipe.dry_share)


def batches(recipe, folder, start_step):
    """An endless stream of batches from `start_step` on: a tf.data.Dataset, on other backends a generator."""
    if not 0 <= 2 * recipe.border < recipe.crop:
        raise ValueError(
            "border must leave some of the crop. "
            f"Received: border={recipe.border}, crop={recipe.crop}. For example: border={recipe.crop // 8}."
        )
    events = read_events(folder, split="train", exclude=[recipe.exclude])
    sizes = (recipe.batch_size, recipe.crop, OBSERVED, FORECAST)
    if keras.backend.backend() == "tensorflow":
        dataset = training_dataset(events, *sizes, recipe.seed, start_step, augmentation(recipe))
        return dataset.map(lambda *batch: weigh(*batch, recipe.border))
    return _generator(recipe, events, sizes, start_step)


def _generator(recipe, events, sizes, step):
    while True:
        yield weigh(*training_batch(events, step, *sizes, recipe.seed, augmentation(recipe)), recipe.border)
        step += 1


def weigh(frames, target, mask, border):
    """The mask without the border, and each crop weighed by the inverse of what persistence gets wrong there.

    Otherwise a few violent crops make up most of the squared error, and the forecasts of calm rain become too smooth.
    """
    inner = np.pad(np.ones([size - 2 * border for size in mask.shape[2:4]], "float32"), border)
    mask = mask * inner[..., None]
    change = ops.mean(mask * ops.square(target - frames[:, -1:]), axis=(1, 2, 3, 4), keepdims=True)
    return frames, target, mask * TYPICAL_CHANGE / (change + 0.2 * TYPICAL_CHANGE)
