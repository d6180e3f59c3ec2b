"""Which models and versions to serve: a models.config of TF Serving, or a folder of versions."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scs_keras.zoo.words import option, words

MODELS = "models.config"  # as an export names it; written here again, since Keras comes with what exports
EXPORT = "scs-keras export PRESET --output DIR"


@dataclass(frozen=True)
class Model:
    """A model to serve.

    Attributes:
        name: of the model, as clients say it.
        folder: with the versions.
        latest: so many of the newest versions are served; None: all of them.
        specific: these versions instead; empty: as `latest` says.
        labels: {label: version}.
    """

    name: str
    folder: Path
    latest: int | None = 1
    specific: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, there: Iterable[int]) -> list[int]:
        """The versions to serve of those that are there and load, newest first."""
        newest_first = sorted(there, reverse=True)
        if self.specific:
            return [version for version in newest_first if version in self.specific]
        return newest_first[: self.latest]


def versions_of(folder: Path) -> dict[int, Path]:
    """{version: its folder}; a version's name is a whole number ("00007" is 7), other names are not looked at."""
    try:
        children = [path for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()]
    except OSError:
        return {}
    return {int(path.name): path for path in sorted(children, reverse=True) if path.is_dir()}


class Source:
    """What is to be served, read again whenever it is asked for.

    Args:
        folder: of the versions of one model, or of several such folders; what an export wrote beside its versions
            (tf_serving/models.config) counts.
        models_config: a models.config instead.
        name: of the one model in `folder`; None: that of its models.config, else of the folder.

    Raises:
        ValueError: there is nothing to serve, or the configuration cannot be read.
    """

    def __init__(
        self, folder: str | Path | None = None, models_config: str | Path | None = None, name: str | None = None
    ):
        if (folder is None) == (models_config is None):
            one = words("`folder` or `models_config`", "DIR or --models-config FILE")
            raise ValueError(f"Give one of the two: {one}.")
        self._folder = Path(os.path.abspath(folder)) if folder is not None else None
        self._config = Path(os.path.abspath(models_config)) if models_config is not None else None
        self._name = name
        self._given: list[Model] | None = None  # what a client's reload request put in place
        self._single = False  # the folder was seen to hold the versions of one model, which may all go
        self.models()

    def models(self) -> list[Model]:
        """The models now.

        Raises:
            ValueError: as the class does.
        """
        found = self._given if self._given is not None else self._read()
        for model in found:
            _check_name(model.name)
        return found

    def _read(self):
        if self._config is not None:
            return read_config(self._config)
        assert self._folder is not None
        if not self._folder.is_dir() and not self._single:
            raise ValueError(f"{self._folder}: there is no such folder. Type: {EXPORT}, then: scs-keras serve DIR.")
        if self._single or versions_of(self._folder):
            self._single = True
            return [self._one(self._folder, self._name)]
        several = [path for path in sorted(self._folder.iterdir()) if path.is_dir() and versions_of(path)]
        if not several:
            held = ", ".join(sorted(path.name for path in self._folder.iterdir())[:8]) or "nothing"
            raise ValueError(
                f"{self._folder} has no version: a folder such as {self._folder.name}/1 with a saved_model.pb. "
                f"It has: {held}. Type: {EXPORT}."
            )
        if self._name is not None:
            raise ValueError(f"{option('name')} is for one model. {self._folder} has {len(several)}: leave it out.")
        return [self._one(path, None) for path in several]

    def _one(self, folder, name):
        """The model of a folder: as its models.config says, which knows it by the path in the container."""
        config = folder / "tf_serving" / MODELS
        if config.exists():
            listed = read_config(config)
            if len(listed) == 1:
                model = listed[0]
                return Model(name or model.name, folder, model.latest, model.specific, model.labels)
        return Model(name or folder.name, folder)

    def reload(self, config: Any) -> None:
        """Takes the models of a ModelServerConfig in the place of those before.

        Only folders that are served already: no request names a path of its own.

        Raises:
            ValueError: it cannot be taken.
        """
        listed = {str(model.folder): model.folder for model in self._read() + self.models()}
        given = models_of(config, lambda path: listed.get(os.path.normpath(path)))
        for model in given:
            _check_name(model.name)
        self._given = given


def read_config(file: Path) -> list[Model]:
    """The models of a models.config.

    A base_path of the container (/models/NAME) that is not on this machine is the folder in which an export wrote the
    file. Others are taken as they are.

    Raises:
        ValueError: it cannot be read, or what it lists cannot be served.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = file.read_text(encoding="utf-8")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except FileNotFoundError:
        raise ValueError(f"{file}: there is no such file. An export writes DIR/tf_serving/{MODELS}.") from None
    except (text_format.ParseError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ValueError(f"{file} is not a models.config of TF Serving: {error}.") from None

    def folder(base_path):
        path = Path(base_path)
        if not path.is_dir() and file.parent.name == "tf_serving":
            return file.parent.parent
        return path

    try:
        return models_of(config, folder)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def models_of(config: Any, folder: Any) -> list[Model]:
    """The models of a ModelServerConfig.

    Args:
        config: the message.
        folder: function of a base_path to the folder on this machine, or to None where none is allowed.

    Raises:
        ValueError: it lists none, one twice, another platform, a label without version, or a folder not allowed.
    """
    listed = config.model_config_list.config
    if not listed:
        raise ValueError('It lists no model. Expected: model_config_list { config { name: "…" base_path: "…" } }.')
    found: dict[str, Model] = {}
    for each in listed:
        if each.name in found:
            raise ValueError(f"Illegal to list model {each.name} multiple times in config list")
        if each.model_platform not in ("", "tensorflow"):
            raise ValueError(f'Model {each.name} requests unsupported platform {each.model_platform}. "tensorflow" is.')
        path = folder(each.base_path)
        if path is None:
            raise ValueError(
                f"Model {each.name}: base_path {each.base_path} is no folder that this server was started with."
            )
        found[each.name] = Model(each.name, path, *_policy(each.model_version_policy), dict(each.version_labels))
    return list(found.values())


def _policy(policy):
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return None, ()
    if kind == "specific":
        return 1, tuple(policy.specific.versions)
    return (policy.latest.num_versions or 1), ()


def _check_name(name):
    if not name or any(each in name for each in "/:"):
        raise ValueError(
            f"A model's name is part of /v1/models/NAME:predict and cannot be empty or have / or :. Received: {name!r}."
            f" Give another one, {words('name=NAME', '--name NAME')}, or change it in models.config."
        )
