"""Forecasts from one radar file."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from scs_keras.training.data.radar import read_event
from scs_keras.training.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.training.precipitation.story import Nowcast
from scs_keras.zoo.files import written_beside


def predict(model: keras.Model, file: Path, output: Path, steps: int | None = None) -> str:
    """Writes forecast.npz (rain in mm/h, laid out as the input file), forecast.png and forecast.gif, and says so.

    Args:
        model: a forecaster of the zoo.
        file: radar event (npz); its last images are the observed ones.
        output: folder.
        steps: number of images to forecast; None for the model's.

    Raises:
        ValueError: a bad file, or one with fewer images than the model observes.
    """
    if steps is not None:
        if steps < 1:
            raise ValueError(f"--steps must be at least 1. Received: {steps}.")
        model.output_length = steps
    event, observed, name = read_event(file), model.preset.input_shape[0], model.preset.name
    if len(event.times) < observed:
        raise ValueError(
            f"{file}: the sequence is too short. Needed: {observed} frames to see, found: {len(event.times)}."
        )
    frames = event.scaled[-observed:]
    made = products(model, frames)
    lost = made.pop("lost", np.zeros(observed)) > 0
    forecast = made["matched" if "matched" in made else "model"]
    step = round(event.step_minutes * 60)
    times = event.times[-1] + step * np.arange(1, len(forecast) + 1)
    with written_beside(output / "forecast.npz") as beside:
        np.savez_compressed(
            beside,
            rain=model.preset.postprocess(forecast[..., 0]).astype("float32") * event.valid,
            valid=event.valid,
            times=times,
            step_minutes=event.step_minutes,
            source=f"{name} from {file.name}",
        )
    nowcast = Nowcast(
        observed=frames,
        forecasts={product: made[product] for product in ("model", "matched", "probability") if product in made},
        times=np.concatenate([event.times[-observed:], times]),
        step_minutes=event.step_minutes,
        valid=event.valid,
        lost=lost,
        km_per_pixel=event.km_per_pixel,
        title=f"{event.name}: forecast by {name}",
        source=event.source,
        notes=["forecast.npz and forecast.gif have all images that were forecast."],
    )
    forecast_picture(output / "forecast.png", nowcast)
    forecast_animation(output / "forecast.gif", nowcast)
    return f"Wrote {output / 'forecast.npz'}, {output / 'forecast.png'} and {output / 'forecast.gif'}."


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
    return {name: np.asarray(each)[0] for name, each in made.items()}
