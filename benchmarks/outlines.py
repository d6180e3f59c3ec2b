"""Fig. 5c and Tab. 4 on generated outlines: does depth help semi-coupled layers, and does it break ConvLSTMs?

Polygons of at most 20 vertices (`--vertices`) on textured ground, 64x64 pixels, a grid of 16x16 cells; recurrent layers
16 channels wide behind the same small encoder, one 1x1 convolution to a logit a cell (`head="map"`). Same batches,
steps and learning rate for all.

    scs         T1 and T2 learn the next vertex too, STSGD from p 0.5 (Sec. 5.6), initial gains as in the zoo
    convlstm    as Keras makes them
    convlstm_norm, convlstm_gain    the deepest: with group normalisation; with input kernels twice as large
    scs_norm                        the deepest: with group normalisation in place of the initial gains
    scs_p0.2, scs_p0.8              the deepest: another initial p (Fig. 5c)

    python benchmarks/outlines.py --runs RUNS                              all, 3 seeds
    python benchmarks/outlines.py --runs RUNS --only scs_15 convlstm_15 --seeds 0
    python benchmarks/outlines.py --runs RUNS --kept                       tables and picture of what is in RUNS
    python benchmarks/outlines.py --runs RUNS --before                     how much of the input reaches the output

Each training is a process of its own, whose result is kept in RUNS and not made again, so that it can be interrupted.
Writes outlines_DATE_VERSION.json and outlines.png to benchmarks/results, and prints the table.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import RESULTS, provenance, result_path, write

DEPTHS, SEEDS = (2, 5, 10, 15), (0, 1, 2)
WIDTH, GRID, SIDE = 16, 16, 64
LOOK, TEST = 32, 256  # outlines that are drawn at each look, and at the end
SHOWN, BEFORE = 8, "before.json"  # outlines that an untrained model sees, and what is kept of it
VARIANTS = ("convlstm_norm", "convlstm_gain", "scs_norm", "scs_p0.2", "scs_p0.8")
GAIN = 2.0


class Budget(NamedTuple):
    """What all trainings have in common.

    Attributes:
        steps: of training.
        batch: outlines a step.
        vertices: of an outline, at most.
        every: steps from look to look.
        rate: of Adam.
    """

    steps: int = 1500
    batch: int = 32
    vertices: int = 20
    every: int = 250
    rate: float = 2e-3

    def path(self, runs, name, seed):
        return runs / f"{name}_seed{seed}_steps{self.steps}_batch{self.batch}_vertices{self.vertices}.json"


def names_of(depths):
    """The networks at each depth, and the variants at the greatest."""
    names = [f"{network}_{depth}" for network in ("scs", "convlstm") for depth in depths]
    return names + [f"{name}_{max(depths)}" for name in VARIANTS]


def parts_of(name):
    """(network, variant, depth) of a name such as "convlstm_norm_15"; None if it is none."""
    found = re.fullmatch(r"(scs|convlstm)(?:_(norm|(?<=convlstm_)gain|(?<=scs_)p0\.\d))?_(\d+)", name)
    return found and (found[1], found[2] or "", int(found[3]))


def model_of(name, budget):
    """The compiled model of a name."""
    from scs_keras import zoo
    from scs_keras.zoo.gains import GAINS

    network, variant, depth = parts_of(name)
    if network == "scs":
        signal = dict(normalization="group") if variant == "norm" else GAINS
        own = dict(
            arguments=dict(structure=[WIDTH] * depth, **signal), sub_goals="same", switch="stsgd",
            decay_steps=budget.steps, probability=float(variant[1:]) if variant.startswith("p") else 0.5,
        )  # fmt: skip
    else:
        own = dict(arguments=dict(filters=[WIDTH] * depth, normalization="group" if variant == "norm" else None))
    preset = {"scs": "polygon_scs_outline_small_coco", "convlstm": "polygon_lstm_outline_small_coco"}[network]
    same = dict(
        steps=budget.vertices + 1, image_size=(SIDE, SIDE), grid=GRID, features=WIDTH,
        backbone_arguments=dict(filters=(16, 32, 32, 32)), head="map", offsets=False, auxiliary=0.0, spread=0.0,
        learning_rate=budget.rate,
    )  # fmt: skip
    model = zoo.load(preset, weights=None, **same, **own)
    if variant == "gain":
        for layer in model.network.recurrent_layers:
            layer.cell.kernel.assign(GAIN * layer.cell.kernel)
    return model


def parts(budget):
    """(learnt, tested): outlines without end, and `TEST` others."""
    from scs_keras.training.outline.samples import GeneratedSamples

    return [GeneratedSamples(f"part {part}", (SIDE, SIDE), GRID, budget.vertices + 1, part, TEST) for part in (0, 1)]


def bounds(budget):
    """{name: IoU} of what needs no training on the tested outlines: box, ellipse, mean mask, and the grid's ceiling."""
    from scs_keras.training.evaluate import score
    from scs_keras.training.outline.baselines import baselines
    from scs_keras.training.outline.scores import OutlineScores

    learnt, tested = parts(budget)
    sizes = SimpleNamespace(arguments=dict(image_size=(SIDE, SIDE), grid=GRID, steps=budget.vertices + 1))
    scores = score(baselines(sizes, tested, lambda: learnt), tested, OutlineScores)
    return {name: each.result()["iou"] for name, each in scores.items()}


def spread_before_training(name, budget):
    """How far the log-probabilities of an untrained model differ from outline to outline: the standard deviation over
    outlines, averaged over steps and cells, mean of `SEEDS`. Close to 0, nothing of the input comes through."""
    import keras

    found = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model = model_of(name, budget)
        x, _, _ = parts(budget)[0].batch(0, SHOWN, seed)
        logs = keras.ops.convert_to_numpy(model(model.preset.preprocess(x)))
        found.append(float(np.std(logs, axis=0).mean()))
    return float(np.mean(found))


def train(name, seed, budget):
    """The record of a training."""
    import keras

    from scs_keras.training.evaluate import score
    from scs_keras.training.outline.predictors import predictors
    from scs_keras.training.outline.scores import OutlineScores
    from scs_keras.training.samples import training_dataset

    keras.utils.set_random_seed(seed)
    model, begin = model_of(name, budget), time.perf_counter()
    learnt, tested = parts(budget)

    def measured(count):
        return score(predictors(model), tested, OutlineScores, count, batch_size=LOOK)["model"].result()

    def batches(step):
        made = training_dataset(learnt, budget.batch, seed, step)  # of tf.data on TensorFlow
        made = made.as_numpy_iterator() if hasattr(made, "as_numpy_iterator") else made
        return ((model.preset.preprocess(x), y, weight) for x, y, weight in made)

    curve = []
    every = budget.every
    for step in range(every, budget.steps + 1, every):
        logs = model.fit(batches(step - every), steps_per_epoch=every, epochs=1, shuffle=False, verbose=0).history
        curve.append(dict(step=step, iou=measured(LOOK)["iou"], **{key: value[0] for key, value in logs.items()}))
    network, variant, depth = parts_of(name)
    parameters = sum(int(np.prod(each.shape)) for each in model.network.trainable_variables)
    return dict(
        name=name, network=network, variant=variant, depth=depth, seed=seed, budget=budget._asdict(),
        recurrent_parameters=parameters, seconds=round(time.perf_counter() - begin, 1), backend=keras.backend.backend(),
        **measured(TEST), curve=curve,
    )  # fmt: skip


def own_process(name, seed, budget, runs):
    """Trains in a process of its own, unless the result is there; False where that failed."""
    if budget.path(runs, name, seed).exists():
        return True
    command = [sys.executable, __file__, "--runs", runs, "--one", name, "--seeds", seed]
    for each in ("steps", "batch", "vertices", "every"):
        command += [f"--{each}", getattr(budget, each)]
    return subprocess.run([*map(str, command)]).returncode == 0


def one(name, seed, budget, runs):
    if os.environ.get("KERAS_BACKEND") == "jax":  # the seeds of a model share what XLA compiled
        import jax

        jax.config.update("jax_compilation_cache_dir", str((runs / "jax_cache").resolve()))
    record = train(name, seed, budget)
    write(budget.path(runs, name, seed), record)
    print(
        f"{name} seed {seed}: IoU {record['iou']:.3f}, {record['failed']:.0f} failed, {record['seconds']:.0f} s",
        flush=True,
    )


# Tables and picture ---------------------------------------------------------------------------------------------------


def in_order(records):
    """The names in the records: as they are, then the variants, by depth."""
    return sorted({record["name"] for record in records}, key=lambda name: (bool(parts_of(name)[1]), parts_of(name)))


def table(records, beside):
    """Lines: mean IoU over the seeds with the lowest and highest, of each name, accuracy and loss of the last steps
    where the vertices before are the true ones; then what needs no training."""
    titles = ("parameters", "IoU", "lowest", "highest", "failed", "accuracy", "loss", "seeds")
    lines = [f"{'':18}" + "".join(f"{title:>11}" for title in titles)]
    for name in in_order(records):
        mine = [record for record in records if record["name"] == name]
        ious, last = [record["iou"] for record in mine], [record["curve"][-1] for record in mine]
        accuracy = np.mean([look["accuracy"] for look in last])
        loss = np.mean([look.get("main_loss", look["loss"]) for look in last])
        lines.append(
            f"{name:18}{mine[0]['recurrent_parameters']:>11,}{np.mean(ious):>11.3f}{min(ious):>11.3f}{max(ious):>11.3f}"
            f"{np.mean([record['failed'] for record in mine]):>11.0f}{accuracy:>11.3f}{loss:>11.2f}{len(mine):>11}"
        )
    return "\n".join([*lines, *(f"{name:29}{iou:>11.3f}" for name, iou in beside.items())])


def draw(records, beside, path):
    """Learning curves of each depth, semi-coupled layers beside ConvLSTMs, and of the deep variants: IoU, and below it
    the accuracy of a vertex where those before it are the true ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scs_keras.zoo.files import written_beside

    figure = Figure(figsize=(10, 5.6), dpi=120)
    FigureCanvasAgg(figure)
    names, deepest = in_order(records), max(record["depth"] for record in records)
    groups = {
        "semi-coupled layers": [name for name in names if parts_of(name)[:2] == ("scs", "")],
        "ConvLSTM layers": [name for name in names if parts_of(name)[:2] == ("convlstm", "")],
        f"{deepest} layers": [name for name in names if parts_of(name)[2] == deepest],
    }
    rows = {"iou": "IoU", "accuracy": "accuracy, true vertices before"}
    axes = figure.subplots(len(rows), len(groups), sharex=True, sharey="row")
    for (metric, label), places in zip(rows.items(), axes):
        places[0].set_ylabel(label)
        for place, (title, names) in zip(places, groups.items()):
            for name in names:
                curves = [each["curve"] for each in records if each["name"] == name]
                values = np.mean([[look[metric] for look in curve] for curve in curves], axis=0)
                place.plot([look["step"] for look in curves[0]], values, label=name)
            if metric == "iou":
                place.axhline(beside["ellipse"], color="grey", linestyle=":", label="ellipse in the box")
                place.set_title(title)
            else:
                place.set(xlabel="steps")
    axes[0, 0].set_ylim(0)  # of the whole row, once all curves are there
    for place in axes[0]:
        place.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    with written_beside(path) as file:
        figure.savefig(file, format="png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder where the results of the trainings are kept")
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS), help="variants have the greatest")
    parser.add_argument("--only", nargs="+", help=f"these models, for example {' '.join(names_of(DEPTHS)[-5:-2])}")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=Budget().steps, help="of each training")
    parser.add_argument("--batch", type=int, default=Budget().batch, help="outlines of a step")
    parser.add_argument("--vertices", type=int, default=Budget().vertices, help="of an outline, at most, from 4")
    parser.add_argument("--every", type=int, default=Budget().every, help="steps after which outlines are drawn")
    parser.add_argument("--before", action="store_true", help="train nothing: does the input reach the output?")
    parser.add_argument("--kept", action="store_true", help="train nothing: table and picture of the results in RUNS")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    budget = Budget(arguments.steps, arguments.batch, arguments.vertices, arguments.every)
    if budget.steps < budget.every or budget.steps % budget.every:
        parser.error(f"--steps must be a multiple of --every, {budget.every}")
    names = arguments.only or names_of(arguments.depths)
    if unknown := [name for name in names if not parts_of(name)]:
        parser.error(f"--only {unknown[0]}: a name is one of {' '.join(names_of(arguments.depths))}")
    runs = arguments.runs
    runs.mkdir(parents=True, exist_ok=True)
    before = json.loads((runs / BEFORE).read_text()) if (runs / BEFORE).exists() else {}
    if arguments.before:
        for name in names:
            before[name] = spread_before_training(name, budget)
            print(f"{name:18}{before[name]:>12.2e}", flush=True)
            write(runs / BEFORE, before)
        return
    if arguments.one:
        return one(arguments.one, arguments.seeds[0], budget, runs)
    if not arguments.kept:
        for seed in arguments.seeds:
            for name in names:
                if not own_process(name, seed, budget, runs):
                    print(f"{name} seed {seed} failed; the same command tries it again.", file=sys.stderr)
    records = [json.loads(path.read_text()) for path in sorted(runs.glob(budget.path(runs, "*", "*").name))]
    if not records:
        parser.error(f"there are no results of {budget.steps} steps, {budget.batch} outlines each, in {runs}")
    beside = bounds(budget)
    document = dict(provenance(), beside=beside, before=before, runs=records)
    write(result_path("outlines", document, arguments.output), document)
    draw(records, beside, arguments.output / "outlines.png")
    print(table(records, beside))


if __name__ == "__main__":
    main()
