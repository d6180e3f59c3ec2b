"""STSGD, ASTSGD, the controller and SwitchCallback: values, draws, saving, errors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from scs_keras import ASTSGD, SCS2D, STSGD, SCSModel, SCSNetwork, SwitchCallback
from scs_keras.core.controller import Controller
from scs_keras.core.switch import Draw, active_switch, switch_scope, use_branch
from tests.checks import assert_close, at_q, random, to_numpy

IMAGENET = dict(threshold=1.0, initial_loss=5.99)


def value(variable):
    return float(to_numpy(variable))


# p and q -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, L_s, L_g, q",
    [
        (dict(), 3.0, 4.0, 0.767201),  # 0.5 + 0.5 * 2 / 4.99 * (4 / 3)
        (dict(alpha=2.0), 2.0, 3.0, 0.700401),  # 0.5 + 0.5 * 1 / 4.99 * (2 * 0.5 + 1)
        (dict(alpha=0.0), 3.0, 9.0, 0.700401),  # 0.5 + 0.5 * 2 / 4.99
        (dict(q0=0.2), 3.0, 3.0, 0.520641),  # 0.2 + 0.8 * 2 / 4.99
        (dict(alpha=3.0), 3.0, 0.3, 0.159319),  # 0.5 + 0.5 * 2 / 4.99 * (3 * -0.9 + 1)
        (dict(), 0.5, 4.0, 0.5),  # max(0, L_s - threshold)
        (dict(), 0.0, 4.0, 0.5),  # L_g / L_s stays finite
        (dict(), 6.0, 12.0, 1.0),  # clipped
        (dict(alpha=10.0), 3.0, 0.3, 0.0),  # clipped
        (dict(q0=1.0), 3.0, 4.0, 1.0),
    ],
)
def test_equation_20(arguments, L_s, L_g, q):
    switch = ASTSGD(**IMAGENET, **arguments)
    assert value(switch.q) == 1.0  # until the first loss
    switch.update(L_s, 123.0, L_g)
    assert value(switch.q) == pytest.approx(q, abs=2e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_initial_loss_is_measured_and_the_default_threshold_fits_any_size(scale):
    switch, history = ASTSGD(), []
    assert value(switch.initial_loss) == 0.0
    for loss in (5.99, 3.0, 1.5, 0.9, 0.5):
        switch.update(scale * loss, scale * loss, scale * loss)
        history.append(value(switch.q))
    assert value(switch.initial_loss) == pytest.approx(5.99 * scale)
    # threshold = 5.99 / ln 400 = 0.999751; q = 0.5 + 0.5 * (L - 0.999751) / 4.990249
    assert history == pytest.approx([1.0, 0.700416, 0.550124, 0.5, 0.5], abs=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_q_outlives_a_bad_loss(bad):
    switch = ASTSGD(**IMAGENET)
    switch.update(3.0, 3.0, 4.0)
    switch.update(bad, 3.0, bad)
    assert value(switch.q) == pytest.approx(0.767201, abs=2e-6)


def test_p_falls_linearly_to_zero():
    switch, history = STSGD(0.6, decay_steps=4), []
    for _ in range(6):
        history.append(value(switch.p))
        switch.advance()
    assert history == pytest.approx([0.6, 0.45, 0.3, 0.15, 0.0, 0.0], abs=1e-6)
    constant = STSGD(0.6)
    constant.advance(1000)
    assert value(constant.p) == pytest.approx(0.6)


def test_each_probability_by_itself():
    for switch, expected in [
        (STSGD(0.3), (0.3, 0.3)),
        (STSGD(temporal=0.5), (0.0, 0.5)),  # CBM
        (STSGD(spatial=0.25, temporal=0.5), (0.25, 0.5)),
        (STSGD(0.0), (0.0, 0.0)),
        (STSGD(spatial=0.0, temporal=0.0), (0.0, 0.0)),
        (ASTSGD(), (0.0, 1.0)),
    ]:
        assert_close(switch.probabilities(), expected)
    switch = STSGD(spatial=0.25, temporal=0.5, decay_steps=2)
    switch.advance()
    assert_close(switch.probabilities(), (0.125, 0.25))


# Draws -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switch, p_s, p_t, both",
    [
        (STSGD(0.3, seed=0), 0.3, 0.3, 0.09),
        (STSGD(spatial=0.2, temporal=0.7, seed=0), 0.2, 0.7, 0.14),
        (STSGD(temporal=0.5, seed=0), 0.0, 0.5, 0.0),
        (STSGD(1.0, seed=0), 1.0, 1.0, 1.0),
        (at_q(0.8, seed=0), 0.2, 0.8, 0.16),
        (STSGD(0.4, keep_one=True, seed=0), 0.32, 0.32, 0.0),  # both would close with 0.16: each is re-opened in half
        (STSGD(1.0, keep_one=True, seed=0), 0.5, 0.5, 0.0),
        (at_q(0.8, keep_one=True, seed=0), 0.04, 0.8, 0.0),  # the spatial branch is re-opened
        (at_q(0.3, keep_one=True, seed=0), 0.7, 0.09, 0.0),  # the temporal branch is re-opened
    ],
)
def test_frequency_of_closed_branches(switch, p_s, p_t, both):
    steps = 4000
    spatial, temporal = map(to_numpy, tf.function(lambda: switch.draw(steps))())
    assert set(np.unique([spatial, temporal])) <= {0.0, 1.0}
    for closed, p in ((spatial == 0, p_s), (temporal == 0, p_t), ((spatial == 0) & (temporal == 0), both)):
        assert abs(closed.mean() - p) <= 4 * np.sqrt(p * (1 - p) / steps)
    if switch.keep_one:
        assert np.all(spatial + temporal >= 1)


@pytest.mark.parametrize("keep_one", [False, True])
@pytest.mark.parametrize(
    "make", [lambda **kw: STSGD(spatial=0.3, temporal=0.6, seed=0, **kw), lambda **kw: at_q(0.7, seed=0, **kw)]
)
def test_unbiased_scales_have_mean_one(make, keep_one):
    for scale in make(unbiased=True, keep_one=keep_one).draw(20000):
        scale = to_numpy(scale)
        assert abs(scale.mean() - 1) <= 4 * scale.std() / np.sqrt(scale.size)


def test_unbiased_survives_a_branch_that_is_always_closed():
    spatial, temporal = at_q(1.0, unbiased=True).draw(100)
    assert_close(spatial, np.ones(100))
    assert_close(temporal, np.zeros(100))


def test_draws_repeat_with_the_seed_and_never_otherwise():
    first, again, other = STSGD(seed=1), STSGD(seed=1), STSGD(seed=2)
    draw = lambda switch: np.stack([to_numpy(scale) for scale in switch.draw(64)])  # noqa: E731
    a, b = draw(first), draw(first)
    assert np.any(a != b) and np.any(a != draw(other))
    assert_close([draw(again), draw(again)], [a, b])
    assert np.any(a[0] != a[1])  # the two branches are drawn apart
    graph = tf.function(first.draw)
    assert len({tuple(to_numpy(graph(steps=8).spatial)) for _ in range(6)}) > 1  # anew at every call of a graph


def test_switches_without_a_seed_draw_apart_and_follow_the_global_one():
    def switches():
        keras.utils.set_random_seed(11)
        return STSGD(), STSGD()

    draws = [to_numpy(switch.draw(64).spatial) for switch in (*switches(), *switches())]
    assert np.any(draws[0] != draws[1])
    assert_close(draws[2:], draws[:2])
    switch = STSGD()
    again = STSGD.from_config(switch.get_config())
    assert again.seed == switch.seed == again.get_config()["seed"]
    assert_close(again.draw(64).spatial, switch.draw(64).spatial)


def test_branch_keeps_the_value_and_scales_the_gradient():
    u = tf.constant(random(3, 2, 4, 4, 1))  # time first
    draw = Draw(tf.constant([0.0, 1.0, 2.0]), tf.constant(0.0)).over_time(rank=5)
    with tf.GradientTape() as tape:
        tape.watch(u)
        outputs = use_branch(u, draw.spatial)
    assert np.array_equal(outputs, u)
    gradient = tape.gradient(outputs, u)
    assert_close(gradient[:, 0, 0, 0, 0], np.array([0.0, 1.0, 2.0]))
    assert draw.temporal.shape == (1, 1, 1, 1, 1)


def test_scope():
    mine, models = STSGD(), STSGD()
    assert active_switch(mine, training=False) is None
    assert active_switch(mine, training=True) is mine
    with switch_scope(models):
        assert active_switch(None, training=True) is models
        assert active_switch(models, training=True) is models
        with switch_scope(None):
            assert active_switch(None, training=True) is None
    assert active_switch(None, training=True) is None


# Saving ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: STSGD(np.float32(0.5), decay_steps=np.int64(4), seed=np.int64(3)), dict(p=0.5, decay_steps=4, seed=3)),
        (lambda: STSGD(spatial=np.float64(0.25)), dict(p=0.5, spatial=0.25, temporal=None)),
        (lambda: ASTSGD(np.float32(0.25), threshold=np.int32(1)), dict(q0=0.25, threshold=1)),
        (lambda: ASTSGD(alpha=np.float64(2), initial_loss=np.float32(4)), dict(alpha=2.0, initial_loss=4.0)),
    ],
)
def test_numbers_of_numpy_become_a_config(make, expected):
    config = json.loads(json.dumps(make().get_config()))
    assert {name: config[name] for name in expected} == expected


def small_model(switch, head=1):
    return keras.Sequential(
        [keras.Input((3, 4, 4, 1)), SCS2D(2, switch=switch), SCS2D(2, switch=switch), keras.layers.Dense(head)]
    )


@pytest.mark.parametrize("name", ["p", "q", "network"])
def test_values_and_draws_survive_weights_file(name, tmp_path):
    makes = {
        "p": lambda: STSGD(0.5, decay_steps=10),
        "q": lambda: ASTSGD(),
        "network": lambda: ASTSGD(controller="network"),
    }
    model, other = small_model(makes[name]()), small_model(makes[name]())
    switch, again = (each.layers[0].cell.switch for each in (model, other))
    switch.advance(3)
    for loss in (2.0, 1.5, 1.2):
        switch.update(loss, loss, loss)
    switch.draw()
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_close([v.value for v in again.variables], [v.value for v in switch.variables])
    for _ in range(2):  # they go on alike
        switch.update(1.1, 1.0, 1.1), again.update(1.1, 1.0, 1.1)
        switch.advance(), again.advance()
        assert_close(list(switch.logs().values()), list(again.logs().values()))
        assert_close(list(again.draw(32)), list(switch.draw(32)))


def test_values_stay_exact_in_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        switch, network = ASTSGD(), ASTSGD(controller="network")
    finally:
        keras.config.set_dtype_policy(policy)
    for loss in (1e-6, 1e5):  # beyond float16's range
        switch, network = ASTSGD(), ASTSGD(controller="network")
        for each in (switch, network):
            each.update(loss, loss, loss)
            each.update(loss / 2, loss / 2, loss / 2)
        assert value(switch.q) == pytest.approx(0.5 + 0.5 * (0.5 - 1 / np.log(400)) / (1 - 1 / np.log(400)), abs=1e-5)
        assert value(network.network.last_loss) == pytest.approx(loss / 2)


# Controller --------------------------------------------------------------------------------------


def test_controller_takes_a_policy_gradient_step():
    """weights += rate * (reward - baseline) * d log N(a; m, sigma) / d weights, with a the logit drawn."""
    controller = Controller(keras.random.SeedGenerator(5))
    weights = [*controller.kernels, *controller.biases]
    losses = [(0.2, 0.3, 0.4), (0.15, 0.25, 0.3), (0.15, 0.2, 0.1)]
    baseline = 0.0
    for index, step in enumerate(losses):
        before = [tf.constant(to_numpy(w), "float32") for w in weights]
        features, action = to_numpy(controller.features), None
        with tf.GradientTape() as tape:
            tape.watch(before)
            hidden = tf.constant(features, "float32")
            for kernel, bias in zip(before[:2], before[3:5]):
                hidden = tf.tanh(hidden @ kernel + bias)
            mean = (hidden @ before[2] + before[5])[0, 0]
            action = tf.stop_gradient(mean + controller.sigma * controller.noise)
            log_probability = -((action - mean) ** 2) / (2 * controller.sigma**2)
        gradients = tape.gradient(log_probability, before)
        q = controller(*map(tf.constant, step), tf.constant(0.4))
        reward = 0.0 if index == 0 else np.log(losses[index - 1][2] / step[2])
        expected = [w + controller.rate * (reward - baseline) * g for w, g in zip(before, gradients)]
        assert_close([w.value for w in weights], expected)
        assert index == 0 or any(np.any(to_numpy(w) != to_numpy(b)) for w, b in zip(weights, before))
        baseline = 0.9 * baseline + 0.1 * reward
        assert_close(controller.features, np.log(np.array([step]) / 0.4))
        assert 0 < float(q) < 1
    assert not controller.trainable_variables


def test_controller_learns_which_q_makes_the_loss_fall():
    switch = ASTSGD(controller="network", seed=1)

    @tf.function
    def train(steps):
        total = 0.0
        for _ in tf.range(steps):
            loss = tf.exp(6.0 * (switch.q - 0.5))  # the smaller q, the better
            switch.update(loss, loss, loss)
            switch.network.last_loss.assign(1.0)
            total += switch.q
        return total / tf.cast(steps, "float32")

    assert train(1) > 0.85
    train(2000)
    assert train(20) < 0.3


# SwitchCallback ----------------------------------------------------------------------------------


def test_callback_drives_a_switch_under_plain_fit():
    x = random(8, 3, 4, 4, 1)
    for switch in (STSGD(0.5, decay_steps=8), ASTSGD()):
        model = small_model(switch)
        model.compile(keras.optimizers.SGD(0.3), "mse")
        history = []
        record = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, s=switch, h=history: h.append(value(*s.logs().values()))
        )
        model.fit(x, 0 * x + 1, batch_size=4, epochs=4, verbose=0, callbacks=[SwitchCallback(switch), record])
        if isinstance(switch, STSGD):
            assert history == pytest.approx(np.linspace(0.5, 0, 9)[1:], abs=1e-6)
        else:
            assert value(switch.initial_loss) > 0
            assert history[0] == pytest.approx(1.0) and history[-1] < 0.8


def test_callback_reads_the_losses_it_is_told():
    switch = ASTSGD(**IMAGENET)
    callback = SwitchCallback(switch, spatial_loss="a", main_loss="b")
    callback.set_model(small_model(switch))
    callback.on_train_batch_end(0, {"a": 3.0, "b": 4.0})
    assert value(switch.q) == pytest.approx(0.767201, abs=2e-6)


@pytest.mark.parametrize("arguments", [dict(), dict(controller="network")])
@pytest.mark.parametrize("bad", [np.inf, np.nan, -np.inf])
def test_a_first_loss_that_is_not_finite_is_not_the_initial_one(bad, arguments):
    switch, clean = ASTSGD(seed=1, **arguments), ASTSGD(seed=1, **arguments)
    switch.update(bad, bad, bad)
    if arguments:  # it draws at every call
        clean.network.noise.assign(keras.random.normal((), seed=clean.draws))
    for losses in ((2.0, 2.0, 2.0), (0.5, 1.0, 1.0)):
        for each in (switch, clean):
            each.update(*losses)
    assert value(switch.initial_loss) == 2.0 and value(switch.q) < 1
    assert value(switch.q) == pytest.approx(value(clean.q))


@pytest.mark.parametrize("arguments", [dict(gradient_accumulation_steps=2), dict(steps_per_execution=2)])
def test_callback_counts_the_steps_of_the_optimiser(arguments):
    x, switch = random(8, 3, 4, 4, 1), STSGD(0.5, decay_steps=8)
    accumulation = arguments.pop("gradient_accumulation_steps", None)
    model = small_model(switch)
    model.compile(keras.optimizers.SGD(0.3, gradient_accumulation_steps=accumulation), "mse", **arguments)
    model.fit(x, x, batch_size=2, verbose=0, callbacks=[SwitchCallback(switch)])
    assert value(switch.steps) == (2 if accumulation else 4)


def test_a_models_own_accumulation_counts_as_one_step():
    switch, x = STSGD(0.5, decay_steps=8), random(4, 2, 4, 4, 1)
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse", switch=switch, run_eagerly=True)
    model.fit(x, x, batch_size=1, verbose=0)
    assert value(switch.steps) == 2 and value(switch.p) == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (STSGD, ASTSGD),
        (ASTSGD, STSGD),
        (lambda: None, STSGD),
        (ASTSGD, lambda: ASTSGD(controller="network")),
        (STSGD, lambda: None),
    ],
)
def test_weights_saved_with_another_switch(before, after, tmp_path):
    def model(switch, compiled=True):
        made = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
        made.build((None, 2, 4, 4, 1))
        if compiled:
            made.compile("sgd", "mse", spatial_loss="mse", switch=switch)
        return made

    saved, path = model(before()), tmp_path / "model.weights.h5"
    saved.save_weights(path)
    if after() is not None:
        with pytest.raises(ValueError, match=r"another switch than the model's.* Load them before `compile\("):
            model(after()).load_weights(path)
    as_told = model(None, compiled=False)
    as_told.load_weights(path)
    as_told.compile("sgd", "mse", spatial_loss="mse", switch=after())
    assert_close([v.value for v in as_told.trainable_variables], [v.value for v in saved.trainable_variables])


def test_a_layers_own_switch_does_not_take_the_state_of_another_kind(tmp_path):
    x, path = random(1, 2, 4, 4, 1), tmp_path / "model.weights.h5"
    models = [keras.Sequential([SCS2D(2, switch=switch)]) for switch in (STSGD(0.3), ASTSGD(), STSGD(0.2))]
    for each in models:
        each(x)
    models[0].save_weights(path)
    with pytest.raises(ValueError, match="Allowed: ASTSGD. Received: STSGD"):
        models[1].load_weights(path)
    models[2].load_weights(path)
    assert value(models[2].layers[0].cell.switch.p) == pytest.approx(0.3)


# Errors ------------------------------------------------------------------------------------------


def measured(threshold):
    switch = ASTSGD(threshold=threshold)
    switch.update(2.0, 2.0, 2.0)
    switch.validate()


def given_twice():
    with switch_scope(STSGD(name="mine")):
        small_model(STSGD(name="yours"))(random(1, 3, 4, 4, 1), training=True)


def callback_without_loss():
    callback = SwitchCallback(STSGD(), main_loss="total")
    callback.set_model(small_model(None))
    callback.on_train_batch_end(0, {"loss": 1.0})


def callback_measures():
    switch = ASTSGD(threshold=2.0)
    model = small_model(switch)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(np.zeros((2, 3, 4, 4, 1)), np.ones((2, 3, 4, 4, 1)), verbose=0, callbacks=[SwitchCallback(switch)])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: STSGD(1.5), r"`p` is a probability and must lie in \[0, 1\]"),
        (lambda: STSGD(-0.1), "`p` is a probability"),
        (lambda: STSGD("half"), "`p` is a probability"),
        (lambda: STSGD(float("nan")), "`p` is a probability"),
        (lambda: STSGD(spatial=2), "`spatial` is a probability"),
        (lambda: STSGD(temporal=-1), "`temporal` is a probability"),
        (lambda: STSGD(decay_steps=0), "`decay_steps` is the number of optimiser steps"),
        (lambda: STSGD(decay_steps="many"), "`decay_steps` is the number of optimiser steps"),
        (lambda: STSGD(True), "`p` is a probability"),
        (lambda: STSGD(seed="one"), "`seed` must be an integer or None"),
        (lambda: ASTSGD(threshold="a"), "`threshold` must be a number"),
        (lambda: ASTSGD(alpha=None), "`alpha` must be a number"),
        (lambda: ASTSGD(initial_loss="ln 5"), "`initial_loss` must be positive"),
        (lambda: ASTSGD(q0=1.1), "`q0` is a probability"),
        (lambda: ASTSGD(controller="dense"), "`controller` must be 'formula'"),
        (lambda: ASTSGD(threshold=6.0, initial_loss=5.99), "`threshold` must be below the initial loss"),
        (lambda: ASTSGD(threshold=5.99, initial_loss=5.99), "`threshold` must be below the initial loss"),
        (lambda: ASTSGD(initial_loss=0.0), "`initial_loss` must be positive"),
        (lambda: ASTSGD(initial_loss=-1.0), "`initial_loss` must be positive"),
        (lambda: measured(2.0), "`threshold` must be below the initial loss"),
        (callback_measures, "`threshold` must be below the initial loss"),
        (given_twice, "A switch was given twice.*'mine' and 'yours'"),
        (callback_without_loss, r"SwitchCallback found no 'total' among the logs. Allowed: \['loss'\]"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        make()
    assert "Received" in str(error.value) or "Remove" in str(error.value) or "Allowed" in str(error.value)


def test_threshold_below_the_measured_loss_is_fine():
    measured(1.9)


@pytest.mark.parametrize("initial_loss", [0.9, 0.01, 1])
def test_any_positive_first_loss_is_one(initial_loss):
    """Squared errors begin far below 1."""
    assert value(ASTSGD(initial_loss=initial_loss).initial_loss) == pytest.approx(initial_loss)
