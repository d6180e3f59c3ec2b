"""Radar rain sequences as training batches and as evaluation windows.

The files' layout is in `radar_files`, the random crops and their augmentation in `radar_crops`; everything a user needs
is here. Only `training_dataset` needs TensorFlow.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scs_keras.training.data.radar_crops import Augmentation, draw_crop
from scs_keras.training.data.radar_files import RadarEvent, read_event, read_events
from scs_keras.training.data.step_dataset import step_dataset

__all__ = [
    "Augmentation",
    "RadarEvent",
    "Window",
    "read_event",
    "read_events",
    "training_batch",
    "training_dataset",
    "windows",
]


class Window(NamedTuple):
    """One evaluation window of an event.

    Attributes:
        frames: float32 (input_length, height, width, 1), scaled to [0, 1].
        target: float32 (output_length, height, width, 1), the frames that follow.
        mask: float32 (output_length, height, width, 1), 1 at valid pixels and 0 elsewhere.
        times: int64 (input_length + output_length,), Unix seconds UTC.
    """

    frames: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    times: np.ndarray


def windows(event: RadarEvent, input_length: int, output_length: int, stride: int = 1) -> Iterator[Window]:
    """All windows of whole frames, one starting at every `stride`-th frame.

    Raises:
        ValueError: the event has fewer frames than one window, or a length or the stride is below 1.
    """
    _check_whole_numbers(input_length=input_length, output_length=output_length, stride=stride)
    length = input_length + output_length
    _check_length(event, input_length, output_length)
    mask = np.broadcast_to(event.valid.astype("float32")[None, :, :, None], (output_length, *event.valid.shape, 1))
    starts = range(0, len(event.times) - length + 1, stride)
    return (_window(event, start, input_length, length, mask) for start in starts)


def training_batch(
    events: Sequence[RadarEvent],
    step: int,
    batch_size: int,
    crop: int,
    input_length: int,
    output_length: int,
    seed: int = 0,
    augmentation: Augmentation = Augmentation(),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The batch of one training step, a function of its arguments alone: the same (seed, step) gives the same batch.

    Returns:
        frames: float32 (batch, input_length, crop, crop, 1), scaled to [0, 1].
        target: float32 (batch, output_length, crop, crop, 1), the frames that follow.
        mask: float32 (batch, output_length, crop, crop, 1), 1 at valid pixels, 0 elsewhere: the sample weights.

    Raises:
        ValueError: no events, an event with fewer frames than input and output need or with frames smaller than the
            crop, a negative seed or step.
    """
    _check_training(events, batch_size, crop, input_length, output_length, seed, step)
    generator = np.random.default_rng((seed, step))
    length = input_length + output_length
    sequences = np.empty((batch_size, length, crop, crop, 1), "float32")
    mask = np.empty((batch_size, output_length, crop, crop, 1), "float32")
    for sequence, weight in zip(sequences, mask):
        sequence[..., 0], weight[..., 0] = draw_crop(events, generator, crop, length, augmentation)
    return sequences[:, :input_length], sequences[:, input_length:], mask


def training_dataset(
    events: Sequence[RadarEvent],
    batch_size: int,
    crop: int,
    input_length: int,
    output_length: int,
    seed: int = 0,
    start_step: int = 0,
    augmentation: Augmentation = Augmentation(),
    num_parallel_calls: int = 2,
):
    """An infinite `tf.data.Dataset` of `training_batch` at steps start_step, start_step + 1, ...

    Training that was stopped after n steps goes on with `start_step=n` and sees the batches it would have seen.

    Raises:
        ValueError: as `training_batch`.
    """
    _check_training(events, batch_size, crop, input_length, output_length, seed, start_step)
    for event in events:
        _ = event.scaled  # computed once here, not by every parallel call at its first batch
    shapes = [(batch_size, length, crop, crop, 1) for length in (input_length, output_length, output_length)]
    return step_dataset(
        lambda step: training_batch(events, step, batch_size, crop, input_length, output_length, seed, augmentation),
        shapes,
        start_step,
        num_parallel_calls,
    )


def _window(event, start, input_length, length, mask) -> Window:
    frames = event.scaled[start : start + length, :, :, None]
    return Window(frames[:input_length], frames[input_length:], mask, event.times[start : start + length])


def _check_training(events, batch_size, crop, input_length, output_length, seed, step) -> None:
    _check_whole_numbers(batch_size=batch_size, crop=crop, input_length=input_length, output_length=output_length)
    if not events:
        raise ValueError(
            "events is empty: training needs at least one radar event. Read some with read_events(folder)."
        )
    if seed < 0 or step < 0:
        raise ValueError(f"seed and step must not be negative. Received: seed={seed}, step={step}")
    for event in events:
        _check_length(event, input_length, output_length)
        if crop > min(event.valid.shape):
            height, width = event.valid.shape
            raise ValueError(
                f"{event.name}.npz: crop={crop} is larger than the frames, {height}x{width}. Use a smaller crop."
            )


def _check_whole_numbers(**values: int) -> None:
    for name, value in values.items():
        if value != int(value) or value < 1:
            raise ValueError(f"{name} must be a whole number of 1 and more. Received: {name}={value}")


def _check_length(event: RadarEvent, input_length: int, output_length: int) -> None:
    need, have = input_length + output_length, len(event.times)
    if have < need:
        raise ValueError(
            f"{event.name}.npz: the sequence is too short. Needed: {need} frames ({input_length} to see and "
            f"{output_length} to forecast), found: {have}. Use a longer sequence or a shorter input or forecast."
        )
