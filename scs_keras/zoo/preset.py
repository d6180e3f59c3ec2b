"""A preset: one frozen record that says all there is to know of a model of the zoo. It imports no Keras."""

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scs_keras.core.arguments import check_known, is_count
from scs_keras.zoo.files import check_weights_file
from scs_keras.zoo.reference import Reference, resolve
from scs_keras.zoo.values import Values
from scs_keras.zoo.words import words

if TYPE_CHECKING:
    import keras
    import numpy as np

WEIGHTS_REMEDY = (
    "Give the preset and the arguments with which they were trained; scs-keras convert --help says which checkpoints "
    "from elsewhere can be made one."
)


@dataclass(frozen=True)
class Preset:
    """One model of the zoo.

    Functions are named by their place, "package.module:name", and imported when they are called.

    Attributes:
        name: `{model}_{task}_{size}_{data}`.
        task: folder of the zoo.
        summary: one line for people.
        paper_row: the row of the papers' tables that it stands for.
        builder: function of `arguments` that returns a compiled Keras model.
        arguments: of the builder, plain data.
        input_shape: (time, height, width, channels) of one example; height and width may vary. Of several inputs
            {name: shape}.
        output_shape: likewise.
        values: what the model's numbers are, their range and unit.
        takes: what `preprocess`, and so a served model, takes; by default the model's numbers. Of several inputs
            {name: Values}.
        gives: {name: Values} of what `postprocess` gives, by the model's outputs; by default what it takes.
        preprocess, postprocess: functions between these values and the model's, of NumPy arrays and of tensors; both
            can be called: `preset.preprocess(rain)`.
        recipe: name of the recipe that trains it.
        dataset: name of the data set that it is for.
        folder: where its weights and their record lie.
        reduced: arguments that make a small version of it: a few thousand parameters, small frames, few of them.
        example: function of the preset that returns an input of the model, (1, time, height, width, channels), of
            what the package holds; of several inputs {name: (1, ...)}.
        shapes: function of `arguments` that returns (input shape, output shape), or "" where `input_shape` is one of
            the arguments.
        argument_names: function of `arguments` that returns the names of all arguments of the builder, or "" where
            the builder's own signature has them.
        weights_licence, data_licence: what one may do with them.
        labels: names of the classes, of models that have some; their builder takes `labels` too.
        changed: the arguments by which it differs from the preset of its name, see `with_arguments`.
    """

    name: str
    task: str
    summary: str
    paper_row: str
    builder: Reference
    arguments: Mapping[str, Any]
    input_shape: Any
    output_shape: tuple[int, ...]
    values: str
    preprocess: Reference
    postprocess: Reference
    recipe: str
    dataset: str
    folder: Path
    reduced: Mapping[str, Any] = field(default_factory=dict)
    example: Reference = Reference("")
    shapes: Reference = Reference("")
    argument_names: Reference = Reference("")
    weights_licence: str = "Apache-2.0"
    data_licence: str = ""
    labels: tuple[str, ...] = ()
    takes: Values | Mapping[str, Values] = Values()
    gives: Mapping[str, Values] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for each in fields(self):  # plain strings may be given
            if each.type is Reference:
                object.__setattr__(self, each.name, Reference(getattr(self, each.name)))

    @property
    def weights_path(self) -> Path:
        return self.folder / f"{self.name}.weights.h5"

    @property
    def card_path(self) -> Path:
        return self.folder / f"{self.name}.md"

    @property
    def record_path(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def record(self) -> dict[str, Any]:
        """What was measured with the weights: sha256, bytes, recipe, metrics, date, version; {} without weights."""
        return json.loads(self.record_path.read_text()) if self.record_path.exists() else {}

    @property
    def has_weights(self) -> bool:
        return self.record_path.exists()

    def with_arguments(self, **changes: Any) -> "Preset":
        """The same with other arguments of the builder, among them those that change the shapes.

        Raises:
            ValueError: `input_shape` is not as many whole numbers as the preset's.
        """
        if not changes:
            return self
        changes = {name: _plain(value) for name, value in changes.items()}
        changed = dict(arguments={**self.arguments, **changes}, changed={**self.changed, **changes})
        if self.shapes:
            input_shape, output_shape = self.shapes(changed["arguments"])
            return replace(self, **changed, input_shape=input_shape, output_shape=output_shape)
        shape: Any = changes.get("input_shape", self.input_shape)
        if not isinstance(shape, tuple) or len(shape) != len(self.input_shape) or not all(map(is_count, shape)):
            example = words(str(self.input_shape), f'--set "model.input_shape={list(self.input_shape)}"')
            raise ValueError(
                f"input_shape is (time, height, width, channels), whole numbers of at least 1. Received: {shape!r}. "
                f"For example: {example}."
            )
        return replace(
            self,
            **changed,
            input_shape=shape,
            output_shape=self._output_shape(shape, changes),
            labels=changes.get("labels", self.labels),
        )

    def _output_shape(self, shape, changes):
        numbers = self.output_shape[-1]
        if len(self.output_shape) < 3:  # numbers, not images: of the sequence, or of every frame
            per_frame = changes.get("per_frame", len(self.output_shape) == 2)
            labels = changes.get("labels", self.labels)
            return (*((shape[0],) if per_frame else ()), len(labels) if labels else numbers)
        same = shape[-1:] == self.input_shape[-1:] or numbers != self.input_shape[-1]
        channels = changes.get("output_channels", numbers if same else shape[-1])
        return (changes.get("output_length", self.output_shape[0]), *shape[1:3], channels)

    def check_arguments(self, names: Iterable[str]) -> None:
        """Raises ValueError for a name that the builder does not take; the message gives the nearest."""
        if self.argument_names:
            known = list(self.argument_names(**self.arguments))
        else:
            parameters = inspect.signature(resolve(self.builder)).parameters.values()
            if any(each.kind is each.VAR_KEYWORD for each in parameters):
                return  # it checks them itself
            known = [each.name for each in parameters]
        for name in names:
            check_known(f"argument of {self.name}", name, known)

    def make(self) -> "keras.Model":
        """The compiled model at random initial weights, built for the preset's input shape.

        Raises:
            ValueError: an argument has an impossible value.
        """
        try:
            model = self.builder(**self.arguments)
        except (TypeError, KeyError) as error:
            if not self.changed:
                raise
            given = ", ".join(f"{name}={value!r}" for name, value in self.changed.items())
            reason = f"there is no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{self.name} cannot be made with {given}: {reason}.") from error
        if not model.built:
            model.build((None, *self.input_shape))
        model.preset = self
        return model

    def make_example(self) -> "np.ndarray | dict[str, np.ndarray]":
        """An input of the model, (1, time, height, width, channels), or a dict of them, the same each time."""
        return self.example(self)

    def predict(self, model: "keras.Model", raw: Any) -> Any:
        """Physical values in, physical values out.

        Args:
            model: the model of this preset.
            raw: a batch of inputs (batch, time, height, width, channels) as `preprocess` takes them.

        Returns:
            A batch of outputs as `postprocess` gives them.
        """
        return self.postprocess(model.predict(self.preprocess(raw), verbose=0))

    def checked_weights(self) -> Path:
        """Path of the weights file.

        Raises:
            ValueError: if the preset has none, or the file is missing or not the one that was published.
        """
        if not self.has_weights:
            raise ValueError(
                f"No weights can be loaded for {self.name!r}: the architecture is here, trained weights are not. "
                + words(
                    f'Use zoo.load("{self.name}", weights=None), or give the path of a .weights.h5 file.',
                    f"Train it, scs-keras train {self.name} --data DIR --output RUN, or give --weights FILE.",
                    train="Leave weights out to start from random ones, or give --weights FILE.",
                )
            )
        expected = self.record["sha256"]
        received = file_sha256(self.weights_path) if self.weights_path.exists() else "no file"
        if received != expected:
            raise ValueError(
                f"{self.weights_path} is not the file that was published. Expected sha256: {expected}. "
                f'Received: {received}. Install again: pip install --force-reinstall "scs-keras".'
            )
        return self.weights_path

    def weights_file(self, weights: str | Path | None) -> Path | None:
        """Path of the file that `weights`, as for `zoo.load`, stands for; None for none.

        Raises:
            ValueError: as `checked_weights`, or there is no file at the path or not a whole one of weights.
        """
        if weights is None or weights == "preset":
            return None if weights is None else self.checked_weights()
        path = Path(weights)
        if not path.is_file():
            ours = path / "model.weights.h5"
            example = f", for example {ours}" if ours.is_file() else ""
            raise ValueError(
                f"There is no weights file {str(weights)!r}. Give the path of a .weights.h5 file{example}, "
                + words(
                    '"preset" for the trained weights, or None for random initial ones.',
                    "or leave --weights out for those of the preset.",
                    train='"preset" for the trained weights, or leave it out for random initial ones.',
                )
            )
        check_weights_file(path, self.name, WEIGHTS_REMEDY)
        return path


def _plain(value):
    """Arguments as a saved model's config gives them back: records as dicts, sequences as tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
