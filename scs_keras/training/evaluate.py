"""Scores forecasts on whole radar events: `scs-keras evaluate PRESET --data DIR`."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from scs_keras import zoo
from scs_keras.core.goals import advect
from scs_keras.training.data.radar import RadarEvent, Window, read_events, windows
from scs_keras.training.scores import METRICS, THRESHOLDS, Tally, check_forecast, format_lead_table, format_table
from scs_keras.zoo.files import written_beside

__all__ = [
    "METRICS", "THRESHOLDS", "baselines", "evaluate_forecasts", "evaluate_preset", "format_lead_table", "format_table",
    "score_model", "write_json",
]  # fmt: skip

Forecast = Callable[[np.ndarray], np.ndarray]


def evaluate_forecasts(
    forecasts: Mapping[str, Forecast],
    events: Sequence[RadarEvent],
    input_length: int,
    output_length: int,
    stride: int = 1,
    batch_size: int = 4,
    per_lead: bool = False,
):
    """Scores forecasts on all windows of whole events.

    Args:
        forecasts: name: function from float32 (batch, input_length, height, width, 1), scaled to [0, 1], to
            (batch, output_length, height, width, 1), likewise.
        events: what to score on; each one for itself.
        input_length, output_length: frames that a forecast sees, and makes.
        stride: a window starts at every `stride`-th frame.
        batch_size: windows per call of a forecast.
        per_lead: whether to return the scores for each lead time too.

    Returns:
        {event: {forecast: {metric: value}}} for METRICS: `mse` in scaled units; csi_, far_ and pod_ (Eq. 25-27) at the
        THRESHOLDS; `correlation`, Eq. 28 on the 0/1 images at the paper's threshold. Pooled over windows, lead times
        and valid pixels; None where a score is not defined. With `per_lead` a pair of it and the same with a list per
        metric, one value per lead time.

    Raises:
        ValueError: there are no events or forecasts, an event is too short, or a forecast has the wrong shape or NaN.
    """
    if not events or not forecasts:
        raise ValueError(
            f"Scoring needs events and forecasts. Received: {len(events)} events, {len(forecasts)} forecasts."
        )
    for event in events:
        windows(event, input_length, output_length, stride)  # one that is too short must show before the work starts
    tallies = {
        event.name: _tallies(forecasts, event, windows(event, input_length, output_length, stride), batch_size)
        for event in events
    }
    pooled, by_lead = (
        {event: {name: score(tally) for name, tally in named.items()} for event, named in tallies.items()}
        for score in (Tally.scores, Tally.scores_per_lead)
    )
    return (pooled, by_lead) if per_lead else pooled


def baselines(output_length: int) -> dict[str, Forecast]:
    """The two forecasts every model has to beat: `persistence` (the last frame stays) and `advection` (it moves on)."""
    return {
        "persistence": lambda frames: np.repeat(frames[:, -1:], output_length, axis=1),
        "advection": lambda frames: keras.ops.convert_to_numpy(advect(frames, output_length)),
    }


def score_model(model, events: Sequence[RadarEvent], stride: int = 1, per_lead: bool = False):
    """`evaluate_forecasts` of a zoo model, named `model`, beside the baselines."""
    forecasts = {"model": functools.partial(model.predict, verbose=0), **baselines(model.output_length)}
    return evaluate_forecasts(
        forecasts, events, model.preset.input_shape[0], model.output_length, stride, per_lead=per_lead
    )


def evaluate_preset(preset, data, weights=None, split=None, stride=1, json_file=None, lead_json_file=None):
    """Scores a preset on a folder of radar events, prints the tables and returns the scores.

    Args:
        preset: name in the zoo.
        data: folder of npz files, see `scs_keras.training.data.radar_files`.
        weights: a `.weights.h5` file instead of the preset's.
        split: None for all events, "train" or "val" for a part of the folder's split.json.
        stride: a window starts at every `stride`-th frame.
        json_file: file for {event: {forecast: {metric: value}}}, or None.
        lead_json_file: file for the same with a list per metric, one value per lead time, or None.

    Raises:
        ValueError: for an unknown preset, bad data, or a split without events.
    """
    events = read_events(data, split)
    if not events:
        raise ValueError(f"{data}: no event belongs to --split {split}. Leave --split out to score all events.")
    model = zoo.load(preset, weights=weights or "preset")
    results, lead_results = score_model(model, events, stride, per_lead=True)
    for path, value in ((json_file, results), (lead_json_file, lead_results)):
        if path is not None:
            write_json(path, value)
    print(format_table(results), end="\n\n\n")
    print(format_lead_table(lead_results, {event.name: event.step_minutes for event in events}))
    return results


def write_json(path: str | Path, value) -> None:
    """Writes a value as JSON, beside and renamed. NaN and infinity are refused with a ValueError."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with written_beside(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def _tallies(forecasts, event: RadarEvent, event_windows: Iterable[Window], batch_size: int) -> dict[str, Tally]:
    tallies = {}
    for batch in _batches(event_windows, batch_size):
        frames, target = (np.stack([getattr(window, field) for window in batch]) for field in ("frames", "target"))
        for name, forecast in forecasts.items():
            made = np.asarray(forecast(frames))
            check_forecast(name, made, target, event.name)
            tally = tallies.setdefault(name, Tally(target.shape[1]))
            tally.add(target[..., 0], made[..., 0], event.valid)
    return tallies


def _batches(items: Iterable, size: int):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
