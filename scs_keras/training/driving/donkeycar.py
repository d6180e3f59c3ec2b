"""A tub of donkeycar, version 2:

    manifest.json        five lines of JSON: inputs, their types, metadata, when it was made, and
                         {"paths": ["catalog_0.catalog"], "current_index": 1000, "deleted_indexes": [12], ...}
    catalog_0.catalog    {"_index": 0, "_session_id": "20-10-11_0", "_timestamp_ms": ..., "cam/image_array":
                         "0_cam_image_array_.jpg", "user/angle": 0.3, ...} on each line
    images/

Deleted records are left out; windows cross neither them nor sessions. Angles are -1 to 1; what 1 is on your car is for
you to say (`full_scale`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scs_keras.training.driving.drives import Drive, Row, image_drives, number
from scs_keras.zoo.preset import Preset

MANIFEST = "manifest.json"
IMAGE, ANGLE = "cam/image_array", "user/angle"
_EXPECTED = f"a tub of donkeycar, version 2: {MANIFEST}, its catalogs, images/"


def drives(
    folder: str | Path, preset: Preset, full_scale: float = 25.0, crop: Any = (0, 1), name: str = ""
) -> tuple[list[Drive], list[str]]:
    """The drives of a tub.

    Args:
        folder: of the tub.
        preset: whose size and largest angle hold.
        full_scale: degrees that 1 stands for.
        crop: (top, bottom) of what is looked at, as shares of the height.
        name: of the data; "" for the folder's.

    Returns:
        The drives of all splits, and notes.

    Raises:
        FileNotFoundError: the manifest, a catalog or an image is missing.
        ValueError: a record or an image is wrong; the message says which.
    """
    folder = Path(folder)
    manifest = _manifest(folder)
    deleted, rows, skipped = set(manifest.get("deleted_indexes", [])), [], 0
    for catalog in manifest["paths"]:
        for where, record in _records(folder / catalog):
            skipped += record["_index"] in deleted
            if record["_index"] not in deleted:
                rows.append(_row(folder, where, record))
    if not rows:
        raise ValueError(f"{folder}: has no records that are not deleted. Expected {_EXPECTED}.")
    name = name or folder.name
    notes = [f"{name}: {skipped} deleted records are left out."] if skipped else []
    return image_drives(name, rows, preset, full_scale, crop), notes


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: there is no {MANIFEST}. Expected {_EXPECTED}.")
    for _, found in _json_lines(path):
        if isinstance(found, dict) and isinstance(found.get("paths"), list):
            return found
    raise ValueError(f'{path}: no line has {{"paths": [...], ...}}. Expected {_EXPECTED}.')


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise FileNotFoundError(f"{MANIFEST}: there is no catalog {path}. Expected {_EXPECTED}.")
    for where, record in _json_lines(path):
        missing = [key for key in ("_index", IMAGE, ANGLE) if not isinstance(record, dict) or key not in record]
        if missing:
            raise ValueError(f"{where}: the record has no {missing[0]!r}. Expected {_EXPECTED}.")
        yield where, record


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """(file and line, value) of each line that is not empty."""
    with open(path, encoding="utf-8") as file:
        for count, line in enumerate(file, 1):
            where = f"{path.name}, line {count}"
            try:
                if line.strip():
                    yield where, json.loads(line)
            except ValueError as error:
                raise ValueError(f"{where}: is no JSON ({error}). Expected {_EXPECTED}.") from error


def _row(folder: Path, where: str, record: dict[str, Any]) -> Row:
    stamp = record.get("_timestamp_ms")
    return Row(
        path=folder / "images" / str(record[IMAGE]),
        value=number(record[ANGLE], where),
        where=where,
        recording=str(record.get("_session_id", "")),
        seconds=None if stamp is None else number(stamp, where, "_timestamp_ms") / 1000,
        number=int(number(record["_index"], where, "_index")),
    )
