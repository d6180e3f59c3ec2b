"""Radar forecasts as a picture (PNG) and as an animation (GIF)."""

import math
import textwrap
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from scs_keras.training.precipitation.page import FAINT, LINE, PROBABILITY, RAIN, RED, Page
from scs_keras.training.precipitation.story import LABELS, Nowcast, Row, Story, tell
from scs_keras.zoo.files import written_beside

_RULE = "Reflectivity Z = 200 R^1.6 (R: rain rate in mm/h), dBZ = 10 log10 Z. White: below 0.1 mm/h. Times in UTC."
_FRAME_MILLISECONDS, _LAST_FRAME_MILLISECONDS = 450, 1500


def forecast_picture(path: str | Path, nowcast: Nowcast) -> None:
    """Writes a PNG: the images that were seen in a row; below, under their times, what came and each forecast.

    Of long sequences every second, third, ... image is shown, and the picture says so.

    Args:
        path: of the file; its folder is made if need be.
        nowcast: what to show.

    Raises:
        ValueError: the images do not fit together, or there is no such threshold.
        ImportError: matplotlib or Pillow is missing.
    """
    image = _picture(tell(nowcast), nowcast).indexed()
    with written_beside(path) as beside:
        image.save(beside, format="PNG", optimize=True)


def forecast_animation(path: str | Path, nowcast: Nowcast) -> None:
    """Writes a GIF that loops: what was observed, if the future is known, and each forecast side by side.

    Before the forecast starts all show what was seen. Args and errors as `forecast_picture`.
    """
    story = tell(nowcast)
    frames = [_frame(story, nowcast, index).indexed() for index in range(len(story.times))]
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_FRAME_MILLISECONDS]
    with written_beside(path) as beside:
        frames[0].save(beside, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


# The picture ----------------------------------------------------------------------------------------------------------

_WIDTH, _EDGE, _NAMES, _GAP = 11.0, 0.2, 1.25, 0.07  # inches: page, margin, names of the rows, between images
_TIMES, _SENTENCE, _SMALL = 0.5, 0.24, 0.17  # inches: above a row with times; lines of text
_TALLEST, _NARROWEST, _LOWEST = 2.6, 0.8, 0.55  # inches, of an image, and of the room it takes at least


class _Grid(NamedTuple):
    """Where the images of a picture are, in inches, and which they are."""

    seen: range
    leads: range
    width: float  # of an image
    height: float
    column: float  # from one to the next
    row: float


def _grid(story: Story) -> _Grid:
    most = min(8, max(2, round(6 * math.sqrt(story.aspect))))  # images in a row
    seen, leads = _every(range(story.past), most), _every(range(story.past, len(story.times)), most)
    room = (_WIDTH - 2 * _EDGE - _NAMES) / max(len(seen), len(leads), 2)
    width = min(room - _GAP, _TALLEST / max(1, story.aspect))
    height = width * story.aspect
    return _Grid(seen, leads, width, height, min(room, max(width, _NARROWEST) + _GAP), max(height, _LOWEST) + _GAP)


def _every(indices: range, most: int) -> range:
    """Every first, second, third, ... index, the last always, so that they are not too many."""
    step = math.ceil(len(indices) / most)
    return indices[(len(indices) - 1) % step :: step]


def _picture(story: Story, nowcast: Nowcast) -> Page:
    grid, takeaway = _grid(story), textwrap.wrap(nowcast.takeaway, 115)
    small = [line for note in _notes(story, nowcast, grid) for line in textwrap.wrap(note, 165)]
    rows = [Row("observed", story.observed[story.past :], False)] if story.known else []
    rows += story.rows
    top = 0.85 + _SENTENCE * len(takeaway)
    keys = top + 2 * _TIMES + grid.row * (1 + len(rows)) + 0.25
    foot = keys + _keys_height(story, nowcast) + 0.15
    page = Page(_WIDTH, foot + _SMALL * len(small) + 0.1, _dots(story, grid.width, 160))

    page.text(_EDGE, 0.3, nowcast.title, _WIDTH - 2 * _EDGE, fontsize=16, weight="bold")
    page.text(_EDGE, 0.6, f"{_days(story.times)}, times in UTC", fontsize=10, color=FAINT)
    page.lines(_EDGE, 0.9, _SENTENCE, takeaway, _WIDTH - 2 * _EDGE, fontsize=12)
    _draw_times(page, story, grid, top, grid.seen)
    axes = _draw_row(page, grid, top + _TIMES, "observed", story.observed[grid.seen], RAIN)
    if nowcast.km_per_pixel:
        page.scale(axes[0], story.observed.shape[2], nowcast.km_per_pixel)
    top += _TIMES + grid.row
    _draw_times(page, story, grid, top, grid.leads)
    shown = [index - story.past for index in grid.leads]
    for index, row in enumerate(rows):
        y = top + _TIMES + index * grid.row
        axes = _draw_row(page, grid, y, row.label, row.images[shown], PROBABILITY if row.probability else RAIN)
        if row.probability and story.known:
            for each, lead in zip(axes, grid.leads):
                page.outline(each, story.reached(lead))
    _draw_keys(page, story, nowcast, keys)
    page.lines(_EDGE, foot, _SMALL, small, _WIDTH - 2 * _EDGE, fontsize=8, color=FAINT)
    return page


def _draw_times(page, story, grid, y, indices):
    for column, index in enumerate(indices):
        x = _EDGE + _NAMES + column * grid.column + grid.width / 2
        page.text(x, y + 0.16, f"{story.times[index]:%H:%M}", ha="center", fontsize=11, weight="bold")
        lost = index < story.past and story.lost[index]
        words, colour = ("lost, filled", RED) if lost else (story.lead(index), FAINT)
        page.text(x, y + 0.36, words, ha="center", fontsize=9, color=colour)


def _draw_row(page, grid, y, label, images, palette):
    """Returns the axes of the images."""
    page.text(_EDGE, y + grid.height / 2, label, _NAMES - 0.1, fontsize=11, weight="bold", linespacing=1.2)
    x = _EDGE + _NAMES
    return [
        page.image(x + column * grid.column, y, grid.width, grid.height, image, palette)
        for column, image in enumerate(images)
    ]


_KEY, _RIGHT = 5.0, 5.6  # inches: width of a key, where the right half starts


def _keys_height(story, nowcast):
    table = 0 if nowcast.scores is None else LINE * (3 + len(nowcast.scores[1]))
    return max(1.65 if story.probable and nowcast.scores else 0.95 if story.probable or nowcast.scores else 0.7, table)


def _draw_keys(page, story, nowcast, y):
    """The keys on the left and the table on the right; without a table keys are there too."""
    page.rain_key(_EDGE, y, _KEY)
    small = _EDGE, y + 0.8
    if story.probable and nowcast.scores:
        page.probability_key(_EDGE, y + 0.8, _KEY, story.threshold)
        small = _EDGE, y + 1.5
    elif story.probable:
        page.probability_key(_RIGHT, y, _KEY, story.threshold)
    elif not nowcast.scores:
        small = _RIGHT, y + 0.22
    page.small_keys(*small, _outlined(story))
    if nowcast.scores:
        _draw_table(page, nowcast, y)


def _draw_table(page, nowcast, y):
    columns, results = nowcast.scores
    results = {LABELS.get(name, name): values for name, values in results.items()}
    width, below = _WIDTH - _EDGE - _RIGHT, y + LINE * (1.1 + len(results))
    page.table(_RIGHT, y, width, columns, results)
    page.lines(_RIGHT, below, _SMALL, textwrap.wrap(nowcast.scored, 85), width, fontsize=8, color=FAINT)


def _outlined(story):
    """What the outline on probability maps is; there is none where it is not known."""
    return f"observed: {story.threshold:g} mm/h or more" if story.probable and story.known else ""


def _notes(story, nowcast, grid):
    """The small print."""
    for what, shown, all_of_them in (
        ("observed", grid.seen, story.past),
        ("forecast", grid.leads, len(story.times) - story.past),
    ):
        if len(shown) < all_of_them:
            minutes = shown.step * story.step_minutes
            yield f"{len(shown)} of {all_of_them} {what} images are shown, one every {minutes:g} min."
    if story.lost.any():
        times = [f"{time:%H:%M}" for time, lost in zip(story.times, story.lost) if lost]
        yield f"Lost images, filled along the flow: {', '.join(times)}."
    yield from nowcast.notes
    yield _RULE
    if nowcast.source:
        yield f"Source: {nowcast.source}"


# The animation --------------------------------------------------------------------------------------------------------


def _frame(story: Story, nowcast: Nowcast, index: int) -> Page:
    panels = list(_panels(story, index))
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    width = min(3.2 if columns > 1 else 4.2, 4.2 / story.aspect)
    height, column = width * story.aspect, max(width, 2.2) + _EDGE
    page_width = max(4.6, _EDGE + columns * column)
    inner, left = page_width - 2 * _EDGE, (page_width - columns * column + _EDGE) / 2
    top, row = 0.8, height + 0.45
    keys = top + math.ceil(len(panels) / columns) * row + 0.2
    places, foot = _places(keys, inner, story.probable)
    source = textwrap.wrap(nowcast.source, int(inner / 0.065))
    page = Page(page_width, foot + _SMALL * len(source), _dots(story, width, 120))

    page.text(_EDGE, 0.25, nowcast.title, inner, fontsize=12, weight="bold")
    state, colour = _state(story, index)
    taken = page.text(page_width - _EDGE, 0.57, state, ha="right", fontsize=12, weight="bold", color=colour)
    time = f"{_days(story.times[index : index + 1])}, {story.times[index]:%H:%M} UTC"
    page.text(_EDGE, 0.57, time, inner - taken - 0.15, fontsize=12)
    for place, (label, image, palette) in enumerate(panels):
        x, y = left + place % columns * column, top + place // columns * row
        page.text(x, y + 0.16, label, column - _EDGE, fontsize=11, weight="bold")
        axes = page.image(x, y + 0.32, width, height, image, palette)
        if not place and nowcast.km_per_pixel:
            page.scale(axes, image.shape[1], nowcast.km_per_pixel)
        if palette is PROBABILITY and story.known:
            page.outline(axes, story.reached(index))
    key = inner if inner < _HALVES else (inner - 0.4) / 2
    page.rain_key(*places[0], key)
    if story.probable:
        page.probability_key(*places[1], key, story.threshold)
    page.small_keys(*places[-1], _outlined(story))
    page.lines(_EDGE, foot, _SMALL, source, inner, fontsize=8, color=FAINT)
    return page


_HALVES = 5.6  # inches: a page of so much room has keys side by side


def _places(y, inner, probable):
    """((x, y) of the keys of rain, of probability if there is one, and the small ones), and where they end."""
    half = _EDGE + (inner + 0.4) / 2
    if inner < _HALVES:
        places = [(_EDGE, y), (_EDGE, y + 0.8), (_EDGE, y + 1.6)] if probable else [(_EDGE, y), (_EDGE, y + 0.85)]
        return places, places[-1][1] + 0.22
    if probable:
        return [(_EDGE, y), (half, y), (_EDGE, y + 0.85)], y + 1.07
    return [(_EDGE, y), (half, y + 0.22)], y + 0.85


def _panels(story, index):
    """(label, image, palette) of each panel: before the forecast starts all show what was seen."""
    lead = index - story.past
    if story.known:
        yield "observed", story.observed[index], RAIN
    for row in story.rows:
        seen = story.certain if row.probability else story.observed.__getitem__
        image = seen(index) if lead < 0 else row.images[lead]
        yield row.label.replace("\n", " "), image, PROBABILITY if row.probability else RAIN


def _state(story, index):
    if index >= story.past:
        return f"forecast {story.lead(index)}", RED
    return ("lost, filled", RED) if story.lost[index] else ("observed", FAINT)


def _dots(story, width, about):
    """Dots per inch, near `about`, at which a pixel of an image so many inches wide is a whole number of dots."""
    pixels = story.observed.shape[2]
    return max(1, round(about * width / pixels)) * pixels / width if pixels < 1.5 * about * width else about


def _days(times: list[datetime]) -> str:
    days = dict.fromkeys(f"{time.day} {time:%B %Y}" for time in times)
    return " – ".join(days)
