"""Radar events as samples of forecasters: whole images to score on, random crops to train on."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.radar import (
    Augmentation,
    RadarEvent,
    RadarSequences,
    Reading,
    notes_of_files,
    read_events,
)
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option, words

TRAINED_STEP_MINUTES = (5, 15)  # between two images, of the data that the shipped models were trained on


def read(
    folder: str | Path,
    split: str,
    preset: Preset,
    stride: int = 1,
    crop: int = 80,
    augmentation: Augmentation = Augmentation(),
    exclude: Iterable[str] = (),
    **reading: str,
) -> "RadarSamples":
    """The events of a folder, see `radar_files`.

    Args:
        folder: with a file, or a sub-folder, for each event.
        split: "train" or "val", as the folder's split.json says; "all" for every event. A folder without split.json has
            no "val": it is scored whole, and the name of the samples says so.
        preset: whose lengths the samples have.
        stride: an evaluation sample starts at every so many images.
        crop: side of the training crops in pixels.
        augmentation: of the training crops.
        exclude: names of events to leave out.
        **reading: what the user says of the files, see `Reading`; it becomes a part of the samples' name.

    Raises:
        FileNotFoundError: there is no such folder, or no event in it.
        ValueError: an event is broken or too short, or the split has no events.
    """
    if split not in ("train", "val", "all"):
        raise ValueError(
            f"Radar events have the parts train, val and all. Received: {option('split', split)}. "
            f"For example: {option('split', 'val')}."
        )
    name = f"radar {split}"
    if split == "val" and not (Path(folder) / "split.json").is_file():
        split, name = "all", "radar, all events (there is no split.json)"
    events = read_events(folder, None if split == "all" else split, exclude, Reading(**reading))
    if not events:
        raise ValueError(
            f"{folder}: no event belongs to {option('split', split)}. "
            + words(
                f"Use {option('split', 'all')} to score all events, or list some in split.json.",
                train=f'List some under "{split}" in split.json.',
            )
        )
    for note in said_of(events):
        warnings.warn(note)
    name = ", ".join([name, *sorted({event.reading for event in events if event.reading})])
    sequences = RadarSequences(events, preset.input_shape[0], preset.output_shape[0], stride)
    return RadarSamples(name, sequences, crop, augmentation)


def said_of(events: Sequence[RadarEvent]) -> list[str]:
    """Sentences on what was filled or taken as something else, and on steps that no model was trained for."""
    said = notes_of_files(events)
    low, high = TRAINED_STEP_MINUTES
    other = sorted({event.step_minutes for event in events if not low <= event.step_minutes <= high})
    if other:
        steps = ", ".join(f"{step:g}" for step in other)
        said.append(
            f"Images every {steps} min: the shipped models were trained on images every {low} to {high} min, and what "
            "they forecast at other steps was not measured."
        )
    return said


class RadarSamples:
    """Samples of radar events, see `scs_keras.training.samples.Samples`.

    Args:
        name: of the data.
        sequences: of the events.
        crop: side of the training crops in pixels.
        augmentation: of the training crops.

    Attributes:
        file_names: names of those of the events.
    """

    labels: tuple[str, ...] = ()

    def __init__(
        self, name: str, sequences: RadarSequences, crop: int = 80, augmentation: Augmentation = Augmentation()
    ):
        self.name, self.sequences, self.crop, self.augmentation = name, sequences, crop, augmentation
        self.file_names = tuple(event.file for event in sequences.events)

    def every(self, stride: int) -> "RadarSamples":
        """The same events with an evaluation sample at every so many images."""
        old = self.sequences
        sequences = RadarSequences(old.events, old.input_length, old.output_length, stride)
        return RadarSamples(self.name, sequences, self.crop, self.augmentation)

    def __len__(self) -> int:
        return len(self.sequences.windows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, y, weight), float32 (time, height, width, 1) each, in [0, 1]; weight 1 where y was measured, else 0."""
        window, observed = self.sequences.window(index), self.sequences.input_length
        return window[:observed], window[observed:], self.sequences.measured(index)[observed:].astype("float32")

    def about(self, index: int) -> Mapping[str, Any]:
        """name, group (the event), step_minutes, km_per_pixel (or None), times (Unix seconds of all images)."""
        event, start = self.sequences.windows[index]
        return dict(
            name=f"{event.name}, image {start + 1}",
            group=event.name,
            step_minutes=event.step_minutes,
            km_per_pixel=event.km_per_pixel,
            times=self.sequences.times(index),
        )

    def batch(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(sequences, valid pixels) of random crops, see `RadarSequences.crops`."""
        return self.sequences.crops(step, size, seed, self.crop, self.augmentation)
