"""Scores of predicted classes: accuracy, macro F1, cross-entropy; by class, and who is taken for whom."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scs_keras.training.action.controls import reversed_order, shuffled_order
from scs_keras.training.importance import check_same_goals, streams
from scs_keras.training.scores import Column, Scores, check_output, table_rows
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset

MOST_SHOWN = 12  # classes of a confusion matrix that is printed
TOP = 5


class ActionScores(Scores):
    """Of one class a clip, or one a frame; frames of weight 0 do not count.

    Attributes:
        confusion: (classes, classes), how often a class (row) was given each class (column).
    """

    columns = (
        Column("accuracy", "accuracy", digits=3, better="higher"),
        Column("macro_f1", "macro F1", digits=3, better="higher"),
        Column("top_5", "top 5", digits=3, better="higher", main=False),
        Column("cross_entropy", "cross-entropy", digits=3, main=False),
        Column("count", "count", digits=0, better="", main=False),
    )
    notes = (
        "Macro F1 is the mean over the classes that there are. By class, the accuracy is the share of its clips or "
        "frames that were given it, the F1 its own."
    )

    def __init__(self, preset: Preset):
        self.labels = tuple(preset.labels)
        if len(self.labels) <= TOP:
            self.columns = tuple(column for column in type(self).columns if column.name != "top_5")
        self.confusion = np.zeros((len(self.labels),) * 2, "int64")
        self.in_top, self.entropy = 0, 0.0

    def add(self, target: Any, output: Any, weight: Any, about: Mapping[str, Any]) -> None:
        """Adds a clip: its class and probabilities (classes,), or those of its frames, (time,) and (time, classes)."""
        target, output = np.asarray(target), np.asarray(output, "float64")
        check_output(np.zeros((*target.shape, len(self.labels))), output, about)
        counts = np.broadcast_to(True if weight is None else np.asarray(weight) > 0, target.shape).reshape(-1)
        target, output = target.reshape(-1)[counts], output.reshape(-1, len(self.labels))[counts]
        np.add.at(self.confusion, (target, output.argmax(axis=1)), 1)
        of_target = output[np.arange(len(target)), target]
        self.in_top += int(((output > of_target[:, None]).sum(axis=1) < TOP).sum())
        self.entropy -= float(np.log(np.clip(of_target, 1e-7, 1)).sum())

    def result(self) -> dict[str, float | None]:
        count = int(self.confusion.sum())
        if not count:
            return {column.name: None for column in self.columns}
        found = {
            **scores_of(self.confusion),
            "top_5": self.in_top / count,
            "cross_entropy": self.entropy / count,
            "count": float(count),
        }
        return {column.name: found[column.name] for column in self.columns}

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        recall, f1 = recalls(self.confusion), f1_scores(self.confusion)
        totals = self.confusion.sum(axis=1)
        return {
            "class": {
                label: {"accuracy": recall[index], "macro_f1": f1[index], "count": float(totals[index])}
                for index, label in enumerate(self.labels)
                if totals[index]
            }
        }

    def extras(self, scores: Mapping[str, "ActionScores"]) -> dict[str, Any]:
        """{"labels": ..., "confusion": {prediction: rows of counts}}."""
        return {
            "labels": list(self.labels),
            "confusion": {name: each.confusion.tolist() for name, each in scores.items()},
        }

    def remarks(self, scores: Mapping[str, "ActionScores"]) -> list[str]:
        if len(self.labels) > MOST_SHOWN:
            return []
        lines = []
        for name in (name for name in ("model", "reversed") if name in scores):
            rows = {label: list(map(str, row)) for label, row in zip(self.labels, scores[name].confusion)}
            lines += ["", *table_rows(self.labels, rows, f"{name}: is, was called")]
        return lines[1:]


def scores_of(confusion: np.ndarray) -> dict[str, float | None]:
    """{"accuracy", "macro_f1"} of a confusion matrix with at least one count."""
    present = [value for value in f1_scores(confusion) if value is not None]
    return {"accuracy": float(np.trace(confusion) / confusion.sum()), "macro_f1": float(np.mean(present))}


def recalls(confusion: np.ndarray) -> list[float | None]:
    """Share of each class that was given it; None for a class that there is not."""
    totals = confusion.sum(axis=1)
    return [float(right / total) if total else None for right, total in zip(np.diag(confusion), totals)]


def f1_scores(confusion: np.ndarray) -> list[float | None]:
    """F1 of each class: 2 right / (is + was given); None for a class that there is not."""
    totals, given = confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        float(2 * right / (total + called)) if total else None
        for right, total, called in zip(np.diag(confusion), totals, given)
    ]


def predictors(model: Any, controls: bool = False, importance: bool = False) -> dict[str, Prediction]:
    """What is scored of a model.

    Args:
        model: of the task.
        controls: also what it says of each clip in reverse, and with its frames shuffled.
        importance: also what T1 (`spatial`) and T2 (`temporal`) say.

    Raises:
        ValueError: `importance` of a model whose sub-goals are not the main goal.
    """
    if importance:
        check_same_goals(model.preset)
    preprocess = model.preset.preprocess

    def predict(x: Any, about: Any) -> Any:
        return model.predict(preprocess(x), verbose=0)

    made: dict[str, Prediction] = {"model": predict}
    if controls:
        made |= {"reversed": reversed_order(predict), "shuffled": shuffled_order(predict)}
    if importance:
        made |= {
            name: lambda x, about, name=name: streams(model, preprocess(x))[name] for name in ("spatial", "temporal")
        }
    return made
