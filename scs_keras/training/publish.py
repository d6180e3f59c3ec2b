"""Makes the weights of a finished training those of its preset: weights, record and card."""

import json
import os
import platform
from datetime import date
from pathlib import Path

import keras
import numpy as np

import scs_keras
from scs_keras import zoo
from scs_keras.training.run import WEIGHTS
from scs_keras.training.tasks import task_of
from scs_keras.zoo.card import model_card
from scs_keras.zoo.files import without_optimizer, written_beside
from scs_keras.zoo.preset import file_sha256


def publish(training, data):
    """Publishes the training in folder `training`, scored on the held-out part of `data` that its task reports.

    Raises:
        ValueError: if the training is not finished.
    """
    training = Path(training)
    if not (training / WEIGHTS).exists():
        raise ValueError(
            f"{training} holds no finished training: {WEIGHTS} is missing. Run `scs-keras train` to its end."
        )
    settings = json.loads((training / "recipe.json").read_text())
    recipe = settings.pop("recipe")
    if settings.get("model", "{}") != "{}":
        raise ValueError(
            f"{training} is a training with other arguments than the preset's: model={settings['model']}. Only its own "
            "can be published."
        )
    preset = zoo.get_preset(settings["preset"])
    model = zoo.load(preset.name, weights=str(training / WEIGHTS))
    task = task_of(preset.name)
    metrics = task.published_scores(model, data, settings)
    with written_beside(preset.weights_path) as beside, without_optimizer(model):
        model.save_weights(beside)
    record = dict(
        sha256=file_sha256(preset.weights_path),
        bytes=os.path.getsize(preset.weights_path),
        parameters=sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        recipe=recipe,
        settings=settings,
        hardware=(
            f"{os.cpu_count()} CPU cores ({platform.machine()}), Keras {keras.__version__} on {keras.backend.backend()}"
        ),
        minutes=json.loads((training / "time.json").read_text())["minutes"],
        date=date.today().isoformat(),
        version=scs_keras.__version__,
        metrics=metrics,
    )
    with written_beside(preset.record_path) as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n")
    with written_beside(preset.card_path) as beside:
        beside.write_text(model_card(preset))
    print(f"Published {preset.weights_path}")
