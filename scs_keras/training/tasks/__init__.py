"""What the commands do for each task of the zoo: one module per task, with the name of its folder.

Each has `evaluate(preset, data, weights, split, stride, json_file, lead_json_file, dataset, limit)`,
`predict(preset, file, output, weights, steps, beyond)`, and for `publish`: `published_scores(model, data, settings)`,
which are {data: {forecast: {metric: value}}}, and `golden_frames(data, settings)`, an input of the model.
"""

import importlib

from scs_keras import zoo


def task_of(preset):
    """The module of a preset's task.

    Args:
        preset: its name.

    Raises:
        ValueError: there is no such preset.
    """
    return importlib.import_module(f"scs_keras.training.tasks.{zoo.get_preset(preset).task}")
