"""From rows, a frame with the angle of the wheel each, to drives: what all readers of image files end with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.core.arguments import check_known
from scs_keras.training.driving.images import Frames, ImageFiles, as_crop, check_images
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option, words

SPLITS = ("train", "val", "test")
LONGEST_STEP_S = 1.0  # between frames that follow each other
OF_MEDIAN = 4.0  # or so many times the usual step, of slow cameras
TENTHS, HELD_OUT = 10, (4, 9)  # of a recording, or of all recordings: the fifth and the tenth are for validation


@dataclass(frozen=True, slots=True)
class Row:
    """A frame.

    Attributes:
        path: of the image, or of the file that it is in.
        value: the angle as it is written.
        where: file and line, for messages.
        recording: what it belongs to.
        split: "train", "val", "test", or "" where the data have no splits.
        seconds: of its clock; None for no clock.
        number: in its recording, where some may be missing; None where none are.
        name: of the frame; "" for the file's.
    """

    path: Path
    value: float
    where: str
    recording: str
    split: str = ""
    seconds: float | None = None
    number: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Drive:
    """Consecutive frames of one recording and one part of the split, without a gap.

    Attributes:
        name: of the recording.
        frames: see `Frames`, or an array (frames, height, width, 3) uint8.
        degrees: angle of the wheel at each frame, (frames,).
        split: "train", "val", "test" or "".
        first: the place of its first frame in the recording.
        names: of the frames, for tables; () where they have none.
        seconds: of each frame; () where it is not known.
        roads: what road there is at each frame; () where it is not known.
    """

    name: str
    frames: Frames
    degrees: np.ndarray
    split: str = ""
    first: int = 0
    names: Sequence[str] = ()
    seconds: Sequence[float] = ()
    roads: Sequence[str] = field(default=())


def number(text: str, where: str, what: str = "the angle") -> float:
    """A finite number in a table.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{where}: {what} must be a number. Received: {text!r}. Correct it, or take the line out.")
    return value


def in_degrees(
    values: np.ndarray, lines: Sequence[str], full_scale: float, limit: float, settable: bool = True
) -> np.ndarray:
    """Angles in degrees.

    Args:
        values: as they are written.
        lines: where each is.
        full_scale: degrees that 1 stands for; 0 where the values are degrees.
        limit: largest angle of the model.
        settable: whether the data set has an option `full_scale`.

    Raises:
        ValueError: an angle is outside of the range, or the unit looks wrong.
    """
    if full_scale < 0:
        raise ValueError(f"{option('full_scale')} is the angle that 1 stands for, degrees. Received: {full_scale}.")
    if full_scale and np.abs(values).max() > 1:
        place = int(np.argmax(np.abs(values) > 1))
        raise ValueError(
            f"{lines[place]}: the angle must be between -1 and 1, which stands for {full_scale:g} degrees. Received: "
            f"{values[place]:g}. If angles are degrees: {_given('full_scale', 0)}."
        )
    if not full_scale and settable and 0 < np.abs(values).max() <= 1:
        raise ValueError(
            f"{lines[0]}: angles are taken as degrees, but all are between -1 and 1, as shares of the largest are. Say "
            f"how many degrees 1 stands for, {_given('full_scale', 25)}; if they are degrees: "
            f"{_given('full_scale', 1)}."
        )
    degrees = values * (full_scale or 1.0)
    if np.abs(degrees).max() > limit:
        place = int(np.argmax(np.abs(degrees) > limit))
        raise ValueError(
            f"{lines[place]}: an angle of {degrees[place]:g} degrees; the model's are at most {limit:g}. Correct it, "
            f"or make a model of larger ones: {words('', '--set model.')}limit={np.ceil(np.abs(degrees).max()):g}."
        )
    return degrees


def _given(name, value):
    return words(f"{name}={value}", f"--{name.replace('_', '-')} {value}", train=f"--set {name}={value}")


def image_drives(
    name: str, rows: Sequence[Row], preset: Preset, full_scale: float, crop: Any, settable: bool = True
) -> list[Drive]:
    """`drives_of_rows` of rows whose paths are images.

    Args:
        name, rows, preset, full_scale, settable: as there.
        crop: as for `as_crop`.

    Raises:
        FileNotFoundError: an image is missing.
        ValueError: bad rows or images; the message says where.
    """
    crop, size = as_crop(crop), preset.input_shape[1:3]
    check_images([row.path for row in rows], [row.where for row in rows])

    def frames(part: Sequence[Row]) -> Frames:
        return ImageFiles([row.path for row in part], [row.where for row in part], crop, size)

    return drives_of_rows(name, rows, preset, full_scale, frames, settable)


def drives_of_rows(
    name: str,
    rows: Sequence[Row],
    preset: Preset,
    full_scale: float,
    frames: Callable[[Sequence[Row]], Frames],
    settable: bool = True,
) -> list[Drive]:
    """All drives of the rows, which are in the order of time in each recording; for their splits see `with_splits`.

    Args:
        name: of the data.
        rows: of all splits, at least one.
        preset: whose size and largest angle hold.
        full_scale, settable: as in `in_degrees`.
        frames: function of rows that follow each other to their frames.

    Raises:
        ValueError: bad rows; the message says where.
    """
    lines, values = [row.where for row in rows], np.array([row.value for row in rows])
    degrees = in_degrees(values, lines, full_scale, preset.arguments["limit"], settable)
    rows, drives = with_splits(name, rows), []
    begins: dict[str, int] = {}
    for first, stop in _stretches(rows):
        part = rows[first:stop]
        seconds = [row.seconds for row in part if row.seconds is not None]
        drives.append(
            Drive(
                name=part[0].recording or name,
                frames=frames(part),
                degrees=degrees[first:stop],
                split=part[0].split,
                first=first - begins.setdefault(part[0].recording, first),
                names=[row.name or row.path.name for row in part],
                seconds=seconds if len(seconds) == len(part) else (),
            )
        )
    return drives


def with_splits(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows, each with a split.

    Where they have none, the fifth and the tenth of ten recordings are for validation; of fewer than five recordings,
    the fifth and the tenth tenth of each.

    Raises:
        ValueError: some have one, others none.
    """
    without = [row for row in rows if not row.split]
    if not without:
        return list(rows)
    if len(without) < len(rows):
        raise ValueError(f"{name}: some frames have a split, others none ({without[0].where}). Give each frame one.")
    recordings: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        recordings.setdefault(row.recording, []).append(place)
    split = [""] * len(rows)
    for count, places in enumerate(recordings.values()):
        for turn, place in enumerate(places):
            tenth = count % TENTHS if len(recordings) >= TENTHS // 2 else turn * TENTHS // len(places)
            split[place] = "val" if tenth in HELD_OUT else "train"
    return [replace(row, split=part) for row, part in zip(rows, split)]


def _stretches(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """(first, stop) of the rows that follow each other without a gap."""
    steps = [
        after.seconds - before.seconds
        for before, after in zip(rows, rows[1:])
        if before.recording == after.recording and before.seconds is not None and after.seconds is not None
    ]
    longest = max(LONGEST_STEP_S, OF_MEDIAN * float(np.median(steps))) if steps else np.inf
    first = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or _is_gap(rows[place - 1], rows[place], longest):
            yield first, place
            first = place


def _is_gap(before: Row, after: Row, longest: float) -> bool:
    if (before.recording, before.split) != (after.recording, after.split):
        return True
    if before.number is not None and after.number is not None and after.number != before.number + 1:
        return True
    if before.seconds is None or after.seconds is None:
        return False
    return not 0 <= after.seconds - before.seconds <= longest


def of_split(name: str, drives: Sequence[Drive], split: str) -> list[Drive]:
    """Those of a part.

    Raises:
        ValueError: there are none, or the part is unknown.
    """
    check_known("split", split, SPLITS)
    chosen = [drive for drive in drives if drive.split == split]
    if not chosen:
        have = ", ".join(sorted({drive.split for drive in drives}))
        raise ValueError(f"{name}: no frame belongs to {option('split', split)}. Its splits: {have}.")
    return chosen
