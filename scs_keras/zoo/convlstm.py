"""The baseline's recurrent network: stacked ConvLSTM layers behind the call signature of SCSNetwork."""

from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import refuse_activity_regularizer
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.states import filled


@keras.saving.register_keras_serializable("scs_keras")
class ConvLSTMNetwork(KeepsFrozen):
    """Stacked `keras.layers.ConvLSTM2D` (Shi et al. 2015), to be exchanged for an `SCSNetwork`.

    Args:
        filters: list with the channels of each layer.
        kernel_size: odd integer.
        normalization: None or "group": group normalisation of each layer's outputs.

    Its states are [h_0, c_0, h_1, c_1, ...], each (batch, height, width, filters of the layer).

    Raises:
        ValueError: for another normalisation, or `activity_regularizer`.
    """

    def __init__(self, filters, kernel_size=3, normalization=None, **kwargs):
        refuse_activity_regularizer("ConvLSTMNetwork", kwargs)
        super().__init__(**kwargs)
        if normalization not in (None, "group"):
            raise ValueError(
                "`normalization` of a ConvLSTMNetwork must be None or 'group'. "
                f"Received: normalization={normalization!r}."
            )
        self.filters, self.kernel_size, self.normalization = list(filters), kernel_size, normalization
        same: Any = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.recurrent_layers = [
            keras.layers.ConvLSTM2D(
                each, kernel_size, padding="same", return_sequences=True, return_state=True,
                name=f"layer_{index}", data_format="channels_last", **same,
            )
            for index, each in enumerate(self.filters)
        ]  # fmt: skip
        for layer in self.recurrent_layers:
            layer.cell.trainable = self.trainable
        self.norms = [
            keras.layers.GroupNormalization(8 if each % 8 == 0 else 1, epsilon=1e-5, **same)
            for each in self.filters
        ] if normalization else []  # fmt: skip

    def build(self, frames_shape):
        shape = tuple(frames_shape)
        for layer in self.recurrent_layers:
            layer.build(shape)
            shape = (*shape[:-1], layer.filters)
        for norm, each in zip(self.norms, self.filters):
            norm.build((None, None, None, each))
        self.built = True

    def call(self, frames, stream="main", training=None):
        return swap_time_and_batch(self.run(swap_time_and_batch(frames), stream)[0])

    def run(self, sequence, stream="main", states=None, training=False, states_at=-1, mask=None):
        """As `SCSNetwork.run`, on a time-major sequence; there is one stream only.

        Raises:
            ValueError: for a sub-goal's stream.
        """
        if stream != "main":
            raise ValueError(
                f"A ConvLSTM has no sub-goal networks. Allowed: stream='main'. Received: stream={stream!r}. "
                "Compile the model without spatial_loss and temporal_loss."
            )
        time, batch, height, width = ops.shape(sequence)[:4]
        states = self.initial_states(batch, height, width) if states is None else states
        pairs, outputs, kept = list(zip(states[::2], states[1::2])), [], None
        for step, frame in enumerate(ops.unstack(sequence, time)):
            u = ops.cast(frame, self.compute_dtype)
            for index, layer in enumerate(self.recurrent_layers):
                # Not layer.cell(...): Keras holds a ConvLSTM to the frame size it was built for.
                u, new = layer.cell.call(u, list(pairs[index]))
                if mask is not None:
                    open_ = ops.reshape(mask[step], (-1, 1, 1, 1))
                    new = [ops.where(open_, *both) for both in zip(new, pairs[index])]
                pairs[index] = new
                if self.norms:
                    u = self.norms[index](u)
            outputs.append(u)
            if step == states_at % time:
                kept = [state for pair in pairs for state in pair]
        return ops.stack(outputs), kept

    def initial_states(self, batch_size, height, width):
        """Zeros, the states before the first frame of the given size."""
        return [
            filled((batch_size, height, width, each), 0.0, self.compute_dtype)
            for each in self.filters
            for _ in range(2)
        ]

    def compute_output_shape(self, frames_shape):
        return (*frames_shape[:-1], self.filters[-1])

    def get_config(self):
        own = dict(filters=self.filters, kernel_size=self.kernel_size, normalization=self.normalization)
        return {**super().get_config(), **own}
