"""Parts of a data set that share no group: what is of one source video, recording or person stays together."""

from collections.abc import Sequence

import numpy as np

from scs_keras.core.arguments import is_count
from scs_keras.zoo.words import option


def check_apart(name: str, groups: Sequence[str], splits: Sequence[str], lines: Sequence[str], kind: str) -> None:
    """Raises ValueError where one group is in two splits.

    Args:
        name: of the file, for the message.
        groups, splits, lines: of each row: its group, its split, and where it stands.
        kind: what a group is called.
    """
    first: dict[str, int] = {}
    for row, (group, split) in enumerate(zip(groups, splits)):
        other = first.setdefault(group, row)
        if splits[other] != split:
            raise ValueError(
                f"{name}: {kind} {group!r} is on both sides of the split: {splits[other]!r} ({lines[other]}) and "
                f"{split!r} ({lines[row]}). What is learnt by heart would be scored as known: keep each {kind} in one."
            )


def folds_of(groups: Sequence[str], labels: Sequence[str], folds: int) -> np.ndarray:
    """The fold, 1 to `folds`, of each row: groups are never divided, and classes are spread evenly.

    The largest groups go first, each to the fold that has least of its classes; folds are numbered by their first row.
    With as many folds as groups each group is a fold. A function of the arguments alone.

    Raises:
        ValueError: there are fewer groups than folds, or fewer than two folds.
    """
    names, rows = np.unique(list(groups), return_inverse=True)
    if not is_count(folds) or not 2 <= folds <= len(names):
        raise ValueError(
            f"{option('folds')} must be 2 to {len(names)}, the number of groups. Received: {folds}. Groups are not "
            "divided."
        )
    kinds, columns = np.unique(list(labels), return_inverse=True)
    table = np.zeros((len(names), len(kinds)))
    np.add.at(table, (rows, columns), 1)
    share = table / table.sum(axis=0)  # of each class, in each group
    filled, size, chosen = np.zeros((folds, len(kinds))), np.zeros(folds), np.zeros(len(names), int)
    for group in np.argsort(-table.sum(axis=1), kind="stable"):
        cost = (filled * share[group]).sum(axis=1)
        fold = min(range(folds), key=lambda each: (round(cost[each], 9), size[each]))
        filled[fold] += share[group]
        size[fold] += table[group].sum()
        chosen[group] = fold
    order = list(dict.fromkeys(chosen[rows]))  # by first row
    return np.array([order.index(fold) + 1 for fold in chosen[rows]])
