"""SCSModel: learning, losses, logs, weights and frozen layers, saving, recompiling, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from scs_keras import ASTSGD, LTSC, SCS2D, STSGD, SCSModel, SCSNetwork, goals
from scs_keras.core.signatures import Spec
from tests.checks import assert_close, random, randomize, to_numpy

X, Y = random(8, 4, 6, 6, 1), random(8, 4, 6, 6, 1, seed=1)


@keras.saving.register_keras_serializable("tests")
def doubled(x, y):
    """A temporal goal of the inputs alone."""
    return 2 * x


def make_model(network=(3, 2), compiled=True, optimizer=None, run_eagerly=True, **arguments):
    """A model with all three goals; compile arguments by name."""
    own = {name: arguments.pop(name) for name in ("backbone", "average", "head") if name in arguments}
    regularizer = arguments.pop("kernel_regularizer", None)
    head = own.pop("head", None) or layers.Dense(1, name="head")
    model = SCSModel(
        SCSNetwork(list(network), kernel_regularizer=regularizer), head,
        temporal_head=layers.Dense(1, name="temporal_head"), temporal_goal=doubled, **own,
    )  # fmt: skip
    model.build(X.shape)
    randomize(model, scale=0.3)
    if compiled:
        arguments = {"loss": "mse", "spatial_loss": "mae", "temporal_loss": "mse", "clip": None, **arguments}
        model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=run_eagerly, **arguments)
    return model


def features(model, stream):
    return model.network(X, stream=stream)


def test_streams_and_heads():
    model = make_model()
    assert_close(model(X), model.head(features(model, "main")))
    assert_close(model(X, stream="spatial"), model.head(features(model, "spatial")))
    assert_close(model(X, stream="temporal"), model.sub_heads["temporal"](features(model, "temporal")))
    outputs, states = model(X[:, :2], return_states=True)
    rest = model(X[:, 2:], initial_states=states)
    assert_close(np.concatenate([outputs, rest], axis=1), model(X))
    _, states = model(X, return_states=True, state_index=1)
    assert_close(model(X[:, 2:], initial_states=states), rest)


def test_average_and_backbone():
    backbone = keras.Sequential([layers.Conv2D(2, 3, padding="same", name="features"), layers.MaxPooling2D()])
    head = keras.Sequential([layers.TimeDistributed(layers.GlobalAveragePooling2D()), layers.Dense(3)])
    model = SCSModel(SCSNetwork([2]), head, backbone=backbone, average=True)
    outputs = model(X)
    frames = np.stack([backbone(X[:, step]) for step in range(4)], axis=1)
    assert outputs.shape == (8, 3)
    assert_close(outputs, np.mean(head(model.network(frames)), axis=1))
    model.compile(
        "sgd", "sparse_categorical_crossentropy", spatial_loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    before = model.get_weights()
    logs = model.fit(X, np.arange(8) % 3, verbose=0).history
    assert {"loss", "main_loss", "spatial_loss", "accuracy"} == set(logs)
    assert all(np.any(a != b) for a, b in zip(before, model.get_weights()))


def pooled_backbone():
    return keras.Sequential([layers.Conv2D(2, 3, padding="same"), layers.MaxPooling2D()])


STREAMED = {
    "plain": dict(),
    "backbone": dict(backbone=pooled_backbone),
    "average": dict(average=True, head=lambda: keras.Sequential(
        [layers.TimeDistributed(layers.GlobalAveragePooling2D()), layers.Dense(3)]
    )),
    "average of a backbone": dict(backbone=pooled_backbone, average=True),
    "convolutional head": dict(head=lambda: layers.TimeDistributed(layers.Conv2D(2, 3, padding="same"))),
    "convolutional head in 3-D": dict(head=lambda: layers.Conv3D(2, (1, 3, 3), padding="same")),
}  # fmt: skip


@pytest.mark.parametrize("stream", ["main", "spatial", "temporal"])
@pytest.mark.parametrize("name", STREAMED)
def test_step_by_step_as_the_whole(name, stream):
    arguments = {key: value() if callable(value) else value for key, value in STREAMED[name].items()}
    model = make_model(compiled=False, **arguments)
    states, outputs = model.initial_states(X), []
    for frame in np.moveaxis(X, 1, 0):
        output, states = model.step(frame, states, stream)
        outputs.append(output)
    assert_close(model.reduce_outputs(np.stack(outputs, axis=1), stream=stream), model(X, stream=stream))
    assert_close(list(states), list(model(X, stream=stream, return_states=True)[1]))


def test_initial_states_of_symbolic_inputs():
    model = make_model(compiled=False, backbone=pooled_backbone())
    expected = model.initial_states(X)
    assert [tuple(state.shape) for state in expected] == [(8, 3, 3, 3), (8, 3, 3, 2)]
    symbolic = model.initial_states(keras.Input(X.shape[1:]))
    assert [state.shape for state in symbolic] == [(None, 3, 3, 3), (None, 3, 3, 2)]
    anything = tf.function(model.initial_states, input_signature=[tf.TensorSpec((None,) * 4 + (1,))])
    assert_close(list(anything(X)), list(expected))


def test_signatures():
    model = make_model(compiled=False)
    whole, step, initial_state = model.signatures()
    assert whole.inputs == (Spec("frames", (4, 6, 6, 1)),) and whole.outputs == ("output",)
    states = (Spec("state_0", (6, 6, 3)), Spec("state_1", (6, 6, 2)))
    assert step.inputs == (Spec("frame", (6, 6, 1)), *states)
    assert step.outputs == ("output", "next_state_0", "next_state_1")
    assert whole.name == "model" and initial_state.inputs == (Spec("frame", (6, 6, 1)),)
    assert_close(whole.function(X)[0], model(X))
    output, *after = step.function(X[:, 0], *initial_state.function(X[:, 0]))
    expected, states = model(X[:, :1], return_states=True)
    assert_close([output, *after], [expected[:, 0], *states])
    assert model.signatures((None, 12, 8, 1))[1].inputs[1].shape == (12, 8, 3)
    with pytest.raises(ValueError, match="The model is not built.*Received: input_shape=None"):
        SCSModel(SCSNetwork([2]), layers.Dense(1)).signatures()
    with pytest.raises(ValueError, match="must be known. Received: input_shape="):
        model.signatures((4, None, 8, 1))


def test_only_optimizer_and_loss_go_by_position():
    with pytest.raises(TypeError, match="positional arguments"):
        make_model(compiled=False).compile("sgd", "mse", "mse")


def test_losses_and_logs():
    model = make_model(loss_weights={"spatial": 0.5, "temporal": 0.0}, kernel_regularizer=keras.regularizers.L2(0.1))
    main = np.mean((model(X) - Y) ** 2)
    spatial = np.mean(np.abs(model(X, stream="spatial") - Y))
    temporal = np.mean((model(X, stream="temporal") - 2 * X) ** 2)
    kernels = [v for v in model.trainable_variables if v.name in ("spatial_kernel", "temporal_kernel")]
    assert len(kernels) == 4
    penalty = 0.1 * sum(np.sum(to_numpy(kernel) ** 2) for kernel in kernels)  # counted once, not per stream
    expected = dict(loss=main + 0.5 * spatial + penalty, main_loss=main, spatial_loss=spatial, temporal_loss=temporal)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(X, Y, return_dict=True) == pytest.approx(expected, rel=1e-5)
    clipped = make_model(
        loss_weights={"spatial": 0.5, "temporal": 0.0},
        kernel_regularizer=keras.regularizers.L2(0.1),
        long_sequence=LTSC(3, carry="aligned"),
    )
    logs = clipped.train_on_batch(X, Y, return_dict=True)
    assert logs.pop("overlap_loss") == pytest.approx(0, abs=1e-10)
    assert logs == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("switch, name", [(STSGD(0.5, decay_steps=4), "p"), (ASTSGD(), "q")])
def test_logs_carry_the_switch(switch, name):
    model = make_model(switch=switch)
    history = model.fit(X, Y, batch_size=4, epochs=2, validation_data=(X, Y), verbose=0).history
    assert history[name][-1] == pytest.approx(float(to_numpy(switch.logs()[name])))
    if name == "p":
        assert history["p"] == pytest.approx([0.25, 0.0])


@pytest.mark.parametrize("weights", [np.linspace(0, 2, 8), np.abs(random(8, 4))])
def test_sample_weight(weights):
    weights = weights.astype("float32")
    model = make_model()
    mean = lambda errors: np.mean(np.mean(errors, axis=(2, 3, 4)) * weights.reshape(8, -1))  # noqa: E731
    main = mean((model(X) - Y) ** 2)
    spatial = mean(np.abs(model(X, stream="spatial") - Y))
    logs = model.train_on_batch(X, Y, sample_weight=weights, return_dict=True)
    assert (logs["main_loss"], logs["spatial_loss"]) == pytest.approx((main, spatial), rel=1e-4)


def test_gradients_are_those_of_the_total_loss():
    model = make_model(kernel_regularizer="l2", optimizer=keras.optimizers.SGD(1.0))
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X) - Y) ** 2) + tf.reduce_mean(tf.abs(model(X, stream="spatial") - Y))
        loss += tf.reduce_mean((model(X, stream="temporal") - 2 * X) ** 2) + sum(model.losses)
    expected = tape.gradient(loss, variables)
    before = [to_numpy(variable) for variable in variables]
    model.train_on_batch(X, Y)
    assert_close([a - to_numpy(b) for a, b in zip(before, variables)], expected)


def test_a_callable_loss():
    model = make_model(
        loss=lambda y, prediction: keras.ops.mean((y - prediction) ** 4, axis=-1), spatial_loss=keras.losses.Huber()
    )
    logs = model.train_on_batch(X, Y, return_dict=True)
    fresh = make_model()
    assert logs["main_loss"] == pytest.approx(np.mean((fresh(X) - Y) ** 4), rel=1e-4)


def test_frozen_layers_stay():
    model = make_model()
    model.network.scs_layers[0].trainable = False
    model.sub_heads["temporal"].trainable = False
    frozen = [*model.network.scs_layers[0].variables, *model.sub_heads["temporal"].variables]
    before = {id(variable): to_numpy(variable) for variable in model.variables}
    model.fit(X, Y, verbose=0)
    for variable in (*model.network.variables, *model.head.variables, *model.sub_heads["temporal"].variables):
        same = np.array_equal(before[id(variable)], to_numpy(variable))
        assert same == any(variable is each for each in frozen)


def test_recompile_with_another_switch_after_training():
    first, second = STSGD(0.5), ASTSGD()
    model = make_model(switch=first)
    model.fit(X, Y, verbose=0)
    count = len(model.weights)
    model.compile(
        keras.optimizers.SGD(0.1), "mse", spatial_loss="mse", temporal_loss="mse", switch=second, run_eagerly=True
    )
    assert set(model.fit(X, Y, verbose=0).history) == {"loss", "main_loss", "spatial_loss", "temporal_loss", "q"}
    assert model.switch is second and len(model.weights) == count
    assert float(to_numpy(second.initial_loss)) > 0
    model.compile(keras.optimizers.SGD(0.1), "mse", spatial_loss="mse", temporal_loss="mse", run_eagerly=True)
    assert "q" not in model.fit(X, Y, verbose=0).history


@pytest.mark.parametrize(
    "make",
    [
        lambda: dict(switch=ASTSGD(keep_one=True, seed=4), optimizer=keras.optimizers.Adam(0.01)),
        lambda: dict(switch=STSGD(0.5, decay_steps=9), long_sequence=LTSC(3)),
    ],
)
def test_training_goes_on_identically_after_load(make, tmp_path):
    model = make_model(metrics=["mae"], **make())
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    assert_close(loaded(X), model(X))
    assert loaded.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(
        model.evaluate(X, Y, verbose=0, return_dict=True)
    )
    histories = [each.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history for each in (model, loaded)]
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-5, abs=1e-6)
    assert_close(loaded.get_weights(), model.get_weights())


def test_load_without_compiling_and_weights_file(tmp_path):
    model = make_model(switch=ASTSGD())
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    plain = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    other = make_model(compiled=False)
    other.load_weights(tmp_path / "model.weights.h5")
    compiled = make_model(switch=ASTSGD())
    compiled.load_weights(tmp_path / "model.weights.h5")
    for each in (plain, other, compiled):
        assert_close(each(X), model(X))
    assert_close(compiled.switch.q.value, model.switch.q.value)


def test_save_and_clone_before_compile(tmp_path):
    model = make_model(compiled=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    clones = [keras.models.clone_model(model), keras.models.model_from_json(model.to_json())]
    for clone in clones:
        clone(X)
        clone.set_weights(model.get_weights())
    for each in (loaded, *clones):
        assert_close(each(X), model(X))


@pytest.mark.parametrize("make, name, count", [(ASTSGD, "q", 2), (lambda: STSGD(0.5, decay_steps=4), "p", 3)])
def test_the_layers_switch_is_the_models(make, name, count, tmp_path):
    switch = make()
    model = SCSModel(SCSNetwork([2, 2], switch=switch), layers.Dense(1))
    model.build(X.shape)
    weights = len(model.weights)
    model.compile("sgd", "mse", spatial_loss="mse", run_eagerly=True)
    logs = model.fit(X, Y, verbose=0).history
    assert model.switch is switch and len(model.weights) == weights
    assert logs[name] == [float(to_numpy(switch.logs()[name]))]
    assert name == "q" and float(to_numpy(switch.initial_loss)) > 0 or logs[name] == [0.375]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(layer.cell.switch is loaded.switch for layer in loaded.network.scs_layers)
    assert_close(loaded.switch.logs()[name].value, switch.logs()[name].value)


def test_goals_of_the_next_frame(tmp_path):
    x, y = np.random.default_rng(0).random((2, 2, 3, 16, 16, 1)).astype("float32")
    model = SCSModel(
        SCSNetwork([2]), layers.Dense(1), temporal_head=layers.Dense(2), spatial_goal=goals.next_frame_difference,
        temporal_goal=goals.next_frame_flow,
    )  # fmt: skip
    model.compile("sgd", "mse", spatial_loss="mse", temporal_loss="mse", run_eagerly=True)
    assert_close(model.objective.targets(x, y)["spatial"].values, y - x)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    assert_close(loaded.objective.targets(x, y)["temporal"].values, goals.next_frame_flow(x, y))


def test_one_switch_for_compile_and_layers(tmp_path):
    switch = STSGD(0.5, decay_steps=4)
    model = SCSModel(SCSNetwork([2, 2], switch=switch), layers.Dense(1))
    model.build(X.shape)
    model.compile("sgd", "mse", switch=switch, run_eagerly=True)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(layer.cell.switch is loaded.switch for layer in loaded.network.scs_layers)
    assert float(to_numpy(loaded.switch.p)) == pytest.approx(0.375)


def moving_dot(count, seed=0):
    """A bright pixel that moves by one column a frame, and where it goes next."""
    values = np.random.default_rng(seed)
    frames = np.zeros((count, 5, 6, 6, 1), "float32")
    for sample in range(count):
        row, column, step = values.integers(6), values.integers(6), values.choice([-1, 1])
        for time in range(5):
            frames[sample, time, row, (column + step * time) % 6] = 1
    return frames[:, :4], frames[:, 1:]


@pytest.mark.parametrize(
    "switch, long_sequence",
    [
        (ASTSGD, None),
        pytest.param(lambda: STSGD(0.3, keep_one=True), LTSC(3), marks=pytest.mark.slow),
        pytest.param(lambda: ASTSGD(controller="network"), None, marks=pytest.mark.slow),
    ],
)
def test_it_learns(switch, long_sequence):
    """The loss halves, q starts at 1 and falls; the losses are small, as MSE is."""
    keras.utils.set_random_seed(0)
    x, y = moving_dot(32)
    initializer = keras.initializers.VarianceScaling(2.0)
    model = SCSModel(SCSNetwork([8, 8], spatial_initializer=initializer), layers.Dense(1))
    switch = switch()
    model.compile(keras.optimizers.Adam(0.02), "mse", spatial_loss="mse", switch=switch, long_sequence=long_sequence)
    history = model.fit(x, y, batch_size=16, epochs=80, verbose=0).history
    assert history["main_loss"][-1] < 0.5 * history["main_loss"][0]
    assert history["main_loss"][0] < 1.0
    if isinstance(switch, ASTSGD):
        assert history["q"][0] > 0.85
        assert np.all(np.isfinite(history["q"])) and 0 <= min(history["q"]) and max(history["q"]) <= 1
        if switch.network is None:
            assert history["q"][-1] < 0.75


# Errors ------------------------------------------------------------------------------------------


def switch_given_twice():
    model = SCSModel(SCSNetwork([2], switch=STSGD(name="theirs")), layers.Dense(1))
    model.compile("sgd", "mse", switch=STSGD(name="mine"))


def two_switches():
    first, second = (SCSNetwork([2], switch=STSGD(name=name)) for name in ("first", "second"))
    SCSModel(first, keras.Sequential([second, layers.Dense(1)])).compile("sgd", "mse")


def threshold_above_the_measured_loss(**arguments):
    make_model(switch=ASTSGD(threshold=1e3), **arguments).fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: make_model(loss=None), "no loss for its main goal"),
        (
            lambda: make_model(temporal_loss=None),
            r"has a temporal goal but no loss for it.*compile\(temporal_loss='mse'\)",
        ),
        (
            lambda: SCSModel(SCSNetwork([2]), layers.Dense(1), spatial_goal=doubled).compile("sgd", "mse"),
            "has a spatial goal but no loss",
        ),
        (
            lambda: SCSModel(SCSNetwork([2]), layers.Dense(1), spatial_head=layers.Dense(1)).compile("sgd", "mse"),
            "has a spatial goal but no loss",
        ),
        (lambda: make_model(spatial_loss=None, switch=ASTSGD()), "ASTSGD sets q from the spatial loss"),
        (lambda: make_model(accumulate_steps=0), "`accumulate_steps` must be a positive integer"),
        (lambda: make_model(accumulate_steps=1.5), "`accumulate_steps` must be a positive integer"),
        (lambda: make_model(clip=0), "`clip` must be positive or None"),
        (lambda: make_model(loss_weights={"main": 1, "flow": 2}), r"`loss_weights` may name.*\['flow'\]"),
        (lambda: make_model()(X, stream="T2"), "`stream` must be one of"),
        (
            lambda: SCSModel(layers.Dense(3), layers.Dense(1)),
            r"`network` must be an SCSNetwork.*SCSNetwork\(\[64, 32\]\)",
        ),
        (lambda: make_model(switch="astsgd"), "`switch` must be an STSGD, an ASTSGD or None.*'astsgd'"),
        (lambda: make_model(long_sequence=10), r"`long_sequence` must be an LTSC or None.*LTSC\(length=10\)"),
        (lambda: make_model(clip="5"), "`clip` must be positive or None"),
        (lambda: make_model()(X[..., :0]), "SCSNetwork was built for inputs with 1 channels"),
        (two_switches, "share one switch.*2 of them, 'first', 'second'"),
        (lambda: make_model(switch=ASTSGD(threshold=1e3)).train_on_batch(X, Y), "`threshold` must be below"),
        (switch_given_twice, "A switch was given twice.*'mine' and 'theirs'"),
        (threshold_above_the_measured_loss, "`threshold` must be below the initial loss"),
        (
            lambda: threshold_above_the_measured_loss(long_sequence=LTSC(3)),
            "`threshold` must be below the initial loss",
        ),
        (lambda: make_model()(X[0]), "5 axes"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        make()
    assert "Received" in str(error.value) or "Remove" in str(error.value)


def test_layer_switch_works_outside_the_model_too():
    switch = STSGD(1.0)
    layer = SCS2D(2, switch=switch)
    layer.build(X.shape)
    x = tf.constant(X)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        training, inference = layer(x, training=True), layer(x)
    assert not np.any(tape.gradient(training, x)) and np.any(tape.gradient(inference, x))


@pytest.mark.parametrize("long_sequence", [None, LTSC(2)])
def test_logged_losses_of_the_goals_are_weighed_by_the_batch_as_the_loss_is(long_sequence):
    """Five samples in batches of four and one, the last one far off; also when Keras evaluates."""
    model = SCSModel(SCSNetwork([2]), keras.layers.Dense(1))
    x, y = random(5, 4, 4, 3, 1), random(5, 4, 4, 3, 1, seed=1)
    y[4] += 10
    weights = dict(spatial=0.0)
    model.compile(
        keras.optimizers.SGD(0.0), "mse", spatial_loss="mse", loss_weights=weights, run_eagerly=True,
        long_sequence=long_sequence and LTSC(2, overlap_weight=0.0),
    )  # fmt: skip
    logs = {name: values[0] for name, values in model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history.items()}
    assert logs["main_loss"] == pytest.approx(logs["loss"], rel=1e-5)
    scores = model.evaluate(x, y, batch_size=4, return_dict=True, verbose=0)
    assert scores["main_loss"] == pytest.approx(scores["loss"], rel=1e-5)
