"""Moving geometries (Fig. 2a, Tab. 3): directions of unseen geometries, geometries in disorder.

SCS, CNN + LSTM and ConvLSTM of 15,000 parameters. All see each frame through a strided convolution, answer by
the mean over the frames and train with Adam at that rate of three which did best on directions of the kind seen
in training. Three seeds each of

    fig2    the direction, tested on a geometry that was not in training; the geometry, trained on straight motion,
            tested on disordered: steps to 95 % on the kind seen, and what is lost on the unseen. A training ends after
            600 steps, or once 99 % of the seen kind are right three times in a row
    pairs   the direction; each geometry moves in two of the four in training and is tested on the others: always new
            sequences, then only 256 of them with twice the noise
    tab3    the ablations of Tab. 3 on the latter

Beside them stands a matching by correlation that learns nothing.

    python benchmarks/moving_geometries.py --runs RUNS                    all, about half an hour of one core
    python benchmarks/moving_geometries.py --runs RUNS --only tab3 --seeds 0

Each training's result is kept in RUNS and not made again, so that it can be interrupted. Writes
moving_geometries_DATE_VERSION.json and moving_geometries.png to benchmarks/results, and prints the tables.
"""

import argparse
import json
import math
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import geometries
import keras
import numpy as np
from geometry_tables import draw, tables
from keras import layers
from measuring import RESULTS, provenance, result_path, write

from scs_keras import ASTSGD, LTSC, STSGD, SCSModel, SCSNetwork, goals
from scs_keras.zoo.convlstm import ConvLSTMNetwork

BATCH = 16
EVERY = 25  # steps between looks
LOOK, TEST = 128, 768  # sequences of each kind in a look, and in the test at the end
CLIP = 5  # frames of a clip with LTSC
RATES = (3e-3, 1e-2, 3e-2)
TUNING_SEED = 100
STEPS = {"tune": 250, "fig2": 600, "pairs": 400, "tab3": 250}
STUDIES = [*STEPS][1:]
TASKS = {  # name: task of a seed
    "direction": lambda seed: geometries.unseen_geometry(seed % 4),
    "geometry": lambda seed: geometries.disordered_motion(),
    "pairs": lambda seed: geometries.unseen_pairs(),
    "pairs, 256 examples": lambda seed: geometries.unseen_pairs(noise=0.2, examples=256),
}
HARDEST = [*TASKS][-1]


@dataclass(frozen=True)
class Parts:
    """What of the paper's training an SCS has beside the main goal."""

    spatial: bool = True  # sub-goal of T1: the main target
    temporal: bool = True  # sub-goal of T2: the flow from the last frame
    switch: str | None = "astsgd"
    clips: str | None = "ltsc"  # "first": only the first clip of each sequence; None: whole sequences


PLAIN = Parts(False, False, None, None)
ROWS = {  # of Tab. 3
    "whole": Parts(),
    "without both sub-goals": Parts(spatial=False, temporal=False, switch="stsgd"),  # ASTSGD needs T1's loss
    "without T2": Parts(temporal=False),
    "without ASTSGD": Parts(switch=None),
    "without LTSC": Parts(clips="first"),  # with its memory: what is beyond one clip is not seen in training
    "main goal alone": PLAIN,  # gradients through all frames
}


@dataclass(frozen=True)
class Run:
    """One training."""

    task: str
    model: str
    seed: int
    rate: float
    steps: int
    stop: bool = False  # once the seen kind is learnt
    row: str = "main goal alone"

    @property
    def name(self):
        numbers = [f"rate{self.rate:g}", f"steps{self.steps}", f"seed{self.seed}"]
        return re.sub(r"[^\w.]+", "-", "_".join([self.task, self.model, self.row, *numbers]))


def convolution(filters):
    """Half the size; every model's convolutions of a frame are followed by batch normalisation, as in the paper."""
    return [layers.Conv2D(filters, 3, strides=2, padding="same"), layers.BatchNormalization(), layers.ReLU()]


def recurrent(network, **arguments):
    """A network of images behind the convolution; of its features the largest over the pixels count."""
    head = keras.Sequential([layers.TimeDistributed(layers.GlobalMaxPooling2D()), layers.Dense(4)])
    return SCSModel(network, head, backbone=keras.Sequential(convolution(8)), reduce="mean", **arguments)


def scs(parts):
    flow = dict(temporal_goal=goals.LastFrameFlow(2), temporal_head=layers.Dense(2)) if parts.temporal else {}
    return recurrent(SCSNetwork([16, 14, 12], normalization="batch"), **flow)


def convlstm(_):
    return recurrent(ConvLSTMNetwork([8, 8, 9]))


def cnn_lstm(_):
    frame = keras.Sequential([*convolution(8), *convolution(12), *convolution(12), layers.Flatten()])
    memory = layers.LSTM(24, return_sequences=True)
    return keras.Sequential([layers.TimeDistributed(frame), memory, layers.GlobalAveragePooling1D(), layers.Dense(4)])


MODELS = {"scs": scs, "cnn_lstm": cnn_lstm, "convlstm": convlstm}


def compiled(run):
    """The model of a run, ready to train."""
    parts, loss = ROWS[run.row], keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = MODELS[run.model](parts)
    extras = {}
    if parts.spatial:
        extras["spatial_loss"] = loss
    if parts.temporal:
        extras["temporal_loss"] = "mse"
    if parts.switch:
        astsgd = parts.switch == "astsgd"
        extras["switch"] = ASTSGD(initial_loss=math.log(4)) if astsgd else STSGD(0.5, decay_steps=run.steps)
    if parts.clips == "ltsc":
        extras["long_sequence"] = LTSC(CLIP)
    model.compile(keras.optimizers.Adam(run.rate), loss=loss, **extras)
    return model


def accuracy(model, frames, labels):
    """Share of right answers; predicts in batches of one size, so that nothing is compiled twice."""
    answers = [model.predict_on_batch(frames[at : at + LOOK]) for at in range(0, len(frames), LOOK)]
    return float(np.mean(np.concatenate(answers).argmax(axis=1) == labels))


def train(run):
    """Trains, looks every so many steps and tests at the end; a record for the results file."""
    keras.utils.set_random_seed(run.seed)
    task, begin = TASKS[run.task](run.seed), time.process_time()
    model = compiled(run)
    kinds = {"seen": True, "unseen": False}
    tests = {name: task.test(run.seed, TEST, seen) for name, seen in kinds.items()}
    looks = {name: task.test(10_000 + run.seed, LOOK, seen) for name, seen in kinds.items()}
    until = CLIP if ROWS[run.row].clips == "first" else None
    curve = []
    for step in range(run.steps):
        frames, labels = task.batch(run.seed, step, BATCH)
        model.train_on_batch(frames[:, :until], labels)
        if (step + 1) % EVERY == 0:
            curve.append(dict(step=step + 1, **{name: accuracy(model, *look) for name, look in looks.items()}))
            if run.stop and len(curve) >= 3 and min(look["seen"] for look in curve[-3:]) >= 0.99:
                break
    return dict(
        asdict(run),
        parameters=model.count_params(),
        processor_seconds=round(time.process_time() - begin, 1),
        steps_to_95=next((look["step"] for look in curve if look["seen"] >= 0.95), None),
        trained_steps=step + 1,
        **{name: accuracy(model, *test) for name, test in tests.items()},
        curve=curve,
    )


def kept(run, folder):
    """The record of a run from the folder, or of a training now."""
    path = folder / f"{run.name}.json"
    if not path.exists():
        keras.backend.clear_session()
        record = train(run)
        write(path, record)
        print(f"{run.name}: seen {record['seen']:.3f}, unseen {record['unseen']:.3f}, 95 % after "
              f"{record['steps_to_95']} steps, {record['processor_seconds']:.0f} s", flush=True)  # fmt: skip
    return json.loads(path.read_text())


def tuned(model, folder):
    """(the learning rate with the best mean accuracy of the looks at the seen kind, the runs it was chosen from)."""
    runs = [kept(Run("direction", model, TUNING_SEED, rate, STEPS["tune"]), folder) for rate in RATES]
    best = max(runs, key=lambda run: np.mean([look["seen"] for look in run["curve"]]))
    return best["rate"], runs


def planned(study, seed, rates):
    """The runs of a study with one seed, at each model's rate."""
    if study == "tab3":
        return [Run(HARDEST, "scs", seed, rates["scs"], STEPS[study], row=row) for row in ROWS]
    tasks = [task for task in TASKS if task.startswith("pairs") == (study == "pairs")]
    runs = [
        Run(task, model, seed, rates[model], STEPS[study], stop=study == "fig2") for task in tasks for model in MODELS
    ]
    if study == "pairs":  # where its rate fails: the lower one too
        runs.append(Run(HARDEST, "cnn_lstm", seed, RATES[0], STEPS[study]))
    return runs


def matched(task, seed):
    """The record of the matching that learns nothing, on the sequences of the test."""
    tests = {kind: TASKS[task](seed).test(seed, TEST, kind == "seen") for kind in ("seen", "unseen")}
    right = {
        kind: float(np.mean(TASKS[task](seed).matched(frames) == labels)) for kind, (frames, labels) in tests.items()
    }
    return dict(task=task, model="matching, nothing learnt", row="", rate=None, seed=seed, steps_to_95=0, **right)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder where the results of the trainings are kept")
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=STUDIES, help="these studies")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kept", action="store_true", help="train nothing: tables and picture of the results in RUNS")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    document = dict(provenance(), backend=keras.backend.backend(), runs=[])
    rates = {}
    for model in MODELS:
        rates[model], runs = tuned(model, arguments.runs)
        document["runs"] += [dict(study="tune", **each) for each in runs]
    for seed in arguments.seeds:
        for study in arguments.only:
            runs = planned(study, seed, rates)
            if study != "tab3":
                document["runs"] += [
                    dict(study=study, **matched(task, seed)) for task in {run.task: None for run in runs}
                ]
            for run in runs:
                if arguments.kept and not (arguments.runs / f"{run.name}.json").exists():
                    continue
                document["runs"].append(dict(study=study, **kept(run, arguments.runs)))
                write(result_path("moving_geometries", document, arguments.output), document)
    draw(document["runs"], arguments.output / "moving_geometries.png")
    print(tables(document["runs"]))


if __name__ == "__main__":
    main()
