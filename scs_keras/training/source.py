"""What the commands are given as PRESET or RUN: a preset of the zoo, or the folder of a training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scs_keras import zoo
from scs_keras.training.output import Output
from scs_keras.training.recipe import ARGUMENT, literal
from scs_keras.training.task import Task, task
from scs_keras.zoo.files import check_weights_file
from scs_keras.zoo.words import option, words

if TYPE_CHECKING:
    import keras

    from scs_keras.zoo.preset import Preset


@dataclass(frozen=True)
class Source:
    """A model that can be made.

    Attributes:
        name: as it was given.
        preset: with the arguments that were changed; its data set is what the model was trained on, or is for.
        weights: as for `zoo.load`.
        arguments: those that were changed.
        of_run: whether the weights are those of a training's folder.
        settings: of its recipe; {} for a preset.
    """

    name: str
    preset: "Preset"
    weights: str | Path | None
    arguments: dict[str, Any]
    of_run: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return task(self.preset.task)

    @property
    def dataset(self) -> str:
        return self.preset.dataset

    @property
    def brought(self) -> bool:
        """Whether the weights are a file that the user gives, which may be another model's."""
        return not self.of_run and self.weights not in (None, "preset")

    def options(self, command: str, given: Mapping[str, Any], dataset: str | None = None) -> dict[str, Any]:
        """The options of a command that are given (not None), with those that the training was told.

        Args:
            command: "evaluate" or "predict".
            given: {Python's name: value}.
            dataset: whose options the training's are looked for among; None: the model's.
        """
        if dataset not in (None, self.dataset):  # whose files the training did not read
            return dict(given)
        names = [each.python_name for each in self.task.options_of(command, self.dataset) if each.of_training]
        told = {name: self.settings[name] for name in names if self.settings.get(name)}
        return told | {name: value for name, value in given.items() if value is not None or name not in told}

    def check_weights(self) -> None:
        """Raises ValueError unless there is a whole file of weights; no model is made for it."""
        if self.of_run:
            remedy = f"Write it anew from the checkpoint: scs-keras train {self.name} --data DIR."
            check_weights_file(self.weights, self.name, remedy)
        else:
            self.preset.weights_file(self.weights)

    def load(self) -> "keras.Model":
        """The compiled model with its weights; its preset's data set is what it was trained on, or is for.

        Raises:
            ValueError: the weights are not the model's.
        """
        model = zoo.load(self.preset.name, weights=self.weights, **self.arguments)
        model.preset = replace(model.preset, dataset=self.dataset)
        return model


def is_run(what: str | Path) -> bool:
    """Whether it is a folder rather than the name of a preset."""
    return Path(what).is_dir()


def source(what: str | Path, weights: str | Path | None = None, settings: Iterable[str] = ()) -> Source:
    """The model of a preset or of a training's folder.

    Args:
        what: name of a preset, or the output folder of a finished `scs-keras train`.
        weights: a `.weights.h5` file instead of the preset's; not with a training's folder, which has its own.
        settings: "model.KEY=VALUE" strings, arguments of the model in place of the preset's or the training's.

    Raises:
        ValueError: there is no such preset or argument, or the training is not finished.
        FileNotFoundError: the folder holds no training.
    """
    if is_run(what) and str(what) not in [preset.name for preset in zoo.list_presets()]:
        return _of_run(Path(what), weights, settings)
    preset = zoo.get_preset(str(what))
    arguments = _arguments(settings)
    if arguments:  # which are asked of the builder, and that needs a backend
        preset.check_arguments(arguments)
    return Source(preset.name, preset.with_arguments(**arguments), weights or "preset", arguments)


def _of_run(folder, weights, settings):
    if weights:
        raise ValueError(
            f"{folder} is a training, which has weights of its own. Leave {option('weights')} out, or "
            "give the name of its preset instead of the folder."
        )
    output = Output(folder)
    recipe = output.recipe()
    if not output.weights.exists():
        raise ValueError(
            f"{folder} holds no finished training: {output.weights.name} is missing. Go on with it: "
            f"scs-keras train {folder} --data DIR."
        )
    changes = _arguments(settings)
    if changes:
        recipe.changed_preset.check_arguments(changes)
    arguments = {**recipe.arguments, **changes}
    preset = replace(recipe.changed_preset.with_arguments(**changes), dataset=recipe.dataset)
    return Source(str(folder), preset, output.weights, arguments, of_run=True, settings=output.settings())


def _arguments(settings):
    arguments = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key.startswith(ARGUMENT):
            raise ValueError(
                f"{words('`settings`', '--set')} {setting!r}: only arguments of the model can be set here. "
                f"For example: {words('', '--set ')}{ARGUMENT}output_length=20."
            )
        arguments[key.removeprefix(ARGUMENT)] = literal(text)
    return arguments
