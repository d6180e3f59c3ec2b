"""A preset: one frozen record that says all there is to know of a model of the zoo."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Preset:
    """One model of the zoo.

    Attributes:
        name: `{model}_{task}_{size}_{data}`.
        task: folder of the zoo.
        summary: one line for people.
        paper_row: the row of the papers' tables that it stands for.
        build: function of `arguments` that returns a compiled Keras model.
        arguments: of `build`.
        input_shape: (time, height, width, channels) of one example; height and width may vary.
        output_shape: likewise.
        values: what the numbers are, their range and unit.
        preprocess, postprocess: functions between physical values and the model's.
        recipe: module of `scs_keras.training.recipes` that trains it.
        folder: where its weights and their record lie.
        weights_licence, data_licence: what one may do with them.
    """

    name: str
    task: str
    summary: str
    paper_row: str
    build: Callable
    arguments: Mapping
    input_shape: tuple
    output_shape: tuple
    values: str
    preprocess: Callable
    postprocess: Callable
    recipe: str
    folder: Path
    weights_licence: str = "Apache-2.0"
    data_licence: str = ""
    labels: tuple = field(default=())

    @property
    def weights_path(self):
        return self.folder / f"{self.name}.weights.h5"

    @property
    def golden_path(self):
        """npz with an `input` and the `output` that the weights give for it."""
        return self.folder / f"{self.name}.golden.npz"

    @property
    def card_path(self):
        return self.folder / f"{self.name}.md"

    @property
    def record_path(self):
        return self.folder / f"{self.name}.json"

    @property
    def record(self):
        """What was measured with the weights: sha256, bytes, recipe, metrics, date, version; {} without weights."""
        return json.loads(self.record_path.read_text()) if self.record_path.exists() else {}

    @property
    def has_weights(self):
        return self.record_path.exists()

    def with_arguments(self, **changes):
        """The same with other arguments of `build`, among them those that change the shapes."""
        if not changes:
            return self
        shape = tuple(changes.get("input_shape", self.input_shape))
        same = shape[-1:] == self.input_shape[-1:] or self.output_shape[-1] != self.input_shape[-1]
        channels = changes.get("output_channels", self.output_shape[-1] if same else shape[-1])
        output_shape = (changes.get("output_length", self.output_shape[0]), *shape[1:3], channels)
        arguments = {**self.arguments, **changes}
        return replace(self, arguments=arguments, input_shape=shape, output_shape=output_shape)

    def make(self):
        """The compiled model at random initial weights, built for the preset's input shape."""
        model = self.build(**self.arguments)
        if not model.built:
            model.build((None, *self.input_shape))
        model.preset = self
        return model

    def checked_weights(self):
        """Path of the weights file.

        Raises:
            ValueError: if the preset has none, or the file is missing or not the one that was published.
        """
        if not self.has_weights:
            raise ValueError(
                f"No weights can be loaded for {self.name!r}: the architecture is here, trained weights are not. "
                f'Use zoo.load("{self.name}", weights=None), or give the path of a .weights.h5 file.'
            )
        expected = self.record["sha256"]
        received = file_sha256(self.weights_path) if self.weights_path.exists() else "no file"
        if received != expected:
            raise ValueError(
                f"{self.weights_path} is not the file that was published. Expected sha256: {expected}. "
                f'Received: {received}. Install again: pip install --force-reinstall "scs-keras".'
            )
        return self.weights_path

    def golden(self):
        """(input, output) arrays that lie beside the weights."""
        with np.load(self.golden_path, allow_pickle=False) as arrays:
            return arrays["input"], arrays["output"]


def file_sha256(path):
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
