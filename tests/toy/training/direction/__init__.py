"""Does a dot move to the left or to the right?"""

from scs_keras.training.direction.recipe import DirectionDots

from scs_keras.training.task import Command, Dataset, Option, Task

_HERE = "scs_keras.training.direction.dots"

TASK = Task(
    name="direction",
    datasets={
        "dots": Dataset(
            read=f"{_HERE}:read",
            limit=12,
            options=(Option("evaluate", "speed", "only dots of this speed", type=int),),
        ),
        "all_dots": Dataset(read=f"{_HERE}:read"),
    },
    recipes={"direction_dots": DirectionDots},
    scores=f"{_HERE}:AccuracyScores",
    predictors=f"{_HERE}:predictors",
    baselines=f"{_HERE}:baselines",
    predict=f"{_HERE}:predict",
    commands={
        "dots": Command(
            f"{_HERE}:make",
            "write a folder of moving dots",
            (Option("", "folder", "to write to", positional=True), Option("", "count", "files", type=int, default=12)),
        )
    },
    options=(
        Option("evaluate", "reversed", "also score what the model says of the frames in reverse", flag=True),
        Option("predict", "digits", "behind the point", type=int, default=2),
    ),
)
