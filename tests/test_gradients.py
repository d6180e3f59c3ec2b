"""The switch's gradients (Eq. 17 and 19): against frozen inputs, drawn anew at every step, unbiased."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from scs_keras import STSGD, SCSCell, SCSModel, SCSNetwork
from scs_keras.core.switch import switch_scope
from tests.checks import assert_close, at_q, numpy_scs, random, randomize, relu, to_numpy

X = random(2, 3, 5, 4, 2).astype("float64")


def network(kind, filters, **arguments):
    """Two ways to the same network: SCSNetwork, or keras.layers.RNN around cells."""
    if kind == "network":
        net = SCSNetwork(filters, dtype="float64", **arguments)
    else:
        cells = [SCSCell(count, dtype="float64", **arguments) for count in filters]
        stack = [keras.layers.RNN(cell, return_sequences=True, dtype="float64") for cell in cells]
        net = keras.Sequential([keras.Input(X.shape[1:], dtype="float64"), *stack])
    net(X)
    randomize(net, scale=0.6)
    return net


def gradients(net, loss_of, **call_arguments):
    with tf.GradientTape() as tape:
        loss = loss_of(net(X, **call_arguments))
    return tape.gradient(loss, [variable.value for variable in net.trainable_variables])


def frozen_outputs(weights, recorded, closed, activation):
    """The network in NumPy, the closed branches fed with the inputs they had before the weights moved."""
    u = recorded[0]
    for index, layer in enumerate(weights):
        spatial = recorded[index] if "spatial" in closed else u
        temporal = recorded[index] if "temporal" in closed else u
        u, _ = numpy_scs(layer, spatial, activation=activation, temporal_input=temporal)
    return u


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("closed", [[], ["spatial"], ["temporal"], ["spatial", "temporal"]])
@pytest.mark.parametrize("kind", ["network", "rnn"])
def test_closed_branches_are_frozen_inputs(kind, closed, activation):
    """Central differences of the frozen network along random directions, one for each weight."""
    filters = [3, 2, 3]
    switch = STSGD(**dict.fromkeys(closed, 1.0)) if closed else None
    net = network(kind, filters, switch=switch, activation=activation)
    coefficients = random(2, 3, 5, 4, 3, seed=7).astype("float64")
    actual = gradients(net, lambda y: tf.reduce_sum(coefficients * y), training=True)

    flat = [to_numpy(variable) for variable in net.trainable_variables]
    groups = lambda values: [values[i : i + 5] for i in range(0, 15, 5)]  # noqa: E731
    function = {"relu": relu, "tanh": np.tanh}[activation]
    recorded = [X]
    for layer in groups(flat):
        recorded.append(numpy_scs(layer, recorded[-1], activation=function)[0])
    assert_close(net(X), recorded[-1], 1e-12)

    epsilon, values = 1e-6, np.random.default_rng(3)
    for index, gradient in enumerate(actual):
        direction = values.normal(size=flat[index].shape)
        losses = []
        for sign in (1, -1):
            moved = list(flat)
            moved[index] = flat[index] + sign * epsilon * direction
            losses.append(np.sum(coefficients * frozen_outputs(groups(moved), recorded, closed, function)))
        expected = (losses[0] - losses[1]) / (2 * epsilon)
        assert np.sum(to_numpy(gradient) * direction) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    zero = [not np.any(gradient) for gradient in actual]
    assert zero == [len(closed) == 2] * 10 + [False] * 5  # both closed: only the last layer learns


def test_switch_rests_outside_training_and_in_the_other_streams():
    net = network("network", [3, 3], switch=STSGD(1.0))
    plain = network("network", [3, 3])
    for arguments in ({}, dict(stream="spatial", training=True), dict(stream="temporal", training=True)):
        loss = lambda y: tf.reduce_sum(y**2)  # noqa: E731
        actual, expected = gradients(net, loss, **arguments), gradients(plain, loss, **arguments)
        assert_close([g for g in actual if g is not None], [g for g in expected if g is not None], 1e-12)
    assert_close(net(X, training=True), plain(X), 1e-12)


@pytest.mark.parametrize("normalization", [None, "batch", "group"])
@pytest.mark.parametrize("stream, other", [("spatial", "temporal"), ("temporal", "spatial")])
def test_sub_networks_do_not_touch_the_other_branch(stream, other, normalization):
    net = network("network", [3, 2], normalization=normalization)
    branch = {"spatial": ("spatial_", "s_norm"), "temporal": ("temporal_", "recurrent_", "c_norm")}
    found = gradients(net, lambda y: tf.reduce_sum(y**2), stream=stream, training=True)
    for variable, gradient in zip(net.trainable_variables, found):
        mine = any(part in variable.path for part in branch[stream]) or (
            normalization and not any(part in variable.path for part in branch[other])
        )
        if not mine:
            assert gradient is None or not np.any(gradient)
        elif "kernel" in variable.name:
            assert np.any(gradient)


# Draws inside a compiled fit ---------------------------------------------------------------------


def first_layer_gradients(model, batches):
    """The first layer's spatial kernel's gradient at every batch of a compiled fit, from the same weights."""
    history = []
    trainable = [to_numpy(variable) for variable in model.trainable_variables]

    def after(batch, logs):
        history.append(trainable[0] - to_numpy(model.trainable_variables[0]))
        for variable, value in zip(model.trainable_variables, trainable):
            variable.assign(value)

    x = np.repeat(random(1, 1, 4, 4, 1), batches, axis=0)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=after)
    model.fit(x, 0 * x, batch_size=1, shuffle=False, verbose=0, callbacks=[callback])
    return x[:1], np.stack(history)


def test_draws_inside_a_compiled_fit():
    switch = STSGD(spatial=0.3, temporal=0.6, seed=4)
    model = SCSModel(SCSNetwork([2, 2]), keras.layers.Dense(1))
    model(np.zeros((1, 1, 4, 4, 1)))
    randomize(model)
    model.compile(keras.optimizers.SGD(1.0), "mse", switch=switch, clip=None)
    begin = to_numpy(switch.draws.state)
    x, history = first_layer_gradients(model, 300)

    # The lower layer's gradient tells which of the upper layer's branches were open.
    patterns = {}
    for spatial in (0.0, 1.0):
        for temporal in (0.0, 1.0):
            with tf.GradientTape() as tape, switch_scope(STSGD(spatial=spatial, temporal=temporal)):
                loss = tf.reduce_mean(model.head(model.network(x, training=True)) ** 2)
            gradient = tape.gradient(loss, model.trainable_variables[0].value)
            patterns[spatial, temporal] = np.zeros((3, 3, 1, 2)) if gradient is None else to_numpy(gradient)
    distance = np.stack([np.abs(history - each).max(axis=(1, 2, 3, 4)) for each in patterns.values()])
    assert distance.min(axis=0).max() < 1e-5 < np.sort(distance, axis=0)[1].min()
    drawn = np.argmin(distance, axis=0)
    for index, (spatial, temporal) in enumerate(patterns):
        p = (0.3 if spatial else 0.7) * (0.6 if temporal else 0.4)
        assert abs(np.mean(drawn == index) - p) <= 4 * np.sqrt(p * (1 - p) / 300)

    _, going_on = first_layer_gradients(model, 20)
    assert np.any(going_on != history[:20])
    switch.draws.state.assign(begin)  # the same seed and count: the same draws
    _, again = first_layer_gradients(model, 20)
    assert_close(again, history[:20], 1e-6)


def test_draws_differ_between_layers_and_steps():
    seen = []

    class Recording(STSGD):
        def draw(self, steps=None):
            draw = super().draw(steps)
            seen.append(np.stack([to_numpy(scale) for scale in draw]))
            return draw

    net = SCSNetwork([2, 2, 2])
    with switch_scope(Recording(0.5, seed=0)):
        net(random(1, 24, 4, 4, 1), training=True)
    assert [draw.shape for draw in seen] == [(2, 24)] * 3
    assert len({draw.tobytes() for draw in seen}) == 3
    assert all(0 < draw.mean() < 1 for draw in seen)


@pytest.mark.parametrize(
    "make",
    [
        lambda **kw: STSGD(spatial=0.3, temporal=0.6, seed=0, **kw),
        lambda **kw: at_q(0.6, seed=0, **kw),
        lambda **kw: STSGD(0.5, keep_one=True, seed=0, **kw),
    ],
)
def test_unbiased_gradients_have_the_full_gradient_as_their_mean(make):
    net = network("network", [2, 2, 1])
    target = random(2, 3, 5, 4, 1, seed=5).astype("float64")
    variables = [variable.value for variable in net.trainable_variables]

    def flat_gradient(switch):
        with tf.GradientTape() as tape, switch_scope(switch):
            loss = tf.reduce_mean(net(X, training=True) * target)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return tf.concat([tf.reshape(each, [-1]) for each in gradients], 0)

    @tf.function
    def statistics(draws):
        total = square = tf.zeros(net.count_params(), "float64")
        for _ in tf.range(draws):
            gradient = flat_gradient(switch)
            total, square = total + gradient, square + gradient**2
        mean = total / tf.cast(draws, "float64")
        return mean, tf.sqrt(tf.maximum(square / tf.cast(draws, "float64") - mean**2, 0.0))

    full, draws = to_numpy(flat_gradient(None)), 1500
    switch = make(unbiased=True)
    mean, deviation = map(to_numpy, statistics(draws))
    assert np.all(np.abs(mean - full) <= 5 * deviation / np.sqrt(draws) + 1e-12)
    assert np.abs(mean - full).sum() < 0.15 * np.abs(full).sum()
    statistics = tf.function(statistics.python_function)
    switch = make(unbiased=False)
    mean, _ = map(to_numpy, statistics(300))
    assert np.abs(mean - full).sum() > 0.3 * np.abs(full).sum()
