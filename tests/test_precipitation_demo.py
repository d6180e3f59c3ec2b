"""The demo, its sentence and table, and predictions from a file, of models that give one forecast or several."""

import subprocess
import sys
import types

import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.training.data.radar import RadarSequences, read_event
from scs_keras.training.precipitation import demo, predict
from scs_keras.training.precipitation.samples import RadarSamples
from scs_keras.training.precipitation.summary import SUMMARY, summary_table, takeaway
from scs_keras.training.scores import defined
from scs_keras.zoo.precipitation.sample import DEMO_EVENT, SAMPLE
from tests.radar_case import odim, storm

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra pictures)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra pictures)")

PRESET = zoo.get_preset(demo.SHOWN)


def values(mse, *csi):
    return {"mse": mse} | dict(zip(("csi_0.5", "csi_2", "csi_5", "csi_10"), csi))


class Products:
    """A model with several products: the last image stays."""

    preset, output_length = PRESET, 5

    def __init__(self, lost=()):
        self.lost = lost

    def predict(self, x, verbose):
        last = np.repeat(x[:, -1:], self.output_length, axis=1)
        lost = np.isin(np.arange(x.shape[1]), self.lost).astype("float32")
        probability = np.full((*last.shape[:-1], 4), (0.9, 0.6, 0.3, 0.1), "float32")
        return dict(mean=last / 2, matched=last, probability=probability, lost=np.repeat(lost[None], len(x), 0))


def source(model):
    return types.SimpleNamespace(preset=PRESET, load=lambda: model)


@pytest.fixture
def drawn(monkeypatch):
    """What was to be drawn, {file name: Nowcast}; nothing is."""
    shown = {}
    for module in (demo, predict):
        for draw in ("forecast_picture", "forecast_animation"):
            monkeypatch.setattr(module, draw, lambda path, nowcast: shown.update({path.name: nowcast}))
    return shown


# --- the demo ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_demo_leaves_pictures_a_table_and_a_sentence(tmp_path):
    command = [sys.executable, "-m", "scs_keras", "demo", "--output", str(tmp_path)]  # its memory is its own
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    names = ("persistence", "advection", "scale_filter", "mean", "matched")
    table = {line.split()[0]: line.split()[1:] for line in lines if line and line.split()[0] in names}
    assert set(table) == set(names) and all(len(row) == 5 for row in table.values())
    assert all("*" in "".join(column) for column in zip(*table.values()))
    assert "*" in table["mean"][0]  # of least squared error
    sentence = next(line for line in lines if line.startswith("On this event"))
    assert any(name in sentence for name in ("advection", "scale_filter", "S-PROG")) and "squared error" in sentence
    assert "NOAA/NSSL" in lines[-1] and "public domain" in lines[-1]
    with Image.open(tmp_path / "forecast.png") as picture, Image.open(tmp_path / "forecast.gif") as animation:
        assert picture.width > 1500 and animation.n_frames == 10
        assert len(np.unique(np.asarray(picture.convert("RGB"))[::7, ::7].reshape(-1, 3), axis=0)) > 20


def test_demo_draws_the_products_in_order():
    event = read_event(DEMO_EVENT)
    samples, model = RadarSamples("demo", RadarSequences([event], 5, 5)), Products()
    made = {name: lambda x, about, name=name: model.predict(x, 0)[name] for name in ("probability", "matched", "mean")}
    made |= {"sprog": made["mean"], "advection": made["matched"], "persistence": made["matched"]}
    shown = demo._drawn(made, samples, 1)
    assert list(shown) == ["persistence", "advection", "sprog", "matched", "probability"]
    np.testing.assert_array_equal(shown["matched"][4], samples[1][0][-1])
    assert shown["probability"].shape == (5, 192, 192, 4)


def test_every_forecast_of_the_demo_is_explained():
    said = demo.explained(["advection", "sprog", "matched", "unknown"], "a_model")
    assert (
        said.startswith("advection: ")
        and "; S-PROG: " in said
        and "; matched: a_model " in said
        and "unknown" not in said
    )
    assert set(demo.DRAWN) <= set(demo._WHAT)


# --- table and sentence -----------------------------------------------------------------------------------------------

ADVECTION, PERSISTENCE = values(0.010, 0.5, 0.4, 0.3, 0.2), values(0.02, 0.4, 0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    "own, said",
    [
        ((0.6, 0.5, 0.4, 0.3), "the model beats advection at 0.5, 2, 5 and 10 mm/h (CSI), with 20 % less squared error: here the model is the one to use."),
        ((0.6, 0.5, 0.302, 0.1), "beats advection at 0.5 and 2 mm/h, is level with it at 5 mm/h and loses to it at 10 mm/h (CSI), with 20 % less squared error: take the area of rain from the model, cores of 10 mm/h and more from advection."),
        ((0.4, 0.5, 0.4, 0.3), "beats advection at 2, 5 and 10 mm/h and loses to it at 0.5 mm/h (CSI), with 20 % less squared error: take the area of rain from advection, cores of 2 mm/h and more from the model."),
        ((0.4, 0.3, 0.2, None), "the model loses to advection at 0.5, 2, 5 and 10 mm/h (CSI), with 20 % less squared error: here advection is the one to use."),
        ((0.504, 0.4, 0.3, 0.2), "is level with advection at 0.5, 2, 5 and 10 mm/h (CSI), with 20 % less squared error: here either will do."),
        ((0.6, 0.3, 0.4, 0.2), "at 0.5 and 5 mm/h, is level with it at 10 mm/h and loses to it at 2 mm/h (CSI), with 20 % less squared error: look at both."),
    ],
)  # fmt: skip
def test_the_sentence_says_where_the_model_loses(own, said):
    results = {"persistence": PERSISTENCE, "advection": ADVECTION, "model": values(0.008, *own)}
    assert takeaway(results, ["persistence", "advection"]).endswith(said)


def test_the_sentence_names_the_best_baseline_and_the_product_of_least_error():
    results = {"advection": ADVECTION, "sprog": values(0.008, 0.6, 0.5, 0.4, 0.1), "mean": values(0.01, 0, 0, 0, 0)}
    results["matched"] = values(0.02, 0.7, 0.6, 0.5, 0.4)
    said = takeaway(results, ["advection", "sprog"])
    assert said.startswith("On this event matched beats S-PROG at") and "with 25 % more squared error (mean)" in said


@pytest.mark.parametrize(
    "hit, false, said",
    [(0.4, 0.2, "; of heavy rain (10 mm/h) it has 50 % of the observed area."), (0.8, 0.2, "one to use."), (0.9, 0.4, "it has 150 % of the observed area."), (None, None, "one to use."), (0.0, None, "one to use.")],
)  # fmt: skip
def test_the_sentence_says_how_much_heavy_rain(hit, false, said):
    """Hits are `hit` of the observed area and 1 - `false` of the forecast one."""
    results = {"advection": ADVECTION, "model": values(0.008, 0.6, 0.5, 0.4, 0.3) | dict(pod_10=hit, far_10=false)}
    assert takeaway(results, ["advection"]).endswith(said)


def test_the_table_has_a_star_in_each_column():
    results = {"advection": ADVECTION, "sprog": values(0.008, 0.6, 0.5, 0.4, None), "probability": values(*[None] * 5)}
    title, *rows = summary_table(results).splitlines()
    assert [column.title for column in SUMMARY] == ["MSE", "CSI 0.5", "CSI 2", "CSI 5", "CSI 10"]
    assert title.split() == ["MSE", "CSI", "0.5", "CSI", "2", "CSI", "5", "CSI", "10"]
    assert [row.split() for row in rows] == [
        ["advection", "0.01000", "0.5000", "0.4000", "0.3000", "0.2000"],
        ["S-PROG", "0.00800*", "0.6000*", "0.5000*", "0.4000*", "-"],
    ]
    assert list(defined(SUMMARY, results)) == ["advection", "sprog"]


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_draws_all_products(tmp_path, drawn):
    model, event = Products(lost=[1]), read_event(DEMO_EVENT)
    said = predict.predict(source(model), DEMO_EVENT, tmp_path, steps=24)
    assert "number 2 lacks echo that the others show" in said
    assert drawn["forecast.png"] is drawn["forecast.gif"] and "forecast.gif" in said
    nowcast = drawn["forecast.png"]
    assert list(nowcast.forecasts) == ["matched", "probability"]
    assert [images.shape for images in nowcast.forecasts.values()] == [(24, 192, 192, 1), (24, 192, 192, 4)]
    assert list(nowcast.lost) == [False, True, False, False, False]
    assert len(nowcast.times) == 29 and list(np.unique(np.diff(nowcast.times))) == [360]
    np.testing.assert_array_equal(nowcast.observed, event.scaled[-5:])  # what comes is not known
    assert nowcast.km_per_pixel == 2 and nowcast.source == event.source
    with np.load(tmp_path / "forecast.npz") as written:
        np.testing.assert_allclose(
            written["rain"][23], event.rain_mm_h[-1], atol=0.0501
        )  # rain that cannot be detected is 0


def test_predict_marks_images_that_were_not_there(tmp_path, drawn):
    (tmp_path / "radar").mkdir()
    for index in (0, 1, 2, 4):
        odim(tmp_path / "radar" / f"{index}.h5", storm()[index], index)
    said = predict.predict(source(Products(lost=[0])), tmp_path / "radar", tmp_path, format="odim")
    assert "Missing and filled along the flow: the image of 2018-08-24 18:15." in said
    assert "no quantity for probabilities: format='netcdf' writes them too" in said
    nowcast = drawn["forecast.png"]
    assert list(nowcast.lost) == [True, False, False, True, False]
    assert nowcast.notes[0].startswith("Missing and filled")


def test_predict_draws_a_model_of_one_forecast(tmp_path, drawn):
    model = types.SimpleNamespace(preset=PRESET, predict=lambda x, verbose: x[:, -2:] * 0.5)
    predict.predict(source(model), SAMPLE, tmp_path)
    nowcast = drawn["forecast.gif"]
    assert list(nowcast.forecasts) == ["model"] and not nowcast.lost.any()
    assert nowcast.forecasts["model"].shape == (2, 256, 256, 1)
    assert nowcast.title == f"meteonet_SE_20160828a: forecast by {demo.SHOWN}"
    model.fills_lost = True  # an earlier model, which does not say which
    predict.predict(source(model), SAMPLE, tmp_path)
    assert drawn["forecast.gif"].lost.shape == (5,)
