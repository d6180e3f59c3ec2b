"""What an SCSModel minimises: the losses of T, T1 and T2, the overlap of clips and the regularisation."""

from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.long_sequence import Clip
from scs_keras.core.switch import switch_scope

SUB_GOALS = ("spatial", "temporal")


class Objective:
    """The losses of an `SCSModel`, what is logged of them and what its switch is told.

    It computes with `keras.ops` alone, so that the training steps of all backends share it.

    Args:
        model: the `SCSModel`, whose goals, switch and LTSC are read.
        main_loss: Keras loss of the main goal (L_g).
        sub_losses: {"spatial" or "temporal": Keras loss} of the sub-goals that are trained.
        weights: {"main", "spatial" or "temporal": weight}, 1 where missing.
    """

    def __init__(
        self,
        model: Any,
        main_loss: keras.losses.Loss | None = None,
        sub_losses: dict[str, keras.losses.Loss] | None = None,
        weights: dict[str, float] | None = None,
    ) -> None:
        self.model = model
        self.main_loss = main_loss
        self.sub_losses = dict(sub_losses or {})
        self.weights = dict(weights or {})

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that are trained."""
        return ("main", *self.sub_losses)

    def targets(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """{stream: target} for the streams that are trained."""
        targets = {"main": y}
        for name in self.sub_losses:
            goal = self.model.goals[name]
            targets[name] = y if goal is None else ops.stop_gradient(goal(x, y))
        return targets

    def loss(self, name: str, target: Tensor, outputs: Tensor, sample_weight: Tensor | None) -> Tensor:
        """The loss of one goal; weights (batch,) or (batch, time) hold for whole sequences or frames."""
        loss: Any = self.main_loss if name == "main" else self.sub_losses[name]
        if sample_weight is not None:
            missing = len(outputs.shape) - 1 - len(sample_weight.shape)
            sample_weight = ops.reshape(sample_weight, (*ops.shape(sample_weight), *(1,) * missing))
        return loss(target, outputs, sample_weight=sample_weight)

    def frame_weights(self, sample_weight: Tensor | None) -> Tensor | None:
        """The weights (batch, time) with which a model that averages takes the mean over frames; None for none."""
        if not self.model.average or sample_weight is None or len(sample_weight.shape) != 2:
            return None
        return None if sample_weight.shape[1] == 1 else sample_weight

    def averaging(self, sample_weight: Tensor | None) -> tuple[dict[str, Tensor], Tensor | None]:
        """(options, weights): of the model's call, for weights of frames; and what is left for the loss, which is
        then 1 for a sequence, or 0 if none of its frames counts."""
        weights = self.frame_weights(sample_weight)
        if weights is None:
            return {}, sample_weight
        return {"frame_weights": weights}, ops.cast(ops.any(ops.cast(weights, "bool"), axis=1), "float32")

    # Of a sequence in one piece, or in clips ----------------------------------------------------

    def whole(self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None, training: bool) -> dict:
        """{stream: loss} of the whole sequence, given the main stream's outputs."""
        targets, outputs = self.targets(x, y), {"main": y_pred}
        options, sample_weight = self.averaging(sample_weight)
        for name in self.sub_losses:
            outputs[name] = self.model(x, stream=name, training=training, **options)
        return {name: self.loss(name, targets[name], each, sample_weight) for name, each in outputs.items()}

    def in_clips(self, x: Tensor, y: Tensor, sample_weight: Tensor | None) -> dict[str, Tensor]:
        """The losses of all clips of `LTSC`, for backends whose step takes one gradient of everything."""
        targets, states, earlier, total = self.targets(x, y), {}, None, {}
        for clip in self.model.long_sequence.clips(x.shape[1]):
            frames = x[:, clip.start : clip.stop]
            losses, states, earlier = self.of_clip(clip, frames, targets, sample_weight, states, earlier)
            self.tell_switch(losses, 1 / clip.share)
            total = {name: total.get(name, 0.0) + loss for name, loss in losses.items()}
        return total

    def of_clip(
        self,
        clip: Clip,
        frames: Tensor,
        targets: dict[str, Tensor],
        sample_weight: Tensor | None,
        states: dict[str, list],
        earlier: Tensor | None,
    ) -> tuple[dict[str, Tensor], dict[str, list], Tensor]:
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
        model, losses, carried, outputs = self.model, {}, {}, {}
        frame_weights, new_weights, share = self.frame_weights(sample_weight), None, clip.share
        if frame_weights is not None:  # each frame counts by its weight, over all clips
            new_weights, share = _new(clip, frame_weights), 1.0
            total = ops.sum(frame_weights, axis=1)
            sample_weight = ops.sum(new_weights, axis=1) / ops.where(total > 0, total, ops.ones_like(total))
        states_at = -1 if clip.carry is None else clip.carry
        for name in self.streams:
            with switch_scope(model.switch):
                outputs[name], after = model.forward(frames, name, states.get(name), True, states_at)
            predicted = model.reduce_outputs(outputs[name][:, clip.new :], **_named(weights=new_weights))
            target, weight = targets[name], sample_weight
            if not model.average:
                target = _new(clip, target)
                weight = _new(clip, weight) if weight is not None and len(weight.shape) > 1 else weight
            losses[name] = self.loss(name, target, predicted, weight) * share
            if clip.carry is not None:
                carried[name] = [ops.stop_gradient(gate) for gate in after]
        if earlier is not None:
            overlap = model.long_sequence.overlap_loss(earlier, outputs["main"], clip.new)
            losses["overlap"] = overlap / model.replicas
        return losses, carried, outputs["main"]

    def outputs(self, clips: list[Clip], outputs: list[Tensor], sample_weight: Tensor | None = None) -> Tensor:
        """The clips' main outputs as the model's: every frame once, averaged if the model averages."""
        frames = [each[:, clip.new :] for clip, each in zip(clips, outputs)]
        weights = _named(weights=self.frame_weights(sample_weight))
        return self.model.reduce_outputs(ops.concatenate(frames, axis=1), **weights)

    # What is made of the losses -----------------------------------------------------------------

    def total(self, losses: dict[str, Tensor], fraction: float = 1.0) -> Tensor:
        """The weighted sum of the losses, and the given fraction of the regularisation."""
        ltsc = self.model.long_sequence
        weights = {"overlap": ltsc.overlap_weight if ltsc else 0.0, **self.weights}
        total = sum(weights.get(name, 1.0) * loss for name, loss in losses.items())
        penalties = [ops.sum(penalty) for penalty in self.model.losses]
        return total + fraction / self.model.replicas * sum(penalties) if penalties else total

    def tell_switch(self, losses: dict[str, Tensor], scale: float = 1.0) -> None:
        """q is set after every clip from that clip's losses, times `scale`; STSGD ignores them."""
        if self.model.switch is not None and "spatial" in losses:
            losses = {name: loss * scale for name, loss in self.model.over_replicas(losses).items()}
            temporal = losses.get("temporal", losses["main"])
            self.model.switch.update(losses["spatial"], temporal, losses["main"])

    def track(self, losses: dict[str, Tensor], batch_size: Any) -> None:
        """Logs the losses, weighed by the size of the batch as `loss` is.

        Keras's losses are scaled by 1/replicas, logs are not.
        """
        for name, loss in losses.items():
            self.model.trackers[name].update_state(loss * self.model.replicas, sample_weight=batch_size)

    def silent_trackers(self) -> list[keras.metrics.Metric]:
        """Those that have nothing to log, or the same as `loss`."""
        silent = [name for name in SUB_GOALS if name not in self.sub_losses]
        if self.model.long_sequence is None:
            silent += ["overlap"] if self.sub_losses else ["overlap", "main"]
        return [self.model.trackers[name] for name in silent]


def _new(clip, sequence):
    """The clip's new frames of a whole sequence (batch, time, ...)."""
    return sequence[:, clip.start + clip.new : clip.stop]


def _named(**arguments):
    """The arguments that are given."""
    return {name: value for name, value in arguments.items() if value is not None}
