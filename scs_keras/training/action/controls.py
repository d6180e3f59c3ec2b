"""Controls: what a model says of clips whose frames come in another order. One that uses time must get worse."""

from typing import Any

import numpy as np

from scs_keras.training.task import Prediction

SEED = 0


def reversed_order(predict: Prediction) -> Prediction:
    """`predict` of clips in reverse; what it says of each frame is put back to its place."""
    return lambda x, about: _in_order(predict, x, about, np.arange(x.shape[1])[::-1])


def shuffled_order(predict: Prediction) -> Prediction:
    """Likewise with the frames of all clips in one random order."""
    return lambda x, about: _in_order(predict, x, about, np.random.default_rng(SEED).permutation(x.shape[1]))


def _in_order(predict: Prediction, x: np.ndarray, about: Any, order: np.ndarray) -> np.ndarray:
    outputs = np.asarray(predict(x[:, order], about))
    return outputs if outputs.ndim == 2 else outputs[:, np.argsort(order)]
