"""What a forecaster gives for one sequence, and how it is shown."""

from collections.abc import Mapping

import keras
import numpy as np

from scs_keras.training.data.radar import RadarEvent
from scs_keras.training.precipitation.story import Nowcast
from scs_keras.zoo.precipitation.lost_images import find_lost
from scs_keras.zoo.precipitation.products import to_rain

RAIN = ("model", "mean", "matched")
SHOWN = ("model", "matched", "probability")


def products(model: keras.Model, frames: np.ndarray) -> dict[str, np.ndarray]:
    """All that a model forecasts, {"model": rain} where it is one array.

    Args:
        model: a forecaster of the zoo.
        frames: float32 (time, height, width), scaled to [0, 1].

    Returns:
        {name: float32 (lead, height, width, channels)}; "lost", where the model says it, is (time,).
    """
    made = model.predict(frames[None, ..., None], verbose=0)
    if not isinstance(made, Mapping):
        made = {"model": made}
        if getattr(model, "fills_lost", False):
            made["lost"] = keras.ops.convert_to_numpy(find_lost(frames[None, ..., None]))
    return {name: np.asarray(each)[0] for name, each in made.items()}


def in_mm_h(made: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rain of `products` in mm/h, and the probabilities as they are."""
    rain = {name: to_rain(made[name]) for name in RAIN if name in made}
    return rain | {name: made[name] for name in ("probability",) if name in made}


def nowcast(event: RadarEvent, made: Mapping[str, np.ndarray], model: str, observed: int) -> Nowcast:
    """What follows an event's last images, to be drawn; what came is not known.

    Args:
        event: its last images are those that were seen.
        made: `products`.
        model: name of what made them.
        observed: number of images that were seen.
    """
    forecasts = {name: made[name] for name in SHOWN if name in made}
    filled = event.missing[-observed:] | (made["lost"] > 0 if "lost" in made else False)
    leads = np.arange(1, len(next(iter(forecasts.values()))) + 1)
    following = event.times[-1] + np.round(60 * event.step_minutes * leads).astype("int64")
    return Nowcast(
        observed=event.scaled[-observed:],
        forecasts=forecasts,
        times=np.concatenate([event.times[-observed:], following]),
        step_minutes=event.step_minutes,
        valid=event.valid,
        lost=filled,
        km_per_pixel=event.km_per_pixel,
        title=f"{event.name}: forecast by {model}",
        source=event.source,
        notes=[*event.notes, "forecast.gif shows all images that were forecast."],
    )
