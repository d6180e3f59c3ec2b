"""Precipitation forecasts: scores on radar events, and forecasts from one."""

from scs_keras.training.data.radar import read_event, read_events
from scs_keras.training.evaluate import evaluate_preset, score_model
from scs_keras.training.predict import predict as predict_event
from scs_keras.zoo.precipitation.sample import SAMPLE

_GOLDEN_CROP = slice(96, 160)


def evaluate(
    preset, data, weights=None, split=None, stride=None, json_file=None, lead_json_file=None, dataset=None, limit=None,
    steps=None, model=None,
):  # fmt: skip
    """See `scs_keras.training.evaluate.evaluate_preset`."""
    _only_for_videos(dataset=dataset, limit=limit, steps=steps, model=model)
    if split == "test":
        raise ValueError(
            "Radar events have no test part: use --split train or --split val, or leave it out for all events."
        )
    return evaluate_preset(preset, data, weights, split, 1 if stride is None else stride, json_file, lead_json_file)


def predict(preset, file, output, weights=None, steps=None, beyond=None, model=None):
    """See `scs_keras.training.predict.predict`; a radar forecast always goes beyond the input's end."""
    _only_for_videos(model=model)
    predict_event(preset, file, output, weights, steps)


def published_scores(model, data, settings):
    """Scores on the "val" events of the folder."""
    return score_model(model, read_events(data, split="val"))


def golden_frames(data, settings):
    """Five images of the shipped event."""
    return read_event(SAMPLE).scaled[:5, _GOLDEN_CROP, _GOLDEN_CROP, None][None]


def _only_for_videos(**given):
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"--{name} is for video-prediction presets. Leave it out. Received: {value}.")
