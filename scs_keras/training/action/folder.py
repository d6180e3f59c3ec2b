"""One's own videos in a folder for each class:

    walk/a.mp4            class walk; videos, or .npz files of frames (see `ArrayFile`)
    run/b.mp4, c.mp4      class run
    train/walk/a.mp4 ...  the same with train, val and perhaps test above the classes
    split.json            or {"train": ["walk/a.mp4", ...], "val": [...], "test": [...]}

Without either, a fifth of each class is for validation (`fold` of `folds`). Where several videos are from one recording
or show one person, use a table with a column `group` (`table`), so that these are not divided.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from scs_keras.training.action.clip_rows import SPLITS, Row, samples_of
from scs_keras.training.action.samples import ClipSamples
from scs_keras.training.data.clips import ARRAYS, VIDEOS
from scs_keras.training.data.folders import entries, listed_split, named, no_notes, warn_left_out
from scs_keras.zoo.preset import Preset

_EXPECTED = f"a sub-folder for each class, with its videos ({', '.join(VIDEOS + ARRAYS)})"


def read(folder: str | Path, split: str, preset: Preset, **options: Any) -> ClipSamples:
    """Samples of a folder; args, options and errors as `table.read`, without those of the table."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected {_EXPECTED}.")
    parts = [part for part in SPLITS if (folder / part).is_dir()]
    if "train" in parts and len(parts) > 1:
        rows = [row for part in parts for row in _rows(folder / part, folder, part)]
    else:
        rows = _split(folder, _rows(folder, folder, ""))
    return samples_of(folder.name, rows, split, preset, **options)


def _rows(folder: Path, root: Path, split: str) -> list[Row]:
    found = entries(folder)
    classes = [each for each in found if each.is_dir()]
    if not classes:
        raise FileNotFoundError(f"{folder}: expected {_EXPECTED}. It holds: {named(found) or 'nothing'}.")
    warn_left_out(folder, no_notes(each for each in found if each not in classes), _EXPECTED)
    rows = []
    for kind in classes:
        inside = entries(kind)
        videos = [each for each in inside if each.suffix.lower() in VIDEOS + ARRAYS and each.is_file()]
        if not videos:
            raise ValueError(
                f"{kind}: the class {kind.name!r} has no videos ({', '.join(VIDEOS + ARRAYS)}). It holds: "
                f"{named(inside) or 'nothing'}. Add some, or remove the folder."
            )
        warn_left_out(kind, no_notes(each for each in inside if each not in videos), "each video")
        for path in videos:
            name = path.relative_to(root).as_posix()
            group = path.relative_to(folder).as_posix()  # the same file in two parts is on both sides
            rows.append(Row(path, name, kind.name, split, group, name))
    return rows


def _split(folder: Path, rows: list[Row]) -> list[Row]:
    """The rows with the splits of split.json, if there is one."""
    listing = folder / "split.json"
    if not listing.is_file():
        return rows
    parts = listed_split(listing)
    known = {row.name for row in rows}
    missing = sorted({name for names in parts.values() for name in names} - known)
    if missing:
        raise FileNotFoundError(f"{listing}: lists videos that are not in the folder: {', '.join(missing[:10])}.")
    split = {name: part for part, names in parts.items() for name in names}
    warn_left_out(folder, [row.path for row in rows if row.name not in split], "what split.json lists")
    return [replace(row, split=split[row.name]) for row in rows if row.name in split]
