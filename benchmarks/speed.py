"""Speed of SCS2D and SCSNetwork against ConvLSTM2D, RNN(SCSCell) and the bare convolutions, on TensorFlow.

    python benchmarks/speed.py --dtype float32
    python benchmarks/speed.py --dtype mixed_bfloat16 --repeats 5
    python benchmarks/speed.py --quick                      # a small stack, to see that it works

Everything runs in one process, one after the other in every round and in another order each time, so
that whatever else the machine does meets all of them alike. Dtypes and modes that are run separately end
up in the same result file. What is measured: benchmarks/README.md.
"""

import argparse
import os
import random
import statistics
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring import begun, provenance, result_path, seconds, write

from scs_keras.core.cell import SCSCell
from scs_keras.core.layer import SCS2D
from scs_keras.core.network import SCSNetwork
from scs_keras.core.switch import STSGD

FILTERS = [128] * 9 + [64] * 3 + [32] * 2 + [8]  # the outline demo's network
SHAPE = (4, 10, 28, 28, 131)  # batch, time, height, width, channels
QUICK_FILTERS = [128, 128, 64, 32, 8]
REFERENCES = ("ConvLSTM2D", "RNN(SCSCell)", "floor")


class Floor:
    """The three convolutions of every layer alone: no gates, no biases, no loss, chained.

    Both halves over the input see (batch * time, ...), the recurrent one (batch, ...) once a step.
    The next layer sees the spatial half, the next step the recurrent one; each end gets a gradient of ones.
    """

    def __init__(self, filters, shape):
        draw, channels = keras.initializers.GlorotNormal(seed=0), [shape[-1], *filters]
        self.kernels = [
            [tf.Variable(draw((3, 3, c, f))) for c in (before, before, f)] for before, f in zip(channels, filters)
        ]
        self.trainable_variables = [kernel for layer in self.kernels for kernel in layer]
        self.length = shape[1]

    def __call__(self, frames, training=False):
        dtype = keras.config.dtype_policy().compute_dtype
        u, ends = tf.cast(tf.reshape(frames, (-1, *frames.shape[2:])), dtype), []
        for spatial, temporal, recurrent in self.kernels:
            kernel = tf.cast(recurrent, dtype)
            gate = tf.zeros((frames.shape[0], *u.shape[1:3], kernel.shape[-1]), dtype)
            for _ in range(self.length):
                gate = tf.nn.conv2d(gate, kernel, 1, "SAME")
            ends += [gate, tf.nn.conv2d(u, tf.cast(temporal, dtype), 1, "SAME")]
            u = tf.nn.conv2d(u, tf.cast(spatial, dtype), 1, "SAME")
        return [u, *ends]


def stack(make_layer, filters):
    return lambda: keras.Sequential([make_layer(each) for each in filters])


def contenders(filters, shape, extra):
    """{name: function that makes a model}; the first ones are those the project has targets for."""
    conv_lstm = dict(kernel_size=3, padding="same", return_sequences=True)
    models = {
        "SCS2D": stack(SCS2D, filters),
        "SCSNetwork": lambda: SCSNetwork(filters),
        "SCS2D, dynamic loop": stack(lambda f: SCS2D(f, unroll=False), filters),
        "ConvLSTM2D": stack(lambda f: keras.layers.ConvLSTM2D(f, **conv_lstm), filters),
        "RNN(SCSCell)": stack(lambda f: keras.layers.RNN(SCSCell(f), return_sequences=True), filters),
        "floor": lambda: Floor(filters, shape),
    }
    variants = {
        "RNN(SCSCell), unrolled": stack(
            lambda f: keras.layers.RNN(SCSCell(f), return_sequences=True, unroll=True), filters
        ),
        "SCSNetwork + STSGD": lambda: SCSNetwork(filters, switch=STSGD(0.5)),
        "SCSNetwork + batch norm": lambda: SCSNetwork(filters, normalization="batch"),
        "SCSNetwork + group norm": lambda: SCSNetwork(filters, normalization="group"),
    }
    return {"SCSNetwork": models["SCSNetwork"], **variants} if extra else models


def compiled(model, frames, training):
    """A function without arguments: forward, or forward and backward through a sum of the outputs."""

    @tf.function
    def forward():
        return model(frames, training=False)

    @tf.function
    def forward_and_backward():
        with tf.GradientTape() as tape:
            ends = model(frames, training=True)
        # The gradient of ones is that of the outputs' sum, without computing it.
        return tape.gradient(ends, model.trainable_variables, tf.nest.map_structure(tf.ones_like, ends))

    return forward_and_backward if training else forward


def measure(models, frames, repeats, training):
    """{name: [seconds of each round]}; one call before the first round traces and warms up."""
    functions = {name: compiled(model, frames, training) for name, model in models.items()}
    for function in functions.values():
        function()
    times, order = {name: [] for name in functions}, list(functions)
    shuffle = random.Random(0).shuffle
    for _ in range(repeats):
        shuffle(order)
        for name in order:
            times[name].append(seconds(functions[name]))
    return times


def summary(times, references):
    """{name: medians, ratios to the references (the median of the rounds' ratios) and the rounds themselves}."""
    rows = {}
    for name, row in times.items():
        rows[name] = {}
        for index, kind in enumerate(("clock", "processor")):
            own = [each[index] for each in row]
            ratios = {
                reference: statistics.median(a / b[index] for a, b in zip(own, times[reference]))
                for reference in references
            }
            rows[name][kind] = {
                "median_s": round(statistics.median(own), 4),
                "ratio_to": {reference: round(ratio, 3) for reference, ratio in ratios.items()},
                "seconds": [round(each, 4) for each in own],
            }
    return rows


def print_table(title, rows, references):
    for kind in ("clock", "processor"):
        head = "".join(f"{'/ ' + reference:>16}" for reference in references)
        print(f"\n{title + ', ' + kind:42}{'median s':>10}{head}")
        for name, row in rows.items():
            ratios = "".join(f"{row[kind]['ratio_to'][reference]:16.3f}" for reference in references)
            print(f"{name:42}{row[kind]['median_s']:10.3f}{ratios}", flush=True)


def add_to_file(path, start, dtype, mode, run):
    """Writes one run into the result file, beside those that are there, if they are of the same machine."""
    document = begun(path, start)
    document.setdefault("runs", {}).setdefault(dtype, {})[mode] = run
    write(path, document)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16", "mixed_float16"))
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help=f"a stack of {QUICK_FILTERS}; a file only with --output")
    parser.add_argument("--mode", choices=("forward", "training", "both"), default="both")
    parser.add_argument("--extra", action="store_true", help="cost of the switch and of normalisation instead")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these contenders")
    parser.add_argument("--output", type=Path, default=None, help="default: one of the day and version in results/")
    arguments = parser.parse_args()

    keras.config.set_dtype_policy(arguments.dtype)
    keras.utils.set_random_seed(0)
    filters = QUICK_FILTERS if arguments.quick else FILTERS
    frames = tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")
    chosen = {
        name: make
        for name, make in contenders(filters, SHAPE, arguments.extra).items()
        if arguments.only is None or name in arguments.only
    }
    models = {name: make() for name, make in chosen.items()}
    for model in models.values():
        model(frames[:1, :1] if not isinstance(model, Floor) else frames)  # makes the weights
    references = [name for name in (*REFERENCES, *(["SCSNetwork"] * arguments.extra)) if name in models]

    start = provenance()
    command = start.pop("command")  # one file holds the runs of several
    named = result_path("speed_extra" if arguments.extra else "speed", start)
    path = arguments.output or (None if arguments.quick else named)
    for mode in ("forward", "training") if arguments.mode == "both" else (arguments.mode,):
        times = measure(models, frames, arguments.repeats, training=mode == "training")
        rows = summary(times, references)
        print_table(f"{arguments.dtype}, {mode}", rows, references)
        if path is not None:
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # above the cores: others ran too
            run = dict(
                command=command, filters=filters, input=SHAPE, repeats=arguments.repeats, load_average=load, rows=rows
            )
            add_to_file(path, start, arguments.dtype, mode, run)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
