"""Heads of an SCSModel that are more than a layer of the last features: with a state, with inputs, at several scales.

A head is a layer from features (batch, time, height, width, channels) to outputs (batch, time, ...). One with

    initial_states(batch_size) -> list of tensors (batch, ...)
    run(features, inputs, states, training=False, states_at=-1, mask=None) -> (outputs, states)

has a state, which clips and `step` hand on, and sees the model's inputs {name: (batch, time, ...)}, with what is made
of the whole-sequence ones {name: (batch, ...)} (a single input is "frames"). It is built by
`build(features_shape, inputs_shape)`. One with `taps`, stages of the network, is given a list: the features after each.
"""

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from scs_keras.core.arguments import Tensor, check_known
from scs_keras.core.inputs import named
from scs_keras.core.keras_private import all_layers
from scs_keras.core.states import filled


def has_state(head: Any) -> bool:
    """Whether a head has a state of its own, see above."""
    return callable(getattr(head, "run", None))


def build_head(head: Any, features: Any, inputs: dict) -> None:
    """Builds a head for the shapes of its features and of the model's inputs, unless it is built."""
    if not head.built:
        head.build(features, inputs) if has_state(head) else head.build(features)


def run_head(
    head: Any,
    features: Any,
    inputs: dict,
    states: list[Tensor] | None,
    training: bool,
    states_at: int = -1,
    mask: Tensor | None = None,
) -> tuple[Any, list[Tensor]]:
    """(outputs, states after step `states_at`) of any head; no states of one that has none."""
    if not has_state(head):
        return head(features, training=training), []
    if states is None:
        first = features[0] if isinstance(features, (list, tuple)) else features
        states = head.initial_states(ops.shape(first)[0])
    return head.run(features, inputs, states, training=training, states_at=states_at, mask=mask)


def loses_state(head: Any) -> bool:
    """Whether a head holds a recurrent layer whose state nothing carries from clip to clip."""
    if head is None or has_state(head):
        return False
    layers = all_layers(head)
    frames = [layer for layer in layers if isinstance(layer, keras.layers.TimeDistributed)]
    inside = {id(each) for layer in frames for each in all_layers(layer.layer)}
    return any(isinstance(each, keras.layers.RNN) and id(each) not in inside for each in layers)


@keras.saving.register_keras_serializable("scs_keras")
class RecurrentHead(keras.Layer):
    """Each frame -> `before` -> recurrent layer -> `after`; the recurrent state is the head's.

        RecurrentHead(keras.layers.LSTM(64), before=keras.layers.TimeDistributed(keras.layers.Flatten()),
                      after=keras.layers.Dense(10))

    Args:
        recurrent: `keras.layers.LSTM`, `GRU`, `SimpleRNN` or `RNN` of vectors, forwards in time and not `stateful`.
        before: layer from the features to vectors (batch, time, units); None averages over the pixels.
        after: layer from the recurrent outputs (batch, time, units) to the head's; None: they are.
        inputs: names of the model's sequences whose values, flattened for each frame, join the vectors.

    Raises:
        ValueError: for another recurrent layer, or an input that the model does not have.
    """

    def __init__(
        self,
        recurrent: keras.layers.RNN,
        before: keras.Layer | None = None,
        after: keras.Layer | None = None,
        inputs: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        wrong = not isinstance(recurrent, keras.layers.RNN) or recurrent.stateful or recurrent.go_backwards
        if wrong:
            raise ValueError(
                "`recurrent` must be a keras.layers.LSTM, GRU, SimpleRNN or RNN, forwards in time and not stateful. "
                f"Received: {recurrent!r}. For example: RecurrentHead(keras.layers.LSTM(64))."
            )
        recurrent.return_sequences = recurrent.return_state = True
        self.recurrent, self.before, self.after = recurrent, before, after
        self.inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        for layer in (recurrent, before, after) if not self.trainable else ():
            if layer is not None:
                layer.trainable = False

    def build(self, features_shape: tuple, inputs_shape: dict | None = None) -> None:
        inputs_shape = named(inputs_shape or {})
        for name in self.inputs:
            check_known("input of the model", name, inputs_shape)
        features = keras.KerasTensor(tuple(features_shape))
        inputs = {name: keras.KerasTensor(tuple(inputs_shape[name])) for name in self.inputs}
        vectors = self.vectors(features, inputs, False)
        outputs = self.recurrent(vectors)[0]
        if self.after is not None:
            self.after(outputs)
        self.built = True

    def vectors(self, features: Tensor, inputs: dict, training: bool) -> Tensor:
        """(batch, time, units): what the recurrent layer sees."""
        u = ops.mean(features, axis=(2, 3)) if self.before is None else self.before(features, training=training)
        more = [inputs[name] for name in self.inputs]
        sizes = [int(np.prod(each.shape[2:])) for each in more]
        more = [ops.reshape(each, (*ops.shape(each)[:2], size)) for each, size in zip(more, sizes)]
        return ops.concatenate([u, *(ops.cast(each, u.dtype) for each in more)], axis=-1) if more else u

    def initial_states(self, batch_size: Any) -> list[Tensor]:
        """The state before the first frame; of a batch size None as `keras.KerasTensor`s."""
        if batch_size is None:
            sizes = tree.flatten(self.recurrent.cell.state_size)
            return [filled((None, size), 0.0, self.recurrent.compute_dtype) for size in sizes]
        return tree.flatten(self.recurrent.get_initial_state(batch_size))

    def run(
        self,
        features: Tensor,
        inputs: dict,
        states: list[Tensor],
        training: bool = False,
        states_at: int = -1,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """(outputs, states after step `states_at`); masked steps (batch, time) leave the state as it was."""
        u = self.vectors(features, inputs, training)
        stop = states_at + 1 or None
        parts = [slice(None, stop)] if stop in (None, u.shape[1]) else [slice(None, stop), slice(stop, None)]
        outputs: list = []
        kept: Any = None
        for part in parts:
            shown = None if mask is None else mask[:, part]
            options = {} if shown is None else {"mask": shown}
            output, *states = self.recurrent(u[:, part], initial_state=states, training=training, **options)
            kept = tree.flatten(states) if kept is None else kept
            outputs.append(output)
        u = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=1)
        return (u if self.after is None else self.after(u, training=training)), kept

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        return self.run(features, {}, self.initial_states(ops.shape(features)[0]), training)[0]

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        parts = {name: serialize(getattr(self, name)) for name in ("recurrent", "before", "after")}
        return {**super().get_config(), **parts, "inputs": list(self.inputs)}

    @classmethod
    def from_config(cls, config: dict) -> "RecurrentHead":
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("recurrent", "before", "after")}
        return cls(**{**config, **parts})


@keras.saving.register_keras_serializable("scs_keras")
class ScaleHeads(keras.Layer):
    """A head for each of several stages of the network: outputs at several scales.

    Args:
        heads: layers from the features after a stage, (batch, time, height, width, channels), to outputs.
        taps: the stages, by their place in the network from 0 on, one for each head.

    Call arguments:
        features: list, the features after each of these stages.

    Returns:
        List of outputs, one for each head.

    Raises:
        ValueError: if heads and taps are not of the same number, at least one.
    """

    def __init__(self, heads: list[keras.Layer], taps: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not heads or len(heads) != len(taps):
            raise ValueError(
                f"ScaleHeads needs a head for each stage. Received: {len(heads)} heads for taps={tuple(taps)}. "
                "For example: ScaleHeads([first, second], taps=(1, 2))."
            )
        self.heads, self.taps = list(heads), tuple(taps)
        for head in self.heads if not self.trainable else []:
            head.trainable = False

    def build(self, features_shape: list) -> None:
        for head, shape in zip(self.heads, features_shape):
            if not head.built:
                head.build(tuple(shape))
        self.built = True

    def call(self, features: list[Tensor], training: bool = False) -> list[Tensor]:
        return [head(each, training=training) for head, each in zip(self.heads, features)]

    def compute_output_shape(self, features_shape: list) -> list:
        return [head.compute_output_shape(tuple(shape)) for head, shape in zip(self.heads, features_shape)]

    def get_config(self) -> dict:
        heads = [keras.saving.serialize_keras_object(head) for head in self.heads]
        return {**super().get_config(), "heads": heads, "taps": list(self.taps)}

    @classmethod
    def from_config(cls, config: dict) -> "ScaleHeads":
        heads = [keras.saving.deserialize_keras_object(head) for head in config["heads"]]
        return cls(**{**config, "heads": heads})
