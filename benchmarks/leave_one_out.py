"""Forecasts of radars that a model never saw: one training per source with the files of all others.

    python benchmarks/leave_one_out.py --data DIR --runs RUNS [--steps 400] [--stride 6] [--only mch fmi]

A source is what the names of its files begin with. Each model trains on all files of the other sources and is scored on
all files of its own, every so many images. Runs that are done are not run again, so that it can be interrupted.
Writes results/leave_one_out_DATE_VERSION.json: for each source the scores of all forecasts and their differences
from the baselines with intervals, and the pooled ratios of squared errors.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from measuring import provenance, result_path, write

LISTED = ("mse", "csi_0.5", "csi_2", "csi_5", "csi_10")
TOLD = ("mean", "matched", "scale_filter", "advection", "sprog", "persistence")


def sources(data):
    """{source: names of its files}."""
    found = {}
    for path in sorted(data.glob("*.npz")):
        found.setdefault(path.name.split("_")[0], []).append(path.name)
    return found


def folder_of(data, runs, source, files):
    """A folder of links in which the source is the validation part and all others are for training."""
    folder = runs / f"data_{source}"
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for each in files.values() for name in each]
    for name in names:
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    split = {"train": [name for name in names if name not in files[source]], "val": files[source]}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def scs_keras(*arguments):
    subprocess.run([sys.executable, "-m", "scs_keras", *map(str, arguments)], check=True)


def run(source, folder, arguments):
    """Trains and scores the model that did not see a source; gives what `evaluate` writes."""
    run, scores = arguments.runs / source, arguments.runs / f"{source}.json"
    if not scores.exists():
        settings = [f"steps={arguments.steps}", "exclude=none", *arguments.set]
        if not (run / "model.weights.h5").exists():
            what = [] if (run / "recipe.json").exists() else [part for each in settings for part in ("--set", each)]
            scs_keras("train", arguments.recipe, "--data", folder, "--output", run, *what)
        options = ["--split", "val", "--stride", arguments.stride, "--json", scores]
        options += ["--baselines", arguments.baselines] if arguments.baselines else []
        scs_keras("evaluate", run, "--data", folder, *options)
    return json.loads(scores.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--recipe", default="precipitation_nowcast")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--stride", type=int, default=6)
    parser.add_argument("--set", nargs="*", default=[], help="more settings of the training, KEY=VALUE")
    parser.add_argument("--only", nargs="*", help="these sources")
    parser.add_argument("--baselines", choices=("pysteps", "sprog"), help="score pysteps' nowcasts too, or S-PROG")
    arguments = parser.parse_args()
    start, files = provenance(), sources(arguments.data)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    document = {**start, "steps": arguments.steps, "stride": arguments.stride, "sources": {}}
    path = result_path("leave_one_out", start)
    for source in arguments.only or files:
        scored = run(source, folder_of(arguments.data, arguments.runs, source, files), arguments)
        parts = ("samples", "scores", "intervals", "differences", "events")
        document["sources"][source] = {name: scored[name] for name in parts if name in scored}
        write(path, document)
    table(document["sources"])


def table(results):
    """Squared errors over advection's, and CSI, for each source and forecast."""
    print(f"{'':10}{'':14}{'MSE/advection':>14}" + "".join(f"{name:>10}" for name in LISTED[1:]))
    for source, result in results.items():
        of_advection = result["scores"]["advection"]["mse"]
        for name in TOLD:
            if name in result["scores"]:
                scores = result["scores"][name]
                cells = "".join("         -" if scores[key] is None else f"{scores[key]:10.3f}" for key in LISTED[1:])
                print(f"{source:10}{name:14}{scores['mse'] / of_advection:14.3f}{cells}")


if __name__ == "__main__":
    main()
