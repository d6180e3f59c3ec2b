"""Sums for the Brier score, the reliability diagram and the CRPS of forecasts of exceedance probabilities."""

from collections.abc import Sequence

import numpy as np

BINS = 10
_EDGES = np.linspace(-1e-6, 1 + 1e-6, BINS + 1)  # 0 and 1 lie inside


def reliability_sums(observed: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """What a reliability diagram is made of.

    Args:
        observed: bool (pixels,), whether rain reached a threshold.
        probability: (pixels,), in [0, 1], that it does.

    Returns:
        float64 (BINS, 3): by tenths of the probability the number of pixels, of those observed, and the sum of
        probabilities.
    """
    places = np.searchsorted(_EDGES, probability) - 1
    counts = [np.bincount(places, weights, BINS) for weights in (None, observed, probability)]
    return np.stack(counts, axis=-1)


def reliability_of_events(pixels: int, contingency: np.ndarray) -> np.ndarray:
    """`reliability_sums` of a forecast that says 0 or 1, from its (hits, misses, false alarms)."""
    hits, misses, false_alarms = contingency
    said = hits + false_alarms
    made = np.zeros((BINS, 3))
    made[0], made[-1] = (pixels - said, misses, 0), (said, hits, said)
    return made


def crps_weights(levels: Sequence[float]) -> np.ndarray:
    """Weight of each threshold's Brier score in the CRPS, in the unit of the thresholds (ascending, above 0).

    CRPS = ∫ (P(R >= x) - [observed >= x])² dx from 0 on. Of rain that is rounded down to 0 or a threshold both terms
    are constant between thresholds, so that it is Σ_k (t_k - t_{k-1}) Brier_k with t_0 = 0, whatever gives P: one
    forecast, an ensemble, or a model of probabilities. Of one forecast it is the absolute error of what was rounded.
    """
    return np.diff(levels, prepend=0.0)
