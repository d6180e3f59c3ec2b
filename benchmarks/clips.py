"""Labelled clips while a model trains: the process's largest memory, and the time that a batch takes.

    python benchmarks/clips.py --data FIGHTS

The memory is that of a small model trained, with tf.data, on batches of 8 clips of 16 frames 48x64, in a process of its
own for each case: 30 and 300 videos of 40 frames, and 30 of 400, 120x160 pixels, H.264, made for it; the training takes
each video at least once. Times are of `batch(step, 16, 0)` for 16 clips of the folder FIGHTS (a table of labels, as
fight_detection), once all of its clips have been taken, for several limits of what stays decoded. Writes
benchmarks/results/clips_DATE_VERSION.json.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from measuring import provenance, result_path, write
from memory import resident

CASES = [(30, 40), (300, 40), (30, 400)]  # number of videos, frames of each
LIMITS = (0, 64, 256)  # MB that stay decoded
SHAPE, MADE, BATCH = (16, 48, 64, 3), (120, 160), 8
PRESET = SimpleNamespace(input_shape=SHAPE, output_shape=(2,), labels=())


def make(folder, videos, frames):
    """A table of so many video files; their contents repeat, the files do not."""
    import av
    import numpy as np

    random = np.random.default_rng(0)
    rows = ["file,label,split"]
    for index in range(videos):
        path = folder / f"{index}.mp4"
        rows.append(f"{path.name},{'ab'[index % 2]},train")
        if index >= 4:
            shutil.copy(folder / f"{index % 4}.mp4", path)
            continue
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            (stream.height, stream.width), stream.pix_fmt = MADE, "yuv420p"
            for _ in range(frames):
                coarse = random.integers(0, 255, (15, 20, 3), "uint8")
                frame = np.kron(coarse, np.ones((8, 8, 1), "uint8"))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def memory(videos, frames):
    """One case, in this process: its peak in MiB."""
    import keras

    from scs_keras.training.action import table
    from scs_keras.training.samples import training_dataset

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), videos, frames)
        samples = table.read(folder, "train", PRESET)
        model = keras.Sequential(
            [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.ConvLSTM2D(4, 3, strides=2),
             keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
        )  # fmt: skip
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(training_dataset(samples, BATCH), steps_per_epoch=-(-300 // BATCH), verbose=0)
    return dict(videos=videos, frames=frames, peak_mib=round(resident("VmHWM"), 1))


def times(folder, limit):
    """Milliseconds of a batch, by the clock and of processor time, with so many MB that stay decoded."""
    from scs_keras.training.action import table

    samples = table.read(folder, "train", PRESET, cache_mb=limit)
    epoch = -(-len(samples) // 16)
    for step in range(epoch):
        samples.batch(step, 16, 0)
    clock, processor = time.perf_counter(), time.process_time()
    for step in range(epoch, 2 * epoch):
        samples.batch(step, 16, 0)
    return dict(
        cache_mb=limit, clock_ms=round(1000 * (time.perf_counter() - clock) / epoch, 1),
        processor_ms=round(1000 * (time.process_time() - processor) / epoch, 1),
    )  # fmt: skip


def in_a_process(*case):
    command = [sys.executable, __file__, "--case", *map(str, case)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with a table of labels, to time the reading of; none: memory only")
    parser.add_argument("--case", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(memory(*options.case)))
        return
    record = {**provenance(), "memory": [in_a_process(*case) for case in CASES]}
    if options.data:
        record["batch"] = [times(options.data, limit) for limit in LIMITS]
    print(json.dumps({key: record[key] for key in ("memory", "batch") if key in record}, indent=1))
    write(result_path("clips", record), record)


if __name__ == "__main__":
    main()
