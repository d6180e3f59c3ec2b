"""Scores of forecasts on whole events, against plain loops."""

import json
import math

import numpy as np
import pytest

from scs_keras.training import evaluate
from scs_keras.training.data.radar import RadarEvent, windows
from scs_keras.training.evaluate import (
    METRICS,
    baselines,
    evaluate_forecasts,
    format_lead_table,
    format_table,
    score_model,
    write_json,
)
from scs_keras.zoo.radar_units import rain_to_scaled, scaled_to_rain


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
    by_input = {w.frames.tobytes(): w.target for w in windows(event, input_length, output_length)}
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
    hits, misses, false_alarms = counts["paper"]
    scores["correlation"] = hits / math.sqrt((hits + false_alarms) * (hits + misses))
    return scores


@pytest.mark.parametrize("stride, batch_size", [(1, 4), (2, 1)])
def test_pooled_scores_equal_a_loop_over_pixels(stride, batch_size):
    events = [event(scale=12), event("b", time=7, scale=12, seed=1)]
    made = evaluate_forecasts({"noisy": noisy}, events, 3, 3, stride, batch_size)
    assert list(made) == ["a", "b"]
    for each in events:
        expected = loop_scores(noisy, each, 3, 3, stride, leads=range(3))
        assert set(made[each.name]["noisy"]) == set(METRICS) == set(expected)
        assert all(type(value) is float for value in made[each.name]["noisy"].values())
        for metric, value in expected.items():
            assert made[each.name]["noisy"][metric] == pytest.approx(value, rel=1e-6), metric


def test_scores_per_lead_equal_a_loop_over_pixels():
    one = event(scale=12)
    pooled, by_lead = evaluate_forecasts({"noisy": noisy}, [one], 3, 3, per_lead=True)
    assert pooled == evaluate_forecasts({"noisy": noisy}, [one], 3, 3)
    for lead in range(3):
        for metric, value in loop_scores(noisy, one, 3, 3, 1, leads=[lead]).items():
            assert by_lead["a"]["noisy"][metric][lead] == pytest.approx(value, rel=1e-6), metric


def test_metrics_are_the_documented_ones():
    names = ["0.5", "2", "5", "10", "paper"]
    assert sorted(METRICS) == sorted(
        ["mse", "correlation", *(f"{s}_{n}" for s in ("csi", "far", "pod") for n in names)]
    )


def test_a_perfect_forecast():
    one = event(scale=12)
    scores = evaluate_forecasts({"perfect": truth_teller(one, 3, 3)}, [one], 3, 3)["a"]["perfect"]
    assert scores.pop("mse") == 0
    for metric, value in scores.items():
        assert value == (0 if metric.startswith("far") else pytest.approx(1)), metric


def test_rain_of_exactly_the_threshold_is_an_event():
    rain = np.full((4, 5, 5), 0.5, "float32")
    one = RadarEvent("a", rain, np.ones((5, 5), bool), 300 * np.arange(4), 5)
    scores = evaluate_forecasts(baselines(2), [one], 2, 2)["a"]["persistence"]
    assert scores["csi_0.5"] == 1 and scores["csi_2"] is None
    below = RadarEvent("a", rain - np.float32(0.01), one.valid, one.times, 5)
    assert evaluate_forecasts(baselines(2), [below], 2, 2)["a"]["persistence"]["csi_0.5"] is None


def test_undefined_scores_are_null(tmp_path):
    dry = RadarEvent("dry", np.zeros((6, 12, 12), "float32"), np.ones((12, 12), bool), 300 * np.arange(6), 5)
    forecasts = {"wet": lambda frames: np.full_like(frames, 0.4), "dry": np.zeros_like}
    results, by_lead = evaluate_forecasts(forecasts, [dry], 3, 3, per_lead=True)
    write_json(tmp_path / "made" / "scores.json", results)
    scores = json.loads((tmp_path / "made" / "scores.json").read_text())["dry"]
    assert scores["dry"]["mse"] == 0 and all(v is None for k, v in scores["dry"].items() if k != "mse")
    assert scores["wet"]["mse"] == pytest.approx(0.16, rel=1e-6)
    assert scores["wet"]["csi_2"] == 0 and scores["wet"]["far_2"] == 1  # false alarms alone
    assert scores["wet"]["pod_2"] is None and scores["wet"]["correlation"] is None
    assert scores["wet"]["csi_10"] is None  # 28 dBZ are below 10 mm/h
    assert by_lead["dry"]["dry"]["pod_5"] == [None, None, None]


def test_baselines():
    side = 64
    y, x = np.mgrid[:side, :side]
    storm = [0.6 * np.exp(-((x - 20 - 2 * t) ** 2 + (y - 32) ** 2) / 60) for t in range(6)]
    frames = np.stack(storm).astype("float32")[None, ..., None]
    made = {name: forecast(frames[:, :4]) for name, forecast in baselines(2).items()}
    assert list(made) == ["persistence", "advection"]
    np.testing.assert_array_equal(made["persistence"], np.repeat(frames[:, 3:4], 2, axis=1))
    assert isinstance(made["advection"], np.ndarray) and made["advection"].shape == (1, 2, side, side, 1)
    errors = {name: np.mean((forecast - frames[:, 4:]) ** 2) for name, forecast in made.items()}
    assert errors["advection"] < 0.05 * errors["persistence"]


class Model:
    """As much of a zoo model as scoring needs."""

    output_length = 3

    class preset:  # noqa: N801
        input_shape = (4, 12, 10, 1)

    def predict(self, frames, verbose):
        assert frames.shape[1:] == self.preset.input_shape and frames.dtype == "float32"
        return noisy(frames)


def test_a_model_is_scored_beside_the_baselines(monkeypatch):
    monkeypatch.setattr(evaluate, "advect", lambda frames, steps: np.repeat(frames[:, -1:] * 0.5, steps, axis=1))
    one = event()
    scores = score_model(Model(), [one], stride=2)["a"]
    assert list(scores) == ["model", "persistence", "advection"]
    assert scores["model"] == evaluate_forecasts({"x": noisy}, [one], 4, 3, 2)["a"]["x"]


def save(folder, one):
    np.savez(folder / f"{one.name}.npz", rain=one.rain_mm_h, valid=one.valid, times=one.times, step_minutes=5)


def test_evaluate_preset_writes_and_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "advect", lambda frames, steps: np.repeat(frames[:, -1:], steps, axis=1))
    loaded = {}
    monkeypatch.setattr(evaluate.zoo, "load", lambda name, weights: loaded.update({name: weights}) or Model())
    for one in (event("a"), event("b", seed=2)):
        save(tmp_path, one)
    arguments = dict(json_file=tmp_path / "s.json", lead_json_file=tmp_path / "lead.json")
    results = evaluate.evaluate_preset("some", tmp_path, **arguments)
    assert loaded == {"some": "preset"}
    assert (
        json.loads((tmp_path / "s.json").read_text())
        == results
        == score_model(Model(), [event("a"), event("b", seed=2)])
    )
    assert len(json.loads((tmp_path / "lead.json").read_text())["b"]["model"]["csi_2"]) == 3
    printed = capsys.readouterr().out
    assert "CSI 0.5" in printed and "+15 min" in printed and "advection" in printed
    (tmp_path / "split.json").write_text('{"train": ["a.npz", "b.npz"], "val": []}')
    with pytest.raises(ValueError, match="no event belongs to --split val"):
        evaluate.evaluate_preset("some", tmp_path, split="val")


def test_tables_show_every_forecast_and_undefined_scores():
    results, by_lead = evaluate_forecasts({"noisy": noisy, "other": noisy}, [event(scale=1.5)], 3, 3, per_lead=True)
    table = format_table(results)
    scores = results["a"]["noisy"]
    assert f"{scores['mse']:.5f}" in table and f"{scores['pod_0.5']:.4f}" in table
    assert scores["pod_10"] is None and " -\n" in table + "\n"
    assert table.count("noisy") == table.count("other") == 3
    assert len({len(line) for line in table.split("\n\n")[1].splitlines()}) == 1  # columns are aligned
    lead = format_lead_table(by_lead, {"a": 10})
    assert "+10 min" in lead and "+30 min" in lead and f"{by_lead['a']['noisy']['mse'][2]:.5f}" in lead


def test_errors():
    one = event()
    for forecasts, events, message in (
        ({}, [one], "needs events and forecasts. Received: 1 events, 0 forecasts"),
        ({"noisy": noisy}, [], "needs events and forecasts"),
        ({"noisy": noisy}, [one, event("short", time=5)], "short.npz: the sequence is too short. Needed: 6"),
        (
            {"flat": lambda frames: frames[:, :2]},
            [one],
            r"forecast 'flat' must have shape \(4, 3, .* on a. Received: \(4, 2",
        ),
        ({"bad": lambda frames: frames * np.nan}, [one], "forecast 'bad' has NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_forecasts(forecasts, events, 3, 3)


def test_json_is_whole_or_not_written(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["scores.json"]
