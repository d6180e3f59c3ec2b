"""Writes signatures as a SavedModel, and calls those of one."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from scs_keras.core.keras_private import all_layers
from scs_keras.core.signatures import Signature
from scs_keras.core.traced_once import made_by


def write_saved_model(model: Any, signatures: Sequence[Signature], path: Path) -> None:
    """Writes a SavedModel; floating point goes out as float32.

    Inputs of another shape fail inside the graph with what was expected and received.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    import tensorflow as tf

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    with one_trace(model), unrolled(model):
        functions = {each.name: _traced(model, each) for each in signatures}
    try:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # a server needs none
        tf.saved_model.save(module, str(path), signatures=functions, options=options)
    except tf.errors.OpError as error:  # TensorFlow's way to say that the disk is full
        raise OSError(f"{path.parent}: the export cannot be written: {error.message.split('; ')[-1]}") from error
    _finish(signatures, path)


@contextlib.contextmanager
def one_trace(model: Any) -> Iterator[None]:
    """Inside, all calls of the model with inputs of one shape are one function of TensorFlow, traced once; so are those
    of what is `traced_once`: with the flow in the graph four times a nowcast took twice as long to write."""
    import tensorflow as tf

    @functools.cache
    def function_of(function, **options):
        return tf.function(functools.partial(function, **options), autograph=False)

    traced = tf.function(model.call, autograph=False)

    def call(*inputs, training=False, **options):  # left out and False are one
        return traced(*inputs, **options)

    object.__setattr__(model, "call", call)
    try:
        with made_by(function_of):
            yield
    finally:
        object.__delattr__(model, "call")


@contextlib.contextmanager
def unrolled(model: Any) -> Iterator[None]:
    """Inside, Keras's recurrent layers are written out step by step: LiteRT takes no loop with a free batch."""
    loops = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    for layer in loops:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in loops:
            layer.unroll = False


def _traced(model, signature):
    import tensorflow as tf

    def function(*inputs):
        checked = [_checked(model, value, spec) for value, spec in zip(inputs, signature.inputs)]
        return dict(zip(signature.outputs, map(as_served, signature.function(*checked))))

    # Shapes that the placeholders knew would be taken for granted, and checked by nobody.
    specs = [tf.TensorSpec((None,) * (1 + len(each.shape)), each.dtype, name=each.name) for each in signature.inputs]
    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def _checked(model, value, spec):
    import tensorflow as tf

    value = tf.ensure_shape(tf.identity(value, name=spec.name), (None, *spec.shape))
    multiple = getattr(model, "frame_multiple", 1)
    if multiple == 1 or None not in spec.shape or len(spec.shape) < 3:
        return value
    said = f"Height and width of {spec.name} must be multiples of {multiple}. Received shape:"
    size = tf.shape(value)
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(size[-3:-1] % multiple == 0), [said, size], summarize=5)]
    ):
        return tf.identity(value)


def as_served(value: Any) -> Any:
    """Floating point of any kind as float32."""
    floating = keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))
    return keras.ops.cast(value, "float32") if floating else value


def _finish(signatures, path):
    """Writes the shapes of the inputs where clients ask for them; the graph itself takes any, to be able to refuse.

    The names of gradients, which are not there, go: TensorFlow warns of each at loading.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for signature in signatures:
        definition = saved.meta_graphs[0].signature_def[signature.name]
        for spec in signature.inputs:
            for axis, size in zip(definition.inputs[spec.name].tensor_shape.dim, (None, *spec.shape)):
                axis.size = -1 if size is None else size
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.attr.pop("_gradient_op_type", None)
    file.write_bytes(saved.SerializeToString())


def saved_model_runner(path: Path) -> Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Function of a signature's name and {input: array} to {output: array}."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # stays alive with the function

    def run(name, inputs):
        made = loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in made.items()}

    return run
