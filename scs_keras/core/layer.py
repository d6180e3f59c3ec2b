"""SCS2D: the semi-coupled layer over a whole sequence, the fast way."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor, as_gate, check_sequence
from scs_keras.core.cell import SCSCell, check_stream
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.normalization import BranchNormalization, check_normalization
from scs_keras.core.recurrence import frame_mask, hold_last, iterate
from scs_keras.core.switch import active_switch, use_branch

UNROLL_UP_TO = 32  # longer sequences loop inside the graph unless asked otherwise


def swap_time_and_batch(tensor: Tensor) -> Tensor:
    """(batch, time, ...) to (time, batch, ...) and back."""
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))


def over_frames(function: Callable, sequence: Tensor) -> Tensor:
    """Applies a function of (batch, h, w, c) to every frame of a (time, batch, h, w, c) sequence at once."""
    time, batch, *frame = ops.shape(sequence)
    result = function(ops.reshape(sequence, (-1, *frame)))  # (time * batch, height, width, channels)
    return ops.reshape(result, (time, batch, *ops.shape(result)[1:]))


@keras.saving.register_keras_serializable("scs_keras")
class SCS2D(KeepsFrozen):
    """Semi-coupled layer over a sequence of images; equal to `keras.layers.RNN(SCSCell(...))`.

    h_s and the input half of h_t run over all time steps at once; only the convolution over the gate
    is a loop. One set of weights, those of `SCSCell`, serves the three streams.

    Args:
        filters, kernel_size, strides: see `SCSCell`; images only (rank 2).
        normalization: None, "batch" or "group", after each convolution over the input; the
            convolution over the gate is not normalised. Moving statistics are kept per stream.
        return_sequences: all time steps, or only the last.
        return_state: whether the final gate is returned too.
        stateful: whether the final gate is the next call's initial one (fixed batch and frame size).
        unroll: one copy of the step for every time step; None does so up to 32 known steps. Faster
            and needed by XLA, but the graph grows with the sequence.
        **kwargs: all other arguments of `SCSCell`, except `stream`, and of `keras.Layer`.

    Call arguments:
        sequence: (batch, time, height, width, channels), floating point; integers are cast.
        stream: "main", "spatial" or "temporal".
        initial_state: gate (batch, out height, out width, filters), or a list of it, axes of size 1 are
            repeated; None starts from `initial_gate`.
        mask: boolean (batch, time); masked steps leave the gate as it was and repeat the last output. Of more axes,
            such as pixels, a step is masked where all are.
        training: whether the switch acts and batch normalisation uses the batch.

    Returns:
        (batch, time, out height, out width, filters), or the last step (batch, out height, out width,
        filters), followed by the gate if `return_state`.

    Raises:
        ValueError: as `SCSCell`; also if the input is not a sequence of images, at least one.
    """

    CELL_ARGUMENTS = (
        "padding", "activation", "gate_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "spatial_initializer", "gate_bias_initializer", "kernel_regularizer",
        "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
        "bias_constraint", "switch", "initial_gate",
    )  # fmt: skip

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...] = 3,
        strides: int | tuple[int, ...] = 1,
        normalization: str | None = None,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        unroll: bool | None = None,
        **kwargs: Any,
    ) -> None:
        cell_arguments = {name: kwargs.pop(name) for name in self.CELL_ARGUMENTS if name in kwargs}
        super().__init__(**kwargs)
        self.cell = SCSCell(
            filters,
            kernel_size,
            strides,
            rank=2,
            name="cell",
            trainable=self.trainable,
            dtype=self.dtype_policy,
            **cell_arguments,
        )
        self.normalization = check_normalization(normalization)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.unroll = unroll
        self.supports_masking = True
        self.gate: Any = None

    def build(self, sequence_shape: tuple, initial_state_shape: tuple | None = None) -> None:
        batch, _, *frame = check_sequence(sequence_shape, "SCS2D")
        self.cell.build((batch, *frame))
        if self.normalization:
            same = dict(trainable=self.trainable, dtype=self.dtype_policy)
            self.s_norm = BranchNormalization(self.normalization, ("main", "spatial"), **same)
            self.c_norm = BranchNormalization(self.normalization, ("main", "temporal"), **same)
            for norm in (self.s_norm, self.c_norm):
                norm.build((None, *self.cell.frame_size, self.cell.filters))
        if self.stateful:
            shape = (batch, *self.cell.frame_size, self.cell.filters)
            if None in shape:
                raise ValueError(
                    "`stateful=True` needs a known batch and frame size. "
                    f"Received: shape={tuple(sequence_shape)}. Use keras.Input(batch_shape=(...))."
                )
            self.gate = self.add_weight(
                name="gate",
                shape=shape,
                initializer=keras.initializers.Constant(self.cell.initial_gate),
                trainable=False,
            )
        self.built = True

    def call(
        self,
        sequence: Tensor,
        stream: str = "main",
        initial_state: Tensor | list[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        check_sequence(sequence.shape, "SCS2D", self.cell.channels)
        gate = initial_state[0] if isinstance(initial_state, (list, tuple)) else initial_state
        if gate is None and self.stateful:
            gate = ops.convert_to_tensor(self.gate, dtype=self.compute_dtype)
        if mask is not None:
            mask = swap_time_and_batch(frame_mask(mask))
        outputs, gate = self.run(swap_time_and_batch(sequence), stream, gate, mask, bool(training))
        if self.stateful:
            self.gate.assign(gate)
        outputs = swap_time_and_batch(outputs) if self.return_sequences else outputs[-1]
        return (outputs, gate) if self.return_state else outputs

    def run(
        self,
        sequence: Tensor,
        stream: str = "main",
        gate: Tensor | None = None,
        mask: Tensor | None = None,
        training: bool = False,
        states_at: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """The layer on a time-major sequence (time, batch, height, width, channels).

        Args:
            sequence, stream, mask, training: as in the call, the mask (time, batch).
            gate: the gate before the first step, or None.
            states_at: index of the step after which the gate is returned; -1 is the end, also under a mask.

        Returns:
            (outputs, gate): the outputs (time, batch, ...), and the gate after step `states_at`.
        """
        check_stream(stream)
        cell = self.cell
        sequence = ops.cast(sequence, self.compute_dtype)
        shape = self.gate_shape(ops.shape(sequence)[1:])
        gate = self.first_gate(shape) if gate is None else as_gate(gate, shape)
        u_s = u_t = sequence
        switch = active_switch(cell.switch, training) if stream == "main" else None
        if switch is not None:
            draw = switch.draw(ops.shape(sequence)[0]).over_time(rank=5)
            u_s, u_t = use_branch(sequence, draw.spatial), use_branch(sequence, draw.temporal)
        if stream == "spatial":
            outputs = self.spatial_branch(u_s, stream, training)  # Eq. 9
            return (outputs if mask is None else hold_last(outputs, mask)), gate

        results, gate = self.recurrence(u_t, stream, gate, mask, training, states_at)
        if stream == "main":
            outputs = self.spatial_branch(u_s, stream, training) * results  # Eq. 6
        else:
            outputs = cell.activation(results)  # Eq. 11
        return (outputs if mask is None else hold_last(outputs, mask)), gate

    def recurrence(
        self,
        sequence: Tensor,
        stream: str,
        gate: Tensor,
        mask: Tensor | None = None,
        training: bool = False,
        states_at: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """(results, gate): sigmoid(c_t) of all steps, in the temporal stream c_t (Eq. 5); the rest as in `run`."""
        cell = self.cell

        def step(half, gate):
            c = half + cell.h_t_recurrent(gate)
            gate = cell.gate_activation(c)
            return (gate if stream == "main" else c), gate

        halves = self.temporal_branch(sequence, stream, training)
        length = sequence.shape[0]
        unroll = (length or UNROLL_UP_TO + 1) <= UNROLL_UP_TO if self.unroll is None else self.unroll
        results, gate = iterate(step, halves, gate, mask, unroll)
        if states_at != -1:
            gate = results[states_at] if stream == "main" else cell.gate_activation(results[states_at])
        return results, gate

    def branches(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """(relu(s_t), sigmoid(c_t)), what F multiplies (Eq. 6), of a time-major sequence at inference."""
        sequence = ops.cast(sequence, self.compute_dtype)
        gate = self.first_gate(self.gate_shape(ops.shape(sequence)[1:]))
        return self.spatial_branch(sequence, "main", False), self.recurrence(sequence, "main", gate)[0]

    def spatial_branch(self, sequence: Tensor, stream: str, training: bool) -> Tensor:
        """relu(s_t), s_t of Eq. 4, for all steps at once."""

        def branch(frames):
            s = self.cell.h_s(frames)
            if self.normalization:
                s = self.s_norm(s, stream=stream, training=training)
            return self.cell.activation(s)  # right after the convolution, so that TensorFlow fuses the two

        return over_frames(branch, sequence)

    def temporal_branch(self, sequence: Tensor, stream: str, training: bool) -> Tensor:
        """The half of Eq. 5 over the input for all steps at once."""

        def branch(frames):
            c = self.cell.h_t_input(frames)
            return self.c_norm(c, stream=stream, training=training) if self.normalization else c

        return over_frames(branch, sequence)

    def initial_gate(self, frame: Tensor) -> Tensor:
        """The gate before the first step, for a frame (batch, height, width, channels)."""
        return self.first_gate(self.gate_shape(ops.shape(frame)))

    def gate_shape(self, frame_shape: tuple) -> tuple:
        batch, *size, _ = frame_shape
        return (batch, *self.cell.output_frame(size), self.cell.filters)

    def first_gate(self, shape: tuple) -> Tensor:
        return ops.full(shape, self.cell.initial_gate, dtype=self.compute_dtype)

    def step(self, frame: Tensor, gate: Tensor, stream: str = "main") -> tuple[Tensor, Tensor]:
        """One time step at inference: (output, gate) from a frame (batch, height, width, channels)."""
        outputs, gate = self.run(frame[None], stream, gate)
        return outputs[0], gate

    def reset_state(self) -> None:
        """Sets the gate of a stateful layer back to `initial_gate`."""
        if self.gate is not None:
            self.gate.assign(ops.full(self.gate.shape, self.cell.initial_gate, dtype=self.gate.dtype))

    def compute_output_shape(self, sequence_shape: tuple, initial_state_shape: tuple | None = None) -> tuple:
        batch, time, *frame = check_sequence(sequence_shape, "SCS2D", self.cell.channels)
        state = (batch, *self.cell.output_frame(frame[:-1]), self.cell.filters)
        outputs = (batch, time, *state[1:]) if self.return_sequences else state
        return (outputs, state) if self.return_state else outputs

    def compute_mask(self, sequence: Tensor, mask: Tensor | None = None) -> Any:
        mask = frame_mask(mask) if self.return_sequences else None
        return (mask, None) if self.return_state else mask

    def get_config(self) -> dict:
        cell = self.cell.get_config()
        own = {
            name: getattr(self, name)
            for name in ("normalization", "return_sequences", "return_state", "stateful", "unroll")
        }
        taken = ("filters", "kernel_size", "strides", *self.CELL_ARGUMENTS)
        return {**super().get_config(), **{name: cell[name] for name in taken}, **own}

    @classmethod
    def from_config(cls, config: dict) -> "SCS2D":
        config = dict(config)
        config["switch"] = keras.saving.deserialize_keras_object(config.get("switch"))
        return cls(**config)
