"""Files are written to a temporary file in the same folder and renamed, so that none is ever half-written."""

import contextlib
import os
import re
from pathlib import Path


@contextlib.contextmanager
def written_beside(path):
    """Gives a path in the folder of `path` (made if need be) with its endings, which replaces `path` at the end.

    If the body raises, `path` stays as it was and what was written is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def without_optimizer(model):
    """Weights are saved and loaded alone inside: Keras would write, and look for, the optimiser's state too."""
    optimizer = model.optimizer
    model.optimizer = None
    try:
        yield
    finally:
        model.optimizer = optimizer


def load_weights(model, path, name, remedy):
    """`model.load_weights(path)`, with an error that says what does not fit.

    Args:
        model: built Keras model.
        path: `.weights.h5` file.
        name: of the model in the message.
        remedy: what to do about it, a sentence.

    Raises:
        ValueError: if the file is no weights file or of another model.
    """
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        reason = re.split(r"[.:]\s", str(error))[0]  # of many lines with every layer
        raise ValueError(f"{str(path)!r} does not hold weights of {name} ({reason}). {remedy}") from error
