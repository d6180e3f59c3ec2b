"""Wrote the files beside it, with version 0.1.0: `python save.py FOLDER`, in a checkout of commit c3968bd."""

import sys
from pathlib import Path

import keras
import numpy as np

from scs_keras import ASTSGD, LTSC, SCS2D, STSGD, SCSCell, SCSModel, SCSNetwork, Stage, goals, zoo

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(7)
rng = np.random.default_rng(0)
out = {}


def keep(name, model, x):
    model.save(folder / f"{name}.keras")
    np.savez_compressed(folder / f"{name}.npz", input=x, output=np.asarray(model(x)))


x = rng.random((2, 4, 8, 6, 2), "float32")
inputs = keras.Input((None, 8, 6, 2))
m = keras.Model(inputs, keras.layers.RNN(SCSCell(3, switch=STSGD(0.5, seed=3)), return_sequences=True)(inputs))
m.compile("adam", "mse")
m.fit(x, np.zeros((2, 4, 8, 6, 3)), verbose=0)
keep("rnn_scs_cell", m, x)
inputs = keras.Input((None, 8, 6, 2))
m = keras.Model(inputs, SCS2D(3, strides=2, normalization="batch")(inputs))
m.compile("adam", "mse")
m.fit(x, np.zeros((2, 4, 4, 3, 3)), verbose=0)
keep("scs2d", m, x)
m = SCSModel(
    SCSNetwork([Stage(4, layers=2, shortcut_every=2), 3], normalization="group"),
    keras.layers.Dense(2),
    temporal_head=keras.layers.Dense(2),
    temporal_goal=goals.next_frame_difference,
)
m.build((None, None, 8, 6, 2))
m.compile(
    keras.optimizers.Adam(0.01),
    "mse",
    spatial_loss="mse",
    temporal_loss="mse",
    switch=ASTSGD(seed=5),
    long_sequence=LTSC(3),
    loss_weights=dict(spatial=0.5),
)
m.fit(x, x, verbose=0, epochs=2)
keep("scs_model", m, x)
m.save_weights(folder / "scs_model.weights.h5")
small = dict(
    network="scs",
    arguments=dict(structure=[Stage(4, layers=2, shortcut_every=2)]),
    patch=2,
    sub_goals=True,
    decay_steps=10,
)
m = zoo.load("scs_precipitation_small_radar", weights=None, **small)
y = rng.random((1, 5, 16, 16, 1), "float32")
m.fit(y, y, verbose=0)
keep("scs_precipitation", m, y)
m = zoo.load("convlstm_precipitation_small_radar", weights=None, arguments=dict(filters=[4, 4]))
keep("convlstm_precipitation", m, y)
m = zoo.load(
    "tau_video_small_radar",
    weights=None,
    input_shape=(3, 16, 16, 1),
    output_length=3,
    hid_S=4,
    hid_T=8,
    N_S=2,
    N_T=2,
    mlp_ratio=2.0,
)
m.fit(y[:, :3], y[:, :3], verbose=0)
keep("tau_video", m, y[:, :3])
m = zoo.load("scs_video_small_radar", weights=None, input_shape=(3, 16, 16, 1), output_length=3, structure=[4])
keep("scs_video", m, y[:, :3])
m = zoo.load("predrnn_video_small_radar", weights=None, input_shape=(3, 16, 16, 1), output_length=3, num_hidden=(4, 4))
keep("predrnn_video", m, y[:, :3])
