"""Reads radar rain sequences from npz files, one file per event.

A file holds
    rain          (time, height, width), uint16 in 0.01 mm/h (65535: no data), or floating point in mm/h
    valid         (height, width) bool, the pixels that have data in every frame, or (time, height, width)
    times         (time,) int64, Unix seconds UTC, regular
    step_minutes  the minutes between two frames
and may hold `km_per_pixel` and `source`. Whatever else it holds is not read.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from scs_keras.training.data.radar_event import Images
from scs_keras.training.data.radar_quantity import Reading, without_largest

LAYOUT = (
    "rain (time, height, width) uint16 in 0.01 mm/h, valid (height, width) bool, "
    "times (time,) int64 Unix seconds, and step_minutes. Radar composites that can be brought into this layout are "
    "public, e.g. https://github.com/pySTEPS/pysteps-data and https://meteonet.umr-cnrm.fr"
)
_REQUIRED = ("rain", "valid", "times", "step_minutes")
_BROKEN_FILE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def read(path: Path, reading: Reading) -> Images:
    """The images of an npz file, whose layout says the unit: what the user says of it is not used, which is noted.

    Raises:
        ValueError: the file is broken or does not follow the layout; the message names the file, and the frame if one
            is to blame.
    """
    content = _load(path)
    _check_shapes(path, content)
    step_minutes = content["step_minutes"].item()
    _check_times(path, content["times"], step_minutes)
    valid = np.broadcast_to(content["valid"].astype(bool), content["rain"].shape)
    rain, notes = _rain_mm_h(path, content["rain"], valid)
    if reading != Reading():
        notes.append("An npz event holds rain in mm/h: Z-R, unit and variable are not used.")
    return Images(
        rain=rain,
        times=content["times"].astype("int64"),
        step_minutes=step_minutes,
        km_per_pixel=content["km_per_pixel"].item() if "km_per_pixel" in content else None,
        source=str(content.get("source", "")),
        notes=notes,
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the file, read to the end, so that a truncated file is noticed here."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            content = {name: archive[name] for name in (*_REQUIRED, "km_per_pixel", "source") if name in names}
    except _BROKEN_FILE as error:
        raise ValueError(
            f"{path}: cannot be read as an npz file of plain arrays ({error}). It may be truncated or hold "
            "frames of different size; get or write it again."
        ) from error
    except (AttributeError, TypeError) as error:  # a bare .npy array under an .npz name has no files
        raise ValueError(f"{path}: is not an npz file. Expected {LAYOUT}.") from error
    missing = [name for name in _REQUIRED if name not in content]
    if missing:
        raise ValueError(
            f"{path}: {', '.join(missing)} not found. The file holds: {', '.join(names) or 'nothing'}. "
            f"Expected {LAYOUT}."
        )
    return content


def _check_shapes(path: Path, content: dict[str, np.ndarray]) -> None:
    rain, valid, times = content["rain"], content["valid"], content["times"]
    if rain.ndim != 3 or 0 in rain.shape:
        raise ValueError(f"{path}: rain must be (time, height, width). Received: shape {rain.shape}.")
    if valid.shape not in (rain.shape, rain.shape[1:]):
        raise ValueError(
            f"{path}: valid must have the frames' size, {rain.shape[1]}x{rain.shape[2]}, or be (time, height, width). "
            f"Received: shape {valid.shape}."
        )
    if valid.dtype != bool and not np.isin(valid, (0, 1)).all():
        raise ValueError(f"{path}: valid must be bool (or 0 and 1). Received: {valid.dtype} with other values.")
    if times.shape != rain.shape[:1]:
        raise ValueError(f"{path}: times must have one entry per frame, ({len(rain)},). Received: shape {times.shape}.")
    for name in ("step_minutes", "km_per_pixel"):
        value = content.get(name, np.zeros(()))
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise ValueError(f"{path}: {name} must be one number. Received: {value.dtype} of shape {value.shape}.")


def _check_times(path: Path, times: np.ndarray, step_minutes: float) -> None:
    if not np.issubdtype(times.dtype, np.integer):
        raise ValueError(f"{path}: times must be whole Unix seconds (int64). Received: {times.dtype}.")
    if not step_minutes > 0:
        raise ValueError(f"{path}: step_minutes must be above 0. Received: {step_minutes}.")


def _rain_mm_h(path: Path, rain: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(mm/h, NaN where nothing is measured; notes)."""
    notes = []
    if rain.dtype.kind == "u" and rain.dtype.itemsize == 2:  # of either byte order
        largest = without_largest(rain) & valid
        if largest.any():
            notes.append(f"65535 in rain is taken as no data: {int(largest.sum())} pixels.")
        valid = valid & ~largest
        rain_mm_h = rain.astype("float32") / np.float32(100)  # a division keeps 50 exactly 0.5
    elif np.issubdtype(rain.dtype, np.floating):
        rain_mm_h = rain.astype("float32")
    else:
        raise ValueError(
            f"{path}: rain must be uint16 (0.01 mm/h) or floating point (mm/h). Received: {rain.dtype}. Write mm/h as "
            'rain.astype("float32").'
        )
    for wrong, what in ((~np.isfinite(rain_mm_h), "NaN or infinite"), (rain_mm_h < 0, "negative")):
        frames = np.flatnonzero((wrong & valid).any(axis=(1, 2)))
        if frames.size:
            raise ValueError(
                f"{path}: rain must be finite and not negative at valid pixels. "
                f"Received: {int((wrong & valid)[frames[0]].sum())} {what} pixels in frame {frames[0]} "
                f"({frames.size} such frames). Set pixels without data to False in valid."
            )
    return np.where(valid, rain_mm_h, np.float32(np.nan)), notes
