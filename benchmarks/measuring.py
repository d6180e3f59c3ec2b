"""What the benchmarks share: the clock, TensorFlow's profile, the head of a result file and how it is written.

Importing it loads neither Keras nor a backend, so that a process that only starts others stays small.
"""

import collections
import datetime
import glob
import importlib.metadata
import json
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path

import scs_keras
from scs_keras.zoo.files import written_beside

RESULTS = Path(__file__).parent / "results"
CPU_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
# Packages whose versions matter, by the names they are imported under.
PACKAGES = ("keras", "numpy", "tensorflow", "jax", "tf2onnx", "onnxruntime", "ai_edge_litert")
OPERATION = re.compile(r"[^:]*:(\w+)$")  # of an event's name: "layer/Conv2D:Conv2D"


def seconds(function):
    """(by the clock, of processor time over all cores) of one call."""
    import tensorflow as tf

    clock, processor = time.perf_counter(), time.process_time()
    tf.nest.flatten(function())[0].numpy()
    return time.perf_counter() - clock, time.process_time() - processor


def profile(function):
    """{operation: milliseconds, all threads together} of one call, by TensorFlow's own profiler."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

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


def machine():
    """Processor, cores and, where this process runs TensorFlow, GPUs."""
    info = {"processor": platform.machine(), "cpu_flags": None, "cores": os.cpu_count()}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        lines = {key.strip(): value.strip() for key, value in lines.items()}
        flags = lines.get("flags", "").split()
        info["processor"] = lines.get("model name", info["processor"])
        info["cpu_flags"] = {flag: flag in flags for flag in CPU_FLAGS}
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        info["gpus"] = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    return info


def versions():
    """{package: version} of Python, this project and those of PACKAGES that are installed, without importing them."""
    distributions = importlib.metadata.packages_distributions()
    installed = {name: importlib.metadata.version(distributions[name][0]) for name in PACKAGES if name in distributions}
    return {"scs_keras": scs_keras.__version__, **installed, "python": platform.python_version()}


def provenance():
    """What every result file begins with: command, date, versions, machine.

    A folder of this machine stands as the option that it was given for: RUNS for `--runs /home/me/runs`.
    """
    words = zip(sys.argv, sys.argv[1:])
    named = (before.lstrip("-").upper() if Path(word).is_absolute() else word for before, word in words)
    command = ["python", f"benchmarks/{Path(sys.argv[0]).name}", *named]
    return {
        "command": shlex.join(command),
        "date": datetime.date.today().isoformat(),
        "versions": versions(),
        "machine": machine(),
    }


def result_path(name, start, folder=RESULTS):
    """FOLDER/NAME_DATE_VERSION.json of a document that starts with `provenance()`."""
    return folder / f"{name}_{start['date']}_{start['versions']['scs_keras']}.json"


def begun(path, start):
    """The document at `path`, to add to, or `start` if there is none.

    Raises:
        ValueError: if it was measured on another machine, version or day.
    """
    if not path.exists():
        return dict(start)
    document = json.loads(path.read_text())
    if any(document[key] != start[key] for key in ("date", "versions", "machine")):
        raise ValueError(
            f"{path} holds results of another machine, version or day, which are not mixed with these. "
            "Give another file, or move it away."
        )
    return document


def write(path, document):
    """Writes a result file: to a temporary one, which is then renamed."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(document, indent=1) + "\n")
