"""What a model has to beat: the most frequent class, three numbers of motion, the last frame, last minus first."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scs_keras.training.logistic import Logistic
from scs_keras.training.samples import Samples, spread
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset

MOST_CLIPS = 2000  # to fit to, evenly spread
ROWS = 24  # of the grey images that are looked at, at most


def baselines(preset: Preset, samples: Samples, train: Callable[[], Samples]) -> dict[str, Prediction]:
    """Each is fitted to the training clips; where every frame has a class, it sees that frame and those before it.

    `majority`: the most frequent class. `motion`: logistic regression on mean, spread and largest of the mean absolute
    difference of neighbouring frames. `last_frame`: on the last frame as the models see it, in grey and small.
    `last_minus_first`: on the difference of the last frame from the first. In these all classes weigh alike.
    """
    per_frame, classes = len(preset.output_shape) == 2, len(preset.labels)
    clips = train()
    chosen = [clips[index] for index in spread(len(clips), MOST_CLIPS)]
    labels = np.concatenate([np.reshape(y, -1) for _, y, _ in chosen])
    counted = np.concatenate([np.broadcast_to(weight, np.shape(y)).reshape(-1) > 0 for _, y, weight in chosen])
    shares = np.bincount(labels[counted], minlength=classes) / counted.sum()
    made: dict[str, Prediction] = {"majority": lambda x, about: _everywhere(shares, x, per_frame)}
    for name, features in features_of(preset).items():
        seen = np.concatenate([_rows(features(x), per_frame) for x, _, _ in chosen])
        made[name] = _predictor(Logistic(seen[counted], labels[counted], classes), features, per_frame)
    return made


def _everywhere(shares, x, per_frame):
    return np.broadcast_to(shares, (*(x.shape[:2] if per_frame else x.shape[:1]), len(shares)))


def _rows(features, per_frame):
    return features if per_frame else features[-1:]


def _predictor(model, features, per_frame) -> Prediction:
    def predict(x: Any, about: Any) -> np.ndarray:
        outputs = np.stack([model(_rows(features(clip), per_frame)) for clip in x])
        return outputs if per_frame else outputs[:, 0]

    return predict


# Features of every frame, (time, numbers), of it and those before it ------------------------------------------------


def motion(clip: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and largest of the mean absolute differences of neighbouring frames so far."""
    frames = clip.astype("float32")
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    rows = [np.zeros(3)]
    rows += [(part.mean(), part.std(), part.max()) for part in (change[: stop + 1] for stop in range(len(change)))]
    return np.array(rows)


def small(clip: np.ndarray) -> np.ndarray:
    """The pixels of the frame, in grey, averaged to at most `ROWS` rows."""
    grey = clip.astype("float32").mean(axis=-1)
    block = max(1, -(-grey.shape[1] // ROWS))
    rows, columns = (size // block for size in grey.shape[1:])
    blocks = grey[:, : rows * block, : columns * block].reshape(len(grey), rows, block, columns, block)
    return blocks.mean(axis=(2, 4)).reshape(len(grey), -1)


def features_of(preset: Preset) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """{name: features of every frame of a clip}."""

    def last_minus_first(clip: np.ndarray) -> np.ndarray:
        rows = small(clip)
        return rows - rows[0]

    return {
        "motion": motion,
        "last_frame": lambda clip: small(preset.preprocess(clip)),
        "last_minus_first": last_minus_first,
    }
