"""What is used of Keras beyond its promises: each test fails when Keras changes it, or needs the help no longer."""

import os
import subprocess
import sys

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from scs_keras import SCS2D, STSGD
from scs_keras.core import cell, keras_private
from tests.checks import assert_close, random

X = random(4, 3, 2)


class Scaled(keras.Model):
    """scale * Dense(x), with a layer that only a list in a dictionary holds."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.parts = {"inner": [layers.Dense(2)]}
        self.extra = None
        self.scale = scale

    def call(self, x):
        return self.scale * self.parts["inner"][0](x)


def test_the_loop_of_rnn_has_no_public_name():
    assert not hasattr(keras.backend, "rnn") and not hasattr(ops, "rnn")


@pytest.mark.parametrize("time", [4, None])
def test_rnn_loop(time):
    @tf.function(input_signature=[tf.TensorSpec((time, 3, 2))])
    def sums(x):
        outputs, (final,) = keras_private.rnn_loop(
            lambda values, states: (2 * values[0], [states[0] + values[0]]),
            (x,),
            [ops.zeros((3, 2))],
            time or 2**31 - 1,
        )
        return outputs, final

    outputs, final = sums(X)
    assert_close(outputs, 2 * X)
    assert_close(final, X.sum(axis=0))


def test_all_layers():
    model = keras.Sequential([Scaled()])
    found = keras_private.all_layers(model)
    dense = model.layers[0].parts["inner"][0]
    assert any(layer is dense for layer in found) and any(layer is model.layers[0] for layer in found)
    assert all(layer is not dense for layer in model.layers)  # what the public list lacks


def test_set_layer():
    model = Scaled()
    model(X)
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        model.extra = STSGD()
    for switch in (STSGD(), STSGD()):  # the second replaces the first
        keras_private.set_layer(model, "extra", switch)
        assert [layer for layer in keras_private.all_layers(model) if isinstance(layer, STSGD)] == [switch]
        assert [v.path for v in model.non_trainable_variables] == [v.path for v in switch.variables]
    keras_private.set_layer(model, "extra", None)
    assert not model.non_trainable_variables
    with pytest.raises(ValueError, match="cannot add new elements of state"):  # locked as it was
        model.extra = STSGD()


def test_loss_tracker():
    model = Scaled()
    model.compile("sgd", "mse")
    logs = model.evaluate(X, X, verbose=0, return_dict=True)
    assert float(keras_private.loss_tracker(model).result()) == pytest.approx(logs["loss"])
    keras_private.loss_tracker(model).reset_state()
    assert model.get_metrics_result()["loss"] == 0.0


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_make_function(run_eagerly):
    model = Scaled()
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    step = keras_private.make_function(model, lambda batch: {"sum": tf.reduce_sum(batch)})
    batches = iter(model.distribute_strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(X)))
    assert float(step(batches)["sum"]) == pytest.approx(float(X.sum()), abs=1e-5)


def test_forget_functions():
    model = Scaled()
    first = model.predict(X, verbose=0)
    model.scale = 3.0
    assert_close(model.predict(X, verbose=0), first)  # compiled with the old number in it
    keras_private.forget_functions(model)
    assert_close(model.predict(X, verbose=0), 3 * first)


JAX = """
import keras


class Look(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        kernel = self._model.layers[0].kernel
        try:
            before = float(kernel.value[0, 0])
        except TypeError:
            before = None  # taken out of the model
        print(before, float(self.model.layers[0].kernel.value[0, 0]))

model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones")])
model.compile(keras.optimizers.SGD(0.1), "mse")
model.fit(keras.ops.ones((2, 3)), keras.ops.zeros((2, 1)), callbacks=[Look()], verbose=0)

from scs_keras import SCS2D, STSGD, SwitchCallback

switch = STSGD(1.0, decay_steps=4)
model = keras.Sequential([SCS2D(1, switch=switch)])
model.compile("sgd", "mse")
x = keras.ops.ones((6, 2, 3, 3, 1))
model.fit(x, x, batch_size=2, callbacks=[SwitchCallback(switch)], verbose=0)
print(float(switch.p.value))
"""


def test_the_model_of_a_callback():
    """On JAX the variables are up to date once a callback has looked at its model, which SwitchCallback relies on."""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", JAX], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after, probability = done.stdout.split()
    assert before in ("None", "1.0") and float(after) == pytest.approx(0.4)
    assert float(probability) == pytest.approx(0.25)  # three batches of four


def test_serialize_shared(tmp_path, monkeypatch):
    def save_and_load():
        switch = STSGD(0.25)
        model = keras.Sequential([layers.Input((3, 4, 4, 1)), *[SCS2D(2, switch=switch) for _ in range(3)]])
        model.save(tmp_path / "model.keras")
        return keras.saving.load_model(tmp_path / "model.keras")

    loaded = save_and_load()
    assert len({id(layer.cell.switch) for layer in loaded.layers}) == 1
    monkeypatch.setattr(cell, "serialize_shared", keras.saving.serialize_keras_object)
    with pytest.raises(ValueError, match="could not be loaded"):  # a switch for each layer, weights for one
        save_and_load()
