"""Does a dot move to the left or to the right?"""

from pathlib import Path

from scs_keras.zoo.preset import Preset

_HERE = "scs_keras.zoo.direction.build"

PRESETS = (
    Preset(
        name="scs_direction_small_dots",
        task="direction",
        summary="one semi-coupled layer tells left from right",
        paper_row="none: for tests",
        builder=f"{_HERE}:build",
        arguments=dict(filters=4, classes=2),
        input_shape=(4, 6, 8, 1),
        output_shape=(2,),
        values="brightness in [0, 1]",
        preprocess=f"{_HERE}:unchanged",
        postprocess=f"{_HERE}:unchanged",
        recipe="direction_dots",
        dataset="dots",
        folder=Path(__file__).parent / "weights",
        reduced=dict(filters=2),
        example=f"{_HERE}:example",
        labels=("left", "right"),
        data_licence="made by the tests",
    ),
)
