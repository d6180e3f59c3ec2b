"""A recipe: everything that decides how a training goes, as a record whose values can be set on the command line."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from scs_keras import zoo
from scs_keras.core.arguments import check_known
from scs_keras.training.task import task
from scs_keras.zoo.words import presets_are_listed, words

if TYPE_CHECKING:
    import keras

    from scs_keras.training.samples import Samples
    from scs_keras.zoo.preset import Preset

ARGUMENT = "model."


def check_precision(precision: str) -> None:
    """Raises ValueError unless networks can be trained at it."""
    check_known("precision", precision, ("float32", "mixed_bfloat16", "mixed_float16"))


class TrainingData(typing.Protocol):
    """The parts of a training's data, each read once, when it is first asked for."""

    @property
    def train(self) -> "Samples": ...

    @property
    def val(self) -> "Samples": ...


@dataclass(frozen=True)
class Recipe:
    """What all recipes have. Every value can be set: `--set steps=500`.

    Attributes:
        preset: which model of the zoo.
        arguments: of the model in place of the preset's, each as `--set model.KEY=VALUE`.
        dataset: what the folder holds; "" for the preset's.
        weights: to start from: a `.weights.h5` file, "preset" for the trained ones, "" for random ones.
        freeze: parts of the model that do not train, by their attributes, such as decoder or cells.0; a name that is
            none of them is answered with all there are.
        steps: optimiser steps.
        batch_size: samples a step.
        seed: of initial weights, batches and all draws.
        checkpoint_every: steps between checkpoints; that many steps are an epoch in the logs.
    """

    task: ClassVar[str]

    preset: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    weights: str = ""
    freeze: tuple[str, ...] = ()
    steps: int = 1000
    batch_size: int = 8
    seed: int = 0
    checkpoint_every: int = 100

    # What a task overrides ------------------------------------------------------------------------

    def check(self) -> None:
        """Raises ValueError for impossible values, before any data is read."""
        preset = zoo.get_preset(self.preset)
        if preset.task != self.task:
            raise ValueError(
                f"preset={self.preset} is no {self.task} model but for {preset.task}. Allowed: those for {self.task}, "
                f"for example {type(self).preset}. {presets_are_listed(self.task)}"
            )
        preset.check_arguments(self.arguments)
        task(self.task).dataset(self.dataset_name)
        if min(self.steps, self.checkpoint_every, self.batch_size) < 1:
            raise ValueError(
                "steps, checkpoint_every and batch_size must be at least 1. Received: "
                f"steps={self.steps}, checkpoint_every={self.checkpoint_every}, batch_size={self.batch_size}."
            )
        if not 0 <= self.seed < 2**32:  # what Keras takes
            raise ValueError(f"seed must be at least 0 and below 2**32. Received: seed={self.seed}.")

    def check_weights(self) -> None:
        """Raises ValueError for weights to start from that there are not, before any data is read."""
        if self.weights:
            self.changed_preset.weights_file(self.weights)

    def samples(self, folder: str, split: str) -> "Samples":
        """A part of the data: "train" or "val"."""
        options = {option.name.replace("-", "_") for option in task(self.task).dataset(self.dataset_name).options}
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name in options}
        return task(self.task).read(self.dataset_name, folder, split, self.changed_preset, **given)

    def resolve(self, samples: TrainingData) -> "Recipe":
        """The recipe with everything filled in that was left to the preset or the data."""
        return replace(self, dataset=self.dataset_name)

    def model(self, samples: TrainingData) -> "keras.Model":
        """The compiled model to train."""
        weights = self.weights or None
        model = zoo.load(self.preset, weights=weights, **{**self.scheduled_arguments(), **self.arguments})
        self._freeze(model)
        self._compile(model)
        return model

    def optimizer(self) -> "keras.optimizers.Optimizer | None":
        """The optimiser; None for the preset's."""
        return None

    def scheduled_arguments(self) -> Mapping[str, Any]:
        """Arguments of the model that depend on the number of steps."""
        return {}

    def pair(self, model: "keras.Model", batch: Any) -> Any:
        """(x, y) or (x, y, weight) for `fit` from a batch of `Samples.batch`."""
        return batch

    def callbacks(self, samples: TrainingData) -> "list[keras.callbacks.Callback]":
        """More callbacks of `fit`."""
        return []

    def finish(self, model: "keras.Model", samples: TrainingData) -> None:
        """What comes after the last step, before the weights are written."""

    # What is the same for all ---------------------------------------------------------------------

    @property
    def changed_preset(self) -> "Preset":
        """The preset with the recipe's arguments."""
        return zoo.get_preset(self.preset).with_arguments(**self.arguments)

    @property
    def dataset_name(self) -> str:
        return self.dataset or zoo.get_preset(self.preset).dataset

    def _freeze(self, model):
        from scs_keras.core.frozen import freeze

        freeze(model, self.freeze)
        if not model.trainable_variables:
            raise ValueError(
                f"Nothing is left to train. Received: freeze={','.join(self.freeze)}. Leave a layer out of it."
            )

    def _compile(self, model):
        optimizer = self.optimizer()
        if optimizer is None and not self.freeze:
            return
        import keras

        config = model.get_compile_config()
        if optimizer is not None:
            config["optimizer"] = keras.saving.serialize_keras_object(optimizer)
        model.compile_from_config(config)


def with_settings(recipe: Recipe, settings: typing.Iterable[str]) -> Recipe:
    """The recipe with "key=value" settings applied, each converted to the type of its annotation.

    "model.KEY=VALUE" sets an argument of the model: a JSON literal, or else text.

    Raises:
        ValueError: for an unknown key (the nearest is named) or a value of another type.
    """
    kinds = typing.get_type_hints(type(recipe))
    known = [each.name for each in fields(recipe) if each.name != "arguments"]
    changes: dict[str, Any] = {}
    arguments = dict(recipe.arguments)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            example = _setting(f"steps={recipe.steps}")
            raise ValueError(f"{_setting(setting)} must be KEY=VALUE. For example: {example}.")
        if key.startswith(ARGUMENT):
            arguments[key.removeprefix(ARGUMENT)] = literal(text)
            continue
        check_known("setting of this recipe", key, known)
        try:
            changes[key] = converted(text, kinds[key])
        except ValueError as error:
            example = getattr(recipe, key)
            raise ValueError(f"{_setting(setting)}: {key} is {error}. For example: {key}={example}.") from None
    return replace(recipe, **changes, arguments=arguments)


def _setting(text):
    return words(f"the setting {text!r}", f"--set {text!r}")


def type_name(kind: Any) -> str:
    """What people call an annotated type: "int", "list of str", "float or none"."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join("none" if each is type(None) else type_name(each) for each in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"list of {type_name(typing.get_args(kind)[0])}"
    return kind.__name__


def literal(text: str) -> Any:
    """A JSON literal (lists as tuples), or the text as it is where it is none."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return list_as_tuple(value)


def list_as_tuple(value: Any) -> Any:
    """What JSON has made a list of, a tuple again; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def converted(text: str, kind: Any) -> Any:
    """The text as a value of the annotated type: bool, int, float, str, `tuple[kind, ...]`, or any of these or None.

    Raises:
        ValueError: it is no such value; the message is what it should be.
    """
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if type(None) in options and text.lower() in ("none", "null", ""):
            return None
        return converted(text, next(each for each in options if each is not type(None)))
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        parts = text.strip("()[]").split(",") if text.strip("()[]") else []
        return tuple(converted(part.strip().strip("'\""), item) for part in parts)
    if kind is bool:
        value = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}.get(text.lower())
        if value is None:
            raise ValueError("true or false")
        return value
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"of type {kind.__name__}") from None
