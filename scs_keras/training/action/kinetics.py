"""Kinetics-400, https://github.com/cvdfoundation/kinetics-dataset: clips of ten seconds cut out of videos of YouTube.

    train.csv, val.csv, test.csv   label,youtube_id,time_start,time_end,split; or in a sub-folder annotations
    train/tai chi/ID_000010_000020.mp4 ...   anywhere below the folder: the file's name is what counts

Many of the videos are no longer there: what of the list is missing is counted and left out. Clips of one video are in
one group. The list of the test part may have no labels; score on "val".
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from scs_keras.training.action.clip_rows import Row, samples_of
from scs_keras.training.action.samples import ClipSamples
from scs_keras.training.data.clips import VIDEOS
from scs_keras.training.data.folders import in_order
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

_COLUMNS = ("youtube_id", "time_start", "time_end")
_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_EXPECTED = (
    "CSV files with the columns label,youtube_id,time_start,time_end,split, and the clips ID_START_END.mp4 below the "
    "folder (https://github.com/cvdfoundation/kinetics-dataset)"
)


def read(folder: str | Path, split: str, preset: Preset, **options: Any) -> ClipSamples:
    """Samples of Kinetics-400.

    Args:
        folder: as above.
        split: "train", "val" or "test".
        preset: whose input shape and classes the samples have.
        **options: see `table.read`; there are no folds.

    Raises:
        FileNotFoundError: there are no lists, or no clip of the split.
        ValueError: a line is wrong, a video is broken, or the test list has no labels.
    """
    folder = Path(folder)
    tables = [path for path in in_order([*folder.glob("*.csv"), *folder.glob("annotations/*.csv")]) if _is_list(path)]
    if not tables:
        raise FileNotFoundError(f"{folder}: holds no list of Kinetics. Expected {_EXPECTED}.")
    clips = {path.stem: path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS}
    listed = [row for path in tables for row in _rows(path, folder)]
    wanted = [row for row in listed if row.split == split]
    unlabelled = next((row for row in wanted if not row.label), None)
    if unlabelled:
        raise ValueError(f"{unlabelled.where}: has no label. Score on {option('split', 'val')} instead.")
    rows = [replace(row, path=clips[row.path.stem]) for row in listed if row.label and row.path.stem in clips]
    there = sum(row.split == split for row in rows)
    if not there:
        raise FileNotFoundError(
            f"{folder}: has none of the {len(wanted)} clips that its lists name for {option('split', split)}. "
            f"Expected {_EXPECTED}."
        )
    note = f"{len(wanted) - there} of the {len(wanted)} clips of the list are not in the folder and are left out."
    labels = tuple(sorted({row.label for row in listed if row.label}))
    return samples_of(
        "kinetics", rows, split, preset, labels, "video", partial=True, notes=[note] * (there < len(wanted)), **options
    )


def _is_list(path: Path) -> bool:
    with open(path, newline="", encoding="utf-8-sig") as file:
        return set(_COLUMNS) <= set(next(csv.reader(file), ()))


def _rows(path: Path, folder: Path) -> Iterator[Row]:
    """Rows with the path that a clip would have; the test list may have no labels."""
    from_name = next((part for part in _SPLITS if part in path.stem.lower()), "")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        for fields in reader:
            where = f"{path.name}, line {reader.line_num}"
            split = _SPLITS.get(fields.get("split") or from_name)
            if split is None:
                received = f"{fields.get('split')!r}, and the name of the file says none"
                raise ValueError(f"{where}: the split must be train, validate or test. Received: {received}.")
            try:
                start, end = (round(float(fields[name])) for name in _COLUMNS[1:])
            except (TypeError, ValueError):
                raise ValueError(
                    f"{where}: time_start and time_end must be numbers of seconds. Labels that hold commas must be in "
                    f"quotes. Received: {', '.join(str(fields[name]) for name in _COLUMNS[1:])}."
                ) from None
            name = f"{fields['youtube_id']}_{start:06}_{end:06}.mp4"
            yield Row(folder / name, name, (fields.get("label") or "").strip(), split, fields["youtube_id"], where)
