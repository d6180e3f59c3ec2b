"""Forecasts from one radar file."""

from pathlib import Path

import keras
import numpy as np

from scs_keras.training.data.radar import Reading, read_event
from scs_keras.training.data.radar_write import FORMATS, check_format, write_forecast
from scs_keras.training.precipitation.samples import said_of
from scs_keras.zoo.precipitation.pictures import forecast_picture


def predict(
    model: keras.Model,
    file: Path,
    output: Path,
    steps: int | None = None,
    format: str = "npz",
    **reading: str | None,
) -> str:
    """Writes the forecast, see `write_forecast`, and forecast.png, and says so.

    Args:
        model: a forecaster of the zoo.
        file: radar event, a file or a folder with one file per time; its last images are the observed ones.
        output: folder.
        steps: number of images to forecast; None for the model's.
        format: "npz" (laid out as an event), "netcdf" or "odim".
        **reading: what the user says of the files, see `Reading`.

    Raises:
        ValueError: a bad file, or one with fewer images than the model observes.
    """
    if steps is not None:
        if steps < 1:
            raise ValueError(f"--steps must be at least 1. Received: {steps}.")
        model.output_length = steps
    observed, name = model.preset.input_shape[0], model.preset.name
    given = Reading(**{key: value for key, value in reading.items() if value is not None})
    event = read_event(file, given, last=observed)
    check_format(format, event)
    if len(event.times) < observed:
        raise ValueError(
            f"{file}: the sequence is too short. Needed: {observed} frames to see, found: {len(event.times)}."
        )
    frames = event.scaled[-observed:]
    products = _products(model.predict(frames[None, ..., None], verbose=0))
    forecast = products["matched" if "matched" in products else "model"]
    rain = {key: each if key == "probability" else model.preset.postprocess(each) for key, each in products.items()}
    write_forecast(output / FORMATS[format][0], format, rain, event, name)
    times = event.times[-1] + np.round(60 * event.step_minutes * np.arange(1, len(forecast) + 1)).astype("int64")
    forecast_picture(
        output / "forecast.png", frames, {name: forecast}, np.concatenate([event.times[-observed:], times]),
        event.step_minutes, valid=event.valid, title=f"{event.name}: forecast by {name}",
    )  # fmt: skip
    said = [f"{event.file}: {event.reading}."] if event.reading else []
    said += [*said_of([event]), f"Wrote {output / FORMATS[format][0]} and {output / 'forecast.png'}."]
    return "\n".join(said)


def _products(outputs) -> dict[str, np.ndarray]:
    """{product: (lead, height, width), probability with its thresholds} of a model's outputs for one sequence."""
    if not isinstance(outputs, dict):
        return {"model": np.asarray(outputs)[0, ..., 0]}
    channels = {"mean": 0, "matched": 0, "probability": slice(None)}
    return {name: np.asarray(outputs[name])[0][..., channel] for name, channel in channels.items() if name in outputs}
