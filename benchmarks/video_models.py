"""The small video models side by side: quality, size, speed and learning curves, all at the same budget.

    scs-keras train PRESET --data MNIST --output RUNS/NAME --set steps=1500 --set batch_size=8
        --set checkpoint_every=100 --set validate=32                                        for each preset
    scs-keras evaluate RUNS/NAME --data MNIST --limit 1000 --json RUNS/NAME/scores.json
    python benchmarks/video_models.py RUNS

(radar: steps=1000; more seeds: --set seed=1; ablations of TAU: benchmarks/README.md; each into a folder of its own).
Times the models of all trainings in RUNS in turn, in one process, and writes results/video_models_DATE_VERSION.json
with everything and results/video_models.png with the learning curves. Trainings of one preset with the same changed
arguments are one model, its seeds.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
from dataclasses import dataclass

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib
import numpy as np
import tensorflow as tf
from measuring import RESULTS, provenance, result_path, seconds, write

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from scs_keras import zoo
from scs_keras.training.checkpoint import cost_of
from scs_keras.training.costs import multiply_adds

BATCH = 8


@dataclass(frozen=True)
class Kind:
    """What the trainings of one model share.

    Attributes:
        preset: its name.
        arguments: (name, value) of those that were changed.
    """

    preset: str
    arguments: tuple = ()

    @classmethod
    def of(cls, run):
        """The kind of a run of `read_run`."""
        changed = run["settings"]["arguments"].items()
        return cls(run["settings"]["preset"], tuple((key, _hashable(value)) for key, value in sorted(changed)))

    @property
    def data(self):
        return self.preset.split("_video_")[1]

    def __str__(self):
        return ", ".join([self.preset, *(f"{key}={value}" for key, value in self.arguments)])

    @property
    def short(self):
        """Without the data: the name in a legend."""
        return str(self).replace(f"_video_{self.data}", "")


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


PANELS = {  # title: which kinds
    "Moving MNIST": lambda kind: kind.data.endswith("moving_mnist") and not kind.arguments,
    "Moving MNIST, ablations of TAU": lambda kind: kind.preset.startswith("tau") and kind.data.endswith("moving_mnist"),
    "Radar": lambda kind: kind.data.endswith("radar"),
}


def functions(model):
    """(prediction, training step) of a model, as functions without arguments."""
    shape = (BATCH, model.input_length + model.output_length, *model.preset.input_shape[1:])
    x, y = model.training_pair(tf.constant(np.random.default_rng(0).random(shape, "float32")))
    observed = x[:, : model.input_length]
    predict = tf.function(lambda: model(observed, training=False))
    return predict, lambda: tf.constant(np.ravel(model.train_on_batch(x, y))[0])


def costs(kinds, repeats):
    """{kind: size and speed}; times are medians of interleaved calls."""
    models = {kind: zoo.load(kind.preset, weights=None, **dict(kind.arguments)) for kind in kinds}
    calls = {kind: functions(model) for kind, model in models.items()}
    for pair in calls.values():
        for call in pair:
            call()
    times = {kind: ([], []) for kind in kinds}
    for _ in range(repeats):
        for kind, pair in calls.items():
            for call, each in zip(pair, times[kind]):
                each.append(seconds(call)[0])
    return {
        kind: dict(
            parameters=model.live_parameters,
            multiply_adds=multiply_adds(model, model.preset.input_shape),
            frames_per_second=round(BATCH * model.output_length / statistics.median(times[kind][0]), 1),
            training_step_seconds=round(statistics.median(times[kind][1]), 3),
        )
        for kind, model in models.items()
    }


def read_run(folder):
    """What a training left behind: settings, minutes, scores and the learning curve."""
    settings = json.loads((folder / "recipe.json").read_text())["settings"]
    with open(folder / "log.csv") as file:
        rows = [(float(row["loss"]), float(row["val_mse_per_frame"])) for row in csv.DictReader(file)]
    sequences = [settings["checkpoint_every"] * settings["batch_size"] * (i + 1) for i in range(len(rows))]
    scores = json.loads((folder / "scores.json").read_text())
    return dict(
        settings=settings,
        minutes_of_the_training=cost_of(folder / "checkpoint.weights.h5")[0],
        scored_on=f"{scores['data']} ({scores['samples']} sequences)",
        scores=scores["scores"]["model"],
        **{name: values for name, values in scores["scores"].items() if name != "model"},  # persistence, advection
        curve=[dict(sequences=n, loss=loss, val_mse_per_frame=mse) for n, (loss, mse) in zip(sequences, rows)],
    )


def by_kind(runs):
    """{kind: its runs, one a seed}"""
    groups = {}
    for run in runs.values():
        groups.setdefault(Kind.of(run), []).append(run)
    return groups


def draw(runs, path):
    """Learning curves: the mean over seeds, and from the smallest to the largest as a band."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.2))
    for axis, (title, belongs) in zip(axes, PANELS.items()):
        for kind, group in by_kind(runs).items():
            if belongs(kind):
                sequences = [point["sequences"] for point in group[0]["curve"]]
                errors = np.array([[point["val_mse_per_frame"] for point in run["curve"]] for run in group])
                (line,) = axis.plot(sequences, errors.mean(axis=0), label=kind.short)
                axis.fill_between(sequences, errors.min(axis=0), errors.max(axis=0), color=line.get_color(), alpha=0.2)
        axis.set(title=title, xlabel="sequences seen")
        if axis.lines:
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
    columns = "model", "seeds", "MSE", "MAE", "SSIM", "PSNR", "parameters", "10⁹ multiply-adds"
    columns = *columns, "training step, s", "training, min", "frames/s"
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")

    def order(item):
        kind, group = item
        return kind.data, statistics.mean(run["scores"]["mse"] for run in group)

    for kind, group in sorted(by_kind(runs).items(), key=order):
        scores = " | ".join(over_seeds(group, *each) for each in (("mse", 1), ("mae", 1), ("ssim", 3), ("psnr", 2)))
        cost, steps = costs[kind], group[0]["settings"]["steps"]
        print(
            f"| `{kind}` | {len(group)} | {scores} | {cost['parameters']:,} | {cost['multiply_adds'] / 1e9:.2f} "
            f"| {cost['training_step_seconds']:.2f} | {steps * cost['training_step_seconds'] / 60:.0f} "
            f"| {cost['frames_per_second']:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=pathlib.Path, help="folder with one finished training in each folder")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    runs = {path.parent.name: read_run(path.parent) for path in sorted(arguments.runs.glob("*/scores.json"))}
    costs_of = costs(list(by_kind(runs)), arguments.repeats)
    models = {str(kind): cost for kind, cost in costs_of.items()}
    document = {**provenance(), "batch": BATCH, "repeats": arguments.repeats, "models": models, "runs": runs}
    write(result_path("video_models", document), document)
    draw(runs, RESULTS / "video_models.png")
    print_table(runs, costs_of)


if __name__ == "__main__":
    main()
