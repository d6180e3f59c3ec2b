"""Files are written to a temporary file in the same folder and renamed, so that none is ever half-written."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path

ENDING = ".weights.h5"


@contextlib.contextmanager
def written_beside(path):
    """Gives a path in the folder of `path` (made if need be) with its endings, which replaces `path` at the end.

    If the body raises, `path` stays as it was and what was written is removed; what a killed process left of the same
    name is removed at the start. The body may make a folder, where there is none at `path`.
    """
    with temporary_beside(path) as beside:
        yield beside
        os.replace(beside, path)


@contextlib.contextmanager
def temporary_beside(path):
    """The temporary path of `written_beside`; what was written there is removed at the end."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, re.escape(path.name))
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
    finally:
        _remove(beside)


def remove_leftovers(folder, pattern):
    """Removes the temporary files of `written_beside` in a folder whose process is gone.

    Args:
        folder: where they lie; it need not exist.
        pattern: regular expression of the names for which they were written.
    """
    for path in Path(folder).glob(".[0-9]*"):
        found = re.fullmatch(rf"\.(\d+)\.(?:{pattern})", path.name)
        if found and not _runs(int(found[1])):
            _remove(path)


def _runs(process):
    """Whether there is such a process; on Windows, which has no harmless way to ask, it is taken to run."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        pass
    return True


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# Checks before long work ------------------------------------------------------------------------------------------


def check_output_folder(folder, files=()):
    """Raises OSError, one sentence, unless files can be written to the folder, which need not exist yet.

    Nothing is left behind: neither a folder nor a file.

    Args:
        folder: to write to.
        files: names in it; none may be a folder.
    """
    folder = Path(folder)
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is a file where a folder is needed; give another name", str(there))
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if isinstance(error, NotADirectoryError):
            raise
        raise type(error)(error.errno, f"nothing can be written here: {error.strerror}", str(folder)) from error
    for path in (folder / name for name in files):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder where a file is to be written; move it away", str(path))


def check_output_file(path):
    """Raises OSError, one sentence, unless the file can be written; its folder need not exist yet."""
    check_output_folder(Path(path).parent, [Path(path).name])


def check_space(folder, needed):
    """Raises OSError unless a folder that exists has so many free bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        said = f"needs {needed / 1e6:.0f} MB of free disk, there are {free / 1e6:.0f} MB"
        raise OSError(errno.ENOSPC, said, str(folder))


# Weights --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_optimizer(model):
    """Weights are saved and loaded alone inside: Keras would write, and look for, the optimiser's state too."""
    optimizer = model.optimizer
    model.optimizer = None
    try:
        yield
    finally:
        model.optimizer = optimizer


def check_weights_file(path, name, remedy):
    """Raises ValueError unless the file is a whole one of weights, whatever the model; arguments as `load_weights`."""
    import h5py

    try:
        if str(path).endswith(".keras"):
            reason = f"a .keras file is a whole model: keras.saving.load_model(FILE).save_weights('NAME{ENDING}')"
        elif not str(path).endswith(ENDING):
            reason = f"its name does not end in {ENDING}"
        elif not h5py.is_hdf5(path):
            reason = "it is no HDF5 file"
        else:
            with h5py.File(path):
                return
    except OSError as error:  # HDF5 knows what length a file should have
        reason = "it is truncated" if "truncated" in str(error) else "it cannot be read"
    raise ValueError(_no_weights(path, name, reason, remedy))


def load_weights(model, path, name, remedy):
    """`model.load_weights(path)`, with an error that says what does not fit.

    Args:
        model: built Keras model.
        path: `.weights.h5` file.
        name: of the model in the message.
        remedy: what to do about it, a sentence.

    Raises:
        ValueError: if the file is no weights file or of another model, or Keras would leave a part of it out.
    """
    check_weights_file(path, name, remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of what is skipped
            model.load_weights(path)
    except (ValueError, KeyError, OSError, RuntimeError, UserWarning) as error:
        reason = re.split(r"[.:]\s", str(error).strip("'\""))[0]  # of many lines with every layer
        raise ValueError(_no_weights(path, name, " ".join(reason.split()), remedy)) from error


def _no_weights(path, name, reason, remedy):
    return f"{str(path)!r} does not hold weights of {name} ({reason}). {remedy}"
