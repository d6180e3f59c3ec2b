"""SavedModel export for TF Serving."""

import json
from pathlib import Path

import keras
import numpy as np

import scs_keras
from scs_keras import zoo
from scs_keras.core.signatures import output_of, output_values
from scs_keras.zoo.files import check_output_folder, remove_leftovers, written_beside
from scs_keras.zoo.words import option, words

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
    differences stand in `assets.extra/parity.json`, the names of a classifier's classes, one a line in the order of
    its outputs, in `assets.extra/labels.txt`.

    Args:
        model: of the zoo, with its `preset` and the weights to export.
        output: folder that TF Serving watches.
        size: (height, width) of the frames; None for the preset's.

    Raises:
        ValueError: for a model without preset, a size below 1, another backend than TensorFlow, or an export that
            does not give the model's numbers.
        OSError: nothing can be written to `output`.
    """
    check_arguments(output, size)
    if getattr(model, "preset", None) is None:
        raise ValueError(
            f"Export takes a model of the zoo. Received: {type(model).__name__} without a `preset`. "
            "For example: export(zoo.load(NAME), output)."
        )
    time, height, width, channels = model.preset.input_shape
    frame = (*(size or (height, width)), channels)
    signatures = zoo.signatures(model, (time, *frame))
    output = Path(output)
    remove_leftovers(output, "[0-9]+")
    versions = (int(path.name) for path in output.glob("*") if path.name.isdigit())
    path = output / str(1 + max(versions, default=0))
    with written_beside(path) as beside:  # TF Serving sees folders whose name is a number
        _write(model, signatures, beside)
        parity = check(model, signatures, beside)
        (beside / "assets.extra").mkdir()
        report = dict(preset=model.preset.name, version=scs_keras.__version__, frame=frame, largest_difference=parity)
        (beside / "assets.extra" / "parity.json").write_text(json.dumps(report, indent=1))
        if model.preset.labels:
            text = "".join(f"{label}\n" for label in model.preset.labels)
            (beside / "assets.extra" / "labels.txt").write_text(text, encoding="utf-8")
    return path


def check_arguments(output: str | Path, size: tuple[int, int] | None) -> None:
    """Raises what `export` does that can be known before there is a model."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Export needs TensorFlow. Received: backend {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )
    if size is not None and min(size) < 1:
        raise ValueError(
            f"{option('size')} must be positive. "
            f"Received: {tuple(size)}. For example: {words('size=(256, 256)', '--size 256 256')}."
        )
    check_output_folder(output)


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
    try:
        archive.write_out(str(path), verbose=False)
    except tf.errors.OpError as error:  # TensorFlow's way to say that the disk is full
        raise OSError(f"{path.parent}: the export cannot be written: {error.message.split('; ')[-1]}") from error


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
            state = {name.removeprefix("next_"): value for name, value in result.items() if name not in whole.outputs}
            outputs.append([result[name] for name in whole.outputs])
        stacked = [tf.stack(each, axis=1) for each in zip(*outputs)]
        streamed = output_values(model, model.reduce_outputs(output_of(model, stacked)))
        differences["step"] = max(_difference(each, expected[name]) for name, each in zip(whole.outputs, streamed))
    if not max(differences.values()) <= TOLERANCE:
        raise ValueError(
            f"The export does not give the model's numbers. Allowed: {TOLERANCE}. Received: {differences}."
        )
    return differences


def _difference(found, expected):
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())
