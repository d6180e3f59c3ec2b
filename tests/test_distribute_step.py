"""The training step on two replicas, and over several batches, equals one step on the joint batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from scs_keras import ASTSGD, LTSC, SCS2D, STSGD, SCSModel, SCSNetwork, SwitchCallback
from tests.checks import assert_close, random, to_numpy

X, Y = random(12, 3, 5, 4, 2), random(12, 3, 5, 4, 1, seed=1)


def train(make_switch=None, strategy=None, batch=4, dtype=None, epochs=1, optimizer=None, **arguments):
    """The model and its logs after training, always from the same start; compiled only under a strategy."""
    arguments.setdefault("run_eagerly", strategy is None)
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = SCSModel(
            SCSNetwork([3, 2], normalization=None, kernel_regularizer=keras.regularizers.L2(0.01), dtype=dtype),
            keras.layers.Dense(1, dtype=dtype),
            temporal_head=keras.layers.Dense(1, dtype=dtype),
            dtype=dtype,
        )
        model.build((None, *X.shape[1:]))
        switch = make_switch and make_switch()
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(0.5, momentum=0.9)
        model.compile(
            optimizer, "mse", spatial_loss="mse", temporal_loss="mse", switch=switch, metrics=["mae"], **arguments
        )
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(batch, drop_remainder=True)
    logs = model.fit(data, epochs=epochs, verbose=0).history
    return model, {name: values[-1] for name, values in logs.items()}


def assert_same(first, second, tolerance=1e-5):
    (model_a, logs_a), (model_b, logs_b) = first, second
    assert_close(model_a.get_weights(), model_b.get_weights(), tolerance)
    assert logs_a == pytest.approx(logs_b, rel=10 * tolerance, abs=tolerance)


def between():
    return ASTSGD(q0=0.2, threshold=0.1, initial_loss=10.0)


@pytest.mark.parametrize(
    "arguments, tolerance",
    [
        (dict(make_switch=lambda: STSGD(0.5, decay_steps=5), accumulate_steps=3, batch=4, clip=1e-3), 1e-5),
        pytest.param(
            dict(make_switch=between, long_sequence=LTSC(2), clip=1e-3, optimizer=lambda: keras.optimizers.Adam(0.01)),
            1e-5,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            dict(make_switch=lambda: ASTSGD(controller="network"), dtype="mixed_float16", clip=0.01),
            2e-3,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["accumulate", "ltsc", "float16"],
)
def test_two_replicas_equal_one_device(arguments, tolerance, two_replicas):
    two, one = train(strategy=two_replicas, **arguments), train(**arguments)
    assert_same(two, one, tolerance)
    model = two[0]
    if model.switch is not None:
        for variable in (*model.switch.variables, model.switch.draws.state):
            first, second = two_replicas.experimental_local_results(variable.value)
            assert np.array_equal(first, second)
    if isinstance(model.switch, ASTSGD):
        assert model.switch.q0 < float(to_numpy(model.switch.q)) < 1  # at the ends equality shows nothing
    if isinstance(model.switch, STSGD):
        assert float(to_numpy(model.switch.steps)) == 1.0  # one optimiser step, not two
        assert float(to_numpy(model.switch.p)) == pytest.approx(0.4)


def test_clips_are_written_out_where_replicas_must_agree_on_q(monkeypatch):
    made = {}
    for name, arguments in dict(
        astsgd=dict(switch=ASTSGD(), spatial_loss="mse"), stsgd=dict(switch=STSGD()), none=dict(spatial_loss="mse")
    ).items():
        made[name] = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
        made[name].compile("sgd", "mse", long_sequence=LTSC(2), **arguments)
    assert not any(model.unroll_clips for model in made.values())
    monkeypatch.setattr(SCSModel, "replicas", 2)
    assert [name for name, model in made.items() if model.unroll_clips] == ["astsgd"]


def test_a_switch_and_fit_inside_the_scope(two_replicas, tmp_path):
    with two_replicas.scope():
        model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
        model.compile("sgd", "mse", spatial_loss="mse", switch=ASTSGD(initial_loss=2.0))
        model.fit(X, Y, batch_size=12, verbose=0)
        model.switch.validate()
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="below the initial loss"):
            ASTSGD(initial_loss=2.0, threshold=3.0)
    assert float(to_numpy(loaded.switch.initial_loss)) == 2.0
    assert_close(loaded.switch.draws.state.value, model.switch.draws.state.value)


def test_a_switch_made_outside_the_scope_is_refused(two_replicas):
    switch = STSGD()
    with two_replicas.scope():
        model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
        with pytest.raises(ValueError, match="outside `strategy.scope\\(\\)`.*2 replicas. Write `with strategy.scope"):
            model.compile("sgd", "mse", switch=switch)
        own = keras.Sequential([keras.Input(X.shape[1:]), SCS2D(1, switch=switch)])
        own.compile("sgd", "mse")
    with pytest.raises(ValueError, match="outside `strategy.scope"):
        own.fit(X, Y, verbose=0, callbacks=[SwitchCallback(switch)])


def test_clipping_bites_and_comes_after_the_sum():
    """Plain SGD from one batch: no weight of an SCS layer moves by more than rate * clip; the head's do."""
    before, _ = train(epochs=0, optimizer=lambda: keras.optimizers.SGD(1.0))
    after, _ = train(batch=12, optimizer=lambda: keras.optimizers.SGD(1.0), clip=1e-3)
    free, _ = train(batch=12, optimizer=lambda: keras.optimizers.SGD(1.0), clip=None)
    clipped = {id(variable) for variable in after.scs_variables()}
    assert len(clipped) == 10
    for start, variable, unclipped in zip(
        before.trainable_variables, after.trainable_variables, free.trainable_variables
    ):
        gradient = to_numpy(start) - to_numpy(unclipped)
        expected = np.clip(gradient, -1e-3, 1e-3) if id(variable) in clipped else gradient
        assert_close(to_numpy(start) - to_numpy(variable), expected, 1e-6)
    assert any(
        np.abs(to_numpy(a) - to_numpy(b)).max() > 1e-3
        for a, b in zip(before.trainable_variables, free.trainable_variables)
    )


@pytest.mark.parametrize(
    "dtype, long_sequence",
    [(None, None), pytest.param(None, LTSC(2), marks=pytest.mark.slow), ("mixed_float16", None)],
)
def test_accumulated_batches_equal_the_joint_batch(dtype, long_sequence):
    arguments = dict(clip=1e-3, long_sequence=long_sequence, dtype=dtype)
    accumulated = train(batch=4, accumulate_steps=3, run_eagerly=dtype is not None, **arguments)[0]
    joint = train(batch=12, **arguments)[0]
    assert_close(accumulated.get_weights(), joint.get_weights(), 2e-3 if dtype else 1e-5)
    assert int(to_numpy(accumulated.optimizer.iterations)) == 1


@pytest.mark.parametrize("clip", [None, 0.05])
def test_mixed_precision_steps_as_float32_does(clip):
    """The scale of the loss is in neither the gradients that are clipped nor the step."""
    start = train(epochs=0)[0].get_weights()
    exact, mixed = (train(batch=12, clip=clip, dtype=dtype)[0].get_weights() for dtype in (None, "mixed_float16"))
    moved = [a - b for a, b in zip(exact, start)]
    assert max(np.abs(each).max() for each in moved) > 0.02
    assert_close([a - b for a, b in zip(mixed, start)], moved, 3e-3)


def test_accumulation_goes_on_over_epochs():
    """Three batches an epoch, two a step: epoch boundaries do not matter, unfinished sums stay."""
    model, _ = train(batch=4, accumulate_steps=2, epochs=2)
    assert int(to_numpy(model.optimizer.iterations)) == 3


def test_accumulation_needs_single_batches():
    with pytest.raises(ValueError, match="`accumulate_steps` works on single batches.*steps_per_execution=2"):
        train(accumulate_steps=2, steps_per_execution=2)
