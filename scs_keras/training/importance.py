"""How much a prediction needs time: what T1 and T2 say, of models whose sub-goals are the main goal (Sec. 5.7)."""

from typing import Any

import numpy as np

from scs_keras import zoo
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option, words

STREAMS = ("main", "spatial", "temporal")
SAME = "same"  # what a builder's argument `sub_goals` is where r_s = r_t = g


def check_same_goals(preset: Preset) -> None:
    """Raises ValueError unless T1 and T2 of the preset's model learn the main goal; the message names presets of which
    they do, or how one is trained."""
    goals = preset.arguments.get("sub_goals")
    if goals == SAME:
        return
    others = [each.name for each in zoo.list_presets(preset.task) if each.arguments.get("sub_goals") == SAME]
    how = words(f"sub_goals={SAME!r}", f"--set model.sub_goals={SAME}")
    example = f"For example: {', '.join(others)}." if others else f"Train one with {how}."
    raise ValueError(
        f"{option('importance')} is the score of T2 less that of T1, so both must learn the main goal. Received: "
        f"{preset.name}, whose sub-goals are {goals or 'none'!r}. {example}"
    )


def streams(model: Any, x: Any, **options: Any) -> dict[str, np.ndarray]:
    """{"main", "spatial", "temporal": outputs} of one pass over what a model sees.

    Args:
        model: an `SCSModel`.
        x: a batch of its inputs.
        **options: of its call, such as return_sequences=True.
    """
    import keras

    outputs = model(x, stream=STREAMS, training=False, **options)
    return {name: np.asarray(keras.ops.convert_to_numpy(each)) for name, each in outputs.items()}
