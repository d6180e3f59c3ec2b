"""One answer for a sequence: the frames whose outputs make it, by their weights in a mean over time."""

from typing import Any

import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.long_sequence import Clip

REDUCTIONS = ("none", "mean", "last", "second_half")


def check_reduce(reduce: str, average: bool = False) -> str:
    """`reduce`, or "mean" for `average=True`, the name that "mean" had in version 0.1.

    Raises:
        ValueError: if it is unknown, or contradicts `average`.
    """
    if reduce not in REDUCTIONS:
        raise ValueError(
            f"`reduce` must be one of {REDUCTIONS}. Received: reduce={reduce!r}. For example: reduce='mean'."
        )
    if average and reduce not in ("none", "mean"):
        raise ValueError(
            f"`average=True` is reduce='mean'. Received: average=True, reduce={reduce!r}. Leave `average` out."
        )
    return "mean" if average else reduce


def reduce_frames(frames: Tensor, reduce: str, training: Any = False, weights: Tensor | None = None) -> Tensor:
    """The outputs of every frame (batch, time, ...) as those of the sequence (batch, ...).

    Args:
        frames: outputs.
        reduce: one of `REDUCTIONS`; "none" returns `frames`.
        training: "second_half" averages all frames at inference.
        weights: (batch, time), or None: all frames count alike. Frames of weight 0 are as if they were not there.
    """
    if reduce == "none":
        return frames
    if reduce == "second_half" and not training:
        reduce = "mean"
    if weights is not None:
        return weighted_mean(frames, frame_weights(reduce, ops.shape(frames)[1], weights))
    if reduce == "last":
        return frames[:, -1]
    return ops.mean(frames if reduce == "mean" else frames[:, ops.shape(frames)[1] // 2 :], axis=1)


def weighted_mean(frames: Tensor, weights: Tensor) -> Tensor:
    """The mean of (batch, time, ...) over time by weights (batch or 1, time); zeros where these are all 0."""
    weights = ops.cast(weights, frames.dtype)
    weights = weights / or_one(ops.sum(weights, axis=1, keepdims=True))
    return ops.sum(frames * ops.reshape(weights, (*ops.shape(weights), *(1,) * (len(frames.shape) - 2))), axis=1)


def or_one(total: Tensor) -> Tensor:
    """`total`, with 1 in place of 0: what a sum of weights may be divided by."""
    return ops.where(total > 0, total, ops.ones_like(total))


def frame_weights(
    reduce: str, steps: Any, given: Tensor | None = None, clips: list[Clip] | None = None, training: bool = True
) -> Tensor:
    """The weight of every frame in the mean over a sequence.

    Args:
        reduce: "mean", "last" or "second_half".
        steps: number of frames.
        given: weights (batch, time); frames of weight 0 are as if they were not there. None: all frames count alike.
        clips: those of `LTSC`, in which the sequence is seen. "second_half" is then the second half of each: of its
            frames, those that are new. None: one piece.
        training: "second_half" is all frames at inference.

    Returns:
        float32, (batch, time), or (1, time) without given weights.
    """
    weights = ops.ones((1, steps), "float32") if given is None else ops.cast(given, "float32")
    counted = ops.cast(weights != 0, "int32")
    if reduce == "last":
        return weights * _ranked(counted, lambda rank, count: rank == count)
    if reduce == "mean" or not training:
        return weights
    if clips is None:
        return weights * _ranked(counted, lambda rank, count: rank > count // 2)
    length = clips[0].stop - clips[0].start  # that of all clips
    in_clips = np.array([clip.start for clip in clips])[:, None] + np.arange(length)
    counted = ops.take(counted, in_clips, axis=1)  # (batch, clips, length)
    second = ops.reshape(_ranked(counted, lambda rank, count: rank > count // 2), (-1, len(clips) * length))
    new = [index * length + place for index, clip in enumerate(clips) for place in range(clip.new, length)]
    return weights * ops.take(second, new, axis=1)


def _ranked(counted, rule):
    """1 where the frame counts and `rule(its rank from 1, how many count)` holds, else 0, float32."""
    count = ops.sum(counted, axis=-1, keepdims=True)
    chosen = ops.logical_and(counted > 0, rule(ops.cumsum(counted, axis=-1), count))
    return ops.cast(chosen, "float32")
