"""Peak memory of a training step on 32 and 256 frames, with LTSC (clips of 16 frames) and without.

    python benchmarks/memory.py

Every case runs in a process of its own: it builds the model, runs the training step once on the case's own
sequence (graph and allocations of the first time) and then measures further steps. Linux counts the
process's largest resident memory since the counter was reset (/proc/self/clear_refs). oneDNN's pool, which
grows by doubling and never gives back, is off, and the allocator returns large blocks at once
(MALLOC_MMAP_THRESHOLD_), so

    step      largest resident memory during a step less that before it: activations and gradients;
    process   largest resident memory during a step less that before the model was built: all the above, weights,
              optimizer and the graph, which grows with the number of clips.

Frames, targets and the outputs kept for metrics are subtracted from neither; they are small (3 channels in,
1 out, 16 between). Writes benchmarks/results/memory_DATE_VERSION.json.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

from measuring import provenance, result_path, write

CASES = [(frames, long_sequence) for long_sequence in (True, False) for frames in (32, 256)]
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "2",
}
SIZE, CHANNELS, FILTERS, LAYERS, BATCH, CLIP, STEPS = 48, 3, 16, 2, 3, 16, 3


def resident(key="VmRSS"):
    """Resident memory of this process in MiB; VmHWM is the largest since `reset_peak`."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}: this benchmark needs Linux.")


def reset_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def measure(frames, long_sequence):
    """One case, in this process; a record for the results file."""
    import keras
    import numpy as np

    from scs_keras import LTSC, SCSModel, SCSNetwork

    random = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(random.random((BATCH, frames, SIZE, SIZE, CHANNELS), dtype="float32"))
    y = keras.ops.convert_to_tensor(random.random((BATCH, frames, SIZE, SIZE, 1), dtype="float32"))
    keras.ops.matmul(keras.ops.ones((8, 8)), keras.ops.ones((8, 8)))  # starts TensorFlow's threads
    before_model = resident()
    model = SCSModel(SCSNetwork([FILTERS] * LAYERS, unroll=False), keras.layers.Dense(1))
    model.compile("adam", "mse", long_sequence=LTSC(CLIP) if long_sequence else None, jit_compile=False)
    model.train_on_batch(x, y)
    peaks = []
    for _ in range(STEPS):
        before_step = resident()
        reset_peak()
        model.train_on_batch(x, y)
        peaks.append((resident("VmHWM") - before_step, resident("VmHWM") - before_model))
    step, process = np.median(peaks, axis=0)
    return dict(
        frames=frames, long_sequence=f"LTSC({CLIP})" if long_sequence else None,
        step_mib=round(float(step), 1), process_mib=round(float(process), 1),
    )  # fmt: skip


def in_a_process(frames, long_sequence):
    """The record of a case measured in a new process."""
    command = [sys.executable, __file__, "--case", str(frames), str(int(long_sequence))]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The case {frames} frames, long_sequence={long_sequence} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def growth(cases, key, long_sequence):
    """Memory at 256 frames over memory at 32."""
    short, long = (
        next(c[key] for c in cases if c["frames"] == frames and bool(c["long_sequence"]) == long_sequence)
        for frames in (32, 256)
    )
    return round(long / short, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=2, type=int, metavar=("FRAMES", "LTSC"), help="one case, in this process")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case[0], bool(arguments.case[1]))))
        return
    cases = []
    for frames, long_sequence in CASES:
        cases.append(in_a_process(frames, long_sequence))
        print(cases[-1], flush=True)
    ratios = {
        key: {"with LTSC": growth(cases, key, True), "without": growth(cases, key, False)}
        for key in ("step_mib", "process_mib")
    }
    document = dict(
        provenance(),
        model=f"SCSNetwork({[FILTERS] * LAYERS}, unroll=False), "
        f"batch {BATCH}, frames {SIZE}x{SIZE}x{CHANNELS}, float32",
        unit=f"MiB, median of {STEPS} steps",
        cases=cases,
        ratio_256_to_32=ratios,
    )
    print(json.dumps(ratios))
    write(result_path("memory", document), document)


if __name__ == "__main__":
    main()
