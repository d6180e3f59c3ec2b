"""The folder of a training: the only place that writes there."""

import contextlib
import csv
import importlib.util
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scs_keras.core.arguments import check_known
from scs_keras.training.recipe import Recipe, list_as_tuple
from scs_keras.training.task import recipes
from scs_keras.zoo.files import (
    check_output_folder,
    check_weights_file,
    remove_leftovers,
    temporary_beside,
    written_beside,
)
from scs_keras.zoo.words import option, words

FORMAT = 2  # of recipe.json; version 0.1.0 wrote none


class Output:
    """Recipe, checkpoint, logs and final weights of a training.

    Every file is written to a temporary one in the folder and renamed. Of several workers only the chief's files stay;
    the others write as well, because saving may need them all, but to a place that is thrown away.

    Args:
        folder: of the training; made with the first file.
        chief: whether this process is the one whose files stay.
    """

    def __init__(self, folder: str | Path, chief: bool = True):
        self.folder = Path(folder)
        self.chief = chief

    @property
    def recipe_file(self) -> Path:
        return self.folder / "recipe.json"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.weights.h5"

    @property
    def weights(self) -> Path:
        return self.folder / "model.weights.h5"

    @property
    def log(self) -> Path:
        return self.folder / "log.csv"

    @property
    def left_out(self) -> Path:
        return self.folder / "left_out.csv"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @contextlib.contextmanager
    def writing(self, path: Path, keep: bool = True) -> Iterator[Path]:
        """Gives a temporary path with the endings of `path`, which replaces `path` when all went well, if kept."""
        if self.chief:
            with (written_beside if keep else temporary_beside)(path) as beside:
                yield beside
        else:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder) / path.name

    def check(self) -> None:
        """What can be known before data is read: files can be written here, and no other training of 0.1.0 is here.

        What killed processes left half-written is removed.

        Raises:
            OSError: nothing can be written, or a folder lies where a file is to be.
            ValueError: recipe.json is of version 0.1.0, or cannot be read, or the checkpoint cannot.
        """
        if not self.chief:
            return
        files = (self.recipe_file, self.checkpoint, self.weights, self.log, self.left_out)
        check_output_folder(self.folder, [path.name for path in files])
        check_output_folder(self.tensorboard)
        if self.recipe_file.exists():
            self._read()
        if self.checkpoint.exists():
            remedy = f"Delete it, then the training starts from its first step, or {_anew()[0].lower()}{_anew()[1:]}"
            check_weights_file(self.checkpoint, "a training", remedy)
        remove_leftovers(self.folder, "|".join(re.escape(path.name) for path in files))

    def remember(
        self, recipe: Recipe, files: Sequence[str] = (), left_out: Sequence[tuple[str | Path, str]] = ()
    ) -> None:
        """Writes recipe.json, or checks that the folder belongs to the same recipe; errors as `check_same`.

        Where broken files were left out, they are listed in left_out.csv.

        Args:
            recipe: with everything filled in.
            files: names of those that are trained on.
            left_out: (file, reason) of those that were not.
        """
        self.check_same(recipe)
        if not self.recipe_file.exists():
            with self.writing(self.recipe_file) as beside:
                beside.write_text(_text(recipe, files))
        if left_out:
            with self.writing(self.left_out) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("file", "reason"), *left_out])

    def check_same(self, recipe: Recipe) -> None:
        """Raises ValueError if the folder belongs to another recipe, or to version 0.1.0."""
        if not self.recipe_file.exists():
            return
        found, mine = self._read(), json.loads(_text(recipe))
        settings = {"recipe": found["recipe"], **found["settings"]}, {"recipe": mine["recipe"], **mine["settings"]}
        differing = sorted(key for key in settings[0] | settings[1] if settings[0].get(key) != settings[1].get(key))
        if differing:
            raise ValueError(
                f"{self.folder} holds a training with other settings ({', '.join(differing)}). "
                f"Give another {option('output')}, or go on with it: scs-keras train {self.folder} --data DIR."
            )

    def recipe(self) -> Recipe:
        """The recipe of the training.

        Raises:
            FileNotFoundError: there is no recipe.json in the folder.
            ValueError: it is of version 0.1.0, or of a recipe that no longer exists.
        """
        found = self._read()
        known = recipes()
        check_known("recipe", found["recipe"], known)
        settings = {key: list_as_tuple(value) for key, value in found["settings"].items()}
        settings["arguments"] = {key: list_as_tuple(value) for key, value in settings["arguments"].items()}
        try:
            return known[found["recipe"]](**settings)
        except TypeError as error:  # a setting that there no longer is
            raise ValueError(f"{self.recipe_file} is of another version of scs-keras ({error}). {_anew()}") from error

    def files(self) -> list[str]:
        """Names of the files that were trained on; [] where that is not known."""
        return self._read().get("files", [])

    def settings(self) -> dict[str, Any]:
        """The recipe's values as plain data."""
        return self._read()["settings"]

    def _read(self) -> dict[str, Any]:
        if not self.recipe_file.is_file():
            raise FileNotFoundError(f"{self.folder} holds no training: {self.recipe_file.name} is missing.")
        try:
            found = json.loads(self.recipe_file.read_text(encoding="utf-8"))
            version = found.get("format")
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{self.recipe_file} is not what a training wrote ({error}). {_anew()}") from error
        if version != FORMAT:
            weights = words("zoo.load(PRESET, weights=FILE)", "--weights")
            raise ValueError(
                f"{self.folder} holds a training of scs-keras 0.1, whose recipes were other ones: it does not go on "
                f"here. {_anew()} Its model.weights.h5 still loads with {weights}."
            )
        if not isinstance(found.get("recipe"), str) or not isinstance(found.get("settings"), dict):
            raise ValueError(
                f"{self.recipe_file} is not what a training wrote (recipe or settings are missing). {_anew()}"
            )
        return found

    def loggers(self, append: bool, verbose: int = 1) -> list[Any]:
        """Callbacks that write log.csv and, where TensorBoard is installed, its logs; else, if verbose, it says so."""
        import keras

        if not self.chief:
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        made: list[Any] = [keras.callbacks.CSVLogger(self.log, append=append)]
        needed = ("tensorflow", "tensorboard")  # by Keras's callback, with any backend
        missing = next((package for package in needed if importlib.util.find_spec(package) is None), None)
        if missing is None:
            made.append(keras.callbacks.TensorBoard(self.tensorboard, write_graph=False))
        elif verbose and not append:
            print(f'No TensorBoard logs: pip install "scs-keras[{missing}]".')
        return made

    def rows(self) -> list[dict[str, str]]:
        """The rows of log.csv."""
        with open(self.log) as file:
            return list(csv.DictReader(file))


def _anew():
    anew = f"Start anew in another {option('output')}."
    return words(anew, "Train anew.", train=anew)


def _text(recipe, files=()):
    content = dict(format=FORMAT, recipe=name_of(recipe), settings=asdict(recipe), files=list(files))
    return json.dumps(content, indent=1)


def name_of(recipe: Recipe) -> str:
    """The name under which a task lists the recipe."""
    return next(name for name, kind in recipes().items() if kind is type(recipe))
