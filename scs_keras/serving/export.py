"""From a model of the zoo to a version that TF Serving serves, with the proof that it gives the model's numbers."""

import importlib.util
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

import scs_keras
from scs_keras.core.arguments import check_known
from scs_keras.core.inputs import named
from scs_keras.core.signatures import Signature
from scs_keras.serving.parity import Reference
from scs_keras.serving.saved_model import saved_model_runner, write_saved_model
from scs_keras.serving.signatures import served_signatures, taken, values_of
from scs_keras.serving.tf_serving import versions_in, write_tf_serving
from scs_keras.serving.warmup import write_warmup
from scs_keras.zoo.files import check_output_folder, remove_leftovers, temporary_beside
from scs_keras.zoo.reference import resolve
from scs_keras.zoo.words import option, words

SAVED_MODEL = "saved_model"
FORMATS = {  # {name: (module with `write` and `runner`, packages that it imports)}; each also an extra of the package
    SAVED_MODEL: ("", ()),
    "onnx": ("scs_keras.serving.onnx", ("tf2onnx", "onnxruntime")),
    "litert": ("scs_keras.serving.litert", ("ai_edge_litert",)),
}


def export(
    model: keras.Model,
    output: str | Path,
    size: tuple[int, int] | None = None,
    steps: int | None = None,
    formats: Sequence[str] = (SAVED_MODEL,),
) -> Path:
    """Exports a model of the zoo and returns the version directory, the next free integer in `output`.

    A version has the signatures of `served_signatures`, `assets.extra` (labels.txt of classes, preset.json,
    parity.json, and requests with which TF Serving warms up) and the files of the other formats. It gets its name when
    all of it is there and gives the model's numbers; `output`/tf_serving has configurations for the server.

    Args:
        model: of the zoo, with its `preset` and the weights to export.
        output: folder that TF Serving watches.
        size: (height, width) of the frames; None for the preset's, and where the model takes any, for any.
        steps: number of frames to predict; None for the model's.
        formats: those to write beside the SavedModel, of `FORMATS`.

    Raises:
        ValueError: for a model without preset, a size below 1 or one that the model cannot take, another backend than
            TensorFlow, or an export that does not give the model's numbers.
        ImportError: a package of a format is not installed.
        OSError: nothing can be written to `output`.
    """
    check_arguments(output, size, steps, formats)
    preset = getattr(model, "preset", None)
    if preset is None:
        raise ValueError(
            f"Export takes a model of the zoo. Received: {type(model).__name__} without a `preset`. "
            "For example: export(zoo.load(NAME), output)."
        )
    if steps is not None:
        _lengthen(model, steps)
    shape = _shape(preset, size)
    free = size is None and getattr(model, "takes_any_size", False)
    signatures = served_signatures(model, (shape[0], None, None, shape[-1]) if free else shape)
    output = Path(output)
    remove_leftovers(output, "version")
    with temporary_beside(output / "version") as beside:
        write_saved_model(model, signatures, beside)
        extra = beside / "assets.extra"
        extra.mkdir()
        write_warmup(extra / "tf_serving_warmup_requests", preset.name, signatures, _frame(shape))
        if preset.labels:
            (extra / "labels.txt").write_text("\n".join([*preset.labels, ""]), encoding="utf-8")
        (extra / "preset.json").write_text(json.dumps(_record(model, signatures), indent=1))
        parity = _prove(model, signatures, shape, beside, formats)
        (extra / "parity.json").write_text(json.dumps(parity, indent=1))
        path = _named(beside, output)
    write_tf_serving(output, preset.name)
    return path


def check_arguments(
    output: str | Path,
    size: tuple[int, int] | None,
    steps: int | None = None,
    formats: Sequence[str] = (SAVED_MODEL,),
) -> None:
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
    if steps is not None and steps < 1:
        raise ValueError(f"{option('steps')} must be at least 1. Received: {steps}.")
    for name in formats:
        check_known("format", name, FORMATS)
        missing = [each for each in FORMATS[name][1] if importlib.util.find_spec(each) is None]
        if missing:
            raise ImportError(f'The format {name} needs {missing[0]}. Type: pip install "scs-keras[{name}]"')
    check_output_folder(output)


def _shape(preset, size):
    """The shape of the input, or of each by its name, at that size."""
    if not isinstance(preset.input_shape, dict):
        time, *frame, channels = preset.input_shape
        return (time, *(size or frame), channels)
    if size is not None:
        raise ValueError(
            f"{option('size')} is for presets of one sequence of frames. Received: {preset.name}, which takes "
            f"{', '.join(preset.input_shape)}. Leave it out; the preset's arguments say their sizes."
        )
    return preset.input_shape


def _frame(shape):
    """(height, width) of the frames, or of the first input that has some."""
    shapes = named(shape).values()
    return next((tuple(each[-3:-1]) for each in shapes if len(each) >= 3), (1, 1))


def _lengthen(model, steps):
    if not hasattr(model, "output_length"):
        raise ValueError(
            f"{type(model).__name__} predicts no frames. Received: {option('steps', steps)}. Leave it out."
        )
    model.output_length = steps


def how_to_stream(model: Any) -> list[str]:
    """A sentence for models without `step`: what to do instead; none for the others."""
    if hasattr(model, "step"):
        return []
    time = model.preset.input_shape[0]
    return [
        f"{type(model).__name__} sees all frames at once, so there is no signature `step`. For a live stream keep the "
        f"last {time} frames and call serving_default with them."
    ]


def _prove(model, signatures, shape, path, formats):
    """Writes the other formats; parity of all: {format: {signature: {output: {measure: value}}}} and what it is of."""
    reference = Reference(model, signatures, shape)
    found = {SAVED_MODEL: reference.compare(saved_model_runner(path), "SavedModel")}
    for name in formats:
        if FORMATS[name][0]:
            found[name] = _other(name, reference, signatures, path)
    return dict(preset=model.preset.name, version=scs_keras.__version__, frames=shape, parity=found)


def _other(name, reference, signatures, path):
    write, runner = (resolve(f"{FORMATS[name][0]}:{each}") for each in ("write", "runner"))
    write(path, [each for each in signatures if all(spec.dtype != "string" for spec in each.inputs)])
    return reference.compare(runner(path), name)


def _record(model: Any, signatures: Sequence[Signature]) -> dict[str, Any]:
    """What a client must know: what goes in and comes out, and what the model is."""
    preset = model.preset
    return dict(
        name=preset.name,
        summary=preset.summary,
        arguments=dict(preset.changed),
        takes=_each_taken(model, signatures[0].inputs),
        gives={name: asdict(values) for name, values in values_of(model).items()},
        model_values=preset.values,
        labels=preset.labels,
        signatures={
            each.name: dict(inputs={spec.name: [spec.dtype, *spec.shape] for spec in each.inputs}, outputs=each.outputs)
            for each in signatures
        },
        weights=dict(sha256=preset.record.get("sha256"), licence=preset.weights_licence),
        data_licence=preset.data_licence,
        scs_keras=scs_keras.__version__,
    )


def _each_taken(model, inputs):
    """What the input takes, or of several each by its name."""
    each = {spec.name: asdict(taken(model, spec.name)) for spec in inputs}
    return next(iter(each.values())) if len(each) == 1 else each


def _named(beside, output):
    """Gives the finished folder the next free version; another export that was faster has the one before."""
    while True:
        path = output / str(1 + max(versions_in(output), default=0))
        try:
            os.rename(beside, path)
        except OSError:
            if not path.exists():
                raise
        else:
            return path
