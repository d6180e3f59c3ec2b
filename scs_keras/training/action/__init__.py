"""Action recognition: data sets, recipe, scores, controls, predictions from one's own videos."""

from scs_keras.training.action.datasets import DATASETS
from scs_keras.training.action.recipe import ActionClips
from scs_keras.training.task import Option, Task

_HERE = "scs_keras.training.action"
_IMPORTANCE = "also what T1 and T2 say: what time adds; of models whose sub-goals are the main goal"
_SAME_GOALS = "scs_keras.training.importance:check_same_goals"

TASK = Task(
    name="action",
    datasets=DATASETS,
    recipes={"action_clips": ActionClips},
    scores=f"{_HERE}.scores:ActionScores",
    predictors=f"{_HERE}.scores:predictors",
    baselines=f"{_HERE}.baselines:baselines",
    predict=f"{_HERE}.predict:predict",
    predict_needs={"matplotlib": "pictures"},
    options=(
        Option("evaluate", "controls", "also score clips in reverse and with shuffled frames", flag=True),
        Option("evaluate", "importance", _IMPORTANCE, flag=True, check=_SAME_GOALS),
        Option("predict", "importance", _IMPORTANCE, flag=True, check=_SAME_GOALS),
        Option("predict", "explain", "also draw maps of h_s, h_t and F of the last layer", flag=True),
    ),
)
