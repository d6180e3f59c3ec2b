"""The data sets of outlines, plain data: nothing is imported for it."""

from scs_keras.training.task import Dataset, Option

_HERE = "scs_keras.training.outline"


def _of_training(name: str, text: str, kind: type = str) -> Option:
    return Option("evaluate", name, text, type=kind, of_training=True)


_CHOSEN = (
    _of_training("classes", "only objects of these classes, names separated by commas"),
    _of_training("min-area", "only objects of at least so many square pixels", float),
    Option(
        "evaluate", "parts", "objects of several polygons: skip them, or keep each polygon as an object",
        choices=("skip", "keep"), of_training=True,
    ),
)  # fmt: skip
# What a recipe sets, each in a field of that name; see `samples.Drawing`.
_TRAINING = tuple(
    Option("train", name, text)
    for name, text in {
        "flip": "whether half of the crops are mirrored",
        "shift": "by how much of the box the sides of a crop move",
        "jitter": "by how much brightness, contrast and colour change",
        "simplify": "square cells: vertices that change the area less are not learnt",
        "cache-mb": "so many MB of decoded crops are kept",
        "generated-steps": "first steps, on generated outlines alone",
        "generated-share": "share of generated outlines in a batch after these",
    }.items()
)

DATASETS = {
    **{
        name: Dataset(read=f"{_HERE}.{name}:read", scored="val", options=(*_CHOSEN, *_TRAINING))
        for name in ("coco", "cityscapes", "labelme")
    },
    "generated": Dataset(
        read=f"{_HERE}.samples:generated", scored="test", options=tuple(o for o in _TRAINING if o.name == "simplify")
    ),
}
