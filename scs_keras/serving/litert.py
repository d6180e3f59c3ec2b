"""LiteRT (TensorFlow Lite): one file with all signatures, of built-in operations only."""

from collections.abc import Sequence
from pathlib import Path

from scs_keras.core.signatures import Signature
from scs_keras.serving.parity import Run

FILE = "model.tflite"


def write(version: Path, signatures: Sequence[Signature]) -> None:
    """Writes `version`/litert/model.tflite; its signatures have the names of the SavedModel's.

    Raises:
        ValueError: an operation is not among LiteRT's own.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(version), signature_keys=[each.name for each in signatures]
    )
    try:
        content = converter.convert()
    except Exception as error:  # the converter's own kinds
        raise ValueError(_refusal(error)) from error
    (version / "litert").mkdir()
    (version / "litert" / FILE).write_bytes(content)


def _refusal(error):
    reason = " ".join(str(error).split())[:300]
    remedy = "Serve the SavedModel, or leave the format litert out. Nothing was kept."
    return f"LiteRT cannot take this model: {reason}. {remedy}"


def runner(version: Path, threads: int = 0) -> Run:
    """Calls the file in LiteRT, by the names of its signatures; `threads` as in `onnx.runner`."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(version / "litert" / FILE), num_threads=threads or None)
        runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}
    except (ValueError, RuntimeError) as error:
        raise ValueError(_refusal(error)) from error

    def run(name, inputs):
        return runners[name](**inputs)

    return run
