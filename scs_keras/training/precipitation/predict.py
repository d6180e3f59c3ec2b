"""Forecasts from one radar file."""

from pathlib import Path

from scs_keras.training.data.radar import Reading, read_event
from scs_keras.training.data.radar_write import FORMATS, PROBABILITY, check_format, write_forecast
from scs_keras.training.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.training.precipitation.products import in_mm_h, nowcast, products
from scs_keras.training.precipitation.samples import said_of
from scs_keras.training.source import Source
from scs_keras.zoo.words import option


def predict(
    source: Source,
    file: Path,
    output: Path,
    steps: int | None = None,
    format: str = "npz",
    **reading: str | None,
) -> str:
    """Writes the forecast, see `write_forecast`, forecast.png and forecast.gif, and says so.

    Args:
        source: of a forecaster of the zoo.
        file: radar event, a file or a folder with one file per time; its last images are the observed ones.
        output: folder.
        steps: number of images to forecast; None for the model's.
        format: "npz" (laid out as an event), "netcdf" or "odim".
        **reading: what the user says of the files, see `Reading`.

    Raises:
        ValueError: a bad file, or one with fewer images than the model observes.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"{option('steps')} must be at least 1. Received: {steps}.")
    observed, name = source.preset.input_shape[0], source.preset.name
    given = Reading(**{key: value for key, value in reading.items() if value is not None})
    event = read_event(file, given, last=observed)
    check_format(format, event)
    if len(event.times) < observed:
        raise ValueError(
            f"{file}: the sequence is too short. Needed: {observed} frames to see, found: {len(event.times)}."
        )
    model = source.load()
    if steps is not None:
        model.output_length = steps
    made = products(model, event.scaled[-observed:])
    written = output / FORMATS[format][0]
    write_forecast(written, format, in_mm_h(made), event, name)
    shown = nowcast(event, made, name, observed)
    forecast_picture(output / "forecast.png", shown)
    forecast_animation(output / "forecast.gif", shown)
    said = [f"{event.file}: {event.reading}."] if event.reading else []
    said += said_of([event])
    lost = [str(index + 1) for index in (made["lost"] > 0).nonzero()[0]] if "lost" in made else []
    if lost:
        said.append(
            f"{event.file}: of the last {observed} images, number {', '.join(lost)} lacks echo that the others show, "
            "is full of speckle, or is the image before once more; it was replaced along the flow."
        )
    if format == "odim" and PROBABILITY in made:
        said.append(f"ODIM has no quantity for probabilities: {option('format', 'netcdf')} writes them too.")
    return "\n".join([*said, f"Wrote {written}, {output / 'forecast.png'} and {output / 'forecast.gif'}."])
