"""Memory and time of training on 64 and 512 frames in clips of 16 (`LTSC(16)`), 48x64 pixels, batch 1.

    python benchmarks/long_sequences.py

Every case runs in a process of its own, compiled as `fit` does: seconds of the first step, in which the graph is made,
and milliseconds a frame of the following ones (the median), both of processor time; the largest resident memory less
what the process held with TensorFlow and the model loaded. Two models: one answer a sequence (mean over frames, the
three goals, ASTSGD), one image a frame; with the clips as a loop in the graph, and written out one after the other,
as they were up to version 0.2. Writes benchmarks/results/long_sequences_DATE_VERSION.json, or --output FILE.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

from measuring import provenance, result_path, write

MODELS, LENGTHS, SIZE, FILTERS, CLIP, STEPS = ("sequence", "frames"), (64, 512), (48, 64), [16, 16, 16], 16, 3
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CPP_MAX_VLOG_LEVEL": "0"}


def resident(key):
    """VmRSS or VmHWM (the largest) of this process in MiB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def make(kind, unrolled):
    """A compiled model and what follows the time axis of its target's shape; None for one answer a sequence."""
    import keras

    from scs_keras import ASTSGD, LTSC, SCSModel, SCSNetwork

    class Model(SCSModel):
        unroll_clips = unrolled

    network, options = SCSNetwork(FILTERS), dict(long_sequence=LTSC(CLIP), spatial_loss="mse", temporal_loss="mse")
    if kind == "frames":
        model = Model(network, keras.layers.Dense(1))
        model.compile("adam", "mse", **options)
        return model, (*SIZE, 1)
    pooled = keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D())
    model = Model(network, keras.Sequential([pooled, keras.layers.Dense(5)]), reduce="mean")
    model.compile("adam", "mse", switch=ASTSGD(), **options)
    return model, None


def measure(kind, frames, unrolled):
    """One case, in this process; a record for the results file."""
    import numpy as np
    import tensorflow as tf

    model, pixels = make(kind, unrolled)
    random = np.random.default_rng(0)
    x = random.random((1, frames, *SIZE, 3), dtype="float32")
    y = random.random((1, 5) if pixels is None else (1, frames, *pixels), dtype="float32")
    tf.linalg.matmul(tf.ones((8, 8)), tf.ones((8, 8)))  # starts TensorFlow's threads
    before, seconds = resident("VmRSS"), []
    for _ in range(1 + STEPS):
        start = time.process_time()
        model.train_on_batch(x, y)
        seconds.append(time.process_time() - start)
    return dict(
        model=kind, frames=frames, clips="unrolled" if unrolled else "loop", peak_mib=round(resident("VmHWM") - before),
        process_mib=round(resident("VmHWM")), first_step_s=round(seconds[0], 1),
        step_ms_a_frame=round(1000 * float(np.median(seconds[1:])) / frames, 1),
    )  # fmt: skip


def in_a_process(kind, frames, unrolled):
    """The record of a case measured in a new process."""
    command = [sys.executable, __file__, "--case", kind, str(frames), str(int(unrolled))]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The case {kind}, {frames} frames, unrolled={unrolled}, failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=3, metavar=("MODEL", "FRAMES", "UNROLLED"), help="one case, in this process")
    parser.add_argument("--output", type=pathlib.Path, help="the result file")
    arguments = parser.parse_args()
    if arguments.case:
        kind, frames, unrolled = arguments.case
        print(json.dumps(measure(kind, int(frames), bool(int(unrolled)))))
        return
    cases = []
    for case in itertools.product(MODELS, LENGTHS, (False, True)):
        cases.append(in_a_process(*case))
        print(cases[-1], flush=True)
    document = dict(provenance(), network=FILTERS, long_sequence=f"LTSC({CLIP})", size=SIZE, batch=1, cases=cases)
    write(arguments.output or result_path("long_sequences", document), document)


if __name__ == "__main__":
    main()
