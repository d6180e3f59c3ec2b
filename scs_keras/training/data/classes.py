"""Classes of labelled data: their names, weights in the loss, and batches that show each equally often."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.core.arguments import check_known, is_number
from scs_keras.training.samples import shuffled


def check_labels(name: str, found: Mapping[str, str], expected: Sequence[str]) -> tuple[str, ...]:
    """The classes in the order of y: the preset's, which must be the data's; or, if it has none, the data's.

    Args:
        name: of the data, for the message.
        found: {class of the data: where it stands first, or ""}.
        expected: the preset's.

    Raises:
        ValueError: the preset's are other classes than the data's.
    """
    if not expected:
        return tuple(found)
    unknown = [f"{each} ({where})" if where else each for each, where in found.items() if each not in expected]
    only = {"data": unknown, "model": [each for each in expected if each not in found]}
    if any(only.values()):
        said = "; ".join(f"only in the {what}: {', '.join(names)}" for what, names in only.items() if names)
        raise ValueError(
            f"{name}: the model has other classes than the data ({said}). The model's: {', '.join(expected)}. The "
            f"data's: {', '.join(found)}. Rename the labels, or train a model for these."
        )
    return tuple(expected)


def class_weights(given: Any, counts: Sequence[float], labels: Sequence[str]) -> np.ndarray:
    """The weight of each class in the loss, float32 (classes,).

    Args:
        given: None or "" for 1 each; "balanced" for total / (classes * count), which is 1 on average over the samples
            and the same in sum for each class; {label: weight}, or such a JSON text, others 1.
        counts: how many samples (frames, where these have the labels) there are of each class.
        labels: names of the classes.

    Raises:
        ValueError: for another text, an unknown label, or a weight that is no number of at least 0.
    """
    if given is None or given == "":
        return np.ones(len(labels), "float32")
    if given == "balanced":
        total, present = np.sum(counts), np.count_nonzero(counts)
        return np.array([total / (present * max(count, 1)) for count in counts], "float32")
    weights = _weights(given, labels)
    for label, weight in weights.items():
        check_known("class", label, labels)
        if not is_number(weight) or not 0 <= weight < np.inf:
            raise ValueError(f"class_weight: weights are numbers of at least 0. Received: {label}: {weight!r}.")
    return np.array([weights.get(label, 1) for label in labels], "float32")


def _weights(given: Any, labels: Sequence[str]) -> Mapping[str, Any]:
    try:
        weights = json.loads(given) if isinstance(given, str) else given
        if not isinstance(weights, Mapping):
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            f'class_weight is "balanced" or a weight for classes, for example {{"{labels[0]}": 2}}. '
            f"Received: {given!r}."
        ) from None
    return weights


def balanced(members: Sequence[Sequence[int]], start: int, count: int, seed: int) -> list[int]:
    """`count` indices from place `start` on in an endless sequence that shows all classes equally often.

    Each run of as many places as there are classes has one index of each class, in random order; the indices of a class
    follow each other in permutations, so that each comes before any comes again.

    Args:
        members: indices of the samples of each class that has some.
        start, count, seed: the sequence is a function of the place and the seed.
    """
    chosen = []
    for place in range(start, start + count):
        (kind,) = shuffled(len(members), place, 1, seed)
        turn, number = divmod(place // len(members), len(members[kind]))
        order = np.random.default_rng((seed, kind, turn)).permutation(len(members[kind]))
        chosen.append(int(members[kind][order[number]]))
    return chosen
