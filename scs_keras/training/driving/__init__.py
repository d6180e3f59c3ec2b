"""Steering: data sets, recipe, scores, baselines, predictions from one's own drives. Not for driving a car."""

from scs_keras.training.driving.datasets import DATASETS
from scs_keras.training.driving.recipe import Steering
from scs_keras.training.task import Option, Task

_HERE = "scs_keras.training.driving"
_SAME_GOALS = "scs_keras.training.importance:check_same_goals"

TASK = Task(
    name="driving",
    datasets=DATASETS,
    recipes={"steering": Steering},
    scores=f"{_HERE}.scores:DrivingScores",
    predictors=f"{_HERE}.predictors:predictors",
    baselines=f"{_HERE}.baselines:baselines",
    predict=f"{_HERE}.predict:predict",
    predict_needs={"matplotlib": "pictures", "PIL": "pictures"},
    options=(
        Option(
            "evaluate", "importance",
            "also what T1 and T2 say, and by road what time adds; of models whose sub-goals are the main goal",
            flag=True, check=_SAME_GOALS,
        ),
        Option("evaluate", "streamed", "also score one frame after the other, with the state carried on", flag=True),
        Option(
            "predict", "dataset", "layout of the folder, where it does not show it", choices=tuple(DATASETS)
        ),
        Option("predict", "crop", "where the road begins and ends, shares of the height: 0.4,1", of_training=True),
        Option("predict", "full-scale", "degrees that 1 stands for; 0 for degrees", type=float, of_training=True),
        Option("predict", "column", "column of the table that has the angles", of_training=True),
        Option(
            "predict", "importance", "also what T1 and T2 say, and what time adds to each angle", flag=True,
            check=_SAME_GOALS,
        ),
        Option("predict", "streamed", "also the angles of one frame after the other, the state carried on", flag=True),
    ),
)  # fmt: skip
