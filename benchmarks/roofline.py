"""Multiply-adds per second of the video-prediction models, over what a plain convolution reaches on the same machine.

    python benchmarks/roofline.py                                    all models of the Moving MNIST table, batch 1
    python benchmarks/roofline.py --models tau predrnn --repeats 3

A training step counts as three forward passes (forward, gradients of inputs, gradients of weights). Writes
results/roofline_DATE_VERSION.json after each model.
"""

import argparse
import datetime
import json
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from speed import RESULTS, machine, seconds

import scs_keras
from scs_keras import zoo
from scs_keras.training.flops import multiply_adds

MODELS = (
    "tau", "simvp", "simvp_gsta", "convlstm", "predrnn", "predrnnpp", "predrnnv2", "mim", "e3dlstm", "phydnet", "mau",
    "crevnet", "scs",
)  # fmt: skip
PLAIN = dict(batch=16, size=32, channels=128)  # a 3x3 convolution that fills the machine


def plain_convolution(training):
    """A function of four chained plain convolutions, and the multiply-adds of their forward pass."""
    batch, size, channels = PLAIN.values()
    frames = tf.random.normal((batch, size, size, channels))
    kernels = [tf.Variable(tf.random.normal((3, 3, channels, channels)) / 34) for _ in range(4)]

    def forward():
        u = frames
        for kernel in kernels:
            u = tf.nn.conv2d(u, kernel, 1, "SAME")
        return u

    return as_step(forward, kernels, training), 4 * batch * size**2 * 9 * channels**2


def model_step(model, training):
    """One forward pass, or one forward and backward through the loss that `fit` would take."""
    observed, height, width, channels = model.preset.input_shape
    sequence = np.random.default_rng(0).random((1, observed + model.output_length, height, width, channels), "float32")
    if not training:
        frames = tf.constant(sequence[:, :observed])
        return tf.function(lambda: model(frames, training=False))
    x, y = model.training_pair(tf.constant(sequence))
    return as_step(lambda: tf.square(model(x, training=True) - y), model.trainable_variables, True)


def as_step(function, variables, training):
    @tf.function
    def step():
        if not training:
            return function()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function())
        return [each for each in tape.gradient(loss, variables) if each is not None]

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    head = {"date": datetime.date.today().isoformat(), "scs_keras": scs_keras.__version__, "tensorflow": tf.__version__}
    path = RESULTS / f"roofline_{head['date']}_{head['scs_keras']}.json"
    document = {**head, "machine": machine(), "plain": PLAIN, "repeats": arguments.repeats, "models": {}}
    plain = {training: plain_convolution(training) for training in (False, True)}
    print(f"{'':12}{'10^9 madd':>11}{'forward s':>11}{'of plain':>10}{'training s':>12}{'of plain':>10}")
    for name in arguments.models:
        model = zoo.load(f"{name}_video_moving_mnist", weights=None)
        row = {"multiply_adds": multiply_adds(model, model.preset.input_shape)}
        for training in (False, True):
            step, (convolution, amount) = model_step(model, training), plain[training]
            step(), convolution()
            times = [(seconds(step), seconds(convolution)) for _ in range(arguments.repeats)]
            # Processor time: other work on the machine then counts for neither.
            shares = [row["multiply_adds"] / own[1] / (amount / other[1]) for own, other in times]
            row["training" if training else "forward"] = {
                "seconds": round(statistics.median(own[0] for own, _ in times), 3),
                "processor_seconds": round(statistics.median(own[1] for own, _ in times), 3),
                "of_plain_convolution": round(statistics.median(shares), 3),
            }
        document["models"][name] = row
        path.write_text(json.dumps(document, indent=1) + "\n")
        forward, training = row["forward"], row["training"]
        print(
            f"{name:12}{row['multiply_adds'] / 1e9:11.2f}{forward['seconds']:11.2f}"
            f"{forward['of_plain_convolution']:10.2f}{training['seconds']:12.2f}"
            f"{training['of_plain_convolution']:10.2f}", flush=True,
        )  # fmt: skip
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
