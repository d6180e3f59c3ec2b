"""Callbacks of video trainings."""

import keras
import numpy as np

from scs_keras.core.metrics import squared_error_per_frame
from scs_keras.zoo.video_prediction.sampling import SAVED


class RandomState(keras.callbacks.Callback):
    """Sets the state of all random generators at the start of an epoch, as a function of the seed and the epoch.

    Keras writes no generator's state into a weights file. So a training that goes on from a checkpoint (they are
    written at the end of an epoch) drops out what it would have dropped out. Scheduled sampling saves its own.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        ending = "seed_generator_state"
        states = [each for each in self.model.variables if each.path.endswith(ending) and SAVED not in each.path]
        for number, state in enumerate(states):
            draw = np.random.default_rng((self.seed, epoch, number)).integers(2**31, size=state.shape)
            state.assign(draw.astype(keras.backend.standardize_dtype(state.dtype)))


class Validation(keras.callbacks.Callback):
    """Adds `val_mse_per_frame` to the logs of an epoch: squared error summed over a frame's pixels.

    Args:
        videos: to score on.
        count: how many of its sequences, evenly spread.
        batch_size: sequences a call.
    """

    def __init__(self, videos, count, batch_size=8):
        super().__init__()
        self.videos, self.batch_size = videos, batch_size
        self.indices = spread(len(videos), count)

    def on_epoch_end(self, epoch, logs=None):
        observed, errors = self.model.input_length, []
        for start in range(0, len(self.indices), self.batch_size):
            sequences = np.stack([self.videos[index] for index in self.indices[start : start + self.batch_size]])
            predicted = self.model.predict_on_batch(sequences[:, :observed])
            target = sequences[:, observed:, ..., : self.model.output_channels]
            errors.append(keras.ops.convert_to_numpy(squared_error_per_frame(target, predicted)))
        if logs is not None:
            logs["val_mse_per_frame"] = float(np.concatenate(errors).mean())


def spread(size, count=None):
    """`count` indices below `size`, evenly spread; all of them for None or a count of `size` and more.

    Raises:
        ValueError: for a count below 1.
    """
    if count is None or count >= size:
        return list(range(size))
    if count < 1:
        raise ValueError(f"The number of sequences must be at least 1. Received: {count}.")
    return [int(index) for index in np.linspace(0, size - 1, count)]
