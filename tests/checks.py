"""Plain NumPy versions of the paper's equations, the checks that several layers share, a process for large models."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
from keras import ops

from scs_keras import ASTSGD
from scs_keras.core.inputs import split


def in_own_process(function, *arguments, **options):
    """What a function of a test's module returns; TensorFlow keeps the memory and the graphs that it ever had."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def random(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def randomize(layer, seed=1, scale=0.4):
    """Random trainable weights, biases too, so that no error hides behind a zero."""
    values = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(scale * values.normal(size=variable.shape))


def convolve(x, kernel, strides=1, padding="same"):
    """Conv of any rank, channels last; a kernel with two axes is a dense map."""
    windows = []
    for axis, k in enumerate(kernel.shape[:-2], start=1):
        size = x.shape[axis]
        count = -(-size // strides) if padding == "same" else (size - k) // strides + 1
        missing = max((count - 1) * strides + k - size, 0)
        if padding == "same":
            pads = [(0, 0)] * x.ndim
            pads[axis] = (missing // 2, missing - missing // 2)
            x = np.pad(x, pads)
        windows.append(count)
    total = 0.0
    for offset in np.ndindex(*kernel.shape[:-2]):
        window = [slice(o, o + (count - 1) * strides + 1, strides) for o, count in zip(offset, windows)]
        total = total + x[(slice(None), *window)] @ kernel[offset]
    return total


def numpy_scs(
    weights, sequence, gate=0.5, stream="main", strides=1, padding="same", activation=relu, temporal_input=None
):
    """Eq. 4-6, 9 and 11 as one loop over time, (batch, time, *frame, channels).

    `temporal_input`, if given, is what the temporal branch sees instead of `sequence`.

    Returns:
        The outputs of all steps and the gates after all steps.
    """
    spatial_kernel, spatial_bias, temporal_kernel, recurrent_kernel, temporal_bias = map(np.asarray, weights)
    outputs, gates = [], []
    temporal_input = sequence if temporal_input is None else temporal_input
    for u_s, u_t in zip(*(np.moveaxis(np.asarray(each), 1, 0) for each in (sequence, temporal_input))):
        s = convolve(u_s, spatial_kernel, strides, padding) + spatial_bias  # Eq. 4
        gate = np.broadcast_to(gate, s.shape)
        c = convolve(u_t, temporal_kernel, strides, padding) + convolve(gate, recurrent_kernel) + temporal_bias
        gate = gate if stream == "spatial" else sigmoid(c)  # Eq. 5
        outputs.append(
            {
                "main": activation(s) * gate,  # Eq. 6
                "spatial": activation(s),  # Eq. 9
                "temporal": activation(c),  # Eq. 11
            }[stream]
        )
        gates.append(gate)
    return np.stack(outputs, axis=1), np.stack(gates, axis=1)


def at_q(q, **arguments):
    """An ASTSGD whose q is set."""
    switch = ASTSGD(**arguments)
    switch.q.assign(q)
    return switch


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64")))


def assert_close(actual, expected, tolerance=1e-5):
    """Equal structures of numbers, relative and absolute tolerance."""
    actual, expected = keras.tree.flatten(actual), keras.tree.flatten(expected)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(to_numpy(a), to_numpy(e), rtol=tolerance, atol=tolerance)


def check_layer(make, x, folder, tolerance=2e-2):
    """What any Keras layer must do, for a layer from sequences to one tensor.

    Config round trip, symbolic shape against eager shape, .keras round trip of a functional model in
    safe mode, one step of `fit`, and both mixed precisions against float32.
    """
    layer = make()
    expected = layer(x)
    randomize(layer)
    expected = layer(x)

    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again(x)
    again.set_weights(layer.get_weights())
    assert_close(again(x), expected)

    inputs = keras.Input(x.shape[1:])
    outputs = again(inputs)
    assert tuple(outputs.shape[1:]) == tuple(expected.shape[1:])
    model = keras.Model(inputs, outputs)
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert_close(loaded(x), expected)

    loaded.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    loaded.fit(x, np.zeros(expected.shape), verbose=0)
    pairs = zip(loaded.trainable_variables, layer.trainable_variables)
    assert all(np.any(a.numpy() != b.numpy()) for a, b in pairs if "kernel" in a.name)

    for policy in ("mixed_bfloat16", "mixed_float16"):
        mixed = make(dtype=policy)
        mixed(x)
        mixed.set_weights(layer.get_weights())
        outputs = mixed(x)
        assert outputs.dtype == policy.removeprefix("mixed_")
        assert all(variable.dtype == "float32" for variable in mixed.trainable_variables)
        assert_close(outputs, expected, tolerance)


def check_step(model, frames):
    """The steps' outputs, stacked and reduced as the model says, are the call's."""
    states, outputs = model.initial_states(frames), []
    sequences, _ = split(frames, getattr(model, "context", ()))
    for index in range(keras.tree.flatten(sequences)[0].shape[1]):
        output, states = model.step(keras.tree.map_structure(lambda each, at=index: each[:, at], sequences), states)
        outputs.append(output)
    outputs = keras.tree.map_structure(lambda *each: ops.stack(each, axis=1), *outputs)
    assert_close(model.reduce_outputs(outputs), model(frames))
