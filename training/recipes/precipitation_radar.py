"""Precipitation forecasting on radar composites of five countries (Sec. 5.8, Tab. 7, at a small scale).

    scs-keras train precipitation_radar --data DIR --output DIR
    scs-keras train precipitation_radar --data DIR --output DIR --set preset=convlstm_precipitation_small_radar

The same data, steps and optimiser for every preset. What came out, with hardware and time, is in each
preset's model card.
"""

from dataclasses import dataclass

import keras

from scs_keras import zoo
from scs_keras.training.data.radar import Augmentation, read_events, training_batch, training_dataset
from scs_keras.zoo.precipitation.presets import FORECAST, OBSERVED


@dataclass(frozen=True)
class Recipe:
    """Every value can be set: `--set steps=500`.

    Attributes:
        preset: which model of the zoo.
        steps: optimiser steps.
        batch_size, crop: crops a step and their side in pixels.
        learning_rate: peak of a cosine schedule with `warmup` steps.
        weight_decay: of AdamW.
        seed: of initial weights, batches and switch draws.
        checkpoint_every: steps between checkpoints; one such stretch is an epoch in the logs.
        exclude: event kept out of training: it is the demo's.
    """

    preset: str = "scs_precipitation_advection_small_radar"
    steps: int = 2000
    batch_size: int = 8
    crop: int = 64
    learning_rate: float = 1e-3
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
    config["optimizer"] = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    model.compile_from_config(config)
    return model


def batches(recipe, folder, start_step):
    """An endless stream of batches from `start_step` on: a tf.data.Dataset, on other backends a generator."""
    events = read_events(folder, split="train", exclude=[recipe.exclude])
    sizes = (recipe.batch_size, recipe.crop, OBSERVED, FORECAST)
    if keras.backend.backend() == "tensorflow":
        return training_dataset(events, *sizes, seed=recipe.seed, start_step=start_step)
    return _generator(events, sizes, recipe.seed, start_step)


def _generator(events, sizes, seed, step):
    while True:
        yield training_batch(events, step, *sizes, seed=seed, augmentation=Augmentation())
        step += 1
