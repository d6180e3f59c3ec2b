"""Where the time of a training step goes, by operation: SCSNetwork beside the floor of speed.py.

    python benchmarks/operations.py

Reads TensorFlow's own profile of one step; milliseconds of all threads together. Writes
results/operations_DATE_VERSION.json.
"""

import statistics

import numpy as np
import tensorflow as tf
from measuring import profile, provenance, result_path, write
from speed import SHAPE, Floor, compiled, contenders

FILTERS = [128, 64, 32]
REPEATS = 5


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
    start = provenance()
    write(result_path("operations", start), {**start, "filters": FILTERS, "input": SHAPE, "milliseconds": table})


if __name__ == "__main__":
    main()
