"""Frames with a table of angles, a CSV file beside them:

    file,steering[,sequence][,split][,time_s][,index]
    00000.jpg,0.12,morning,train,0.00,0
    00001.jpg,0.15,morning,train,0.05,1

`file` is relative to the table's folder, or to its sub-folder `images`, or `center`. `steering` is degrees, or, with
`full_scale`, shares of the largest angle. Frames are in the order of time; those of one `sequence` (or `session`)
belong together. `split` is train, val or test; without the column the fifth and the tenth tenth of each recording are
for validation, with five recordings or more the fifth and the tenth recording. Windows do not cross a step of
more than a second and four usual steps (`time_s`, `time_ms`), nor one in `index`. Other columns are not read.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scs_keras.training.data.folders import one_table
from scs_keras.training.driving.drives import SPLITS, Drive, Row, image_drives, number
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import words

_EXPECTED = "a CSV file with the columns file and steering, and perhaps sequence, split, time_s, index"
_PLACES = ("", "images", "center")
_CLOCKS = (("time_s", 1), ("time_ms", 1000))


def drives(
    folder: str | Path,
    preset: Preset,
    column: str = "steering",
    full_scale: float = 0.0,
    crop: Any = (0, 1),
    name: str = "",
) -> tuple[list[Drive], list[str]]:
    """The drives of a table.

    Args:
        folder: with one CSV file, or the path of the file.
        preset: whose size and largest angle hold.
        column: of the angles.
        full_scale: degrees that 1 stands for; 0 where the angles are degrees.
        crop: (top, bottom) of what is looked at, as shares of the height.
        name: of the data; "" for the folder's.

    Returns:
        The drives of all splits, and no notes.

    Raises:
        FileNotFoundError: there is no table, or an image that it lists is missing.
        ValueError: a row or an image is wrong; the message says which.
    """
    path = one_table(Path(folder), _EXPECTED, "driving_log.csv")
    return image_drives(name or path.parent.name, _rows(path, column), preset, full_scale, crop), []


def _rows(path: Path, column: str) -> list[Row]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        for needed in ("file", column):
            if needed not in columns:
                raise ValueError(
                    f"{path}: has no column {needed!r}. Expected {_EXPECTED}. Received the columns: "
                    f"{', '.join(columns) or 'none'}. The column of the angles can be given: "
                    f"{words('column=NAME', '--column NAME', train='--set column=NAME')}."
                )
        rows = [_row(path, f"{path.name}, line {reader.line_num}", fields, column) for fields in reader]
    if not rows:
        raise ValueError(f"{path}: has no rows. Expected {_EXPECTED}.")
    place = next((each for each in _PLACES if (path.parent / each / rows[0].path).is_file()), "")
    return [replace(row, path=path.parent / place / row.path) for row in rows]


def _row(path: Path, where: str, fields: Mapping[str | None, Any], column: str) -> Row:
    if None in fields or None in fields.values():
        raise ValueError(f"{where}: has {'more' if None in fields else 'fewer'} values than the table has columns.")
    values = {str(key): value.strip() for key, value in fields.items()}
    if not values["file"]:
        raise ValueError(f"{where}: the file is empty.")
    split = values.get("split", "")
    if split not in ("", *SPLITS):
        raise ValueError(f"{where}: the split must be one of {', '.join(SPLITS)}. Received: {split!r}.")
    clock = [number(values[key], where, key) / per for key, per in _CLOCKS if values.get(key)]
    return Row(
        path=Path(values["file"]),
        value=number(values[column], where),
        where=where,
        recording=values.get("sequence") or values.get("session") or "",
        split=split,
        seconds=clock[0] if clock else None,
        number=int(number(values["index"], where, "index")) if values.get("index") else None,
    )
