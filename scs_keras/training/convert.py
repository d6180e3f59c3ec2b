"""Turns a checkpoint that PyTorch wrote into weights of the zoo; nothing in it is executed."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras import zoo
from scs_keras.zoo.files import ENDING, check_output_file, without_optimizer, written_beside
from scs_keras.zoo.words import option, presets_are_listed


def converted(
    checkpoint: str | Path,
    model: str,
    output: str | Path | None,
    example: str,
    load: Callable[[Any, dict[str, np.ndarray]], Any],
) -> Path:
    """Converts a checkpoint and returns the path of the weights file, for `zoo.load(model, weights=path)`.

    Args:
        checkpoint: PyTorch file (a state dict, or a dict with one under "state_dict"), or an npz of the same names.
        model: name of a preset of the zoo.
        output: `.weights.h5` file; by default the checkpoint's name with that ending, beside it.
        example: name of a preset of the task whose checkpoints these are.
        load: `load(model, arrays)` of {name: array}; raises ValueError if they are not this model's.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is not one, or not of this preset; no file is written then.
        ImportError: a PyTorch file without PyTorch.
    """
    checkpoint, task = Path(checkpoint), zoo.get_preset(example).task
    output = Path(output) if output else checkpoint.with_name(f"{checkpoint.stem}{ENDING}")
    if not output.name.endswith(ENDING):
        raise ValueError(
            f"{option('output')} must end in {ENDING}. Received: {output}. Try: {output.with_suffix('')}{ENDING}."
        )
    check_output_file(output)
    preset = zoo.get_preset(model)
    if preset.task != task:
        raise ValueError(
            f"{preset.name} has no reference checkpoints, it is for {preset.task}. Allowed: {example} and others. "
            f"{presets_are_listed(task)}"
        )
    arrays = read_checkpoint(checkpoint)
    made = preset.make()
    try:
        load(made, arrays)
    except ValueError as error:
        raise ValueError(f"{checkpoint} cannot be converted for {preset.name}. {error}") from None
    with written_beside(output) as beside, without_optimizer(made):
        made.save_weights(beside)
    return output


def read_checkpoint(path):
    """{name: array} of a PyTorch file or an npz; nothing in it is executed."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    if path.suffix == ".npz":
        return _from_npz(path)
    return _from_torch(path)


def _from_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an npz file of arrays: {error}") from error


def _from_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f'{path} is read by PyTorch, which is not installed: pip install "scs-keras[convert]". Where it is, '
            f"numpy.savez('{path.stem}.npz', **{{name: tensor.numpy() for name, tensor in state_dict.items()}}) gives "
            "a file that can be converted without."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises RuntimeError, UnpicklingError, EOFError, KeyError and others
        raise ValueError(
            f"{path} cannot be read as weights (torch.load with weights_only=True, which refuses everything but "
            f"tensors in plain containers). Save its state dict alone: torch.save(model.state_dict(), FILE). {error}"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(hasattr(each, "numpy") for each in state.values()):
        raise ValueError(f'{path} holds no state dict: not {{name: tensor}}, nor one under "state_dict".')
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}
