"""Steering by 3 and 7 frames, three models and three probabilities of STSGD (Tab. 5), at a small scale.

    python benchmarks/driving_table5.py --data RC_CAR --runs RUNS               27 trainings, then the table
    python benchmarks/driving_table5.py --data RC_CAR --runs RUNS --jobs 9      each row in a process of its own
    python benchmarks/driving_table5.py --data RC_CAR --runs RUNS --only scs_3_p0.5 --seeds 0
    python benchmarks/driving_table5.py --data RC_CAR --runs RUNS --kept        table of what is in RUNS

The small models of the zoo, of as many parameters within a tenth, at one budget and with their recipe's settings; all
are scored on the same frames, those with six before them. The seeds of a row share a graph. Each training's result
is kept in RUNS and not made again. Writes driving_table5_DATE_VERSION.json to benchmarks/results: scores of every
seed, and of the baselines, also on straight road and in curves.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import RESULTS, provenance, result_path, write
from restarts import Restarts, in_processes, predicted

from scs_keras.training.evaluate import score
from scs_keras.training.run import recipe_of

METRICS = {"accuracy_6": "λ = 6", "accuracy_3": "λ = 3", "mse_units": "MSE", "mse": "MSE deg²", "r2": "R²"}


@dataclass(frozen=True)
class Row:
    """A row of the table: model, frames, and for SCS the initial probability of STSGD."""

    model: str
    frames: int
    p: float | None = None

    @property
    def name(self):
        return f"{self.model}_{self.frames}" + ("" if self.p is None else f"_p{self.p:g}")

    @property
    def preset(self):
        return f"{self.model}_driving_small_rc"

    @property
    def settings(self):
        p = [] if self.p is None else [f"model.p={self.p}", "model.switch=stsgd"]
        return [f"model.input_shape=[{self.frames},32,96,3]", *p]


ROWS = {
    row.name: row
    for row in (
        *(Row("scs", frames, p) for frames in (7, 3) for p in (0.0, 0.3, 0.5)),
        *(Row("lstm", frames) for frames in (7, 3)),
        Row("cnn", 1),
    )
}


def samples_of(recipe, folder):
    """The parts of the data, for `Restarts`."""
    return SimpleNamespace(**{split: recipe.samples(str(folder), split) for split in ("train", "val")})


def score_of(recipe, model, samples):
    """{"all": scores, "steering": {part: scores}} of a model on samples."""
    x = np.stack([samples[index][0] for index in range(len(samples))])
    degrees = predicted(model, recipe.changed_preset.preprocess(x))
    said = {"model": lambda x, about: degrees[[each["index"] for each in about]]}
    return plain(score(said, samples, lambda: empty(recipe.changed_preset))["model"])


def empty(preset):
    from scs_keras.training.task import task

    return task(preset.task).empty_scores(preset)


def plain(scores):
    return {"all": scores.result(), "steering": scores.parts()["steering"]}


def train(row, arguments):
    """Trains a row with each seed that is asked for and not done."""
    missing = [seed for seed in arguments.seeds if not path_of(row, seed, arguments).exists()]
    if not missing:
        return
    settings = [*row.settings, f"steps={arguments.steps}", *arguments.set]
    import keras

    recipe = recipe_of(row.preset, settings)
    recipe.check()
    parts, restarts = samples_of(recipe, arguments.data), Restarts(recipe)
    for seed in missing:
        begin = time.time()
        model, losses = restarts.trained(seed, parts)
        trained = time.time()
        record = dict(
            row=row.name, seed=seed, steps=arguments.steps, settings=settings, parameters=model.count_params(),
            backend=keras.backend.backend(),
            scores=score_of(recipe, model, parts.val), losses=losses,
            seconds=dict(training=round(trained - begin, 1), scoring=round(time.time() - trained, 1)),
        )  # fmt: skip
        write(path_of(row, seed, arguments), record)
        found = record["scores"]["all"]
        print(f"{row.name}, seed {seed}: R² {found['r2']:.3f}, λ = 6 {found['accuracy_6']:.3f}, {record['seconds']}")


def path_of(row, seed, arguments):
    return arguments.runs / f"{row.name}_steps{arguments.steps}_seed{seed}.json"


def baselines(arguments):
    """{name: scores} of what the models have to beat, on the same frames."""
    recipe = recipe_of("scs_driving_small_rc", arguments.set)
    parts = samples_of(recipe, arguments.data)
    from scs_keras.training.task import task

    said = task(recipe.task).baselines_of(recipe.changed_preset, parts.val, lambda: parts.train)
    scored = score(said, parts.val, lambda: empty(recipe.changed_preset), batch_size=64)
    return {name: plain(each) for name, each in scored.items()}


def table(document):
    """Markdown: the rows with mean and standard deviation over the seeds, then the baselines."""
    lines = [f"| | frames | seeds | {' | '.join(METRICS.values())} | R² in curves |", "|---" * (4 + len(METRICS)) + "|"]
    for name, row in ROWS.items():
        runs = [run["scores"] for run in document["runs"] if run["row"] == name]
        if runs:
            title = row.model + ("" if row.p is None else f", p = {row.p:g}")
            lines.append(line([title, str(row.frames), str(len(runs))], runs))
    lines += [line([name, "", ""], [scores]) for name, scores in document["baselines"].items()]
    return "\n".join(lines)


def line(cells, runs):
    def cell(values, metric):
        if None in values:
            return "-"
        digits = {"mse": 1, "mse_units": 4}.get(metric, 3)
        spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{spread}"

    curve = [next((each for part, each in run["steering"].items() if part.startswith("curve")), {}) for run in runs]
    cells = [*cells, *(cell([run["all"][metric] for run in runs], metric) for metric in METRICS)]
    return f"| {' | '.join([*cells, cell([each.get('r2') for each in curve], 'r2')])} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder rc_car_csc3520")
    parser.add_argument("--runs", type=Path, required=True, help="folder where the results of the trainings are kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, help="these rows, and no table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--set", nargs="*", default=[], help="settings of the trainings, KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=0, help="rows at a time, each in a process of its own")
    parser.add_argument("--kept", action="store_true", help="train nothing: table of the results in RUNS")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    rows = arguments.only or list(ROWS)
    if arguments.jobs:
        in_processes(arguments.jobs, [["--only", name] for name in rows])
    elif not arguments.kept:
        for name in rows:
            train(ROWS[name], arguments)
    if arguments.only and not arguments.kept:
        return  # another process makes the rest
    paths = [path_of(ROWS[name], seed, arguments) for name in rows for seed in arguments.seeds]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    document = dict(provenance(), runs=runs, baselines=baselines(arguments))
    write(result_path("driving_table5", document, arguments.output), document)
    print(table(document))


if __name__ == "__main__":
    main()
