"""Reads radar rain sequences from npz files, one file per event.

A file holds
    rain          (time, height, width), uint16 in 0.01 mm/h, or floating point in mm/h
    valid         (height, width) bool, the pixels that have data in every frame
    times         (time,) int64, Unix seconds UTC, strictly regular
    step_minutes  the minutes between two frames
and may hold `km_per_pixel` and `source`. Whatever else it holds is not read. A folder needs nothing but such files; a
`split.json` beside them, {"train": [file names], "val": [file names]}, divides them by event.
"""

import functools
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scs_keras.training.data.folders import entries, named, warn_left_out
from scs_keras.zoo.radar_units import rain_to_scaled

_LAYOUT = (
    "one .npz file per event, with rain (time, height, width) uint16 in 0.01 mm/h, valid (height, width) bool, "
    "times (time,) int64 Unix seconds, and step_minutes. Radar composites that can be brought into this layout are "
    "public, e.g. https://github.com/pySTEPS/pysteps-data and https://meteonet.umr-cnrm.fr"
)
_REQUIRED = ("rain", "valid", "times", "step_minutes")
_BROKEN_FILE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@dataclass(frozen=True, eq=False)
class RadarEvent:
    """A rain sequence of one radar.

    Attributes:
        name: the file's name without `.npz`.
        rain_mm_h: float32 (time, height, width), mm/h, 0 at pixels that are not valid.
        valid: bool (height, width).
        times: int64 (time,), Unix seconds UTC.
        step_minutes: minutes between two frames.
        km_per_pixel: size of a pixel, None if the file does not say.
        source: where the data came from, "" if the file does not say.
    """

    name: str
    rain_mm_h: np.ndarray
    valid: np.ndarray
    times: np.ndarray
    step_minutes: float
    km_per_pixel: float | None = None
    source: str = ""

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """The frames as the models see them: float32 (time, height, width) in [0, 1], see `rain_to_scaled`."""
        return rain_to_scaled(self.rain_mm_h)


def read_event(path: str | Path) -> RadarEvent:
    """Reads one npz file of the layout above.

    `rain` of uint16 is taken as 0.01 mm/h, `rain` of a floating type as mm/h; no other type is accepted. Pixels that
    are not valid become 0, whatever the file holds there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken or does not follow the layout; the message names the file, and the frame if one
            is to blame.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_LAYOUT}.")
    content = _load(path)
    rain, valid = content["rain"], content["valid"]
    _check_shapes(path, content)
    step_minutes = content["step_minutes"].item()
    _check_times(path, content["times"], step_minutes)
    return RadarEvent(
        name=path.stem,
        rain_mm_h=_rain_mm_h(path, rain, valid.astype(bool)),
        valid=valid.astype(bool),
        times=content["times"].astype("int64"),
        step_minutes=step_minutes,
        km_per_pixel=content["km_per_pixel"].item() if "km_per_pixel" in content else None,
        source=str(content.get("source", "")),
    )


def read_events(folder: str | Path, split: str | None = None, exclude: Iterable[str] = ()) -> list[RadarEvent]:
    """Reads the events of a folder in the order of their file names, numbers as numbers.

    Without a split.json, what else lies there is named in a warning.

    Args:
        folder: holds the npz files; sub-folders are not read.
        split: None for all files, "train" or "val" for those that `split.json` lists under that name. Without a
            `split.json` all events are for training: "train" gives all, "val" an empty list.
        exclude: names of events (with or without `.npz`) to leave out.

    Raises:
        FileNotFoundError: the folder, its npz files or a file that `split.json` lists do not exist.
        ValueError: a file is broken (see `read_event`), or frames differ in size between the files.
    """
    folder = Path(folder)
    if split not in (None, "train", "val"):
        raise ValueError(f'split must be None, "train" or "val". Received: split={split!r}')
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected a folder with {_LAYOUT}.")
    found = entries(folder)
    paths = [path for path in found if path.suffix.lower() == ".npz" and path.is_file()]
    if not paths:
        raise FileNotFoundError(
            f"{folder}: the folder has no .npz file. Expected {_LAYOUT}. It holds: {named(found) or 'nothing'}."
        )
    if not (folder / "split.json").is_file():  # which says what is read
        warn_left_out(folder, [path for path in found if path not in paths], ".npz files, not those of sub-folders")
    excluded = {name.removesuffix(".npz") for name in exclude}
    paths = [path for path in _split(folder, paths, split) if path.stem not in excluded]
    events = [read_event(path) for path in paths]
    for event in events[1:]:
        if event.valid.shape != events[0].valid.shape:
            raise ValueError(
                f"{folder}: all events of a folder must have frames of one size. "
                f"Received: {events[0].name}.npz with {_size(events[0].valid)} and "
                f"{event.name}.npz with {_size(event.valid)} (height x width). "
                "Cut them to one size or put them into folders of their own."
            )
    return events


def _split(folder: Path, paths: list[Path], split: str | None) -> list[Path]:
    listing = folder / "split.json"
    if split is None:
        return paths
    if not listing.is_file():
        return paths if split == "train" else []
    try:
        names = json.loads(listing.read_text(encoding="utf-8"))[split]
        wanted = {str(name).removesuffix(".npz") for name in list(names)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{listing}: expected {{"train": [file names], "val": [file names]}}. Received something else ({error!r}). '
            "Correct the file, or delete it to use every event for training."
        ) from error
    missing = wanted - {path.stem for path in paths}
    if missing:
        raise FileNotFoundError(
            f"{listing}: lists files that are not in the folder: {', '.join(sorted(missing))} (.npz)."
        )
    return [path for path in paths if path.stem in wanted]


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
        raise ValueError(f"{path}: is not an npz file. Expected {_LAYOUT}.") from error
    missing = [name for name in _REQUIRED if name not in content]
    if missing:
        raise ValueError(
            f"{path}: {', '.join(missing)} not found. The file holds: {', '.join(names) or 'nothing'}. "
            f"Expected {_LAYOUT}."
        )
    return content


def _check_shapes(path: Path, content: dict[str, np.ndarray]) -> None:
    rain, valid, times = content["rain"], content["valid"], content["times"]
    if rain.ndim != 3 or 0 in rain.shape:
        raise ValueError(f"{path}: rain must be (time, height, width). Received: shape {rain.shape}.")
    if valid.shape != rain.shape[1:]:
        raise ValueError(
            f"{path}: valid must have the frames' size, {rain.shape[1]}x{rain.shape[2]}. Received: shape {valid.shape}."
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
    steps = np.diff(times.astype("int64"))
    wrong = np.flatnonzero(steps != round(60 * step_minutes))
    if wrong.size:
        frame = int(wrong[0])
        raise ValueError(
            f"{path}: the frames must follow each other every {step_minutes:g} min (step_minutes), without gaps. "
            f"Received: {steps[frame] / 60:g} min between frame {frame} and frame {frame + 1}. "
            "Cut the sequence at its gaps into files of their own."
        )


def _rain_mm_h(path: Path, rain: np.ndarray, valid: np.ndarray) -> np.ndarray:
    if rain.dtype.kind == "u" and rain.dtype.itemsize == 2:  # of either byte order
        rain_mm_h = rain.astype("float32") / np.float32(100)  # a division keeps 50 exactly 0.5
    elif np.issubdtype(rain.dtype, np.floating):
        rain_mm_h = rain.astype("float32")
    else:
        raise ValueError(f"{path}: rain must be uint16 (0.01 mm/h) or floating point (mm/h). Received: {rain.dtype}.")
    rain_mm_h = np.where(valid, rain_mm_h, np.float32(0))
    for wrong, what in ((~np.isfinite(rain_mm_h), "NaN or infinite"), (rain_mm_h < 0, "negative")):
        frames = np.flatnonzero(wrong.any(axis=(1, 2)))
        if frames.size:
            raise ValueError(
                f"{path}: rain must be finite and not negative at valid pixels. "
                f"Received: {int(wrong[frames[0]].sum())} {what} pixels in frame {frames[0]} "
                f"({frames.size} such frames). Set pixels without data to False in valid."
            )
    return rain_mm_h


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[0]}x{frame.shape[1]}"
