"""The driving data of comma.ai of 2016:

    camera/2016-01-30--11-24-51.h5    X: (frames, 3, 160, 320) uint8, 20 a second
    log/2016-01-30--11-24-51.h5       at 100 a second: cam1_ptr, the frame at each row; steering_angle, degrees of the
                                      wheel

There is no official split: the fifth and the tenth recording are for validation. A frame's angle is the mean over its
rows. Frames at angles beyond the model's are left out and counted, as their own loader leaves out those beyond 200
degrees; windows do not cross them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.folders import in_order
from scs_keras.training.driving.drives import Drive, Row, drives_of_rows
from scs_keras.training.driving.images import ArrayFrames, as_crop
from scs_keras.zoo.preset import Preset

HERTZ = 20
_EXPECTED = "the folders camera and log, with one .h5 file of the same name for each recording"


def drives(
    folder: str | Path, preset: Preset, crop: Any = (0.3, 0.9), name: str = "comma"
) -> tuple[list[Drive], list[str]]:
    """The drives of all recordings.

    Args:
        folder: with camera and log.
        preset: whose size and largest angle hold.
        crop: (top, bottom) of what is looked at, as shares of the height.
        name: of the data.

    Returns:
        The drives of all splits, and notes.

    Raises:
        FileNotFoundError: a folder, or the log of a recording, is missing.
        ValueError: a file is broken, or camera and log do not fit; the message says which.
    """
    folder, crop = Path(folder), as_crop(crop)
    cameras = in_order((folder / "camera").glob("*.h5"))
    if not cameras:
        raise FileNotFoundError(f"{folder}: has no recordings. Expected {_EXPECTED}.")
    rows, images, wide = [], {}, 0
    for path in cameras:
        log = folder / "log" / path.name
        if not log.is_file():
            raise FileNotFoundError(f"{path}: there is no log {log}. Expected {_EXPECTED}.")
        images[path] = _array(path, "X")
        own, left_out = _rows(path, log, images[path], preset.arguments["limit"])
        rows += own
        wide += left_out
    if not rows:
        raise ValueError(f"{folder}: no frame has an angle. Expected {_EXPECTED}.")
    notes = [
        f"{name}: {wide} frames at angles beyond {preset.arguments['limit']:g} degrees are left out."
    ] if wide else []  # fmt: skip

    def frames(part: Sequence[Row]) -> ArrayFrames:
        first, source = part[0].number or 0, images[part[0].path]  # without a gap
        return ArrayFrames(source.__getitem__, range(first, first + len(part)), crop, preset.input_shape[1:3])

    return drives_of_rows(name, rows, preset, 0.0, frames, settable=False), notes


def _rows(path: Path, log: Path, images: Any, limit: float) -> tuple[list[Row], int]:
    """(rows of a recording, number of those at larger angles)."""
    if len(images.shape) != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{path}: X must be (frames, 3, height, width) uint8. Received: {images.shape} {images.dtype}."
        )
    pointer, angle = (np.asarray(_array(log, key), "float64") for key in ("cam1_ptr", "steering_angle"))
    if len(pointer) != len(angle):
        raise ValueError(f"{log}: cam1_ptr has {len(pointer)} rows, steering_angle {len(angle)}.")
    bad = np.flatnonzero(~np.isfinite(angle))
    if len(bad):
        raise ValueError(f"{log}, row {bad[0]}: the angle must be a number. Received: {angle[bad[0]]}.")
    known = np.isfinite(pointer) & (pointer >= 0)
    pointer = pointer[known].astype(int)
    if len(pointer) and pointer.max() >= len(images):
        place = int(np.flatnonzero(known)[pointer.argmax()])
        raise ValueError(
            f"{log}, row {place}: points to frame {pointer.max()}, but {path} has {len(images)} frames. Camera and log "
            "are of different recordings, or one is not whole."
        )
    counts = np.bincount(pointer, minlength=len(images))
    mean = np.bincount(pointer, angle[known], len(images)) / np.maximum(counts, 1)
    seen = counts > 0
    rows = [
        Row(
            path,
            float(mean[frame]),
            f"{log}, frame {frame}",
            path.stem,
            "",
            frame / HERTZ,
            int(frame),
            f"frame {frame}",
        )
        for frame in np.flatnonzero(seen & (np.abs(mean) <= limit))
    ]
    return rows, int(np.sum(seen & (np.abs(mean) > limit)))


def _array(path: Path, key: str) -> Any:
    """An array of a file, which stays open."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: is no HDF5 file that can be read ({error}). Get it again.") from error
    if key not in file:
        raise ValueError(f"{path}: has no array {key!r}. It holds: {', '.join(file) or 'nothing'}.")
    return file[key]
