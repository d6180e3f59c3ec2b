"""Videos as training batches and as evaluation sequences: what every reader of videos gives.

A set of videos has `name`, `shape`, (time, height, width, channels) of a sequence, `file_names`, those that they are
from, `len(videos)`, `videos[index]`, `videos.about(index)` and `videos.batch(step, batch_size, seed)`; sequences are
float32 in [0, 1]. Readers are in `video_datasets`; `samples` cuts the sequences into what is observed and what is to be
predicted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scs_keras.training.samples import shuffled

SPLITS = ("train", "val", "test")


class Videos(Protocol):
    """Sequences of one shape, float32 in [0, 1]."""

    name: str
    shape: tuple[int, int, int, int]
    file_names: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...

    def about(self, index: int) -> dict[str, str]: ...

    def batch(self, step: int, batch_size: int, seed: int = 0) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Video:
    """Consecutive frames.

    Attributes:
        name: file or folder that they came from.
        length: number of frames.
        read: from (start, stop) to those frames, (stop - start, height, width, channels): uint8, or floating point in
            [0, 1]. Files may be read only now, so it raises ValueError for a broken one.
        change: how frames differ from those of the file, in words: what was cut out, made smaller, made grey; "".
    """

    name: str
    length: int
    read: Callable[[int, int], np.ndarray]
    change: str = ""

    @classmethod
    def of(cls, name: str, frames: np.ndarray) -> "Video":
        """A video of an array that is in memory, or mapped to it."""
        return cls(name, len(frames), lambda start, stop: frames[start:stop])


class VideoWindows:
    """Windows of consecutive frames out of videos.

    Args:
        name: of the data, for messages and tables.
        videos: where they lie in.
        windows: (index of the video, first frame) of each window.
        shape: (time, height, width, channels) of a window.
        file_names: names of those that the windows are from; None: those of the videos.
        notes: what of the files was changed or left out, sentences; see `described`.

    Raises:
        ValueError: there is no window, because no video has enough frames, or the frames have another size.
    """

    def __init__(
        self,
        name: str,
        videos: Sequence[Video],
        windows: Iterable[tuple[int, int]],
        shape: tuple[int, int, int, int],
        file_names: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ):
        self.name, self.videos, self.windows, self.shape = name, list(videos), list(windows), tuple(shape)
        if not self.windows:
            longest = max(self.videos, key=lambda video: video.length, default=None)
            found = f"the longest, {longest.name}, has {longest.length}" if longest else "no video"
            raise ValueError(
                f"{name}: too few frames. Needed: {shape[0]} consecutive frames in a video (observed and predicted "
                f"ones), found: {found}. Use longer videos, or a model that observes and predicts fewer frames."
            )
        seen = (self.videos[video].name for video, _ in self.windows)
        self.file_names = tuple(dict.fromkeys(seen) if file_names is None else file_names)
        self.notes = tuple(notes)
        self[0]  # frames of another size must show before training starts

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> np.ndarray:
        video, start = self.windows[index]
        frames = scaled(self.videos[video].read(start, start + self.shape[0]))
        check_size(f"{self.name}, {self.videos[video].name}", frames.shape, self.shape)
        return frames

    def about(self, index: int) -> dict[str, str]:
        video, start = self.windows[index]
        name = self.videos[video].name
        return dict(name=f"{name}, frame {start + 1}", group=name)

    def batch(self, step: int, batch_size: int, seed: int = 0) -> np.ndarray:
        """The batch of one training step, a function of seed and step: every window once, shuffled, then again."""
        return np.stack([self[index] for index in shuffled(len(self), step * batch_size, batch_size, seed)])


def described(name: str, videos: Sequence[Video], windows: Iterable[tuple[int, int]], length: int) -> list[str]:
    """What was changed in the videos that have windows of `length` frames, and what of them lies in no window."""
    starts: dict[int, list[int]] = {}
    for index, start in windows:
        starts.setdefault(index, []).append(start)
    changes: dict[str, list[str]] = {}
    for index in starts:
        if videos[index].change:
            changes.setdefault(videos[index].change, []).append(videos[index].name)
    notes = [f"{name}: {_some(names, len(starts))}: {change}." for change, names in changes.items()]
    left = {videos[index].name: videos[index].length - _covered(each, length) for index, each in starts.items()}
    if total := sum(left.values()):
        some = _some([name for name, count in left.items() if count], len(starts))
        notes.append(f"{name}: {total} frames lie in no window of {length} and are left out ({some}).")
    return notes


def _some(names, total):
    """Names for a note, the first of many."""
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return listed if len(names) == total == 1 else f"{len(names)} of {total} videos ({listed})"


def _covered(starts, length):
    """How many frames lie in windows of that length."""
    starts = np.sort(starts)
    return int(np.minimum(np.diff(starts), length).sum()) + length


def every(length: int, window: int, stride: int) -> range:
    """First frames of the windows in a video of `length` frames, one every `stride` frames."""
    return range(0, length - window + 1, stride)


def every_from_the_end(length: int, window: int, stride: int) -> range:
    """As `every`, but the last window ends with the video, and they come from last to first."""
    return range(length - window, -1, -stride)


def scaled(frames: np.ndarray) -> np.ndarray:
    """Frames as float32 in [0, 1]: uint8 divided by 255, floating point as it is."""
    return frames.astype("float32") / np.float32(255) if frames.dtype == np.uint8 else frames.astype("float32")


def checked_values(where: str, frames: np.ndarray) -> np.ndarray:
    """`frames`, if they are uint8 or floating point in [0, 1].

    Raises:
        ValueError: for another type, NaN or values out of range; `where` starts the message.
    """
    if frames.dtype == np.uint8:
        return frames
    if not np.issubdtype(frames.dtype, np.floating):
        raise ValueError(f"{where}: frames must be uint8 or floating point in [0, 1]. Received: {frames.dtype}.")
    low, high = (float(value) for value in (frames.min(initial=0), frames.max(initial=0)))
    if not (low >= 0 and high <= 1):  # also NaN
        raise ValueError(
            f"{where}: values of floating point must be in [0, 1]. Received: {low:g} to {high:g}. "
            "Scale them, for instance (x - x.min()) / (x.max() - x.min()), or save uint8 (0 to 255)."
        )
    return frames


def check_size(where: str, received: Sequence[int], shape: Sequence[int]) -> None:
    """Raises ValueError unless frames of shape `received`, (time, height, width, channels), have the shape `shape`."""
    if tuple(received) != tuple(shape):
        raise ValueError(
            f"{where}: frames must have the model's size, {describe(shape)}. Received: {describe(received)}. "
            "Resize them, or use a model for that size."
        )


def check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"The split must be one of {', '.join(SPLITS)}. Received: {split!r}.")


def describe(shape: Sequence[int]) -> str:
    """(time, height, width, channels) in words."""
    if len(shape) != 4:
        return f"shape {tuple(shape)}"
    return f"{shape[1]}x{shape[2]} (height x width) with {shape[3]} channel{'s' * (shape[3] != 1)}"
