"""`scs-keras demo`: a real radar sequence and its forecast by a trained model: a picture, an animation, a table."""

import dataclasses
import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.training.data.radar import RadarSequences, read_event
from scs_keras.training.evaluate import score
from scs_keras.training.precipitation import TASK
from scs_keras.training.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.training.precipitation.samples import RadarSamples
from scs_keras.training.precipitation.scores import RainScores
from scs_keras.training.precipitation.story import LABELS, Nowcast
from scs_keras.training.precipitation.summary import SUMMARY, summary_table, takeaway
from scs_keras.training.scores import defined
from scs_keras.training.task import Prediction
from scs_keras.zoo.files import check_output_folder
from scs_keras.zoo.precipitation.sample import DEMO_EVENT

SHOWN = "scs_precipitation_nowcast_small_radar"
DRAWN = ("persistence", "advection", "sprog", "model", "matched", "probability")
"""The forecasts that are drawn, from the top, of those that there are."""

_SCORED = (
    "All forecasts of the event; the best of each column is marked. MSE: mean squared error of dBZ/70. CSI at a "
    "threshold in mm/h: hits / (hits + misses + false alarms)."
)
_WHAT = {
    "persistence": "the last image repeated",
    "advection": "the last image moved along its flow",
    "scale_filter": "advection whose fine detail fades first",
    "sprog": "advection by pysteps whose fine detail fades first",
    "model": "{model}",
    "mean": "{model} for the least squared error",
    "matched": "{model} with as much light and heavy rain as in the last image",
    "probability": "of {model}",
}


def demo(output: str | Path = ".") -> None:
    """Writes forecast.png and forecast.gif to the folder `output` and prints the scores on the shipped event."""
    output = Path(output)
    check_output_folder(output, ["forecast.png", "forecast.gif"])
    event, preset = read_event(DEMO_EVENT), zoo.get_preset(SHOWN)
    samples = RadarSamples(event.name, RadarSequences([event], preset.input_shape[0], preset.output_shape[0]))
    print(f"Forecasting radar images of the coast of Florida with {SHOWN} ...", flush=True)
    options = {} if importlib.util.find_spec("pysteps") is None else {"baselines": "sprog"}
    baselines = TASK.baselines_of(preset, samples, lambda: samples, **options)
    predictions = {**baselines, **TASK.predictors_of(zoo.load(SHOWN))}
    results = {name: each.result() for name, each in score(predictions, samples, RainScores).items()}
    said = takeaway(results, list(baselines))
    print("", summary_table(results), "", _SCORED, said, "", "Drawing ...", sep="\n", flush=True)
    index = len(samples) - 1
    nowcast = Nowcast(
        observed=np.concatenate(samples[index][:2]),
        forecasts=_drawn(predictions, samples, index),
        times=samples.about(index)["times"],
        step_minutes=event.step_minutes,
        valid=event.valid,
        km_per_pixel=event.km_per_pixel,
        title="Rain at the coast of Florida: observed and forecast",
        source=event.source,
        takeaway=said,
        notes=[explained(predictions, SHOWN), "One event: docs/results.md has the scores on many."],
        scores=(SUMMARY, defined(SUMMARY, results)),
        scored=_SCORED,
    )
    forecast_picture(output / "forecast.png", nowcast)
    still = ("persistence", "sprog")  # without them four panels are a square
    moving = {name: images for name, images in nowcast.forecasts.items() if name not in still}
    forecast_animation(output / "forecast.gif", dataclasses.replace(nowcast, forecasts=moving))
    print(f"Wrote {output / 'forecast.png'} and {output / 'forecast.gif'}. Images: {event.source}.")


def _drawn(predictions: Mapping[str, Prediction], samples: RadarSamples, index: int) -> dict[str, np.ndarray]:
    frames, about = samples[index][0][None], [samples.about(index)]
    return {name: np.asarray(predictions[name](frames, about))[0] for name in DRAWN if name in predictions}


def explained(names: Iterable[str], model: str) -> str:
    """What the forecasts of these names are, a line of small print."""
    return (
        "; ".join(f"{LABELS.get(name, name)}: {_WHAT[name].format(model=model)}" for name in names if name in _WHAT)
        + "."
    )
