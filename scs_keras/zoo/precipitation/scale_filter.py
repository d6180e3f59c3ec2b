"""The scale-wise filter: what of the rain lasts, told by its size (Seed 2003, without mask and matching)."""

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.flow import blur

SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0)  # pixels, deviations of the Gaussians between which a level lies
WINDOW = 24.0  # pixels, deviation of the Gaussian window over which correlations are taken
NOISE = 1e-7  # variance (of dBZ / 70) added to each level: what is dry is correlated with nothing


def scale_filter(moved: Tensor, steps: int, lost: Tensor | None = None) -> Tensor:
    """Forecasts of least squared error that no training is needed for, in the coordinates of the last image.

    The images, moved along the flow to the time of the last one, are split into levels, the differences of
    Gaussian blurs. Each level X goes on as an autoregression of second order,

        X[k + 1] = phi1 X[k] + phi2 X[k - 1],  phi1 = r1 (1 - r2) / (1 - r1^2),  phi2 = (r2 - r1^2) / (1 - r1^2),

    with the correlations r1 and r2 of lag 1 and 2 that it had in the last three images, measured in a window around
    each pixel. What is largest stays. So the small fades soonest, and sooner where it has faded already.

    An image that was filled is a copy of its neighbour and says nothing of how rain fades: pairs with it are left out.
    Without one of lag 2 the process is taken to be of first order, r2 = r1^2; without one of lag 1, r1 = sqrt(r2).

    Args:
        moved: (batch, time, height, width, 1), at least 3 images, scaled to [0, 1] with 0 where it is dry.
        steps: number of future images.
        lost: (batch, time), 1 for an image that was filled; None for none.

    Returns:
        (batch, steps, height, width, 1) in [0, 1]; moving them on along the flow is left to the caller.

    References:
        Seed, A dynamic and spatial scaling approach to advection forecasting, J. Appl. Meteorol. 42, 2003.
    """
    images = moved[:, -3:, :, :, 0]
    there = ops.ones_like(images[:, :, 0, 0]) if lost is None else 1.0 - lost[:, -3:]
    pairs = _pairs(*ops.unstack(there, axis=1))
    smooth, levels = images, []
    for scale in SCALES:
        smoother = blur(smooth, scale)
        levels.append(smooth - smoother)
        smooth = smoother
    forecasts = [smooth[:, -1]] * steps
    for level in levels:
        oldest, before, now = ops.unstack(level, axis=1)
        first, second = _coefficients(oldest, before, now, *pairs)
        for step in range(steps):
            before, now = now, first * now + second * before
            forecasts[step] = forecasts[step] + now
    return ops.clip(ops.stack(forecasts, axis=1), 0.0, 1.0)[..., None]


def _pairs(oldest, before, now):
    """Weights (batch, 1, 1) of the pairs (oldest, before), (before, now) and (oldest, now): 1 where both are there, and
    for all three where no pair is."""
    pairs = [ops.reshape(one * other, (-1, 1, 1)) for one, other in ((oldest, before), (before, now), (oldest, now))]
    none = ops.cast(sum(pairs) == 0, "float32")
    return [each + none for each in pairs]


def _coefficients(oldest, before, now, early, late, lag2):
    """phi1 and phi2 at each pixel, of a stationary process (Yule-Walker); the last three are `_pairs`.

    With d = 1 - r they are (1 - d1) d2 / q and 1 - d2 / q, q = d1 (2 - d1). Where little changes d is small: it is
    measured on the change itself, since 1 - r in float32 would be mostly rounding.
    """
    products = [oldest, before, now, before - oldest, now - before, now - oldest]
    local = ops.unstack(blur(ops.square(ops.stack(products, axis=1)), WINDOW), axis=1)
    first, middle, last = (ops.sqrt(variance + NOISE) for variance in local[:3])
    d1 = early * _distance(local[3], first, middle) + late * _distance(local[4], middle, last)
    d1 = d1 / ops.maximum(early * first * middle + late * middle * last, NOISE)  # of two pairs: one alone is noisy
    d2 = _distance(local[5], first, last) / (first * last)  # of lag 2 there is one
    r1 = ops.sqrt(ops.clip(1.0 - d2, NOISE, 1.0))
    d1 = ops.clip(ops.where(early + late > 0, d1, d2 / (1.0 + r1)), 1e-3, 1.0)
    q = d1 * (2.0 - d1)
    ratio = ops.clip(ops.where(lag2 > 0, d2, q), 5e-4, 2.0 * q - 1e-3) / q
    return (1.0 - d1) * ratio, 1.0 - ratio


def _distance(change, one, other):
    """(1 - r) s s' of two images: of the variance of their difference and their deviations s and s'."""
    return NOISE + 0.5 * (change - ops.square(one - other))
