"""The formats of an export: error, size, time of conversion and latency, for each preset with weights.

    python benchmarks/formats.py            all presets with weights
    python benchmarks/formats.py NAME ...   some; added to the results of the same day
    python benchmarks/formats.py --record   also writes the differences into the records and cards of these presets
    python benchmarks/formats.py --exports DIR NAME ...             keeps the exports, and measures no latency
    python benchmarks/formats.py --exports DIR --latency NAME ...   measures that alone, of exports that are kept there

Frames have the size of the preset's example. Each preset is measured in a process of its own, on one thread. Seconds
are of processor time: of conversion, and of the comparison with the model (`check`). Latencies are the smallest of
several calls, in milliseconds by the clock: other work on the machine makes them longer, not shorter, so they can be
measured by themselves when it is quiet (`--exports`). Needs the packages of the extras `onnx` and `litert`.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import begun, provenance, result_path, write

CALLS = 12
INPUTS = "inputs.npz"  # of a kept export: of one call of each signature whose latency is measured


def measure(name, folder):
    """What `convert` and `latencies` find, in one process."""
    found = convert(name, folder)
    for kind, milliseconds in latencies(folder).items():
        found["formats"][kind]["milliseconds"] = milliseconds
    return found


def convert(name, folder):
    """{"frames": shape, "formats": {format: what was measured, or {"refused": reason}}} of an export to `folder`."""
    one_thread()
    shutil.rmtree(folder, ignore_errors=True)  # of another time
    from scs_keras import zoo
    from scs_keras.serving import litert, onnx
    from scs_keras.serving.parity import Reference
    from scs_keras.serving.saved_model import saved_model_runner, write_saved_model
    from scs_keras.serving.signatures import served_signatures

    model = zoo.load(name)
    shape = frames_of(model.preset)
    signatures = served_signatures(model, shape)
    _, taken = timed(write_saved_model, model, signatures, folder / "1")
    found: dict = dict(saved_model=dict(seconds=taken, bytes=bytes_of(folder / "1")))
    reference, of_model = timed(Reference, model, signatures, shape)
    found["saved_model"] |= proved(reference, saved_model_runner(folder / "1"), "SavedModel")
    found["saved_model"]["check"] += of_model
    keep_inputs(reference, folder)
    plain = [each for each in signatures if each.name != "serve_bytes"]
    for kind, module in (("onnx", onnx), ("litert", litert)):
        try:
            _, taken = timed(module.write, folder / "1", plain)
            run = module.runner(folder / "1", 1)
            found[kind] = dict(seconds=taken, bytes=bytes_of(folder / "1" / kind), **proved(reference, run, kind))
        except ValueError as error:
            found[kind] = dict(refused=str(error))
            shutil.rmtree(folder / "1" / kind, ignore_errors=True)
    return dict(frames=shape, formats=found)


def one_thread():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def frames_of(preset):
    """The shape of the frames, as large as the example's, or of several inputs {name: shape}."""
    if isinstance(preset.input_shape, dict):
        return preset.input_shape
    return (preset.input_shape[0], *preset.make_example().shape[2:])


def timed(function, *arguments):
    """(what it returns, its seconds of processor time)."""
    start = time.process_time()
    made = function(*arguments)
    return made, round(time.process_time() - start, 1)


def bytes_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def proved(reference, run, what):
    """{"parity": as in parity.json, "check": its seconds}."""
    parity, taken = timed(reference.compare, run, what)
    return dict(parity=parity, check=taken)


def keep_inputs(reference, folder):
    """Those of one clip, and where the model streams of one frame, as SIGNATURE/INPUT."""
    inputs = {"serving_default": reference.clip(1)}
    if "step" in reference.signatures:
        inputs["step"] = {**reference.frame(1, 0), **reference.first_state(reference.run, 1)}
    arrays = {f"{signature}/{name}": each for signature, by in inputs.items() for name, each in by.items()}
    np.savez(folder / INPUTS, **arrays)


def latencies(folder):
    """{format that is there: {signature: milliseconds of one clip or frame}} of a kept export."""
    one_thread()
    from scs_keras.serving import litert, onnx
    from scs_keras.serving.saved_model import saved_model_runner

    inputs: dict = {}
    with np.load(folder / INPUTS) as arrays:
        for key, array in arrays.items():
            signature, name = key.split("/")
            inputs.setdefault(signature, {})[name] = array
    runners = {"saved_model": saved_model_runner, "onnx": lambda path: onnx.runner(path, 1)}
    runners["litert"] = lambda path: litert.runner(path, 1)
    found = {}
    for kind, runner in runners.items():
        if kind == "saved_model" or (folder / "1" / kind).exists():
            run = runner(folder / "1")
            found[kind] = {name: fastest(partial(run, name, each)) for name, each in inputs.items()}
    return found


def fastest(function):
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return round(1000 * min(times), 1)


def record(name, formats):
    """Record and card get {format: {"whole", "streamed": largest difference}}, None of a format that refuses.

    Whole clips in the model's numbers; streams, of models that have them, in the preset's, see `parity.differences`.
    """
    from scs_keras import zoo
    from scs_keras.training.card import model_card
    from scs_keras.training.evaluate import write_json
    from scs_keras.zoo.files import written_beside

    preset = zoo.get_preset(name)
    largest = {kind: largest_of(found["parity"]) if "parity" in found else None for kind, found in formats.items()}
    write_json(preset.record_path, {**preset.record, "formats": largest})
    with written_beside(preset.card_path) as beside:
        beside.write_text(model_card(preset))


def largest_of(parity):
    cases = {"whole": parity["model"], "streamed": parity.get("step")}
    return {case: max(each["difference"] for each in outputs.values()) for case, outputs in cases.items() if outputs}


def alone(function, *arguments):
    """In a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main():
    from scs_keras import zoo

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="names; by default all with weights")
    parser.add_argument("--record", action="store_true", help="also write records and cards")
    parser.add_argument("--exports", type=Path, metavar="DIR", help="keep the exports there, and measure no latency")
    parser.add_argument("--latency", action="store_true", help="measure only that, of the exports that are kept")
    arguments = parser.parse_args()
    if arguments.latency and (not arguments.exports or arguments.record):
        parser.error("--latency takes --exports DIR, where the exports are, and no --record.")
    names = arguments.presets or [preset.name for preset in zoo.list_presets() if preset.has_weights]
    start = provenance()
    path = result_path("formats", start)
    document = begun(path, {**start, "presets": {}})
    presets = document["presets"]
    for name in names:
        if arguments.latency:
            for kind, milliseconds in alone(latencies, arguments.exports / name).items():
                presets[name]["formats"][kind]["milliseconds"] = milliseconds
        elif arguments.exports:
            presets[name] = alone(convert, name, arguments.exports / name)
        else:
            with tempfile.TemporaryDirectory() as folder:
                presets[name] = alone(measure, name, Path(folder))
        write(path, document)
        if arguments.record:
            record(name, presets[name]["formats"])
        print(name, {kind: each.get("refused", each.get("milliseconds", "written")) for kind, each in
                     presets[name]["formats"].items()}, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
