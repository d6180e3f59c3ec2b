"""Scheduled sampling: while training, which frames a recurrent model sees as they were, which as it predicted them."""

import keras
from keras import ops

from scs_keras.core.switch import read

SAVED = "saved_seed_generator"


class ScheduledSampling(keras.Layer):
    """Draws the sampling mask; its probabilities depend on the number of draws so far, one a training call.

    With n = 0, 1, 2, ... draws before this one, the true frame is shown

        scheduled:  for the future with probability  eta = start_value - changing_rate (n + 1)  while n < stop_iter,
                    then 0; observed frames always;
        reverse:    for the observed, from the second on, with  r_eta = 0.5  while n < r_step_1, then
                    1 - 0.5 exp(-(n - r_step_1) / r_alpha)  while n < r_step_2, then 1;
                    for the future with  eta = 0.5  while n < r_step_1, then linearly down to 0 at r_step_2.

    Args:
        reverse: False for scheduled, True for reverse scheduled sampling.
        stop_iter, start_value, changing_rate: of scheduled sampling.
        r_step_1, r_step_2, r_alpha: of reverse scheduled sampling.
        seed: integer; the masks are a function of it and of the number of draws, both saved with the weights.
            None draws a seed.

    Raises:
        ValueError: on probabilities outside [0, 1] and steps in the wrong order.

    References:
        Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", 2015;
        Wang et al., "PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning", 2022 (reverse).
    """

    def __init__(
        self, reverse=False, stop_iter=50000, start_value=1.0, changing_rate=2e-5,
        r_step_1=25000, r_step_2=50000, r_alpha=5000, seed=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        if not 0 <= start_value <= 1:
            raise ValueError(f"`sampling_start_value` is in [0, 1]. Received: sampling_start_value={start_value!r}.")
        if changing_rate < 0:
            raise ValueError(
                f"`sampling_changing_rate` is at least 0. Received: sampling_changing_rate={changing_rate!r}."
            )
        if r_step_2 < r_step_1:
            raise ValueError(
                "`r_sampling_step_2` must not come before `r_sampling_step_1`. "
                f"Received: r_sampling_step_1={r_step_1}, r_sampling_step_2={r_step_2}."
            )
        if not r_alpha > 0:
            raise ValueError(f"`r_exp_alpha` must be positive, for example 5000. Received: r_exp_alpha={r_alpha!r}.")
        self.reverse = bool(reverse)
        self.stop_iter, self.start_value, self.changing_rate = stop_iter, start_value, changing_rate
        self.r_step_1, self.r_step_2, self.r_alpha = r_step_1, r_step_2, r_alpha
        # Its state: the seed, and how often it was used. Unlike other generators' it is saved; its name says so.
        self.draws = keras.random.SeedGenerator(seed, name=SAVED)
        self.built = True

    @property
    def count(self):
        """Number of masks drawn so far: of training calls. May be set, to go on or start anew."""
        return int(read(self.draws.state)[1])

    @count.setter
    def count(self, value):
        seed = int(read(self.draws.state)[0])
        self.draws.state.assign([seed, value])

    def probabilities(self, count):
        """(r_eta, eta): probabilities of the true frame, observed and future, after so many draws; float32 scalars."""
        n = ops.cast(count, "float32")
        if not self.reverse:
            eta = ops.maximum(self.start_value - self.changing_rate * (n + 1.0), 0.0)
            return ops.ones_like(n), ops.where(n < self.stop_iter, eta, 0.0)
        decay = 1.0 - 0.5 * ops.exp(-ops.maximum(n - self.r_step_1, 0.0) / self.r_alpha)
        r_eta = ops.where(n < self.r_step_1, 0.5, ops.where(n < self.r_step_2, decay, 1.0))
        share = (n - self.r_step_1) / max(self.r_step_2 - self.r_step_1, 1)
        return r_eta, 0.5 * (1.0 - ops.clip(share, 0.0, 1.0))

    def draw(self, batch, observed, future):
        """A mask of 0 and 1, (batch, observed + future, 1, 1, 1), for so many frames of either kind; float32."""
        r_eta, eta = self.probabilities(self.draws.state[1])
        chance = keras.random.uniform((batch, observed + future), dtype="float32", seed=self.draws)
        probability = ops.concatenate([ops.broadcast_to(r_eta, (observed,)), ops.broadcast_to(eta, (future,))])
        return ops.cast(chance < probability, "float32")[:, :, None, None, None]

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["draws"] = read(self.draws.state)

    def load_own_variables(self, store):
        self.draws.state.assign(store["draws"])
