"""A work-around for TensorFlow 2.21 with tf2onnx 1.17: freezing a graph whose control dependencies cannot be sorted."""

from typing import Any


def frozen(function: Any, inputs: list[str], outputs: list[str]) -> Any:
    """The GraphDef of a concrete function with its variables as constants, as tf2onnx takes it.

    TensorFlow's optimiser, which tf2onnx calls, cannot sort the graph of some SavedModels ("couldn't be sorted in
    topological order"; seen with several inputs). What disturbs it are control dependencies, which order side effects.
    A model that predicts has none, so they are left out; `tests/test_conformance_export.py` fails once that is not
    needed. Here are also the first two steps of TensorFlow's `convert_variables_to_constants_v2`: its third makes a
    function of the graph again, which nobody calls and which takes a third of the whole conversion to ONNX.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants
    from tf2onnx import tf_loader

    data = convert_to_constants._FunctionConverterDataInEager(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    graph_def, _ = convert_to_constants._replace_variables_by_constants(data)
    graph_def = tf_loader.fix_freezing_errors_part2(graph_def)
    for node in graph_def.node:
        node.input[:] = [each for each in node.input if not each.startswith("^")]
    with tf.Graph().as_default() as graph, tf_loader.tf_session(graph=graph):
        tf.import_graph_def(graph_def, name="")
        return tf_loader.tf_optimize(inputs, outputs, graph_def)
