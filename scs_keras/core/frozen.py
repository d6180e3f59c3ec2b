"""Which parts of a layer do not train, kept when it is saved.

Keras saves `trainable` with a layer's config. Layers that another one makes for itself have no config in the file:
the flags of all that differ from the layer around them are written beside the shape the layer was built for. The
`trainable` of a single variable is saved by nobody: freeze the layer that has it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from scs_keras.core.arguments import check_known


def parts(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer, keras.Layer]]:
    """(path, part, the layer around it) for every layer inside `layer`, outer ones first; a path joins attributes."""
    seen = {id(layer)}

    def walk(path, value, around):
        if isinstance(value, keras.Layer):
            if id(value) not in seen:
                seen.add(id(value))
                yield path, value, around
                yield from attributes(value, path)
        elif isinstance(value, (list, tuple, dict)):
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                yield from walk(f"{path}.{key}", each, around)

    def attributes(owner, path):
        for name, value in sorted(vars(owner).items()):
            if not name.startswith("_"):
                yield from walk(f"{path}.{name}".lstrip("."), value, owner)

    yield from attributes(layer, "")


def freeze(model: keras.Model, names: Iterable[str]) -> None:
    """Freezes parts of a model by their attributes, `decoder` or `cells.0`, or its layers by the names they were given.

    Raises:
        ValueError: nothing of that name has weights; what can be frozen is listed.
    """
    chosen = []
    for name in names:
        found = _at(model, name) or [layer for layer in model.layers if layer.name == name and layer.weights]
        if not found:
            paths = [path for path, part, _ in parts(model) if part.trainable_variables]
            given = [layer.name for layer in model.layers if layer.trainable_variables and not _is_numbered(layer)]
            whole = sorted({*(path.partition(".")[0] for path in paths), *given})
            listed = f"Allowed: {', '.join(whole)}, or a part of one, such as {max(paths, key=len, default='none')}."
            check_known("layer of this model", name, dict.fromkeys([*whole, *paths]), listed)
        chosen += found
    for part in chosen:
        part.trainable = False


def _at(value, path):
    """The layers with weights at a path of attributes, keys and indices; [] for no such path."""
    for name in path.split("."):
        if isinstance(value, (list, tuple)):
            value = dict(enumerate(value))
        value = value.get(int(name) if name.isdigit() else name) if isinstance(value, dict) else getattr(value, name, 0)
    return [each for each in keras.tree.flatten(value) if isinstance(each, keras.Layer) and each.weights]


def _is_numbered(layer):
    """Whether its name is Keras's, which counts the layers made so far: conv2d_3."""
    return re.sub(r"_|\d", "", layer.name) == re.sub(r"_|\d", "", type(layer).__name__).lower()


class KeepsFrozen(keras.Layer):
    """Base of the layers and models whose parts can be frozen one by one, before `save` as after loading."""

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        flags = {path: part.trainable for path, part, around in parts(self) if part.trainable != around.trainable}
        return {**(config or {}), "trainable": flags} if flags else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config)
        flags = config.pop("trainable", {})
        super().build_from_config(config)
        for path, part, _ in list(parts(self)):
            if path in flags:
                part.trainable = flags[path]
