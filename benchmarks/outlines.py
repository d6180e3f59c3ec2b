"""Fig. 5c and Tab. 4 on generated outlines: does depth help semi-coupled layers, and does it break ConvLSTMs?

Polygons of at most 20 vertices on textured ground, 64x64 pixels, a grid of 16x16 cells; recurrent layers 16 channels
wide behind the same small encoder, one 1x1 convolution to a logit a cell (`head="map"`). Same batches, steps and
learning rate for all.

    scs         T1 and T2 learn the next vertex too, STSGD from p 0.5 (Sec. 5.6), initial gains as in the zoo
    convlstm    as Keras makes them
    convlstm_norm, convlstm_gain    15 layers: with group normalisation; with input kernels twice as large
    scs_p0.2, scs_p0.8              15 layers: another initial p (Fig. 5c)

    python benchmarks/outlines.py --runs RUNS                              all, 3 seeds
    python benchmarks/outlines.py --runs RUNS --only scs_15 convlstm_15 --seeds 0
    python benchmarks/outlines.py --runs RUNS --kept                       tables and picture of what is in RUNS

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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import RESULTS, provenance, result_path, write

DEPTHS, SEEDS = (2, 5, 10, 15), (0, 1, 2)
WIDTH, GRID, SIDE, VERTICES = 16, 16, 64, 20
STEPS, BATCH, RATE, EVERY = 1500, 32, 2e-3, 250
LOOK, TEST = 64, 256  # outlines that are drawn at each look, and at the end
DEEP = DEPTHS[-1]
VARIANTS = ("convlstm_norm", "convlstm_gain", "scs_p0.2", "scs_p0.8")
NAMES = [f"{network}_{depth}" for network in ("scs", "convlstm") for depth in DEPTHS]
NAMES += [f"{name}_{DEEP}" for name in VARIANTS]
GAIN = 2.0


def parts_of(name):
    """(network, variant, depth) of a name such as "convlstm_norm_15"."""
    network, variant, depth = re.fullmatch(r"(scs|convlstm)(?:_(norm|gain|p0\.\d))?_(\d+)", name).groups()
    return network, variant or "", int(depth)


def model_of(name, steps):
    """The compiled model of a name."""
    from scs_keras import zoo
    from scs_keras.zoo.gains import GAINS

    network, variant, depth = parts_of(name)
    if network == "scs":
        own = dict(
            arguments=dict(structure=[WIDTH] * depth, **GAINS), sub_goals="same", switch="stsgd", decay_steps=steps,
            probability=float(variant[1:]) if variant else 0.5,
        )  # fmt: skip
    else:
        own = dict(arguments=dict(filters=[WIDTH] * depth, normalization="group" if variant == "norm" else None))
    preset = {"scs": "polygon_scs_outline_small_coco", "convlstm": "polygon_lstm_outline_small_coco"}[network]
    same = dict(
        steps=VERTICES + 1, image_size=(SIDE, SIDE), grid=GRID, backbone_arguments=dict(filters=(16, 32, 32, 32)),
        features=WIDTH, head="map", offsets=False, auxiliary=0.0, spread=0.0, learning_rate=RATE,
    )  # fmt: skip
    model = zoo.load(preset, weights=None, **same, **own)
    if variant == "gain":
        for layer in model.network.recurrent_layers:
            layer.cell.kernel.assign(GAIN * layer.cell.kernel)
    return model


def train(name, seed, steps):
    """The record of a training."""
    import keras

    from scs_keras.training.evaluate import score
    from scs_keras.training.outline.predictors import predictors
    from scs_keras.training.outline.samples import GeneratedSamples
    from scs_keras.training.outline.scores import OutlineScores
    from scs_keras.training.samples import training_dataset

    keras.utils.set_random_seed(seed)
    model, begin = model_of(name, steps), time.perf_counter()
    made = (GeneratedSamples(f"part {part}", (SIDE, SIDE), GRID, VERTICES + 1, part, TEST) for part in (0, 1))
    learnt, tested = made

    def measured(count):
        return score(predictors(model), tested, OutlineScores, count, batch_size=LOOK)["model"].result()

    def batches(step):
        made = training_dataset(learnt, BATCH, seed, step)  # of tf.data on TensorFlow
        made = made.as_numpy_iterator() if hasattr(made, "as_numpy_iterator") else made
        return ((model.preset.preprocess(x), y, weight) for x, y, weight in made)

    curve = []
    for step in range(EVERY, steps + 1, EVERY):
        logs = model.fit(batches(step - EVERY), steps_per_epoch=EVERY, epochs=1, shuffle=False, verbose=0).history
        curve.append(dict(step=step, iou=measured(LOOK)["iou"], **{key: value[0] for key, value in logs.items()}))
    network, variant, depth = parts_of(name)
    parameters = sum(int(np.prod(each.shape)) for each in model.network.trainable_variables)
    return dict(
        name=name, network=network, variant=variant, depth=depth, seed=seed, steps=steps, batch=BATCH, rate=RATE,
        recurrent_parameters=parameters, seconds=round(time.perf_counter() - begin, 1), backend=keras.backend.backend(),
        **measured(TEST), curve=curve,
    )  # fmt: skip


def own_process(name, seed, steps, runs):
    """Trains in a process of its own, unless the result is there; False where that failed."""
    path = runs / f"{name}_seed{seed}_steps{steps}.json"
    if path.exists():
        return True
    command = [
        sys.executable,
        __file__,
        "--runs",
        str(runs),
        "--one",
        name,
        "--seeds",
        str(seed),
        "--steps",
        str(steps),
    ]
    return subprocess.run(command).returncode == 0


def one(name, seed, steps, runs):
    if os.environ.get("KERAS_BACKEND") == "jax":  # the seeds of a model share what XLA compiled
        import jax

        jax.config.update("jax_compilation_cache_dir", str((runs / "jax_cache").resolve()))
    record = train(name, seed, steps)
    write(runs / f"{name}_seed{seed}_steps{steps}.json", record)
    print(
        f"{name} seed {seed}: IoU {record['iou']:.3f}, {record['failed']:.0f} failed, {record['seconds']:.0f} s",
        flush=True,
    )


# Tables and picture ---------------------------------------------------------------------------------------------------


def table(records):
    """Lines: mean IoU over the seeds with the lowest and highest, of each name."""
    lines = [f"{'':18}{'parameters':>12}{'IoU':>8}{'lowest':>8}{'highest':>9}{'failed':>8}{'seeds':>7}"]
    for name in [each for each in NAMES if any(record["name"] == each for record in records)]:
        mine = [record for record in records if record["name"] == name]
        ious = [record["iou"] for record in mine]
        lines.append(
            f"{name:18}{mine[0]['recurrent_parameters']:>12,}{np.mean(ious):>8.3f}{min(ious):>8.3f}{max(ious):>9.3f}"
            f"{np.mean([record['failed'] for record in mine]):>8.0f}{len(mine):>7}"
        )
    return "\n".join(lines)


def draw(records, path):
    """Learning curves of each depth, semi-coupled layers beside ConvLSTMs, and of the deep variants."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scs_keras.zoo.files import written_beside

    figure = Figure(figsize=(10, 3.4), dpi=120)
    FigureCanvasAgg(figure)
    groups = {
        "semi-coupled layers": [f"scs_{depth}" for depth in DEPTHS],
        "ConvLSTM layers": [f"convlstm_{depth}" for depth in DEPTHS],
        f"{DEEP} layers": [f"scs_{DEEP}", f"convlstm_{DEEP}", *(f"{name}_{DEEP}" for name in VARIANTS)],
    }
    axes = figure.subplots(1, len(groups), sharey=True)
    for place, (title, names) in zip(axes, groups.items()):
        for name in names:
            curves = [[look["iou"] for look in each["curve"]] for each in records if each["name"] == name]
            if curves:
                steps = [look["step"] for look in next(each for each in records if each["name"] == name)["curve"]]
                length = min(map(len, curves))
                place.plot(steps[:length], np.mean([each[:length] for each in curves], axis=0), label=name)
        place.set(title=title, xlabel="steps", ylim=(0, 1))
        if place.lines:
            place.legend(fontsize=7, loc="lower right", frameon=False)
    axes[0].set_ylabel("IoU")
    figure.tight_layout()
    with written_beside(path) as beside:
        figure.savefig(beside, format="png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder where the results of the trainings are kept")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these models")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each training, a multiple of {EVERY}")
    parser.add_argument("--kept", action="store_true", help="train nothing: table and picture of the results in RUNS")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < EVERY or arguments.steps % EVERY:
        parser.error(f"--steps must be a multiple of {EVERY}")
    runs = arguments.runs
    runs.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        return one(arguments.one, arguments.seeds[0], arguments.steps, runs)
    if not arguments.kept:
        for seed in arguments.seeds:
            for name in arguments.only:
                if not own_process(name, seed, arguments.steps, runs):
                    print(f"{name} seed {seed} failed; the same command tries it again.", file=sys.stderr)
    pattern = f"*_steps{arguments.steps}.json"
    records = [json.loads(path.read_text()) for path in sorted(runs.glob(pattern))]
    if not records:
        parser.error(f"there are no results of {arguments.steps} steps in {runs}")
    document = dict(provenance(), runs=records)
    write(result_path("outlines", document, arguments.output), document)
    draw(records, arguments.output / "outlines.png")
    print(table(records))


if __name__ == "__main__":
    main()
