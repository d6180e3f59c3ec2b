"""What is summed over images of rain, and the scores that are made of the sums.

All scores are functions of sums, so that any choice of images, drawn with replacement too, is scored exactly.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from scs_keras.training.precipitation.probability_scores import (
    BINS,
    crps_weights,
    reliability_of_events,
    reliability_sums,
)
from scs_keras.training.precipitation.spatial_scores import band_power, fraction_sums
from scs_keras.zoo.radar_units import LEVELS, PAPER_THRESHOLD, rain_to_scaled

THRESHOLDS = {str(mm_h): float(rain_to_scaled(mm_h)) for mm_h in LEVELS} | {"paper": PAPER_THRESHOLD}
"""Suffix of csi_, bias_, far_ and pod_ (numbers are mm/h): threshold on the scaled image. Events are values at or above
it."""

SCALES_KM = (1, 5, 10, 20, 40)
"""Sides of the squares of the fractions skill score."""

BAND_KM = (10, 30)
"""The shortest and the longest wavelength whose power is compared."""

_TOLERANCE = 1e-6  # 0.00007 dBZ: rain of exactly 0.5 mm/h is an event at 0.5 mm/h, however its logarithm was rounded

TALLY = np.dtype(
    [
        ("pixels", "f8"),
        ("rain_pixels", "f8"),  # those with a forecast of rain, not of probabilities
        ("squared_error", "f8"),
        ("contingency", "f8", (len(THRESHOLDS), 3)),  # hits, misses, false alarms
        ("fractions", "f8", (len(LEVELS), len(SCALES_KM), 2)),  # see `fraction_sums`
        ("power", "f8", (2,)),  # of the forecast, of what was observed
        ("brier", "f8", (len(LEVELS),)),
        ("reliability", "f8", (len(LEVELS), BINS, 3)),
    ]
)
"""Sums over images; as float64 a plain vector, see `flat`."""


def tally(observed: np.ndarray, forecast: np.ndarray, valid: np.ndarray, km_per_pixel: float | None) -> np.ndarray:
    """The sums of one image.

    Args:
        observed: (height, width), scaled.
        forecast: (height, width, channels): scaled rain (1 channel), or probabilities of `LEVELS` (4).
        valid: bool (height, width); other pixels do not count, and are dry in squares and spectra.
        km_per_pixel: None takes a pixel for a kilometre.

    Returns:
        A `TALLY`, ().
    """
    made = np.zeros((), TALLY)
    made["pixels"] = valid.sum()
    # pixels without data are dry in both, and no event
    observed, forecast = np.where(valid, observed, 0), np.where(valid[..., None], forecast, 0)
    events = _events(observed)
    if forecast.shape[-1] == 1:
        _add_rain(made, observed, forecast[..., 0], events, km_per_pixel or 1.0)
    else:
        _add_probabilities(made, forecast, events, valid)
    return made


def _events(image):
    return image >= np.array(list(THRESHOLDS.values()))[:, None, None] - _TOLERANCE


def _add_rain(made, observed, forecast, events, km):
    expected = _events(forecast)
    made["rain_pixels"] = made["pixels"]
    made["squared_error"] = np.square(forecast - observed, dtype="float64").sum()
    hits, said, seen = (np.count_nonzero(each, axis=(1, 2)) for each in (events & expected, expected, events))
    made["contingency"] = np.stack([hits, seen - hits, said - hits], axis=-1)
    made["brier"] = made["contingency"][: len(LEVELS), 1:].sum(axis=-1)
    for level in range(len(LEVELS)):
        made["reliability"][level] = reliability_of_events(made["pixels"], made["contingency"][level])
    sizes = list(pixels_of_scales(km).values())
    made["fractions"] = fraction_sums(events[: len(LEVELS)], expected[: len(LEVELS)], sizes)
    shortest, longest = BAND_KM
    made["power"] = band_power(np.stack([forecast, observed]), (shortest / km, longest / km))


def _add_probabilities(made, forecast, events, valid):
    for level in range(len(LEVELS)):
        probability, seen = forecast[..., level][valid].astype("float64"), events[level][valid]
        made["brier"][level] = np.square(probability - seen).sum()
        made["reliability"][level] = reliability_sums(seen, probability)


def pixels_of_scales(km_per_pixel: float | None) -> dict[int, int]:
    """{scale in km: side of its square in pixels}, rounded, at least 1; None takes a pixel for a kilometre."""
    return {scale: max(1, int(scale / (km_per_pixel or 1.0) + 0.5)) for scale in SCALES_KM}


def stacked(tallies: Iterable[np.ndarray]) -> np.ndarray:
    """`TALLY`s as float64 (tallies, numbers), which can be summed and weighed."""
    return flat(np.array(list(tallies), TALLY).reshape(-1))


def flat(tallies: np.ndarray) -> np.ndarray:
    """float64 (..., numbers) of `TALLY` (...)."""
    return np.ascontiguousarray(tallies).view("float64").reshape(*tallies.shape, -1)


def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of sums of tallies.

    Args:
        sums: float64 (..., numbers), see `stacked`.

    Returns:
        {metric: float64 (...)}, NaN where one is not defined (nothing to divide by).
    """
    total = np.ascontiguousarray(sums).view(TALLY)[..., 0]
    hits, misses, false_alarms = np.moveaxis(total["contingency"], -1, 0)
    scores = {"mse": _ratio(total["squared_error"], total["rain_pixels"])}
    for index, suffix in enumerate(THRESHOLDS):
        hit, seen, said = (each[..., index] for each in (hits, hits + misses, hits + false_alarms))
        scores[f"csi_{suffix}"] = _ratio(hit, seen + said - hit)  # Eq. 25
        scores[f"far_{suffix}"] = _ratio(said - hit, said)  # Eq. 26
        scores[f"pod_{suffix}"] = _ratio(hit, seen)  # Eq. 27
        scores[f"bias_{suffix}"] = _ratio(said, seen)
        if suffix == "paper":  # Eq. 28 on 0/1 images: the sum of products is the hits, of squares the events
            scores["correlation"] = _ratio(hit, np.sqrt(said * seen))
    scores["spectrum"] = _decibel(_ratio(total["power"][..., 0], total["power"][..., 1]))
    brier = _ratio(total["brier"], total["pixels"][..., None])
    scores["crps"] = brier @ crps_weights(LEVELS)
    for index, level in enumerate(LEVELS):
        scores[f"brier_{level}"] = brier[..., index]
        for scale, km in enumerate(SCALES_KM):
            error, reference = np.moveaxis(total["fractions"][..., index, scale, :], -1, 0)
            scores[f"fss_{level}_{km}km"] = 1 - _ratio(error, reference)
    return scores


def _ratio(part, whole):
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _decibel(ratio):
    return 10 * np.log10(ratio, out=np.full(np.shape(ratio), np.nan), where=ratio > 0)


def reliability_of(sums: np.ndarray) -> Mapping[str, list[dict[str, float]]]:
    """{level: reliability diagram}, of sums (numbers,): for each tenth of the probability that occurs the mean
    `forecast`, the `observed` frequency and the `count` of pixels."""
    diagrams = np.ascontiguousarray(sums).view(TALLY)[0]["reliability"]
    return {
        str(level): [
            dict(forecast=float(said / count), observed=float(seen / count), count=int(count))
            for count, seen, said in diagram
            if count
        ]
        for level, diagram in zip(LEVELS, diagrams)
    }
