"""The training step where Keras does not run on TensorFlow: Keras's own; the model's loss does the rest."""

import keras
from keras import ops

from scs_keras.core.compile_arguments import inner_optimizer


class KerasStep(keras.Model):
    """The base of SCSModel elsewhere, for example on JAX. It takes one gradient of everything, its optimiser clips."""

    replicas = 1

    def over_replicas(self, losses):
        return losses

    unroll_clips = False

    def loop(self, body, count, carried):
        """`carried, part = body(index, carried)` for index 0 to count - 1: (carried, parts stacked).

        On JAX a scan, whose backward pass computes one iteration after the other anew; what layers and the switch
        assign inside is carried from iteration to iteration.
        """
        if keras.backend.backend() != "jax":
            parts = []
            for index in range(count):
                carried, part = body(index, carried)
                parts.append(part)
            return carried, keras.tree.map_structure(lambda *each: ops.stack(each), *parts)
        fixed = [(each, each.value) for each in self.trainable_variables]
        changing = self.non_trainable_variables

        def step(state, index):
            handed, values = state
            mapping = [*fixed, *zip(changing, values)]
            with keras.StatelessScope(mapping, collect_losses=True) as scope:
                handed, part = body(index, handed)
            return (handed, [scope.get_current_value(each) for each in changing]), part

        start = (carried, [each.value for each in changing])
        (carried, values), parts = ops.scan(keras.remat(step), start, ops.arange(count))
        for variable, value in zip(changing, values):
            variable.assign(value)
        return carried, parts

    def configure_backend(self):
        optimizer = inner_optimizer(self.optimizer)
        optimizer.clipvalue = self.clip
        if self.accumulate_steps > 1:
            optimizer.gradient_accumulation_steps = self.accumulate_steps

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        if self.switch is not None:  # its variables live in the state while JAX trains
            values = dict(zip(map(id, self.non_trainable_variables), state[1]))
            logs.update({name: values[id(variable)] for name, variable in self.switch.logs().items()})
        return logs, state
