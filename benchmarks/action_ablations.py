"""Tab. 3 on thermal clips: what of the paper's training helps an SCS to name an action.

    python benchmarks/action_ablations.py --data DIR --runs RUNS [--seeds 0 1 2] [--only ROW ...] [--set KEY=VALUE ...]

Trains scs_action_small_thermal on its fixed split without each part in turn and scores it on the validation part, for
each seed. What is done is not done again, so that it can be interrupted, and rows can be made by processes side by
side. Writes results/action_ablations_DATE_VERSION.json and prints the table: mean and spread over the seeds, and the
difference to the whole of the same seed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from measuring import provenance, result_path, write

PRESET = "scs_action_small_thermal"
WHOLE = dict(sub_goals="flow", switch="astsgd", clip_length=8)
ROWS = {  # of Tab. 3
    "whole": {},
    "without both sub-goals": dict(sub_goals="none", switch="stsgd"),  # ASTSGD needs T1's loss
    "without T2": dict(sub_goals="spatial"),
    "without ASTSGD": dict(switch="none"),
    "without LTSC": dict(clip_length=None),  # whole sequences: 16 frames fit into memory
    "main goal alone": dict(sub_goals="none", switch="none", clip_length=None),
}
METRICS = ("accuracy", "macro_f1")


def scs_keras(*arguments):
    subprocess.run([sys.executable, "-m", "scs_keras", *map(str, arguments)], check=True)


def run(row, seed, arguments):
    """The scores of a training of a row of the table, from the folder or of one now."""
    folder = arguments.runs / f"{row.replace(' ', '_')}_seed{seed}"
    scores = folder.with_suffix(".json")
    if not scores.exists():
        chosen = [f"model.{key}={json.dumps(value)}" for key, value in {**WHOLE, **ROWS[row]}.items()]
        settings = [part for each in (f"seed={seed}", *chosen, *arguments.set) for part in ("--set", each)]
        if not (folder / "model.weights.h5").exists():
            what = [folder] if (folder / "recipe.json").exists() else [PRESET, "--output", folder, *settings]
            scs_keras("train", *what, "--data", arguments.data, "--quiet")
        scs_keras("evaluate", folder, "--data", arguments.data, "--split", "val", "--json", scores)
    return json.loads(scores.read_text())["scores"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="these rows")
    parser.add_argument("--set", nargs="*", default=["steps=400"], help="settings of the trainings, KEY=VALUE")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    document = dict(provenance(), preset=PRESET, backend=os.environ.get("KERAS_BACKEND", "tensorflow"), runs=[])
    for row in arguments.only:
        for seed in arguments.seeds:
            scores = run(row, seed, arguments)
            document["runs"].append(dict(row=row, seed=seed, **{name: scores["model"][name] for name in METRICS}))
            document["baselines"] = {name: each for name, each in scores.items() if name != "model"}
    write(result_path("action_ablations", document), document)
    table(document)


def table(document):
    runs = {(run["row"], run["seed"]): run for run in document["runs"]}
    print("| Tab. 3 | accuracy | macro F1 | less whole |\n|---|---|---|---|")
    for row in dict.fromkeys(row for row, _ in runs):
        own = [run for (name, _), run in runs.items() if name == row]
        less = [
            run["macro_f1"] - runs["whole", run["seed"]]["macro_f1"] for run in own if ("whole", run["seed"]) in runs
        ]
        cells = [_spread([run[metric] for run in own]) for metric in METRICS]
        print(f"| {row} | {' | '.join(cells)} | {_spread(less) if less and row != 'whole' else ''} |")
    for name, scores in document["baselines"].items():
        print(f"| {name} | {' | '.join(f'{scores[metric]:.3f}' for metric in METRICS)} | |")


def _spread(values):
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


if __name__ == "__main__":
    main()
