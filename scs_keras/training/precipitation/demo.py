"""`scs-keras demo`: a real radar sequence, forecast by the zoo's trained models: a picture, an animation, a table."""

from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.training.data.radar import RadarSequences, read_event
from scs_keras.training.evaluate import score
from scs_keras.training.precipitation.samples import RadarSamples
from scs_keras.training.precipitation.scores import RainScores, baselines
from scs_keras.training.scores import text_tables
from scs_keras.zoo.files import check_output_folder
from scs_keras.zoo.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.zoo.precipitation.sample import SAMPLE

SHOWN = "scs_precipitation_advection_small_radar"


def demo(output: str | Path = ".") -> None:
    """Writes forecast.png and forecast.gif to the folder `output` and prints the scores on the shipped event."""
    output = Path(output)
    check_output_folder(output, ["forecast.png", "forecast.gif"])
    event, preset = read_event(SAMPLE), zoo.get_preset(SHOWN)
    print(f"{event.name}: rain radar of south-eastern France, 28 August 2016 (Meteo-France, Open Licence 2.0).")
    models = {p.name: zoo.load(p.name) for p in zoo.list_presets("precipitation") if p.has_weights}
    samples = RadarSamples(event.name, RadarSequences([event], preset.input_shape[0], preset.output_shape[0]))
    forecasts = {name: lambda x, about, model=model: model.predict(x, verbose=0) for name, model in models.items()}
    forecasts |= baselines(preset, samples, lambda: samples)
    print(text_tables(samples.name, score(forecasts, samples, RainScores)))
    _pictures(event, samples, forecasts, output)
    print(f"Wrote {output / 'forecast.png'} and {output / 'forecast.gif'}.")


def _pictures(event, samples, forecasts, output):
    """The window with the most rain, cut to the area with the most rain."""
    index = max(range(len(samples)), key=lambda each: float(samples[each][0].sum()))
    frames, target, _ = samples[index]
    area = wettest_area(frames[..., 0])
    observed = np.concatenate([frames, target])[..., 0]
    images = {
        name: forecast(frames[None], None)[0, ..., 0][(slice(None), *area)] for name, forecast in forecasts.items()
    }
    del images["persistence"]
    arguments = dict(
        observed=observed[(slice(None), *area)],
        forecasts=images,
        times=samples.about(index)["times"],
        step_minutes=event.step_minutes,
        valid=event.valid[area],
        title="Rain radar, south-eastern France (Météo-France): observed and forecast",
    )
    forecast_picture(output / "forecast.png", **arguments)
    arguments["forecasts"] = {name: images[name] for name in (SHOWN, "advection")}
    forecast_animation(output / "forecast.gif", **arguments)


def wettest_area(frames: np.ndarray, side: int = 128, margin: int = 24) -> tuple[slice, slice]:
    """(rows, columns) of the square with the most rain in (time, height, width) images, away from their edges.

    At the edges rain moves in from outside, where no forecast can see it.
    """
    inner = frames[:, margin:-margin, margin:-margin].sum(axis=0)
    total = np.pad(inner.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = margin + np.array(np.unravel_index(sums.argmax(), sums.shape))
    return slice(top, top + side), slice(left, left + side)
