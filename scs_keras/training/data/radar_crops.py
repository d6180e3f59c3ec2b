"""Cuts random crops out of radar events and alters them, so that what is learnt holds on radars never seen.

Radars differ in resolution, calibration, sensitivity and in how fast their storms move; each augmentation stands for
one of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scs_keras.training.data.bilinear import resize
from scs_keras.training.data.radar_event import RadarEvent
from scs_keras.zoo.radar_units import FULL_SCALE_DBZ


@dataclass(frozen=True)
class Augmentation:
    """What is varied from crop to crop. `Augmentation.none()` cuts crops at random places and leaves them as they are.

    Attributes:
        flips: one of the 8 flips and quarter turns.
        temporal_strides: one of these is drawn for events with at most 6 minutes between frames; 2 takes every second
            frame, and storms move and grow twice as fast. Other events, and those too short for it, stay as they are.
        zoom: smallest and largest factor by which the crop is magnified (bilinear, in the scaled image).
        gain_db: the reflectivity of wet pixels is raised by up to this much, or lowered.
        detection_dbz: smallest and largest detection threshold; weaker echoes become dry, as at a less sensitive radar.
        candidates: so many places are drawn for each crop, of which a wetter one is likelier to be taken; 1 takes any.
        dry_share: in (0, 1], how likely a dry candidate is compared with one that is wet all over.
        lost_share: in [0, 1], the share of sequences in which one of the observed images is blank or half-blank.
    """

    flips: bool = True
    temporal_strides: tuple[int, ...] = (1, 2)
    zoom: tuple[float, float] = (0.7, 1.4)
    gain_db: float = 3.0
    detection_dbz: tuple[float, float] = (0.0, 15.0)
    candidates: int = 4
    dry_share: float = 0.05
    lost_share: float = 0.0

    def __post_init__(self):
        strides = self.temporal_strides
        if not strides or any(stride != int(stride) or stride < 1 for stride in strides):
            raise ValueError(f"temporal_strides must be whole numbers of 1 and more, e.g. (1, 2). Received: {strides}")
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom must be (smallest, largest), both above 0, e.g. (0.7, 1.4). Received: {self.zoom}")
        if not 0 <= self.detection_dbz[0] <= self.detection_dbz[1]:
            raise ValueError(
                "detection_dbz must be (smallest, largest), 0 dBZ and more, e.g. (0, 15). "
                f"Received: {self.detection_dbz}"
            )
        if self.gain_db < 0:
            raise ValueError(f"gain_db must not be negative, e.g. 3. Received: {self.gain_db}")
        if self.candidates != int(self.candidates) or self.candidates < 1:
            raise ValueError(f"candidates must be a whole number of 1 and more. Received: {self.candidates}")
        if not 0 < self.dry_share <= 1:
            raise ValueError(f"dry_share must be in (0, 1]. Received: {self.dry_share}")
        if not 0 <= self.lost_share <= 1:
            raise ValueError(f"lost_share must be in [0, 1]. Received: {self.lost_share}")

    @classmethod
    def none(cls) -> "Augmentation":
        return cls(
            flips=False, temporal_strides=(1,), zoom=(1.0, 1.0), gain_db=0.0, detection_dbz=(0.0, 0.0), candidates=1
        )


_FASTEST_TO_STRIDE_MINUTES = 6.0  # at 10 minutes and more, storms already move several pixels a frame


class Place(NamedTuple):
    """A square of `size` pixels in `frames` of an event."""

    event: RadarEvent
    frames: slice
    top: int
    left: int
    size: int

    @property
    def square(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.size), slice(self.left, self.left + self.size)


def draw_crop(
    events: Sequence[RadarEvent], generator: np.random.Generator, crop: int, length: int, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """A random crop as float32 (length, crop, crop) in [0, 1] and its valid pixels as bool (crop, crop)."""
    places = [_draw_place(events, generator, crop, length, augmentation) for _ in range(augmentation.candidates)]
    weights = np.array([_weight(place, augmentation.dry_share) for place in places])
    place = places[generator.choice(len(places), p=weights / weights.sum()) if weights.any() else 0]
    images = resize(place.event.scaled[(place.frames, *place.square)], (crop, crop))
    valid = resize(place.event.valid[place.square][None].astype("float32"), (crop, crop))[0] > 0.999
    images = _alter_intensity(images, generator, augmentation) * valid
    if augmentation.flips:
        images, valid = _flip(images, valid, turn=generator.integers(4), mirror=generator.integers(2))
    return images, valid


def _draw_place(events, generator, crop, length, augmentation) -> Place:
    # The root keeps a long event from crowding out the others.
    weights = np.sqrt([len(event.times) - length + 1 for event in events])
    event = events[generator.choice(len(events), p=weights / weights.sum())]
    stride = _draw_stride(event, generator, length, augmentation)
    span = (length - 1) * stride + 1
    start = _draw_start(event, generator, span, stride)
    height, width = event.valid.shape
    zoom = np.exp(generator.uniform(*np.log(augmentation.zoom)))
    size = min(max(2, round(crop / zoom)), height, width)
    top, left = generator.integers(height - size + 1), generator.integers(width - size + 1)
    return Place(event, slice(start, start + span, stride), top, left, size)


def _draw_start(event, generator, span, stride) -> int:
    """Of a place without filled images, if there is one: nothing is learnt from what was not seen."""
    if not event.missing.any():
        return int(generator.integers(len(event.times) - span + 1))
    seen = np.lib.stride_tricks.sliding_window_view(~event.missing, span)[:, ::stride].all(axis=1)
    starts = np.flatnonzero(seen) if seen.any() else np.arange(len(event.times) - span + 1)
    return int(starts[generator.integers(len(starts))])


def _draw_stride(event, generator, length, augmentation) -> int:
    stride = int(generator.choice(augmentation.temporal_strides))
    possible = event.step_minutes <= _FASTEST_TO_STRIDE_MINUTES and (length - 1) * stride < len(event.times)
    return stride if possible else 1


def _weight(place: Place, dry_share: float) -> float:
    """How likely a candidate is taken: its mean rain, saturating at some mm/h, on a coarse grid of two frames."""
    frames = slice(place.frames.start, place.frames.stop, place.frames.stop - 1 - place.frames.start or None)
    rain = place.event.rain_mm_h[(frames, *place.square)][:, ::4, ::4]
    wet = 1.0 - np.exp(-rain).mean()
    return (dry_share + (1 - dry_share) * wet) * place.event.valid[place.square][::4, ::4].mean()


def _alter_intensity(images, generator, augmentation):
    gain = generator.uniform(-augmentation.gain_db, augmentation.gain_db) / FULL_SCALE_DBZ
    detection = generator.uniform(*augmentation.detection_dbz) / FULL_SCALE_DBZ
    louder = np.clip(images + np.float32(gain), 0, 1)
    return np.where((images > 0) & (louder >= np.float32(detection)), louder, np.float32(0))


def _flip(images, valid, turn, mirror):
    images, valid = np.rot90(images, turn, axes=(1, 2)), np.rot90(valid, turn)
    return (images[:, :, ::-1], valid[:, ::-1]) if mirror else (images, valid)


def lose_image(images: np.ndarray, generator: np.random.Generator) -> None:
    """Blanks one of the images (time, height, width, ...), or one half of it, in place."""
    half_height, half_width = images.shape[1] // 2, images.shape[2] // 2
    whole, first, second = slice(None), slice(0, half_height), slice(half_height, None)
    left, right = slice(0, half_width), slice(half_width, None)
    areas = ((whole, whole), (first, whole), (second, whole), (whole, left), (whole, right))
    images[(generator.integers(len(images)), *areas[generator.integers(len(areas))])] = 0
