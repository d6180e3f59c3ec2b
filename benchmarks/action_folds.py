"""Action recognition over all folds of a data set: each clip, or frame, is predicted by a model that did not see it.

    python benchmarks/action_folds.py fight --data DIR --runs RUNS [--only MODEL ...] [--set KEY=VALUE ...]
    python benchmarks/action_folds.py thermal --data DIR --runs RUNS

fight: five folds, divided by source video. thermal: seven, one for each recording. Each model is trained and scored for
each fold; what is done is not done again, so that it can be interrupted and goes on under the same command. Writes
results/action_folds_DATA_DATE_VERSION.json after every fold: for each model its scores over all folds together (the
confusion matrices added up), those of each fold, what it says of clips in reverse and with shuffled frames, and the
baselines.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from measuring import provenance, result_path, write

from scs_keras.training.action.scores import recalls, scores_of

FOLDS = {"fight": 5, "thermal": 7}
MODELS = ("scs", "lrcn", "convlstm")
OF_MODELS = ("model", "reversed", "shuffled")  # what `evaluate --controls` scores of one; all else are baselines


def scs_keras(*arguments):
    subprocess.run([sys.executable, "-m", "scs_keras", *map(str, arguments)], check=True)


def run(preset, fold, folds, arguments):
    """Trains and scores the model that did not see a fold; gives what `evaluate` writes."""
    folder = arguments.runs / f"{preset}_fold_{fold}"
    scores = folder.with_suffix(".json")
    if not scores.exists():
        if not (folder / "model.weights.h5").exists():
            settings = [part for each in (f"fold={fold}", f"folds={folds}", *arguments.set) for part in ("--set", each)]
            what = [folder] if (folder / "recipe.json").exists() else [preset, "--output", folder, *settings]
            scs_keras("train", *what, "--data", arguments.data, "--quiet")
        options = ["--fold", fold, "--folds", folds, "--split", "val", "--controls", "--json", scores]
        scs_keras("evaluate", folder, "--data", arguments.data, *options)
    return json.loads(scores.read_text())


def pooled(scored):
    """{prediction: scores over all folds together, and their spread} of what `evaluate` wrote for each fold."""
    found = {}
    for name in scored[0]["confusion"]:
        matrices = [np.array(each["confusion"][name]) for each in scored]
        total = sum(matrices)
        by_fold = [scores_of(matrix) for matrix in matrices]
        found[name] = {
            **scores_of(total),
            "count": int(total.sum()),
            "recall": dict(zip(scored[0]["labels"], recalls(total))),
            "confusion": total.tolist(),
            "folds": by_fold,
            "spread": {metric: float(np.std([each[metric] for each in by_fold])) for metric in by_fold[0]},
        }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=sorted(FOLDS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=MODELS, choices=MODELS, help="these models")
    parser.add_argument("--set", nargs="*", default=[], help="settings of the trainings, KEY=VALUE")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start, folds = provenance(), FOLDS[arguments.dataset]
    document = {**start, "dataset": arguments.dataset, "folds": folds, "models": {}, "baselines": {}}
    path = result_path(f"action_folds_{arguments.dataset}", start)
    for model in arguments.only:
        preset, scored = f"{model}_action_small_{arguments.dataset}", []
        for fold in range(1, folds + 1):
            scored.append(run(preset, fold, folds, arguments))
            results = pooled(scored)
            document["models"][preset] = {"folds_done": fold, **{name: results[name] for name in OF_MODELS}}
            baselines = {name: each for name, each in results.items() if name not in OF_MODELS}
            if fold == folds or not document["baselines"]:  # the same beside every model
                document["baselines"] = baselines
            write(path, document)
    table(document)


def table(document):
    """Scores of all predictions over all folds together, with the spread of the folds."""
    rows = {
        **{f"{name}: {kind}": each[kind] for name, each in document["models"].items() for kind in OF_MODELS},
        **document["baselines"],
    }
    labels = next(iter(rows.values()))["recall"]
    print("| | accuracy | of folds | macro F1 | of folds | " + " | ".join(f"recall {label}" for label in labels) + " |")
    print("|---" * (5 + len(labels)) + "|")
    for name, each in rows.items():
        cells = [f"{each[key]:.3f} | ± {each['spread'][key]:.3f}" for key in ("accuracy", "macro_f1")]
        recall = ["-" if value is None else f"{value:.2f}" for value in each["recall"].values()]
        print(f"| {name} | {' | '.join([*cells, *recall])} |")


if __name__ == "__main__":
    main()
