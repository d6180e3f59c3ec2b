"""The small video models side by side: quality, size, speed and learning curves, all at the same budget.

    scs-keras train video_prediction --data MNIST --output RUNS/NAME --set preset=NAME --set dataset=moving_mnist
        --set steps=1500 --set batch_size=8 --set checkpoint_every=100 --set validate=32      for each preset NAME
    scs-keras evaluate NAME --weights RUNS/NAME/model.weights.h5 --data MNIST --limit 1000 --json RUNS/NAME/scores.json
    python benchmarks/video_models.py RUNS

(radar: dataset=radar, steps=1000; more seeds: --set seed=1 into RUNS/NAME_seed1). Times the models of all trainings in
RUNS in turn, in one process, and writes results/video_models_DATE_VERSION.json with everything and
results/video_models.png with the learning curves.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib
import numpy as np
import tensorflow as tf
from measuring import RESULTS, provenance, result_path, seconds, write

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from scs_keras import zoo
from scs_keras.training.costs import multiply_adds

BATCH = 8
PANELS = {  # title: which presets
    "Moving MNIST": lambda name: name.endswith("moving_mnist") and "_no_" not in name,
    "Moving MNIST, ablations of TAU": lambda name: name.startswith("tau") and name.endswith("moving_mnist"),
    "Radar": lambda name: name.endswith("radar"),
}


def functions(model):
    """(prediction, training step) of a model, as functions without arguments."""
    shape = (BATCH, model.input_length + model.output_length, *model.preset.input_shape[1:])
    x, y = model.training_pair(tf.constant(np.random.default_rng(0).random(shape, "float32")))
    observed = x[:, : model.input_length]
    predict = tf.function(lambda: model(observed, training=False))
    return predict, lambda: tf.constant(np.ravel(model.train_on_batch(x, y))[0])


def costs(names, repeats):
    """{preset: size and speed}; times are medians of interleaved calls."""
    models = {name: zoo.load(name, weights=None) for name in names}
    calls = {name: functions(model) for name, model in models.items()}
    for pair in calls.values():
        for call in pair:
            call()
    times = {name: ([], []) for name in names}
    for _ in range(repeats):
        for name, pair in calls.items():
            for call, each in zip(pair, times[name]):
                each.append(seconds(call)[0])
    return {
        name: dict(
            parameters=model.live_parameters,
            multiply_adds=multiply_adds(model, model.preset.input_shape),
            frames_per_second=round(BATCH * model.output_length / statistics.median(times[name][0]), 1),
            training_step_seconds=round(statistics.median(times[name][1]), 3),
        )
        for name, model in models.items()
    }


def read_run(folder):
    """What a training left behind: settings, minutes, scores and the learning curve."""
    settings = json.loads((folder / "recipe.json").read_text())
    with open(folder / "log.csv") as file:
        rows = [(float(row["loss"]), float(row["val_mse_per_frame"])) for row in csv.DictReader(file)]
    sequences = [settings["checkpoint_every"] * settings["batch_size"] * (i + 1) for i in range(len(rows))]
    scores = json.loads((folder / "scores.json").read_text())
    ((data, scores),) = scores.items()
    return dict(
        settings=settings,
        minutes_of_the_training=json.loads((folder / "time.json").read_text())["minutes"],
        scored_on=data,
        scores=scores["model"],
        persistence=scores["persistence"],
        curve=[dict(sequences=n, loss=loss, val_mse_per_frame=mse) for n, (loss, mse) in zip(sequences, rows)],
    )


def by_preset(runs):
    """{preset: its runs, one a seed}"""
    groups = {}
    for run in runs.values():
        groups.setdefault(run["settings"]["preset"], []).append(run)
    return groups


def draw(runs, path):
    """Learning curves: the mean over seeds, and from the smallest to the largest as a band."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.2))
    for axis, (title, belongs) in zip(axes, PANELS.items()):
        for name, group in by_preset(runs).items():
            if belongs(name):
                sequences = [point["sequences"] for point in group[0]["curve"]]
                errors = np.array([[point["val_mse_per_frame"] for point in run["curve"]] for run in group])
                (line,) = axis.plot(sequences, errors.mean(axis=0), label=name.split("_video_")[0])
                axis.fill_between(sequences, errors.min(axis=0), errors.max(axis=0), color=line.get_color(), alpha=0.2)
        axis.set(title=title, xlabel="sequences seen")
        axis.legend(fontsize=8)
    axes[0].set_ylabel("validation MSE, sum over a frame")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def over_seeds(group, score, digits):
    """Mean over the seeds, with the smallest and largest if there are several."""
    values = [run["scores"][score] for run in group]
    if None in values:  # PSNR where a dry frame is predicted exactly
        return "–"
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def print_table(runs, costs):
    columns = "preset", "seeds", "MSE", "MAE", "SSIM", "PSNR", "parameters", "10⁹ multiply-adds"
    columns = *columns, "training step, s", "training, min", "frames/s"
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")

    def order(item):
        name, group = item
        return name.split("_video_")[1], statistics.mean(run["scores"]["mse"] for run in group)

    for name, group in sorted(by_preset(runs).items(), key=order):
        scores = " | ".join(over_seeds(group, *each) for each in (("mse", 1), ("mae", 1), ("ssim", 3), ("psnr", 2)))
        cost, steps = costs[name], group[0]["settings"]["steps"]
        print(
            f"| `{name}` | {len(group)} | {scores} | {cost['parameters']:,} | {cost['multiply_adds'] / 1e9:.2f} "
            f"| {cost['training_step_seconds']:.2f} | {steps * cost['training_step_seconds'] / 60:.0f} "
            f"| {cost['frames_per_second']:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=pathlib.Path, help="folder with one finished training in each folder")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    runs = {path.parent.name: read_run(path.parent) for path in sorted(arguments.runs.glob("*/scores.json"))}
    costs_of = costs(list(by_preset(runs)), arguments.repeats)
    document = {**provenance(), "batch": BATCH, "repeats": arguments.repeats, "models": costs_of, "runs": runs}
    write(result_path("video_models", document), document)
    draw(runs, RESULTS / "video_models.png")
    print_table(runs, costs_of)


if __name__ == "__main__":
    main()
