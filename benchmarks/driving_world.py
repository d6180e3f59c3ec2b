"""How much a road asks of time (Tab. 6), in a generated world where the answer is known.

    python benchmarks/driving_world.py --runs RUNS                              six trainings, then table and picture
    python benchmarks/driving_world.py --runs RUNS --jobs 2                     each world in a process of its own
    python benchmarks/driving_world.py --runs RUNS --only world --seeds 0 1     these alone
    python benchmarks/driving_world.py --runs RUNS --kept                       table and picture of what is in RUNS

Trains the small SCS model with r_s = r_t = g on drives of `scs_keras.training.driving.world`: seven frames that lead to
a road, whose last frame tells the way on a straight road, nearly always in a curve, and by chance alone at a T-junction
(one of 2) or at crossroads (one of 3). T1 sees single frames, so it is asked of the last one; T2 remembers. In the
control world the last frame tells all, so T2 - T1 must be about 0. A way is right if of the road's ways it is the one
whose angle is nearest; Eq. 24 stands beside it. The seeds of a world share a graph. Each training's result is
kept in RUNS and not made again. Writes driving_world_DATE_VERSION.json and driving_world.png to benchmarks/results.
"""

import argparse
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from driving_world_tables import draw, tables
from measuring import RESULTS, provenance, result_path, write
from restarts import Restarts, in_processes, predicted

from scs_keras.training.driving.world import ROADS, World, best_single_frame, nearest_way
from scs_keras.training.importance import STREAMS
from scs_keras.training.run import recipe_of

PRESET = "scs_driving_small_rc"
SETTINGS = (
    "model.input_shape=[7,32,96,3]", "model.sub_goals=same", "model.switch=none", "model.dropout=0.0",
    "batch_size=32", "learning_rate=0.003",
)  # fmt: skip
WORLDS = ("world", "control")
FITTED, PENALTY = 1920, 1e5  # drives that the regression is fitted on, weight of its squared coefficients


class AllStreams(keras.Model):
    """What T, T1 and T2 of a model say, as one model whose `predict` is compiled."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, x):
        return self.model(x, stream=STREAMS, training=False)


def scores(degrees, world):
    """{road: {metric: value}} of angles (count,) said of a world's test drives."""
    found = {}
    for index, road in enumerate(ROADS):
        of_road = world.drives.road == index
        error = np.abs(degrees[of_road] - world.drives.degrees[of_road])
        right = nearest_way(road, degrees[of_road]) == world.drives.way[of_road]
        accuracy = {f"eq24_{limit}": float(np.minimum(limit / (error + 1e-7), 1).mean()) for limit in (3, 6)}
        found[road] = dict(right=float(right.mean()), **accuracy, count=int(of_road.sum()))
    return found


def baselines(kind):
    """{name: scores} of a world's linear regressions, on the last frame and on all seven at half the size."""
    train, test = (World(split=split, control=kind == "control", count=FITTED) for split in ("train", "test"))
    test = World(split="test", control=kind == "control")

    def small(frames):  # grey, half the size
        count, times, height, width, _ = frames.shape
        grey = frames.mean(axis=-1, dtype="float32")
        return grey.reshape(count, times, height // 2, 2, width // 2, 2).mean(axis=(3, 5))

    fitted, asked = small(train.frames), small(test.frames)
    found = {}
    for name, part in (("ridge on the last frame", slice(-1, None)), ("ridge on all frames", slice(None))):
        x, others = (each[:, part].reshape(len(each), -1) for each in (fitted, asked))
        mean, target = x.mean(axis=0), train.drives.degrees
        x, others = x - mean, others - mean
        kernel = x @ x.T + PENALTY * np.eye(len(x))
        found[name] = scores(others @ x.T @ np.linalg.solve(kernel, target - target.mean()) + target.mean(), test)
    return found


def train(restarts, kind, seed, steps):
    """Trains with a seed and scores the three streams on the test drives; a record for the results file."""
    parts = SimpleNamespace(train=World(control=kind == "control"))
    test, begin = World(split="test", control=kind == "control"), time.time()
    model, losses = restarts.trained(seed, parts)
    trained = time.time()
    x = restarts.recipe.changed_preset.preprocess(test.frames)
    if not hasattr(restarts, "streams"):
        restarts.streams = AllStreams(model)
    said = predicted(restarts.streams, x)
    return dict(
        world=kind,
        seed=seed,
        steps=steps,
        parameters=model.count_params(),
        backend=keras.backend.backend(),
        seconds=dict(training=round(trained - begin, 1), scoring=round(time.time() - trained, 1)),
        streams={name: scores(degrees[:, 0], test) for name, degrees in said.items()},
        losses=losses,
    )


def path_of(kind, seed, arguments):
    return arguments.runs / f"{kind}_steps{arguments.steps}_seed{seed}.json"


def make(kinds, arguments):
    """Trains what is asked for and not done."""
    restarts = None
    for kind, seed in ((kind, seed) for kind in kinds for seed in arguments.seeds):
        path = path_of(kind, seed, arguments)
        if path.exists():
            continue
        settings = [*SETTINGS, f"steps={arguments.steps}", *arguments.set]
        restarts = restarts or Restarts(recipe_of(PRESET, settings))
        record = dict(train(restarts, kind, seed, arguments.steps), settings=settings)
        write(path, record)
        right = {name: [round(each[road]["right"], 2) for road in ROADS] for name, each in record["streams"].items()}
        print(f"{path.stem}: right by road {right}, {record['seconds']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder where the results of the trainings are kept")
    parser.add_argument("--only", nargs="+", choices=WORLDS, help="these worlds, and no table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--set", nargs="*", default=[], help="settings of the trainings, KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=0, help="worlds at a time, each in a process of its own")
    parser.add_argument("--kept", action="store_true", help="train nothing: table and picture of the results in RUNS")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    kinds = arguments.only or WORLDS
    if arguments.jobs:
        in_processes(arguments.jobs, [["--only", kind] for kind in kinds])
    elif not arguments.kept:
        make(kinds, arguments)
    if arguments.only and not arguments.kept:
        return  # another process makes the rest
    paths = [path_of(kind, seed, arguments) for kind in kinds for seed in arguments.seeds]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    best = {kind: {road: best_single_frame(road, kind == "control") for road in ROADS} for kind in WORLDS}
    document = dict(provenance(), best_single_frame=best, runs=runs)
    document["baselines"] = {kind: baselines(kind) for kind in WORLDS}
    write(result_path("driving_world", document, arguments.output), document)
    draw(document, arguments.output / "driving_world.png")
    print(tables(document))


if __name__ == "__main__":
    main()
