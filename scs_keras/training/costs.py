"""What a model costs: its parameters, and the multiply-adds of a forward pass, counted in TensorFlow's graph of it."""

from dataclasses import dataclass

import numpy as np

from scs_keras import zoo


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        parameters: as the benchmark counts them: all but normalisation statistics and other buffers.
        live_parameters: those that train.
        multiply_adds: of convolutions, dense layers and matrix products in one forward pass of one sample.
        passes: how many forward passes a prediction takes (more than 1 where it is fed back whole).
    """

    parameters: int
    live_parameters: int
    multiply_adds: int
    passes: int = 1


def preset_cost(preset):
    """The `Cost` of a preset's architecture."""
    model = preset.make()
    live = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    passes = getattr(model, "passes", 1)
    return Cost(
        parameters=getattr(model, "parameters", live),
        live_parameters=live,
        multiply_adds=multiply_adds(model, preset.input_shape) // passes,
        passes=passes,
    )


def multiply_adds(model, input_shape):
    """Multiply-adds of `model` on one sample of `input_shape`, which need not be computed for it.

    A multiply-add is one operation here, as in the benchmark's "FLOPs". Additions of biases, normalisations
    and activations do not count.

    Raises:
        ValueError: on another backend than TensorFlow, or for a convolution in a loop of unknown length.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Multiply-adds are counted in TensorFlow's graph of the model. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    call = tf.function(lambda frames: model(frames, training=False), autograph=False)
    return _graph(call.get_concrete_function(tf.TensorSpec((1, *input_shape), "float32")).graph)


def _graph(graph):
    return sum(_operation(operation, graph) for operation in graph.get_operations())


def _operation(operation, graph):
    """Multiply-adds of one node, and of the functions that it calls."""
    if operation.type in _COUNTS:
        shapes = [tensor.shape for tensor in (*operation.inputs, *operation.outputs)]
        if not all(shape.is_fully_defined() for shape in shapes):
            raise ValueError(f"Cannot count multiply-adds of an unknown shape: {operation.name}, shapes {shapes}.")
        return _COUNTS[operation.type](operation, [tuple(shape) for shape in shapes])
    # A graph keeps the functions that it calls by name; TensorFlow has no public way to them.
    bodies = [graph._get_function(name).graph for name in _called(operation)]
    if operation.type in ("While", "StatelessWhile"):
        if any(inner.type in _COUNTS for body in bodies for inner in body.get_operations()):
            raise ValueError(
                f"Cannot count multiply-adds in a loop of unknown length: {operation.name}. "
                "Build the model with unroll=True."
            )
        return 0
    return sum(map(_graph, bodies))


def _called(operation):
    for key in operation.node_def.attr:
        value = operation.node_def.attr[key]
        yield from [value.func.name] if value.HasField("func") else [func.name for func in value.list.func]


def _convolution(operation, shapes):
    _, kernel, output = shapes  # each output value is a sum over the kernel's window and input channels
    return _size(output) * _size(kernel[:-1])


def _transposed(operation, shapes):
    _, kernel, gradient, _ = shapes  # each input value goes to the kernel's window and output channels
    return _size(gradient) * _size(kernel[:-1])


def _depthwise(operation, shapes):
    _, kernel, output = shapes
    return _size(output) * _size(kernel[:2])


def _matrix_product(operation, shapes):
    left, _, output = shapes
    transposed = any(
        operation.node_def.attr[key].b for key in ("transpose_a", "adj_x") if key in operation.node_def.attr
    )
    return _size(output) * left[-2 if transposed else -1]


def _einsum(operation, shapes):
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {letter: size for term, shape in zip(terms, shapes) for letter, size in zip(term.strip(), shape)}
    return _size(sizes.values())


def _size(shape):
    return int(np.prod(list(shape), dtype="int64"))


_COUNTS = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "Conv2DBackpropInput": _transposed,
    "Conv3DBackpropInputV2": _transposed,
    "DepthwiseConv2dNative": _depthwise,
    "MatMul": _matrix_product,
    "BatchMatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "Einsum": _einsum,
}


def print_costs(task=None):
    """Prints the cost of every preset, or of those of one task."""
    print(f"{'':45} {'parameters':>12} {'of them live':>12} {'10^9 multiply-adds':>19}")
    for preset in zoo.list_presets(task):
        cost = preset_cost(preset)
        passes = f" x {cost.passes} passes" if cost.passes > 1 else ""
        counts = f"{cost.parameters:12,} {cost.live_parameters:12,} {cost.multiply_adds / 1e9:19.3f}"
        print(f"{preset.name:45} {counts}{passes}", flush=True)
