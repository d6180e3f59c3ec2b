"""A work-around for TensorFlow 2.21 with tf2onnx 1.17: freezing a graph whose control dependencies cannot be sorted."""

from typing import Any


def frozen(function: Any, inputs: list[str], outputs: list[str]) -> Any:
    """The GraphDef of a concrete function with its variables as constants, as tf2onnx takes it.

    TensorFlow's optimiser, which tf2onnx calls, cannot sort the graph of some SavedModels ("couldn't be sorted in
    topological order"; seen with several inputs). What disturbs it are control dependencies, which order side effects.
    A model that predicts has none, so they are left out; `tests/test_conformance_export.py` fails once that is not
    needed.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tf2onnx import tf_loader

    constant = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    graph_def = tf_loader.fix_freezing_errors_part2(constant.graph.as_graph_def(add_shapes=True))
    for node in graph_def.node:
        node.input[:] = [each for each in node.input if not each.startswith("^")]
    with tf.Graph().as_default() as graph, tf_loader.tf_session(graph=graph):
        tf.import_graph_def(graph_def, name="")
        return tf_loader.tf_optimize(inputs, outputs, graph_def)
