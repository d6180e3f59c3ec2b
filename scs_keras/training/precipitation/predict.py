"""Forecasts from one radar file."""

from pathlib import Path

import keras
import numpy as np

from scs_keras.training.data.radar import read_event
from scs_keras.training.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.training.precipitation.products import nowcast, products
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
    forecast = made["matched" if "matched" in made else "model"][..., 0]
    step = round(event.step_minutes * 60)
    times = event.times[-1] + step * np.arange(1, len(forecast) + 1)
    with written_beside(output / "forecast.npz") as beside:
        np.savez_compressed(
            beside,
            rain=model.preset.postprocess(forecast).astype("float32") * event.valid,
            valid=event.valid,
            times=times,
            step_minutes=event.step_minutes,
            source=f"{name} from {file.name}",
        )
    shown = nowcast(event, made, name, observed)
    forecast_picture(output / "forecast.png", shown)
    forecast_animation(output / "forecast.gif", shown)
    return f"Wrote {output / 'forecast.npz'}, {output / 'forecast.png'} and {output / 'forecast.gif'}."
