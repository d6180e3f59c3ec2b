"""SavedModel export for TF Serving."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np

import scs_keras
from scs_keras import zoo

TOLERANCE = 1e-5


def export(model: keras.Model, output: str | Path, size: tuple[int, int] | None = None) -> Path:
    """Exports a model of the zoo and returns the version directory, the next free integer in `output`.

    The signatures are those of `zoo.signatures(model)`, with free batch sizes and all floating point as float32:
        serving_default: `frames` (batch, time, height, width, channels) to `output`.
    and of models that stream:
        step: `frame` (batch, height, width, channels), `state_0`, ... to `output`, `next_state_0`, ...; TF Serving
            keeps nothing between calls, so the state goes in and out with each.
        initial_state: `batch_size` (scalar int32) to `state_0`, ...

    The export is loaded again and compared with the model before it gets its name; the largest
    differences stand in `assets.extra/parity.json`.

    Args:
        model: of the zoo, with its `preset` and the weights to export.
        output: folder that TF Serving watches.
        size: (height, width) of the frames; None for the preset's.

    Raises:
        ValueError: for a model without preset, a size below 1, another backend than TensorFlow, or an export that
            does not give the model's numbers.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Export needs TensorFlow. Received: backend {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )
    if getattr(model, "preset", None) is None:
        raise ValueError(
            f"Export takes a model of the zoo. Received: {type(model).__name__} without a `preset`. "
            "For example: export(zoo.load(NAME), output)."
        )
    if size is not None and min(size) < 1:
        raise ValueError(f"--size must be positive. Received: {tuple(size)}. For example: --size 256 256.")
    time, height, width, channels = model.preset.input_shape
    frame = (*(size or (height, width)), channels)
    signatures = zoo.signatures(model, (time, *frame))
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(path.name) for path in output.iterdir() if path.name.isdigit()), default=0)
    beside = output / f"writing_{version}"
    shutil.rmtree(beside, ignore_errors=True)
    _write(model, signatures, beside)
    try:
        parity = check(model, signatures, beside)
    except ValueError:
        shutil.rmtree(beside)
        raise
    (beside / "assets.extra").mkdir()
    report = dict(preset=model.preset.name, version=scs_keras.__version__, frame=frame, largest_difference=parity)
    (beside / "assets.extra" / "parity.json").write_text(json.dumps(report, indent=1))
    os.replace(beside, output / str(version))
    return output / str(version)


def _write(model, signatures, path):
    import tensorflow as tf

    def endpoint(signature):
        def function(*inputs):
            return dict(zip(signature.outputs, map(_served, signature.function(*inputs))))

        return function

    archive = keras.export.ExportArchive()
    archive.track(model)
    for signature in signatures:
        specs = [
            tf.TensorSpec((None, *spec.shape) if spec.batched else spec.shape, spec.dtype, name=spec.name)
            for spec in signature.inputs
        ]
        archive.add_endpoint(signature.name, endpoint(signature), specs)
    archive.write_out(str(path), verbose=False)


def _served(value):
    """Floating point of any kind as float32."""
    floating = keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))
    return keras.ops.cast(value, "float32") if floating else value


def check(model, signatures, path):
    """Largest differences between the export and the model, whole and streamed, on random frames in [0, 1].

    Raises:
        ValueError: if one exceeds 1e-5.
    """
    import tensorflow as tf

    random = np.random.default_rng(0)
    loaded = tf.saved_model.load(str(path))  # must stay alive while its signatures are used
    known = {signature.name: signature for signature in signatures}
    whole = known["serving_default"]
    inputs = {spec.name: tf.constant(random.random((2, *spec.shape), "float32")) for spec in whole.inputs}
    expected = dict(zip(whole.outputs, map(_served, whole.function(*inputs.values()))))
    found = loaded.signatures["serving_default"](**inputs)
    differences = {"serving_default": max(_difference(found[name], expected[name]) for name in whole.outputs)}
    if "step" in known:
        state, outputs = loaded.signatures["initial_state"](batch_size=tf.constant(2)), []
        for frame in tf.unstack(inputs["frames"], axis=1):
            result = loaded.signatures["step"](frame=frame, **state)
            state = {name.removeprefix("next_"): value for name, value in result.items() if name != "output"}
            outputs.append(result["output"])
        streamed = model.reduce_outputs(tf.stack(outputs, axis=1))
        differences["step"] = _difference(streamed, expected["output"])
    if not max(differences.values()) <= TOLERANCE:
        raise ValueError(
            f"The export does not give the model's numbers. Allowed: {TOLERANCE}. Received: {differences}."
        )
    return differences


def _difference(found, expected):
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())
