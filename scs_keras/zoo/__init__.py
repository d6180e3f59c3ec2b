"""The model zoo: `zoo.load("scs_precipitation_small_radar")`, `zoo.list_presets()`."""

if __name__ != "scs_keras.zoo":  # through the link at the top of a checkout it would be a second package
    raise ImportError("Import scs_keras.zoo: the folder at the top of the repository is a link, for readers.")

import difflib
from pathlib import Path

from scs_keras.zoo.files import load_weights, without_optimizer
from scs_keras.zoo.precipitation import presets as precipitation
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.video_prediction import presets as video_prediction

_TASKS = (precipitation, video_prediction)  # a new task is one folder and one line here
_PRESETS = {preset.name: preset for task in _TASKS for preset in task.PRESETS}

__all__ = ["Preset", "get_preset", "list_presets", "load", "signatures"]


def list_presets(task=None):
    """All presets (`Preset` records), or those of one task, in the order of the papers' tables.

    Their names: `[preset.name for preset in zoo.list_presets()]`.
    """
    return [preset for preset in _PRESETS.values() if task in (None, preset.task)]


def get_preset(name):
    """The preset of that name.

    Raises:
        ValueError: if there is none; the nearest names are given.
    """
    if name not in _PRESETS:
        near = difflib.get_close_matches(str(name), _PRESETS, n=1, cutoff=0.0)
        raise ValueError(f"There is no preset {name!r}. Did you mean {near[0]!r}? Allowed: {', '.join(_PRESETS)}.")
    return _PRESETS[name]


def signatures(model, input_shape=None):
    """What a model of the zoo answers to when it is served: its own `model.signatures(input_shape)` where it has
    them, else the one that takes whole inputs. A tuple of `scs_keras.core.signatures.Signature`.

    Args:
        model: of the zoo, with its `preset`.
        input_shape: (time, height, width, channels); None takes the preset's.
    """
    from scs_keras.core.signatures import whole

    shape = tuple(model.preset.input_shape if input_shape is None else input_shape)
    own = getattr(model, "signatures", None)
    return own(shape) if own is not None else (whole(model, shape),)


def load(name, weights="preset", **arguments):
    """A compiled model of the zoo, with `model.preset` and its `preprocess` and `postprocess`.

    Args:
        name: of the preset.
        weights: "preset" for the trained weights, None for random initial ones, or the path of a
            `.weights.h5` file of this architecture.
        **arguments: in place of the preset's `arguments`, for example `output_length=20`, or for a model of your own
            sizes and weights `input_shape=(10, 48, 48, 3), hid_S=32`.

    Raises:
        ValueError: if the preset is unknown, has no weights, the published file was changed, or there is no file at
            the path or one of another model.
    """
    preset = get_preset(name).with_arguments(**arguments)
    path = preset.checked_weights() if weights == "preset" else weights
    if path is not None and not Path(path).is_file():
        raise ValueError(
            f"There is no weights file {str(path)!r}. Give the path of a .weights.h5 file, "
            f'"preset" for the trained weights, or None for random initial ones.'
        )
    model = preset.make()
    if path is not None:
        with without_optimizer(model):
            load_weights(
                model, path, name,
                "Give the preset and the arguments with which they were trained; a checkpoint from elsewhere goes "
                "through scs-keras convert.",
            )  # fmt: skip
    return model
