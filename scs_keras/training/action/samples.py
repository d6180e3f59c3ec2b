"""Labelled clips of videos as samples: one label a clip, or one a frame."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.classes import balanced, class_weights
from scs_keras.training.data.clips import Broken, Footage, evenly, footage
from scs_keras.training.data.crops import drawn, larger, middle
from scs_keras.training.data.kept_clips import Kept
from scs_keras.training.data.threads import in_threads
from scs_keras.training.samples import shuffled
from scs_keras.zoo.words import words

CACHE_MB = 64
OFFSETS = (0.25, 0.75)  # in a frame's share of the time; frames of more offsets would have to be kept for training


@dataclass(frozen=True)
class Segment:
    """Frames `first` to `stop` (not among them; None: to the end) of one class, an index of the labels."""

    first: int
    stop: int | None
    label: int


@dataclass(frozen=True)
class Clip:
    """A part of a video that is one sample.

    Attributes:
        path: of the file.
        name: of the clip, for people.
        group: what it shares with related clips: source video, recording, person.
        first, stop: its frames, to the end of the video for None.
        segments: which classes its frames have.
    """

    path: Path
    name: str
    group: str
    segments: tuple[Segment, ...]
    first: int = 0
    stop: int | None = None

    def labels(self, frames: np.ndarray) -> np.ndarray:
        """The class of each frame, by index; -1 where it has none."""
        found = np.full(len(frames), -1, "int32")
        for each in self.segments:
            found[(frames >= each.first) & (frames < (np.inf if each.stop is None else each.stop))] = each.label
        return found


def left_out_with() -> str:
    """What to do about files that cannot be read."""
    return "leave them out with " + words("skip_broken=True", "--skip-broken", train="--set skip_broken=true")


@contextlib.contextmanager
def _broken_named():
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} Where several files are broken, {left_out_with()}.") from error


class ClipSamples:
    """Clips of videos, see `scs_keras.training.samples.Samples`.

    Frames of a video are uint8 RGB: made smaller (or larger) so that the side that is too short just fits, then the
    middle is cut out; training takes other parts, see `crops.drawn`. Thermal frames are float32 degrees C, as large as
    the preset's.

    A clip with one label gives frames evenly spaced over its time (training: with one of two offsets); a shorter one
    repeats its last frame. With labels by frame a clip is a window of consecutive frames (training: moved at random by
    up to half its length); beyond the end of the video the last frame is repeated, and weighs nothing.

    Args:
        name: of the data.
        clips: one each sample.
        labels: names of the classes, in the order of y.
        shape: (time, height, width, channels) of x.
        by_frame: whether each frame has a label.
        class_weight: see `class_weights`; in training only.
        balance: whether training shows all classes equally often.
        flip, jitter: see `crops.drawn`.
        cache_mb: so many MB of decoded small clips are kept for training.
        notes: what was changed or left out, sentences.
        left_out: (file, reason) of broken files that were left out.
        file_names: names of the files that the clips are from.
    """

    def __init__(
        self,
        name: str,
        clips: Sequence[Clip],
        labels: Sequence[str],
        shape: tuple[int, int, int, int],
        by_frame: bool = False,
        class_weight: Any = None,
        balance: bool = False,
        flip: bool = True,
        jitter: float = 0.1,
        cache_mb: float = CACHE_MB,
        notes: Sequence[str] = (),
        left_out: Sequence[Broken] = (),
        file_names: Sequence[str] = (),
    ):
        self.name, self.clips, self.labels, self.shape = name, list(clips), tuple(labels), tuple(shape)
        self.by_frame, self.flip, self.jitter = by_frame, flip, jitter
        self.notes, self.left_out = tuple(notes), tuple(left_out)
        self.file_names = tuple(file_names)
        counts, self._members = self._classes()
        self.class_weights = class_weights(class_weight, counts, self.labels)
        self.balance = balance
        if balance and class_weight:
            raise ValueError(
                "Rare classes are shown more often (balanced) or weigh more (class_weight), not both. "
                f"Received: balanced=True, class_weight={class_weight!r}."
            )
        self._kept = Kept(cache_mb * 1e6)
        self[0]  # frames of another size must show before training starts

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, y, weight): frames (time, height, width, channels); y int32 and weight float32, scalar or, with labels by
        frame, (time,): 0 for a frame without label."""
        clip = self.clips[index]
        found = footage(clip.path)
        frames, real = self._frames(clip, found)
        with _broken_named():
            x = middle(found.read(frames, self.shape[1:3]), self.shape[1:3])
        y, weight = self._target(clip, frames, real)
        return x, y, weight

    def about(self, index: int) -> Mapping[str, Any]:
        """name, group, label (by frame: of each frame, "" for none), path, and seconds: the time of each frame."""
        clip = self.clips[index]
        found = footage(clip.path)
        frames, real = self._frames(clip, found)
        names = [self.labels[each] if each >= 0 else "" for each in np.where(real, clip.labels(frames), -1)]
        return dict(
            name=clip.name,
            group=clip.group,
            label=tuple(names) if self.by_frame else self.labels[clip.segments[0].label],
            path=str(clip.path),
            seconds=found.seconds[frames],
        )

    def batch(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, y, weight) of a training step: (batch, time, height, width, channels), (batch,) or (batch, time), and
        weights with those of the classes. Every clip once, shuffled, then again; or balanced, see `classes.balanced`.
        """
        order = balanced(self._members, step * size, size, seed) if self.balance else None
        order = order or shuffled(len(self), step * size, size, seed)
        drawn_clips = in_threads(lambda place: self._drawn(order[place], (seed, step, place)), range(size))
        x, y, weight = (np.stack(parts) for parts in zip(*drawn_clips))
        return x, y, weight * self.class_weights[y]

    def _drawn(self, index, seed):
        random = np.random.default_rng(seed)
        clip, offset = self.clips[index], random.random()
        least = larger(self.shape[1:3]) if self.shape[-1] == 3 else self.shape[1:3]
        key = clip.path if self.by_frame else index
        with _broken_named():
            found = self._kept.footage(key, clip.path, lambda found: self._candidates(clip, found), least)
            frames, real = self._frames(clip, found, offset)
            decoded = found.read(frames, least)
        x = drawn(decoded, self.shape[1:3], random, self.flip, self.jitter)
        return x, *self._target(clip, frames, real)

    def _candidates(self, clip, found):
        """Ascending indices of all frames that training may take."""
        if self.by_frame:
            return np.arange(len(found.seconds))
        return np.unique([self._spread(clip, found, offset) for offset in OFFSETS])

    def _frames(self, clip: Clip, found: Footage, offset: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(indices of the frames of x, which of them are no repetitions beyond the end of the video)."""
        count, total = self.shape[0], len(found.seconds)
        if self.by_frame:
            first = clip.first
            if offset is not None:
                first = int(np.clip(first + round((offset - 0.5) * count), 0, max(total - count, 0)))
            frames = first + np.arange(count)
            return np.minimum(frames, total - 1), frames < total
        place = 0.5 if offset is None else OFFSETS[int(offset * len(OFFSETS))]
        return self._spread(clip, found, place), np.ones(count, bool)

    def _spread(self, clip, found, offset):
        stop = len(found.seconds) if clip.stop is None else clip.stop
        end = found.end if stop == len(found.seconds) else found.seconds[stop]
        return clip.first + evenly(found.seconds[clip.first : stop], end, self.shape[0], offset)

    def _target(self, clip, frames, real):
        """(y, weight) of a clip."""
        if not self.by_frame:
            return np.int32(clip.segments[0].label), np.float32(1)
        labels = np.where(real, clip.labels(frames), -1)
        return np.maximum(labels, 0).astype("int32"), (labels >= 0).astype("float32")

    def _classes(self):
        """(number of clips or frames of each class, indices of the clips of each class that has some)."""
        counts, members = np.zeros(len(self.labels)), [[] for _ in self.labels]
        for index, clip in enumerate(self.clips):
            if self.by_frame:
                labels = clip.labels(np.arange(clip.first, clip.first + self.shape[0]))
                here = np.bincount(labels[labels >= 0], minlength=len(self.labels))
            else:
                here = np.eye(len(self.labels))[clip.segments[0].label]
            counts += here
            for label in np.flatnonzero(here):
                members[label].append(index)
        return counts, [each for each in members if each]
