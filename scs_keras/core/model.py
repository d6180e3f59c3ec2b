"""SCSModel: backbone, semi-coupled network, heads and the three streams, trained as the paper does."""

import functools

import keras
from keras import ops

from scs_keras.core.arguments import check_sequence
from scs_keras.core.cell import SCSCell, check_stream
from scs_keras.core.compile_arguments import SUB_GOALS, as_loss, check_compile_arguments, check_losses, one_switch
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.switch import switch_scope
from scs_keras.core.switch_callbacks import ValidateSwitch

if keras.backend.backend() == "tensorflow":
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

    def __init__(
        self,
        network,
        head,
        spatial_head=None,
        temporal_head=None,
        backbone=None,
        spatial_goal=None,
        temporal_goal=None,
        average=False,
        **kwargs,
    ):
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
        self._prepare_training()

    def _prepare_training(self):
        """What `compile` fills; made here because Keras locks a built model."""
        self.trackers = {name: keras.metrics.Mean(name=f"{name}_loss") for name in ("main", *SUB_GOALS, "overlap")}
        self.sub_losses = {}
        self.switch = None
        self.long_sequence = None
        self.accumulate_steps = 1
        self.clip = None
        self._compile_arguments = None

    # Forward ------------------------------------------------------------------------------------

    def build(self, input_shape):
        shape = tuple(input_shape)
        if self.backbone is not None:
            shape = (*shape[:2], *self.backbone.compute_output_shape((None, *shape[2:]))[1:])
        if not self.network.built:  # as it is after loading
            self.network.build(shape)
        features = self.network(keras.KerasTensor(shape)).shape
        for head in (self.head, *self.sub_heads.values()):
            if head is not None and not head.built:
                head.build(features)
        self.built = True

    def call(self, x, stream="main", initial_states=None, training=None, return_states=False, state_index=-1):
        with switch_scope(self.switch):
            outputs, states = self.forward(x, check_stream(stream), initial_states, training, state_index)
        if self.average:
            outputs = ops.mean(outputs, axis=1)
        return (outputs, states) if return_states else outputs

    def forward(self, x, stream, states, training, states_at=-1):
        """(outputs, states): the outputs for every frame, and the gates after step `states_at`."""
        if self.backbone is not None:
            batch, time, *frame = ops.shape(x)
            features = self.backbone(ops.reshape(x, (-1, *frame)), training=training)
            x = ops.reshape(features, (batch, time, *ops.shape(features)[1:]))
        check_sequence(x.shape, type(self.network).__name__)
        features, states = self.network.run(swap_time_and_batch(x), stream, states, bool(training), states_at)
        head = self.sub_heads.get(stream) or self.head
        return head(swap_time_and_batch(features)), states

    # Training -----------------------------------------------------------------------------------

    def compile(
        self,
        optimizer="adam",
        loss=None,
        spatial_loss=None,
        temporal_loss=None,
        switch=None,
        long_sequence=None,
        accumulate_steps=1,
        clip=5.0,
        metrics=None,
        loss_weights=None,
        **kwargs,
    ):
        """Configures training; see `keras.Model.compile` for the rest.

        Args:
            optimizer: Keras optimizer.
            loss: of the main goal (L_g).
            spatial_loss, temporal_loss: of the sub-goals (L_s, L_t); None leaves the goal out.
            switch: `STSGD`, `ASTSGD` or None; None takes the one of the model's layers, if they have one.
            long_sequence: an `LTSC`, or None: back-propagation through the whole sequence.
            accumulate_steps: batches whose gradients are averaged before one optimiser step.
            clip: gradients of the SCS layers are clipped to [-clip, clip] after accumulation (Sec. 5.9);
                None for no clipping. On JAX the optimiser clips all gradients.
            metrics: of the main goal.
            loss_weights: dict with weights for "main", "spatial" and "temporal", 1 where missing.

        Raises:
            ValueError: if a goal or head has no loss, ASTSGD no spatial loss, there is more than one switch, or
                an argument is of another kind or out of range.
        """
        losses = {"spatial": as_loss(spatial_loss), "temporal": as_loss(temporal_loss)}
        shared_switch = one_switch(switch, self.scs_cells())
        check_losses(self, loss, losses, shared_switch)
        check_compile_arguments(long_sequence, accumulate_steps, clip, loss_weights)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        self.main_loss = as_loss(loss)
        self.sub_losses = {name: each for name, each in losses.items() if each is not None}
        self._set_layer("switch", shared_switch)
        self.long_sequence = long_sequence
        self.accumulate_steps = accumulate_steps
        self.clip = clip
        self.loss_weights = dict(loss_weights or {})
        self._compile_arguments = dict(
            spatial_loss=spatial_loss, temporal_loss=temporal_loss, switch=switch, long_sequence=long_sequence,
            accumulate_steps=accumulate_steps, clip=clip, loss_weights=loss_weights,
        )  # fmt: skip
        self.configure_backend()

    def _set_layer(self, name, layer):
        """Sets a sub-layer, also on a model that is built, where Keras forbids new ones."""
        locked = self._tracker.locked
        self._tracker.unlock()
        previous = getattr(self, name, None)
        if previous in self._layers:
            self._layers.remove(previous)
        setattr(self, name, layer)
        if locked:
            self._tracker.lock()

    def targets(self, x, y):
        """{stream: target} for the streams that are trained."""
        targets = {"main": y}
        for name in self.sub_losses:
            goal = self.goals[name]
            targets[name] = y if goal is None else ops.stop_gradient(goal(x, y))
        return targets

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The total loss: main, sub-goals, overlap (Eq. 23) and regularisation."""
        if training and self.long_sequence is not None:
            losses = self._long_sequence_losses(x, y, sample_weight)
        else:
            losses = self.stream_losses(x, y, y_pred, sample_weight, training)
            if training:
                self.tell_switch(losses)
        if training and self.switch is not None:
            self.switch.advance(1 / self.accumulate_steps)
        self.track(losses)
        return self.total(losses)

    def stream_losses(self, x, y, y_pred, sample_weight, training):
        """{stream: loss} of the whole sequence, given the main stream's outputs."""
        targets, outputs = self.targets(x, y), {"main": y_pred}
        for name in self.sub_losses:
            outputs[name] = self(x, stream=name, training=training)
        return {name: self.goal_loss(name, targets[name], each, sample_weight) for name, each in outputs.items()}

    def goal_loss(self, name, target, outputs, sample_weight):
        """The loss of one goal; weights (batch,) or (batch, time) hold for whole sequences or frames."""
        loss = self.main_loss if name == "main" else self.sub_losses[name]
        if sample_weight is not None:
            missing = len(outputs.shape) - 1 - len(sample_weight.shape)
            sample_weight = ops.reshape(sample_weight, (*ops.shape(sample_weight), *(1,) * missing))
        return loss(target, outputs, sample_weight=sample_weight)

    def total(self, losses, fraction=1.0):
        """The weighted sum of the losses, and the given fraction of the regularisation."""
        weights = {"overlap": self.long_sequence.overlap_weight if self.long_sequence else 0.0, **self.loss_weights}
        total = sum(weights.get(name, 1.0) * loss for name, loss in losses.items())
        penalties = [ops.sum(penalty) for penalty in self.losses]
        return total + fraction / self.replicas * sum(penalties) if penalties else total

    def track(self, losses):
        """Logs the losses; Keras's losses are scaled by 1/replicas, logs are not."""
        for name, loss in losses.items():
            self.trackers[name].update_state(loss * self.replicas)

    def tell_switch(self, losses, scale=1.0):
        """q is set after every clip from that clip's losses, times `scale`; STSGD ignores them."""
        if self.switch is not None and "spatial" in losses:
            losses = {name: loss * scale for name, loss in self.over_replicas(losses).items()}
            temporal = losses.get("temporal", losses["main"])
            self.switch.update(losses["spatial"], temporal, losses["main"])

    def clip_losses(self, clip, frames, targets, sample_weight, states, earlier):
        """Losses of one clip of `LTSC`: each frame counts once, so only the new frames enter the goals.

        Args:
            clip: the `Clip`.
            frames: the clip's frames.
            targets: of the whole sequence.
            sample_weight: of the whole sequence, or None.
            states: {stream: gates to start from}; empty for the first clip.
            earlier: main outputs of the clip before, or None.

        Returns:
            (losses, states, outputs): the losses, those of the goals in proportion to the new frames; the
            states for the next clip, detached; the main outputs of every frame of the clip.
        """
        losses, carried, main = {}, {}, None
        new = slice(clip.start + clip.new, clip.stop)
        for name in ("main", *self.sub_losses):
            with switch_scope(self.switch):
                carry = -1 if clip.carry is None else clip.carry
                outputs, after = self.forward(frames, name, states.get(name), training=True, states_at=carry)
            main = outputs if main is None else main
            target, weight, predicted = targets[name], sample_weight, outputs[:, clip.new :]
            if self.average:
                predicted = ops.mean(predicted, axis=1)
            else:
                target = target[:, new]
                weight = weight[:, new] if weight is not None and len(weight.shape) > 1 else weight
            loss = self.goal_loss(name, target, predicted, weight)
            losses[name] = loss * clip.share
            if clip.carry is not None:
                carried[name] = [ops.stop_gradient(gate) for gate in after]
        if earlier is not None:
            losses["overlap"] = self.long_sequence.overlap_loss(earlier, main, clip.new) / self.replicas
        return losses, carried, main

    def new_outputs(self, clips, outputs):
        """The clips' main outputs as the model's: every frame once, averaged if the model averages."""
        frames = ops.concatenate([each[:, clip.new :] for clip, each in zip(clips, outputs)], axis=1)
        return ops.mean(frames, axis=1) if self.average else frames

    def _long_sequence_losses(self, x, y, sample_weight):
        """The same losses in one piece, for backends whose step takes one gradient of everything."""
        targets, states, earlier, total = self.targets(x, y), {}, None, {}
        for clip in self.long_sequence.clips(x.shape[1]):
            frames = x[:, clip.start : clip.stop]
            losses, states, earlier = self.clip_losses(clip, frames, targets, sample_weight, states, earlier)
            self.tell_switch(losses, 1 / clip.share)
            total = {name: total.get(name, 0.0) + loss for name, loss in losses.items()}
        return total

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
    def metrics(self):
        unused = [self.trackers[name] for name in SUB_GOALS if name not in self.sub_losses]
        if self.long_sequence is None:
            unused.append(self.trackers["overlap"])
        if not self.sub_losses and self.long_sequence is None:
            unused.append(self.trackers["main"])  # the same as `loss`
        return [metric for metric in super().metrics if not any(metric is each for each in unused)]

    def scs_cells(self):
        """The semi-coupled layers' cells, of all parts of the model."""
        return [layer for layer in self._flatten_layers() if isinstance(layer, SCSCell)]

    def scs_variables(self):
        """Trainable variables of the semi-coupled layers: those whose gradients are clipped."""
        return [variable for cell in self.scs_cells() for variable in cell.trainable_variables]

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config or self._compile_arguments is None:
            return config
        serialize = keras.saving.serialize_keras_object
        return {**config, **{name: serialize(value) for name, value in self._compile_arguments.items()}}

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**config)
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self):
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
    def from_config(cls, config):
        config = {
            name: value if name in ("name", "average") else keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
        }
        return cls(**config)
