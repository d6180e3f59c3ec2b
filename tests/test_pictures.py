"""Pictures are looked at through their pixels: colours of rain, dry and missing areas, one image per frame."""

import builtins
import struct

import numpy as np
import pytest

from scs_keras.training.data.radar import RadarSequences, read_event
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.zoo.precipitation.sample import SAMPLE

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

TIMES = 1472378400 + 300 * np.arange(5)  # 28 August 2016, 10:00 UTC
WET, DRY, NO_DATA = (0xF7, 0xE0, 0x4B), (0xFC, 0xFC, 0xFC), (0xCF, 0xCF, 0xCF)  # 35 to 40 dBZ; below 5 dBZ


def story(observed=5, forecasts=("model",), level=37 / 70, size=(20, 30)):
    """Forecast frames are wet all over, observed ones dry."""
    frames = {name: np.full((2, *size), level, "float32") for name in forecasts}
    return dict(observed=np.zeros((observed, *size), "float32"), forecasts=frames, times=TIMES, step_minutes=5)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def share(image, colour):
    return (image == np.array(colour)).all(axis=-1).mean()


def test_picture_shows_every_frame_in_its_colour(tmp_path):
    forecast_picture(tmp_path / "new" / "two.png", **story(forecasts=("one", "other")))
    forecast_picture(tmp_path / "one.png", **story())
    forecast_picture(tmp_path / "unseen.png", **story(observed=3))
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    one, two, unseen = (pixels(tmp_path / name) for name in ("one.png", "new/two.png", "unseen.png"))
    assert two.shape[0] > one.shape[0] and two.shape[1] == one.shape[1] == unseen.shape[1]
    area = {name: image.shape[0] * image.shape[1] for name, image in (("one", one), ("two", two))}
    wet = share(one, WET) * area["one"]
    assert share(two, WET) * area["two"] == pytest.approx(2 * wet, rel=0.1)  # four wet frames instead of two
    dry, dry_unseen = share(one, DRY), share(unseen, DRY)
    assert dry * area["one"] == pytest.approx(2.5 * wet, rel=0.1)  # five dry frames beside two wet ones
    assert dry_unseen == pytest.approx(0.6 * dry, rel=0.02)


def test_forecasts_stand_under_the_frames_they_forecast(tmp_path):
    forecast_picture(tmp_path / "p.png", **story())
    image = pixels(tmp_path / "p.png")
    columns = [np.flatnonzero((image == np.array(c)).all(-1).mean(0) > 0.15) for c in (WET, DRY)]
    wet, dry = ((at.min(), at.max()) for at in columns)
    assert wet[1] == dry[1] and dry[0] < 0.1 * image.shape[1] < wet[0]  # right edges meet


def test_pixels_without_data_are_grey(tmp_path):
    valid = np.ones((20, 30), bool)
    valid[:10] = False
    given = story()
    given["forecasts"]["model"][:, 10:15] = np.nan
    forecast_picture(tmp_path / "p.png", valid=valid, **given)
    image = pixels(tmp_path / "p.png")
    # Half of five observed frames and three quarters of two forecast ones, beside half of the observed ones.
    assert share(image, NO_DATA) == pytest.approx(share(image, DRY) * 4 / 2.5, rel=0.05)


@pytest.mark.parametrize("unit, level", [("dBZ", 37 / 70), ("mm/h", (10 * np.log10(200 * 6**1.6)) / 70)])
def test_units(tmp_path, unit, level):
    """37 dBZ lies between 35 and 40, 6 mm/h between 5 and 8: the same place in both scales."""
    forecast_picture(tmp_path / "p.png", unit=unit, **story(level=level))
    assert share(pixels(tmp_path / "p.png"), WET) > 0.05


def test_a_channel_axis_makes_no_difference(tmp_path):
    given = story()
    forecast_picture(tmp_path / "a.png", **given)
    given["observed"] = given["observed"][..., None]
    given["forecasts"] = {name: frames[..., None] for name, frames in given["forecasts"].items()}
    forecast_picture(tmp_path / "b.png", **given)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


@pytest.mark.parametrize("observed", (5, 3))
def test_animation_loops_over_all_frames(tmp_path, observed):
    forecast_animation(tmp_path / "a.gif", **story(observed=observed))
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 5 and animation.info["loop"] == 0
        wet = []
        for index in range(5):
            animation.seek(index)
            wet.append(share(np.asarray(animation.convert("RGB")), WET))
    assert max(wet[:3]) < 0.03  # the colour bar alone
    assert min(wet[3:]) > 0.1


def test_the_sample_makes_a_picture_with_rain(tmp_path):
    event = read_event(SAMPLE)
    sequences = RadarSequences([event], 5, 5)
    observed = sequences.window(0)
    forecasts = {"persistence": np.repeat(observed[4:5], 5, axis=0)}
    arguments = observed, forecasts, sequences.times(0), event.step_minutes
    forecast_picture(tmp_path / "p.png", *arguments, valid=event.valid, title="Observed and forecast")
    header = (tmp_path / "p.png").read_bytes()[:24]
    width, height = struct.unpack(">II", header[16:])
    assert width > 3 * height > 0
    colours = {tuple(colour) for colour in pixels(tmp_path / "p.png").reshape(-1, 3)[::7]}
    assert len(colours) > 12


def test_picture_errors(tmp_path):
    path, given = tmp_path / "p.png", story()
    wrong = {
        "unit must be one of 'dBZ', 'mm/h'": dict(unit="dbz"),
        "forecasts is empty": dict(forecasts={}),
        "All forecasts must be of one length": dict(forecasts={"a": np.zeros((2, 20, 30)), "b": np.zeros((3, 20, 30))}),
        "of the observed frames' size": dict(forecasts={"a": np.zeros((2, 20, 31))}),
        "5 times, 4 observed and 2 forecast": dict(observed=np.zeros((4, 20, 30))),
        "2 times, 5 observed": dict(times=TIMES[:2]),
        "observed must be .time, height, width": dict(observed=np.zeros((20, 30))),
        "forecast 'a' must be .time": dict(forecasts={"a": np.zeros((2, 20, 30, 3))}),
        "valid must be of the frames' size": dict(valid=np.ones((3, 3), bool)),
    }
    for draw in (forecast_picture, forecast_animation):
        for message, changes in wrong.items():
            with pytest.raises(ValueError, match=message):
                draw(path, **given | changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing, draw", [("matplotlib", forecast_picture), ("PIL", forecast_animation)])
def test_missing_packages_are_named_with_the_line_to_type(tmp_path, monkeypatch, missing, draw):
    plain_import = builtins.__import__

    def without(name, *arguments, **named):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return plain_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "scs-keras\[pictures\]"'):
        draw(tmp_path / "p.png", **story())
    assert not list(tmp_path.iterdir())


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_beside(path) as beside:
        assert beside.suffix == ".txt" and beside.parent == tmp_path
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    with written_beside(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 1
