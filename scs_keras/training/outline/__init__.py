"""Outlines of objects: data sets, recipe, scores, annotation of one's own images."""

from scs_keras.training.outline.datasets import DATASETS
from scs_keras.training.outline.recipe import Outlines
from scs_keras.training.task import Command, Option, Task

_HERE = "scs_keras.training.outline"
_PILLOW = {"PIL": "pictures"}
_TRIES = "where no first vertex is given: so many likely cells are tried for it"


def _search(command: str) -> tuple[Option, ...]:
    return (
        Option(command, "beam", "width of a beam search; 1: the likeliest vertex each time", type=int, default=1),
        Option(command, "tries", _TRIES, type=int, default=4),
    )


TASK = Task(
    name="outline",
    datasets=DATASETS,
    recipes={"outline": Outlines},
    scores=f"{_HERE}.scores:OutlineScores",
    predictors=f"{_HERE}.predictors:predictors",
    baselines=f"{_HERE}.baselines:baselines",
    predict=f"{_HERE}.annotate:predict",
    predict_needs=_PILLOW,
    commands={
        "annotate": Command(
            f"{_HERE}.annotate:annotate",
            "outline one object of an image, with vertices that you fix",
            (
                Option("", "model", "preset, or folder of a training", positional=True),
                Option("", "image", "file", required=True),
                Option("", "box", "LEFT,TOP,RIGHT,BOTTOM in pixels", required=True),
                Option("", "output", "folder for labelme and COCO files and pictures", required=True, writes="folder"),
                Option("", "start", "X,Y of the first vertex; without it the model looks for one"),
                Option("", "fixed", "vertices put right: 'INDEX:X,Y INDEX:X,Y'"),
                Option("", "end", "index of a fixed vertex: only what is before it is drawn anew", type=int),
                Option("", "simplify", "leave out vertices at most so many pixels from the line", type=float),
                Option("", "label", "of the object", default="object"),
                Option("", "weights", "a .weights.h5 file instead of the preset's"),
                *_search(""),
            ),
            needs=_PILLOW,
        ),
        "convert": Command(
            f"{_HERE}.convert:convert",
            "turn a checkpoint of a public reference into weights of the zoo",
            (
                Option("", "checkpoint", "PyTorch file, or npz of the same names", positional=True),
                Option("", "model", "preset, for example polygon_cbm_outline_demo_cityscapes", required=True),
                Option(
                    "", "output", "weights file; by default beside the checkpoint, ending in .weights.h5", writes="file"
                ),
            ),
        ),
    },
    options=(
        Option("evaluate", "beam", "also score a beam search of this width", type=int),
        Option("evaluate", "tries", "also score without a first vertex given: from so many likely cells", type=int),
        Option("evaluate", "clicks", "also score outlines after simulated corrections", flag=True),
        *_search("predict"),
        Option("predict", "gif", "also a GIF of each image, its outlines growing", flag=True, default=False),
    ),
)
