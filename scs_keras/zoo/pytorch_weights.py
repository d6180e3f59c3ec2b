"""Weights under the names of PyTorch checkpoints and in their layouts, into our models."""

from dataclasses import dataclass

import keras
import numpy as np

PREFIX = "model."  # of every key in newer checkpoints
WRAPPED = "module."  # of every key where PyTorch trained on several devices
IGNORED = "num_batches_tracked"  # PyTorch's count of batches seen by a normalisation

# PyTorch's axes to Keras's: {kind: (from, to)} of np.moveaxis.
_MOVES = {
    "same": None,  # vectors and scalars
    "statistic": None,  # running mean and variance: loaded, but no parameter
    "convolution": ((0, 1), (-1, -2)),  # (out, in / groups, *kernel) -> (*kernel, in / groups, out)
    "depthwise": ((0, 1), (-2, -1)),  # (channels, 1, *kernel) -> (*kernel, channels, 1)
    "transposed": ((0, 1), (-1, -2)),  # (in, out, *kernel) -> (*kernel, out, in)
    "dense": ((0, 1), (-1, -2)),  # (out, in) -> (in, out)
    "image": (0, -1),  # (channels, *frame) -> (*frame, channels)
    "buffer": None,  # constants of the reference that our model computes: accepted, not used; variable is None
}


@dataclass(frozen=True)
class ReferenceWeight:
    """Where a parameter of the reference goes.

    Attributes:
        variable: the Keras variable (None for kind "buffer"). Two names may share one variable: the reference
            saves modules that it reaches by two ways twice; one of the names is enough then.
        kind: how its axes are laid out, one of "same", "statistic", "convolution", "depthwise", "transposed",
            "dense", "image", "buffer".
    """

    variable: keras.Variable | None
    kind: str = "same"

    def __post_init__(self):
        if self.kind not in _MOVES:
            raise ValueError(f"`kind` is one of {', '.join(_MOVES)}. Received: kind={self.kind!r}.")

    def to_keras(self, array):
        """The array with its axes in Keras's order."""
        array, move = np.asarray(array), _MOVES[self.kind]
        return array if move is None or array.ndim < 2 else np.moveaxis(array, *move)


def load_reference(model, arrays):
    """Loads the reference's parameters, all or none.

    Args:
        model: of the zoo, with `reference_weights`.
        arrays: {name in the reference: array in PyTorch's layout}; a prefix `module.` or `model.` is dropped, and
            `num_batches_tracked` is ignored.

    Returns:
        The model.

    Raises:
        ValueError: if a key has no place in the model, a weight is left without one, or a shape differs.
            Nothing is loaded then; the message names them all.
    """
    if not model.built:
        model.build((None, *model.frames_shape))
    weights = model.reference_weights()
    if not weights:
        raise ValueError(f"{type(model).__name__} has no reference checkpoints: load a .weights.h5 file instead.")
    arrays = {name: array for name, array in arrays.items() if not name.endswith(IGNORED)}
    arrays = {name.removeprefix(WRAPPED).removeprefix(PREFIX): array for name, array in arrays.items()}
    placed = {id(weights[name].variable) for name in arrays if name in weights}
    needed = {name: weight for name, weight in weights.items() if weight.variable is not None}
    values = {name: weight.to_keras(arrays[name]) for name, weight in needed.items() if name in arrays}
    problems = [f"{name}: no place in the model" for name in arrays if name not in weights]
    missing = (name for name, weight in needed.items() if id(weight.variable) not in placed)
    problems += [f"{name}: not in the checkpoint" for name in missing]
    problems += [
        f"{name}: shape {np.shape(arrays[name])} in the checkpoint, laid out as {value.shape} here, "
        f"but the model has {tuple(needed[name].variable.shape)}"
        for name, value in values.items()
        if value.shape != tuple(needed[name].variable.shape)
    ]
    problems += _disagreements(needed, values)
    problems += [f"{name}: has values that are not finite" for name, value in values.items() if not _finite(value)]
    if problems:
        raise ValueError(
            f"These are not the weights of this {type(model).__name__}, {model.name!r} for {model.frames_shape}; "
            "nothing was loaded. Take the model and the hyperparameters that they were trained with. "
            f"{len(problems)} differences:\n  " + "\n  ".join(problems)
        )
    for name, value in values.items():
        needed[name].variable.assign(value)
    return model


def _finite(value):
    return not np.issubdtype(value.dtype, np.floating) or np.isfinite(value).all()


def _disagreements(weights, values):
    """What is wrong where one variable is given under two names."""
    first = {}
    for name, value in values.items():
        other = first.setdefault(id(weights[name].variable), name)
        if not np.array_equal(value, values[other], equal_nan=True):
            yield f"{name}: not equal to {other}, which is the same weight"


def layer_weights(name, layer, kind="convolution"):
    """The entries of `reference_weights` for a Keras layer under PyTorch's usual names: weight, bias, running_*.

    Args:
        name: of the reference's module.
        layer: a built convolution, dense or normalisation layer.
        kind: of its kernel.
    """
    found = {}
    for ours, theirs, its_kind in (
        ("kernel", "weight", kind),
        ("gamma", "weight", "same"),
        ("bias", "bias", "same"),
        ("beta", "bias", "same"),
        ("moving_mean", "running_mean", "statistic"),
        ("moving_variance", "running_var", "statistic"),
    ):
        variable = getattr(layer, ours, None)
        if variable is not None:
            found[f"{name}.{theirs}"] = ReferenceWeight(variable, its_kind)
    return found
