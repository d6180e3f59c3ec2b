"""`scs-keras demo`: a real radar sequence, forecast by the zoo's trained models: a picture, an animation, a table."""

from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.training.data.radar import read_event, windows
from scs_keras.training.evaluate import baselines, evaluate_forecasts, format_table
from scs_keras.zoo.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.zoo.precipitation.presets import FORECAST, OBSERVED
from scs_keras.zoo.precipitation.sample import SAMPLE

SHOWN = "scs_precipitation_advection_small_radar"


def demo(output="."):
    """Writes forecast.png and forecast.gif to the folder `output` and prints the scores on the shipped event."""
    output = Path(output)
    event = read_event(SAMPLE)
    print(f"{event.name}: rain radar of south-eastern France, 28 August 2016 (Meteo-France, Open Licence 2.0).")
    models = {p.name: zoo.load(p.name) for p in zoo.list_presets("precipitation") if p.has_weights}
    forecasts = {name: lambda frames, model=model: model.predict(frames, verbose=0) for name, model in models.items()}
    results = evaluate_forecasts({**forecasts, **baselines(FORECAST)}, [event], OBSERVED, FORECAST)
    print(format_table(results))
    _pictures(event, models, output)
    print(f"Wrote {output / 'forecast.png'} and {output / 'forecast.gif'}.")


def _pictures(event, models, output):
    """The window with the most rain, cut to where it rains."""
    window = max(windows(event, OBSERVED, FORECAST), key=lambda each: float(each.frames.sum()))
    area = wettest_area(window.frames[..., 0])
    observed = np.concatenate([window.frames, window.target])[..., 0]
    forecasts = {name: model.predict(window.frames[None], verbose=0)[0, ..., 0] for name, model in models.items()}
    arguments = dict(
        observed=observed[(slice(None), *area)],
        forecasts={name: images[(slice(None), *area)] for name, images in forecasts.items()},
        times=window.times,
        step_minutes=event.step_minutes,
        valid=event.valid[area],
        title="Rain radar, south-eastern France (Météo-France): observed and forecast",
    )
    forecast_picture(output / "forecast.png", **arguments)
    arguments["forecasts"] = {SHOWN: arguments["forecasts"][SHOWN]}
    forecast_animation(output / "forecast.gif", **arguments)


def wettest_area(frames, side=128, margin=24):
    """(rows, columns) of the square with the most rain in (time, height, width) images, away from their edges.

    At the edges rain moves in from outside, where no forecast can see it.
    """
    inner = frames[:, margin:-margin, margin:-margin].sum(axis=0)
    total = np.pad(inner.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = margin + np.array(np.unravel_index(sums.argmax(), sums.shape))
    return slice(top, top + side), slice(left, left + side)
