"""The third recurrent network of Tab. 4: stacked convolutional GRUs behind the call signature of SCSNetwork."""

from typing import Any

import keras
from keras import layers, ops

from scs_keras.core.arguments import Tensor, check_counts, check_main_stream
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.states import filled


@keras.saving.register_keras_serializable("scs_keras.outline")
class ConvGRUNetwork(KeepsFrozen):
    """Stacked convolutional GRUs (Ballas et al. 2016), of the frames' size.

        z, r = sigmoid(Conv([u, h]));  h' = tanh(Conv([u, r * h]));  h = (1 - z) * h + z * h'

    Args:
        filters: list with the channels of each layer.
        kernel_size: odd integer.

    Its states are [h_0, h_1, ...], each (batch, height, width, filters of the layer), zeros at first.
    """

    def __init__(self, filters: list[int], kernel_size: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_counts(kernel_size=kernel_size, **{f"filters_{index}": each for index, each in enumerate(filters)})
        self.filters, self.kernel_size = list(filters), kernel_size
        same = dict(padding="same", data_format="channels_last", trainable=self.trainable, dtype=self.dtype_policy)
        self.gates, self.candidates = (
            [layers.Conv2D(times * each, kernel_size, name=f"{name}_{index}", **same)
             for index, each in enumerate(self.filters)]
            for name, times in (("gates", 2), ("candidate", 1))
        )  # fmt: skip

    def build(self, frames_shape: tuple) -> None:
        channels = frames_shape[-1]
        for gates, candidate, filters in zip(self.gates, self.candidates, self.filters):
            for layer in (gates, candidate):
                layer.build((None, *frames_shape[2:4], channels + filters))
            channels = filters
        self.built = True

    def call(self, frames: Tensor, stream: str = "main", training: bool | None = None) -> Tensor:
        return swap_time_and_batch(self.run(swap_time_and_batch(frames), stream)[0])

    def run(
        self,
        sequence: Tensor,
        stream: str = "main",
        states: list[Tensor] | None = None,
        training: bool = False,
        states_at: int = -1,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `SCSNetwork.run`, on a time-major sequence; there is one stream only.

        Raises:
            ValueError: for a sub-goal's stream.
        """
        check_main_stream(stream, "A convolutional GRU has no sub-goal networks.")
        time, batch, height, width = ops.shape(sequence)[:4]
        states = list(self.initial_states(batch, height, width) if states is None else states)
        outputs, kept = [], states
        for step, frame in enumerate(ops.unstack(sequence, time)):
            u = ops.cast(frame, self.compute_dtype)
            for index, (gates, candidate) in enumerate(zip(self.gates, self.candidates)):
                h = states[index]
                z, r = ops.split(ops.sigmoid(gates(ops.concatenate([u, h], axis=-1))), 2, axis=-1)
                new = (1 - z) * h + z * ops.tanh(candidate(ops.concatenate([u, r * h], axis=-1)))
                u = states[index] = new if mask is None else ops.where(ops.reshape(mask[step], (-1, 1, 1, 1)), new, h)
            outputs.append(u)
            if step == states_at % time:
                kept = list(states)
        return ops.stack(outputs), kept

    def initial_states(self, batch_size: Any, height: Any, width: Any) -> list[Tensor]:
        """Zeros, the states before the first frame of the given size."""
        return [filled((batch_size, height, width, each), 0.0, self.compute_dtype) for each in self.filters]

    def compute_output_shape(self, frames_shape: tuple) -> tuple:
        return (*frames_shape[:-1], self.filters[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}
