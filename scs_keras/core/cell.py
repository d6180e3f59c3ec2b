"""The semi-coupled layer as an RNN cell (Eq. 4-6, 9 and 11 of the paper)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import (
    Tensor,
    as_gate,
    axes_of,
    check_batch,
    check_channels,
    is_count,
    is_number,
    refuse_activity_regularizer,
)
from scs_keras.core.keras_private import serialize_shared
from scs_keras.core.operator import add_bias, apply_operator, integer_tuple, output_size
from scs_keras.core.rnn_support import install
from scs_keras.core.switch import Switch, active_switch, check_switch, use_branch

STREAMS = ("main", "spatial", "temporal")


def check_stream(stream: str) -> str:
    """Returns `stream`; raises ValueError if it is not one of the three."""
    if stream not in STREAMS:
        raise ValueError(f"`stream` must be one of {STREAMS}: the paper's T, T1 and T2. Received: stream={stream!r}.")
    return stream


def fresh(initializer: Any) -> Any:
    """A copy of an unseeded initializer: Keras's give the same values at every call, so h_s would equal h_t."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    return initializer if initializer.get_config().get("seed") is not None else initializer.clone()


@keras.saving.register_keras_serializable("scs_keras")
class SCSCell(keras.Layer):
    """One semi-coupled layer G = F[h_s, h_t] for one time step, to put into `keras.layers.RNN`.

        s_t = Conv(u_t; psi_s)                                   (Eq. 4, spatial branch h_s)
        c_t = Conv([u_t, sigmoid(c_{t-1})]; psi_t)               (Eq. 5, temporal branch h_t)
        main:      y_t = relu(s_t) * sigmoid(c_t)                (Eq. 6, synthesizer F)
        spatial:   y_t = relu(s_t)                               (Eq. 9, T1)
        temporal:  y_t = relu(c_t)                               (Eq. 11, T2)

    The state is the gate sigmoid(c_t): all that the next step needs. Conv([u, gate]) is computed as
    its two exact halves; the half over the input may be strided, the half over the gate never is, so
    the state has the size of the output.

    Args:
        filters: number of output channels F.
        kernel_size: integer or tuple of `rank` odd integers.
        strides: integer or tuple, of the two convolutions over the input.
        padding: "same" or "valid", of the two convolutions over the input.
        rank: 0 for vectors (a dense map), 1, 2 or 3 for convolutions.
        activation: of the spatial branch; "relu" is the paper's, "tanh" the outline demo's and CBM's.
        gate_activation: of the temporal branch.
        use_bias: whether both branches have a bias.
        kernel_initializer: of both kernels over the input.
        recurrent_initializer: of the kernel over the gate.
        bias_initializer: of both biases.
        spatial_initializer: of the spatial kernel, if another than `kernel_initializer`
            (relu(s)*sigmoid(c) keeps about 1/8 of the variance of s: a gain of sqrt(8) keeps the
            signal through any depth).
        gate_bias_initializer: of the temporal bias, if another than `bias_initializer`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: optional penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: optional constraints.
        stream: "main", "spatial" (ignores its state and hands it on) or "temporal".
        switch: an `STSGD` or `ASTSGD`, or None; acts in the main stream while training. Under
            `keras.layers.RNN`, also inside a cell of your own, there is one draw per layer and call (in `SCS2D` one
            per time step).
        initial_gate: the gate before the first step, in [0, 1]; 0.5 is the paper's c_0 = 0, 0.0 the
            reference code's.

    Weights, in this order, with k the kernel size and C the input channels:
        `spatial_kernel` (*k, C, F), `spatial_bias` (F,), `temporal_kernel` (*k, C, F),
        `recurrent_kernel` (*k, F, F), `temporal_bias` (F,).

    Call arguments:
        inputs: u_t, (batch, *frame, C), floating point; integers are cast.
        states: the gate, (batch, *output frame, F), or a list of it; axes of size 1 are repeated.
        training: whether the switch acts.

    Returns:
        `(output, [gate])`, both (batch, *output frame, F).

    Raises:
        ValueError: on an argument outside these ranges or `activity_regularizer`, an even kernel size, a wrong number
            of input axes, an input without a known channel size or with another than the cell was built for, a
            frame smaller than the kernel with "valid" padding, or a state of another shape.

    References:
        Pang et al., "Complex Sequential Understanding through the Awareness of Spatial and Temporal
        Concepts", Nature Machine Intelligence 2020, Sec. 5.1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...] = 3,
        strides: int | tuple[int, ...] = 1,
        padding: str = "same",
        rank: int = 2,
        activation: Any = "relu",
        gate_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_normal",
        recurrent_initializer: Any = "glorot_normal",
        bias_initializer: Any = "zeros",
        spatial_initializer: Any = None,
        gate_bias_initializer: Any = None,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        stream: str = "main",
        switch: Switch | None = None,
        initial_gate: float = 0.5,
        **kwargs: Any,
    ) -> None:
        refuse_activity_regularizer("SCSCell", kwargs)
        super().__init__(**kwargs)
        install(SCSCell)  # pyright: ignore[reportArgumentType]  (teaches keras.layers.RNN that states are images)
        if rank not in (0, 1, 2, 3):
            raise ValueError(
                "`rank` must be 0 (vectors), 1, 2 or 3 (axes of a convolution). "
                f"Received: rank={rank!r}. For images: rank=2."
            )
        if not is_count(filters):
            raise ValueError(f"`filters` must be a positive integer. Received: filters={filters!r}.")
        if padding not in ("same", "valid"):
            raise ValueError(f"`padding` must be 'same' or 'valid'. Received: padding={padding!r}.")
        if not is_number(initial_gate) or not 0 <= initial_gate <= 1:
            raise ValueError(
                "`initial_gate` is a value of the sigmoid and must lie in [0, 1]. "
                f"Received: initial_gate={initial_gate!r}. For example: initial_gate=0.5."
            )
        self.filters = int(filters)
        self.rank = rank
        self.kernel_size = integer_tuple(kernel_size, rank, "kernel_size")
        if any(size % 2 == 0 for size in self.kernel_size):
            raise ValueError(
                "`kernel_size` must be odd, so that a gate lies over the pixel it belongs to. "
                f"Received: kernel_size={kernel_size!r}. For example: kernel_size=3."
            )
        self.strides = integer_tuple(strides, rank, "strides")
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.spatial_initializer = keras.initializers.get(spatial_initializer)
        self.gate_bias_initializer = keras.initializers.get(gate_bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.stream = check_stream(stream)
        self.switch = check_switch(switch)
        self.initial_gate = float(initial_gate)
        self.state_size = self.filters
        self.output_size = self.filters
        self.channels = None  # of the input, once built
        self.frame_size = (None,) * rank
        self.draw = None  # branch scales drawn before a loop over time

    def build(self, inputs_shape: tuple, states_shape: tuple | None = None) -> None:
        self.check_frame(inputs_shape)
        channels = inputs_shape[-1]
        if channels is None:
            raise ValueError(
                "The number of input channels must be known to build an SCSCell. "
                f"Received: shape={tuple(inputs_shape)}. "
                "Give the last axis of keras.Input(shape=(...)) a number."
            )
        k, F = self.kernel_size, self.filters
        kernel = dict(regularizer=self.kernel_regularizer, constraint=self.kernel_constraint)
        bias = dict(regularizer=self.bias_regularizer, constraint=self.bias_constraint)
        bias_shape = (F,)

        def bias_weight(name, initializer):
            if not self.use_bias:
                return None
            return self.add_weight(name=name, shape=bias_shape, initializer=fresh(initializer), **bias)

        self.spatial_kernel = self.add_weight(
            name="spatial_kernel",
            shape=(*k, channels, F),
            initializer=fresh(self.spatial_initializer or self.kernel_initializer),
            **kernel,
        )
        self.spatial_bias = bias_weight("spatial_bias", self.bias_initializer)
        self.temporal_kernel = self.add_weight(
            name="temporal_kernel",
            shape=(*k, channels, F),
            initializer=fresh(self.kernel_initializer),
            **kernel,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(*k, F, F),
            initializer=fresh(self.recurrent_initializer),
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.temporal_bias = bias_weight("temporal_bias", self.gate_bias_initializer or self.bias_initializer)
        self.frame_size = self.output_frame(inputs_shape[1:-1])
        self.channels = channels
        self.built = True

    def check_frame(self, shape: tuple) -> None:
        """Raises ValueError if the shape of one frame has the wrong number of axes or channels."""
        if len(shape) != self.rank + 2:
            frame, sequence = axes_of(self.rank)
            raise ValueError(
                f"An SCSCell of rank {self.rank} takes one frame with {self.rank + 2} axes {frame}; a sequence "
                "goes through keras.layers.RNN(SCSCell(...)) or SCS2D, and inside RNN it needs "
                f"{self.rank + 3} axes {sequence}. Received: a frame of shape={tuple(shape)}. "
                "Add a channel axis to the sequence with x[..., None], or a time axis with x[:, None]."
            )
        check_batch(shape, "SCSCell")
        check_channels(tuple(shape), "SCSCell", self.channels)

    def output_frame(self, frame: Sequence) -> tuple:
        """Size of the output frame for an input frame's size (integers, None or scalar tensors)."""
        return tuple(
            output_size(size, k, stride, self.padding) for size, k, stride in zip(frame, self.kernel_size, self.strides)
        )

    def h_s(self, u: Tensor) -> Tensor:
        """Spatial branch without its state: Conv(u; psi_s) (Eq. 4)."""
        s = apply_operator(u, self.spatial_kernel, self.strides, self.padding)
        return add_bias(s, ops.cast(self.spatial_bias, s.dtype)) if self.use_bias else s

    def h_t_input(self, u: Tensor) -> Tensor:
        """The half of Eq. 5 over the input, bias included."""
        c = apply_operator(u, self.temporal_kernel, self.strides, self.padding)
        return add_bias(c, ops.cast(self.temporal_bias, c.dtype)) if self.use_bias else c

    def h_t_recurrent(self, gate: Tensor) -> Tensor:
        """The half of Eq. 5 over the previous gate."""
        return apply_operator(gate, self.recurrent_kernel)

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        self.check_frame(inputs.shape)
        inputs = ops.cast(inputs, self.compute_dtype)
        size = self.output_frame(ops.shape(inputs)[1:-1])
        gate = states[0] if isinstance(states, (list, tuple)) else states
        gate = as_gate(gate, (ops.shape(inputs)[0], *size, self.filters))
        if self.stream == "spatial":
            return self.activation(self.h_s(inputs)), [gate]  # Eq. 9
        u_s = u_t = inputs
        switch = active_switch(self.switch, training) if self.stream == "main" else None
        if switch is not None:
            draw = self.draw if self.draw is not None else switch.draw()
            u_s, u_t = use_branch(inputs, draw.spatial), use_branch(inputs, draw.temporal)
        c = self.h_t_input(u_t) + self.h_t_recurrent(gate)  # Eq. 5
        gate = self.gate_activation(c)
        if self.stream == "temporal":
            return self.activation(c), [gate]  # Eq. 11
        s = self.h_s(u_s)  # Eq. 4
        return self.activation(s) * gate, [gate]  # Eq. 6

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """[gate before the first step]; axes of unknown size are 1 and broadcast in the loop."""
        frame = tuple(1 if size is None else size for size in self.frame_size)
        shape = (batch_size, *frame, self.filters)
        return [ops.full(shape, self.initial_gate, dtype=self.compute_dtype)]

    def compute_output_shape(self, inputs_shape: tuple, states_shape: tuple | None = None) -> tuple[tuple, list[tuple]]:
        self.check_frame(inputs_shape)
        shape = (inputs_shape[0], *self.output_frame(inputs_shape[1:-1]), self.filters)
        return shape, [shape]

    def get_config(self) -> dict:
        objects = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in (
                "activation", "gate_activation", "kernel_initializer", "recurrent_initializer",
                "bias_initializer", "spatial_initializer", "gate_bias_initializer", "kernel_regularizer",
                "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
                "bias_constraint",
            )
        }  # fmt: skip
        plain = {
            name: getattr(self, name)
            for name in (
                "filters", "kernel_size", "strides", "padding", "rank", "use_bias", "stream", "initial_gate",
            )
        }  # fmt: skip
        return {**super().get_config(), **plain, **objects, "switch": serialize_shared(self.switch)}

    @classmethod
    def from_config(cls, config: dict) -> "SCSCell":
        config = dict(config)
        config["switch"] = keras.saving.deserialize_keras_object(config.get("switch"))
        return cls(**config)
