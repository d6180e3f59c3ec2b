"""Messages in the words of whoever asked: options where a command was typed, arguments where Python called."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_command: ContextVar[str | None] = ContextVar("command", default=None)


@contextlib.contextmanager
def typed(command: str | None) -> Iterator[None]:
    """Inside, messages are in the words of this command; None: of Python."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def words(python: str, typed: str | None = None, **commands: str) -> str:
    """The words for what to do.

    Args:
        python: where a function was called.
        typed: where a command was typed; None: the same.
        **commands: where one of that name was.
    """
    command = _command.get()
    if command is None:
        return python
    return commands.get(command, python if typed is None else typed)


def option(name: str, value: object = None) -> str:
    """An option, with the value if one is given: `--size 3` where a command was typed; `size`, size=3 in Python."""
    if value is None:
        return words(f"`{name}`", f"--{name}")
    return words(f"{name}={value!r}", f"--{name} {value}")


def presets_are_listed(task: str | None = None) -> str:
    """Sentence that says where the names of all presets, or those of a task, are."""
    python, typed = (f"{task!r}", f" --task {task}") if task else ("", "")
    return words(f"zoo.list_presets({python}) lists them.", f"All are listed by: scs-keras presets{typed}.")
