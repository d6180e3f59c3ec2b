"""How an SCSModel is trained: what `compile` takes, the total loss, what is logged and saved of it."""

import functools
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.cell import SCSCell
from scs_keras.core.compile_arguments import (
    as_loss,
    check_compile_arguments,
    check_long_sequence,
    check_losses,
    one_switch,
    steps_between_updates,
)
from scs_keras.core.empty import RefusesEmpty
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.core.keras_private import all_layers, set_layer
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.objective import SUB_GOALS, Objective
from scs_keras.core.switch import Switch, check_replicas
from scs_keras.core.switch_callbacks import ValidateSwitch

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from scs_keras.core.tensorflow_step import TensorFlowStep as BackendStep
else:
    from scs_keras.core.keras_step import KerasStep as BackendStep


class StreamTrainer(RefusesEmpty, KeepsFrozen, BackendStep):
    """The training half of `SCSModel`: its step is the backend's, its losses are the `Objective`'s."""

    can_be_cut = True  # into clips by `LTSC`: one output for each input frame
    objective_class = Objective  # what a subclass with losses of its own replaces

    def prepare_training(self) -> None:
        """What `compile` fills; made by the constructor, because Keras locks a built model."""
        self.trackers = {name: keras.metrics.Mean(name=f"{name}_loss") for name in ("main", *SUB_GOALS, "overlap")}
        self.objective = self.objective_class(self)
        self.switch = None
        self.long_sequence = None
        self.accumulate_steps = 1
        self.clip = None
        self._compile_arguments = None

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
            ValueError: if a goal or head has no loss, ASTSGD no spatial loss, there is more than one switch or it was
                made outside the strategy's scope, the model cannot be cut into clips, or an argument is of another kind
                or out of range.
        """
        losses = {"spatial": as_loss(spatial_loss), "temporal": as_loss(temporal_loss)}
        shared_switch = one_switch(switch, self.scs_cells())
        check_losses(self, loss, losses, shared_switch)
        check_long_sequence(self, long_sequence)
        check_compile_arguments(accumulate_steps, clip, loss_weights)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        trained = {name: each for name, each in losses.items() if each is not None}
        self.objective = self.objective_class(self, as_loss(loss), trained, loss_weights)
        set_layer(self, "switch", shared_switch)
        self.long_sequence = long_sequence
        self.accumulate_steps = accumulate_steps
        self.clip = clip
        self._compile_arguments = dict(
            spatial_loss=spatial_loss, temporal_loss=temporal_loss, switch=switch, long_sequence=long_sequence,
            accumulate_steps=accumulate_steps, clip=clip, loss_weights=loss_weights,
        )  # fmt: skip
        check_replicas(shared_switch, self)
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
            y_pred = self.weighted_outputs(x, y_pred, sample_weight, training)
            losses, _ = self.objective.whole(x, y, sample_weight, training, y_pred)
            if training:
                self.objective.tell_switch(losses)
        if training and self.switch is not None:
            self.switch.advance(1 / steps_between_updates(self.optimizer))
        self.objective.track(losses, ops.shape(y)[0])
        return self.objective.total(losses)

    def all_outputs(self, x: Any, streams: tuple[str, ...], training: bool, **options: Any) -> dict[str, Any]:
        """{stream: outputs} of the model's call; what the streams share before the network runs once."""
        if self.backbone is None and not self.context:
            return {name: self(x, stream=name, training=training, **options) for name in streams}
        return self(x, stream=tuple(streams), training=training, **options) if streams else {}

    def weighted_outputs(self, x: Any, y_pred: Tensor, sample_weight: Tensor | None, training: bool) -> Tensor:
        """`y_pred`, or for weights of frames that it was reduced without, the outputs reduced with them."""
        options, _ = self.objective.reducing(sample_weight)
        return self(x, training=training, **options) if options else y_pred

    def compute_metrics(self, x: Any, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> dict:
        y_pred = self.weighted_outputs(x, y_pred, sample_weight, training=False)
        return super().compute_metrics(x, y, y_pred, sample_weight=self.objective.reducing(sample_weight)[1])

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
