"""Which parts of a layer do not train, kept when it is saved.

Keras saves `trainable` with a layer's config. Layers that another one makes for itself have no config in the file:
the flags of all that differ from the layer around them are written beside the shape the layer was built for.
"""

from collections.abc import Iterator
from typing import Any

import keras


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
