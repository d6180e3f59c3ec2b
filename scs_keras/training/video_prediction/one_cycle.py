"""The one-cycle policy (Smith & Topin 2018): the learning rate rises and falls once, Adam's momentum the other way."""

import math

import keras
from keras import ops

RISE = 0.3  # share of the steps until the peak
INITIAL_DIVISOR, FINAL_DIVISOR = 25.0, 1e4  # peak / first value; first / last value
MOMENTUM = (0.95, 0.85)  # beta_1 at both ends, and at the peak


@keras.saving.register_keras_serializable("scs_keras")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """A value that goes from `first` to `peak` in the first 30 % of the steps and on to `last`, by half cosines.

    Args:
        first, peak, last: values at the first step, the peak and the last step.
        steps: optimiser steps in all, at least 2; afterwards the value stays.

    Raises:
        ValueError: if steps is below 2.
    """

    def __init__(self, first, peak, last, steps):
        if steps < 2:
            raise ValueError(f"One cycle needs at least 2 steps. Received: steps={steps}.")
        self.first, self.peak, self.last, self.steps = first, peak, last, steps

    @classmethod
    def of_learning_rate(cls, peak, steps):
        """The published schedule: first peak / 25, last peak / 250,000."""
        first = peak / INITIAL_DIVISOR
        return cls(first, peak, first / FINAL_DIVISOR, steps)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        turn, end = RISE * self.steps - 1, self.steps - 1
        rising = _half_cosine(self.first, self.peak, step / turn) if turn > 0 else self.peak
        falling = _half_cosine(self.peak, self.last, (step - turn) / (end - turn))
        return ops.where(step < turn, rising, falling)

    def get_config(self):
        return dict(first=self.first, peak=self.peak, last=self.last, steps=self.steps)


@keras.saving.register_keras_serializable("scs_keras")
class OneCycleAdam(keras.optimizers.Adam):
    """Adam whose learning rate and beta_1 follow one cycle, with the reference's epsilon.

    Args:
        peak: largest learning rate.
        steps: optimiser steps in all.
    """

    def __init__(self, peak, steps, epsilon=1e-8, name="one_cycle_adam", **kwargs):
        super().__init__(OneCycle.of_learning_rate(peak, steps), epsilon=epsilon, name=name, **kwargs)
        self._momentum = OneCycle(MOMENTUM[0], MOMENTUM[1], MOMENTUM[0], steps)
        self.peak, self.steps = peak, steps

    @property
    def beta_1(self):
        """Now: what Adam reads at every step."""
        return self._momentum(self.iterations)

    @beta_1.setter
    def beta_1(self, value):
        """Adam's constructor sets a constant; the cycle has its own values."""

    def get_config(self):
        config = keras.optimizers.Optimizer.get_config(self)
        del config["learning_rate"]
        return {**config, "peak": self.peak, "steps": self.steps, "epsilon": self.epsilon}


def _half_cosine(start, end, share):
    return end + (start - end) / 2 * (1 + ops.cos(math.pi * ops.clip(share, 0.0, 1.0)))
