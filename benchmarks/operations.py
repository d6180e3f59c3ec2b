"""Where the time of a training step goes, by operation: SCSNetwork beside the floor of speed.py.

    python benchmarks/operations.py

Reads TensorFlow's own profile of one step; milliseconds of all threads together. Writes
results/operations_DATE_VERSION.json.
"""

import collections
import datetime
import glob
import json
import re
import statistics
import tempfile

import numpy as np
import tensorflow as tf
from speed import RESULTS, SHAPE, Floor, compiled, contenders, machine
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import scs_keras

FILTERS = [128, 64, 32]
REPEATS = 5
OPERATION = re.compile(r"[^:]*:(\w+)$")  # of an event's name: "layer/Conv2D:Conv2D"


def profile(function):
    """{operation: milliseconds} of one call."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            tf.nest.flatten(function())[0].numpy()
        space = xplane_pb2.XSpace()
        with open(glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)[0], "rb") as file:
            space.ParseFromString(file.read())
    times = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            found = OPERATION.match(plane.event_metadata[event.metadata_id].name)
            if found:
                times[found[1].removeprefix("_MklNative").removeprefix("_Mkl")] += event.duration_ps / 1e9
    return times


def main():
    frames = tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")
    functions, profiles = {}, {}
    for name in ("SCSNetwork", "floor"):
        model = contenders(FILTERS, SHAPE, extra=False)[name]()
        model(frames if isinstance(model, Floor) else frames[:1, :1])
        functions[name], profiles[name] = compiled(model, frames, training=True), []
        functions[name]()
    for _ in range(REPEATS):
        for name, function in functions.items():
            profiles[name].append(profile(function))
    table = {}
    for name, each in profiles.items():
        operations = set().union(*each)
        medians = {key: round(statistics.median(times[key] for times in each), 1) for key in operations}
        table[name] = dict(sorted(((k, v) for k, v in medians.items() if v >= 0.5), key=lambda pair: -pair[1]))
    operations = sorted(set().union(*table.values()), key=lambda key: -table["SCSNetwork"].get(key, 0))
    print(f"{'milliseconds, median of ' + str(REPEATS):30}{'SCSNetwork':>12}{'floor':>10}")
    for key in [*operations]:
        print(f"{key:30}{table['SCSNetwork'].get(key, 0):12.1f}{table['floor'].get(key, 0):10.1f}")
    print(f"{'sum':30}{sum(table['SCSNetwork'].values()):12.1f}{sum(table['floor'].values()):10.1f}")
    head = {"date": datetime.date.today().isoformat(), "scs_keras": scs_keras.__version__, "tensorflow": tf.__version__}
    path = RESULTS / f"operations_{head['date']}_{head['scs_keras']}.json"
    document = {**head, "machine": machine(), "filters": FILTERS, "input": SHAPE, "milliseconds": table}
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
