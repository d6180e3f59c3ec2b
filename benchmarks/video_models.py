"""The small video models side by side: quality, size, speed and learning curves, all at the same budget.

    scs-keras train video_prediction --data MNIST --output RUNS/NAME --set preset=NAME --set dataset=moving_mnist
        --set steps=1500 --set batch_size=8 --set checkpoint_every=100 --set validate=32      for each preset NAME
    scs-keras evaluate NAME --weights RUNS/NAME/model.weights.h5 --data MNIST --limit 1000 --json RUNS/NAME/scores.json
    python benchmarks/video_models.py RUNS

(radar: dataset=radar, steps=1000). Times the models of all trainings in RUNS in turn, in one process, and writes
results/video_models_DATE_VERSION.json with everything and results/video_models.png with the learning curves.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib
import numpy as np
import tensorflow as tf
from speed import RESULTS, machine, seconds

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import scs_keras
from scs_keras import zoo
from scs_keras.training.flops import multiply_adds

BATCH = 8
PANELS = {  # title: which presets
    "Moving MNIST": lambda name: name.endswith("moving_mnist") and "_no_" not in name,
    "Moving MNIST, ablations of TAU": lambda name: name.startswith("tau") and name.endswith("moving_mnist"),
    "Radar": lambda name: name.endswith("radar"),
}


def functions(preset):
    """(prediction, training step) of a model at its initial weights, as functions without arguments."""
    model = zoo.load(preset.name, weights=None)
    length = model.input_length + model.output_length
    shape = (BATCH, length, *preset.input_shape[1:])
    x, y = model.training_pair(tf.constant(np.random.default_rng(0).random(shape, "float32")))
    observed = x[:, : model.input_length]
    predict = tf.function(lambda: model(observed, training=False))
    return predict, lambda: tf.constant(np.ravel(model.train_on_batch(x, y))[0])


def times(presets, repeats):
    """{name: (seconds of a prediction, seconds of a training step)}, medians of interleaved calls."""
    calls = {preset.name: functions(preset) for preset in presets}
    for pair in calls.values():
        for call in pair:
            call()
    measured = {name: ([], []) for name in calls}
    for _ in range(repeats):
        for name, pair in calls.items():
            for call, each in zip(pair, measured[name]):
                each.append(seconds(call)[0])
    return {name: tuple(statistics.median(each) for each in pair) for name, pair in measured.items()}


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


def draw(runs, path):
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.2))
    for axis, (title, belongs) in zip(axes, PANELS.items()):
        for name, run in runs.items():
            if belongs(name):
                label = name.split("_video_")[0]
                curve = run["curve"]
                axis.plot([p["sequences"] for p in curve], [p["val_mse_per_frame"] for p in curve], label=label)
        axis.set(title=title, xlabel="sequences seen")
        axis.legend(fontsize=8)
    axes[0].set_ylabel("validation MSE, sum over a frame")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def print_table(runs):
    print("| preset | MSE | MAE | SSIM | PSNR | parameters | 10⁹ multiply-adds | step, s | training, min | frames/s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, run in sorted(runs.items(), key=lambda item: (item[1]["scored_on"], item[1]["scores"]["mse"])):
        s = run["scores"]
        psnr = "–" if s["psnr"] is None else f"{s['psnr']:.2f}"  # none where a dry frame is predicted exactly
        print(
            f"| `{name}` | {s['mse']:.1f} | {s['mae']:.1f} | {s['ssim']:.3f} | {psnr} "
            f"| {run['parameters']:,} | {run['multiply_adds'] / 1e9:.2f} | {run['training_step_seconds']:.2f} "
            f"| {run['training_minutes']:.0f} | {run['frames_per_second']:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=pathlib.Path, help="folder with one finished training in each folder")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    runs = {path.parent.name: read_run(path.parent) for path in sorted(arguments.runs.glob("*/scores.json"))}
    presets = [zoo.get_preset(run["settings"]["preset"]) for run in runs.values()]
    measured = times(presets, arguments.repeats)
    for preset, run in zip(presets, runs.values()):
        prediction, step = measured[preset.name]
        model = zoo.load(preset.name, weights=None)
        run["parameters"] = model.live_parameters
        run["multiply_adds"] = multiply_adds(model, preset.input_shape)
        run["frames_per_second"] = round(BATCH * model.output_length / prediction, 1)
        run["training_step_seconds"] = round(step, 3)
        run["training_minutes"] = round(run["settings"]["steps"] * step / 60, 1)
    head = {"date": datetime.date.today().isoformat(), "scs_keras": scs_keras.__version__, "tensorflow": tf.__version__}
    document = {**head, "machine": machine(), "batch": BATCH, "repeats": arguments.repeats, "runs": runs}
    path = RESULTS / f"video_models_{head['date']}_{head['scs_keras']}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    draw(runs, RESULTS / "video_models.png")
    print_table(runs)


if __name__ == "__main__":
    main()
