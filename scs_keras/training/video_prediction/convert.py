"""Turns a checkpoint of the public reference benchmark (OpenSTL) into weights of the zoo."""

import warnings
import zipfile
from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.zoo.files import ENDING, check_output_file, without_optimizer, written_beside
from scs_keras.zoo.video_prediction import load_reference
from scs_keras.zoo.video_prediction.presets import LEGACY
from scs_keras.zoo.words import option, presets_are_listed

TASK = "video_prediction"


def convert(checkpoint: str | Path, model: str, output: str | Path | None = None) -> Path:
    """Converts a checkpoint and returns the path of the weights file, for `zoo.load(model, weights=path)`.

    Args:
        checkpoint: PyTorch file (a state dict, or a dict with one under "state_dict"), or an npz of the same names.
        model: name of a preset of the zoo.
        output: `.weights.h5` file; by default the checkpoint's name with that ending, beside it.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is not one, or not of this preset: all names and shapes that differ are listed, and no
            file is written.
        ImportError: a PyTorch file without PyTorch.
    """
    checkpoint = Path(checkpoint)
    output = Path(output) if output else checkpoint.with_name(f"{checkpoint.stem}{ENDING}")
    if not output.name.endswith(ENDING):
        raise ValueError(
            f"{option('output')} must end in {ENDING}. Received: {output}. Try: {output.with_suffix('')}{ENDING}."
        )
    check_output_file(output)
    preset = zoo.get_preset(model)
    if preset.task != TASK:
        raise ValueError(
            f"{preset.name} has no reference checkpoints, it is for {preset.task}. Allowed: "
            f"{zoo.list_presets(TASK)[0].name} and others. {presets_are_listed(TASK)}"
        )
    arrays = read_checkpoint(checkpoint)
    made = preset.make()
    _say_which_cell(preset, arrays)
    try:
        load_reference(made, arrays)
    except ValueError as error:
        raise ValueError(f"{checkpoint} cannot be converted for {preset.name}. {error}") from None
    with written_beside(output) as beside, without_optimizer(made):
        made.save_weights(beside)
    return output


def _say_which_cell(preset, arrays):
    """Warns where the reference's forward pass changed after version 0.3 and the names look like the other one's."""
    head, data = preset.name.split("_video_", 1)
    model = head.removesuffix("_legacy")
    later = all(name.startswith("model.") for name in arrays)
    if model in LEGACY and later == head.endswith("_legacy"):
        other = f"{model}{'' if later else '_legacy'}_video_{data}"
        written = "after version 0.3, whose names start" if later else "up to version 0.3, whose names do not start"
        warnings.warn(
            f"This looks like a checkpoint of the reference {written} with 'model.'. Its cells compute something else "
            f"with the same weights: if so, convert for {other}.",
            stacklevel=3,
        )


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
