"""Trains: `scs-keras train RECIPE|PRESET|RUN --data DIR --output DIR [--set key=value]`.

Killed at any time and started again with the same command, it goes on from the last checkpoint and ends with the
weights it would have had: batches are functions of seed and step, and the checkpoint holds all the rest.
"""

import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scs_keras import zoo
from scs_keras.core.arguments import check_known
from scs_keras.training.distribute import check_strategy, is_chief, strategy_scope
from scs_keras.training.output import Output
from scs_keras.training.recipe import Recipe, TrainingData, with_settings
from scs_keras.training.samples import Samples, files_of, left_out_of, notes_of, training_dataset
from scs_keras.training.source import is_run
from scs_keras.training.task import recipes
from scs_keras.zoo.files import without_optimizer
from scs_keras.zoo.words import presets_are_listed, words

if TYPE_CHECKING:
    import keras


class Parts(TrainingData):
    """The parts of a training's data, each read once, when it is first asked for."""

    def __init__(self, recipe: Recipe, folder: str):
        self._recipe, self._folder = recipe, folder

    @functools.cached_property
    def train(self) -> Samples:
        return self._recipe.samples(self._folder, "train")

    @functools.cached_property
    def val(self) -> Samples:
        return self._recipe.samples(self._folder, "val")

    @property
    def read(self) -> list[Samples]:
        """Those that were asked for."""
        return [vars(self)[part] for part in ("train", "val") if part in vars(self)]


def recipe_of(what: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """The recipe of that name, the recipe of a preset with that preset, or that of a training's folder.

    Raises:
        ValueError: there is none of that name, or a setting is wrong.
        FileNotFoundError: the folder holds no training.
    """
    known = recipes()
    presets = {preset.name: preset for preset in zoo.list_presets()}
    if str(what) in known:
        recipe = known[str(what)]()
    elif str(what) in presets:
        recipe = replace(known[presets[str(what)].recipe](), preset=str(what))
    elif is_run(what):
        recipe = Output(what).recipe()
    else:
        listed = f"Allowed: {', '.join(known)}, a preset or the folder of a training. {presets_are_listed()}"
        check_known("recipe, preset or folder of a training", str(what), [*known, *presets], listed)
        raise AssertionError
    return with_settings(recipe, settings)


def train(
    what: str | Path,
    data: str | Path,
    output: str | Path | None = None,
    settings: Iterable[str] = (),
    strategy: str = "one",
    verbose: int = 1,
) -> "keras.Model":
    """Trains a recipe until its last step and returns the model.

    Args:
        what: name of a recipe or of a preset, or the folder of a training to go on with.
        data: folder with the data.
        output: folder for recipe, log.csv, TensorBoard logs, checkpoint and final weights; that of the training by
            default, if `what` is one.
        settings: "key=value" strings.
        strategy: "one" device or "mirrored" over all.
        verbose: of `fit`.

    Raises:
        ValueError: for an unknown recipe or setting, fewer than one step, bad data, weights that do not fit, or an
            output folder of another training or version.
        OSError: nothing can be written to the output folder, or the disk is full.
    """
    if output is None and not is_run(what):
        example = words('output="my_run"', "--output my_run")
        raise ValueError(f"A new training needs an output folder. For example: {example}.")
    recipe = recipe_of(what, settings)
    folder = Output(what if output is None else output, is_chief())
    folder.check()
    recipe.check()
    check_strategy(strategy)
    if not folder.checkpoint.exists():
        recipe.check_weights()
    samples = Parts(recipe, str(data))
    if not Path(data).exists():
        recipe.samples(str(data), "train")  # says what is expected there
    recipe = recipe.resolve(samples)
    folder.check_same(recipe)
    return _fit(recipe, samples, folder, strategy, verbose)


def _fit(recipe, samples, folder, strategy, verbose):
    import keras

    from scs_keras.training.checkpoint import Checkpoint

    keras.utils.set_random_seed(recipe.seed)
    checkpoint = Checkpoint(folder)
    begun = folder.checkpoint.exists()  # its weights then replace those to start from, whose file may be gone
    with strategy_scope(strategy):
        model = (replace(recipe, weights="") if begun else recipe).model(samples)
        step = checkpoint.restore(model)  # weights that do not fit show before data is read, which may take long
    training_dataset(samples.train, recipe.batch_size, recipe.seed)  # bad data must show before anything is written
    callbacks = recipe.callbacks(samples)
    checkpoint.rehearse(model)
    for note in notes_of(samples.train) if verbose else ():
        print(note)
    left_out = [each for part in samples.read for each in left_out_of(part)]
    folder.remember(recipe, files_of(samples.train), left_out)  # what could be wrong has shown: now it is a training
    if step and verbose:
        print(f"Going on from step {step} ({folder.checkpoint}).")
    for start, end, length in _stretches(step, recipe.steps, recipe.checkpoint_every):
        model.fit(
            pairs(recipe, model, training_dataset(samples.train, recipe.batch_size, recipe.seed, start)),
            steps_per_epoch=length,
            initial_epoch=start // recipe.checkpoint_every,
            epochs=-(-end // recipe.checkpoint_every),
            shuffle=False,  # the stream is
            callbacks=[checkpoint, *callbacks, *folder.loggers(start > 0, verbose)],
            verbose=verbose,
        )
    recipe.finish(model, samples)
    with folder.writing(folder.weights) as beside, without_optimizer(model):
        model.save_weights(beside)
    return model


def pairs(recipe: Recipe, model: "keras.Model", batches: Any) -> Any:
    """What `fit` gets of `training_dataset`: each batch as the recipe makes a pair of it."""
    pair = functools.partial(recipe.pair, model)
    if not hasattr(batches, "element_spec"):  # no tf.data.Dataset but a generator
        return (pair(batch) for batch in batches)
    structured = isinstance(batches.element_spec, tuple)  # which `map` hands on as several arguments
    return batches.map((lambda *batch: pair(batch)) if structured else pair)


def _stretches(step, steps, every):
    """(start, end, length of an epoch) of the calls of `fit` from `step` on: whole epochs, then a shorter last one."""
    whole = steps - steps % every
    parts = (step, whole, every), (max(step, whole), steps, steps - whole)
    return [part for part in parts if part[0] < part[1]]
