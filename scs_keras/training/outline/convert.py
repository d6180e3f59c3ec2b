"""Turns a checkpoint of the public outline demo into weights of the zoo."""

from pathlib import Path

from scs_keras.training.convert import converted
from scs_keras.zoo.outline.reference import load_reference


def convert(checkpoint: str | Path, model: str, output: str | Path | None = None) -> Path:
    """Converts a checkpoint and returns the path of the weights file, for `zoo.load(model, weights=path)`.

    Args:
        checkpoint: PyTorch file (a state dict, or a dict with one under "state_dict"), or an npz of the same names.
        model: name of a preset with the demo's layers: polygon_cbm_outline_demo_cityscapes.
        output: `.weights.h5` file; by default the checkpoint's name with that ending, beside it.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is not one, or not of this preset: all names and shapes that differ are listed, and no
            file is written.
        ImportError: a PyTorch file without PyTorch.
    """
    return converted(checkpoint, model, output, "polygon_cbm_outline_demo_cityscapes", load_reference)
