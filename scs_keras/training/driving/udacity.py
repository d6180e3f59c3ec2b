"""Recordings of Udacity's simulator:

    driving_log.csv    center,left,right,steering,throttle,brake,speed; with these names in the first line or without
    IMG/               center_2016_12_01_13_30_48_287.jpg, left_..., right_...

Paths of another machine, with / or \\, stand for the files of that name in IMG/. Angles are -1 to 1, which is 25
degrees. The time in the files' names shows the gaps; where it is missing, all frames are taken to follow each other.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from scs_keras.training.driving.drives import Drive, Row, image_drives, number, with_splits
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

LOG, IMAGES = "driving_log.csv", "IMG"
COLUMNS = ("center", "left", "right", "steering", "throttle", "brake", "speed")
_TIME = re.compile(r"_(\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{1,6})\.\w+$")


def drives(
    folder: str | Path,
    preset: Preset,
    full_scale: float = 25.0,
    crop: Any = (22 / 96, 86 / 96),
    correction: float = 0.0,
    name: str = "udacity",
) -> tuple[list[Drive], list[str]]:
    """The drives of a recording.

    Args:
        folder: with driving_log.csv and IMG.
        preset: whose size and largest angle hold.
        full_scale: degrees that 1 stands for.
        crop: (top, bottom) of what is looked at, as shares of the height.
        correction: degrees that are added to the angle for the left camera and taken off for the right one, whose
            drives then are trained on too; no further than to full lock. 0: only the centre camera.
        name: of the data.

    Returns:
        The drives of all splits, and notes.

    Raises:
        FileNotFoundError: there is no log, or an image that it lists is missing.
        ValueError: a row or an image is wrong; the message says which.
    """
    if not correction >= 0:
        raise ValueError(f"{option('correction')} is an angle of at least 0 degrees. Received: {correction}.")
    log = Path(folder) / LOG
    if not log.is_file():
        raise FileNotFoundError(f"{folder}: expected {LOG} and a folder {IMAGES}, as Udacity's simulator records them.")
    lines = _lines(log)
    rows = with_splits(name, _rows(log, lines, 0, 0.0, full_scale))
    if not correction:
        return image_drives(name, rows, preset, full_scale, crop), []
    for column, sign in ((1, 1), (2, -1)):
        side = _rows(log, lines, column, sign * correction, full_scale)
        rows += [replace(row, split="train") for row, centre in zip(side, rows) if centre.split == "train"]
    note = f"{name}: side cameras are trained on, at angles that differ by {correction:g} degrees, at most full lock."
    return image_drives(name, rows, preset, full_scale, crop), [note]


def _lines(log: Path) -> list[tuple[str, list[str]]]:
    """(file and line, values) of each row."""
    with open(log, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        lines = [(f"{log.name}, line {reader.line_num}", [each.strip() for each in values]) for values in reader]
    if lines and lines[0][1][:4] == list(COLUMNS[:4]):
        lines = lines[1:]
    if not lines:
        raise ValueError(f"{log}: has no rows. Expected: {','.join(COLUMNS)}.")
    for where, values in lines:
        if len(values) < 4:
            raise ValueError(f"{where}: expected {','.join(COLUMNS)}. Received: {','.join(values) or 'nothing'}.")
    return lines


def _rows(log: Path, lines: Sequence[tuple[str, list[str]]], column: int, added: float, full_scale: float) -> list[Row]:
    rows = []
    for place, (where, values) in enumerate(lines):
        value, file = number(values[3], where), re.split(r"[/\\]", values[column])[-1]
        if not file:
            raise ValueError(f"{where}: the image of the {COLUMNS[column]} camera is empty.")
        if added and abs(value) <= 1 and full_scale > 0:
            value = min(max(value + added / full_scale, -1.0), 1.0)
        found = _TIME.search(file)
        rows.append(
            Row(
                path=log.parent / IMAGES / file,
                value=value,
                where=where,
                recording=COLUMNS[column],
                number=place,  # those of the side cameras that are left out are a gap
                seconds=datetime.strptime(found[1], "%Y_%m_%d_%H_%M_%S_%f").timestamp() if found else None,
            )
        )
    return rows
