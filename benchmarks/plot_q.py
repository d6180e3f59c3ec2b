"""q during a training with ASTSGD, like the paper's Fig. 4 b: near 1 first, then towards q0 = 0.5.

    python benchmarks/plot_q.py

Two small trainings on squares that move one pixel a frame: which of four directions (cross-entropy, initial
loss ln 4) and the next frame (mean squared error, some hundredths). Writes q.png and q_DATE_VERSION.json to
benchmarks/results.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from measuring import RESULTS, provenance, result_path, write

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from scs_keras import ASTSGD, SCSModel, SCSNetwork, Stage

SIZE, STEPS, SAMPLES, BATCH, EPOCHS = 10, 6, 384, 32, 15
DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))
LOGGED = ("main_loss", "spatial_loss", "q")


def squares(seed):
    """Frames (SAMPLES, STEPS + 1, SIZE, SIZE, 1) of a 3x3 square that moves around the edges, and its direction."""
    random = np.random.default_rng(seed)
    direction = random.integers(0, 4, SAMPLES)
    corner = random.integers(0, SIZE, (SAMPLES, 2))
    frames = np.zeros((SAMPLES, STEPS + 1, SIZE, SIZE, 1), "float32")
    for sample, step in np.ndindex(SAMPLES, STEPS + 1):
        top_left = corner[sample] + step * np.array(DIRECTIONS[direction[sample]])
        rows, columns = (top_left[:, None] + np.arange(3)) % SIZE
        frames[sample, step][np.ix_(rows, columns)] = 1
    return frames, direction


def train(head, average, loss, x, y):
    """One row (main loss, spatial loss, q) for every epoch."""
    keras.utils.set_random_seed(0)
    network = SCSNetwork([Stage(12, layers=2)], spatial_initializer=keras.initializers.VarianceScaling(8.0, "fan_avg"))
    model = SCSModel(network, head, average=average)
    model.compile(
        keras.optimizers.Adam(5e-3), loss, spatial_loss=loss, temporal_loss=loss, switch=ASTSGD(q0=0.5, keep_one=True)
    )
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0).history
    return [[float(history[name][epoch]) for name in LOGGED] for epoch in range(EPOCHS)]


def draw(curves, path):
    figure, axes = plt.subplots(1, len(curves), figsize=(10, 3.8))
    for axis, (name, rows) in zip(axes, curves.items()):
        main, spatial, q = np.transpose(rows)
        epochs = np.arange(1, len(rows) + 1)
        axis.plot(epochs, q, color="C3", linewidth=2, label="q")
        axis.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
        axis.set(title=name, xlabel="epoch", ylabel="q", ylim=(0, 1.05))
        losses = axis.twinx()
        losses.plot(epochs, main, color="C0", linestyle="--", label="L_g")
        losses.plot(epochs, spatial, color="C2", linestyle="--", label="L_s")
        losses.set(ylabel="loss", ylim=(0, None))
        lines = [*axis.get_lines()[:1], *losses.get_lines()]
        axis.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    keras.utils.set_random_seed(0)  # the head is made before `train`
    frames, direction = squares(seed=0)
    classes = keras.Sequential(
        [keras.layers.TimeDistributed(keras.layers.GlobalMaxPooling2D()), keras.layers.Dense(4, activation="softmax")]
    )
    curves = {
        "direction (cross-entropy)": train(classes, True, "sparse_categorical_crossentropy", frames[:, :-1], direction),
        "next frame (mean squared error)": train(keras.layers.Dense(1), False, "mse", frames[:, :-1], frames[:, 1:]),
    }
    draw(curves, RESULTS / "q.png")
    start = provenance()
    write(result_path("q", start), {**start, "columns": LOGGED, "epochs": curves})


if __name__ == "__main__":
    main()
