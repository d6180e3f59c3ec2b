"""SCSNetwork: the deep nested structure T = G_1 o G_2 o ... o G_n (Eq. 3)."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor, check_arguments, check_sequence, is_integer
from scs_keras.core.cell import check_stream
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.layer import SCS2D, over_frames, swap_time_and_batch
from scs_keras.core.normalization import BranchNormalization
from scs_keras.core.recurrence import frame_mask
from scs_keras.core.stages import as_stages, check_valid_padding
from scs_keras.core.states import filled


@keras.saving.register_keras_serializable("scs_keras")
class SCSNetwork(KeepsFrozen):
    """A deep network of semi-coupled layers, one set of weights for the streams T, T1 and T2.

    A residual line adds a block's input to its output: the identity where the shape stays, else a
    1x1 convolution with the block's stride, normalisation and ReLU, shared by the streams.

    Args:
        structure: a variant's name (`VARIANTS`), a list of filters (a plain stack), or a list of `Stage`.
        name, dtype, trainable: of the network.
        **layer_arguments: of every `SCS2D` layer: `normalization`, `activation`, `switch`, `unroll`, ...
            (`LAYER_ARGUMENTS`). What a sequence in and a sequence out leave no room for is refused.

    Call arguments:
        frames: (batch, time, height, width, channels), floating point; integers are cast.
        stream: "main", "spatial" or "temporal".
        initial_states: list with a gate for each layer, or None: the layers' initial gate.
        training: whether the switch acts and batch normalisation uses the batch.
        return_states: whether the final gates are returned too.
        mask: boolean (batch, time), or with more axes as in `SCS2D`; masked steps leave the gates as they were.

    Returns:
        u^n, (batch, time, out height, out width, filters of the last stage); with `return_states` also
        the list of final gates.

    Raises:
        ValueError: as `SCS2D`; also if the structure is none of these, a layer's argument is not among those
            above, a residual line would need another padding, or `initial_states` has another number of gates
            than the network layers.
    """

    LAYER_ARGUMENTS = ("normalization", "unroll", *SCS2D.CELL_ARGUMENTS)

    def __init__(
        self, structure: Any, name: str | None = None, dtype: Any = None, trainable: bool = True, **layer_arguments: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        check_arguments("SCSNetwork", layer_arguments, ("name", "dtype", "trainable", *self.LAYER_ARGUMENTS))
        self.stages = as_stages(structure)
        if layer_arguments.get("padding") == "valid":
            check_valid_padding(self.stages)
        self.layer_arguments = layer_arguments
        self.scs_layers, self.blocks, self.stage_of = [], [], []  # the stage of each block
        self.supports_masking = True
        for place, stage in enumerate(self.stages):
            self._add_stage(stage)
            self.stage_of += [place] * (len(self.blocks) - len(self.stage_of))

    def _add_stage(self, stage):
        size = stage.shortcut_every or stage.layers
        for first in range(0, stage.layers, size):
            block = []
            for index in range(first, first + size):
                layer = SCS2D(
                    stage.filters,
                    stage.kernel_size,
                    strides=stage.strides if index == 0 else 1,
                    name=f"layer_{len(self.scs_layers)}",
                    trainable=self.trainable,
                    dtype=self.dtype_policy,
                    **self.layer_arguments,
                )
                self.scs_layers.append(layer)
                block.append(layer)
            strides = stage.strides if first == 0 else 1
            shortcut = None
            if stage.shortcut_every:
                shortcut = Shortcut(
                    stage.filters, strides, block[0].normalization,
                    name=f"shortcut_{len(self.blocks)}", trainable=self.trainable, dtype=self.dtype_policy,
                )  # fmt: skip
            self.blocks.append((block, shortcut, stage.pool if first + size == stage.layers else None))

    def build(self, frames_shape: tuple, initial_states_shape: tuple | None = None) -> None:
        shape = check_sequence(frames_shape, "SCSNetwork")
        for block, shortcut, pool in self.blocks:
            if shortcut is not None:
                shortcut.build(shape)
            for layer in block:
                layer.build(shape)
                shape = (*shape[:2], *layer.cell.frame_size, layer.cell.filters)
            shape = (*shape[:2], *self._pooled(shape[2:4], pool), shape[-1])
        self.built = True

    @staticmethod
    def _pooled(frame, pool):
        return tuple(size and (size + 1) // 2 for size in frame) if pool else tuple(frame)

    def call(
        self,
        frames: Tensor,
        stream: str = "main",
        initial_states: list[Tensor] | None = None,
        training: bool | None = None,
        return_states: bool = False,
        mask: Tensor | None = None,
    ) -> Any:
        check_sequence(frames.shape, "SCSNetwork", self.channels)
        mask = None if mask is None else swap_time_and_batch(frame_mask(mask))
        outputs, states = self.run(swap_time_and_batch(frames), stream, initial_states, bool(training), mask=mask)
        outputs = swap_time_and_batch(outputs)
        return (outputs, states) if return_states else outputs

    @property
    def channels(self) -> int | None:
        """Number of input channels; None if the network is not built."""
        return self.scs_layers[0].cell.channels

    def run(
        self,
        sequence: Tensor,
        stream: str = "main",
        states: list[Tensor] | None = None,
        training: bool = False,
        states_at: int = -1,
        mask: Tensor | None = None,
        taps: tuple[int, ...] = (),
    ) -> tuple:
        """The network on a time-major sequence (time, batch, height, width, channels).

        Args:
            sequence, stream, training: as in the call.
            states: list with a gate for each layer, or None.
            states_at: index of the step after which the gates are returned; -1 is the end.
            mask: boolean (time, batch); masked steps leave the gates as they were.
            taps: stages, by their place in the structure from 0 on.

        Returns:
            (outputs, states): the outputs (time, batch, ...), and the list of gates after step `states_at`. With
            `taps` (outputs, states, features): the list of the features after each of these stages, pooled where it
            pools.
        """
        check_stream(stream)
        self.check_taps(taps)
        time, batch, *frame = sequence.shape
        check_sequence((batch, time, *frame), "SCSNetwork", self.channels)
        states = [None] * len(self.scs_layers) if states is None else list(states)
        if len(states) != len(self.scs_layers):
            raise ValueError(
                f"The initial states of this SCSNetwork are {len(self.scs_layers)} gates, one for each layer. "
                f"Received: {len(states)}. Take them from `initial_states(batch_size, height, width)`, or from "
                "a call with return_states=True."
            )
        u, gates, after = ops.cast(sequence, self.compute_dtype), [], {}
        for (block, shortcut, pool), stage in zip(self.blocks, self.stage_of):
            line = u
            for layer in block:
                u, gate = layer.run(u, stream, states[len(gates)], mask, training, states_at)
                gates.append(gate)
            u = self._after_block(u, line, shortcut, pool, stream, training)
            after[stage] = u  # that of the stage's last block stays
        return (u, gates, [after[tap] for tap in taps]) if taps else (u, gates)

    @staticmethod
    def _after_block(u, line, shortcut, pool, stream="main", training=False):
        """u with the residual line of its block, which began with `line`, and pooled."""
        if shortcut is not None:
            u = u + over_frames(lambda x: shortcut(x, stream=stream, training=training), line)
        if pool:
            u = over_frames(lambda x: ops.max_pool(x, pool, 2, padding="same", data_format="channels_last"), u)
        return u

    def branches(self, sequence: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What h_s and h_t of each of `scs_layers` give to F, relu(s_t) and sigmoid(c_t), in the main stream at
        inference, of a time-major sequence (time, batch, height, width, channels)."""
        found, u = [], ops.cast(sequence, self.compute_dtype)
        for block, shortcut, pool in self.blocks:
            line = u
            for layer in block:
                found.append(layer.branches(u))
                u = found[-1][0] * found[-1][1]
            u = self._after_block(u, line, shortcut, pool)
        return found

    def check_taps(self, taps: tuple[int, ...]) -> None:
        """Raises ValueError if one of `taps` is no stage."""
        wrong = [tap for tap in taps if not is_integer(tap) or not 0 <= tap < len(self.stages)]
        if wrong:
            raise ValueError(
                f"`taps` names stages of the network, 0 to {len(self.stages) - 1}. Received: {wrong[0]!r} in "
                f"taps={tuple(taps)}. For example: taps=({len(self.stages) - 1},)."
            )

    def tap_shapes(self, frames_shape: tuple, taps: tuple[int, ...]) -> list[tuple]:
        """Shapes (batch, time, height, width, channels) of what `run` gives for `taps` and frames of that shape."""
        self.check_taps(taps)
        states = iter(self._state_shapes(frames_shape[0], *frames_shape[2:4]))
        after = {}
        for (block, _, pool), stage in zip(self.blocks, self.stage_of):
            batch, *frame, channels = [next(states) for _ in block][-1]
            after[stage] = (batch, frames_shape[1], *self._pooled(frame, pool), channels)
        return [after[tap] for tap in taps]

    def step(self, frame: Tensor, states: list[Tensor], stream: str = "main") -> tuple[Tensor, list[Tensor]]:
        """One time step at inference, for streaming.

        Args:
            frame: (batch, height, width, channels).
            states: list of gates, from `initial_states` or the last step.
            stream: as in the call.

        Returns:
            (u, states): the output (batch, out height, out width, filters) and the next gates.
        """
        if not self.built:
            self.build((None, None, *ops.convert_to_tensor(frame).shape[1:]))
        outputs, states = self.run(ops.convert_to_tensor(frame)[None], stream, states)
        return outputs[0], states

    def initial_states(self, batch_size: Any, height: Any, width: Any) -> list[Tensor]:
        """List with the gate of every layer before the first frame of the given size."""
        gates = (layer.cell.initial_gate for layer in self.scs_layers)
        return [
            filled(shape, gate, self.compute_dtype)
            for shape, gate in zip(self._state_shapes(batch_size, height, width), gates)
        ]

    def compute_output_spec(
        self,
        frames: Tensor,
        stream: str = "main",
        initial_states: list[Tensor] | None = None,
        training: bool | None = None,
        return_states: bool = False,
        mask: Tensor | None = None,
    ) -> Any:
        if not self.built:
            self.build(frames.shape)
        batch, time, *frame = check_sequence(frames.shape, "SCSNetwork", self.channels)[:-1]
        states = [keras.KerasTensor(gate, dtype=self.compute_dtype) for gate in self._state_shapes(batch, *frame)]
        last = self._pooled(states[-1].shape[1:3], self.blocks[-1][2])
        outputs = keras.KerasTensor((batch, time, *last, states[-1].shape[-1]), dtype=self.compute_dtype)
        return (outputs, states) if return_states else outputs

    def compute_mask(self, frames: Tensor, previous_mask: Tensor | None = None) -> Any:
        return frame_mask(previous_mask)

    def _state_shapes(self, batch, height, width):
        shapes, frame = [], (height, width)
        for block, _, pool in self.blocks:
            for layer in block:
                frame = layer.cell.output_frame(frame)
                shapes.append((batch, *frame, layer.cell.filters))
            frame = self._pooled(frame, pool)
        return shapes

    def get_config(self) -> dict:
        layer = self.scs_layers[0].get_config()
        arguments = {name: layer[name] for name in self.layer_arguments}
        return {**super().get_config(), "structure": [asdict(stage) for stage in self.stages], **arguments}

    @classmethod
    def from_config(cls, config: dict) -> "SCSNetwork":
        config = dict(config)
        if "switch" in config:
            config["switch"] = keras.saving.deserialize_keras_object(config["switch"])
        return cls(config.pop("structure"), **config)


class Shortcut(keras.Layer):
    """Residual line of a block: the identity, or where the shape changes a 1x1 convolution, normalisation, ReLU."""

    def __init__(self, filters: int, strides: int | tuple[int, ...], normalization: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.strides, self.normalization = filters, strides, normalization
        self.convolution = None

    def build(self, shape: tuple) -> None:
        """shape: (batch, time, height, width, channels) of the block's input."""
        if shape[-1] != self.filters or self.strides != 1:
            same = dict(trainable=self.trainable, dtype=self.dtype_policy)
            self.convolution = keras.layers.Conv2D(
                self.filters, 1, self.strides, padding="same", data_format="channels_last",
                kernel_initializer="glorot_normal", **same,
            )  # fmt: skip
            self.convolution.build((None, *shape[2:]))
            if self.normalization:
                streams = ("main", "spatial", "temporal")
                self.norm = BranchNormalization(self.normalization, streams, **same)
                self.norm.build((None, None, None, self.filters))
        self.built = True

    def call(self, frames: Tensor, stream: str, training: bool = False) -> Any:
        if self.convolution is None:
            return frames
        line = self.convolution(frames)
        if self.normalization:
            line = self.norm(line, stream=stream, training=training)
        return ops.relu(line)
