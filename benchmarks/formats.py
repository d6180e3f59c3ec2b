"""The formats of an export: error, size, time of conversion and latency, for each preset with weights.

    python benchmarks/formats.py            all presets with weights
    python benchmarks/formats.py NAME ...   some; added to the results of the same day
    python benchmarks/formats.py --record   also writes the differences into the records and cards of these presets

Frames have the size of the preset's example. Each preset is measured in a process of its own, on one thread. Seconds of
conversion are of processor time, latencies the smallest of several calls, in milliseconds by the clock: other work on
the machine makes them longer, not shorter. Needs the packages of the extras `onnx` and `litert`.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from measuring import begun, provenance, result_path, write

CALLS = 12


def measure(name):
    """{format: what was measured, or {"refused": reason}} of a preset."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from scs_keras import zoo
    from scs_keras.serving import litert, onnx
    from scs_keras.serving.parity import Reference
    from scs_keras.serving.saved_model import saved_model_runner, write_saved_model
    from scs_keras.serving.signatures import served_signatures

    model = zoo.load(name)
    shape = (model.preset.input_shape[0], *model.preset.make_example().shape[2:])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1"
        signatures = served_signatures(model, shape)
        taken = timed(lambda: write_saved_model(model, signatures, path))
        size = bytes_of(path)
        reference = Reference(model, signatures, shape)
        found["saved_model"] = dict(
            seconds=taken, bytes=size, **proved(reference, saved_model_runner(path), "SavedModel")
        )
        plain = [each for each in signatures if each.name != "serve_bytes"]
        for kind, module in (("onnx", onnx), ("litert", litert)):
            try:
                taken = timed(lambda module=module: module.write(path, plain))
                run = module.runner(path, 1)
                found[kind] = dict(seconds=taken, bytes=bytes_of(path / kind), **proved(reference, run, kind))
            except ValueError as error:
                found[kind] = dict(refused=str(error))
    return dict(frames=shape, formats=found)


def timed(function):
    start = time.process_time()
    function()
    return round(time.process_time() - start, 1)


def bytes_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def proved(reference, run, what):
    """{"parity": as in parity.json, "milliseconds": {signature: latency of one clip or frame}}."""
    parity = reference.compare(run, what)
    clip = reference.clip(1)
    latency = {"serving_default": fastest(lambda: run("serving_default", clip))}
    if "step" in reference.signatures:
        inputs = {**reference.frame(1, 0), **reference.first_state(run, 1)}
        latency["step"] = fastest(lambda: run("step", inputs))
    return dict(parity=parity, milliseconds=latency)


def fastest(function):
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return round(1000 * min(times), 1)


def record(name, formats):
    """Record and card get {format: largest difference in the model's numbers, None of one that refuses}."""
    from scs_keras import zoo
    from scs_keras.training.card import model_card
    from scs_keras.training.evaluate import write_json
    from scs_keras.zoo.files import written_beside

    preset = zoo.get_preset(name)
    largest = {
        kind: max(each["difference"] for each in found["parity"]["model"].values()) if "parity" in found else None
        for kind, found in formats.items()
    }
    write_json(preset.record_path, {**preset.record, "formats": largest})
    with written_beside(preset.card_path) as beside:
        beside.write_text(model_card(preset))


def main():
    from scs_keras import zoo

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="names; by default all with weights")
    parser.add_argument("--record", action="store_true", help="also write records and cards")
    arguments = parser.parse_args()
    names = arguments.presets or [preset.name for preset in zoo.list_presets() if preset.has_weights]
    start = provenance()
    path = result_path("formats", start)
    document = begun(path, {**start, "presets": {}})
    for name in names:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            document["presets"][name] = pool.submit(measure, name).result()
        write(path, document)
        if arguments.record:
            record(name, document["presets"][name]["formats"])
        print(name, {kind: each.get("refused", each.get("milliseconds")) for kind, each in
                     document["presets"][name]["formats"].items()}, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
