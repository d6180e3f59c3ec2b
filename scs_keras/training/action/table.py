"""Videos with a table of labels, a CSV file beside them:

    file,label[,start,end][,start_s,end_s][,group][,split]
    fight/fi001.mp4,fight,,,,,party,train
    "walk, then run.mp4",walk,0,52,,,,val

`file` is relative to the table's folder. `start` and `end` (not in the part) are frames, counted from 0 in the order in
which they are shown; `start_s` and `end_s` seconds from the first frame. One file may have several rows. `split` is
train, val or test; without the column a fifth is for validation (`fold` of `folds`). Rows of one `group`, or of one
file where there is none, are never on both sides of a split. Other columns are not read.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scs_keras.core.arguments import check_known
from scs_keras.training.action.clip_rows import SPLITS, Row, samples_of
from scs_keras.training.action.samples import ClipSamples
from scs_keras.training.data.folders import one_table
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

_EXPECTED = "a CSV file with the columns file and label, and perhaps start, end, start_s, end_s, group, split"


def read(
    folder: str | Path,
    split: str,
    preset: Preset,
    group: str = "",
    classes: Mapping[str, str] | None = None,
    name: str = "",
    **options: Any,
) -> ClipSamples:
    """Samples of a table.

    Args:
        folder: with one CSV file, or the path of the file.
        split: "train", "val" or "test".
        preset: whose input shape, classes and output (one label a clip, or one a frame) the samples have.
        group: column of the groups; "" for `group` where there is one, else for the files.
        classes: {label of the table: class}; rows of other labels have no class and are left out. None for the labels.
        name: of the data; "" for the folder's.
        **options: fold, folds, skip_broken, class_weight, balanced, flip, jitter, cache_mb; see `samples_of` and
            `ClipSamples`.

    Raises:
        FileNotFoundError: there is no table, or a file that it lists is missing.
        ValueError: a row or a file is wrong; the message says which.
    """
    path = one_table(Path(folder), _EXPECTED, "labels.csv")
    rows, group = _rows(path, group)
    notes = []
    labels = None
    if classes is not None:
        labels = tuple(dict.fromkeys(classes.values()))
        other = sorted({row.label for row in rows} - set(classes))
        if other:
            notes.append(f"{path.name}: parts without a class are left out: {', '.join(other)}.")
        rows = [replace(row, label=classes[row.label]) for row in rows if row.label in classes]
    return samples_of(name or path.parent.name, rows, split, preset, labels, group, notes=notes, **options)


def fight(folder: str | Path, split: str, preset: Preset, group: str = "", **options: Any) -> ClipSamples:
    """The table of fight_detection, whose clips are cut out of longer videos: those of one `source_url` are a group."""
    return read(folder, split, preset, group or "source_url", name="fight", **options)


THERMAL = {
    "walk": "walk", "standup": "up", "falling": "down-going", "sitdown": "down-going",
    "falled": "lying", "lying": "lying", "sleeping": "lying",
}  # fmt: skip


def thermal(folder: str | Path, split: str, preset: Preset, folds: int = 0, **options: Any) -> ClipSamples:
    """The table of fir_thermal: seven recordings, each a fold, with nine labels that are four classes here."""
    return read(folder, split, preset, classes=THERMAL, name="thermal", folds=folds or 7, **options)


def _rows(path: Path, group: str) -> tuple[list[Row], str]:
    """(rows of the table, its column of groups, "" for the files)."""
    rows: list[Row] = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        for needed in ("file", "label"):
            if needed not in columns:
                raise ValueError(f"{path}: expected {_EXPECTED}. Received the columns: {', '.join(columns) or 'none'}.")
        if group:
            check_known(f"column (option {option('group')}) of {path.name}", group, columns)
        group = group or ("group" if "group" in columns else "")
        for fields in reader:
            rows.append(_row(path, f"{path.name}, line {reader.line_num}", fields, group))
    if not rows:
        raise ValueError(f"{path}: has no rows. Expected {_EXPECTED}.")
    if ("split" in columns) and not all(row.split for row in rows):
        where = next(row.where for row in rows if not row.split)
        raise ValueError(f"{where}: the split is empty. Expected one of {', '.join(SPLITS)}, or no such column.")
    return rows, group


def _row(path: Path, where: str, fields: Mapping[str | None, Any], group: str) -> Row:
    if None in fields or None in fields.values():
        raise ValueError(
            f"{where}: has {'more' if None in fields else 'fewer'} values than the table has columns. Put values that "
            'hold commas in quotes: "a, b".'
        )
    values = {str(key): value.strip() for key, value in fields.items()}
    if not values["file"] or not values["label"]:
        raise ValueError(f"{where}: the {'label' if values['file'] else 'file'} is empty.")
    split = values.get("split", "")
    if split and split not in SPLITS:
        raise ValueError(f"{where}: the split must be one of {', '.join(SPLITS)}. Received: {split!r}.")
    frames = [_number(where, values, key, int) for key in ("start", "end")]
    seconds = [_number(where, values, key, float) for key in ("start_s", "end_s")]
    if frames != [None, None] and seconds != [None, None]:
        raise ValueError(f"{where}: has start or end in frames and in seconds (start_s, end_s). Give one of both.")
    start, end = seconds if frames == [None, None] else frames
    return Row(
        path=path.parent / values["file"],
        name=values["file"],
        label=values["label"],
        split=split,
        group=(values[group] if group else "") or values["file"],
        where=where,
        start=start,
        end=end,
        in_seconds=seconds != [None, None],
    )


def _number(where, values, key, kind):
    text = values.get(key, "")
    try:
        return kind(text) if text else None
    except ValueError:
        what = "a whole number of frames" if kind is int else "a number of seconds"
        raise ValueError(f"{where}: {key} must be {what}. Received: {text!r}.") from None
