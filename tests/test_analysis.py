"""Chains of back-propagation and the importance of time."""

import itertools
from collections import Counter

import keras
import numpy as np
import pytest

from scs_keras import SCSModel, SCSNetwork, expected_chains, temporal_importance


def all_chains(layers, steps):
    """Every chain, walked edge by edge: its length and the switches (layer, time, branch) it passes."""
    chains = []

    def walk(layer, time, length, switches):
        if layer == 0:
            chains.append((length, frozenset(switches)))
            return
        walk(layer - 1, time, length + 1, [*switches, (layer, time, "spatial")])
        for earlier in range(time, 0, -1):  # back through the recurrence, which is never closed
            down = [*switches, (layer, earlier, "temporal")]
            walk(layer - 1, earlier, length + time - earlier + 1, down)

    walk(layers, steps, 0, [])
    return chains


def counts(lengths, size):
    counted = Counter(lengths)
    return np.array([counted[length] for length in range(size)], "float64")


@pytest.mark.parametrize("layers,steps", [(1, 1), (1, 5), (2, 3), (3, 4), (5, 3)])
def test_without_a_switch_it_counts_all_chains(layers, steps):
    expected = counts([length for length, _ in all_chains(layers, steps)], layers + steps)
    np.testing.assert_array_equal(expected_chains(layers, steps, 0), expected)


@pytest.mark.parametrize("p", [(0.3, 0.3), (0.0, 0.5), (0.6, 0.1), (1.0, 0.2), (1.0, 1.0)])
def test_expectation_over_every_possible_draw(p):
    layers, steps = 2, 2
    switches = list(itertools.product(range(1, layers + 1), range(1, steps + 1), ("spatial", "temporal")))
    closing = dict(zip(("spatial", "temporal"), p))
    chains = all_chains(layers, steps)
    expected = np.zeros(layers + steps)
    for states in itertools.product((False, True), repeat=len(switches)):
        open_ = {switch for switch, state in zip(switches, states) if state}
        chance = np.prod([closing[switch[2]] if switch not in open_ else 1 - closing[switch[2]] for switch in switches])
        expected += chance * counts([length for length, passed in chains if passed <= open_], layers + steps)
    np.testing.assert_allclose(expected_chains(layers, steps, p), expected, atol=1e-12)


def test_one_probability_is_both():
    np.testing.assert_array_equal(expected_chains(4, 6, 0.3), expected_chains(4, 6, (0.3, 0.3)))


def test_chains_equal_the_gradient_of_a_linear_network():
    # With every branch linear and all derivatives 1 the gradient is the number of chains: walk it as a matrix.
    layers, steps = 6, 9
    gradient = np.eye(steps)[-1]  # d output / d u_t, at time T only
    for _ in range(layers):
        gradient = gradient + np.cumsum(gradient[::-1])[::-1]  # spatial, and temporal from this or any later time
    by_length = np.concatenate([np.zeros(layers), gradient[::-1]])
    np.testing.assert_array_equal(expected_chains(layers, steps, 0), by_length)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ((0, 4, 0.5), "`layers` must be a positive integer. Received: layers=0"),
        ((3, 2.5, 0.5), "`steps` must be a positive integer. Received: steps=2.5"),
        ((3, True, 0.5), "`steps` must be a positive integer. Received: steps=True"),
        ((3, 4, 1.5), "must lie in \\[0, 1\\]. Received: p=1.5"),
        ((3, 4, (0.5, -0.1)), "must lie in \\[0, 1\\]. Received: p\\[1\\]=-0.1"),
        ((3, 4, (0.5,)), "one probability or the pair"),
    ],
)
def test_expected_chains_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        expected_chains(*arguments)


def minus_error(targets, outputs):
    return -np.abs(targets - outputs)


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    return random.normal(size=(5, 3, 4, 4, 1)).astype("float32"), random.normal(size=(5, 3, 4, 4, 2)).astype("float32")


def test_importance_is_the_difference_of_the_streams(samples):
    x, y = samples
    keras.utils.set_random_seed(0)
    model = SCSModel(SCSNetwork([3, 3]), keras.layers.Dense(2), temporal_head=keras.layers.Dense(2))
    spatial, temporal, difference = temporal_importance(model, x, y, minus_error, batch_size=2)
    for scores, stream in ((spatial, "spatial"), (temporal, "temporal")):
        outputs = keras.ops.convert_to_numpy(model(x, stream=stream))
        np.testing.assert_allclose(scores, -np.abs(y - outputs).mean(axis=(1, 2, 3, 4)), rtol=1e-5)
    np.testing.assert_array_equal(difference, temporal - spatial)
    assert np.ptp(difference) > 0


@pytest.mark.slow
def test_importance_is_high_where_only_the_past_tells():
    # Half of the sequences ask for the frame on view, half for the frame before it; a channel says which.
    random = np.random.default_rng(1)
    bits = random.integers(0, 2, (512, 4, 1, 1, 1)).astype("float32")
    past = np.arange(512) % 2 == 1
    y = np.where(past[:, None, None, None, None], np.roll(bits, 1, axis=1), bits)
    x = np.concatenate([bits, np.broadcast_to(past[:, None, None, None, None], bits.shape)], axis=-1).astype("float32")
    weight = np.ones((512, 4, 1, 1), "float32")
    weight[:, 0] = 0  # nothing came before the first frame
    keras.utils.set_random_seed(1)
    head = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model = SCSModel(SCSNetwork([12, 12]), head)
    loss = keras.losses.BinaryCrossentropy()
    model.compile(keras.optimizers.Adam(0.02), loss, spatial_loss=loss, temporal_loss=loss)
    model.fit(x, y, sample_weight=weight, batch_size=64, epochs=25, verbose=0)
    *_, difference = temporal_importance(model, x, y, lambda t, u: (np.round(u) == t)[:, 1:], batch_size=512)
    assert difference[past].mean() > difference[~past].mean() + 0.2


def doubled(x, y):
    return 2 * y


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: keras.Sequential(), "streams of an SCSModel. Received: Sequential"),
        (lambda: SCSModel(SCSNetwork([2]), keras.layers.Dense(2), temporal_goal=doubled), "temporal goals of its own"),
        (lambda: compiled_without_temporal_loss(), "compiled without temporal_loss"),
    ],
)
def test_importance_refuses_other_models(samples, make, message):
    with pytest.raises(ValueError, match=message):
        temporal_importance(make(), *samples, minus_error)


def compiled_without_temporal_loss():
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(2))
    model.compile("adam", "mse", spatial_loss="mse")
    return model


def test_importance_refuses_a_score_of_the_whole_batch(samples):
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(2))
    with pytest.raises(ValueError, match="keep the samples apart"):
        temporal_importance(model, *samples, lambda targets, outputs: -np.abs(targets - outputs).mean())


def test_importance_refuses_samples_that_do_not_match(samples):
    x, y = samples
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(2))
    with pytest.raises(ValueError, match="len\\(x\\)=5, len\\(y\\)=4"):
        temporal_importance(model, x, y[:4], minus_error)
