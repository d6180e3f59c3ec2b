"""Radar events as videos, so that video models train on them with the same recipe: reflectivity / 70 dBZ in [0, 1].

Training sequences are random crops of the model's frame size, wet ones preferred, flipped and varied as for
precipitation models; validation sequences are tiles of that size that have data everywhere, side by side from the upper
left. For a prediction it is one such tile of one event.
"""

from dataclasses import replace

from scs_keras.training.data.radar import Augmentation, RadarSequences, Reading, notes_of_files, read_events
from scs_keras.training.video_prediction.video import Video, VideoWindows, check_split, described, every, scaled
from scs_keras.zoo.words import option, words


def read(folder, split, shape, stride=None, observed=1, **reading):
    """Sequences of radar events.

    Args:
        folder: of events, see `radar_files`.
        split: "train" or "val", as the folder's split.json says.
        shape: (time, side, side, 1) of a sequence.
        stride: "val": a window every so many frames; None: windows do not overlap.
        observed: how many frames of a sequence are observed.
        **reading: what the user says of the files, see `Reading`.

    Raises:
        FileNotFoundError: there is no such folder, or no event in it.
        ValueError: an event is broken or too short, frames are smaller than the model's, the split has no events.
    """
    check_split(split)
    length, height, width, channels = shape
    if channels != 1 or height != width:
        raise ValueError(f"radar gives square frames with 1 channel. Received: a model of {height}x{width}x{channels}.")
    events = [] if split == "test" else read_events(folder, split, reading=Reading(**reading))
    if not events:
        raise ValueError(
            f"{folder}: no radar event belongs to the split {split!r}. "
            + words(
                f"Use {option('split', 'val')}, and list some in split.json.",
                train=f'List some under "{split}" in split.json.',
            )
        )
    if split == "train":
        return RadarCrops(RadarSequences(events, observed, length - observed), height)
    return _tiles(events, shape, stride or length)


class RadarCrops:
    """Random crops of events; `batch` and the sequences by index are functions of seed and step, or of the index.

    Args:
        sequences: of the events.
        side: of a crop.
        augmentation: what is varied.
    """

    name = "radar"

    def __init__(self, sequences, side, augmentation=Augmentation(temporal_strides=(1,))):
        self.sequences, self.augmentation = sequences, augmentation
        self.shape, self.file_names = (sequences.length, side, side, 1), _files(sequences.events)
        self.notes = said_of(sequences.events)
        self.batch(0, 1)  # images that are too small must show before training starts

    def __len__(self):
        return len(self.sequences.windows)

    def __getitem__(self, index):
        return self.batch(index, 1)[0]

    def about(self, index):
        return dict(name=f"crop {index + 1}", group=self.name)

    def batch(self, step, batch_size, seed=0):
        """float32 (batch, time, side, side, 1) in [0, 1]; pixels without data are 0."""
        return self.sequences.crops(step, batch_size, seed, self.shape[1], self.augmentation)[0]


def _tiles(events, shape, stride):
    length, side = shape[:2]
    videos, windows = [], []
    for event in events:
        for area in whole_squares(event, side):
            videos.append(_tile(event, area))
            windows += [(len(videos) - 1, start) for start in every(len(event.times), length, stride)]
    pixels, taken = sum(int(event.valid.sum()) for event in events), len(videos) * side * side
    notes = []
    if taken < pixels:
        squares = f"squares of {side}x{side}, side by side from the upper left, that have data everywhere"
        notes.append(f"radar: {taken / pixels:.0%} of the pixels with data are in the {squares}; the rest is left out.")
    notes += [*described("radar", videos, windows, length), *said_of(events)]
    return VideoWindows("radar", videos, windows, shape, _files(events), notes)


def whole_squares(event, side):
    """The squares side by side from the upper left that have data everywhere, as (rows, columns) of slices."""
    height, width = event.valid.shape
    squares = [
        (slice(top, top + side), slice(left, left + side))
        for top in every(height, side, side)
        for left in every(width, side, side)
    ]
    return [area for area in squares if event.valid[area].all()]


def event_video(event, side, observed):
    """A video of one event: of its `whole_squares` the one with most rain in the images of the slice `observed`.

    Raises:
        ValueError: there is none.
    """
    squares = whole_squares(event, side)
    if not squares:
        raise ValueError(
            f"{event.file}: no square of {side}x{side} pixels, side by side from the upper left, has data "
            f"everywhere. Received: {_size(event)} pixels, {event.valid.mean():.0%} of them with data. Cut out another "
            "part of the radar image."
        )
    area = max(squares, key=lambda area: event.rain_mm_h[(observed, *area)].sum())
    if event.valid.shape == (side, side):
        return _tile(event, area)
    rows, columns = (f"{each.start} to {each.stop - 1}" for each in area)
    said = (
        f"rows {rows}, columns {columns} of {_size(event)} pixels were taken: of the {len(squares)} squares of "
        f"{side}x{side} side by side with data everywhere, the one with most rain in the observed images"
    )
    return replace(_tile(event, area), change=said)


def said_of(events):
    """Sentences on how the events' files were read, and what was filled."""
    readings = sorted({event.reading for event in events if event.reading})
    return [*(f"radar: {each}." for each in readings), *notes_of_files(events)]


def _size(event):
    return "x".join(map(str, event.valid.shape))


def _files(events):
    return [event.file for event in events]


def _tile(event, area):
    def read(start, stop):
        return scaled(event.scaled[(slice(start, stop), *area)][..., None])

    return Video(f"{event.name} {area[0].start},{area[1].start}", len(event.times), read)
