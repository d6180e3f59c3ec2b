"""The training step on TensorFlow: a tape per clip, accumulation, clipping, any `tf.distribute` strategy.

Keras's own step cannot do it: it takes one gradient of the whole sequence, its optimiser clips each
replica's gradient before they are summed, and its accumulation fails under a strategy.
"""

import functools
import itertools

import keras
import tensorflow as tf

from scs_keras.core.compile_arguments import steps_between_updates
from scs_keras.core.inputs import encode
from scs_keras.core.keras_private import loss_tracker, make_function
from scs_keras.core.long_sequence import over_clips


class TensorFlowStep(keras.Model):
    """The base of SCSModel where Keras runs on TensorFlow."""

    @property
    def replicas(self):
        return tf.distribute.get_strategy().num_replicas_in_sync

    def configure_backend(self):
        """Nothing: this step accumulates and clips by itself."""

    def make_train_function(self, force=False):
        # Whether this batch ends an accumulation is decided here, outside the graph: a strategy can
        # neither reduce nor apply gradients inside a conditional.
        if self.train_function is not None and not force:
            return
        if self.accumulate_steps == 1:
            self.train_function = make_function(self, self.train_step)
            return
        if self.steps_per_execution != 1:
            raise ValueError(
                "`accumulate_steps` works on single batches. "
                f"Received: steps_per_execution={self.steps_per_execution}. Use steps_per_execution=1."
            )
        collect = make_function(self, functools.partial(self.train_step, apply=False))
        apply = make_function(self, self.train_step)
        self.gradient_sums = None
        if self.built:  # as it is under a strategy; else the first step makes them, once it knows the variables
            with self.distribute_strategy.scope():
                self.gradient_sums = GradientSums(self.accumulate_steps, self.trainable_variables)
        batches = itertools.count(1)

        def train_function(iterator):
            return (collect if next(batches) % self.accumulate_steps else apply)(iterator)

        self.train_function = train_function

    def train_step(self, data, apply=True):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self.built:  # Keras builds a model when it is called, but clips go through `forward`
            self.build(tf.nest.map_structure(lambda each: each.shape, x))
        gradients_of = self._whole_gradients if self.long_sequence is None else self._clip_gradients
        gradients, y_pred, losses = gradients_of(x, y, sample_weight)
        batch = tf.shape(tf.nest.flatten(x)[0])[0]
        loss = self.objective.total(losses) * self.replicas
        loss_tracker(self).update_state(loss, sample_weight=batch)
        self.objective.track(losses, batch)
        if self.accumulate_steps > 1:
            if self.gradient_sums is None:
                self.gradient_sums = GradientSums(self.accumulate_steps, self.trainable_variables)
            gradients = self.gradient_sums.add(gradients, last=apply)
        if apply:
            self._apply(gradients)
        return self.compute_metrics(x, y, y_pred, sample_weight=self.objective.reducing(sample_weight)[1])

    def test_step(self, data):
        """As Keras's, with one pass of what the streams share."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        losses, y_pred = self.objective.whole(x, y, sample_weight, training=False)
        batch = tf.shape(tf.nest.flatten(x)[0])[0]
        loss_tracker(self).update_state(self.objective.total(losses) * self.replicas, sample_weight=batch)
        self.objective.track(losses, batch)
        return self.compute_metrics(x, y, y_pred, sample_weight=self.objective.reducing(sample_weight)[1])

    def _whole_gradients(self, x, y, sample_weight):
        with tf.GradientTape() as tape:
            losses, y_pred = self.objective.whole(x, y, sample_weight, training=True)
            loss = self.optimizer.scale_loss(self.objective.total(losses))
        gradients = self._unscaled(tape.gradient(loss, self.trainable_variables))
        self.objective.tell_switch(losses)
        return gradients, y_pred, losses

    def _clip_gradients(self, x, y, sample_weight):
        """Forward and backward of one clip after the other; only one clip's activations are alive."""
        objective, variables = self.objective, self.trainable_variables
        sequence = objective.sequence(x, y, sample_weight)
        with tf.GradientTape() as encoder_tape:
            encoding = encode(self.context_encoder, sequence.context, True)
        learns = self.context_encoder is not None and self.context_encoder.trainable

        def one_clip(clip, start, carried):
            states, earlier, sums, totals = carried or ({}, None, None, {})
            if sums is not None:  # without this TensorFlow runs ahead and keeps every clip's activations
                with tf.control_dependencies([each for each in sums if each is not None]):
                    start, states = tf.identity(start), tf.nest.map_structure(tf.identity, states)
            with tf.GradientTape() as tape:
                seen = tf.nest.map_structure(tf.identity, encoding)
                watched = list(seen.values()) if learns else []
                tape.watch(watched)
                result = objective.of_clip(clip, start, sequence, seen, states, earlier)
                losses = {**result.losses, "penalties": objective.penalties(clip.share)}
                loss = self.optimizer.scale_loss(objective.total(losses))
            gradients = [
                each if each is None else tf.convert_to_tensor(each)
                for each in tape.gradient(loss, [*variables, *watched])
            ]
            objective.tell_switch(result.measured)
            totals = {name: totals.get(name, 0.0) + each for name, each in losses.items()}
            sums = gradients if sums is None else [_add(*pair) for pair in zip(sums, gradients)]
            handed_on = (result.states, tf.stop_gradient(result.outputs), sums, totals)
            return handed_on, tf.cast(tf.stop_gradient(result.kept), keras.backend.floatx())

        (_, _, sums, losses), kept = over_clips(self, one_clip, sequence.steps)
        gradients, of_encoding = sums[: len(variables)], sums[len(variables) :]
        if learns:  # once a sequence, from the sum over its clips
            pairs = [(value, each) for value, each in zip(encoding.values(), of_encoding) if each is not None]
            more = encoder_tape.gradient([v for v, _ in pairs], variables, output_gradients=[g for _, g in pairs])
            gradients = [_add(*pair) for pair in zip(gradients, more)]
        return self._unscaled(gradients), objective.outputs(kept, "main" in sequence.in_mean), losses

    @property
    def unroll_clips(self):
        """Whether LTSC's loop is written out: where the replicas have to agree on q after every clip, which no strategy
        can do inside a loop."""
        return self.replicas > 1 and self.switch is not None and "spatial" in self.objective.streams

    def loop(self, body, count, carried):
        """`carried, part = body(index, carried)` for index 0 to count - 1: (carried, parts stacked)."""

        def flat(values):
            return [each for each in tf.nest.flatten(values) if each is not None]

        def whole(values):
            rest = iter(values)
            return tf.nest.map_structure(lambda each: None if each is None else next(rest), carried)

        start = flat(carried)
        shapes = [each.shape for each in start]

        def step(index, values, parts):
            handed, part = body(index, whole(values))
            values = [tf.ensure_shape(each, shape) for each, shape in zip(flat(handed), shapes)]
            return index + 1, values, parts.write(index, part)

        parts = tf.TensorArray(keras.backend.floatx(), size=count)
        _, values, parts = tf.while_loop(
            lambda index, *_: index < count, step, (tf.constant(0), start, parts), parallel_iterations=1
        )
        return whole(values), parts.stack()

    def get_metrics_result(self):
        logs = super().get_metrics_result()
        return {**logs, **self.switch.logs()} if self.switch is not None else logs

    def over_replicas(self, losses):
        """The losses of the whole batch, so that every replica sets the same q."""
        if self.replicas == 1:
            return losses
        summed = tf.distribute.get_replica_context().all_reduce("SUM", list(losses.values()))
        return dict(zip(losses, summed))  # Keras's losses are already divided by the replicas

    def _unscaled(self, gradients):
        """Takes the loss scale of mixed_float16 out again, so that clipping sees true gradients."""
        scale = self.optimizer.scale_loss(tf.constant(1.0))
        return [each if each is None else tf.convert_to_tensor(each) / tf.cast(scale, each.dtype) for each in gradients]

    def _apply(self, gradients):
        # With all variables, those without a gradient too: a loaded model's optimiser is built for these.
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        pairs = [(g, v) for g, v in zip(gradients, self.trainable_variables) if g is not None]
        gradients, variables = [g for g, _ in pairs], [v for _, v in pairs]
        if self.replicas > 1:
            gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
        if self.clip is not None:
            clipped = {id(variable) for variable in self.scs_variables()}
            gradients = [self._clip(g) if id(variable) in clipped else g for g, variable in zip(gradients, variables)]
        # apply_gradients sums over the replicas again and, under mixed_float16, divides by the loss scale.
        scale = self.optimizer.scale_loss(tf.constant(1.0)) / self.replicas
        self.optimizer.apply_gradients([(g * tf.cast(scale, g.dtype), v) for g, v in zip(gradients, variables)])
        if self.switch is not None:
            self.switch.advance(1 / steps_between_updates(self.optimizer))

    def _clip(self, gradient):
        # Infinities pass, so that the loss-scaling optimiser sees them and skips the step.
        finite = tf.math.is_finite(gradient)
        return tf.where(finite, tf.clip_by_value(gradient, -self.clip, self.clip), gradient)


class GradientSums:
    """Sums of the gradients of several batches, each replica its own."""

    def __init__(self, steps, variables):
        self.steps = steps
        self.sums = [
            keras.Variable("zeros", v.shape, dtype="float32", trainable=False, aggregation="none") for v in variables
        ]

    def add(self, gradients, last):
        """Adds gradients to those of earlier batches; returns the mean, and starts anew after the last."""
        means = []
        for variable, gradient in zip(self.sums, gradients):
            total = tf.convert_to_tensor(variable)
            total = total if gradient is None else total + tf.cast(gradient, "float32")
            means.append(total / self.steps)
            variable.assign(tf.zeros_like(total) if last else total)
        return means


def _add(a, b):
    return b if a is None else a if b is None else a + b
