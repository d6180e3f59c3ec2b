"""SCSModel: backbone, semi-coupled network, heads and three streams; `StreamTrainer` trains it as the paper does."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor, check_sequence, refuse_activity_regularizer
from scs_keras.core.cell import check_stream
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.recurrence import frame_mask
from scs_keras.core.signatures import Signature, streaming, whole
from scs_keras.core.states import shape_of
from scs_keras.core.switch import switch_scope
from scs_keras.core.trainer import StreamTrainer


@keras.saving.register_keras_serializable("scs_keras")
class SCSModel(StreamTrainer):
    """A model with the main goal g of the network T and the sub-goals r_s, r_t of T1 and T2.

        frames -> backbone (each frame) -> network (main, spatial or temporal stream) -> head

    Args:
        network: an `SCSNetwork`, or a layer with its call signature and its `run`.
        head: layer from the network's features (batch, time, height, width, channels) to the outputs
            (batch, time, ...) of the main goal.
        spatial_head, temporal_head: heads of the sub-goals; None shares `head`.
        backbone: layer or model from images (batch, height, width, channels) to feature maps, or None.
        spatial_goal, temporal_goal: functions `goal(x, y) -> target` of the inputs and the main target, for
            example `scs_keras.goals.next_frame_difference` or `next_frame_flow`; None takes the main target.
            A goal of your own must be registered with Keras for the model to be saved.
        average: whether the outputs are averaged over time: one target a sequence, not one a frame. A `sample_weight`
            (batch, time), 0 for frames that only fill up a sequence, then weighs the frames of that average.

    Call arguments:
        x: frames, (batch, time, height, width, channels).
        stream: "main", "spatial" or "temporal".
        initial_states: list of gates, or None.
        training: see `SCSNetwork`.
        return_states: whether the gates after step `state_index` are returned too.
        mask: as in `SCSNetwork`; masked frames do not count in the average.
        frame_weights: (batch, time), of the average.

    Raises:
        ValueError: if `network` has no `run`, or for `activity_regularizer`; as `SCSNetwork`.
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
        self.average = average
        self.supports_masking = True
        self.frames_shape = None  # (time, height, width, channels), once built
        self.freeze_parts()
        self.prepare_training()

    def freeze_parts(self) -> None:
        """A model made with trainable=False has no part that trains, as if it were set later."""
        for part in [] if self.trainable else self.layers:
            part.trainable = False

    # Forward ------------------------------------------------------------------------------------

    def build(self, input_shape: tuple) -> None:
        shape = tuple(input_shape)
        self.frames_shape = shape[1:]
        if self.backbone is not None:
            shape = (*shape[:2], *self.backbone.compute_output_shape((None, *shape[2:]))[1:])
        if not self.network.built:  # as it is after loading
            self.network.build(shape)
        features = self.network(keras.KerasTensor(shape)).shape
        for head in (self.head, *self.sub_heads.values()):
            if head is not None and not head.built:
                head.build(features)
        self.built = True

    def call(
        self,
        x: Tensor,
        stream: str = "main",
        initial_states: list[Tensor] | None = None,
        training: bool | None = None,
        return_states: bool = False,
        state_index: int = -1,
        mask: Tensor | None = None,
        frame_weights: Tensor | None = None,
    ) -> Any:
        mask = frame_mask(mask)
        with switch_scope(self.switch):
            outputs, states = self.forward(x, check_stream(stream), initial_states, training, state_index, mask)
        if mask is not None:
            seen = ops.cast(mask, "float32")
            frame_weights = seen if frame_weights is None else seen * ops.cast(frame_weights, "float32")
        outputs = self.reduce_outputs(outputs, *([] if frame_weights is None else [frame_weights]))
        return (outputs, states) if return_states else outputs

    def forward(
        self,
        x: Tensor,
        stream: str,
        states: list[Tensor] | None,
        training: bool | None,
        states_at: int = -1,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """(outputs, states): the outputs for every frame, and the gates after step `states_at`."""
        check_sequence(x.shape, type(self).__name__)
        if self.backbone is not None:
            batch, time, *frame = ops.shape(x)
            features = self.backbone(ops.reshape(x, (-1, *frame)), training=training)
            x = ops.reshape(features, (batch, time, *ops.shape(features)[1:]))
        check_sequence(x.shape, type(self.network).__name__)
        options = {} if mask is None else {"mask": swap_time_and_batch(mask)}
        features, after = self.network.run(swap_time_and_batch(x), stream, states, bool(training), states_at, **options)
        head = self.sub_heads.get(stream) or self.head
        return head(swap_time_and_batch(features)), after

    # One frame at a time -------------------------------------------------------------------------

    def initial_states(self, inputs: Any) -> list[Tensor]:
        """The gates before the first frame.

        Args:
            inputs: frames, or anything that has their `shape` (batch, time, height, width, channels). Where a size
                is None, as in a `keras.Input`, the gates are `keras.KerasTensor`s.
        """
        batch, _, *frame = shape_of(inputs)
        if self.backbone is not None:
            frame = self.backbone.compute_output_shape((None, *inputs.shape[2:]))[1:]
            if None in frame and ops.is_tensor(inputs):
                frame = ops.shape(self.backbone(inputs[:, 0]))[1:]
        return self.network.initial_states(batch, *frame[:2])

    def step(self, frame: Tensor, states: list[Tensor], stream: str = "main") -> tuple[Tensor, list[Tensor]]:
        """One time step at inference. The outputs of all steps, stacked along axis 1 and reduced by
        `reduce_outputs`, are those of the call, given heads that see one frame at a time.

        Args:
            frame: (batch, height, width, channels).
            states: gates, from `initial_states` or the last step.
            stream: as in the call.

        Returns:
            (output, states): the output for this frame, (batch, ...), and the next gates.
        """
        outputs, states = self(frame[:, None], stream=stream, initial_states=states, return_states=True)
        return (outputs if self.average else outputs[:, 0]), states

    def reduce_outputs(self, frames: Tensor, weights: Tensor | None = None) -> Tensor:
        """What the call makes of the outputs for every frame (batch, time, ...): they, or their mean, weighted by
        `weights` (batch, time) if given; zeros where these are all 0."""
        if not self.average:
            return frames
        if weights is None:
            return ops.mean(frames, axis=1)
        weights = ops.cast(weights, frames.dtype)
        total = ops.sum(weights, axis=1, keepdims=True)
        weights = weights / ops.where(total > 0, total, ops.ones_like(total))
        return ops.sum(frames * ops.reshape(weights, (*ops.shape(weights), *(1,) * (len(frames.shape) - 2))), axis=1)

    def compute_mask(self, x: Tensor, previous_mask: Tensor | None = None) -> Any:
        return None if self.average else frame_mask(previous_mask)

    def signatures(self, input_shape: tuple | None = None) -> tuple[Signature, ...]:
        """What the served model answers to: whole sequences, and one frame at a time.

        Args:
            input_shape: (time, height, width, channels); None takes what the model was built for.

        Raises:
            ValueError: if the size of the frames is not known.
        """
        shape = self.frames_shape if input_shape is None else tuple(input_shape)
        if shape is None:
            raise ValueError(
                "The model is not built, so the shape of its inputs is not known. Received: input_shape=None. "
                "Call the model first, or give signatures(input_shape=(time, height, width, channels))."
            )
        return (whole(self, shape), *streaming(self, shape))

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
            average=self.average,
        )

    @classmethod
    def from_config(cls, config: dict) -> "SCSModel":
        config = {
            name: value if name in ("name", "average", "trainable") else keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
        }
        return cls(**config)
