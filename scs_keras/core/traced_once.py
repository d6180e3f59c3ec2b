"""Costly functions that a graph of several signatures holds once, however often its models call them."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

_MADE_BY = []  # innermost last


def traced_once(function: Callable) -> Callable:
    """A function of tensors, and of options by keyword, called inside `made_by` through what that makes of it."""

    @functools.wraps(function)
    def call(*tensors: Any, **options: Any) -> Any:
        return _MADE_BY[-1](function, **options)(*tensors) if _MADE_BY else function(*tensors, **options)

    return call


@contextlib.contextmanager
def made_by(make: Callable) -> Iterator[None]:
    """Inside, `make(function, **options)` gives what is called in place of each function that is `traced_once`."""
    _MADE_BY.append(make)
    try:
        yield
    finally:
        _MADE_BY.pop()
