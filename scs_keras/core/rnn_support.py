"""Makes `keras.layers.RNN` treat an SCSCell's states as images. Needed by Keras 3.10 to 3.15.

Keras's RNN takes every state to be a vector: it infers the output shape (batch, F) for functional models,
resets states to zero whatever the cell's initial state is, and builds stacked cells on vector shapes; a mask
with an axis for pixels does not fit frames of another size. It also has no hook before the loop over time,
where the switch must be drawn (random draws inside a compiled loop are repeated or fail) and where the frame
size becomes known.

Five methods are wrapped once, when the first SCSCell is made; cells with no SCSCell in them reach Keras's own code.
A cell of a user's around an SCSCell, or one stacked with it, has to say its output's shape; the SCSCell in it draws
once a call too.
tests/test_rnn_support.py fails as soon as Keras does one of these by itself.
"""

import functools

import keras
from keras import ops, tree
from keras.layers import RNN, StackedRNNCells

from scs_keras.core.arguments import as_gate, check_sequence
from scs_keras.core.keras_private import all_layers
from scs_keras.core.recurrence import frame_mask
from scs_keras.core.switch import active_switch


def cells_of(cell, cell_class):
    """The SCSCells in a cell or in stacked cells; empty unless all of them are."""
    cells = list(cell.cells) if isinstance(cell, StackedRNNCells) else [cell]
    return cells if cells and all(isinstance(each, cell_class) for each in cells) else []


def cells_inside(cell, cell_class):
    """The SCSCells in a cell or in stacked cells, at any depth."""
    parts = all_layers(cell) if isinstance(cell, keras.Layer) else []
    return [part for part in parts if isinstance(part, cell_class)]


def image_cells(cell, cell_class):
    """The outer cells, if there is an SCSCell of images somewhere in one of them, or SCSCells only; else empty.

    One of vectors (rank 0) among other cells is as Keras takes every cell to be.
    """
    cells = list(cell.cells) if isinstance(cell, StackedRNNCells) else [cell]
    of_images = any(part.rank for part in cells_inside(cell, cell_class))
    return cells if of_images else cells_of(cell, cell_class)


def output_shapes(cells, shape):
    """Shapes of each cell's output for one frame of the given shape, and of all their states.

    Raises:
        ValueError: if a cell that is no SCSCell does not say it.
    """
    outputs, states = [], []
    for cell in cells:
        if getattr(type(cell), "compute_output_shape", None) in (None, keras.Layer.compute_output_shape):
            raise ValueError(
                f"keras.layers.RNN takes the states of {type(cell).__name__}, which is around an SCSCell or stacked "
                "with one, to be vectors. Allowed: SCSCells alone or stacked, and a cell of your own with "
                "`compute_output_shape(self, inputs_shape, states_shape=None)` that returns (output shape, [state "
                f"shapes]) as SCSCell's does. Received: {[type(each).__name__ for each in cells]}. Give it that "
                "method, or put layers one after the other: SCS2D, keras.layers.ConvLSTM2D."
            )
        shape, following = cell.compute_output_shape(shape)
        outputs.append(tuple(shape))
        states.extend(following)
    return outputs, states


def rnn_compute_output_shape(self, cells, sequences_shape, initial_state_shape=None):
    if hasattr(cells[0], "initial_gate"):  # an SCSCell
        check_sequence(sequences_shape, "RNN(SCSCell)", cells[0].channels, cells[0].rank)
    batch, length, *frame = sequences_shape
    outputs, states = output_shapes(cells, (batch, *frame))
    output = (batch, length, *outputs[-1][1:]) if self.return_sequences else outputs[-1]
    return (output, *states) if self.return_state else output


def rnn_reset_state(self, cells):
    if self.states is not None:
        for state, cell in zip(tree.flatten(self.states), cells):
            state.assign(ops.full(state.shape, cell.initial_gate, dtype=state.dtype))


def rnn_inner_loop(self, cells, sequences, initial_state, mask, training=False):
    """With one draw for each SCSCell and call; `cells` are those at any depth."""
    outer = list(self.cell.cells) if isinstance(self.cell, StackedRNNCells) else [self.cell]
    if all(any(each is cell for cell in cells) for each in outer):
        initial_state, mask = gates_of(self, outer, sequences, initial_state), frame_mask(mask)
    for cell in cells:
        switch = active_switch(cell.switch, training) if cell.stream == "main" else None
        cell.draw = switch.draw() if switch is not None else None
    try:
        return RNN.inner_loop.__wrapped__(self, sequences, initial_state, mask, training=training)
    finally:
        for cell in cells:
            cell.draw = None


def gates_of(self, cells, sequences, initial_state):
    """The initial states as gates of the size of each cell's output."""
    check_sequence(sequences.shape, "RNN(SCSCell)", cells[0].channels, cells[0].rank)
    gates, states = tree.flatten(initial_state), []
    if len(gates) != len(cells):
        raise ValueError(
            "RNN needs one initial state for each SCSCell. "
            f"Received: {len(gates)} states for {len(cells)} cells. Leave out `initial_state` to start from "
            "`initial_gate`, or give all that an earlier call returned."
        )
    batch, *frame = ops.shape(sequences)[:1] + ops.shape(sequences)[2:-1]
    static = sequences.shape[2:-1]
    if self.stateful and any(None in cell.frame_size for cell in cells):
        raise ValueError(
            "`stateful=True` needs a known frame size. Received: a layer built for frames of size "
            f"{cells[0].frame_size}. Use keras.Input(batch_shape=(...)) with numbers for all axes but time."
        )
    for cell, state in zip(cells, gates):
        frame, static = cell.output_frame(frame), cell.output_frame(static)
        state = as_gate(state, (batch, *frame, cell.filters))
        if None in state.shape and keras.backend.backend() == "tensorflow":
            state.set_shape((None, *static, cell.filters))
        states.append(state)
    return tree.pack_sequence_as(initial_state, states)


def rnn_compute_mask(self, cells, sequences, mask):
    return RNN.compute_mask.__wrapped__(self, sequences, frame_mask(tree.flatten(mask)[0]))


def stacked_build(self, cells, input_shape):
    for cell, shape in zip(cells, [tuple(input_shape), *output_shapes(cells, tuple(input_shape))[0]]):
        if not cell.built:
            cell.build(shape)


def _for_cells(cell_class, cls, name, ours, among=cells_of):
    keras_own = getattr(cls, name)

    @functools.wraps(keras_own)  # keeps the argument names that Keras looks at
    def method(self, *args, **kwargs):
        cells = among(self if isinstance(self, StackedRNNCells) else self.cell, cell_class)
        return ours(self, cells, *args, **kwargs) if cells else keras_own(self, *args, **kwargs)

    setattr(cls, name, method)


@functools.cache
def install(cell_class: type) -> None:
    """Wraps the five methods, once, for cells of that class: `SCSCell`."""
    _for_cells(cell_class, RNN, "compute_output_shape", rnn_compute_output_shape, image_cells)
    _for_cells(cell_class, RNN, "reset_state", rnn_reset_state)
    _for_cells(cell_class, RNN, "inner_loop", rnn_inner_loop, cells_inside)
    _for_cells(cell_class, RNN, "compute_mask", rnn_compute_mask)
    _for_cells(cell_class, StackedRNNCells, "build", stacked_build, image_cells)
