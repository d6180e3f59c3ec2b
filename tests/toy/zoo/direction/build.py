"""The model of the task: a semi-coupled layer, the mean over all pixels, a dense layer, the mean over time."""

import keras
import numpy as np

from scs_keras import SCSModel, SCSNetwork


def build(filters=4, classes=2):
    """A compiled classifier of sequences."""
    head = keras.Sequential(
        [keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D()), keras.layers.Dense(classes, "softmax")]
    )
    model = SCSModel(SCSNetwork([filters], name="network"), head, average=True)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def unchanged(values):
    return values


def example(preset):
    """A dot that moves to the right."""
    time, height, width, channels = preset.input_shape
    frames = np.zeros((1, time, height, width, channels), "float32")
    for step in range(time):
        frames[0, step, height // 2, step] = 1.0
    return frames
