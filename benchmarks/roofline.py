"""Multiply-adds per second of the video-prediction models, over what a plain convolution reaches on the same machine.

    python benchmarks/roofline.py                                    all models of the Moving MNIST table, batch 1
    python benchmarks/roofline.py --models predrnn --batch 8 --repeats 1

A training step counts as three forward passes (forward, gradients of inputs, gradients of weights). Beside the rate
stands why it is what it is: the share of the time that TensorFlow's profile gives to convolutions and products of
matrices, and so the rate that these reach by themselves; the rest is everything that has no multiply-adds to count.
Writes results/roofline_DATE_VERSION.json after each model, beside the models that are there.
"""

import argparse
import os
import statistics

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring import begun, profile, provenance, result_path, seconds, write

from scs_keras import zoo
from scs_keras.training.costs import multiply_adds

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


def model_step(model, training, batch=1):
    """One forward pass, or one forward and backward through the loss that `fit` would take."""
    observed, height, width, channels = model.preset.input_shape
    shape = (batch, observed + model.output_length, height, width, channels)
    sequence = np.random.default_rng(0).random(shape, "float32")
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


def measure(step, amount, convolution, plain_amount, repeats):
    """One row: times, the share of the plain convolution's rate, and by profile where the time goes."""
    step(), convolution()
    times = [(seconds(step), seconds(convolution)) for _ in range(repeats)]
    # Processor time: other work on the machine then counts for neither.
    shares = [amount / own[1] / (plain_amount / plain[1]) for own, plain in times]
    operations = profile(step)
    whole = sum(operations.values())
    # "Depthwise" ones too: they are counted as multiply-adds.
    products = sum(time for name, time in operations.items() if "Conv" in name or "MatMul" in name) / whole
    of_plain = statistics.median(shares)
    return {
        "seconds": round(statistics.median(own[0] for own, _ in times), 3),
        "processor_seconds": round(statistics.median(own[1] for own, _ in times), 3),
        "of_plain_convolution": round(of_plain, 3),
        "range": [round(min(shares), 3), round(max(shares), 3)],
        "share_of_convolutions_and_products": round(products, 3),
        "convolutions_and_products_of_plain": round(of_plain / products, 3),
        "operations": {name: round(time / whole, 3) for name, time in operations.most_common(10)},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    start = provenance()
    command = start.pop("command")  # one file holds the models of several
    path = result_path("roofline", start)
    document = begun(path, {**start, "plain": PLAIN, "models": {}})
    plain = {training: plain_convolution(training) for training in (False, True)}
    print(f"{'':12}{'10^9 madd':>11}" + f"{'seconds':>11}{'of plain':>10}{'products':>10}{'theirs':>8}" * 2)
    for name in arguments.models:
        model = zoo.load(f"{name}_video_moving_mnist", weights=None)
        amount = multiply_adds(model, model.preset.input_shape)
        row = {"command": command, "multiply_adds": amount, "batch": arguments.batch, "repeats": arguments.repeats}
        for training, kind in ((False, "forward"), (True, "training")):
            step = model_step(model, training, arguments.batch)
            row[kind] = measure(step, arguments.batch * amount, *plain[training], arguments.repeats)
        document["models"][name if arguments.batch == 1 else f"{name}, batch {arguments.batch}"] = row
        write(path, document)
        print(
            f"{name:12}{amount / 1e9:11.2f}"
            + "".join(
                f"{row[kind]['seconds']:11.2f}{row[kind]['of_plain_convolution']:10.2f}"
                f"{row[kind]['share_of_convolutions_and_products']:10.2f}"
                f"{row[kind]['convolutions_and_products_of_plain']:8.2f}"
                for kind in ("forward", "training")
            ),
            flush=True,
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
