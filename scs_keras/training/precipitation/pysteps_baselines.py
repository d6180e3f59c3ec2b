"""Nowcasts of pysteps as baselines: what a weather service would run (`pip install "scs-keras[radar]"`).

All move the rain along the flow that pysteps finds by Lucas-Kanade in the observed images, as decibels of the rain rate
(dBR) with the usual 0.1 mm/h as the least rain. Settings are pysteps' defaults where nothing else is said.

References:
    Pulkkinen, S. et al. (2019): Pysteps: an open-source Python library for probabilistic precipitation nowcasting.
    Seed, A. W. (2003): A dynamic and spatial scaling approach to advection forecasting (S-PROG).
    Bowler, N. E. et al. (2006): STEPS: a probabilistic precipitation forecasting scheme.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scs_keras.training.task import Prediction, check_needs
from scs_keras.zoo.radar_units import LEVELS, rain_to_scaled, scaled_to_rain
from scs_keras.zoo.words import option

MEMBERS = 6
"""Of the ensemble of STEPS."""

_USED = 3  # images of S-PROG and STEPS: two lags of their autoregressive models
_LEAST_DBR, _DRY_DBR = -10.0, -15.0  # 0.1 mm/h, and what stands for no rain


def nowcasts(observed: int, steps: int, which: str = "pysteps") -> dict[str, Prediction]:
    """`extrapolation`, `sprog` and `steps`, which forecast so many images.

    extrapolation: the last image moves on, semi-Lagrangian, interpolated in mm/h (which beats dBR).
    sprog: S-PROG on the last three images, 8 levels of scale (fewer of small images), matched to the last image.
    steps: the same levels, probabilities of exceeding `LEVELS`: shares of `MEMBERS` members of STEPS.

    Dry weather stays dry. Where one of the last three images is dry, or none differs from the others, no correlation in
    time can be used, and `sprog` and `steps` are the extrapolation.

    Args:
        observed: number of images that are seen.
        steps: number of images to forecast.
        which: "pysteps" for all, "sprog" for it alone, since STEPS takes most of the time.

    Raises:
        ImportError: pysteps is missing.
        ValueError: fewer than three images are seen.
    """
    check_needs({"pysteps": "radar"})
    if observed < _USED:
        raise ValueError(
            f"{option('baselines', which)} needs {_USED} observed images. The model sees {observed}: leave it out."
        )
    flows: dict[str, Any] = {"frames": None}

    def prediction(nowcast: Callable[..., np.ndarray]) -> Prediction:
        def predict(frames: np.ndarray, about: Sequence[Mapping[str, Any]]) -> np.ndarray:
            rain = decibel(scaled_to_rain(frames[..., 0].astype("float64")))
            with _quiet():
                if flows["frames"] is not frames:  # the same for all three
                    flows.update(frames=frames, flows=[flow(each) for each in rain])
                made = [nowcast(*each, steps, known) for *each, known in zip(rain, flows["flows"], about)]
            return np.stack(made).astype("float32")

        return predict

    made = {"extrapolation": extrapolation, "sprog": sprog, "steps": ensemble}
    return {name: prediction(made[name]) for name in (made if which == "pysteps" else [which])}


def decibel(rain: np.ndarray) -> np.ndarray:
    """Rain in mm/h, any shape, as dBR; -15 where it is less than 0.1 mm/h."""
    return np.where(rain >= 0.1, 10 * np.log10(np.maximum(rain, 0.1)), _DRY_DBR)


def rain_of(decibels: np.ndarray) -> np.ndarray:
    """mm/h of dBR; 0 below 0.1 mm/h."""
    return np.where(decibels >= _LEAST_DBR, 10 ** (decibels / 10), 0)


def flow(rain: np.ndarray) -> np.ndarray:
    """Pixels per image in x and y, (2, height, width), of dBR (time, height, width); 0 where nothing moves."""
    from pysteps.motion.lucaskanade import dense_lucaskanade

    return dense_lucaskanade(rain)


def extrapolation(rain: np.ndarray, motion: np.ndarray, steps: int, about: Any = None) -> np.ndarray:
    """Scaled rain (steps, height, width, 1)."""
    from pysteps.nowcasts.extrapolation import forecast

    moved = forecast(rain_of(rain[-1]), motion, steps)
    return rain_to_scaled(np.nan_to_num(moved))[..., None]  # NaN is what moves in from outside


def sprog(rain: np.ndarray, motion: np.ndarray, steps: int, about: Any = None) -> np.ndarray:
    """Scaled rain (steps, height, width, 1)."""
    from pysteps.nowcasts.sprog import forecast

    made = _where_correlated(forecast, rain, motion, steps)
    return extrapolation(rain, motion, steps) if made is None else _scaled(made)[..., None]


def ensemble(rain: np.ndarray, motion: np.ndarray, steps: int, about: Mapping[str, Any]) -> np.ndarray:
    """Probabilities (steps, height, width, levels)."""
    from pysteps.nowcasts.steps import forecast

    made = _where_correlated(
        forecast, rain, motion, steps, n_ens_members=MEMBERS, kmperpixel=about.get("km_per_pixel") or 1.0,
        timestep=about["step_minutes"], seed=0,
    )  # fmt: skip
    members = extrapolation(rain, motion, steps)[None, ..., 0] if made is None else _scaled(made)
    levels = rain_to_scaled(np.array(LEVELS)) - 1e-6
    return (members[..., None] >= levels).mean(axis=0)


def _where_correlated(forecast, rain, motion, steps, **arguments):
    """What a forecast by scales gives; None where the images have no correlation in time that it could use."""
    rain = rain[-_USED:]
    if not _wet(rain).all():
        return None
    try:
        return forecast(rain, motion, steps, precip_thr=_LEAST_DBR, n_cascade_levels=_levels(rain), **arguments)
    except np.linalg.LinAlgError:  # of images that do not change
        return None


def _wet(rain):
    """bool (time,): which images have rain."""
    return (rain >= _LEAST_DBR).any(axis=(1, 2))


def _scaled(rain):
    """Scaled rain of dBR; dry where nothing is known, behind what moved in from outside."""
    return rain_to_scaled(rain_of(np.nan_to_num(rain, nan=_DRY_DBR)))


def _levels(rain):
    """8, or as many as octaves fit into the image."""
    return int(np.clip(np.log2(min(rain.shape[1:])), 3, 8))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what pysteps prints and the warnings of its arithmetic; it leaves NumPy's random numbers as they were."""
    state = np.random.get_state()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            np.random.set_state(state)
