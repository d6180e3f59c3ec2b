"""Trains a recipe: `scs-keras train RECIPE --data DIR --output DIR [--set key=value]`.

Killed at any time and started again with the same command, it goes on from the last checkpoint and ends
with the weights it would have had: batches are functions of seed and step, and the checkpoint holds
weights, optimiser, switch and the number of draws.

A recipe is a module with `Recipe`, `build(recipe)` and `batches(recipe, folder, start_step)`. It may have
`completed(recipe)`, which fills in what was left to it, `pairs(model, batches)`, which makes of them what `fit` gets,
`callbacks(recipe, folder)`, and `finish(model, recipe, folder)`, for what comes after the last step.
"""

import difflib
import importlib
import json
import pkgutil
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import keras
import numpy as np

from scs_keras.training import recipes
from scs_keras.training.distribute import strategy_scope
from scs_keras.zoo.files import load_weights, without_optimizer, written_beside

CHECKPOINT = "checkpoint.weights.h5"
WEIGHTS = "model.weights.h5"


def list_recipes():
    """Names of all recipes."""
    return sorted(module.name for module in pkgutil.iter_modules(recipes.__path__))


def load_recipe(name):
    """The recipe's module.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in list_recipes():
        raise ValueError(f"There is no recipe {name!r}. Allowed: {', '.join(list_recipes())}.")
    return importlib.import_module(f"scs_keras.training.recipes.{name}")


def with_settings(recipe, settings):
    """The recipe with "key=value" settings applied, each converted to the type of its default.

    Raises:
        ValueError: for an unknown key (the nearest is named) or a value of another type.
    """
    known = {field.name: field.type for field in fields(recipe)}
    changes = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"--set {setting!r} is not a setting of this recipe. Did you mean {near}={getattr(recipe, near)!r}? "
                f"Allowed: {', '.join(known)}."
            )
        kind = type(getattr(recipe, key))
        try:
            changes[key] = kind(text)
        except ValueError:
            raise ValueError(
                f"--set {setting!r}: {key} is of type {kind.__name__}. For example: {key}={getattr(recipe, key)!r}."
            ) from None
    return replace(recipe, **changes)


class Checkpoint(keras.callbacks.Callback):
    """Writes everything that training needs to go on, beside and renamed, after every epoch; stops on NaN.

    Beside it lies time.json with the minutes that training took so far.
    """

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)
        self.clock = self.path.with_name("time.json")
        self.earlier = json.loads(self.clock.read_text())["minutes"] if self.clock.exists() else 0.0
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss became {logs['loss']} in epoch {epoch + 1}; {self.path} still holds the step before. "
                "Use a smaller --set learning_rate."
            )
        with written_beside(self.path) as beside:
            self.model.save_weights(beside)
        minutes = self.earlier + (time.monotonic() - self.start) / 60
        with written_beside(self.clock) as beside:
            beside.write_text(json.dumps({"minutes": round(minutes, 1)}))


def train(name, data, output, settings=(), strategy="one", verbose=1):
    """Trains a recipe until its last step and returns the model.

    Args:
        name: of the recipe.
        data: folder with the data.
        output: folder for recipe.json, log.csv, TensorBoard logs, the checkpoint and the final weights.
        settings: "key=value" strings.
        strategy: "one" device or "mirrored" over all.
        verbose: of `fit`.

    Raises:
        ValueError: for an unknown recipe or setting, fewer than one step, bad data, or an output folder of another
            recipe or with a checkpoint of another version.
    """
    module = load_recipe(name)
    recipe = with_settings(module.Recipe(), settings)
    if hasattr(module, "completed"):
        recipe = module.completed(recipe)
    if min(recipe.steps, recipe.checkpoint_every) < 1:
        raise ValueError(
            "steps and checkpoint_every must be at least 1. "
            f"Received: steps={recipe.steps}, checkpoint_every={recipe.checkpoint_every}."
        )
    module.batches(recipe, data, 0)  # bad data must show before anything is written
    callbacks = module.callbacks(recipe, data) if hasattr(module, "callbacks") else []
    output = Path(output)
    _remember(output, name, recipe)
    keras.utils.set_random_seed(recipe.seed)
    with strategy_scope(strategy):
        model = module.build(recipe)
        step = _restore(model, output / CHECKPOINT)
    checkpoint = Checkpoint(output / CHECKPOINT)
    for start, end, length in _stretches(step, recipe.steps, recipe.checkpoint_every):
        batches = module.batches(recipe, data, start)
        model.fit(
            module.pairs(model, batches) if hasattr(module, "pairs") else batches,
            steps_per_epoch=length,
            initial_epoch=start // recipe.checkpoint_every,
            epochs=-(-end // recipe.checkpoint_every),
            callbacks=[checkpoint, *callbacks, *_loggers(output, append=start > 0)],
            verbose=verbose,
        )
    if hasattr(module, "finish"):
        module.finish(model, recipe, data)
    with written_beside(output / WEIGHTS) as beside, without_optimizer(model):
        model.save_weights(beside)
    return model


def _remember(output, name, recipe):
    """Writes recipe.json, or checks that the folder belongs to the same recipe."""
    settings = {"recipe": name, **asdict(recipe)}
    path = output / "recipe.json"
    if path.exists() and (found := json.loads(path.read_text())) != settings:
        differing = sorted(key for key in settings | found if settings.get(key) != found.get(key))
        raise ValueError(
            f"{output} holds a training with other settings ({', '.join(differing)}). "
            "Give another --output, or the settings in its recipe.json to go on with it."
        )
    if not path.exists():
        with written_beside(path) as beside:
            beside.write_text(json.dumps(settings, indent=1))


def _stretches(step, steps, every):
    """(start, end, length of an epoch) of the calls of `fit` from `step` on: whole epochs, then a shorter last one."""
    whole = steps - steps % every
    parts = (step, whole, every), (max(step, whole), steps, steps - whole)
    return [part for part in parts if part[0] < part[1]]


def _restore(model, path):
    """Loads the checkpoint, if there is one; returns the number of steps made."""
    if not path.exists():
        return 0
    model.optimizer.build(model.trainable_variables)
    load_weights(
        model, path, "this recipe's model in this version",
        "Go on with the version of scs-keras that wrote it, or start anew in another --output.",
    )  # fmt: skip
    step = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    print(f"Going on from step {step} ({path}).")
    return step


def _loggers(output, append):
    loggers = [keras.callbacks.CSVLogger(output / "log.csv", append=append)]
    try:
        import tensorboard  # noqa: F401

        loggers.append(keras.callbacks.TensorBoard(output / "tensorboard", write_graph=False))
    except ImportError:
        print('No TensorBoard logs: pip install "scs-keras[tensorboard]".')
    return loggers
