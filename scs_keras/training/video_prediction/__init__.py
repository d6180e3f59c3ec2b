"""Video prediction: data sets, recipe, scores, predictions from one's own videos, published checkpoints."""

from scs_keras.training.data.radar_options import reading_options
from scs_keras.training.task import Command, Dataset, Option, Task
from scs_keras.training.video_prediction.recipe import VideoPrediction

_HERE = "scs_keras.training.video_prediction"
_STRIDE = Option("evaluate", "stride", "a window starts at every so many frames", type=int)
# Of 6,000 sequences of digits the least black is 87 % black, standard deviations are 0.11 to 0.29; of 1,100 of radar
# means are up to 0.53, standard deviations up to 0.28.
_DIGITS = {"share of black": (0.75, 1.0), "standard deviation": (0.08, 0.4)}
_REFLECTIVITY = {"mean": (0.0, 0.6), "standard deviation": (0.0, 0.33)}


def _dataset(name, *options, **values):
    return Dataset(read=f"{_HERE}.samples:{name}", limit=1000, options=(_STRIDE, *options), **values)


TASK = Task(
    name="video_prediction",
    datasets={
        "moving_mnist": _dataset("moving_mnist", usual=_DIGITS),
        "taxibj": _dataset("taxibj"),
        "kth": _dataset("kth"),
        "kitti_caltech": _dataset("kitti_caltech"),
        "kitti_caltech_bgr": _dataset("kitti_caltech_bgr"),
        "folder": _dataset("folder"),
        "radar": _dataset("radar", *reading_options("evaluate"), scored="val", usual=_REFLECTIVITY),
    },
    recipes={"video_prediction": VideoPrediction},
    scores=f"{_HERE}.scores:VideoScores",
    baselines=f"{_HERE}.scores:baselines",
    predict=f"{_HERE}.predict:predict",
    predict_needs={"matplotlib": "pictures", "PIL": "pictures"},
    commands={
        "convert": Command(
            f"{_HERE}.convert:convert",
            "turn a checkpoint of the public video-prediction benchmark into weights of the zoo",
            (
                Option("", "checkpoint", "PyTorch file (.pth, .ckpt), or npz of the same names", positional=True),
                Option("", "model", "preset, for example tau_video_moving_mnist", required=True),
                Option(
                    "", "output", "weights file; by default beside the checkpoint, ending in .weights.h5", writes="file"
                ),
            ),
        )
    },
    options=(
        Option("predict", "steps", "number of frames to predict", type=int),
        Option(
            "predict", "beyond", "predict what follows the last frame, compare with nothing", flag=True, default=False
        ),
        *reading_options("predict"),
    ),
)
