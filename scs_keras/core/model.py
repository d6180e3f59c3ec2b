"""SCSModel: backbone, semi-coupled network, heads and three streams; `StreamTrainer` trains it as the paper does."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor, check_sequence, refuse_activity_regularizer
from scs_keras.core.cell import check_stream
from scs_keras.core.heads import build_head, run_head
from scs_keras.core.inputs import check_context, each_frame, encode, named, split, steps_of
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.recurrence import sequence_mask
from scs_keras.core.reduction import check_reduce, reduce_frames
from scs_keras.core.streaming import Streaming
from scs_keras.core.switch import switch_scope
from scs_keras.core.trainer import StreamTrainer


@keras.saving.register_keras_serializable("scs_keras")
class SCSModel(Streaming, StreamTrainer):
    """A model with the main goal g of the network T and the sub-goals r_s, r_t of T1 and T2.

        frames -> backbone (each frame) -> network (main, spatial or temporal stream) -> head

    Args:
        network: an `SCSNetwork`, or a layer with its call signature and its `run`.
        head: layer from the network's features (batch, time, height, width, channels) to the outputs
            (batch, time, ...) of the main goal; one with a state or at several scales as in `scs_keras.core.heads`.
        spatial_head, temporal_head: heads of the sub-goals; None shares `head`.
        backbone: layer or model from images (batch, height, width, channels) to feature maps, or None. Of several
            inputs: from a dict of one frame of each, and of what holds for the sequence (`JoinInputs`). One with
            `trainable=False` always runs as at inference.
        spatial_goal, temporal_goal: functions `goal(x, y) -> target` of the inputs and the main target, for
            example `scs_keras.goals.next_frame_difference` or `next_frame_flow`; None takes the main target. A target
            is a tensor, a list with one for each scale, or the tuple (targets, weights) of such, the weights
            (batch, time, ...). A goal of your own must be registered with Keras for the model to be saved.
        average: `average=True` is reduce="mean".
        reduce: one answer a sequence, not one a frame: "mean" of the outputs over time, "last", or "second_half", in
            training the mean over the second half of the frames (with an odd number the middle one too), at inference
            over all. "none": one a frame. A stream with a goal of its own stays per frame, unless the goal has an
            attribute `per_sequence` that is true. A `sample_weight` (batch, time), 0 for frames that only fill up a
            sequence, weighs the frames.
        context: names of the inputs that hold for a whole sequence, (batch, ...); the model is then called with a
            dict of them and of the sequences.
        context_encoder: layer or model of such an input (of the dict of several, to a dict); it runs once a sequence.

    Call arguments:
        x: frames, (batch, time, height, width, channels), or a dict of inputs.
        stream: "main", "spatial" or "temporal"; a tuple of them for a dict of outputs, of one pass of the backbone.
        initial_states: list of gates, of the head's states and of the encoded `context`, or None.
        training: see `SCSNetwork`.
        return_states: whether these after step `state_index` are returned too.
        mask: as in `SCSNetwork`; masked frames do not count in the answer of a sequence.
        frame_weights: (batch, time), of these.
        return_sequences: True for the outputs of every frame, whatever `reduce` says.

    Raises:
        ValueError: if `network` has no `run`, `reduce` is unknown, for `activity_regularizer`; as `SCSNetwork`.
    """

    def __init__(
        self,
        network: keras.Layer,
        head: keras.Layer,
        spatial_head: keras.Layer | None = None,
        temporal_head: keras.Layer | None = None,
        backbone: keras.Layer | None = None,
        spatial_goal: Callable | None = None,
        temporal_goal: Callable | None = None,
        average: bool = False,
        reduce: str = "none",
        context: str | tuple[str, ...] = (),
        context_encoder: keras.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_activity_regularizer(type(self).__name__, kwargs)
        super().__init__(**kwargs)
        if not callable(getattr(network, "run", None)):
            raise ValueError(
                "`network` must be an SCSNetwork, or a layer with its call signature and its "
                "`run(sequence, stream, states, training, states_at)`. "
                f"Received: {network!r}. For example: SCSModel(SCSNetwork([64, 32]), head)."
            )
        self.network = network
        self.head = head
        self.sub_heads = {"spatial": spatial_head, "temporal": temporal_head}
        self.backbone = backbone
        self.goals = {"spatial": spatial_goal, "temporal": temporal_goal}
        self.reduce = check_reduce(reduce, average)
        self.context = check_context(context, context_encoder)
        self.context_encoder = context_encoder
        self.supports_masking = True
        self.frames_shape = None  # (time, height, width, channels), or a dict of the inputs' shapes, once built
        self.freeze_parts()
        self.prepare_training()

    def freeze_parts(self) -> None:
        """A model made with trainable=False has no part that trains, as if it were set later."""
        for part in [] if self.trainable else self.layers:
            part.trainable = False

    # Forward ------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        several = isinstance(input_shape, dict)
        shapes: Any = {name: tuple(input_shape[name]) for name in input_shape} if several else tuple(input_shape)
        self.frames_shape = {name: shapes[name][1:] for name in shapes} if several else shapes[1:]
        sequences, whole_sequence = split(shapes, self.context)
        symbolic = {name: keras.KerasTensor(each) for name, each in named(sequences).items()}
        context = {name: keras.KerasTensor(each) for name, each in whole_sequence.items()}
        encoding = encode(self.context_encoder, context)
        shape = self.network_input_shape(symbolic if several else symbolic["frames"], encoding)
        if not self.network.built:  # as it is after loading
            self.network.build(shape)
        features = self.network(keras.KerasTensor(shape)).shape
        inputs = {name: tuple(each.shape) for name, each in {**symbolic, **encoding}.items()}
        for head in (self.head, *self.sub_heads.values()):
            if head is not None:
                taps = getattr(head, "taps", ())
                build_head(head, self.network.tap_shapes(shape, taps) if taps else features, inputs)
        self.built = True

    def network_input_shape(self, sequences: Any, encoding: dict) -> tuple:
        """(batch, time, height, width, channels) of what the network sees, for symbolic inputs; builds the backbone."""
        batch, time = tree.flatten(sequences)[0].shape[:2]
        if self.backbone is None:
            self.check_single(sequences)
            return tuple(sequences.shape)
        frame = lambda each, first: keras.KerasTensor((None, *each.shape[first:]), dtype=each.dtype)  # noqa: E731
        frames: Any = tree.map_structure(lambda each: frame(each, 2), sequences)
        frames = {**frames, **{name: frame(each, 1) for name, each in encoding.items()}} if encoding else frames
        return (batch, time, *self.backbone(frames).shape[1:])

    def check_single(self, sequences: Any) -> None:
        """Raises ValueError for several inputs without a backbone that joins them."""
        if isinstance(sequences, dict):
            raise ValueError(
                "The network sees one sequence of images. With several inputs a backbone joins them. Received: "
                f"{sorted([*sequences, *self.context])}, backbone=None. For example: "
                f"SCSModel(..., backbone=JoinInputs({{{sorted(sequences)[0]!r}: None}}))."
            )

    def call(
        self,
        x: Any,
        stream: str | tuple[str, ...] = "main",
        initial_states: list[Tensor] | None = None,
        training: bool | None = None,
        return_states: bool = False,
        state_index: int = -1,
        mask: Tensor | None = None,
        frame_weights: Tensor | None = None,
        return_sequences: bool = False,
    ) -> Any:
        mask = sequence_mask(mask)
        streams = (stream,) if isinstance(stream, str) else tuple(stream)
        if mask is not None:
            seen = ops.cast(mask, "float32")
            frame_weights = seen if frame_weights is None else seen * ops.cast(frame_weights, "float32")
        sequences, encoding = self.encoded(x, initial_states, training)
        features = self.features(sequences, encoding, training)
        outputs, states = {}, {}
        with switch_scope(self.switch):
            for name in streams:
                before = None if initial_states is None else self.split_states(initial_states, name)[:2]
                outputs[name], after = self.forward(
                    features, {**named(sequences), **encoding}, check_stream(name), before, training, state_index, mask
                )
                states[name] = [*after[0], *after[1], *encoding.values()]
                if not return_sequences:
                    outputs[name] = self.reduce_outputs(outputs[name], frame_weights, name, training)
        outputs, states = (outputs[stream], states[stream]) if isinstance(stream, str) else (outputs, states)
        return (outputs, states) if return_states else outputs

    def encoded(self, x: Any, states: list[Tensor] | None = None, training: bool | None = False) -> tuple[Any, dict]:
        """(sequences, {name: encoding of a whole-sequence input}) of the inputs; states hold the encodings already."""
        if states is not None and self.context:
            sequences = {name: each for name, each in x.items() if name not in self.context}
            return sequences, self.split_states(states)[2]
        sequences, whole_sequence = split(x, self.context)
        return sequences, encode(self.context_encoder, whole_sequence, bool(training))

    def features(self, sequences: Any, encoding: dict | None = None, training: bool | None = False) -> Tensor:
        """What the network sees of every frame, (batch, time, height, width, channels): the backbone's feature maps.

        Args:
            sequences: frames, or a dict of sequences.
            encoding: {name: encoding} of the whole-sequence inputs.
            training: as in the call.
        """
        if self.backbone is None:
            self.check_single(sequences)
            check_sequence(sequences.shape, type(self).__name__)
            return sequences
        if not isinstance(sequences, dict):
            check_sequence(sequences.shape, type(self).__name__)
        steps_of(sequences)
        return each_frame(self.backbone, sequences, encoding or {}, bool(training))

    def seen_by_network(self, x: Any) -> Tensor:
        """What the network sees of the inputs at inference, time-major: (time, batch, height, width, channels)."""
        return swap_time_and_batch(self.features(*self.encoded(x)))

    def forward(
        self,
        features: Tensor,
        inputs: dict,
        stream: str,
        states: tuple[list[Tensor] | None, list[Tensor] | None] | None,
        training: bool | None,
        states_at: int = -1,
        mask: Tensor | None = None,
    ) -> tuple[Any, tuple[list[Tensor], list[Tensor]]]:
        """(outputs, (gates, states of the head)): the outputs for every frame, the states after step `states_at`."""
        check_sequence(features.shape, type(self.network).__name__)
        gates, held = states or (None, None)
        head = self.head_of(stream)
        options: dict = {} if mask is None else {"mask": swap_time_and_batch(mask)}
        taps = getattr(head, "taps", ())
        if taps:
            options["taps"] = taps
        u, after, *tapped = self.network.run(
            swap_time_and_batch(features), stream, gates, bool(training), states_at, **options
        )
        seen = [swap_time_and_batch(each) for each in tapped[0]] if taps else swap_time_and_batch(u)
        outputs, held = run_head(head, seen, inputs, held, bool(training), states_at, mask)
        return outputs, (list(after), held)

    def head_of(self, stream: str) -> Any:
        """The head of a stream: its own, or the main one."""
        return self.sub_heads.get(stream) or self.head

    def reduction(self, stream: str) -> str:
        """How the outputs of a stream are reduced: as `reduce` says, or not at all where it has a goal of its own,
        unless that says `per_sequence`."""
        goal = self.goals.get(stream)
        return self.reduce if goal is None or getattr(goal, "per_sequence", False) else "none"

    def reduce_outputs(
        self, frames: Any, weights: Tensor | None = None, stream: str = "main", training: bool | None = False
    ) -> Any:
        """What the call makes of the outputs for every frame (batch, time, ...): they, or one answer for the sequence,
        weighted by `weights` (batch, time) if given; zeros where these are all 0."""
        return reduce_frames(frames, self.reduction(stream), training, weights)

    def compute_mask(self, x: Any, previous_mask: Tensor | None = None) -> Any:
        return sequence_mask(previous_mask) if self.reduce == "none" else None

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        return dict(
            super().get_config(),  # name, dtype, trainable
            network=serialize(self.network),
            head=serialize(self.head),
            spatial_head=serialize(self.sub_heads["spatial"]),
            temporal_head=serialize(self.sub_heads["temporal"]),
            backbone=serialize(self.backbone),
            spatial_goal=serialize(self.goals["spatial"]),
            temporal_goal=serialize(self.goals["temporal"]),
            reduce=self.reduce,
            context=list(self.context),
            context_encoder=serialize(self.context_encoder),
        )

    @classmethod
    def from_config(cls, config: dict) -> "SCSModel":
        plain = ("name", "average", "reduce", "context", "trainable")
        config = {
            name: value if name in plain else keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
        }
        return cls(**config)
