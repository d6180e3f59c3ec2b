"""Steering: data sets, recipe, scores, baselines. For study; not for driving a car."""

from scs_keras.training.driving.datasets import DATASETS
from scs_keras.training.driving.recipe import Steering
from scs_keras.training.task import Option, Task

_HERE = "scs_keras.training.driving"

TASK = Task(
    name="driving",
    datasets=DATASETS,
    recipes={"steering": Steering},
    scores=f"{_HERE}.scores:DrivingScores",
    predictors=f"{_HERE}.predictors:predictors",
    baselines=f"{_HERE}.baselines:baselines",
    options=(
        Option(
            "evaluate", "importance",
            "also what T1 and T2 say, and by road what time adds; of models whose sub-goals are the main goal",
            flag=True,
        ),
        Option("evaluate", "streamed", "also score one frame after the other, with the state carried on", flag=True),
    ),
)  # fmt: skip
