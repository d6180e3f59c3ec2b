"""The score on the validation part that is logged while a video model trains."""

import keras
import numpy as np

from scs_keras.core.metrics import squared_error_per_frame
from scs_keras.training.samples import spread


class Validation(keras.callbacks.Callback):
    """Adds `val_mse_per_frame` to the logs of an epoch: squared error summed over a frame's pixels.

    Args:
        samples: to score on.
        count: how many of them, evenly spread.
        batch_size: sequences a call.
    """

    def __init__(self, samples, count, batch_size=8):
        super().__init__()
        self.samples, self.batch_size = samples, batch_size
        self.indices = spread(len(samples), count)

    def on_epoch_end(self, epoch, logs=None):
        errors = []
        for start in range(0, len(self.indices), self.batch_size):
            chosen = [self.samples[index] for index in self.indices[start : start + self.batch_size]]
            observed, target = (np.stack([sample[part] for sample in chosen]) for part in (0, 1))
            predicted = self.model.predict_on_batch(observed)
            errors.append(keras.ops.convert_to_numpy(squared_error_per_frame(target, predicted)))
        if logs is not None:
            logs["val_mse_per_frame"] = float(np.concatenate(errors).mean())
