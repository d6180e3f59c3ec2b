"""Objects by their place, "package.module:name", so that records name them without importing them."""

import importlib
from typing import Any


def resolve(reference: str) -> Any:
    """The object that `reference`, "package.module:name", names; its module is imported.

    Raises:
        ValueError: if it is not written like that, or there is no such object.
    """
    module, separator, name = reference.partition(":")
    if not separator:
        raise ValueError(f'A reference is written "package.module:name". Received: {reference!r}.')
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ValueError(f"{module} has no {name!r}. Received: {reference!r}.") from error


class Reference(str):
    """The place of a function, "package.module:name"; a call imports its module and calls it."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return resolve(self)(*args, **kwargs)
