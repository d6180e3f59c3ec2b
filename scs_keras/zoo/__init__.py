"""The model zoo: `zoo.load("scs_precipitation_small_radar")`, `zoo.list_presets()`.

Every sub-package is a task and has `PRESETS`, its records (`Preset`); nothing else knows the tasks' names.
"""

if __name__ != "scs_keras.zoo":  # through the link at the top of a checkout it would be a second package
    raise ImportError("Import scs_keras.zoo: the folder at the top of the repository is a link, for readers.")

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scs_keras.core.arguments import check_known
from scs_keras.zoo.files import load_weights, without_optimizer
from scs_keras.zoo.preset import WEIGHTS_REMEDY, Preset
from scs_keras.zoo.words import presets_are_listed

if TYPE_CHECKING:
    import keras

    from scs_keras.core.signatures import Signature

__all__ = ["Preset", "get_preset", "list_presets", "load", "signatures", "tasks"]


def tasks() -> list[str]:
    """Names of the tasks: the zoo's sub-packages, those of a folder added to `scs_keras.zoo.__path__` too."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]


def list_presets(task: str | None = None) -> list[Preset]:
    """All presets (`Preset` records), or those of one task, in the order of the papers' tables.

    Their names: `[preset.name for preset in zoo.list_presets()]`.

    Raises:
        ValueError: if there is no such task.
    """
    if task is not None:
        check_known("task", task, tasks())
    return [preset for preset in _presets().values() if task in (None, preset.task)]


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: if there is none; the nearest names are given.
    """
    presets = _presets()
    check_known("preset", name, presets, presets_are_listed())
    return presets[name]


def signatures(model: "keras.Model", input_shape: tuple[int, ...] | None = None) -> "tuple[Signature, ...]":
    """The serving signatures of a model of the zoo: its own `model.signatures(input_shape)` where it has
    them, else the one that takes whole inputs. A tuple of `scs_keras.core.signatures.Signature`.

    Args:
        model: of the zoo, with its `preset`.
        input_shape: (time, height, width, channels); None takes the preset's.
    """
    from scs_keras.core.signatures import whole

    shape: Any = model.preset.input_shape if input_shape is None else input_shape
    shape = shape if isinstance(shape, dict) else tuple(shape)
    own = getattr(model, "signatures", None)
    return own(shape) if own is not None else (whole(model, shape),)


def load(name: str, weights: str | Path | None = "preset", **arguments: Any) -> "keras.Model":
    """A compiled model of the zoo, with `model.preset` and its `preprocess` and `postprocess`.

    Args:
        name: of the preset.
        weights: "preset" for the trained weights, None for random initial ones, or the path of a
            `.weights.h5` file of this architecture.
        **arguments: in place of the preset's `arguments`, for example `output_length=20`, or for a model of your own
            sizes and weights `input_shape=(10, 48, 48, 3), hid_S=32`.

    Raises:
        ValueError: if the preset or an argument is unknown, it has no weights, the published file was changed, or
            there is no file at the path or one of another model.
    """
    preset = get_preset(name)
    preset.check_arguments(arguments)
    preset = preset.with_arguments(**arguments)
    path = preset.weights_file(weights)
    if path is None:
        return preset.make()
    from scs_keras.zoo.backbones import weights_follow

    with weights_follow():
        model = preset.make()
    with without_optimizer(model):
        load_weights(model, path, name, WEIGHTS_REMEDY)
    return model


def _presets() -> dict[str, Preset]:
    """{name: preset} of all tasks, found anew at each call.

    Raises:
        ValueError: if a task has no PRESETS, a preset names another task, or two have one name.
    """
    found: dict[str, Preset] = {}
    for task in tasks():
        package = importlib.import_module(f"{__name__}.{task}")
        if not hasattr(package, "PRESETS"):
            raise ValueError(
                f"Every folder of the zoo is a task with PRESETS in its __init__. {package.__name__} has none."
            )
        for preset in package.PRESETS:
            if preset.task != task:
                raise ValueError(f"{preset.name!r} lies in the task {task!r}. Received: task={preset.task!r}.")
            if preset.name in found:
                raise ValueError(
                    f"Names of presets are unique. Received: {preset.name!r} of {found[preset.name].task!r} and "
                    f"of {task!r}."
                )
            found[preset.name] = preset
    return found
