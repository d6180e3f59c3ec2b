"""ONNX: a file for each signature, converted from the graphs of the SavedModel."""

import contextlib
import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.core.signatures import Signature
from scs_keras.serving.parity import Run

OPSET = 18


def write(version: Path, signatures: Sequence[Signature]) -> None:
    """Writes `version`/onnx/NAME.onnx for every signature; inputs and outputs have its names.

    Time is unrolled; the batch size stays free. tf2onnx's own optimiser is left out: it takes most of the time, and
    onnxruntime optimises what it loads.

    Raises:
        ValueError: an operation is not there in ONNX.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(version))
    folder = version / "onnx"
    folder.mkdir()
    for signature in signatures:
        with _refusing(signature), _quiet(), _little_to_collect():
            content = _converted(loaded.signatures[signature.name], signature)
        (folder / f"{signature.name}.onnx").write_bytes(content)


def _converted(function, signature):
    import tensorflow as tf
    from tf2onnx import tf_loader, tfonnx

    from scs_keras.serving.frozen import frozen

    inputs = [each.name for each in function.inputs if each.dtype != tf.resource]
    outputs = [each.name for each in function.outputs]  # in the order of their sorted names
    graph_def = frozen(function, inputs, outputs)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf_loader.tf_session(graph=graph):
            converted = tfonnx.process_tf_graph(
                graph, opset=OPSET, input_names=inputs, output_names=outputs, custom_op_handlers={"Erfc": (_erfc, [])}
            )
    made = converted.make_model(signature.name)
    names = {each: each.partition(":")[0] for each in inputs} | dict(zip(outputs, sorted(signature.outputs)))
    _rename(made.graph, names)
    _set_shapes(made.graph, signature)
    return made.SerializeToString()


def _erfc(context, node, name, arguments):
    """1 - erf(x): exact GELU is Erfc in TensorFlow, which neither tf2onnx nor ONNX has."""
    from tf2onnx import utils

    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    output, given = node.output[0], list(node.input)
    context.remove_node(node.name)
    erf = context.make_node("Erf", given, shapes=[shape], dtypes=[dtype])
    one = context.make_const(utils.make_name("one"), np.array(1.0, "float32"))
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=[output], shapes=[shape], dtypes=[dtype])


def _rename(graph, names):
    for node in graph.node:
        for held in (node.input, node.output):
            held[:] = [names.get(each, each) for each in held]
    for each in (*graph.input, *graph.output):
        each.name = names.get(each.name, each.name)


def _set_shapes(graph, signature):
    """Sizes where they are fixed, so that the runtime refuses others by itself."""
    specs = {spec.name: (None, *spec.shape) for spec in signature.inputs}
    for each in (*graph.input, *graph.output):
        axes = each.type.tensor_type.shape.dim
        if axes:
            axes[0].dim_param = "batch"
        for index, (axis, size) in enumerate(zip(axes, specs.get(each.name, ()))):
            if size is not None:
                axis.dim_value = size
            elif index:
                axis.dim_param = f"{each.name}_{index}"


@contextlib.contextmanager
def _refusing(signature):
    """What ONNX cannot take is one sentence."""
    try:
        yield
    except Exception as error:  # tf2onnx and onnxruntime raise many kinds
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"ONNX cannot take the signature {signature.name}: {reason}. Serve the SavedModel, or leave the format "
            "onnx out. Nothing was kept."
        ) from error


@contextlib.contextmanager
def _quiet():
    """tf2onnx logs each folded constant."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _little_to_collect():
    """Inside, the garbage collector passes over all that was there before: it would look at TensorFlow's objects again
    and again, for an eighth of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def runner(version: Path, threads: int = 0) -> Run:
    """Calls the files in onnxruntime; all are loaded, since a file that does not load counts as not written.

    Args:
        version: folder of a version.
        threads: of one operation; 0 for onnxruntime's choice.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions: dict[str, Any] = {}
    for file in sorted((version / "onnx").glob("*.onnx")):
        try:
            sessions[file.stem] = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own kinds
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"onnxruntime does not load {file.name}: {reason}. Leave the format onnx out.") from error

    def run(name, inputs):
        outputs = [each.name for each in sessions[name].get_outputs()]
        return dict(zip(outputs, sessions[name].run(outputs, dict(inputs))))

    return run
