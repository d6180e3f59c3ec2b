"""What an SCSModel minimises: the losses of T, T1 and T2, the overlap of clips and the regularisation."""

from typing import Any, NamedTuple

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor
from scs_keras.core.inputs import cut, encode, named, split, steps_of
from scs_keras.core.long_sequence import Clip, over_clips
from scs_keras.core.reduction import frame_weights, or_one, weighted_mean
from scs_keras.core.switch import switch_scope
from scs_keras.core.targets import Target, check_scales, product, target_of

SUB_GOALS = ("spatial", "temporal")


class Sequence(NamedTuple):
    """A batch of sequences that is cut into clips.

    Attributes:
        steps: number of frames.
        inputs: the sequences.
        context: {name: whole-sequence input}.
        targets: {stream: target}.
        sample_weight: of the batch, or None.
        in_mean: {stream: weights (batch or 1, time) of the frames in its answer for the sequence}, where it gives one.
        weighted: whether these come from `sample_weight`.
    """

    steps: int
    inputs: Any
    context: dict
    targets: dict[str, Target]
    sample_weight: Any
    in_mean: dict[str, Any]
    weighted: bool


class ClipResult(NamedTuple):
    """What training on one clip gives.

    Attributes:
        losses: those of the goals in proportion to the frames that count, and the overlap's.
        measured: those of the goals as if the clip were the sequence.
        states: {stream: states for the next clip}, detached; empty where none are carried.
        outputs: main outputs of every frame of the clip.
        kept: the clip's part of the model's main outputs.
    """

    losses: dict[str, Any]
    measured: dict[str, Any]
    states: dict[str, Any]
    outputs: Any
    kept: Any


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

    def targets(self, x: Any, y: Tensor) -> dict[str, Target]:
        """{stream: target} for the streams that are trained."""
        targets = {"main": Target(y)}
        for name in self.sub_losses:
            goal = self.model.goals[name]
            targets[name] = Target(y) if goal is None else target_of(goal, x, y)
        return targets

    def loss(self, name: str, target: Target, outputs: Any, sample_weight: Tensor | None) -> Tensor:
        """The loss of one goal, summed over its scales; weights (batch,) or (batch, time) hold for whole sequences or
        frames."""
        loss: Any = self.main_loss if name == "main" else self.sub_losses[name]
        values, made, weights = tree.flatten(target.values), tree.flatten(outputs), tree.flatten(target.weights)
        if len(weights) == 1:
            weights = weights * len(values)
        check_scales(name, values, made, weights, not getattr(loss, "channels_of_its_own", False))
        return sum(
            loss(value, each, sample_weight=product(len(each.shape) - 1, weight, sample_weight))
            for value, each, weight in zip(values, made, weights)
        )

    def frame_weights(self, sample_weight: Tensor | None) -> Tensor | None:
        """The weights (batch, time) of the frames in a model's one answer a sequence; None for none."""
        if self.model.reduce == "none" or sample_weight is None or len(sample_weight.shape) != 2:
            return None
        return None if sample_weight.shape[1] == 1 else sample_weight

    def reducing(self, sample_weight: Tensor | None) -> tuple[dict[str, Tensor], Tensor | None]:
        """(options, weights): of the model's call, for weights of frames; and what is left for the loss of one answer a
        sequence, which is then 1 for a sequence, or 0 if none of its frames counts."""
        weights = self.frame_weights(sample_weight)
        if weights is None:
            return {}, sample_weight
        return {"frame_weights": weights}, ops.cast(ops.any(ops.cast(weights, "bool"), axis=1), "float32")

    # Of a sequence in one piece, or in clips ----------------------------------------------------

    def whole(
        self, x: Any, y: Tensor, sample_weight: Tensor | None, training: bool, y_pred: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """({stream: loss}, main outputs) of the whole sequence; the main stream's outputs may be given."""
        targets, (options, of_sequence) = self.targets(x, y), self.reducing(sample_weight)
        missing = self.streams if y_pred is None else tuple(self.sub_losses)
        outputs = self.model.all_outputs(x, missing, training, **options)
        if y_pred is not None:
            outputs = {"main": y_pred, **outputs}
        losses = {}
        for name in self.streams:
            weight = sample_weight if self.model.reduction(name) == "none" else of_sequence
            losses[name] = self.loss(name, targets[name], outputs[name], weight)
        return losses, outputs["main"]

    def sequence(self, x: Any, y: Tensor, sample_weight: Tensor | None) -> Sequence:
        """What the clips of `LTSC` are cut from."""
        model, given = self.model, self.frame_weights(sample_weight)
        sequences, context = split(x, model.context)
        steps: Any = steps_of(sequences)
        clips, in_mean = model.long_sequence.clips(steps), {}
        for name in self.streams:
            if model.reduction(name) != "none":
                in_mean[name] = frame_weights(model.reduce, steps, given, clips)
        return Sequence(steps, sequences, context, self.targets(x, y), sample_weight, in_mean, given is not None)

    def of_clip(
        self, clip: Clip, start: Any, sequence: Sequence, encoding: dict, states: dict[str, tuple], earlier: Any
    ) -> ClipResult:
        """Losses of one clip of `LTSC`: each frame counts once, so only the new frames enter the goals.

        Args:
            clip: the `Clip`, or one that differs in its place only.
            start: its first frame, an integer or a scalar tensor.
            sequence: the whole one.
            encoding: {name: encoding} of the whole-sequence inputs.
            states: {stream: states to start from}; empty for the first clip.
            earlier: main outputs of the clip before, or None.
        """
        model, length = self.model, clip.stop - clip.start
        losses, measured, carried, outputs = {}, {}, {}, {}
        frames = cut(sequence.inputs, start, length)
        new = lambda values: cut(values, start + clip.new, length - clip.new)  # noqa: E731
        states_at = -1 if clip.carry is None else clip.carry
        features = model.features(frames, encoding, True)
        inputs = {**named(frames), **encoding}
        for name in self.streams:
            with switch_scope(model.switch):
                outputs[name], after = model.forward(features, inputs, name, states.get(name), True, states_at)
            predicted = tree.map_structure(lambda each: each[:, clip.new :], outputs[name])
            target, weight, share = sequence.targets[name], sequence.sample_weight, clip.share
            if name in sequence.in_mean:
                counted = new(sequence.in_mean[name])
                predicted = weighted_mean(predicted, counted)
                of_frames = ops.sum(counted, axis=1) / or_one(ops.sum(sequence.in_mean[name], axis=1))
                share = ops.mean(of_frames)  # what of the sequence's answer this clip gives
                weight = of_frames if sequence.weighted else weight
                losses[name] = self.loss(name, target, predicted, weight) * (1.0 if sequence.weighted else share)
            else:
                of_frames = weight is not None and len(weight.shape) > 1 and weight.shape[1] != 1
                weight = new(weight) if of_frames else weight
                losses[name] = self.loss(name, new(target), predicted, weight) * share
            measured[name] = losses[name] / share  # not finite, and so passed over, where the clip does not count
            if clip.carry is not None:
                carried[name] = tree.map_structure(ops.stop_gradient, after)
        losses["overlap"] = ops.zeros((), "float32")
        if earlier is not None:
            overlap = model.long_sequence.overlap_loss(earlier, outputs["main"], clip.new)
            losses["overlap"] = overlap / model.replicas
        counted = new(sequence.in_mean["main"]) if "main" in sequence.in_mean else None
        kept = self.kept(sequence, clip, outputs["main"], counted)
        return ClipResult(losses, measured, carried, outputs["main"], kept)

    def kept(self, sequence: Sequence, clip: Clip, outputs: Tensor, counted: Tensor | None) -> Tensor:
        """A clip's part of the model's main outputs: its new frames, or what it adds to the answer for the sequence."""
        frames = outputs[:, clip.new :]
        if counted is None:
            return frames
        share = ops.sum(counted, axis=1) / or_one(ops.sum(sequence.in_mean["main"], axis=1))
        mean = weighted_mean(frames, counted)
        return mean * ops.cast(ops.reshape(share, (-1, *(1,) * (len(mean.shape) - 1))), mean.dtype)

    def outputs(self, kept: list[Tensor], reduced: bool) -> Tensor:
        """The model's main outputs of the parts of all clips, for each run (clips, batch, ...)."""
        if reduced:
            return sum(ops.sum(each, axis=0) for each in kept)
        frames = []
        for part in kept:
            clips, batch, time, *shape = ops.shape(part)
            order = (1, 0, *range(2, len(part.shape)))
            frames.append(ops.reshape(ops.transpose(part, order), (batch, clips * time, *shape)))
        return ops.concatenate(frames, axis=1)

    def in_clips(self, x: Any, y: Tensor, sample_weight: Tensor | None) -> dict[str, Tensor]:
        """The losses of all clips of `LTSC`, for backends whose step takes one gradient of everything."""
        sequence = self.sequence(x, y, sample_weight)
        encoding = encode(self.model.context_encoder, sequence.context, True)

        def one_clip(clip, start, carried):
            states, earlier, totals = carried or ({}, None, {})
            result = self.of_clip(clip, start, sequence, encoding, states, earlier)
            self.tell_switch(result.measured)
            losses = {**result.losses, "penalties": self.penalties(clip.share)}
            totals = {name: totals.get(name, 0.0) + loss for name, loss in losses.items()}
            return (result.states, result.outputs, totals), ()

        (_, _, totals), _ = over_clips(self.model, one_clip, sequence.steps)
        return totals

    # What is made of the losses -----------------------------------------------------------------

    def total(self, losses: dict[str, Tensor], fraction: float = 1.0) -> Tensor:
        """The weighted sum of the losses, and the given fraction of the regularisation unless it is among them."""
        ltsc = self.model.long_sequence
        weights = {"overlap": ltsc.overlap_weight if ltsc else 0.0, **self.weights}
        if "penalties" not in losses:
            losses = {**losses, "penalties": self.penalties(fraction)}
        return sum(weights.get(name, 1.0) * loss for name, loss in losses.items())

    def penalties(self, fraction: float = 1.0) -> Tensor:
        """The given fraction of the regularisation, of one replica."""
        penalties = [ops.sum(penalty) for penalty in self.model.losses]
        return fraction / self.model.replicas * sum(penalties, ops.zeros((), "float32"))

    def tell_switch(self, losses: dict[str, Tensor]) -> None:
        """q is set after every clip from that clip's losses; STSGD ignores them."""
        if self.model.switch is not None and "spatial" in losses:
            losses = self.model.over_replicas({name: losses[name] for name in self.streams})
            temporal = losses.get("temporal", losses["main"])
            self.model.switch.update(losses["spatial"], temporal, losses["main"])

    def track(self, losses: dict[str, Tensor], batch_size: Any) -> None:
        """Logs the losses, weighed by the size of the batch as `loss` is.

        Keras's losses are scaled by 1/replicas, logs are not.
        """
        for name, loss in losses.items():
            if name in self.model.trackers:
                self.model.trackers[name].update_state(loss * self.model.replicas, sample_weight=batch_size)

    def silent_trackers(self) -> list[keras.metrics.Metric]:
        """Those that have nothing to log, or the same as `loss`."""
        silent = [name for name in SUB_GOALS if name not in self.sub_losses]
        if self.model.long_sequence is None:
            silent += ["overlap"] if self.sub_losses else ["overlap", "main"]
        return [self.model.trackers[name] for name in silent]
