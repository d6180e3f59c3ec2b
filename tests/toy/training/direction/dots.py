"""Data, scores, baselines and predictions of the task."""

from pathlib import Path

import numpy as np

from scs_keras.training.samples import shuffled
from scs_keras.training.scores import Column, Scores
from scs_keras.zoo.files import written_beside


def make(folder, count=12):
    """Writes npz files of moving dots; returns what it did."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        label, speed = index % 2, 1 + index // 2 % 2
        frames = np.zeros((4, 6, 8, 1), "float32")
        start = index // 4 % (8 - 3 * speed)
        for step in range(4):
            frames[step, index % 6, start + speed * step] = 1.0
        frames = frames if label else frames[::-1]
        np.savez(Path(folder) / f"{index:02}.npz", frames=frames, label=label, speed=speed)
    return f"Wrote {count} files to {folder}."


def read(folder, split, preset, speed=None):
    """The first two thirds of the files for "train", the rest for "val" and "test"."""
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder}: holds no npz files. Type: scs-keras dots {folder}")
    part = paths[: len(paths) * 2 // 3] if split == "train" else paths[len(paths) * 2 // 3 :]
    return Dots(f"dots {split}", part, preset.labels, speed)


class Dots:
    def __init__(self, name, paths, labels, speed=None):
        self.name, self.labels = name, labels
        loaded = [(path.stem, dict(np.load(path, allow_pickle=False))) for path in paths]
        self.files = [(name, each) for name, each in loaded if speed in (None, int(each["speed"]))]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        each = self.files[index][1]
        return each["frames"], int(each["label"]), None

    def about(self, index):
        name, each = self.files[index]
        return dict(name=name, group=f"speed {int(each['speed'])}")

    def batch(self, step, size, seed):
        chosen = [self[index] for index in shuffled(len(self), step * size, size, seed)]
        return {
            "frames": np.stack([frames for frames, _, _ in chosen]),
            "label": np.array([label for _, label, _ in chosen], "int32"),
        }


class AccuracyScores(Scores):
    columns = (
        Column("accuracy", "accuracy", better="higher", digits=3),
        Column("count", "samples", better="", digits=0),
    )
    notes = "Share of the sequences whose direction is told."
    card_axis = "speed"

    def __init__(self, preset):
        self.right = {}

    def add(self, target, output, weight, about):
        self.right.setdefault(about["group"], []).append(int(np.argmax(output)) == target)

    def result(self):
        return self._of(sum(self.right.values(), []))

    def parts(self):
        return {"speed": {group: self._of(right) for group, right in self.right.items()}}

    @staticmethod
    def _of(right):
        return {"accuracy": float(np.mean(right)) if right else None, "count": float(len(right))}


def predictors(model, reversed=False):
    made = {"model": lambda x, about: model.predict(x, verbose=0)}
    if reversed:
        made["in reverse"] = lambda x, about: model.predict(x[:, ::-1], verbose=0)
    return made


def baselines(preset, samples, train):
    """The more frequent class of the training data, and the direction in which the mean column moves."""
    labels = [train()[index][1] for index in range(len(train()))]
    majority = np.eye(2)[np.bincount(labels).argmax()]

    def centroid(x, about):
        columns = (x.sum(axis=(2, 4)) * np.arange(x.shape[3])).sum(axis=2)
        return np.eye(2)[(columns[:, 1] > columns[:, 0]).astype(int)]

    return {"majority": lambda x, about: np.repeat(majority[None], len(x), axis=0), "centroid": centroid}


def predict(source, file, output, digits=2):
    with np.load(file, allow_pickle=False) as arrays:
        frames = arrays["frames"]
    model = source.load()
    chances = model.predict(frames[None], verbose=0)[0]
    with written_beside(output / "direction.txt") as beside:
        beside.write_text(f"{model.preset.labels[int(chances.argmax())]} {chances.max():.{digits}f}\n")
    return f"Wrote {output / 'direction.txt'}."
