"""Forecasts from one radar file."""

from pathlib import Path

import numpy as np

from scs_keras.training.data.radar import read_event
from scs_keras.training.source import Source
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.precipitation.pictures import forecast_picture
from scs_keras.zoo.words import option


def predict(source: Source, file: Path, output: Path, steps: int | None = None) -> str:
    """Writes forecast.npz (rain in mm/h, laid out as the input file) and forecast.png, and says so.

    Args:
        source: of a forecaster of the zoo.
        file: radar event (npz); its last images are the observed ones.
        output: folder.
        steps: number of images to forecast; None for the model's.

    Raises:
        ValueError: a bad file, or one with fewer images than the model observes.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"{option('steps')} must be at least 1. Received: {steps}.")
    event, observed, name = read_event(file), source.preset.input_shape[0], source.preset.name
    if len(event.times) < observed:
        raise ValueError(
            f"{file}: the sequence is too short. Needed: {observed} frames to see, found: {len(event.times)}."
        )
    model = source.load()
    if steps is not None:
        model.output_length = steps
    frames = event.scaled[-observed:]
    forecast = np.asarray(model.predict(frames[None, ..., None], verbose=0))[0, ..., 0]
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
    forecast_picture(
        output / "forecast.png", frames, {name: forecast}, np.concatenate([event.times[-observed:], times]),
        event.step_minutes, valid=event.valid, title=f"{event.name}: forecast by {name}",
    )  # fmt: skip
    return f"Wrote {output / 'forecast.npz'} and {output / 'forecast.png'}."
