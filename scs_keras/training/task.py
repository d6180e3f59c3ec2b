"""What a task brings to the commands.

A task is two folders, `zoo/TASK` and `training/TASK`; nothing that tasks share names one.
"""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scs_keras import zoo
from scs_keras.core.arguments import check_known
from scs_keras.zoo.files import check_output_file, check_output_folder
from scs_keras.zoo.reference import resolve

if TYPE_CHECKING:
    from scs_keras.training.recipe import Recipe
    from scs_keras.training.samples import Samples
    from scs_keras.training.scores import Scores
    from scs_keras.zoo.preset import Preset

Prediction = Callable[[Any, Sequence[Mapping[str, Any]]], Any]
"""From a batch of inputs x, and what is known `about` each of them, to a batch of outputs."""


@dataclass(frozen=True)
class Option:
    """An option of the command line, `--name`, handed on under its name (with _ for -).

    Attributes:
        command: which command takes it: "evaluate" or "predict"; "" for those of a `Command` of the task; "train" for
            what only a recipe hands to a reader, from its field of that name.
        name: without the dashes; a name without dashes that is `positional` stands by itself.
        help: one line.
        type: converts the text: int, float, str.
        default: value where it is not given.
        choices: allowed values.
        flag: it takes no value and is True where given.
        required: it must be given.
        positional: it is given by its place.
        writes: "file" or "folder" that is written there: whether it can be is checked before anything else.
        passed_to: "predictors", "baselines" or "report": which of a task's gets it; of options of `evaluate` for all
            data sets.
        needs: {package to import: extra of scs-keras that brings it}, asked for first where the option of `evaluate` is
            given.
        check: "module:function" of the preset that raises ValueError where its model cannot do what the option asks
            for; called first where the option of `evaluate` or `predict` is given.
        of_training: where the folder of a training is given whose recipe has a setting of this name, that one's value
            is taken unless another is given.
    """

    command: str
    name: str
    help: str
    type: Callable[[str], Any] = str
    default: Any = None
    choices: Sequence[Any] | None = None
    flag: bool = False
    required: bool = False
    positional: bool = False
    writes: str = ""
    passed_to: str = "predictors"
    needs: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    of_training: bool = False

    @property
    def python_name(self) -> str:
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Command:
    """A command that a task adds to the command line.

    Attributes:
        run: "module:function"; gets the options by name.
        help: one line.
        options: what it takes.
        needs: {package to import: extra of scs-keras that brings it}, asked for before anything else.
    """

    run: str
    help: str
    options: tuple[Option, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A data set of a task.

    Attributes:
        read: "module:function"; `read(folder, split, preset, **options)` gives `Samples` cut to the preset's shapes.
        scored: the split that models are measured on.
        limit: at most so many samples, evenly spread, are scored for a model card; None for all.
        options: of `evaluate` for this data set, handed to `read` where given.
        usual: {statistic: (least, most)} of its sequences' values, see `unusual`; {} where it is not known.
    """

    read: str
    scored: str = "test"
    limit: int | None = None
    options: tuple[Option, ...] = ()
    usual: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task of the zoo, as `TASK` in `scs_keras/training/NAME/__init__.py`. Plain data: no backend is imported for it.

    Attributes:
        name: of its folders.
        datasets: {name: Dataset}; a preset's own is `preset.dataset`.
        recipes: {name: class}, unique over all tasks.
        scores: "module:function"; `scores(preset)` gives an empty `Scores`.
        predict: "module:function"; `predict(source, input, output, **options)` reads a user's file or folder, makes
            the model, `source.load()`, writes its predictions to the folder `output` and returns a line that says so.
            It checks options and input before it makes the model. "": the task has none.
        predictors: "module:function"; `predictors(model, **options)` gives {name: Prediction}, what is scored of a
            model. "": {"model": model.predict}.
        baselines: "module:function"; `baselines(preset, samples, train, **options)` gives {name: Prediction} of what a
            model has to beat; `train()` reads the training part, for those that are fitted.
        report: "module:function"; `report(model, **options)`, with those of its options that are given, refuses what
            does not fit the model before it is scored, and gives a function that takes {prediction: Scores}, writes
            what was asked for and returns a line that says so. "": the task has none.
        commands: {name: Command} of its own.
        options: of `evaluate` and `predict` for all its data sets.
        predict_needs: {package to import: extra of scs-keras that brings it} of `predict`.
    """

    name: str
    datasets: Mapping[str, Dataset]
    recipes: Mapping[str, "type[Recipe]"]
    scores: str
    baselines: str
    predict: str = ""
    predictors: str = ""
    report: str = ""
    commands: Mapping[str, Command] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    predict_needs: Mapping[str, str] = field(default_factory=dict)

    def dataset(self, name: str) -> Dataset:
        """The data set of that name.

        Raises:
            ValueError: there is none.
        """
        check_known("dataset", name, self.datasets)
        return self.datasets[name]

    def read(self, dataset: str, folder: str | Path, split: str, preset: "Preset", **options: Any) -> "Samples":
        """Samples of a part of a data set, cut to the preset's shapes."""
        return resolve(self.dataset(dataset).read)(folder, split, preset, **options)

    def empty_scores(self, preset: "Preset") -> "Scores":
        """Scores to which nothing has been added."""
        return resolve(self.scores)(preset)

    def predictors_of(self, model: Any, **options: Any) -> dict[str, Prediction]:
        """{name: Prediction} of what is scored of a model."""
        if self.predictors:
            return resolve(self.predictors)(model, **options)
        return {"model": lambda x, about: model.predict(x, verbose=0)}

    def baselines_of(
        self, preset: "Preset", samples: "Samples", train: Callable[[], "Samples"], **options: Any
    ) -> dict[str, Prediction]:
        """{name: Prediction} of what a model has to beat."""
        return resolve(self.baselines)(preset, samples, train, **options)

    def names_for(self, part: str) -> list[str]:
        """Python's names of the options of `evaluate` that are passed to "predictors", "baselines" or "report"."""
        return [each.python_name for each in self.options if each.command == "evaluate" and each.passed_to == part]

    def options_of(self, command: str, dataset: str | None = None) -> list[Option]:
        """The options of a command, with those of a data set (None: of all data sets), each name once."""
        datasets = self.datasets.values() if dataset is None else [self.dataset(dataset)]
        options = [*self.options, *(option for each in datasets for option in each.options)]
        return list({option.name: option for option in options if option.command == command}.values())


def check_needs(needs: Mapping[str, str]) -> None:
    """Raises ImportError, with what to type, for the first package of {package: extra} that cannot be imported."""
    for package, extra in needs.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # some greet
                importlib.import_module(package)
        except ImportError as error:
            raise ImportError(f'{package} is needed: pip install "scs-keras[{extra}]"') from error


def check_asked(options: Sequence[Option], preset: "Preset") -> None:
    """Raises ValueError where the preset's model cannot do what one of the options, all given, asks for."""
    for option in options:
        if option.check:
            resolve(option.check)(preset)


def check_writable(options: Sequence[Option], values: Mapping[str, Any]) -> None:
    """Raises OSError unless what the options say is written can be; values are by the options' names."""
    checks = {"file": check_output_file, "folder": check_output_folder}
    for option in options:
        value = values.get(option.python_name)
        if option.writes and value is not None:
            checks[option.writes](value)


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: there is none, or its module has no TASK of that name.
    """
    check_known("task", name, zoo.tasks())
    module = importlib.import_module(f"scs_keras.training.{name}")
    found = getattr(module, "TASK", None)
    if not isinstance(found, Task) or found.name != name:
        raise ValueError(f"scs_keras/training/{name}/__init__.py must have TASK = Task(name={name!r}, ...).")
    return found


def tasks() -> Iterator[Task]:
    """All tasks, those of the folders of the zoo."""
    return map(task, zoo.tasks())


def recipes() -> dict[str, "type[Recipe]"]:
    """{name: class} of the recipes of all tasks.

    Raises:
        ValueError: two tasks have a recipe of one name.
    """
    found: dict[str, type[Recipe]] = {}
    for each in tasks():
        for name, recipe in each.recipes.items():
            if name in found:
                raise ValueError(f"Two tasks have a recipe {name!r}, {found[name].task} and {each.name}. Rename one.")
            found[name] = recipe
    return found


def commands() -> dict[str, dict[str, Command]]:
    """{name of a command: {task: Command}} of the tasks' own commands."""
    found: dict[str, dict[str, Command]] = {}
    for each in tasks():
        for name, command in each.commands.items():
            found.setdefault(name, {})[each.name] = command
    return found
