"""What is scored of a steering model: its angle, those of T1 and T2, and its angle where the state is carried."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from scs_keras.training.importance import check_same_goals, streams
from scs_keras.training.task import Prediction


def predictors(model: Any, importance: bool = False, streamed: bool = False) -> dict[str, Prediction]:
    """{name: Prediction} of a model.

    Args:
        model: of the task.
        importance: also what T1 (`spatial`) and T2 (`temporal`) say.
        streamed: also what it says one frame after the other, with the state carried from the start of a drive on.

    Raises:
        ValueError: `importance` of a model whose sub-goals are not the main goal.
    """
    if importance:
        check_same_goals(model.preset)
    preprocess = model.preset.preprocess
    made: dict[str, Prediction] = {"model": lambda x, about: model.predict_on_batch(preprocess(x))}
    if importance:
        made |= {
            name: lambda x, about, name=name: streams(model, preprocess(x))[name] for name in ("spatial", "temporal")
        }
    return made | ({"streamed": Streamed(model)} if streamed else {})


class Streamed:
    """The angles of a model that sees each frame once and keeps its state, as it would while it drives.

    The state starts with the first window of a drive, so that its first angle is the window's; it starts anew where a
    sample is not the frame after the last one.

    Args:
        model: of the task.
    """

    def __init__(self, model: Any):
        self.model = model
        self.states: Any = None
        self.last: tuple[str, int] | None = None  # the frame that would go on

    def __call__(self, x: np.ndarray, about: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(batch, 1), or (batch, time, 1) of a model of every frame, all of which are then the last one's."""
        angles: list[float] = []
        while len(angles) < len(x):
            first = len(angles)
            stop = next((place for place in range(first + 1, len(x)) if not self._follows(about, place)), len(x))
            angles += self._run(x[first:stop], about[first:stop])
        shape = self.model.preset.output_shape
        return np.stack([np.full(shape, angle, "float32") for angle in angles])

    @staticmethod
    def _follows(about, place):
        return _place(about[place]) == _after(about[place - 1])

    def _run(self, windows, about):
        """The angles at the ends of windows that follow each other, from one pass over the frames that are new."""
        goes_on = self.last == _place(about[0])
        frames = [*(windows[0][-1:] if goes_on else windows[0]), *windows[1:, -1]]
        outputs, self.states = self.model(
            self.model.preset.preprocess(np.stack(frames))[None],
            initial_states=self.states if goes_on else None,
            training=False,
            return_states=True,
            return_sequences=True,
        )
        self.last = _after(about[-1])
        return keras.ops.convert_to_numpy(outputs)[0, -len(windows) :, 0].tolist()


def _place(known):
    return known["group"], known["frame"]


def _after(known):
    return known["group"], known["frame"] + 1
