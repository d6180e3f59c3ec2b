"""SCSModel: backbone, semi-coupled network, heads and the three streams, trained as the paper does."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor, check_sequence
from scs_keras.core.cell import SCSCell, check_stream
from scs_keras.core.compile_arguments import (
    as_loss,
    check_compile_arguments,
    check_long_sequence,
    check_losses,
    one_switch,
)
from scs_keras.core.keras_private import all_layers, set_layer
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.objective import SUB_GOALS, Objective
from scs_keras.core.signatures import Signature, streaming, whole
from scs_keras.core.states import shape_of
from scs_keras.core.switch import Switch, switch_scope
from scs_keras.core.switch_callbacks import ValidateSwitch

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from scs_keras.core.tensorflow_step import TensorFlowStep as BackendStep
else:
    from scs_keras.core.keras_step import KerasStep as BackendStep


@keras.saving.register_keras_serializable("scs_keras")
class SCSModel(BackendStep, keras.Model):
    """A model with the main goal g of the network T and the sub-goals r_s, r_t of T1 and T2.

        frames -> backbone (each frame) -> network (main, spatial or temporal stream) -> head

    Args:
        network: an `SCSNetwork`, or a layer with its call signature and its `run`.
        head: layer from the network's features (batch, time, height, width, channels) to the outputs
            (batch, time, ...) of the main goal.
        spatial_head, temporal_head: heads of the sub-goals; None shares `head`.
        backbone: layer or model from images (batch, height, width, channels) to feature maps, or None.
        spatial_goal, temporal_goal: functions `goal(x, y) -> target` of the inputs and the main target, for
            example `scs_keras.core.goals.next_frame_difference` or `next_frame_flow`; None takes the main target.
            A goal of your own must be registered with Keras for the model to be saved.
        average: whether the outputs are averaged over time: one target a sequence, not one a frame.

    Call arguments:
        x: frames, (batch, time, height, width, channels).
        stream: "main", "spatial" or "temporal".
        initial_states: list of gates, or None.
        training: see `SCSNetwork`.
        return_states: whether the gates after step `state_index` are returned too.

    Raises:
        ValueError: if `network` has no `run`; as `SCSNetwork`.
    """

    can_be_cut = True  # into clips by `LTSC`: one output for each input frame

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
        # What `compile` fills; made here because Keras locks a built model.
        self.trackers = {name: keras.metrics.Mean(name=f"{name}_loss") for name in ("main", *SUB_GOALS, "overlap")}
        self.objective = Objective(self)
        self.switch = None
        self.long_sequence = None
        self.accumulate_steps = 1
        self.clip = None
        self._compile_arguments = None

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
    ) -> Any:
        with switch_scope(self.switch):
            outputs, states = self.forward(x, check_stream(stream), initial_states, training, state_index)
        outputs = self.reduce_outputs(outputs)
        return (outputs, states) if return_states else outputs

    def forward(
        self, x: Tensor, stream: str, states: list[Tensor] | None, training: bool | None, states_at: int = -1
    ) -> tuple[Tensor, list[Tensor]]:
        """(outputs, states): the outputs for every frame, and the gates after step `states_at`."""
        if self.backbone is not None:
            batch, time, *frame = ops.shape(x)
            features = self.backbone(ops.reshape(x, (-1, *frame)), training=training)
            x = ops.reshape(features, (batch, time, *ops.shape(features)[1:]))
        check_sequence(x.shape, type(self.network).__name__)
        features, after = self.network.run(swap_time_and_batch(x), stream, states, bool(training), states_at)
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

    def reduce_outputs(self, frames: Tensor) -> Tensor:
        """What the call makes of the outputs for every frame (batch, time, ...): they, or their mean."""
        return ops.mean(frames, axis=1) if self.average else frames

    def signatures(self, input_shape: tuple | None = None) -> tuple[Signature, ...]:
        """What the served model answers to: whole sequences, and one frame at a time.

        Args:
            input_shape: (time, height, width, channels); None takes what the model was built for.
        """
        shape = tuple(self.frames_shape if input_shape is None else input_shape)
        return (whole(self, shape), *streaming(self, shape))

    # Training -----------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        metrics: Any = None,
        loss_weights: dict[str, float] | None = None,
        spatial_loss: Any = None,
        temporal_loss: Any = None,
        switch: Switch | None = None,
        long_sequence: LTSC | None = None,
        accumulate_steps: int = 1,
        clip: float | None = 5.0,
        **kwargs: Any,
    ) -> None:
        """Configures training; see `keras.Model.compile` for the rest.

        Args:
            optimizer: Keras optimizer.
            loss: of the main goal (L_g).
            metrics: of the main goal.
            loss_weights: dict with weights for "main", "spatial" and "temporal", 1 where missing.
            spatial_loss, temporal_loss: of the sub-goals (L_s, L_t); None leaves the goal out.
            switch: `STSGD`, `ASTSGD` or None; None takes the one of the model's layers, if they have one.
            long_sequence: an `LTSC`, or None: back-propagation through the whole sequence.
            accumulate_steps: batches whose gradients are averaged before one optimiser step.
            clip: gradients of the SCS layers are clipped to [-clip, clip] after accumulation (Sec. 5.9);
                None for no clipping. On JAX the optimiser clips all gradients.

        Raises:
            ValueError: if a goal or head has no loss, ASTSGD no spatial loss, there is more than one switch, the
                model cannot be cut into clips, or an argument is of another kind or out of range.
        """
        losses = {"spatial": as_loss(spatial_loss), "temporal": as_loss(temporal_loss)}
        shared_switch = one_switch(switch, self.scs_cells())
        check_losses(self, loss, losses, shared_switch)
        check_long_sequence(self, long_sequence)
        check_compile_arguments(accumulate_steps, clip, loss_weights)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        trained = {name: each for name, each in losses.items() if each is not None}
        self.objective = Objective(self, as_loss(loss), trained, loss_weights)
        set_layer(self, "switch", shared_switch)
        self.long_sequence = long_sequence
        self.accumulate_steps = accumulate_steps
        self.clip = clip
        self._compile_arguments = dict(
            spatial_loss=spatial_loss, temporal_loss=temporal_loss, switch=switch, long_sequence=long_sequence,
            accumulate_steps=accumulate_steps, clip=clip, loss_weights=loss_weights,
        )  # fmt: skip
        self.configure_backend()

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """The total loss: main, sub-goals, overlap (Eq. 23) and regularisation."""
        if training and self.long_sequence is not None:
            losses = self.objective.in_clips(x, y, sample_weight)
        else:
            losses = self.objective.whole(x, y, y_pred, sample_weight, training)
            if training:
                self.objective.tell_switch(losses)
        if training and self.switch is not None:
            self.switch.advance(1 / self.accumulate_steps)
        self.objective.track(losses)
        return self.objective.total(losses)

    # Keras's own loops ---------------------------------------------------------------------------

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, callbacks=None, **kwargs):
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [*keras.tree.flatten(callbacks or []), ValidateSwitch()]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, *args, **kwargs):
        logs = super().train_on_batch(*args, **kwargs)
        if self.switch is not None:
            self.switch.validate()
        return logs

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        silent = self.objective.silent_trackers()
        return [metric for metric in super().metrics if not any(metric is each for each in silent)]

    def scs_cells(self) -> list[SCSCell]:
        """The semi-coupled layers' cells, of all parts of the model."""
        return [layer for layer in all_layers(self) if isinstance(layer, SCSCell)]

    def scs_variables(self) -> list[keras.Variable]:
        """Trainable variables of the semi-coupled layers: those whose gradients are clipped."""
        return [variable for cell in self.scs_cells() for variable in cell.trainable_variables]

    def get_compile_config(self) -> dict | None:
        config = super().get_compile_config()
        if not config or self._compile_arguments is None:
            return config
        serialize = keras.saving.serialize_keras_object
        return {**config, **{name: serialize(value) for name, value in self._compile_arguments.items()}}

    def compile_from_config(self, config: dict) -> None:
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**config)
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        return dict(
            name=self.name,
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
            name: value if name in ("name", "average") else keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
        }
        return cls(**config)
