"""Run by test_jax.py under KERAS_BACKEND=jax: `python jax_training.py FOLDER [several]`.

Reads what TensorFlow made from the folder, compares, trains, and leaves weights and outputs there.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras.layers import RNN, Dense

from scs_keras import (
    ASTSGD,
    LTSC,
    SCS2D,
    STSGD,
    JoinInputs,
    RecurrentHead,
    SCSCell,
    SCSModel,
    SCSNetwork,
    SwitchCallback,
    zoo,
)

X, Y = (np.random.default_rng(seed).normal(size=(8, 4, 6, 5, 1)).astype("float32") for seed in (0, 1))
RECURRENT = {
    "rnn": lambda: RNN(SCSCell(3, strides=2), return_sequences=True, return_state=True),
    "unrolled": lambda: RNN(SCSCell(3), unroll=True),
    "stack": lambda: RNN([SCSCell(3), SCSCell(2)], go_backwards=True),
    "stateful": lambda: RNN(SCSCell(3, initial_gate=0.2), stateful=True),
    "layer": lambda: SCS2D(3, strides=2, return_state=True),
    "loop": lambda: SCS2D(3, unroll=False, normalization="batch"),
}
COMPILE = {
    "whole": lambda: dict(switch=ASTSGD(), loss_weights={"spatial": 0.5}),
    "clips": lambda: dict(switch=ASTSGD(controller="network"), long_sequence=LTSC(2)),
    "accumulated": lambda: dict(switch=STSGD(0.5, decay_steps=4), accumulate_steps=2, clip=1e-3),
    "plain": lambda: dict(long_sequence=LTSC(2), clip=None, accumulate_steps=2),
}
PRESET = "scs_precipitation_advection_small_radar"
RADAR = np.random.default_rng(2).random((1, 2, 16, 20, 1)).astype("float32")


def build_layer(make):
    inputs = keras.Input(batch_shape=X.shape)
    return keras.Model(inputs, make()(inputs))


def build_model(**arguments):
    network = SCSNetwork([2], normalization="group", kernel_regularizer=keras.regularizers.L2(1e-3))
    model = SCSModel(network, Dense(1), temporal_head=Dense(1))
    model.build(X.shape)
    model.compile(keras.optimizers.SGD(0.2), "mse", spatial_loss="mse", temporal_loss="mse", **arguments)
    return model


SEVERAL = {"frames": X, "image": X[:, 0], "speed": X[:, :, 0, 0]}


def build_several():
    """A model with an image for the whole sequence and a head with a state, trained in clips."""
    model = SCSModel(
        SCSNetwork([2]), RecurrentHead(keras.layers.LSTM(2), after=Dense(1), inputs="speed"), reduce="last",
        backbone=JoinInputs({"frames": None, "image": None}), context="image",
        context_encoder=keras.layers.Conv2D(1, 3, padding="same"),
    )  # fmt: skip
    model.build({name: each.shape for name, each in SEVERAL.items()})
    model.compile(keras.optimizers.SGD(0.2), "mse", long_sequence=LTSC(2), clip=None)
    return model


def train_several(model):
    model.run_eagerly = not COMPILED
    return model.fit(SEVERAL, Y[:, 0, 0, 0], batch_size=4, shuffle=False, verbose=0).history


def build_scales():
    """A classifier with flow at two scales, the second half of each clip and shared frames; without draws."""
    preset = zoo.get_preset("scs_action_17_ucf101")
    return preset.with_arguments(**{**preset.reduced, "switch": "none"}).make()


def train_scales(model):
    model.run_eagerly = not COMPILED
    example = model.preset.make_example()
    x, y = np.concatenate([example, example[:, ::-1]]), np.array([0, 1])
    return model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0).history


NOWCAST = "scs_precipitation_nowcast_small_radar"
SHOWERS = np.zeros((1, 5, 32, 40, 1), "float32")
for t in range(5):
    for row, column, peak in ((10, 8, 0.6), (22, 20, 0.5), (16, 26, 0.4)):
        SHOWERS[0, t, row - 3 : row + 3, column - 3 + t : column + 3 + t] = peak
SHOWERS[:, 2] = 0  # a lost image


def load_preset():
    model = zoo.load(PRESET)
    model.output_length = 2
    return model


# JAX compiles one function faster than many operations, TensorFlow runs operations faster than it traces a function.
COMPILED = keras.backend.backend() == "jax"


def call(model, x=X):
    outputs = model.predict(x, verbose=0) if COMPILED else model(x)
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]


def train(model, epochs=3):
    model.run_eagerly = not COMPILED
    return model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0).history


def main(folder, part="all"):
    assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
    sys.modules["tensorflow"] = None  # as if it were not installed
    if part == "nowcast":
        np.savez(folder / "nowcast.npz", **zoo.load(NOWCAST).predict(SHOWERS, verbose=0))
        return
    if part == "several":
        model = build_several()
        model.load_weights(folder / "several_start.weights.h5")
        train_several(model)
        model.save_weights(folder / "several.weights.h5")
        model = build_scales()
        model.load_weights(folder / "scales_start.weights.h5")
        history = train_scales(model)
        np.savez(folder / "scales.npz", **{log: np.array([float(each) for each in history[log]]) for log in history})
        return
    for name, make in RECURRENT.items():
        model = build_layer(make)
        model.load_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", *call(model))
    for name, make in COMPILE.items():
        model = build_model(**make())
        model.load_weights(folder / f"{name}_start.weights.h5")
        history = train(model)
        assert history["main_loss"][-1] < history["main_loss"][0], (name, history)
        model.save_weights(folder / f"{name}.weights.h5")
        model.save(folder / f"{name}.keras")
        logs = {log: np.array([float(value) for value in values]) for log, values in history.items()}
        np.savez(folder / f"{name}.npz", *call(model), **logs)

    np.savez(folder / "preset.npz", *call(load_preset(), RADAR))

    switch = STSGD(0.5, decay_steps=12)
    model = keras.Sequential([keras.Input(X.shape[1:]), SCS2D(2, switch=switch), RNN(SCSCell(1, switch=switch))])
    model.compile("sgd", "mse")
    model.fit(X, Y[:, -1], batch_size=4, epochs=3, verbose=0, callbacks=[SwitchCallback(switch)])
    assert abs(float(switch.p.value) - 0.25) < 1e-6
    try:
        train(build_model(switch=ASTSGD(threshold=1e3)))
    except ValueError as error:
        assert "`threshold` must be below the initial loss" in str(error)
    else:
        raise AssertionError("a threshold above the measured loss went unnoticed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
