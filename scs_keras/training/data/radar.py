"""Sequences of radar images with their valid pixels: what forecasters and video models cut their samples from.

The files' formats are in `radar_files`, the random crops and their augmentation in `radar_crops`; everything that a
task needs is here.
"""

from collections.abc import Sequence

import numpy as np

from scs_keras.core.arguments import is_count
from scs_keras.training.data.radar_crops import Augmentation, draw_crop, lose_image
from scs_keras.training.data.radar_event import RadarEvent
from scs_keras.training.data.radar_files import is_event, read_event, read_events
from scs_keras.training.data.radar_quantity import Reading

__all__ = [
    "Augmentation",
    "RadarEvent",
    "RadarSequences",
    "Reading",
    "is_event",
    "notes_of_files",
    "read_event",
    "read_events",
]


def notes_of_files(events: Sequence[RadarEvent]) -> list[str]:
    """Sentences on what was filled or taken as something else."""
    return [f"{event.file}: {note}" for event in events for note in event.notes]


class RadarSequences:
    """All windows of whole images of some events, and random crops of them.

    Args:
        events: see `read_events`.
        input_length, output_length: images of a sequence that are observed, and that are to be forecast.
        stride: a window starts at every `stride`-th image.

    Raises:
        ValueError: no events, an event with fewer images than a sequence, or a length or the stride is below 1.
    """

    def __init__(self, events: Sequence[RadarEvent], input_length: int, output_length: int, stride: int = 1):
        _check_whole_numbers(input_length=input_length, output_length=output_length, stride=stride)
        if not events:
            raise ValueError("events is empty: at least one radar event is needed. Read some with read_events(folder).")
        self.events = list(events)
        self.input_length, self.output_length = input_length, output_length
        for event in self.events:
            _check_length(event, input_length, output_length)
            _ = event.scaled  # computed once here, not by every parallel call at its first batch
        self.windows = [
            (event, start) for event in self.events for start in range(0, len(event.times) - self.length + 1, stride)
        ]

    @property
    def length(self) -> int:
        """Images of a sequence."""
        return self.input_length + self.output_length

    def window(self, index: int) -> np.ndarray:
        """float32 (time, height, width, 1), scaled to [0, 1]; see `measured`."""
        event, start = self.windows[index]
        return event.scaled[start : start + self.length, :, :, None]

    def measured(self, index: int) -> np.ndarray:
        """bool (time, height, width, 1): pixels that were measured, not filled."""
        event, start = self.windows[index]
        return event.measured[start : start + self.length, :, :, None]

    def times(self, index: int) -> np.ndarray:
        """int64 (time,), Unix seconds UTC."""
        event, start = self.windows[index]
        return event.times[start : start + self.length]

    def crops(
        self, step: int, size: int, seed: int, side: int, augmentation: Augmentation
    ) -> tuple[np.ndarray, np.ndarray]:
        """The random crops of one training step, a function of the arguments alone.

        Args:
            step, size, seed: see `Samples.batch`.
            side: of a crop in pixels.
            augmentation: what is varied.

        Returns:
            sequences: float32 (batch, time, side, side, 1), scaled to [0, 1], 0 where there are no data.
            valid: float32 (batch, side, side, 1), 1 at pixels that have data and 0 elsewhere.

        Raises:
            ValueError: images are smaller than a crop, or the seed or step is negative.
        """
        self._check_crops(step, size, seed, side)
        generator = np.random.default_rng((seed, step))
        sequences = np.empty((size, self.length, side, side, 1), "float32")
        valid = np.empty((size, side, side, 1), "float32")
        for sequence, mask in zip(sequences, valid):
            sequence[..., 0], mask[..., 0] = draw_crop(self.events, generator, side, self.length, augmentation)
        self._lose_images(sequences, np.random.default_rng((seed, step, 1)), augmentation.lost_share)
        return sequences, valid

    def _lose_images(self, sequences, generator, share):
        for sequence in sequences if share else ():
            if generator.random() < share:
                lose_image(sequence[: self.input_length], generator)

    def _check_crops(self, step, size, seed, side):
        _check_whole_numbers(batch_size=size, crop=side)
        if seed < 0 or step < 0:
            raise ValueError(f"seed and step must not be negative. Received: seed={seed}, step={step}")
        for event in self.events:
            if side > min(event.valid.shape):
                height, width = event.valid.shape
                raise ValueError(
                    f"{event.file}: crop={side} is larger than the frames, {height}x{width}. Use a smaller crop."
                )


def _check_whole_numbers(**values: int) -> None:
    for name, value in values.items():
        if not is_count(value):
            raise ValueError(f"{name} must be a whole number of 1 and more. Received: {name}={value}")


def _check_length(event: RadarEvent, input_length: int, output_length: int) -> None:
    need, have = input_length + output_length, len(event.times)
    if have < need:
        raise ValueError(
            f"{event.file}: the sequence is too short. Needed: {need} frames ({input_length} to see and "
            f"{output_length} to forecast), found: {have}. Use a longer sequence or a shorter input or forecast."
        )
