"""The training step where Keras does not run on TensorFlow: Keras's own; the model's loss does the rest."""

import keras

from scs_keras.core.compile_arguments import inner_optimizer


class KerasStep(keras.Model):
    """The base of SCSModel elsewhere, for example on JAX. It takes one gradient of everything, its optimiser clips."""

    replicas = 1

    def over_replicas(self, losses):
        return losses

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
