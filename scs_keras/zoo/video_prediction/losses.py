"""TAU's loss (Sec. 3.4): squared error, and the divergence of the differences between consecutive frames."""

import keras
from keras import ops


def differential_divergence(y_true, y_pred, tau=0.1, epsilon=1e-12, over_pixels="mean"):
    """Kullback-Leibler divergence of softmax(change / tau) over all pixels and channels of a frame (Eq. 3-5).

    Args:
        y_true, y_pred: frames (batch, time, height, width, channels).
        tau: temperature.
        epsilon: added in the quotient and the logarithm, as the reference does.
        over_pixels: "mean", as published in code: the divergence divided by the number of pixels; "sum": the
            divergence of Eq. 5 itself.

    Returns:
        (batch,), the mean over the changes; 0 for one or two frames, as in the reference.
    """
    if y_pred.shape[1] <= 2:
        return ops.zeros((ops.shape(y_pred)[0],), y_pred.dtype)

    def changes(frames):
        difference = frames[:, 1:] - frames[:, :-1]
        batch, time = ops.shape(difference)[:2]
        return ops.softmax(ops.reshape(difference, (batch, time, -1)) / tau, axis=-1)

    p, q = changes(y_pred), changes(y_true)
    terms = p * ops.log(p / (q + epsilon) + epsilon)
    return ops.mean({"mean": ops.mean, "sum": ops.sum}[over_pixels](terms, axis=-1), axis=-1)


@keras.saving.register_keras_serializable("scs_keras")
class DifferentialDivergenceLoss(keras.losses.Loss):
    """Mean squared error + alpha * differential divergence (Eq. 6).

    Args:
        alpha: weight of the regularisation; 0 is the mean squared error (the paper's "w/o DDR").
        tau, epsilon, over_pixels: see `differential_divergence`.

    Frames are (batch, time, height, width, channels); one value per sample, so `sample_weight` is (batch,).
    """

    def __init__(
        self, alpha=0.1, tau=0.1, epsilon=1e-12, over_pixels="mean", name="differential_divergence_loss", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if over_pixels not in ("mean", "sum"):
            raise ValueError(f'`over_pixels` is "mean" (as published) or "sum". Received: over_pixels={over_pixels!r}.')
        if alpha < 0:
            raise ValueError(f"`alpha` is at least 0. Received: alpha={alpha}.")
        for argument, value in dict(tau=tau, epsilon=epsilon).items():
            if value <= 0:
                raise ValueError(f"`{argument}` is more than 0. Received: {argument}={value}.")
        self.alpha, self.tau, self.epsilon, self.over_pixels = alpha, tau, epsilon, over_pixels

    def call(self, y_true, y_pred):
        loss = ops.mean(ops.square(y_pred - y_true), axis=(1, 2, 3, 4))
        if self.alpha:
            loss = loss + self.alpha * differential_divergence(y_true, y_pred, self.tau, self.epsilon, self.over_pixels)
        return loss

    def get_config(self):
        settings = dict(alpha=self.alpha, tau=self.tau, epsilon=self.epsilon, over_pixels=self.over_pixels)
        return {**super().get_config(), **settings}
