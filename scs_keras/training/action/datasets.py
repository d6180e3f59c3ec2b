"""The data sets of action recognition, plain data: nothing is imported for it."""

from scs_keras.training.task import Dataset, Option

_HERE = "scs_keras.training.action"


def _of_training(name, text, kind=int):
    """What a training was told of its split holds where it is scored: or it would be scored on what it learnt from."""
    return Option("evaluate", name, text, type=kind, of_training=True)


_FOLD = _of_training("fold", "validate on this fold, 1 to their number; 0 for the split of the data")
_FOLDS = _of_training("folds", "number of folds; videos of one group stay together")
_OFFICIAL = _of_training("fold", "which of the three official splits, 1 to 3")
_GROUP = _of_training("group", "column of the table whose values are never on both sides of a split", str)
_SKIP = Option("evaluate", "skip-broken", "go on without files that cannot be read, and list them", flag=True)
# What a recipe sets, each in a field of that name; see `samples.ClipSamples`.
_TRAINING = tuple(
    Option("train", name, text)
    for name, text in {
        "class-weight": 'weights of the classes in the loss: "balanced", or {label: weight} as JSON',
        "balanced": "whether batches show all classes equally often",
        "flip": "whether half of the clips are mirrored; not where left and right tell classes apart",
        "jitter": "by how much brightness, contrast and saturation change",
        "cache-mb": "so many MB of small clips stay decoded",
    }.items()
)


def _dataset(reader: str, scored: str, *options: Option) -> Dataset:
    return Dataset(read=f"{_HERE}.{reader}", scored=scored, options=(*options, _SKIP, *_TRAINING))


DATASETS = {
    "ucf101": _dataset("ucf101:read", "test", _OFFICIAL),
    "hmdb51": _dataset("hmdb51:read", "test", _OFFICIAL),
    "kinetics": _dataset("kinetics:read", "val"),
    "folder": _dataset("folder:read", "val", _FOLD, _FOLDS),
    "table": _dataset("table:read", "val", _FOLD, _FOLDS, _GROUP),
    "fight": _dataset("table:fight", "val", _FOLD, _FOLDS, _GROUP),
    "thermal": _dataset("table:thermal", "val", _FOLD, _FOLDS),
}
