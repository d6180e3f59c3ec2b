"""The versions that are served: they appear, are warmed up, take over, and go when nothing uses them any more."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scs_keras.serving.server.errors import ServingError, invalid
from scs_keras.serving.server.loaded import Loaded
from scs_keras.serving.server.models_config import Model, Source, versions_of

log = logging.getLogger("scs_keras.serving")


@dataclass
class Version:
    """A known version: a state of TF Serving's, why it failed, and the version itself while it can answer."""

    state: str = "START"
    error: ServingError | None = None
    loaded: Loaded | None = None
    files: object = None  # what its folder held when it failed: another try is made when that changes


class Store:
    """All models. One event loop owns it; versions are loaded and closed in a thread.

    Args:
        source: what is to be served.
        max_values: of a request of warm-up.
        load: makes a `Loaded`.
    """

    def __init__(self, source: Source, max_values: int, load: Callable[..., Loaded] = Loaded):
        self._source, self._max_values, self._load = source, max_values, load
        self._models: dict[str, Model] = {}
        self._known: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._pool = ThreadPoolExecutor(1, "load")
        self._looking = asyncio.Lock()
        self._closing: set[asyncio.Task] = set()
        self._said: str | None = None  # the last complaint, said once

    # What requests ask ----------------------------------------------------------------------------------------------

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Loaded:
        """The version that a request means: of this number, of this label, or the highest that can answer.

        Raises:
            ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label or no name.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label is not None:
            labels = self._labels.get(name, {})
            if label not in labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = labels[label]
        ready = {number: each.loaded for number, each in self._known.get(name, {}).items() if each.loaded}
        if version is None and ready:
            return ready[max(ready)]
        if version in ready:
            return ready[version]
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise ServingError("NOT_FOUND", f"Servable not found for request: {asked}")

    def states(self, name: str, version: int | None = None) -> dict[int, Version]:
        """The known versions of a model, or this one.

        Raises:
            ServingError: NOT_FOUND.
        """
        known = self._known.get(name, {})
        if version is not None and version not in known:
            raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
        if not known:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return {version: known[version]} if version is not None else dict(sorted(known.items()))

    def models(self) -> dict[str, dict[str, int]]:
        """{model that can answer: its labels}."""
        ready = [name for name, known in self._known.items() if any(each.loaded for each in known.values())]
        return {name: dict(self._labels.get(name, {})) for name in sorted(ready)}

    # What is there --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Loads all that is to be served.

        Raises:
            ValueError: no version of a model can be served, or a label's version is not among those that are.
        """
        models = self._source.models()
        await self.look(models)
        for model in models:
            known = self._known.get(model.name, {})
            if not any(each.loaded for each in known.values()):
                raise ValueError(_nothing(model, known))
            for label, version in model.labels.items():
                if self._labels[model.name].get(label) != version:
                    ready = ", ".join(str(number) for number, each in sorted(known.items()) if each.loaded)
                    failed = known[version].error if version in known else None
                    why = f"cannot be served: {failed.message}" if failed else "is not served"
                    raise ValueError(
                        f'Label "{label}" of model {model.name} is on version {version}, which {why}. '
                        f"Served: {ready}. Change version_labels in models.config, or export that version."
                    )

    async def watch(self, seconds: float) -> None:
        """Looks again and again; what goes wrong is said once and leaves everything as it is."""
        while True:
            await asyncio.sleep(seconds)
            try:
                said = "; ".join(await self.look())
            except (ValueError, OSError) as error:
                said = str(error)
            if said and said != self._said:
                log.error("%s", said)
            self._said = said

    async def look(self, models: list[Model] | None = None) -> list[str]:
        """Loads what is new, moves labels, and takes away what is to be served no longer.

        Returns:
            A sentence for each label that could not be moved.
        """
        async with self._looking:
            models = models if models is not None else await self._in_thread(self._source.models)
            self._models = {model.name: model for model in models}
            kept = [sentence for model in models for sentence in await self._renew(model)]
            for name in self._known.keys() - self._models.keys():
                self._labels.pop(name, None)
                self._take_away(name, list(self._known[name]))
            return kept

    async def reload(self, config: object) -> None:
        """Takes another ModelServerConfig.

        Raises:
            ServingError: INVALID_ARGUMENT; FAILED_PRECONDITION for a label whose version cannot answer.
        """
        try:
            await self._in_thread(self._source.reload, config)
            kept = await self.look()
        except ValueError as error:
            raise invalid(str(error)) from None
        if kept:
            raise ServingError("FAILED_PRECONDITION", kept[0])

    async def close(self) -> None:
        """Takes away everything, whatever is in use."""
        for closing in self._closing:
            closing.cancel()
        self._pool.shutdown(wait=True)
        for known in self._known.values():
            for each in known.values():
                if each.loaded:
                    each.loaded.close()
        self._known.clear()

    async def _in_thread(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _renew(self, model):
        known = self._known.setdefault(model.name, {})
        there = await self._in_thread(versions_of, model.folder)
        for number, each in known.items():
            if each.state == "END" and each.error and number in there:
                if each.files != await self._in_thread(_files, there[number]):
                    each.error = None  # it has changed: another try
        while True:
            usable = [number for number in there if not (number in known and known[number].error)]
            wanted = model.wanted(usable)
            missing = [number for number in wanted if number not in known or known[number].loaded is None]
            if not missing:
                break
            for number in missing:
                await self._add(model, number, there[number])
        kept = self._move_labels(model)
        gone = [number for number, each in known.items() if each.loaded and number not in wanted]
        self._take_away(model.name, gone)
        return kept

    async def _add(self, model, number, path):
        """Loads and warms up a version; only then it can be found."""
        entry = self._known[model.name][number] = Version("LOADING")
        try:
            entry.loaded = await self._in_thread(self._ready, model.name, number, path)
            entry.state = "AVAILABLE"
            log.info("Serves %s, version %d.", model.name, number)
        except ServingError as error:
            entry.state, entry.error = "END", error
            entry.files = await self._in_thread(_files, path)
            log.error("%s, version %d, is not served: %s", model.name, number, error.message)

    def _ready(self, name, number, path):
        loaded = self._load(name, number, path)
        try:
            loaded.warm_up(path, self._max_values)
        except ServingError as error:
            loaded.close()
            raise ServingError(error.code, f"Warm-up failed: {error.message}") from error
        except BaseException:
            loaded.close()
            raise
        return loaded

    def _move_labels(self, model):
        """Labels go to versions that can answer; one whose version cannot stays where it is."""
        before, known = self._labels.get(model.name, {}), self._known[model.name]
        labels, kept = {}, []
        for label, version in model.labels.items():
            if version in known and known[version].loaded:
                labels[label] = version
                continue
            kept.append(
                f"Request to assign label to {version} of model {model.name}, which is not currently available for "
                f"inference (label {label})."
            )
            if label in before:
                labels[label] = before[label]
        self._labels[model.name] = labels
        return kept

    def _take_away(self, name, numbers):
        for number in numbers:
            entry = self._known[name][number]
            loaded, entry.loaded = entry.loaded, None
            if loaded is not None:
                entry.state = "UNLOADING"
                closing = asyncio.get_running_loop().create_task(self._close(entry, loaded))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _close(self, entry, loaded):
        """Waits for the requests that hold it."""
        while loaded.uses:
            await asyncio.sleep(0.02)
        await self._in_thread(loaded.close)
        if entry.loaded is None and entry.state == "UNLOADING":
            entry.state = "END"
        log.info("Ended %s, version %d.", loaded.name, loaded.version)


def _files(path: Path) -> object:
    """What changes when a folder of a version is written to."""
    try:
        return sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in path.rglob("*"))
    except OSError:
        return None


def _nothing(model, known):
    """Why a model cannot be served at all."""
    failed = "; ".join(
        f"version {number}: {each.error.message}" for number, each in sorted(known.items()) if each.error
    )
    if failed:
        return f"No version of {model.name} in {model.folder} can be served. {failed}"
    wanted = f" of {', '.join(map(str, model.specific))}" if model.specific else ""
    return (
        f"{model.folder} has no version{wanted} of {model.name}: a folder such as {model.folder.name}/1 with a "
        "saved_model.pb. Type: scs-keras export PRESET --output DIR."
    )
