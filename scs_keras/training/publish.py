"""Makes the weights of a finished training those of its preset: weights, record and card, and the golden output."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np

import scs_keras
from scs_keras.training.card import model_card
from scs_keras.training.checkpoint import cost_of
from scs_keras.training.evaluate import read, score_model, write_json
from scs_keras.training.output import Output, name_of
from scs_keras.training.samples import files_of, spread
from scs_keras.training.scores import by_part
from scs_keras.training.source import source
from scs_keras.zoo.files import check_output_file, check_output_folder, without_optimizer, written_beside
from scs_keras.zoo.preset import file_sha256


def inputs(example: Any) -> dict[str, np.ndarray]:
    """{"input": array} of a model's example, or {"input_NAME": array} where it takes several."""
    if isinstance(example, Mapping):
        return {f"input_{name}": np.asarray(each) for name, each in example.items()}
    return {"input": np.asarray(example)}


def outputs(model: "keras.Model", example: Any) -> dict[str, np.ndarray]:
    """{"output": array} of a model's output, or an array for each of its products."""
    made = model.predict(example, verbose=0)
    named = made if isinstance(made, Mapping) else {"output": made}
    return {name: np.asarray(each) for name, each in named.items()}


def publish(training: str | Path, data: str | Path, golden: str | Path | None = None) -> None:
    """Publishes the training in a folder, scored on the part of `data` that its data set's models are measured on.

    Args:
        training: output folder of a finished `scs-keras train`.
        data: folder with the data to score on.
        golden: folder for the output on the preset's example, which the tests compare with; None for none.

    Raises:
        ValueError: the training is not finished, or has other arguments than the preset's.
        FileNotFoundError: the checkpoint of the training is missing.
    """
    run = source(training)
    if run.arguments:
        raise ValueError(
            f"{training} is a training with other arguments than the preset's: {run.arguments}. Only its own can be "
            "published."
        )
    output, preset = Output(training), run.preset
    if not output.checkpoint.is_file():
        raise FileNotFoundError(
            f"{training} lacks {output.checkpoint.name}, which says on what hardware and how long the training ran. "
            "Copy it there, or train anew."
        )
    minutes, hardware = cost_of(output.checkpoint)
    for path in (preset.weights_path, preset.record_path, preset.card_path):
        check_output_file(path)
    if golden is not None:
        check_output_folder(golden)
    model = run.load()
    samples = read(run, data)
    limit = run.task.dataset(run.dataset).limit
    scores = score_model(model, run, samples, lambda: read(run, data, split="train"), limit, progress=True)
    count = len(spread(len(samples), limit))
    axis, columns = next(iter(scores.values())).card_axis, next(iter(scores.values())).columns
    pooled = {f"{samples.name} ({count} samples)": {name: each.result() for name, each in scores.items()}}
    shown = [column.name for column in columns if column.main]  # the record ships: what the card shows is enough
    metrics = {
        data: {name: {metric: values[metric] for metric in shown} for name, values in results.items()}
        for data, results in (by_part(scores)[axis] if axis else pooled).items()
    }
    with written_beside(preset.weights_path) as beside, without_optimizer(model):
        model.save_weights(beside)
    if golden is not None:
        example = preset.make_example()
        with written_beside(Path(golden) / f"{preset.name}.golden.npz") as beside:
            np.savez_compressed(beside, **inputs(example), **outputs(model, example))
    recipe = output.recipe()
    files = {"trained": output.files(), "scored": files_of(samples)}
    record = dict(
        sha256=file_sha256(preset.weights_path),
        bytes=os.path.getsize(preset.weights_path),
        parameters=sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        recipe=name_of(recipe),
        settings={key: value for key, value in output.settings().items() if value not in ({}, [], "", None)},
        hardware=hardware,
        minutes=round(minutes, 1),
        date=date.today().isoformat(),
        version=scs_keras.__version__,
        evaluated=f"scs-keras evaluate {preset.name} --data DIR --dataset {run.dataset}"
        + (f" --limit {limit}" if limit else ""),
        files={part: names for part, names in files.items() if names},
        metrics=metrics,
        **({"labels": list(preset.labels)} if preset.labels else {}),
    )
    write_json(preset.record_path, record)
    with written_beside(preset.card_path) as beside:
        beside.write_text(model_card(preset))
    print(f"Published {preset.weights_path}")
