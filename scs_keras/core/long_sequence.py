"""LTSC, long range temporal semi-coupling: training on long sequences in short, overlapping clips (Sec. 5.3)."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor, is_integer, is_number

CARRIES = ("end", "aligned", "none")


class Clip(NamedTuple):
    """One clip of a sequence.

    Attributes:
        start, stop: its frames in the sequence.
        new: index in the clip of the first frame that no earlier clip holds.
        carry: index in the clip of the frame whose state the next clip starts from; None for none.
        share: the new frames as a fraction of the sequence, the clip's weight in the loss.
    """

    start: int
    stop: int
    new: int
    carry: int | None
    share: float


@keras.saving.register_keras_serializable("scs_keras")
class LTSC:
    """Splits a sequence into overlapping clips and carries the state, detached, from clip to clip.

    Neighbours share round(overlap * length) frames, at least 1 and at most length - 1 (Eq. 21-22); the
    last clip ends with the sequence; a shorter sequence is one clip. Each frame counts once in the
    loss. Training memory depends on the clip, not on the sequence.

    Args:
        length: frames of a clip, at least 2.
        overlap: shared fraction, 0 < overlap < 1; 0.25 is the paper's.
        overlap_weight: weight of the overlap loss (Eq. 23) in the total loss, >= 0.
        carry: where the next clip's state comes from.
            "end": the clip's last frame, as in the paper's recipes and the reference. The shared
            frames are seen twice, Eq. 23 pulls the two views together.
            "aligned": the frame just before the next clip. Training sees what inference sees and
            Eq. 23 is zero: truncated back-propagation through time.
            "none": nowhere, every clip starts afresh and Eq. 23 alone links them, as the text reads.

    Raises:
        ValueError: if an argument is outside these ranges.
    """

    def __init__(self, length: int, overlap: float = 0.25, overlap_weight: float = 1.0, carry: str = "end") -> None:
        if not is_integer(length) or length < 2:
            raise ValueError(
                "`length`, the frames of a clip, must be an integer of at least 2. "
                f"Received: length={length!r}. For example: LTSC(length=10)."
            )
        if not is_number(overlap) or not 0 < overlap < 1:
            raise ValueError(
                "`overlap`, the fraction of a clip that its neighbour shares, must lie between 0 and 1, "
                f"both excluded (Eq. 22). Received: overlap={overlap!r}. For example: overlap=0.25."
            )
        if not is_number(overlap_weight) or not overlap_weight >= 0:
            raise ValueError(
                "`overlap_weight` must not be negative. "
                f"Received: overlap_weight={overlap_weight!r}. For example: overlap_weight=1.0."
            )
        if carry not in CARRIES:
            raise ValueError(f"`carry` must be one of {CARRIES}. Received: carry={carry!r}.")
        self.length = int(length)
        self.overlap = float(overlap)
        self.overlap_weight = float(overlap_weight)
        self.carry = carry

    @property
    def shared(self) -> int:
        """Number of frames that neighbouring clips share."""
        return min(max(round(self.overlap * self.length), 1), self.length - 1)

    def clips(self, steps: int) -> list[Clip]:
        """The clips of a sequence of `steps` frames, in order.

        Raises:
            ValueError: if the number of frames is not known or not positive.
        """
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(
                "LTSC needs to know the number of frames of a sequence. "
                f"Received: {steps!r}. Give batches a fixed number of time steps."
            )
        starts = list(range(0, max(steps - self.length, 0), self.length - self.shared))
        starts.append(max(steps - self.length, 0))
        clips, seen = [], 0
        for index, start in enumerate(starts):
            stop = min(start + self.length, steps)
            following = starts[index + 1] if index + 1 < len(starts) else stop
            carry = {"end": stop - start, "aligned": following - start, "none": 0}[self.carry] - 1
            clips.append(Clip(start, stop, seen - start, carry if carry >= 0 else None, (stop - seen) / steps))
            seen = stop
        return clips

    def runs(self, steps: int) -> list[list[Clip]]:
        """The clips in order, neighbours together that differ in nothing but their place: what can be a loop."""
        alike = lambda clip: (clip.stop - clip.start, clip.new, clip.carry)  # noqa: E731
        return [list(run) for _, run in itertools.groupby(self.clips(steps), alike)]

    def overlap_loss(self, earlier: Tensor, later: Tensor, shared: int) -> Tensor:
        """Eq. 23: MSE between two clips' outputs (batch, time, ...) on `shared` frames, the earlier side detached."""
        difference = later[:, :shared] - ops.stop_gradient(earlier[:, -shared:])
        return ops.mean(ops.square(ops.cast(difference, "float32")))

    def get_config(self) -> dict:
        return dict(length=self.length, overlap=self.overlap, overlap_weight=self.overlap_weight, carry=self.carry)

    @classmethod
    def from_config(cls, config: dict) -> "LTSC":
        return cls(**config)


def over_clips(model: Any, one_clip: Callable, steps: int) -> tuple[Any, list]:
    """Goes through the clips of a sequence; those that differ in their place only are a loop in the graph.

    Args:
        model: with its `long_sequence` and the backend's `loop`.
        one_clip: function (clip, start, carried) -> (carried, part) of a clip, or one that differs in its place only;
            of its first frame, an integer or a scalar tensor; of what the clip before handed on, None at first.
        steps: number of frames.

    Returns:
        (carried, parts): what the last clip handed on, and for each run of clips their parts, stacked.
    """
    carried, parts = None, []
    for run in model.long_sequence.runs(steps):
        if len(run) > 1 and not model.unroll_clips:
            first, stride = run[0], run[1].start - run[0].start

            def one_of_run(index, handed, first=first, stride=stride):
                return one_clip(first, first.start + index * stride, handed)

            carried, part = model.loop(one_of_run, len(run), carried)
            parts.append(part)
            continue
        of_run = []
        for clip in run:
            carried, part = one_clip(clip, clip.start, carried)
            of_run.append(part)
        parts.append(tree.map_structure(lambda *each: ops.stack(each), *of_run))
    return carried, parts
