"""Frames of labelled videos, read when they are needed: only those that are asked for are decoded.

Frames are counted in the order in which they are shown, by the time stamps of the file's packets: what a file says of
its number of frames and its rate is not asked, because both are often wrong. So the rate may vary. Frames that lie far
on in a file are reached from the last key frame before them.
"""

import contextlib
import functools
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

VIDEOS = (
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".f4v", ".ogv", ".3gp", ".3g2",
    ".ts", ".mts", ".m2ts", ".vob", ".asf", ".y4m",
)  # fmt: skip
ARRAYS = (".npz",)
MICROSECONDS = 1_000_000  # in which a file says how long it lasts: a second, as `av.time_base`


class Footage(Protocol):
    """The frames of one file."""

    @property
    def seconds(self) -> np.ndarray:
        """float64 (frames,): when each frame is shown, ascending from 0."""
        ...

    @property
    def end(self) -> float:
        """When the last frame's time is over, in seconds."""
        ...

    def read(self, indices: Sequence[int] | np.ndarray, least: tuple[int, int]) -> np.ndarray:
        """Frames (len(indices), height, width, channels) of ascending indices, some perhaps several times.

        Args:
            indices: of frames.
            least: (height, width) that RGB frames are made to cover, their shape kept; those of degrees must have it.

        Raises:
            ValueError: the file is broken, or its frames have several sizes; the message names the file.
        """
        ...


def footage(path: Path) -> Footage:
    """The frames of a video file, or of a .npz file, see `ArrayFile`.

    Raises:
        ValueError: it is broken, has no frames, or is of another kind; the message names it.
        ImportError: PyAV is missing.
    """
    if path.suffix.lower() in ARRAYS:
        return _array_file(path, _version(path))
    if path.suffix.lower() in VIDEOS:
        return VideoFile(path)
    raise ValueError(f"{path}: files of this kind are not read. Expected {', '.join(VIDEOS + ARRAYS)}.")


def _version(path: Path) -> tuple[int, int] | None:
    """What changes with the file, so that nothing is remembered of one that was written anew; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


# Videos -------------------------------------------------------------------------------------------------------------


class VideoFile:
    """A video file, uint8 RGB frames, upright as players show it. See `Footage`; errors as `footage`."""

    def __init__(self, path: Path):
        self.path = path
        self._ticks, self._keys, unit, promised = _packets(path, _version(path))
        self.seconds = (self._ticks - self._ticks[0]) * unit
        self.end = _end(self.seconds)
        self.ends_early = self.end + 1 < 0.8 * promised  # it may be truncated; or only the promise is wrong

    def read(self, indices: Sequence[int] | np.ndarray, least: tuple[int, int]) -> np.ndarray:
        made, sizes, ticks = {}, set(), [int(self._ticks[index]) for index in indices]
        with reading(self.path):
            resized = _resizer()
            for tick, frame in _shown_at(self.path, sorted(set(ticks)), self._keys):
                sizes.add((frame.height, frame.width))
                if len(sizes) > 1:
                    raise ValueError(f"its frames have several sizes, {_sizes(sizes)} (height x width)")
                made[tick] = _upright(frame, least, resized)
        return np.stack([made[tick] for tick in ticks])


@functools.lru_cache(maxsize=64)
def _packets(path: Path, version: object) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(ticks of all frames, ticks of the key frames, seconds of a tick, seconds that the file says it lasts).

    Nothing is decoded where the packets have times.

    Raises:
        ValueError: the file cannot be read, or has no frames.
    """
    with reading(path), opened(path) as (container, stream):
        found = [each for each in container.demux(stream) if each.size and not each.is_discard]
        ticks = [each.pts for each in found]
        keys = [each.pts for each in found if each.is_keyframe]
        unit = float(stream.time_base or 1)
        rate = float(stream.average_rate or 25)
        promised = (container.duration or 0) / MICROSECONDS
    if None in ticks:
        with reading(path), opened(path) as (container, stream):
            ticks = [frame.pts for frame in container.decode(stream)]
            keys = ticks[:1]
        if None in ticks:  # a bare stream, without times
            ticks, keys, unit = list(range(len(ticks))), [0], 1 / rate
    if not ticks:
        raise ValueError(f"{path}: the video has no frames.")
    return np.unique(ticks), np.unique(keys or ticks[:1]), unit, promised


def _shown_at(path: Path, ticks: Sequence[int], keys: np.ndarray) -> Iterator[tuple[int, Any]]:
    """(tick, the frame that is shown then) for ascending ticks."""
    with opened(path) as (container, stream):
        frames, shown, coming, sought, ended = _counted(container.decode(stream)), None, None, False, False
        for number, tick in enumerate(ticks):
            key = keys[max(np.searchsorted(keys, tick, "right") - 1, 0)]
            if key > max(keys[0], shown[0] if shown else keys[0], coming[0] if coming else keys[0]) and not ended:
                container.seek(int(key), stream=stream)
                frames, shown, coming, sought = _counted(container.decode(stream)), None, None, True
            while not ended and (shown is None or shown[0] < tick) and (coming is None or coming[0] <= tick):
                shown = coming or shown
                coming = next(frames, None)
                ended = coming is None
                if coming and coming[0] == tick:
                    shown, coming = coming, None
            if shown is None and sought:  # the file's index was wrong: from its start on
                yield from _shown_at(path, ticks[number:], keys[:1])
                return
            found = shown or coming
            if found is None:
                raise ValueError("none of its frames can be decoded")
            yield tick, found[1]


def _counted(frames: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    """(tick, frame): where the file has no times, frames are counted."""
    for number, frame in enumerate(frames):
        yield (number if frame.pts is None else frame.pts), frame


def _resizer() -> Callable[[Any, int, int], np.ndarray]:
    """From a frame, width and height to RGB pixels; what it prepares for one size serves all frames of a file."""
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    given: dict[str, Any] = dict(format="rgb24", interpolation="BILINEAR")

    def resized(frame: Any, width: int, height: int) -> np.ndarray:
        try:  # one thread, as in decoding: files are read beside each other
            return reformatter.reformat(frame, width, height, **given, threads=1).to_ndarray()
        except TypeError:  # earlier versions of PyAV have none
            return reformatter.reformat(frame, width, height, **given).to_ndarray()

    return resized


def _upright(frame: Any, least: tuple[int, int], resized: Callable[[Any, int, int], np.ndarray]) -> np.ndarray:
    turned = round(frame.rotation / 90) % 4  # as a telephone noted it
    size = (frame.width, frame.height) if turned % 2 else (frame.height, frame.width)
    height, width = covering(size, least)
    if turned % 2:
        height, width = width, height
    return np.rot90(resized(frame, width, height), turned)


def covering(size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) nearest to the shape of `size` that covers `least`: the side that is too short just fits."""
    scale = max(least[0] / size[0], least[1] / size[1])
    return max(least[0], round(size[0] * scale)), max(least[1], round(size[1] * scale))


def _sizes(sizes: set[tuple[int, int]]) -> str:
    return ", ".join(f"{height}x{width}" for height, width in sorted(sizes))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """(container, its first video stream) of PyAV, decoded by one thread.

    Raises:
        ValueError: there is no video in it; and PyAV's own errors, see `reading`.
        ImportError: PyAV is missing.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('Video files need PyAV: pip install "scs-keras[video]"') from error
    # A tag in another encoding than UTF-8 says nothing of the frames.
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.video:
            raise ValueError("it has no pictures, only sound or text")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # clips are decoded beside each other
        yield container, stream


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Inside, what goes wrong is a ValueError that names the video."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # PyAV raises errors of its own, and those of Python, of which not all are OSError
        raise ValueError(f"{path}: cannot be read as a video ({error}). It may be truncated; get it again.") from error


def check_whole(path: Path) -> None:
    """Decodes every frame of a video file.

    Raises:
        ValueError: one of them is broken.
    """
    if path.suffix.lower() in VIDEOS:
        with reading(path), opened(path) as (container, stream):
            for _ in container.decode(stream):
                pass


# Arrays -------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _array_file(path: Path, version: object) -> "ArrayFile":
    """One after the other, all windows of a recording are scored."""
    return ArrayFile(path)


class ArrayFile:
    """Frames in a .npz file, read whole. See `Footage`.

    `thermal_centi_c`, (time, height, width) hundredths of a degree C, gives float32 degrees C with one channel;
    `frames`, (time, height, width, 3), gives uint8 RGB, resized as a video is. `seconds`, (time,), are their times;
    without it there are 25 frames a second.

    Raises:
        ValueError: the file is broken, or holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as archive:
                name = next((name for name in ("thermal_centi_c", "frames") if name in archive.files), None)
                if name is None:
                    raise ValueError(f"it holds {', '.join(archive.files) or 'nothing'}")
                frames = archive[name]
                seconds = archive["seconds"] if "seconds" in archive.files else np.arange(len(frames)) / 25
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{path}: cannot be read ({error}). Expected an array thermal_centi_c (time, height, width), in "
                "hundredths of a degree C, or frames (time, height, width, 3), uint8 RGB; and seconds (time,)."
            ) from error
        if name == "thermal_centi_c":
            frames = (frames.astype("float32") / 100)[..., None]
        colours = name == "frames"
        if frames.ndim != 4 or 0 in frames.shape or (colours and (frames.dtype != np.uint8 or frames.shape[-1] != 3)):
            raise ValueError(
                f"{path}: {name} must be (time, height, width{', 3), uint8' if colours else ')'}, with "
                f"at least one frame. Received: {frames.dtype} {frames.shape}."
            )
        if np.shape(seconds) != (len(frames),) or (np.diff(seconds) <= 0).any():
            raise ValueError(
                f"{path}: seconds must be ascending, one for each of the {len(frames)} frames. "
                f"Received: {np.shape(seconds)}."
            )
        self.frames = frames
        self.seconds = np.asarray(seconds, "float64") - float(seconds[0])
        self.end = _end(self.seconds)

    def read(self, indices: Sequence[int] | np.ndarray, least: tuple[int, int]) -> np.ndarray:
        if self.frames.dtype == np.uint8:
            return _resized(self.frames[list(indices)], covering(self.frames.shape[1:3], least))
        if self.frames.shape[1:3] != tuple(least):
            raise ValueError(
                f"{self.path}: frames must have the model's size, {least[0]}x{least[1]} (height x width). Received: "
                f"{self.frames.shape[1]}x{self.frames.shape[2]}."
            )
        return self.frames[list(indices)]


def _resized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """RGB frames (time, height, width, 3) at another (height, width), bilinear."""
    if frames.shape[1:3] == size:
        return frames
    from PIL import Image

    images = (Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BILINEAR) for frame in frames)
    return np.stack([np.asarray(image) for image in images])


def _end(seconds: np.ndarray) -> float:
    """When the time of the last frame is over: it lasts as long as most do."""
    return float(seconds[-1] + (np.median(np.diff(seconds)) if len(seconds) > 1 else 1))


# Which frames -------------------------------------------------------------------------------------------------------


def evenly(seconds: np.ndarray, end: float, count: int, offset: float = 0.5) -> np.ndarray:
    """Indices of `count` frames, evenly spaced in time; fewer frames than that are all taken, then the last repeated.

    Args:
        seconds: (frames,), when each frame is shown.
        end: when the last one's time is over.
        count: of frames.
        offset: in [0, 1): of a frame's share of the time, where in it the frame is taken.
    """
    if len(seconds) <= count:
        return np.minimum(np.arange(count), len(seconds) - 1)
    times = seconds[0] + (np.arange(count) + offset) * (end - seconds[0]) / count
    return np.searchsorted(seconds, times, "right") - 1


def frames_between(found: Footage, start: float, end: float) -> tuple[int, int]:
    """(first, stop) of the frames that are shown between two times in seconds, at least one."""
    first = max(int(np.searchsorted(found.seconds, start, "right")) - 1, 0)
    return first, max(int(np.searchsorted(found.seconds, end, "left")), first + 1)


class Broken(NamedTuple):
    """A file that cannot be read."""

    path: Path
    reason: str
