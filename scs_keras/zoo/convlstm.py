"""The baseline's recurrent network: stacked ConvLSTM layers behind the call signature of SCSNetwork."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import check_main_stream, is_integer, refuse_activity_regularizer
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.stages import Stage, as_stages
from scs_keras.core.states import filled


@keras.saving.register_keras_serializable("scs_keras")
class ConvLSTMNetwork(KeepsFrozen):
    """Stacked `keras.layers.ConvLSTM2D` (Shi et al. 2015), to be exchanged for an `SCSNetwork`.

    Args:
        filters: list with the channels of each layer, or of `Stage`s: their strides and pooling make the frame
            smaller, residual lines there are none.
        kernel_size: odd integer, of layers that are given by their channels.
        normalization: None or "group": group normalisation of each layer's outputs.

    Its states are [h_0, c_0, h_1, c_1, ...], each (batch, height, width, filters of the layer).

    Raises:
        ValueError: for another normalisation, residual lines, or `activity_regularizer`.
    """

    def __init__(self, filters, kernel_size=3, normalization=None, **kwargs):
        refuse_activity_regularizer("ConvLSTMNetwork", kwargs)
        super().__init__(**kwargs)
        if normalization not in (None, "group"):
            raise ValueError(
                "`normalization` of a ConvLSTMNetwork must be None or 'group'. "
                f"Received: normalization={normalization!r}."
            )
        self.kernel_size, self.normalization = kernel_size, normalization
        self.filters = [each if is_integer(each) else asdict(*as_stages([each])) for each in filters]
        self.stages = as_stages(
            [Stage(each, kernel_size=kernel_size) if is_integer(each) else each for each in filters]
        )
        if any(stage.shortcut_every for stage in self.stages):
            raise ValueError(
                "A ConvLSTMNetwork is a plain stack. Allowed: stages with shortcut_every=None. "
                f"Received: {next(stage for stage in self.stages if stage.shortcut_every)}."
            )
        same: Any = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.recurrent_layers, self.norms, self.pools = [], [], []
        for stage in self.stages:
            for index in range(stage.layers):
                self.recurrent_layers.append(
                    keras.layers.ConvLSTM2D(
                        stage.filters, stage.kernel_size, stage.strides if index == 0 else 1, padding="same",
                        return_sequences=True, return_state=True, name=f"layer_{len(self.recurrent_layers)}",
                        data_format="channels_last", **same,
                    )
                )  # fmt: skip
                self.pools.append(stage.pool if index == stage.layers - 1 else None)
                if normalization:
                    groups = 8 if stage.filters % 8 == 0 else 1
                    self.norms.append(keras.layers.GroupNormalization(groups, epsilon=1e-5, **same))
        for layer in self.recurrent_layers:
            layer.cell.trainable = self.trainable

    def build(self, frames_shape):
        batch, time, height, width, channels = frames_shape
        for layer, frame in zip(self.recurrent_layers, self._inputs(height, width)):
            layer.build((batch, time, *frame, channels))
            channels = layer.filters
        for norm, layer in zip(self.norms, self.recurrent_layers):
            norm.build((None, None, None, layer.filters))
        self.built = True

    def call(self, frames, stream="main", training=None):
        return swap_time_and_batch(self.run(swap_time_and_batch(frames), stream)[0])

    def run(self, sequence, stream="main", states=None, training=False, states_at=-1, mask=None):
        """As `SCSNetwork.run`, on a time-major sequence; there is one stream only.

        Raises:
            ValueError: for a sub-goal's stream.
        """
        check_main_stream(stream, "A ConvLSTM has no sub-goal networks.")
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
                if self.pools[index]:
                    u = ops.max_pool(u, self.pools[index], 2, padding="same", data_format="channels_last")
            outputs.append(u)
            if step == states_at % time:
                kept = [state for pair in pairs for state in pair]
        return ops.stack(outputs), kept

    def _inputs(self, height, width):
        """(height, width) of what each layer sees, and last of what comes out; None where not known."""
        frame = (height, width)
        yield frame
        for layer, pool in zip(self.recurrent_layers, self.pools):
            frame = _divided(frame, layer.strides[0])
            frame = _divided(frame, 2) if pool else frame
            yield frame

    def initial_states(self, batch_size, height, width):
        """Zeros, the states before the first frame of the given size."""
        return [
            filled((batch_size, *_divided(frame, layer.strides[0]), layer.filters), 0.0, self.compute_dtype)
            for layer, frame in zip(self.recurrent_layers, self._inputs(height, width))
            for _ in range(2)
        ]

    def compute_output_shape(self, frames_shape):
        *_, frame = self._inputs(*frames_shape[2:4])
        return (*frames_shape[:2], *frame, self.recurrent_layers[-1].filters)

    def get_config(self):
        own = dict(filters=self.filters, kernel_size=self.kernel_size, normalization=self.normalization)
        return {**super().get_config(), **own}


def _divided(frame, strides):
    """The size of a frame after a convolution with these strides, rounded up; None stays None."""
    return tuple(size if size is None else -(-size // strides) for size in frame)
