"""Video prediction (TAU, Sec. 4) on Moving MNIST, TaxiBJ, KTH, KITTI, radar or your own videos.

    scs-keras train video_prediction --data DIR --output DIR
    scs-keras train video_prediction --data DIR --output DIR --set preset=convlstm_video_moving_mnist --set
    learning_rate=5e-4 scs-keras train video_prediction --data DIR --output DIR --set dataset=folder

The benchmark's setting is Adam with one cycle (TaxiBJ: cosine, 5 epochs of warm-up) and batches of 16; its 200 epochs
of 10,000 Moving MNIST sequences are `--set steps=125000`. What came out of a training, with hardware and time, is in
the preset's model card.
"""

from dataclasses import dataclass

import keras

from scs_keras import zoo
from scs_keras.training.data.video import training_dataset
from scs_keras.training.data.video_datasets import read_videos
from scs_keras.training.one_cycle import OneCycleAdam
from scs_keras.training.video_validation import RandomState, Validation

SCHEDULES = ("onecycle", "cosine")
SMALLEST_RATE, WARMUP_RATE = 1e-6, 1e-5  # of the published cosine schedule


@dataclass(frozen=True)
class Recipe:
    """Every value can be set: `--set steps=500`.

    Attributes:
        preset: which model of the zoo; its frame size, channels and lengths are the sequences'.
        dataset: moving_mnist, taxibj, kth, kitti_caltech, radar, or folder for your own videos.
        steps: optimiser steps.
        batch_size: sequences a step.
        learning_rate: peak of the schedule.
        schedule: "onecycle", or "cosine".
        warmup: steps of the cosine schedule from 1e-5 up to learning_rate.
        seed: of initial weights, batches and all draws.
        checkpoint_every: steps between checkpoints; one such stretch is an epoch in the logs.
        validate: validation sequences that are scored after each stretch (`val_mse_per_frame` in the logs); 0 for none.
    """

    preset: str = "tau_video_small_moving_mnist"
    dataset: str = "moving_mnist"
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "onecycle"
    warmup: int = 0
    seed: int = 0
    checkpoint_every: int = 250
    validate: int = 64


def build(recipe):
    """The compiled model at its initial weights."""
    model = zoo.load(recipe.preset, weights=None)
    config = model.get_compile_config()
    config["optimizer"] = keras.saving.serialize_keras_object(optimizer(recipe))
    model.compile_from_config(config)
    return model


def optimizer(recipe):
    """Adam with the recipe's schedule.

    Raises:
        ValueError: for an unknown schedule, or too few steps for it.
    """
    if recipe.schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}. Received: schedule={recipe.schedule}.")
    if not 0 <= recipe.warmup < recipe.steps:
        raise ValueError(f"warmup must be 0 to steps - 1. Received: warmup={recipe.warmup}, steps={recipe.steps}.")
    if recipe.schedule == "onecycle":
        return OneCycleAdam(recipe.learning_rate, recipe.steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        WARMUP_RATE if recipe.warmup else recipe.learning_rate,
        recipe.steps - recipe.warmup,
        alpha=SMALLEST_RATE / recipe.learning_rate,
        warmup_target=recipe.learning_rate if recipe.warmup else None,
        warmup_steps=recipe.warmup,
    )
    return keras.optimizers.Adam(schedule, epsilon=1e-8)


def batches(recipe, folder, start_step):
    """An endless stream of sequences from `start_step` on: a tf.data.Dataset, on other backends a generator."""
    optimizer(recipe)  # wrong settings must show before anything is written
    return training_dataset(videos(recipe, folder, "train"), recipe.batch_size, recipe.seed, start_step)


def pairs(model, sequences):
    """What `fit` gets: observed and future frames, or however the model learns from a sequence."""
    if hasattr(sequences, "map"):  # a tf.data.Dataset
        return sequences.map(model.training_pair)
    return (model.training_pair(sequence) for sequence in sequences)


def callbacks(recipe, folder):
    """Draws that do not depend on where a training was interrupted, and scores on the validation part."""
    made = [RandomState(recipe.seed)]
    if recipe.validate:
        made.append(Validation(videos(recipe, folder, "val"), recipe.validate))
    return made


def videos(recipe, folder, split):
    """The sequences of a part of the recipe's dataset, as long and as large as its preset's."""
    preset = zoo.get_preset(recipe.preset)
    if preset.task != "video_prediction":
        raise ValueError(
            f"preset={recipe.preset} is no video-prediction model but for {preset.task}. "
            f"Allowed: {', '.join(each.name for each in zoo.list_presets('video_prediction'))}."
        )
    length = preset.input_shape[0] + preset.output_shape[0]
    return read_videos(recipe.dataset, folder, split, (length, *preset.input_shape[1:]))
