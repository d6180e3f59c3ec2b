"""Pictures are looked at through their pixels (colours of rain, dry and missing areas) and the words on them."""

import builtins
import dataclasses

import numpy as np
import pytest

from scs_keras.training.precipitation.page import PROBABILITY, Page, round_length
from scs_keras.training.precipitation.pictures import forecast_animation, forecast_picture
from scs_keras.training.precipitation.story import Nowcast
from scs_keras.training.scores import Column
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.radar_units import rain_to_scaled

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra pictures)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra pictures)")

START = 1472378400  # 28 August 2016, 10:00 UTC
DRY, NO_DATA, INK = "#fcfcfc", "#cfcfcf", "#222222"
WET, LIGHT, LIKELY = "#f7e04b", "#aed0eb", "#864ab4"  # 5 to 10 mm/h, 0.2 to 0.5 mm/h, 60 to 70 %
PROBABLE = np.array([0.95, 0.65, 0.25, 0.05], "float32")  # of 0.5, 2, 5 and 10 mm/h


def nowcast(past=3, leads=2, size=(20, 30), known=True, forecasts=("model",), mm_h=6.0, **others):
    """Forecasts are wet all over, or of `PROBABLE`; observed images are dry."""
    images = {
        name: np.full((leads, *size, 4), PROBABLE)
        if name == "probability"
        else np.full((leads, *size), rain_to_scaled(mm_h), "float32")
        for name in forecasts
    }
    observed = np.zeros((past + leads * known, *size), "float32")
    times = START + 300 * np.arange(past + leads)
    return Nowcast(**dict(observed=observed, forecasts=images, times=times, step_minutes=5) | others)


def drawn(tmp_path, given):
    forecast_picture(tmp_path / "p.png", given)
    with Image.open(tmp_path / "p.png") as image:
        return np.asarray(image.convert("RGB"))


def frames(tmp_path, given):
    forecast_animation(tmp_path / "a.gif", given)
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.info["loop"] == 0
        for index in range(animation.n_frames):
            animation.seek(index)
            yield np.asarray(animation.convert("RGB"))


def where(image, colour):
    return (image == np.frombuffer(bytes.fromhex(colour[1:]), "uint8")).all(axis=-1)


def panels(image, colour, least=40):
    """[(top, bottom, left, right)] of the rectangles of a colour that are at least so many pixels high and wide."""
    mask, found = where(image, colour), []
    for top, bottom in runs(mask.sum(1) >= least, least):
        for left, right in runs(mask[(top + bottom) // 2], least):
            found.append((top, bottom, left, right))
    return found


def runs(flags, least=1):
    """[(start, stop)] of the runs of True that are at least so long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(start, stop) for start, stop in edges.reshape(-1, 2) if stop - start >= least]


@pytest.fixture
def words(monkeypatch):
    """All texts of the pages that are made in the test: [(words, style)]."""
    written, text = [], Page.text

    def recorded(self, x, y, words, widest=None, **style):
        width = text(self, x, y, words, widest, **style)
        written.append((words, style))
        assert -0.01 <= (x - width * {"center": 0.5, "right": 1}.get(style.get("ha"), 0)), words
        return width

    monkeypatch.setattr(Page, "text", recorded)
    return written


# --- the picture ------------------------------------------------------------------------------------------------------


def test_picture_shows_every_image_in_its_place(tmp_path):
    image = drawn(tmp_path, nowcast(forecasts=("one", "other")))
    dry, wet = panels(image, DRY), panels(image, WET)
    assert len(dry) == 3 + 2 and len(wet) == 2 * 2
    tops = sorted({panel[0] for panel in dry}) + sorted({panel[0] for panel in wet})
    assert tops == sorted(tops) and len(tops) == 4  # seen, then what came, then the forecasts
    lefts = [sorted(panel[2] for panel in dry + wet if abs(panel[0] - top) < 2) for top in tops]
    assert [len(each) for each in lefts] == [3, 2, 2, 2]
    assert all(np.abs(np.subtract(each[:2], lefts[0][:2])).max() <= 1 for each in lefts)  # columns stand


def test_what_is_not_known_takes_no_room(tmp_path):
    known, unknown = drawn(tmp_path, nowcast()), drawn(tmp_path, nowcast(known=False))
    (top, bottom, *_), *_ = panels(known, WET)
    assert known.shape[0] - unknown.shape[0] == pytest.approx(bottom - top, rel=0.1)
    assert len(panels(unknown, DRY)) == 3 and len(panels(unknown, WET)) == 2
    ink = (unknown < 200).any(-1)
    rows = runs(~ink.any(1))
    assert max(stop - start for start, stop in rows) < 0.05 * len(unknown)  # no empty band


@pytest.mark.parametrize("size", [(20, 30), (60, 20)])
def test_images_keep_their_shape(tmp_path, size):
    for top, bottom, left, right in panels(drawn(tmp_path, nowcast(size=size)), WET):
        assert (bottom - top) / (right - left) == pytest.approx(size[0] / size[1], rel=0.03)


def test_pixels_are_squares_of_one_size(tmp_path):
    stripes = np.zeros((5, 40, 40), "float32")
    stripes[:, :, ::2] = rain_to_scaled(6)
    image = where(drawn(tmp_path, nowcast(size=(40, 40), observed=stripes, mm_h=0)), WET)
    row = image[runs(image.sum(1) > 50)[0][0] + 10]
    widths = [stop - start for start, stop in runs(row)]
    frame = widths[::20]  # covers a part of the first square of each image
    assert len(widths) == 3 * 20 and len(set(widths) - set(frame)) == 1 and min(frame) > 5


@pytest.mark.parametrize("mm_h, colour", [(0.05, DRY), (np.float32(0.2), LIGHT), (6, WET), (200, "#7b1fa2")])
def test_colours_of_rain(tmp_path, mm_h, colour):
    """0.2 mm/h in float32 is a little less, scaled and back."""
    assert len(panels(drawn(tmp_path, nowcast(mm_h=mm_h, known=False)), colour)) == 2 + 3 * (colour == DRY)


def test_pixels_without_data_are_grey(tmp_path):
    valid = np.ones((20, 20), bool)
    valid[:10] = False
    given = nowcast(size=(20, 20), valid=valid)
    given.forecasts["model"][:, 10:15] = np.nan
    image = drawn(tmp_path, given)
    # Half of five observed images and three quarters of two forecast ones, beside half of the observed ones.
    assert where(image, NO_DATA).sum() == pytest.approx(where(image, DRY).sum() * 4 / 2.5, rel=0.05)


@pytest.mark.parametrize("threshold, colour", [(None, "#34095a"), (2, LIKELY), (5, "#e2cdef"), (10, DRY)])
def test_probability_maps(tmp_path, words, threshold, colour):
    image = drawn(tmp_path, nowcast(forecasts=("probability",), threshold=threshold, known=False))
    assert len(panels(image, colour)) == 2 + 3 * (colour == DRY)
    assert f"probability\nof {threshold or 0.5:g} mm/h\nor more" in [
        each for each, _ in words
    ]  # of dry weather the lowest
    assert f"Probability of {threshold or 0.5:g} mm/h or more, %" in [each for each, _ in words]


def test_the_threshold_follows_the_rain(tmp_path, words):
    """The highest that a twentieth of the valid pixels reach in the last image seen."""
    given, valid = nowcast(forecasts=("probability",)), np.ones((20, 30), bool)
    valid[:10] = False
    given.observed[2, 10:12] = rain_to_scaled(5)  # 60 of 300
    given.observed[2, 10, :14] = rain_to_scaled(10)  # 14 of 300
    given.observed[3:] = rain_to_scaled(50)  # what came is not looked at
    drawn(tmp_path, dataclasses.replace(given, valid=valid))
    assert "probability\nof 5 mm/h\nor more" in [each for each, _ in words]


def test_outlines_run_around_the_pixels():
    page, mask = Page(2, 2, dots=100), np.zeros((20, 20), bool)
    mask[5:15, 2:18] = True
    axes = page.image(0.5, 0.5, 1, 1, np.ma.array(np.zeros((20, 20))), PROBABILITY)
    page.outline(axes, mask)
    dark = page.pixels().max(-1) < 120
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert rows[[0, -1]] == pytest.approx([50 + 25, 50 + 75], abs=3)
    assert columns[[0, -1]] == pytest.approx([50 + 10, 50 + 90], abs=3)


def test_probability_maps_show_where_it_came(tmp_path, words):
    given = nowcast(forecasts=("probability",), threshold=2)
    dry = (drawn(tmp_path, given).max(-1) < 80).sum()
    given.observed[3:, 5:15, 5:25] = rain_to_scaled(2)  # just reached, however its logarithm was rounded
    outlined = (drawn(tmp_path, given).max(-1) < 80).sum() - dry
    assert outlined > 2 * 60 * 8  # the way around 20 x 10 pixels of 9 dots, twice
    assert "observed: 2 mm/h or more" in [each for each, _ in words]


def test_long_forecasts_stay_readable(tmp_path, words):
    image = drawn(tmp_path, nowcast(leads=24, size=(20, 20), known=False))
    found = panels(image, WET)
    assert len(found) == 6 and min(right - left for *_, left, right in found) > 0.12 * image.shape[1]
    written = [each for each, _ in words]
    assert "6 of 24 forecast images are shown, one every 20 min." in written
    assert [each for each in written if each.startswith("+")] == [f"+{20 * index} min" for index in range(1, 7)]
    assert [each for each in written if each.startswith(("−", "now"))] == ["−10 min", "−5 min", "now"]


def test_lost_images_are_named(tmp_path, words):
    drawn(tmp_path, nowcast(lost=[0, 1, 0]))
    written = [each for each, _ in words]
    assert written.count("lost, filled") == 1 and "−5 min" not in written
    assert "Lost images, filled along the flow: 10:05." in written


def test_words_around_the_images(tmp_path, words):
    sentence = "Take this. " * 30
    given = nowcast(source="Somebody, free", title="A title " * 40, takeaway=sentence, notes=["one", "two"])
    image = drawn(tmp_path, given)
    written = [each for each, _ in words]
    assert {"one", "two", "Source: Somebody, free", "28 August 2016, times in UTC", "no data"} <= set(written)
    assert any("Z = 200 R^1.6" in each and "UTC" in each for each in written)
    assert {"0.1", "2", "100", "23", "39"} <= set(written)  # mm/h, and 2 and 10 mm/h in dBZ
    assert "".join(sentence.split()) in "".join("".join(written).split())  # in several lines, whole
    margin = int(0.01 * image.shape[1])
    assert (image[:, -margin:] == 255).all() and (image[:, :margin] == 255).all()  # nothing runs over the edge


def test_scale_bar(tmp_path):
    image = drawn(tmp_path, nowcast(size=(30, 30), km_per_pixel=2.0))
    (_, _, left, right), *_ = panels(image, DRY)  # the bar lies over the first
    width = panels(image, WET)[0]
    bar = max(stop - start for row in where(image, INK) for start, stop in runs(row, 20))
    assert bar / (width[3] - width[2]) == pytest.approx(20 / 60, abs=0.02)
    without = where(drawn(tmp_path, nowcast(size=(30, 30))), INK)
    assert not any(runs(row, bar - 3) for row in without)


@pytest.mark.parametrize("most, length", [(100, 100), (99, 50), (0.7, 0.5), (25, 20), (2, 2), (1999, 1000)])
def test_lengths_of_scale_bars_are_round(most, length):
    assert round_length(most) == pytest.approx(length)


def test_table_marks_the_winner_of_each_column(tmp_path, words):
    columns = Column("error", "error", digits=3), Column("skill", "skill", better="higher", digits=1), Column("x", "x")
    results = {"sprog": dict(error=0.25, skill=3.0, x=None), "model": dict(error=0.5, skill=7.0, x=1.0)}
    image = drawn(tmp_path, nowcast(scores=(columns, results), scored="Of 3 windows."))
    bold = {each for each, style in words if style.get("weight") == "bold"}
    assert {"0.250", "7.0"} <= bold and not {"0.500", "3.0", "1.000", "-"} & bold
    assert {"S-PROG", "error ↓", "skill ↑", "-", "0.500", "Of 3 windows."} <= {each for each, _ in words}
    assert len(runs(where(image, "#e3f1e3").any(1), 5)) == 1  # two rows of one cell each, that touch


# --- the animation ----------------------------------------------------------------------------------------------------


def test_animation_shows_all_images_side_by_side(tmp_path):
    made = list(frames(tmp_path, nowcast(size=(20, 20), forecasts=("one", "probability"), threshold=2)))
    assert len(made) == 5 and len({image.shape for image in made}) == 1
    for index, image in enumerate(made):
        seen = index < 3
        assert len(panels(image, DRY, 100)) == (3 if seen else 1)  # of dry weather the probability is 0
        assert len(panels(image, WET, 100)) == len(panels(image, LIKELY, 100)) == (0 if seen else 1)


def test_animation_of_what_is_not_known_has_no_empty_panel(tmp_path, words):
    made = list(frames(tmp_path, nowcast(size=(20, 20), known=False)))
    assert [len(panels(image, DRY, 100)) for image in made] == [1, 1, 1, 0, 0]
    assert [len(panels(image, WET, 100)) for image in made] == [0, 0, 0, 1, 1]
    (_, _, left, right), *_ = panels(made[-1], WET, 100)
    assert right - left > 0.85 * made[-1].shape[1]
    assert [each for each, style in words if style.get("ha") == "right"][-1] == "forecast +10 min"


def test_before_the_start_probability_is_what_was_observed(tmp_path):
    given = nowcast(size=(20, 20), forecasts=("probability",), threshold=2, known=False)
    given.observed[:] = rain_to_scaled(2)
    given.observed[1] = rain_to_scaled(0.65)  # not as a probability of 65 %
    first, second, *_ = frames(tmp_path, given)
    assert len(panels(first, "#34095a", 100)) == 1 and len(panels(second, DRY, 100)) == 1


# --- errors -----------------------------------------------------------------------------------------------------------


def test_picture_errors(tmp_path):
    path, given = tmp_path / "p.png", nowcast()
    wrong = {
        "threshold must be one of 0.5, 2, 5, 10 mm/h": dict(threshold=3),
        "forecasts is empty": dict(forecasts={}),
        "All forecasts must be of one length": dict(forecasts={"a": np.zeros((2, 20, 30)), "b": np.zeros((3, 20, 30))}),
        "of the observed images' size": dict(forecasts={"a": np.zeros((2, 20, 31))}),
        "5 times, 4 observed and 2 forecast": dict(observed=np.zeros((4, 20, 30))),
        "2 times, 5 observed": dict(times=given.times[:2]),
        "observed must be .time, height, width": dict(observed=np.zeros((20, 30))),
        r"forecast 'a' must be .*\(time, height, width, 4\). Received: \(2, 20, 30, 3": dict(
            forecasts={"a": np.zeros((2, 20, 30, 3))}
        ),
        "valid must be of the images' size": dict(valid=np.ones((3, 3), bool)),
        "lost must have one entry for each of the 3 images": dict(lost=[True]),
    }
    for draw in (forecast_picture, forecast_animation):
        for message, changes in wrong.items():
            with pytest.raises(ValueError, match=message):
                draw(path, dataclasses.replace(given, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", [forecast_picture, forecast_animation])
@pytest.mark.parametrize("missing", ["matplotlib", "PIL"])
def test_missing_packages_are_named_with_the_line_to_type(tmp_path, monkeypatch, missing, draw):
    plain_import = builtins.__import__

    def without(name, *arguments, **named):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return plain_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "scs-keras\[pictures\]"'):
        draw(tmp_path / "p.png", nowcast())
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
