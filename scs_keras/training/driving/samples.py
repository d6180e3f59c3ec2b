"""Windows of drives as samples: frames up to now, and the angle of the wheel now."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.core.arguments import is_integer
from scs_keras.training.data.classes import balanced as balanced_draw
from scs_keras.training.data.threads import in_threads
from scs_keras.training.driving.drives import Drive
from scs_keras.training.samples import shuffled
from scs_keras.zoo.words import option

BEFORE = 6  # so models of 1, 3 and 7 frames are scored on the same frames
CACHE_MB = 512
BINS = 9  # of angles that balanced batches show equally often
BRIGHTNESS = 255


class DrivingSamples:
    """Windows of consecutive frames, see `scs_keras.training.samples.Samples`; none crosses a gap, a recording or a
    split, and none holds an angle.

    Args:
        name: of the data.
        drives: where they are from.
        shape: (time, height, width, channels) of x.
        before: only frames with so many before them in their drive are scored, whatever the length of a window.
        per_frame: whether each frame of a window has its angle as target; else the last.
        balanced: whether training shows all angles, in nine ranges from the least to the largest, equally often.
        flip: whether half of the training windows are mirror images, with the angle negated.
        jitter: largest change of brightness and contrast in training.
        cache_mb: so many MB of frames stay in memory at the model's size.
        notes: what was left out, sentences.

    Raises:
        ValueError: a window or `before` leaves no frame.
    """

    labels: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        drives: Sequence[Drive],
        shape: tuple[int, ...],
        before: int = BEFORE,
        per_frame: bool = False,
        balanced: bool = False,
        flip: bool = True,
        jitter: float = 0.2,
        cache_mb: float = CACHE_MB,
        notes: Sequence[str] = (),
    ):
        if not is_integer(before) or before < 0:
            raise ValueError(f"{option('before')} is a number of frames, at least 0. Received: {before!r}.")
        self.name, self.drives, self.shape, self.per_frame = name, list(drives), tuple(shape), per_frame
        self.flip, self.jitter, self.notes = flip, jitter, tuple(notes)
        self._trained = self._ends(self.shape[0] - 1)
        self._scored = self._ends(max(self.shape[0] - 1, before))
        if not self._scored:
            longest = max((len(drive.frames) for drive in self.drives), default=0)
            raise ValueError(
                f"{name}: no frame has {max(self.shape[0] - 1, before)} frames before it; the longest drive without a "
                f"gap has {longest} frames. Take a model of fewer frames, or {option('before', 0)}."
            )
        self._members = self._ranges() if balanced else None
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._room, self._lock = cache_mb * 1e6, threading.Lock()
        self[0]  # frames that cannot be read must show before training starts

    def _ends(self, before):
        return [(place, end) for place, drive in enumerate(self.drives) for end in range(before, len(drive.frames))]

    def _ranges(self):
        angles = np.array([self.drives[place].degrees[end] for place, end in self._trained])
        edges = np.linspace(angles.min(), angles.max(), BINS + 1)[1:-1]
        bins = np.digitize(angles, edges)
        return [np.flatnonzero(bins == each).tolist() for each in np.unique(bins)]

    @property
    def file_names(self) -> tuple[str, ...]:
        """The recordings, with the places of the frames that are here."""
        return tuple(
            f"{drive.name}, frames {drive.first + 1} to {drive.first + len(drive.frames)}" for drive in self.drives
        )

    def __len__(self) -> int:
        return len(self._scored)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, None]:
        """(x, y, None): frames (time, height, width, channels) uint8; the angle at the last, degrees, float32 (1,), or
        those at all, (time, 1)."""
        place, end = self._scored[index]
        return self.window(index, self.shape[0]), self._angles(place, end), None

    def window(self, index: int, length: int) -> np.ndarray:
        """The frame of a sample and those before it, `length` in all; the first of a drive stands for missing ones."""
        return self._window(*self._scored[index], length)

    def about(self, index: int) -> Mapping[str, Any]:
        """name, group (its drive), index, frame (its place in the drive), degrees, road ("" where it is not known),
        seconds (None where it is not known)."""
        place, end = self._scored[index]
        drive = self.drives[place]
        name = drive.names[end] if drive.names else f"frame {drive.first + end + 1}"
        return dict(
            name=f"{drive.name}, {name}",
            group=f"{drive.name}, from frame {drive.first + 1}",
            index=index,
            frame=end,
            degrees=float(drive.degrees[end]),
            road=drive.roads[end] if drive.roads else "",
            seconds=drive.seconds[end] if len(drive.seconds) else None,
        )

    def batch(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of a training step: (batch, time, height, width, channels) uint8, and (batch, 1) or (batch, time, 1)
        float32 degrees. Every window once, shuffled, then again; or balanced, see `classes.balanced`."""
        if self._members is None:
            order = shuffled(len(self._trained), step * size, size, seed)
        else:
            order = balanced_draw(self._members, step * size, size, seed)
        made = in_threads(lambda turn: self._drawn(order[turn], (seed, step, turn)), range(size))
        x, y = (np.stack(parts) for parts in zip(*made))
        return x, y

    def _drawn(self, index, seed):
        (place, end), random = self._trained[index], np.random.default_rng(seed)
        mirrored, (brightness, contrast) = random.random() < 0.5, 1 + self.jitter * random.uniform(-1, 1, 2)
        x, y = self._window(place, end, self.shape[0]), self._angles(place, end)
        if self.jitter:
            pixels = x.astype("float32") * np.float32(brightness)
            pixels = pixels * np.float32(contrast) + pixels.mean() * np.float32(1 - contrast)
            x = np.clip(np.rint(pixels), 0, BRIGHTNESS).astype("uint8")
        return (x[:, :, ::-1], -y) if self.flip and mirrored else (x, y)

    def _angles(self, place, end):
        degrees = self.drives[place].degrees[: end + 1].astype("float32")
        return degrees[-self.shape[0] :, None] if self.per_frame else degrees[-1:]

    def _window(self, place, end, length):
        return np.stack([self._frame(place, max(index, 0)) for index in range(end + 1 - length, end + 1)])

    def _frame(self, place, index):
        kept = self._kept.get((place, index))
        if kept is not None:
            return kept
        frame = np.asarray(self.drives[place].frames[index])
        with self._lock:
            if frame.nbytes <= self._room:
                self._room -= frame.nbytes
                self._kept[place, index] = frame
        return frame
