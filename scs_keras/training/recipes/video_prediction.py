"""Video prediction (TAU, Sec. 4) on Moving MNIST, TaxiBJ, KTH, KITTI, radar or your own videos.

    scs-keras train video_prediction --data DIR --output DIR
    scs-keras train video_prediction --data DIR --output DIR --set preset=convlstm_video_moving_mnist
    scs-keras train video_prediction --data DIR --output DIR --set dataset=folder --set 'model={"input_shape": [10, 48,
    48, 3], "output_length": 20}'

The benchmark's setting is Adam with one cycle (TaxiBJ: cosine, a tenth of the steps warm-up) and batches of 16; its 200
epochs of 10,000 Moving MNIST sequences are `--set steps=125000`. What came out of a training, with hardware and time,
is in the preset's model card.
"""

from dataclasses import dataclass, replace

import keras

from scs_keras import zoo
from scs_keras.training.data.video import training_dataset
from scs_keras.training.data.video_datasets import dataset_of, read_videos
from scs_keras.training.model_arguments import arguments_of
from scs_keras.training.one_cycle import OneCycleAdam
from scs_keras.training.video_validation import RandomState, Validation
from scs_keras.zoo.video_prediction.builder import NAMES, hyperparameters_of

SCHEDULES = ("onecycle", "cosine")
SMALLEST_RATE, WARMUP_RATE = 1e-6, 1e-5  # of the published cosine schedule


@dataclass(frozen=True)
class Recipe:
    """Every value can be set: `--set steps=500`.

    Attributes:
        preset: which model of the zoo; its frame size, channels and lengths are the sequences'.
        model: JSON of arguments in place of the preset's: hyperparameters, input_shape, output_length. `evaluate` and
            `predict` then need the same as --model.
        dataset: moving_mnist, taxibj, kth, kitti_caltech, radar, or folder for your own videos; "" for the preset's.
        steps: optimiser steps.
        batch_size: sequences a step.
        learning_rate: peak of the schedule; 0 for the preset's.
        schedule: "onecycle", or "cosine"; "" for the published: cosine on TaxiBJ, else onecycle.
        warmup: steps of the cosine schedule from 1e-5 up to learning_rate; -1 for the published tenth of them.
        sampling: share of the steps in which recurrent models are shown true future frames, ever less often
            (published: 50,000 of 125,000). Not for models whose `model` sets the schedule itself.
        seed: of initial weights, batches and all draws.
        checkpoint_every: steps between checkpoints; one such stretch is an epoch in the logs.
        validate: validation sequences that are scored after each stretch (`val_mse_per_frame` in the logs); 0 for none.
    """

    preset: str = "tau_video_small_moving_mnist"
    model: str = "{}"
    dataset: str = ""
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 0.0
    schedule: str = ""
    warmup: int = -1
    sampling: float = 0.4
    seed: int = 0
    checkpoint_every: int = 250
    validate: int = 64


def completed(recipe):
    """The recipe with everything that is the preset's or the dataset's own filled in."""
    preset = preset_of(recipe)
    dataset = recipe.dataset or dataset_of(preset.name)
    schedule = recipe.schedule or ("cosine" if dataset == "taxibj" else "onecycle")
    published = recipe.steps // 10 if schedule == "cosine" else 0
    return replace(
        recipe,
        dataset=dataset,
        learning_rate=recipe.learning_rate or preset.arguments["learning_rate"],
        schedule=schedule,
        warmup=published if recipe.warmup == -1 else recipe.warmup,
    )


def preset_of(recipe):
    """The preset with the recipe's arguments.

    Raises:
        ValueError: there is none, it is for another task, or `model` is no JSON of arguments.
    """
    preset = zoo.get_preset(recipe.preset)
    if preset.task != "video_prediction":
        raise ValueError(
            f"preset={recipe.preset} is no video-prediction model but for {preset.task}. "
            f"Allowed: {', '.join(each.name for each in zoo.list_presets('video_prediction'))}."
        )
    return preset.with_arguments(**arguments_of(recipe.model))


def build(recipe):
    """The compiled model at its initial weights."""
    model = zoo.load(recipe.preset, weights=None, **_of_the_schedule(recipe) | arguments_of(recipe.model))
    config = model.get_compile_config()
    config["optimizer"] = keras.saving.serialize_keras_object(optimizer(recipe))
    model.compile_from_config(config)
    return model


def _of_the_schedule(recipe):
    """Hyperparameters that are numbers of steps, published for 125,000 steps of 200 epochs, as shares of ours."""
    sampled = max(round(recipe.sampling * recipe.steps), 1)
    values = dict(
        sampling_stop_iter=sampled if recipe.sampling else 0,
        sampling_changing_rate=1 / sampled,
        r_sampling_step_1=sampled // 2,
        r_sampling_step_2=sampled,
        r_exp_alpha=sampled / 10,
        steps_per_epoch=max(recipe.steps // 200, 1),
    )
    model_class, _ = NAMES.get(zoo.get_preset(recipe.preset).arguments.get("name"), (None, None))
    return {name: values[name] for name in values if model_class and name in hyperparameters_of(model_class)}


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
    preset = preset_of(recipe)
    length = preset.input_shape[0] + preset.output_shape[0]
    return read_videos(recipe.dataset, folder, split, (length, *preset.input_shape[1:]))
