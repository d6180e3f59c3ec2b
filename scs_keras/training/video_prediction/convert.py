"""Turns a checkpoint of the public reference benchmark (OpenSTL) into weights of the zoo."""

import warnings
from pathlib import Path

from scs_keras import zoo
from scs_keras.training.convert import converted
from scs_keras.zoo.video_prediction import load_reference
from scs_keras.zoo.video_prediction.presets import LEGACY


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
    return converted(checkpoint, model, output, zoo.list_presets("video_prediction")[0].name, _load)


def _load(model, arrays):
    _say_which_cell(model.preset, arrays)
    return load_reference(model, arrays)


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
            stacklevel=5,
        )
