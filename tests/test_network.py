"""SCSNetwork: Eq. 3 against NumPy, streaming against the whole sequence, variants, errors."""

import keras
import numpy as np
import pytest

from scs_keras import ASTSGD, SCSNetwork, Stage
from scs_keras.core.stages import VARIANTS, as_stages
from tests.checks import assert_close, check_layer, convolve, numpy_scs, random, randomize, relu

X = random(2, 4, 9, 8, 3)
STRUCTURES = {
    "plain": [4, 3],
    "stages": [
        Stage(4, kernel_size=5, strides=2, pool=3),
        Stage(4, layers=2, shortcut_every=2),
        Stage(6, layers=4, strides=2, shortcut_every=2),
    ],
}


def network(structure, normalization=None, shape=X.shape, **arguments):
    net = SCSNetwork(STRUCTURES.get(structure, structure), normalization=normalization, **arguments)
    net.build(shape)
    randomize(net)
    return net


def max_pool(frames):
    """Max-pooling of size 3, stride 2, "same", over (batch, time, height, width, channels)."""
    _, _, height, width, _ = frames.shape
    size = [-(-n // 2) for n in (height, width)]
    missing = [max((count - 1) * 2 + 3 - n, 0) for count, n in zip(size, (height, width))]
    pads = [(0, 0), (0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)]
    frames = np.pad(frames, pads, constant_values=-np.inf)
    windows = [
        frames[:, :, i : i + 2 * size[0] - 1 : 2, j : j + 2 * size[1] - 1 : 2] for i in range(3) for j in range(3)
    ]
    return np.max(windows, axis=0)


def numpy_shortcut(line, shortcut):
    if shortcut.convolution is None:
        return line
    kernel, bias = shortcut.convolution.get_weights()
    frames = convolve(line.reshape(-1, *line.shape[2:]), kernel, shortcut.strides) + bias
    return relu(frames).reshape(*line.shape[:2], *frames.shape[1:])


def numpy_network(net, u, stream):
    for block, shortcut, pool in net.blocks:
        line = u
        for layer in block:
            u, _ = numpy_scs(layer.get_weights(), u, stream=stream, strides=layer.cell.strides[0])
        u = u if shortcut is None else u + numpy_shortcut(line, shortcut)
        u = max_pool(u) if pool else u
    return u


@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_equation_3(structure, stream):
    net = network(structure)
    assert_close(net(X, stream=stream), numpy_network(net, X, stream))


def test_layer_contract(tmp_path):
    make = lambda dtype=None: SCSNetwork(STRUCTURES["stages"], normalization="group", dtype=dtype)  # noqa: E731
    check_layer(make, X, tmp_path, tolerance=0.1)


@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
@pytest.mark.parametrize("structure, normalization", [("plain", None), ("stages", "batch"), ("stages", "group")])
def test_step_by_step_equals_whole_sequence(structure, normalization, stream):
    net = network(structure, normalization)
    if normalization == "batch":
        for seed in range(3):
            net(3 * random(*X.shape, seed=seed) + 1, stream=stream, training=True)  # moves the statistics
    whole, final = net(X, stream=stream, return_states=True)
    states, outputs = net.initial_states(2, 9, 8), []
    for index in range(X.shape[1]):
        output, states = net.step(X[:, index], states, stream=stream)
        outputs.append(output)
    assert_close(keras.ops.stack(outputs, axis=1), whole)
    assert_close(states, final)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_split_anywhere_equals_whole_sequence(split):
    net = network("stages", "batch")
    first, states = net(X[:, :split], return_states=True)
    second = net(X[:, split:], initial_states=states)
    assert_close(keras.ops.concatenate([first, second], axis=1), net(X))


def test_step_builds_the_network():
    net = SCSNetwork([3])
    states = net.initial_states(2, 9, 8)
    output, states = net.step(X[:, 0], states)
    assert output.shape == states[0].shape == (2, 9, 8, 3)
    assert_close(output, numpy_network(net, X[:, :1], "main")[:, 0])


def test_statistics_of_the_streams_stay_apart():
    net = network("plain", "batch")
    before = net(X)
    for _ in range(3):
        net(5 * X + 3, stream="spatial", training=True)
        net(5 * X + 3, stream="temporal", training=True)
    assert_close(net(X), before)
    net(5 * X + 3, training=True)
    assert np.abs(net(X) - before).max() > 1e-3


@pytest.mark.parametrize("frame", [(9, 8), (None, None)])
def test_functional(frame, tmp_path):
    inputs = keras.Input((None, *frame, 3))
    outputs, states = SCSNetwork(STRUCTURES["stages"], normalization="batch")(inputs, return_states=True)
    assert outputs.shape[-1] == 6 and len(states) == 7
    if frame[0]:
        assert outputs.shape[2:] == (2, 1, 6) and states[0].shape == (None, 5, 4, 4)
    model = keras.Model(inputs, [outputs, *states])
    randomize(model)
    expected = model(X)
    assert [each.shape[-1] for each in expected] == [6, 4, 4, 4, 6, 6, 6, 6]
    assert_close(model.predict(X, verbose=0), expected)
    model.save(tmp_path / "network.keras")
    assert_close(keras.saving.load_model(tmp_path / "network.keras")(X), expected)


def test_config_round_trip():
    net = SCSNetwork(
        [Stage(4, layers=2, shortcut_every=2), 3], normalization="batch", activation="tanh", initial_gate=0.1,
        switch=ASTSGD(0.7), kernel_regularizer="l2", name="scs",
    )  # fmt: skip
    again = SCSNetwork.from_config(net.get_config())
    assert again.name == "scs" and again.stages == net.stages
    layer = again.scs_layers[-1]
    assert layer.normalization == "batch" and layer.cell.initial_gate == 0.1
    assert layer.cell.activation is keras.activations.tanh
    assert all(each.cell.switch is layer.cell.switch for each in again.scs_layers)
    assert layer.cell.switch.q0 == 0.7


def test_one_set_of_weights_serves_the_three_streams():
    net = network("plain")
    count = len(net.weights)
    for stream in ("spatial", "temporal"):
        net(X, stream=stream)
    assert len(net.weights) == count == 10


def test_integers_are_cast():
    x, net = (100 * np.abs(X)).astype("uint8"), network("stages")
    assert_close(net(x), net(x.astype("float32")))


def test_variants():
    layers = {name: sum(stage.layers for stage in stages) for name, stages in VARIANTS.items()}
    assert layers == {"resnet_17": 17, "plain_2": 2, "plain_5": 5, "plain_10": 10, "plain_15": 15}
    earlier = {"action_17": 17, "outline_2": 2, "outline_5": 5, "outline_10": 10, "outline_15": 15}
    assert {name: sum(stage.layers for stage in as_stages(name)) for name in earlier} == earlier
    action = SCSNetwork("action_17", normalization="batch")(keras.Input((5, 224, 224, 3)))  # Tab. 1
    assert action.shape == (None, 5, 7, 7, 512)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SCSNetwork("outline_3"), "Unknown network variant"),
        (lambda: SCSNetwork([]), "needs at least one stage"),
        (lambda: SCSNetwork([3, "4"]), "list of filters or stages"),
        (lambda: SCSNetwork([Stage(3, layers=3, shortcut_every=2)]), "multiple of `shortcut_every`"),
        (lambda: SCSNetwork([3])(X[0]), r"5 axes.*x\[\.\.\., None\]"),
        (lambda: SCSNetwork([3])(X, stream="T1"), "`stream` must be one of"),
        (lambda: SCSNetwork([3], padding="full"), "`padding` must be"),
        (lambda: SCSNetwork([3])(keras.Input((3, 8, 8, None))), "number of input channels must be known"),
        (lambda: SCSNetwork(64), r"a list of filters or a list of stages.*Received: 64.*\[64, 32\]"),
        (lambda: network("plain")(X[:, 0]), "SCSNetwork takes sequences of images with 5 axes"),
        (lambda: network("plain")(X[..., :2]), "SCSNetwork was built for inputs with 3 channels"),
        (lambda: network("plain")(keras.Input((4, 9, 8, 2))), "SCSNetwork was built for inputs with 3 channels"),
        (lambda: network("plain")(X[:, :0]), "SCSNetwork takes sequences of at least one time step"),
        (lambda: network("plain")(X, initial_states=[0.5]), "are 2 gates, one for each layer. Received: 1"),
        (lambda: network("plain")(X, initial_states=[X[:, 0, :4]] * 2), r"a state of shape=\(2, 4, 8, 3\)"),
        (lambda: network("plain").step(X[:, 0], [X[:, 0, :4]] * 2), r"a state of shape=\(2, 4, 8, 3\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "Received" in str(error.value)
