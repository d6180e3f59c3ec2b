"""Times of radar images: those that file names tell, and regular ones."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from scs_keras.training.data.radar_fill import REACH

TOLERANCE = 0.1  # of the step between two images

_STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_.T ]?(\d\d)[-_.:hH]?(\d\d)(?:[-_.:mM]?(\d\d))?(?!\d)"
)
_UNIX = re.compile(r"(?<!\d)(1\d{9})(?:\d{3})?(?!\d)")  # seconds, or milliseconds
_DAY_OF_YEAR = re.compile(r"(?<!\d)(\d\d)(\d{3})(\d\d)(\d\d)(?!\d)")  # of MeteoSwiss


def clock(seconds: float) -> str:
    """Unix seconds as 2016-08-28 12:05."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M}"


def time_of_name(path: str | Path) -> int:
    """Unix seconds UTC that the file's name tells.

    Read are YYYYMMDDHHMM and YYYYMMDDHHMMSS, with - _ . : T or nothing between the parts, Unix seconds or milliseconds,
    and YYJJJHHMM (JJJ the day of the year).

    Raises:
        ValueError: it tells none.
    """
    name = Path(path).name
    for pattern, made in ((_STAMP, _of_stamp), (_UNIX, _of_unix), (_DAY_OF_YEAR, _of_day)):
        for found in pattern.finditer(name):
            try:
                return made(*found.groups())
            except ValueError:
                continue
    raise ValueError(
        f"{path}: neither the file nor its name says the time of the image. Name it for example "
        f"radar_202408261205{Path(path).suffix} (UTC)."
    )


def _of_stamp(*parts):
    return int(datetime(*(int(part or 0) for part in parts), tzinfo=UTC).timestamp())


def _of_unix(seconds):
    return int(seconds)


def _of_day(year, day, hour, minute):
    if not (1 <= int(day) <= 366 and int(hour) < 24 and int(minute) < 60):
        raise ValueError
    days = timedelta(days=int(day) - 1, hours=int(hour), minutes=int(minute))
    return int((datetime(2000 + int(year), 1, 1, tzinfo=UTC) + days).timestamp())


def step_of(times: np.ndarray, where: str) -> float:
    """Minutes from one image to the next: the median, in whole minutes where it is within a tenth of them.

    Raises:
        ValueError: for fewer than two images.
    """
    if len(times) < 2:
        raise ValueError(
            f"{where}: holds one image, of {clock(times[0])}. An event needs several: put the files of one event, one "
            "image each, into a folder of their own and give that."
        )
    minutes = float(np.median(np.diff(times))) / 60
    whole = round(minutes)
    return float(whole) if whole and abs(minutes - whole) <= TOLERANCE * minutes else minutes


def regular(times: np.ndarray, step_minutes: float, where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """(regular times, the places of the images among them, the most seconds that a time was off).

    Between two images at most two may be missing.

    Raises:
        ValueError: a time is off by more than a tenth of the step, or there is a gap.
    """
    step, times = 60 * step_minutes, times.astype("int64")
    slots = np.round((times - times[0]) / step).astype(int)
    off = times - times[0] - slots * step
    start = np.round(np.median(off))
    far = np.abs(off - start) > TOLERANCE * step
    jumps = np.diff(slots)
    wrong = np.flatnonzero((jumps < 1) | (jumps > REACH + 1) | far[1:] | far[:-1])
    if wrong.size:
        frame = int(wrong[0])
        raise ValueError(
            f"{where}: the frames must follow each other every {step_minutes:g} min (step_minutes) within a tenth of "
            f"it, without gaps of more than {REACH} frames. Received: {(times[frame + 1] - times[frame]) / 60:g} min "
            f"between frame {frame} and frame {frame + 1}. Cut the sequence at its gaps into files of their own."
        )
    made = np.round(times[0] + start + step * np.arange(slots[-1] + 1)).astype("int64")
    return made, slots, float(np.abs(times - made[slots]).max())
