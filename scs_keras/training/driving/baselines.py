"""What a model has to beat: straight on, and ridge regression on small images of the last frame and of three."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scs_keras.training.driving.samples import DrivingSamples
from scs_keras.training.samples import spread
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset

MOST = 6000  # windows to fit to, evenly spread
ROWS, COLUMNS = 16, 48  # of the grey images that it looks at, at most
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
FOLDS = 5
LENGTHS = (1, 3)


def baselines(preset: Preset, samples: DrivingSamples, train: Callable[[], DrivingSamples]) -> dict[str, Prediction]:
    """`straight_on`: 0 degrees. `ridge_1`, `ridge_3`: ridge regression on the pixels of the last frame, and of it and
    the two before it, in grey and small, whatever the model's length; fitted to the training part, its penalty the best
    of four on fifths of it, each of them one stretch."""
    shape = preset.output_shape
    made: dict[str, Prediction] = {"straight_on": lambda x, about: np.zeros((len(x), *shape), "float32")}
    learnt = train()
    chosen = spread(len(learnt), MOST)
    angles = np.array([learnt.about(index)["degrees"] for index in chosen])
    longest = [small(learnt.window(index, max(LENGTHS))) for index in chosen]
    for length in LENGTHS:
        fitted = Ridge(np.array([rows[-length:].reshape(-1) for rows in longest]), angles)
        made[f"ridge_{length}"] = _predictor(fitted, samples, length, shape)
    return made


def _predictor(ridge, samples, length, shape) -> Prediction:
    def predict(x: Any, about: Sequence[Any]) -> np.ndarray:
        seen = np.array([small(samples.window(known["index"], length)).reshape(-1) for known in about])
        return np.stack([np.full(shape, angle, "float32") for angle in ridge(seen)])

    return predict


def small(frames: np.ndarray) -> np.ndarray:
    """Frames (time, height, width, channels) uint8 in grey of 0 to 1, averaged to at most 16 rows and 48 columns:
    float64 (time, pixels)."""
    grey = frames.astype("float64").mean(axis=-1) / 255
    blocks = [-(-size // most) for size, most in zip(grey.shape[1:], (ROWS, COLUMNS))]
    rows, columns = (size // block for size, block in zip(grey.shape[1:], blocks))
    grey = grey[:, : rows * blocks[0], : columns * blocks[1]]
    return grey.reshape(len(grey), rows, blocks[0], columns, blocks[1]).mean(axis=(2, 4)).reshape(len(grey), -1)


class Ridge:
    """Ridge regression, w = (XᵀX + penalty I)⁻¹ Xᵀy on centred values, the penalty chosen by cross-validation.

    Args:
        x: (count, features), in the order of time: folds are stretches of it.
        y: (count,).
        penalties: to choose from.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, penalties: Sequence[float] = PENALTIES) -> None:
        folds = [fold for fold in np.array_split(np.arange(len(y)), FOLDS) if len(fold)]
        sums = [_sums(x[fold], y[fold]) for fold in folds]
        whole = [sum(parts) for parts in zip(*sums)]
        errors = np.zeros(len(penalties))
        for fold, own in zip(folds, sums) if len(folds) > 1 else ():
            rest = [all_of_it - part for all_of_it, part in zip(whole, own)]
            for place, penalty in enumerate(penalties):
                errors[place] += np.sum((_applied(_solution(rest, penalty), x[fold]) - y[fold]) ** 2)
        self.penalty = penalties[int(np.argmin(errors))]
        self.weights = _solution(whole, self.penalty)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(count,) of (count, features)."""
        return _applied(self.weights, x)


def _sums(x, y):
    return float(len(y)), x.sum(axis=0), y.sum(), x.T @ x, x.T @ y


def _solution(sums, penalty):
    """(mean of x, mean of y, weights)."""
    count, of_x, of_y, of_xx, of_xy = sums
    mean, level = of_x / count, of_y / count
    covariance = of_xx - np.outer(of_x, mean) + penalty * np.eye(len(mean))
    return mean, level, np.linalg.solve(covariance, of_xy - of_x * level)


def _applied(weights, x):
    mean, level, slopes = weights
    return (x - mean) @ slopes + level
