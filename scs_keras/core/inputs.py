"""What an SCSModel is called with: one sequence, or a dict of sequences and of what holds for a whole sequence."""

from typing import Any

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor


def check_context(context: str | tuple[str, ...], encoder: Any) -> tuple[str, ...]:
    """The names of whole-sequence inputs as a tuple.

    Raises:
        ValueError: if there is an encoder for none of them, or a name is no string.
    """
    names = (context,) if isinstance(context, str) else context
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "`context` names the inputs that hold for a whole sequence: a string or several. "
            f"Received: context={context!r}. For example: context='image'."
        )
    if encoder is not None and not names:
        raise ValueError(
            "`context_encoder` encodes the inputs that `context` names, but there are none. Received: context=(). "
            "For example: context='image'."
        )
    return tuple(names)


def split(inputs: Any, context: tuple[str, ...]) -> tuple[Any, dict]:
    """(sequences, whole-sequence inputs by name) of what the model is called with, or of its shapes.

    Raises:
        ValueError: if a named input is missing.
    """
    if not context:
        return inputs, {}
    missing = [name for name in context if not isinstance(inputs, dict) or name not in inputs]
    if missing:
        found = sorted(inputs) if isinstance(inputs, dict) else "one tensor"
        raise ValueError(
            f"The model takes a dict of inputs, with {missing[0]!r} for the whole sequence (`context`). "
            f"Received: {found}. Give {{{missing[0]!r}: ..., and the sequences by their names}}."
        )
    sequences = {name: each for name, each in inputs.items() if name not in context}
    return sequences, {name: inputs[name] for name in context}


def encode(encoder: keras.Layer | None, whole: dict, training: bool = False) -> dict:
    """{name: encoding} of the whole-sequence inputs: by the encoder of the one tensor, or of the dict of several."""
    if encoder is None or not whole:
        return dict(whole)
    single = len(whole) == 1
    encoded = encoder(next(iter(whole.values())) if single else whole, training=bool(training) and encoder.trainable)
    if not encoder.trainable:
        encoded = tree.map_structure(ops.stop_gradient, encoded)
    if single:
        return {next(iter(whole)): encoded}
    if not isinstance(encoded, dict) or sorted(encoded) != sorted(whole):
        raise ValueError(
            "The `context_encoder` of several inputs returns a dict with the same names. Allowed: "
            f"{sorted(whole)}. Received: {sorted(encoded) if isinstance(encoded, dict) else type(encoded).__name__}."
        )
    return {name: encoded[name] for name in whole}


def steps_of(sequences: Any) -> int | None:
    """The number of time steps, None if it is not known.

    Raises:
        ValueError: if the sequences have different ones.
    """
    steps = {name: each.shape[1] for name, each in named(sequences).items()}
    known = {each for each in steps.values() if each is not None}
    if len(known) > 1:
        raise ValueError(
            f"All sequences have the same number of time steps. Received: {steps}. What holds for a whole sequence "
            "is named in `context`."
        )
    return known.pop() if known else None


def named(inputs: Any) -> dict:
    """The inputs by name; a single one has the name "frames"."""
    return inputs if isinstance(inputs, dict) else {"frames": inputs}


def cut(values: Any, start: Any, length: int) -> Any:
    """Frames `start` to `start + length` of every sequence in a structure; `start` may be a scalar tensor."""

    def part(sequence):
        if isinstance(start, int):
            return sequence[:, start : start + length]
        return ops.take(sequence, start + ops.arange(length, dtype="int32"), axis=1)

    return tree.map_structure(lambda each: each if each is None else part(each), values)


def each_frame(layer: keras.Layer, sequences: Any, encoding: dict, training: bool = False) -> Tensor:
    """The layer's output for every frame, (batch, time, ...): it runs once, on all frames together.

    Args:
        layer: of one frame, (batch, ...), or of a dict of one frame of each sequence and of the encodings.
        sequences: (batch, time, ...), or a dict of them.
        encoding: {name: (batch, ...)}, which every frame of a sequence sees.
        training: of a layer that trains; a frozen one sees False.
    """
    batch, time = ops.shape(tree.flatten(sequences)[0])[:2]
    frames: Any = tree.map_structure(lambda each: ops.reshape(each, (-1, *ops.shape(each)[2:])), sequences)
    for name, each in encoding.items():
        shape = ops.shape(each)[1:]
        frames[name] = ops.reshape(ops.broadcast_to(each[:, None], (batch, time, *shape)), (-1, *shape))
    outputs = layer(frames, training=bool(training) and layer.trainable)
    if not layer.trainable:
        outputs = ops.stop_gradient(outputs)
    return ops.reshape(outputs, (batch, time, *ops.shape(outputs)[1:]))


@keras.saving.register_keras_serializable("scs_keras")
class JoinInputs(keras.Layer):
    """Backbone of a model with several inputs: what they become, joined along the channels.

        SCSModel(network, head, context="image", backbone=JoinInputs({"image": None, "vertices": None}))

    Args:
        layers: {name: layer of one frame of that input, or None: as it is}; inputs that are not named are for the
            heads alone. Their outputs are joined in this order.

    Call arguments:
        inputs: {name: (batch, height, width, channels)}.

    Returns:
        (batch, height, width, channels of all).

    Raises:
        ValueError: if `layers` is empty or an input is missing.
    """

    def __init__(self, layers: dict[str, keras.Layer | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layers, dict) or not layers:
            raise ValueError(
                "`layers` is a dict from the name of an input to a layer or None. "
                f"Received: {layers!r}. For example: JoinInputs({{'image': None, 'vertices': None}})."
            )
        self.names = list(layers)
        self.layers = [layers[name] for name in self.names]
        for layer in self.layers if not self.trainable else []:
            if layer is not None:
                layer.trainable = False

    def build(self, inputs_shape: dict) -> None:
        self.built = True  # the layers build themselves in the first, symbolic call

    def call(self, inputs: dict, training: bool = False) -> Tensor:
        missing = [name for name in self.names if not isinstance(inputs, dict) or name not in inputs]
        if missing:
            found = sorted(inputs) if isinstance(inputs, dict) else "one tensor"
            raise ValueError(
                f"JoinInputs joins the inputs {self.names}. Received: {found}. Call the model with a dict of them."
            )
        joined = []
        for name, layer in zip(self.names, self.layers):
            value = inputs[name]
            joined.append(ops.cast(value if layer is None else layer(value, training=training), self.compute_dtype))
        return ops.concatenate(joined, axis=-1)

    def get_config(self) -> dict:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": dict(zip(self.names, layers))}

    @classmethod
    def from_config(cls, config: dict) -> "JoinInputs":
        layers = {name: keras.saving.deserialize_keras_object(each) for name, each in config.pop("layers").items()}
        return cls(layers, **config)
