"""What the tests of video training and evaluation share: tiny presets and sequences that can be learnt."""

import keras
import numpy as np
from keras import ops

from scs_keras.zoo.preset import Preset
from scs_keras.zoo.video_prediction.builder import compiled
from scs_keras.zoo.video_prediction.predictor import VideoPredictor
from scs_keras.zoo.video_prediction.presets import PIXELS, PRESETS
from tests import presets


@keras.saving.register_keras_serializable("scs_keras_tests")
class Extrapolation(VideoPredictor):
    """Two convolutions say how the last two frames go on: what is quick to train where any model will do."""

    def __init__(self, input_shape, output_length=None, output_channels=None, *, drop=0.1, **kwargs):
        super().__init__(input_shape, output_length, output_channels, **kwargs)
        channels = self.frames_shape[-1]
        self.drop, self.dropout = drop, keras.layers.Dropout(drop)
        self.convolutions = [
            keras.layers.Conv2D(8, 5, padding="same"),
            keras.layers.Conv2D(channels, 5, padding="same"),
        ]
        self.convolutions[0].build((None, None, None, 2 * channels))
        self.convolutions[1].build((None, None, None, 8))

    def call(self, frames, training=None):
        before, last, made = frames[:, -2], frames[:, -1], []
        for _ in range(self.output_length):
            hidden = ops.relu(self.convolutions[0](ops.concatenate([before, last], axis=-1)))
            before, last = last, last + self.convolutions[1](self.dropout(hidden, training=training))
            made.append(last)
        return ops.stack(made, axis=1)


def extrapolation(name, input_shape, output_length, learning_rate, **arguments):
    """A compiled `Extrapolation`, to be the builder of a preset."""
    model = Extrapolation(input_shape, output_length, **arguments)
    model.compile(keras.optimizers.Adam(learning_rate), loss="mse")
    return model


TINY = {
    "extrapolation": dict(learning_rate=1e-3),
    "tau": dict(hid_S=4, hid_T=16, N_S=2, N_T=2, mlp_ratio=2.0, learning_rate=1e-3),
    "predrnn": dict(num_hidden="4,4", filter_size=3, patch_size=2, learning_rate=1e-3),
}


def eager(**arguments):
    """For trainings of a few steps: tracing would take longer."""
    model = compiled(**arguments)
    model.compile(model.optimizer, model.loss, run_eagerly=True)
    return model


def add_preset(
    monkeypatch,
    folder,
    name,
    model="extrapolation",
    observed=(3, 16, 16, 1),
    future=3,
    dataset="folder",
    units=PIXELS,
    **arguments,
):
    """A preset of the zoo for the time of a test."""
    any_of_the_task = PRESETS[0]
    preset = Preset(
        name=name,
        task="video_prediction",
        summary="tiny",
        paper_row="none",
        builder=f"tests.video_case:{'extrapolation' if model == 'extrapolation' else 'eager'}",
        arguments=dict(name=model, input_shape=observed, output_length=future, **(TINY[model] | arguments)),
        input_shape=observed,
        output_shape=(future, *observed[1:]),
        values=any_of_the_task.values,
        preprocess=units[0],
        postprocess=units[1],
        recipe="video_prediction",
        dataset=dataset,
        example=any_of_the_task.example,
        folder=folder,
    )
    return presets.add_preset(monkeypatch, preset)


def moving_blobs(length=12, size=16, start=0.0, channels=1):
    """float32 (length, size, size, channels) in [0, 1]: a blob that goes round and round."""
    y, x = np.mgrid[:size, :size]
    frames = []
    for time in range(length):
        angle = start + 0.4 * time
        row, column = size * (0.5 + 0.3 * np.sin(angle)), size * (0.5 + 0.3 * np.cos(angle))
        frames.append(np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8))
    return np.repeat(np.stack(frames)[..., None], channels, axis=-1).astype("float32")


def save_blobs(folder, count=5, **arguments):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        np.save(folder / f"{index}.npy", moving_blobs(start=0.7 * index, **arguments))
    return folder
