"""The data sets of steering, plain data: nothing is imported for it."""

from collections.abc import Callable
from typing import Any

from scs_keras.training.task import Dataset, Option

_HERE = "scs_keras.training.driving.readers"


def _of_training(name: str, text: str, kind: Callable[[str], Any] = str) -> Option:
    """What a training was told of its data holds where it is scored."""
    return Option("evaluate", name, text, type=kind, of_training=True)


_CROP = _of_training("crop", "where the road begins and ends, shares of the image's height from the top: 0.4,1")
_SCALE = _of_training("full-scale", "degrees that an angle of 1 stands for; 0 where angles are degrees", float)
_COLUMN = _of_training("column", "column of the table that has the angles")
_CORRECTION = _of_training("correction", "degrees added for the left camera, taken off for the right one", float)
_BEFORE = Option("evaluate", "before", "score frames with so many before them, whatever the model's length", type=int)
# What a recipe sets, each in a field of that name; see `samples.DrivingSamples`.
_TRAINING = tuple(
    Option("train", name, text)
    for name, text in {
        "balanced": "whether batches show all angles equally often",
        "flip": "whether half of the windows are mirrored, with the angle negated",
        "jitter": "by how much brightness and contrast change",
        "cache-mb": "so many MB of frames stay in memory",
    }.items()
)


def _dataset(name: str, *options: Option) -> Dataset:
    return Dataset(read=f"{_HERE}:{name}", scored="val", options=(*options, _CROP, _BEFORE, *_TRAINING))


DATASETS = {
    "rc_car": _dataset("rc_car"),
    "udacity_sim": _dataset("udacity_sim"),
    "table": _dataset("table", _COLUMN, _SCALE),
    "udacity": _dataset("udacity", _SCALE, _CORRECTION),
    "donkeycar": _dataset("donkeycar", _SCALE),
    "comma": _dataset("comma"),
    "livi": _dataset("livi"),
}
