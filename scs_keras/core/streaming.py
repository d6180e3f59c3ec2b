"""One frame at a time: the states of an SCSModel, its step, and what it answers to where it is served."""

from typing import Any

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor
from scs_keras.core.heads import has_state
from scs_keras.core.inputs import encode, named, split
from scs_keras.core.signatures import Signature, streaming, whole
from scs_keras.core.states import shape_of


class Streaming:
    """The half of `SCSModel` that sees one frame after the other."""

    network: Any
    backbone: Any
    context: tuple[str, ...]
    context_encoder: Any
    frames_shape: Any
    head_of: Any
    features: Any
    network_input_shape: Any
    __call__: Any

    def initial_states(self, inputs: Any, stream: str = "main") -> list[Tensor]:
        """What is there before the first frame: the gates, the head's states and the encoded whole-sequence inputs.

        Args:
            inputs: frames, or anything that has their `shape` (batch, time, height, width, channels). Where a size
                is None, as in a `keras.Input`, the gates are `keras.KerasTensor`s. Of a model with `context`: the dict
                of inputs, the whole-sequence ones as tensors.
            stream: whose head.
        """
        sequences, whole_sequence = split(inputs, self.context)
        encoding = encode(self.context_encoder, whole_sequence)
        several = isinstance(sequences, dict)
        batch, _, *frame = shape_of(tree.flatten(sequences)[0] if several else sequences)
        if self.backbone is not None:
            shapes = {name: keras.KerasTensor((None, *each.shape[1:])) for name, each in named(sequences).items()}
            frame = self.network_input_shape(shapes if several else shapes["frames"], encoding)[2:]
            if None in frame and all(ops.is_tensor(each) for each in named(sequences).values()):
                first = tree.map_structure(lambda each: each[:, :1], sequences)
                frame = ops.shape(self.features(first, encoding))[2:]
        head = self.head_of(stream)
        held = head.initial_states(batch) if has_state(head) else []
        return [*self.network.initial_states(batch, *frame[:2]), *held, *encoding.values()]

    def split_states(self, states: list[Tensor], stream: str = "main") -> tuple[list[Tensor], list[Tensor], dict]:
        """(gates, states of the stream's head, {name: encoding}) of a list such as `initial_states` gives."""
        states = list(states)
        gates = len(states) - len(self.context)
        head = self.head_of(stream)
        held = gates - (len(head.initial_states(1)) if has_state(head) else 0)
        return states[:held], states[held:gates], dict(zip(self.context, states[gates:]))

    def step(self, frame: Any, states: list[Tensor], stream: str = "main") -> tuple[Tensor, list[Tensor]]:
        """One time step at inference. The outputs of all steps, stacked along axis 1 and reduced by
        `reduce_outputs`, are those of the call, given heads that see one frame at a time or carry their state.

        Args:
            frame: (batch, height, width, channels), or a dict of one frame of each sequence.
            states: from `initial_states` or the last step.
            stream: as in the call.

        Returns:
            (output, states): the output for this frame, (batch, ...), and the next states.
        """
        frame = tree.map_structure(lambda each: each[:, None], frame)
        options: dict = dict(stream=stream, initial_states=states, return_states=True, return_sequences=True)
        outputs, states = self(frame, **options)
        return tree.map_structure(lambda each: each[:, 0], outputs), states

    def signatures(self, input_shape: Any = None) -> tuple[Signature, ...]:
        """What the served model answers to: whole sequences, and one frame at a time.

        Args:
            input_shape: (time, height, width, channels), or a dict of the inputs' shapes; None takes what the model
                was built for.

        Raises:
            ValueError: if the size of the frames is not known.
        """
        shape = self.frames_shape if input_shape is None else input_shape
        if shape is None:
            raise ValueError(
                "The model is not built, so the shape of its inputs is not known. Received: input_shape=None. "
                "Call the model first, or give signatures(input_shape=(time, height, width, channels))."
            )
        shape = shape if isinstance(shape, dict) else tuple(shape)
        return (whole(self, shape), *streaming(self, shape))
