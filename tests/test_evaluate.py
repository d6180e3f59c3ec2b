"""Scores of forecasts on whole events, against plain loops, and the tables that are made of them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.core import goals
from scs_keras.training import evaluate
from scs_keras.training.data import radar_event
from scs_keras.training.data.radar import RadarEvent, RadarSequences
from scs_keras.training.evaluate import document, score, score_model, write_json
from scs_keras.training.precipitation import pysteps_baselines
from scs_keras.training.precipitation.samples import RadarSamples
from scs_keras.training.precipitation.scores import RainScores, baselines
from scs_keras.training.scores import Column, by_part, markdown_table, text_tables
from scs_keras.training.source import Source
from scs_keras.zoo.precipitation.nowcast import ScaleFilter
from scs_keras.zoo.radar_units import rain_to_scaled, scaled_to_rain

METRICS = {column.name for column in RainScores.columns}
SPATIAL = {name for name in METRICS if name.startswith("fss")} | {"spectrum"}  # tested in test_precipitation_scores.py


def samples_of(events, input_length=3, output_length=3, stride=1):
    return RadarSamples("radar", RadarSequences(events, input_length, output_length, stride))


def scored(forecasts, events, input_length=3, output_length=3, stride=1, batch_size=4):
    """{forecast: RainScores}; forecasts of the frames alone."""
    predictions = {name: lambda x, about, f=forecast: f(x) for name, forecast in forecasts.items()}
    return score(
        predictions, samples_of(events, input_length, output_length, stride), RainScores, batch_size=batch_size
    )


def beaten(steps):
    """The baselines as functions of the frames alone."""
    preset = dataclasses.replace(zoo.list_presets("precipitation")[0], output_shape=(steps, 12, 10, 1))
    made = baselines(preset, None, None)
    return {name: lambda frames, f=prediction: f(frames, None) for name, prediction in made.items()}


def event(name="a", time=9, size=(12, 10), scale=6.0, seed=0):
    """Rain that drifts and changes, with a strip of pixels without data."""
    generator = np.random.default_rng(seed)
    base = np.maximum(generator.normal(size=size), 0) * scale
    rain = np.stack([np.roll(base, shift, 1) * generator.uniform(0.7, 1.3, size) for shift in range(time)])
    valid = np.ones(size, bool)
    valid[:, :2] = False
    return RadarEvent(name, (np.round(rain, 1) * valid).astype("float32"), valid, 300 * np.arange(time), 5)


def noisy(frames):
    """A forecast that depends on what it is given and is wrong everywhere, also at pixels without data."""
    scale = np.array([0.9, 1.0, 1.1], "float32")[:, None, None, None]
    return np.clip(frames[:, -1:] * scale + 0.05, 0, 1)


def truth_teller(event, input_length, output_length):
    samples = samples_of([event], input_length, output_length)
    by_input = {samples[i][0].tobytes(): samples[i][1] for i in range(len(samples))}
    return lambda frames: np.stack([by_input[each.tobytes()] for each in frames])


def loop_scores(forecast, event, input_length, output_length, stride, leads):
    """All metrics by a loop over single pixels, thresholds applied in mm/h."""
    limits = {"0.5": 0.5, "2": 2, "5": 5, "10": 10, "paper": float(scaled_to_rain(0.5))}
    counts = {suffix: [0, 0, 0] for suffix in limits}
    errors = []
    for start in range(0, len(event.times) - input_length - output_length + 1, stride):
        made = forecast(event.scaled[None, start : start + input_length, :, :, None])[0, ..., 0]
        for lead in leads:
            now = start + input_length + lead
            for y, x in np.argwhere(event.valid):
                expected, observed = float(made[lead, y, x]), float(event.scaled[now, y, x])
                errors.append((expected - observed) ** 2)
                for suffix, limit in limits.items():
                    threshold = float(rain_to_scaled(limit)) - 1e-6
                    pair = observed >= threshold, expected >= threshold
                    if any(pair):
                        counts[suffix][{(1, 1): 0, (1, 0): 1, (0, 1): 2}[pair]] += 1
    scores = {"mse": sum(errors) / len(errors)}
    for suffix, (hits, misses, false_alarms) in counts.items():
        scores[f"csi_{suffix}"] = hits / (hits + misses + false_alarms)
        scores[f"far_{suffix}"] = false_alarms / (hits + false_alarms)
        scores[f"pod_{suffix}"] = hits / (hits + misses)
        scores[f"bias_{suffix}"] = (hits + false_alarms) / (hits + misses)
        if suffix != "paper":
            scores[f"brier_{suffix}"] = (misses + false_alarms) / len(errors)
    hits, misses, false_alarms = counts["paper"]
    scores["correlation"] = hits / math.sqrt((hits + false_alarms) * (hits + misses))
    scores["crps"] = sum(
        width * scores[f"brier_{suffix}"] for suffix, width in {"0.5": 0.5, "2": 1.5, "5": 3, "10": 5}.items()
    )
    return scores


@pytest.mark.parametrize("stride, batch_size", [(1, 4), (2, 1)])
def test_pooled_scores_equal_a_loop_over_pixels(stride, batch_size):
    events = [event(scale=12), event("b", time=7, scale=12, seed=1)]
    scores = scored({"noisy": noisy}, events, 3, 3, stride, batch_size)["noisy"]
    made = scores.parts()["event"]
    assert list(made) == ["a", "b"]
    for each in events:
        expected = loop_scores(noisy, each, 3, 3, stride, leads=range(3))
        assert set(made[each.name]) == METRICS == set(expected) | SPATIAL
        assert all(type(made[each.name][metric]) is float for metric in expected)
        for metric, value in expected.items():
            assert made[each.name][metric] == pytest.approx(value, rel=1e-6), metric
    counts = [len(range(0, len(each.times) - 5, stride)) for each in events]  # windows; all have as many valid pixels
    expected = np.average([made[each.name]["mse"] for each in events], weights=counts)
    assert scores.result()["mse"] == pytest.approx(expected, rel=1e-6)


def test_scores_per_lead_equal_a_loop_over_pixels():
    one = event(scale=12)
    scores = scored({"noisy": noisy}, [one])["noisy"]
    by_lead = scores.parts()["lead time"]
    assert list(by_lead) == ["+5 min", "+10 min", "+15 min"]
    for lead, name in enumerate(by_lead):
        for metric, value in loop_scores(noisy, one, 3, 3, 1, leads=[lead]).items():
            assert by_lead[name][metric] == pytest.approx(value, rel=1e-6), metric
    assert scores.result() == scores.parts()["event"]["a"]


def test_lead_times_of_radars_with_other_steps_are_not_mixed():
    slow = dataclasses.replace(event("slow", seed=3), step_minutes=10)
    by_lead = scored({"noisy": noisy}, [event(scale=12), slow])["noisy"].parts()["lead time"]
    assert list(by_lead) == [f"+{minutes} min" for minutes in (5, 10, 15, 20, 30)]
    expected = loop_scores(noisy, slow, 3, 3, 1, leads=[2])["mse"]
    assert by_lead["+30 min"]["mse"] == pytest.approx(expected, rel=1e-6)


def test_metrics_are_the_documented_ones():
    names = ["0.5", "2", "5", "10", "paper"]
    assert METRICS == {
        *("mse", "correlation", "spectrum", "crps"),
        *(f"{score}_{name}" for score in ("csi", "bias", "far", "pod") for name in names),
        *(f"brier_{name}" for name in names[:4]),
        *(f"fss_{name}_{km}km" for name in names[:4] for km in (1, 5, 10, 20, 40)),
    }


def test_a_perfect_forecast():
    one = event(scale=12)
    scores = scored({"perfect": truth_teller(one, 3, 3)}, [one])["perfect"].result()
    assert scores.pop("spectrum") == 0
    for metric, value in scores.items():
        none = metric.startswith(("mse", "far", "brier", "crps"))
        assert value == (0 if none else pytest.approx(1)), metric


def test_rain_of_exactly_the_threshold_is_an_event():
    rain = np.full((5, 9, 9), 0.5, "float32")
    one = RadarEvent("a", rain, np.ones((9, 9), bool), 300 * np.arange(5), 5)
    scores = scored(beaten(2), [one], 3, 2)["persistence"].result()
    assert scores["csi_0.5"] == 1 and scores["csi_2"] is None
    below = RadarEvent("a", rain - np.float32(0.01), one.valid, one.times, 5)
    assert scored(beaten(2), [below], 3, 2)["persistence"].result()["csi_0.5"] is None


def test_undefined_scores_are_null(tmp_path):
    dry = RadarEvent("dry", np.zeros((6, 12, 12), "float32"), np.ones((12, 12), bool), 300 * np.arange(6), 5)
    forecasts = {"wet": lambda frames: np.full_like(frames, 0.4), "dry": np.zeros_like}
    scores = scored(forecasts, [dry])
    write_json(tmp_path / "made" / "scores.json", {name: each.result() for name, each in scores.items()})
    by_lead = scores["dry"].parts()["lead time"]
    scores = json.loads((tmp_path / "made" / "scores.json").read_text())
    errors = {"mse", "crps", "brier_0.5", "brier_2", "brier_5", "brier_10"}
    assert all(value == 0 if name in errors else value is None for name, value in scores["dry"].items())
    assert scores["wet"]["mse"] == pytest.approx(0.16, rel=1e-6)
    assert scores["wet"]["csi_2"] == 0 and scores["wet"]["far_2"] == 1  # false alarms alone
    assert scores["wet"]["pod_2"] is None and scores["wet"]["correlation"] is None
    assert scores["wet"]["csi_10"] is None  # 28 dBZ are below 10 mm/h
    assert [values["pod_5"] for values in by_lead.values()] == [None, None, None]


def test_baselines():
    side = 64
    y, x = np.mgrid[:side, :side]
    storm = [0.6 * np.exp(-((x - 20 - 2 * t) ** 2 + (y - 32) ** 2) / 60) for t in range(6)]
    frames = np.stack(storm).astype("float32")[None, ..., None]
    made = {name: forecast(frames[:, :4]) for name, forecast in beaten(2).items()}
    assert list(made) == ["persistence", "advection", "scale_filter"]
    np.testing.assert_array_equal(made["persistence"], np.repeat(frames[:, 3:4], 2, axis=1))
    assert isinstance(made["advection"], np.ndarray) and made["advection"].shape == (1, 2, side, side, 1)
    errors = {name: np.mean((forecast - frames[:, 4:]) ** 2) for name, forecast in made.items()}
    assert errors["advection"] < 0.05 * errors["persistence"]
    np.testing.assert_allclose(made["scale_filter"], np.asarray(ScaleFilter(2)(frames[:, :4])["mean"]), atol=1e-6)


class Model:
    """As much of a zoo model as scoring needs."""

    def predict(self, frames, verbose):
        assert frames.shape[1:] == (4, 12, 10, 1) and frames.dtype == "float32"
        return noisy(frames)


@pytest.fixture
def forecaster(monkeypatch):
    """A preset that sees four images and forecasts three, whose model is `Model`."""
    monkeypatch.setattr(goals, "advect", lambda frames, steps: np.repeat(frames[:, -1:] * 0.5, steps, axis=1))
    shapes = dict(input_shape=(4, 12, 10, 1), output_shape=(3, 12, 10, 1))
    preset = dataclasses.replace(zoo.list_presets("precipitation")[0], **shapes)
    monkeypatch.setattr(Source, "load", lambda self: Model())
    monkeypatch.setattr(Source, "check_weights", lambda self: None)  # it has none
    return Source("some", preset, "preset", {})


def test_a_model_is_scored_beside_the_baselines(forecaster):
    one = event()
    samples = samples_of([one], 4, 3, stride=2)
    scores = score_model(Model(), forecaster, samples, lambda: samples)
    assert list(scores) == ["model", "persistence", "advection", "scale_filter"]
    assert scores["model"].result() == scored({"x": noisy}, [one], 4, 3, 2)["x"].result()


def test_samples_at_once(forecaster, monkeypatch):
    samples, sizes = samples_of([event()], 4, 3), []
    monkeypatch.setattr(Model, "predict", lambda self, frames, verbose: sizes.append(len(frames)) or noisy(frames))
    monkeypatch.setattr(type(forecaster.task), "baselines_of", lambda *_, **__: {})
    score_model(Model(), forecaster, samples, lambda: samples, batch_size=2)
    assert sizes == [2, 1]


def test_the_nowcasts_of_pysteps_are_scored_on_demand(forecaster, monkeypatch):
    asked = []

    def nowcasts(observed, steps, which):
        asked.append((observed, steps, which))
        return {"sprog": lambda frames, about: noisy(frames)}

    monkeypatch.setattr(pysteps_baselines, "nowcasts", nowcasts)
    samples = samples_of([event()], 4, 3, stride=2)
    scores = score_model(Model(), forecaster, samples, lambda: samples, baselines="pysteps")
    assert list(scores) == ["model", "persistence", "advection", "scale_filter", "sprog"] and asked == [
        (4, 3, "pysteps")
    ]
    assert scores["sprog"].result() == scores["model"].result()


def save(folder, one):
    np.savez(folder / f"{one.name}.npz", rain=one.rain_mm_h, valid=one.valid, times=one.times, step_minutes=5)


def test_evaluate_writes_and_prints(forecaster, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(radar_event, "SMALLEST", 8)
    for one in (event("a"), event("b", seed=2)):
        save(tmp_path, one)
    results = evaluate.evaluate(forecaster, tmp_path, json_file=tmp_path / "s.json")
    samples = samples_of([event("a"), event("b", seed=2)], 4, 3)
    expected = score_model(Model(), forecaster, samples, lambda: samples)
    assert {name: each.result() for name, each in results.items()} == {
        name: each.result() for name, each in expected.items()
    }
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["scores"] == {name: each.result() for name, each in expected.items()}
    assert found["parts"] == by_part(expected) and found["parts"]["event"].keys() == {"a", "b"}
    assert len(found["parts"]["lead time"]) == 3 and found["samples"] == len(samples)
    with pytest.raises(ValueError, match="`batch_size` is a whole number of at least 1. Received: 0"):
        evaluate.evaluate(forecaster, tmp_path, batch_size=0)
    printed = capsys.readouterr().out
    assert "CSI 0.5" in printed and "+15 min" in printed and "advection" in printed
    assert "all events (there is no split.json)" in printed
    (tmp_path / "split.json").write_text('{"train": ["a.npz", "b.npz"], "val": []}')
    with pytest.raises(ValueError, match="no event belongs to split='val'"):
        evaluate.evaluate(forecaster, tmp_path, split="val")
    with pytest.raises(ValueError, match="Radar events have the parts train, val and all. Received: split='test'"):
        evaluate.evaluate(forecaster, tmp_path, split="test")


def test_tables_show_every_forecast_and_undefined_scores():
    scores = scored({"noisy": noisy, "other": noisy}, [event(scale=1.5)])
    result, table = scores["noisy"].result(), text_tables("radar", scores)
    assert f"{result['mse']:.5f}" in table and f"{result['pod_0.5']:.4f}" in table
    pooled = table.split("By ")[0]
    assert result["pod_10"] is None and " - \n" in pooled + "\n"
    assert pooled.count("noisy") == pooled.count("other") == 10  # a table for each block of columns
    assert len({len(line) for line in pooled.split("\n\n")[1].splitlines()}) == 1  # columns are aligned
    lead = table.split("By lead time:")[1]
    by_lead = scores["noisy"].parts()["lead time"]
    assert "+10 min" in lead and "+15 min" in lead and f"{by_lead['+15 min']['mse']:.5f}" in lead


def test_the_best_of_a_column_is_marked():
    columns = Column("low", "LOW", digits=1), Column("high", "HIGH", better="higher"), Column("count", "n", better="")
    results = {"a": dict(low=1.0, high=1.0, count=5), "b": dict(low=2.0, high=None, count=5)}
    assert markdown_table(columns, results, "data") == [
        "| data | LOW | HIGH | n |",
        "|---|---|---|---|",
        "| a | **1.0** | 1.0000 | 5.0000 |",
        "| b | 2.0 | - | 5.0000 |",
    ]
    two = scored({"good": truth_teller(event(scale=12), 3, 3), "bad": noisy}, [event(scale=12)])
    good, bad = text_tables("radar", two).splitlines()[3:5]
    assert good.count("*") == 5 and "*" not in bad


def test_a_bound_is_not_marked_as_the_best(monkeypatch):
    columns, results = (Column("low", "LOW", digits=1),), {name: dict(low=low) for name, low in zip("abc", (0, 1, 2))}
    rows = markdown_table(columns, results, bounds=("a",))[2:]
    assert rows == ["| a | 0.0 |", "| b | **1.0** |", "| c | 2.0 |"]

    made = {"truth": truth_teller(event(scale=12), 3, 3), "noisy": noisy, "more": lambda frames: noisy(frames) + 1}
    monkeypatch.setattr(RainScores, "bounds", ("truth",))
    lines = text_tables("radar", scored(made, [event(scale=12)])).splitlines()
    assert not [line for line in lines if line.startswith("truth") and "*" in line]
    assert [line for line in lines if line.startswith(("noisy", "more")) and "*" in line]


def test_many_parts_are_rows():
    class Many(RainScores):
        def parts(self):
            return {"class": {f"number {i}": self.result() for i in range(30)}}

    scores = {"noisy": Many(None)}
    vars(scores["noisy"]).update(vars(scored({"noisy": noisy}, [event(scale=12)])["noisy"]))
    lines = text_tables("radar", scores).split("By class:")[1].splitlines()
    main = [column for column in RainScores.columns if column.main]
    assert len([line for line in lines if line.startswith("number 7")]) == len(main) == 12
    assert max(map(len, lines)) < 40


def test_errors():
    one = event()
    for forecasts, events, message in (
        ({}, [one], "needs predictions and samples. Received: 0 predictions, 4 samples"),
        ({"noisy": noisy}, [one, event("short", time=5)], "short.npz: the sequence is too short. Needed: 6"),
        (
            {"flat": lambda frames: frames[:, :2]},
            [one],
            r"prediction 'flat' must have shape \(3, .* on a. Received: \(2",
        ),
        ({"bad": lambda frames: frames * np.nan}, [one], "prediction 'bad' has NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            scored(forecasts, events)
    with pytest.raises(ValueError, match="events is empty"):
        scored({"noisy": noisy}, [])


def test_document_says_what_was_scored(forecaster):
    samples = samples_of([event()], 4, 3)
    found = document(forecaster, samples, score_model(Model(), forecaster, samples, lambda: samples, limit=2), limit=2)
    assert found["samples"] == 2 and found["data"] == "radar" and found["preset"] == forecaster.preset.name


def test_json_is_whole_or_not_written(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["scores.json"]
