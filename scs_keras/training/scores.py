"""Scores of predictions, and the tables that are made of them for all tasks: text, Markdown, JSON."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Mapping[str, float | None]
"""{metric: value}; None where it is not defined."""


@dataclass(frozen=True)
class Column:
    """A metric in tables.

    Attributes:
        name: of the metric.
        title: above its column.
        digits: decimal places.
        better: "lower", "higher", or "" for neither.
        main: whether it is in model cards and in the tables of parts (lead times, classes, ...).
        block: columns of one block share a table.
        note: what it means, a sentence, if the notes of its `Scores` do not say it.
    """

    name: str
    title: str
    digits: int = 4
    better: str = "lower"
    main: bool = True
    block: str = ""
    note: str = ""

    def text(self, value: float | None) -> str:
        """The value as it is shown; a dash where it is not defined."""
        return "-" if value is None else f"{value:.{self.digits}f}"

    def margin(self, interval: tuple[float, float] | None) -> str:
        """Half of an interval as it is shown behind a value; nothing for None."""
        return "" if interval is None else f"±{(interval[1] - interval[0]) / 2:.{self.digits}f}".replace("±0.", "±.")

    def best(self, values: Sequence[float | None]) -> float | None:
        """The best of the values; None where neither direction is better or fewer than two are defined."""
        known = [value for value in values if value is not None]
        if not self.better or len(known) < 2:
            return None
        return min(known) if self.better == "lower" else max(known)


class Scores(abc.ABC):
    """What one kind of prediction scores, summed over samples; a task has its own.

    Attributes:
        columns: of the tables.
        notes: what the columns mean, a sentence or two.
        card_axis: the axis of `parts` that a model card has tables of; "" for the scores of all samples.
        bounds: predictions that are made of the truth, such as what a grid can show of it at best: they stand in the
            tables, but are not marked as the best.
    """

    columns: tuple[Column, ...]
    notes: str = ""
    card_axis: str = ""
    bounds: tuple[str, ...] = ()

    @abc.abstractmethod
    def add(self, target: Any, output: Any, weight: Any, about: Mapping[str, Any]) -> None:
        """Adds one sample: target, prediction, the weight of `Samples`, and what is known of it.

        Raises:
            ValueError: the prediction has the wrong shape, or NaN.
        """

    @abc.abstractmethod
    def result(self) -> dict[str, float | None]:
        """{metric: value} over all samples, for each of `columns`."""

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """{axis: {part: {metric: value}}}: the same for each lead time, class, event, ...; {} for no axis."""
        return {}

    def intervals(self) -> Mapping[str, tuple[float, float] | None]:
        """{metric: (low, high)} of `result`, the confidence intervals; without those that are not known."""
        return {}

    def extras(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """What the JSON has besides scores and parts, plain data.

        Args:
            scores: {prediction: Scores}, itself among them.
        """
        return {}

    def remarks(self, scores: Mapping[str, Any]) -> list[str]:
        """Lines below the tables of all samples; the argument as for `extras`."""
        return []


def check_output(target: np.ndarray, output: np.ndarray, about: Mapping[str, Any]) -> None:
    """Raises ValueError unless a prediction is finite and has the shape of its target."""
    if np.shape(output) != np.shape(target):
        raise ValueError(f"must have shape {np.shape(target)} on {about['group']}. Received: {np.shape(output)}.")
    check_finite(output, about)


def check_finite(output: np.ndarray, about: Mapping[str, Any]) -> None:
    """Raises ValueError unless a prediction is finite."""
    if not np.isfinite(output).all():
        raise ValueError(f"has NaN or infinite values on {about['group']}; it cannot be scored.")


def finite(value: float) -> float | None:
    """The value as a Python float; None if it is not finite."""
    return float(value) if np.isfinite(value) else None


def by_part(scores: Mapping[str, Scores]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """{axis: {part: {prediction: {metric: value}}}} of {prediction: Scores}."""
    found: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for name, each in scores.items():
        for axis, parts in each.parts().items():
            for part, values in parts.items():
                found.setdefault(axis, {}).setdefault(part, {})[name] = values
    return found


def text_tables(title: str, scores: Mapping[str, Scores]) -> str:
    """All scores as text: tables of all samples, the best of each column but bounds with a star, then of each axis.

    Notes of columns stand above the first table that has them; where intervals are known, half of them behind the
    value. A table leaves out predictions that have none of its scores, if others have some.
    """
    first = next(iter(scores.values()))
    results: dict[str, Values] = {name: each.result() for name, each in scores.items()}
    intervals = {name: each.intervals() for name, each in scores.items()}
    lines, told = [f"{title} ({first.notes})"], {""}
    for block in dict.fromkeys(column.block for column in first.columns):
        columns = [column for column in first.columns if column.block == block]
        notes = [note for note in dict.fromkeys(column.note for column in columns) if note not in told]
        told.update(notes)
        lines += ["", " ".join(notes)] if notes else []
        lines += ["", *_over_columns(columns, defined(columns, results) or results, intervals, first.bounds)]
    remarks = first.remarks(scores)
    lines += ["", *remarks] if remarks else []
    for axis, parts in by_part(scores).items():
        if len(parts) < 2:  # the same once more
            continue
        lines += ["", "", f"By {axis}:"]
        for column in first.columns:
            if column.main:
                names = defined([column], results) or results
                chosen = {part: {name: values[name] for name in names} for part, values in parts.items()}
                lines += ["", *_over_parts(column, chosen, first.bounds)]
    return "\n".join(lines)


def defined(columns: Sequence[Column], results: Mapping[str, Values]) -> dict[str, Values]:
    """The predictions that have one of the scores."""
    return {
        name: values
        for name, values in results.items()
        if any(values.get(column.name) is not None for column in columns)
    }


_WIDEST = 110  # characters of a line, about: beyond it a table of parts is turned


def best_values(
    columns: Sequence[Column], results: Mapping[str, Values], bounds: Sequence[str] = ()
) -> dict[str, float | None]:
    """{metric: the best of {prediction: {metric: value}}, without the bounds}."""
    rivals = [values for name, values in results.items() if name not in bounds]
    return {column.name: column.best([values.get(column.name) for values in rivals]) for column in columns}


def _over_columns(columns, results, intervals, bounds):
    rows = {name: [] for name in results}
    for column in columns:
        for name, cell in _starred(column, results, bounds).items():
            rows[name].append(cell + column.margin(intervals[name].get(column.name)))
    return table_rows([column.title for column in columns], rows)


def _over_parts(column, parts, bounds):
    cells = {}  # {part: {prediction: text}}
    for part, predictions in parts.items():
        cells[part] = _starred(column, predictions, bounds)
    names = list(dict.fromkeys(name for each in cells.values() for name in each))
    rows = {name: [each.get(name, "-") for each in cells.values()] for name in names}
    lines = table_rows(list(cells), rows, column.title)
    if len(lines[0]) <= _WIDEST:
        return lines
    return table_rows(
        names, {part: [each.get(name, "-") for name in names] for part, each in cells.items()}, column.title
    )


def _starred(column, results, bounds):
    """{prediction: its value as text}, the best with a star."""
    best, values = best_values([column], results, bounds)[column.name], {}
    for name, each in results.items():
        value = each.get(column.name)
        marked = value is not None and value == best and name not in bounds
        values[name] = column.text(value) + ("*" if marked else " ")
    return values


def table_rows(header: Sequence[str], rows: Mapping[str, Sequence[str]], corner: str = "") -> list[str]:
    """Lines of a table: the header, then {name: cells} with the cells right under their titles."""
    first = max(map(len, [corner, *rows]))
    widths = [
        max(7, len(title), *(len(cells[i].strip("* ")) for cells in rows.values())) + 3
        for i, title in enumerate(header)
    ]
    return [
        f"{name:{first}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths))
        for name, cells in ((corner, [f"{title} " for title in header]), *rows.items())
    ]


def markdown_table(
    columns: Sequence[Column], results: Mapping[str, Values], corner: str = "", bounds: Sequence[str] = ()
) -> list[str]:
    """Lines of a Markdown table of {prediction: {metric: value}}, the best of each column but the bounds in bold."""
    best = best_values(columns, results, bounds)

    def cell(column, name, value):
        text, marked = column.text(value), value is not None and value == best[column.name] and name not in bounds
        return f"**{text}**" if marked else text

    return [
        f"| {corner} | {' | '.join(column.title for column in columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {name} | {' | '.join(cell(column, name, values.get(column.name)) for column in columns)} |"
            for name, values in results.items()
        ),
    ]
