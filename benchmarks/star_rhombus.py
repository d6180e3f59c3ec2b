"""The star-and-rhombus study (Sec. 5.3): how many frames ago was the star seen?

A sequence shows one star, at a random place in one of its first frames, and rhombuses at random places in
all others. At every frame from the star on, the model tells how many frames ago the star was seen; frames
before it have no answer and weight 0. It trains on clips of 8 frames (`LTSC`): no gradient spans more than
7 steps. The three ways of carrying the state are compared at equal budget, "end" also without the overlap
loss: there Eq. 23 pulls the second view of the shared frames, which has seen them twice and counts further, back
to the first, and a counter cannot hold both.

    python benchmarks/star_rhombus.py                                full study
    python benchmarks/star_rhombus.py --ways aligned --seeds 0       one training

Writes star_rhombus_DATE_VERSION.json and star_rhombus.png to benchmarks/results.
"""

import argparse
import os
import pathlib
import time
from dataclasses import asdict, dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from scs_keras import LTSC, SCSModel, SCSNetwork, Stage

RESULTS = pathlib.Path(__file__).parent / "results"
# How clips are linked: name: (carry, overlap_weight).
WAYS = {"aligned": ("aligned", 1.0), "end": ("end", 1.0), "end, no Eq. 23": ("end", 0.0), "none": ("none", 1.0)}
SIZE = 12  # pixels of a frame's side
SHAPE = 5  # pixels of a shape's side
STAR = np.array([list(row) for row in ("10101", "01110", "11111", "01110", "10101")], "float32")
RHOMBUS = np.array([list(row) for row in ("00100", "01110", "11111", "01110", "00100")], "float32")


@dataclass(frozen=True)
class Study:
    """What all trainings share."""

    steps: int = 72  # frames of a sequence
    latest_star: int = 20  # the star is in one of the frames 0 ... latest_star
    clip: int = 8  # frames of a clip
    units: int = 16  # filters of an SCS layer
    layers: int = 2
    samples: int = 512  # training sequences
    test_samples: int = 256
    batch: int = 32
    updates: int = 1000  # optimiser steps
    rate: float = 3e-3  # first learning rate, falls to 0 along a cosine
    compiled: bool = True  # by XLA: a minute more at the start, half the time afterwards

    @property
    def farthest(self):
        """The largest distance that every sequence reaches."""
        return self.steps - 1 - self.latest_star


@keras.saving.register_keras_serializable("star_rhombus")
class SelfExcitation(keras.initializers.Initializer):
    """A recurrent kernel whose gates see only themselves, `gain` times.

    With gain 4 and a gate bias of -2 a gate steps from g to sigmoid(4 g - 2): the slope at its resting
    value 1/2 is 1, so it forgets as slowly as a single gate can, without being stuck at either end.
    """

    def __init__(self, gain=4.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        kernel = np.zeros(shape, "float32")
        kernel[tuple(size // 2 for size in shape[:-2])] = self.gain * np.eye(*shape[-2:])
        return ops.convert_to_tensor(kernel, dtype=dtype)

    def get_config(self):
        return {"gain": self.gain}


def sequences(samples, steps, latest_star, seed):
    """Sequences of frames with one star each.

    Returns:
        frames: float32 (samples, steps, SIZE, SIZE, 1), 0 or 1.
        distance: float32 (samples, steps, 1), frames since the star; 0 before it.
        weight: float32 (samples, steps), 0 before the star, 1 from it on.
    """
    random = np.random.default_rng(seed)
    star = random.integers(0, latest_star + 1, samples)
    corner = random.integers(0, SIZE - SHAPE + 1, (samples, steps, 2))
    frames = np.zeros((samples, steps, SIZE, SIZE, 1), "float32")
    for sample, step in np.ndindex(samples, steps):
        top, left = corner[sample, step]
        image = STAR if star[sample] == step else RHOMBUS
        frames[sample, step, top : top + SHAPE, left : left + SHAPE, 0] = image
    since = np.arange(steps) - star[:, None]
    return frames, np.maximum(since, 0)[..., None].astype("float32"), (since >= 0).astype("float32")


def build(study):
    """A backbone that says which shape is on view, a small SCSNetwork on frames of 1x1, a head that reads the gates."""
    backbone = keras.Sequential(
        [keras.layers.Conv2D(8, SHAPE, activation="relu"), keras.layers.GlobalMaxPooling2D(keepdims=True)]
    )
    network = SCSNetwork(
        [Stage(study.units, study.layers, kernel_size=1)],
        recurrent_initializer=SelfExcitation(4.0),
        gate_bias_initializer=keras.initializers.Constant(-2.0),
        spatial_initializer=keras.initializers.VarianceScaling(8.0, "fan_avg"),
    )
    head = keras.Sequential(
        [
            keras.layers.Reshape((-1, study.units)),  # (batch, time, units)
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    return SCSModel(network, head, backbone=backbone)


def train(study, way, seed, verbose=0):
    """Trains a model with the clips linked in one of `WAYS`; returns it."""
    keras.utils.set_random_seed(seed)
    frames, distance, weight = sequences(study.samples, study.steps, study.latest_star, seed)
    model = build(study)
    carry, overlap_weight = WAYS[way]
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(study.rate, study.updates)),
        loss="mae",
        long_sequence=LTSC(study.clip, overlap=0.25, overlap_weight=overlap_weight, carry=carry),
        jit_compile=study.compiled,
    )
    epochs = max(1, round(study.updates * study.batch / study.samples))
    model.fit(
        frames, distance / study.farthest, sample_weight=weight, batch_size=study.batch, epochs=epochs, verbose=verbose
    )
    return model


def tell(model, study, frames):
    """The model's answers in frames, (samples, steps), from one pass over the whole sequences."""
    return study.farthest * ops.convert_to_numpy(model(frames, training=False))[..., 0]


def tell_in_clips(model, study, frames):
    """The same, but seen as in training: clip by clip, the state carried the same way."""
    answers, states = [], None
    for clip in model.long_sequence.clips(frames.shape[1]):
        index = -1 if clip.carry is None else clip.carry
        outputs, after = model(
            frames[:, clip.start : clip.stop], initial_states=states, return_states=True, state_index=index
        )
        states = None if clip.carry is None else after
        answers.append(ops.convert_to_numpy(outputs)[:, clip.new :, 0])
    return study.farthest * np.concatenate(answers, axis=1)


def errors(answers, distance, weight, farthest):
    """Mean absolute error in frames for each distance 0 ... farthest."""
    error = np.abs(answers - distance[..., 0])
    return [float(error[(distance[..., 0] == d) & (weight > 0)].mean()) for d in range(farthest + 1)]


def measure(study, way, seed):
    """One training and its test; a record for the results file."""
    start = time.perf_counter()
    model = train(study, way, seed)
    seconds = time.perf_counter() - start
    frames, distance, weight = sequences(study.test_samples, study.steps, study.latest_star, seed=1000 + seed)
    carry, overlap_weight = WAYS[way]
    record = dict(
        way=way, carry=carry, overlap_weight=overlap_weight, seed=seed, training_seconds=round(seconds, 1)
    )  # fmt: skip
    for name, function in (("whole", tell), ("in_clips", tell_in_clips)):
        by_distance = errors(function(model, study, frames), distance, weight, study.farthest)
        record[name] = dict(
            mean_error=float(np.mean(by_distance)),
            error_at_50=by_distance[50] if study.farthest >= 50 else None,
            error_by_distance=[round(each, 3) for each in by_distance],
        )
    return record


def draw(document, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    study, constant = document["study"], document["constant_guess"]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    views = {"whole": "one pass, as at inference", "in_clips": "clip by clip, as in training"}
    for axis, (key, title) in zip(axes, views.items()):
        for way, colour in zip(WAYS, ("C0", "C1", "C3", "C2")):
            lines = [run[key]["error_by_distance"] for run in document["runs"] if run["way"] == way]
            for line in lines:
                axis.plot(line, color=colour, alpha=0.3, linewidth=1)
            if lines:
                axis.plot(np.median(lines, axis=0), color=colour, linewidth=2, label=way)  # a training may diverge
        axis.plot(constant, color="grey", linestyle=":", label="best constant answer")
        axis.axvline(study["clip"] - 1, color="black", linewidth=0.8, linestyle="--")
        axis.axhline(2, color="black", linewidth=0.8)
        axis.text(study["clip"] - 0.5, 38, f"a clip is {study['clip']} frames", fontsize=8)
        axis.set(title=title, xlabel="frames since the star", ylim=(0, 40))
    axes[0].set_ylabel("mean absolute error (frames)")
    axes[0].legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    from measuring import provenance, result_path, write  # here: the tests import this file from elsewhere

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="how clips are linked")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=Study.updates)
    parser.add_argument("--output", type=pathlib.Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()

    study = Study(updates=arguments.updates)
    middle = study.farthest / 2  # the median of the distances
    document = dict(
        provenance(),
        backend=keras.backend.backend(),
        study=asdict(study),
        unit="frames",
        constant_guess=[abs(middle - distance) for distance in range(study.farthest + 1)],
        runs=[],
    )
    for seed in arguments.seeds:
        for way in arguments.ways:
            run = measure(study, way, seed)
            whole, clips = (run[key]["error_at_50"] for key in ("whole", "in_clips"))
            print(
                f"{way:15} seed {seed}: error at 50 frames {whole:5.2f} (in clips {clips:5.2f}), "
                f"{run['training_seconds']:.0f} s",
                flush=True,
            )
            document["runs"].append(run)
            # After each: an interrupted study keeps what it has.
            write(result_path("star_rhombus", document, arguments.output), document)
            draw(document, arguments.output / "star_rhombus.png")


if __name__ == "__main__":
    main()
