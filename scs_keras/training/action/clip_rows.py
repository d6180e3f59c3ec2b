"""From rows, a file with a label and a split each, to samples: what all readers of labelled videos end with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scs_keras.core.arguments import check_known, is_integer
from scs_keras.training.action.samples import Clip, ClipSamples, Segment, left_out_with
from scs_keras.training.data.classes import check_labels
from scs_keras.training.data.clips import Broken, Footage, check_whole, footage, frames_between
from scs_keras.training.data.groups import check_apart, folds_of
from scs_keras.training.data.threads import in_threads
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

SPLITS = ("train", "val", "test")
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled video, or a part of one.

    Attributes:
        path: of the file.
        name: of the file, for people.
        label: its class.
        split: "train", "val", "test", or "" where the data have no splits.
        group: what it shares with related rows.
        where: file and line where it is written, for messages.
        start, end: of the part, in frames (`end` is not among them), or in seconds; None: from the start, to the end.
        in_seconds: which of them.
    """

    path: Path
    name: str
    label: str
    split: str
    group: str
    where: str
    start: float | None = None
    end: float | None = None
    in_seconds: bool = False


def samples_of(
    name: str,
    rows: Sequence[Row],
    split: str,
    preset: Preset,
    labels: Sequence[str] | None = None,
    group: str = "",
    fold: int = 0,
    folds: int = 0,
    skip_broken: bool = False,
    balanced: bool = False,
    partial: bool = False,
    notes: Sequence[str] = (),
    **training: Any,
) -> ClipSamples:
    """Samples of the rows of a split.

    Args:
        name: of the data.
        rows: of all splits.
        split: "train", "val" or "test".
        preset: whose input shape, classes and output (one label a clip, or one a frame) the samples have.
        labels: all classes, in the order of y; None for those of the rows, by name.
        group: what rows of one group share, for messages: "source_url"; "" for the file.
        fold: 0 for the splits of the rows; else "val" are the rows of this fold, 1 to `folds`, "train" all others.
            Rows without splits have fold 1 for validation.
        folds: number of folds; no group is divided between two. 0 for 5.
        skip_broken: whether broken files are left out and listed; every frame is then decoded to find them.
        partial: whether some classes may have no clip to train on.
        balanced, **training: see `ClipSamples`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: bad rows or files; the message says where.
    """
    check_known("split", split, SPLITS)
    labels = check_labels(name, _classes(rows, labels), preset.labels)
    if fold == 0:
        check_apart(name, *zip(*((row.group, row.split, row.where) for row in rows)), group or "file")
    rows, said = _part(name, rows, split, fold, folds or FOLDS)
    by_frame = len(preset.output_shape) == 2
    videos, broken = _read_all(rows, preset.input_shape, skip_broken)
    if broken and not skip_broken:
        raise ValueError(_said_of(name, broken, rows))
    if by_frame:
        clips = [window for video in videos for window in _windows(video, labels, preset.input_shape[0])]
    else:
        clips = [_clip(span, labels) for video in videos for span in video.spans]
    if not clips:
        raise ValueError(f"{name}: no clip belongs to {option('split', split)}.")
    if split == "train" and not partial:
        _check_classes(name, clips, labels)
    notes = [*notes, *_notes(name, videos, broken)]
    name = f"{name} {split}{said}"
    shape = preset.input_shape
    files = dict.fromkeys(span.row.name for video in videos for span in video.spans)
    return ClipSamples(
        name, clips, labels, shape, by_frame, balance=balanced, notes=notes, left_out=broken, file_names=tuple(files),
        **training,
    )  # fmt: skip


def _classes(rows: Sequence[Row], labels: Sequence[str] | None) -> dict[str, str]:
    """{class: where it stands first} of all classes."""
    first = {row.label: row.where for row in reversed(rows)}
    return {label: first.get(label, "") for label in labels or sorted(first)}


def check_official(name: str, fold: int) -> int:
    """The number of one of three official splits, 1 for 0; ValueError for another."""
    if not is_integer(fold) or not 0 <= fold <= 3:
        raise ValueError(f"{name} has the official splits 1, 2 and 3. Received: {option('fold', fold)}.")
    return fold or 1


def _part(name: str, rows: Sequence[Row], split: str, fold: int, folds: int) -> tuple[list[Row], str]:
    """(the rows of a split, what the name says of how it was made)."""
    if not is_integer(fold) or not 0 <= fold <= folds:
        raise ValueError(f"{option('fold')} must be 1 to {folds} (`folds`), or 0 for none. Received: {fold}.")
    without = [row for row in rows if not row.split]
    if fold == 0 and not without:
        part, said = [row for row in rows if row.split == split], ""
        if not part:
            have = ", ".join(sorted({row.split for row in rows}))
            raise ValueError(f"{name}: no row belongs to {option('split', split)}. Its splits: {have}.")
        return part, said
    if fold == 0 and len(without) < len(rows):
        raise ValueError(f"{name}: some rows have a split, others none ({without[0].where}). Give each row one.")
    if split == "test":
        raise ValueError(f"{name}: folds have the parts train and val. Received: {option('split', split)}.")
    number = folds_of([row.group for row in rows], [row.label for row in rows], folds)
    held_out = number == (fold or 1)
    chosen = held_out if split == "val" else ~held_out
    return [row for row, taken in zip(rows, chosen) if taken], f", fold {fold or 1} of {folds}"


# Files --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Span:
    """Frames `first` to `stop` (None: to the end) with the row that says so."""

    row: Row
    first: int
    stop: int | None


@dataclass(frozen=True)
class _Video:
    """What is known of a file: the number of its frames, the rows' parts of it, whether it may be truncated."""

    path: Path
    frames: int
    spans: list[_Span]
    ends_early: bool


def _read_all(rows, shape, thorough) -> tuple[list[_Video], list[Broken]]:
    """(videos in the order of the rows, broken files); every file is opened, some threads at a time."""
    by_path: dict[Path, list[Row]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    for path, its_rows in by_path.items():
        if not path.is_file():
            raise FileNotFoundError(f"{its_rows[0].where}: there is no file {path}. Get it, or take the line out.")

    def read(path):
        try:
            found = footage(path)
            channels = found.read([0], shape[1:3]).shape[-1]
            if channels != shape[-1]:
                raise ValueError(f"frames have {channels} channels, those of the model {shape[-1]}")
            if thorough:
                check_whole(path)
        except ValueError as error:
            return Broken(path, str(error).removeprefix(f"{path}: "))
        spans = [_span(row, found) for row in by_path[path]]
        _check_overlaps(spans)
        return _Video(path, len(found.seconds), spans, getattr(found, "ends_early", False))

    read_files = in_threads(read, list(by_path))
    return [each for each in read_files if isinstance(each, _Video)], [
        each for each in read_files if isinstance(each, Broken)
    ]


def _span(row: Row, found: Footage) -> _Span:
    """The frames that a row speaks of.

    Raises:
        ValueError: they are not in the video.
    """
    if row.start is None and row.end is None:
        return _Span(row, 0, None)
    frames = len(found.seconds)
    last = found.end if row.in_seconds else frames
    start, end = row.start or 0, last if row.end is None else row.end
    rounding = 1.5 * (found.end - found.seconds[-1]) if row.in_seconds else 0
    if not 0 <= start < end <= last + rounding or start >= last:
        unit = "s" if row.in_seconds else "frames"
        raise ValueError(
            f"{row.where}: start {start:g} and end {end:g} are not inside {row.name}, which has {last:g} {unit}. "
            "Needed: 0 <= start < end <= its length."
        )
    first, stop = frames_between(found, start, end) if row.in_seconds else (int(start), int(end))
    return _Span(row, first, stop)


def _check_overlaps(spans: Sequence[_Span]) -> None:
    """Raises ValueError where two rows give frames different labels."""
    furthest: dict[str, tuple[float, _Span]] = {}  # of each label, where its frames end so far
    for span in sorted(spans, key=lambda span: span.first):
        for label, (stop, before) in furthest.items():
            if span.first < stop and label != span.row.label:
                raise ValueError(
                    f"{span.row.where}: frames of {span.row.name} are {span.row.label!r} here and {label!r} in "
                    f"{before.row.where}. Let parts of a video not overlap."
                )
        stop = float("inf") if span.stop is None else span.stop
        furthest[span.row.label] = max(furthest.get(span.row.label, (0, span)), (stop, span), key=lambda each: each[0])


def _notes(name: str, videos: Sequence[_Video], broken: Sequence[Broken]) -> list[str]:
    notes = [f"{name}: {len(broken)} broken files were left out."] if broken else []
    if early := [video.path.name for video in videos if video.ends_early]:
        some = ", ".join(early[:5]) + (", ..." if len(early) > 5 else "")
        notes.append(f"{name}: {len(early)} videos end long before they say ({some}); they may be truncated.")
    return notes


def _said_of(name: str, broken: Sequence[Broken], rows: Sequence[Row]) -> str:
    lines = {row.path: f"{row.where}: " for row in rows if row.where != row.name}  # of a folder there are none
    listed = "".join(f"\n  {lines.get(each.path, '')}{each.path}: {each.reason}" for each in broken[:10])
    more = f"\n  and {len(broken) - 10} more" if len(broken) > 10 else ""
    return f"{name}: {len(broken)} files cannot be used. Get them again, or {left_out_with()}.{listed}{more}"


# Clips --------------------------------------------------------------------------------------------------------------


def _clip(span: _Span, labels: Sequence[str]) -> Clip:
    row, part = span.row, "" if span.stop is None else f", frames {span.first + 1} to {span.stop}"
    segment = Segment(span.first, span.stop, labels.index(row.label))
    return Clip(row.path, f"{row.name}{part}", row.group, (segment,), span.first, span.stop)


def _windows(video: _Video, labels: Sequence[str], length: int) -> list[Clip]:
    """Windows of frames beside each other, those with a label of all from the video's first frame on, as `predict` has
    them: a model that remembers says of each frame what it says there."""
    spans = [replace(span, stop=video.frames if span.stop is None else span.stop) for span in video.spans]
    segments = tuple(Segment(span.first, span.stop, labels.index(span.row.label)) for span in spans)
    row, windows = spans[0].row, []
    for first in range(0, max(each.stop for each in segments), length):
        if any(each.first < first + length and each.stop > first for each in segments):
            windows.append(Clip(row.path, f"{row.name}, frame {first + 1}", row.group, segments, first, first + length))
    return windows


def _check_classes(name: str, clips: Sequence[Clip], labels: Sequence[str]) -> None:
    """Raises ValueError for a class without a clip to learn from."""
    seen = {segment.label for clip in clips for segment in clip.segments}
    empty = [label for index, label in enumerate(labels) if index not in seen]
    if empty:
        raise ValueError(f"{name}: no clip to train on has the class {', '.join(empty)}. Add some, or leave it out.")
