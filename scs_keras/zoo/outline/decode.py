"""One vertex after the other: greedy and beam search over the streamed steps of a model, many objects at once."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import check_counts, is_integer
from scs_keras.zoo.outline.cells import end_token, start_tokens

FEWEST = 3  # vertices of an outline


class Decoded(NamedTuple):
    """An outline in cells.

    Attributes:
        cells: (vertices,) int32.
        score: the mean log-probability of its vertices and of the end token, if that came.
        ended: whether it came; else the outline has as many vertices as there may be, or was told where to end.
    """

    cells: np.ndarray
    score: float
    ended: bool


class StepModel(keras.Model):
    """`model.step` as a model of its own, which Keras compiles."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA would compile for longer than most decode
        self.built = True

    def call(self, inputs: dict, training: bool = False) -> Any:
        return self.model.step({"vertices": inputs["vertices"]}, inputs["states"])


def decode(
    model: Any,
    images: np.ndarray,
    fixed: Sequence[Mapping[int, int]] | None = None,
    closed: Sequence[bool] | None = None,
    width: int = 1,
    tries: int = 1,
    batch_size: int = 32,
) -> list[Decoded]:
    """The outlines of the objects in crops. A state goes from step to step; no vertex is computed twice.

    The end cannot come before the last fixed vertex, nor before the third.

    Args:
        model: an `OutlineModel`.
        images: (objects, height, width, 3) float32, RGB in [0, 1].
        fixed: for each object {index of a vertex: its cell}; these are kept.
        closed: for each object whether its outline ends with its last fixed vertex.
        width: of the beam: so many outlines are followed at once, and the one of the highest log-probability divided by
            its length is kept; 1 takes the likeliest cell at each step (greedy).
        tries: where the first vertex is not fixed: the most likely cells for it that are tried, each with a beam of its
            own; the outline of the highest score is kept.
        batch_size: objects at once.

    Raises:
        ValueError: a number is none, an index is not one of the model's steps, or a cell is none.
    """
    check_counts(width=width, tries=tries, batch_size=batch_size)
    count = len(images)
    fixed = [{}] * count if fixed is None else list(fixed)
    closed = [False] * count if closed is None else list(closed)
    steps, grid = model.preset.arguments["steps"], model.grid
    forced = np.full((count, steps), -1, "int32")
    last = np.full(count, -1)
    for row, given in enumerate(fixed):
        for index, cell in given.items():
            check_index(index, steps)
            if not is_integer(cell) or not 0 <= cell < grid**2:
                raise ValueError(
                    f"A cell is a whole number, 0 to {grid**2 - 1}. Received: {cell!r} for vertex {index}."
                )
            forced[row, index] = cell
        last[row] = max(given, default=-1)
    found: list[Decoded] = []
    batch = min(batch_size, count)
    for start in range(0, count, batch):
        rows = np.minimum(np.arange(start, start + batch), count - 1)  # the last again, for one shape of all batches
        beams = _Beams(model, len(rows), 1 if (forced[rows, 0] >= 0).all() else tries, width)
        made = beams.search(np.asarray(images)[rows], forced[rows], last[rows], np.array(closed)[rows])
        found += made[: count - start]
    return found


def check_index(index: Any, steps: int) -> None:
    """Raises ValueError unless there is a vertex of that index."""
    if not is_integer(index) or not 0 <= index < steps:
        raise ValueError(
            f"The vertices of this model are numbered 0 to {steps - 1}. Received: a fixed vertex {index!r}."
        )


class _Beams:
    """The search for a batch. Axes: objects, tries, beam."""

    def __init__(self, model: Any, objects: int, tries: int, width: int) -> None:
        self.model, self.shape = model, (objects, tries, width)
        self.steps, self.grid = model.preset.arguments["steps"], model.grid
        self.step = vars(model).get("_step")  # kept from call to call, and not a part of the model
        if self.step is None:
            self.step = vars(model)["_step"] = StepModel(model)

    def search(self, images: np.ndarray, forced: np.ndarray, last: np.ndarray, closed: np.ndarray) -> list[Decoded]:
        objects, tries, width = self.shape
        rows = objects * tries * width
        states = self._first_states(images, tries * width)
        known = np.empty((objects, tries, width, 3), "int32")  # first vertex, t-2, t-1
        known[:] = (start_tokens(self.grid)[0], *start_tokens(self.grid))
        totals = np.full(self.shape, -np.inf)
        totals[:, :, 0] = 0.0
        cells = np.zeros((*self.shape, 0), "int32")
        best: list[Decoded | None] = [None] * objects
        for step in range(self.steps):
            inputs = {"vertices": known.reshape(rows, 3), "states": states}
            logs, states = self.step.predict_on_batch(inputs)
            logs = np.asarray(logs, "float64").reshape(*self.shape, -1)
            self._restrict(logs, step, forced[:, step], last)
            totals, parent, chosen = self._continue(totals, logs, step, forced[:, step])
            states = self._reordered(states, parent)
            cells, known = (np.take_along_axis(each, parent[..., None], axis=2) for each in (cells, known))
            cells = np.concatenate([cells, chosen[..., None]], axis=-1)
            known = np.stack([known[..., 0], known[..., 2], chosen], axis=-1)
            if step == 0:
                known[..., 0] = chosen
            at_end = chosen == end_token(self.grid)
            done = at_end | (step == self.steps - 1) | (closed & (step == last))[:, None, None]
            for place in zip(*np.nonzero(done & np.isfinite(totals))):
                ended = bool(at_end[place])
                made = Decoded(cells[place][: -1 if ended else None], float(totals[place] / (step + 1)), ended)
                before = best[place[0]]
                best[place[0]] = made if before is None or made.score > before.score else before
            totals = np.where(done, -np.inf, totals)
            if not np.isfinite(totals).any():
                break
        return [each for each in best if each is not None]

    def _first_states(self, images, copies):
        vertices = np.zeros((len(images), 1, 3), "int32")
        inputs = {"image": ops.convert_to_tensor(images, "float32"), "vertices": ops.convert_to_tensor(vertices)}
        return [np.repeat(ops.convert_to_numpy(each), copies, axis=0) for each in self.model.initial_states(inputs)]

    def _restrict(self, logs, step, forced, last):
        """Takes away what is not allowed at a step: the end too early, and all but a fixed vertex."""
        end = end_token(self.grid)
        logs[(step <= last) | (step < FEWEST), ..., end] = -np.inf
        for row in np.nonzero(forced >= 0)[0]:
            kept = logs[row, ..., forced[row]].copy()
            logs[row] = -np.inf
            logs[row, ..., forced[row]] = kept

    def _continue(self, totals, logs, step, forced):
        """(totals, parent, chosen) of the best continuations, each (objects, tries, beam)."""
        objects, tries, width = self.shape
        if step == 0 and tries > 1:
            likely = np.argsort(-logs[:, 0, 0], axis=-1)[:, :tries, None]  # one for each try
            likely = np.where((forced >= 0)[:, None, None], forced[:, None, None], likely)
            made = np.full(self.shape, -np.inf)
            made[..., :1] = np.take_along_axis(logs[:, :, 0], likely, axis=-1)
            return made, np.zeros(self.shape, "int64"), np.repeat(likely, width, axis=-1).astype("int32")
        classes = logs.shape[-1]
        flat = (totals[..., None] + logs).reshape(objects, tries, width * classes)
        top = np.argpartition(-flat, width - 1, axis=-1)[..., :width]
        made = np.take_along_axis(flat, top, axis=-1)
        return made, top // classes, (top % classes).astype("int32")

    def _reordered(self, states, parent):
        objects, tries, width = self.shape
        if width == 1:
            return states
        first = (np.arange(objects * tries) * width).reshape(objects, tries, 1)
        return [each[(first + parent).ravel()] for each in states]
