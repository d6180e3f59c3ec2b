"""Radar forecasts as a picture (PNG) and as an animation (GIF)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from scs_keras.zoo.files import written_beside
from scs_keras.zoo.radar_units import scaled_to_dbz, scaled_to_rain

_COLOURS = (
    "#dbeaf6", "#aed0eb", "#6daedb", "#2f7fc1", "#2a9d5c", "#7cc653", "#f7e04b", "#fcae2e", "#f46d1f", "#dc2f28",
    "#a3123f", "#7b1fa2",
)  # fmt: skip
_TITLE = "Radar: observed and forecast"
_DRY, _NO_DATA, _INK, _FAINT = "#fcfcfc", "#cfcfcf", "#222222", "#777777"
_SCALES = {  # unit: (conversion of scaled images, bounds between the colours)
    "dBZ": (scaled_to_dbz, tuple(range(5, 70, 5))),
    "mm/h": (scaled_to_rain, (0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80)),
}
_FRAME_MILLISECONDS, _LAST_FRAME_MILLISECONDS = 450, 1500


def forecast_picture(path, observed, forecasts, times, step_minutes, unit="dBZ", title=None, valid=None):
    """Writes a PNG: the observed frames in a row, each forecast in a row below, under the frames it forecasts.

    Args:
        path: of the file; its folder is made if need be.
        observed: scaled to [0, 1], (time, height, width) or with a channel axis of 1. The frames that were seen, and if
            they are known the ones that were forecast.
        forecasts: {name: frames}, each (forecast time, height, width) or with a channel axis of 1, scaled likewise.
        times: Unix seconds UTC of the frames that were seen and of those that were forecast.
        step_minutes: minutes between two frames.
        unit: of the colour scale, "dBZ" or "mm/h".
        title: line above the picture.
        valid: bool (height, width); other pixels are grey. None: all are valid.

    Raises:
        ValueError: the frames do not fit together, or the unit is not known.
        ImportError: matplotlib is missing.
    """
    story = _story(observed, forecasts, times, step_minutes, unit, valid)
    figure = _picture(story, unit, title)
    with written_beside(path) as beside:
        figure.savefig(beside, format="png", dpi=150)


def forecast_animation(path, observed, forecasts, times, step_minutes, unit="dBZ", title=None, valid=None):
    """Writes a GIF that loops: observed on the left, each forecast on its right; before the forecast starts, all show
    what was observed.

    Args and errors as `forecast_picture`; Pillow is needed too.
    """
    story = _story(observed, forecasts, times, step_minutes, unit, valid)
    image = _pillow()
    frames = [image.fromarray(pixels) for pixels in _animation(story, unit, title)]
    palette = frames[-1].quantize(256)  # one palette for all: colours must not flicker
    frames = [frame.quantize(palette=palette, dither=image.Dither.NONE) for frame in frames]
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_FRAME_MILLISECONDS]
    with written_beside(path) as beside:
        frames[0].save(beside, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


class _Story(NamedTuple):
    """What is drawn, in the unit of the colour scale; pixels without data are masked."""

    observed: np.ndarray
    forecasts: Mapping[str, np.ndarray]
    past: int  # number of frames that were seen
    times: list[datetime]
    step_minutes: float

    @property
    def aspect(self) -> float:
        return self.observed.shape[1] / self.observed.shape[2]

    def lead(self, index: int) -> str:
        minutes = (index + 1 - self.past) * self.step_minutes
        return "now" if minutes == 0 else f"{'+' if minutes > 0 else '−'}{abs(minutes):g} min"


def _story(observed, forecasts, times, step_minutes, unit, valid) -> _Story:
    if unit not in _SCALES:
        raise ValueError(f"unit must be one of {', '.join(map(repr, _SCALES))}. Received: unit={unit!r}")
    if not forecasts:
        raise ValueError('forecasts is empty: give at least one, {"model": frames}.')
    observed = _frames("observed", observed)
    forecasts = {name: _frames(f"the forecast {name!r}", frames) for name, frames in forecasts.items()}
    shapes = {name: frames.shape for name, frames in forecasts.items()}
    if len(set(shapes.values())) > 1 or next(iter(shapes.values()))[1:] != observed.shape[1:]:
        raise ValueError(
            "All forecasts must be of one length and of the observed frames' size. "
            f"Received: observed {observed.shape}, forecasts {shapes} (time, height, width)."
        )
    future = len(next(iter(forecasts.values())))
    past = len(times) - future
    if past < 1 or len(observed) not in (past, len(times)):
        raise ValueError(
            "times must name the frames that were seen and those that were forecast; observed may hold both or the "
            f"former alone. Received: {len(times)} times, {len(observed)} observed and {future} forecast frames."
        )
    valid = np.ones(observed.shape[1:], bool) if valid is None else np.asarray(valid, bool)
    if valid.shape != observed.shape[1:]:
        raise ValueError(f"valid must be of the frames' size, {observed.shape[1:]}. Received: {valid.shape}.")

    def drawn(frames):
        return np.ma.masked_where(~(np.isfinite(frames) & valid), _SCALES[unit][0](frames))

    stamps = [datetime.fromtimestamp(int(seconds), UTC) for seconds in times]
    return _Story(drawn(observed), {name: drawn(each) for name, each in forecasts.items()}, past, stamps, step_minutes)


def _frames(name, frames) -> np.ndarray:
    frames = np.asarray(frames, "float32")
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    if frames.ndim != 3 or 0 in frames.shape:
        raise ValueError(f"{name} must be (time, height, width) or (time, height, width, 1). Received: {frames.shape}.")
    return frames


def _picture(story: _Story, unit: str, title: str | None):
    cell, space, gap = 1.35, 0.06, 0.12  # inches; the gap parts past from future
    left, top, bottom = 0.45, 1.2, 0.85
    cell_height = cell * story.aspect
    columns = [left + column * (cell + space) + gap * (column >= story.past) for column in range(len(story.times))]
    rows = [top + row * (cell_height + space) for row in range(1 + len(story.forecasts))]
    page = _Page(columns[-1] + cell + 0.15, rows[-1] + cell_height + bottom, unit)
    page.text(0.15, 0.28, title or _TITLE, fontsize=14, weight="bold")
    page.text(0.15, 0.57, f"{_days(story.times)}, times in UTC", fontsize=10, color=_FAINT)
    for column, (x, time) in enumerate(zip(columns, story.times)):
        page.text(x + cell / 2, top - 0.29, f"{time:%H:%M}", ha="center", fontsize=11, weight="bold")
        page.text(x + cell / 2, top - 0.11, story.lead(column), ha="center", fontsize=9, color=_FAINT)
    page.text(0.27, top + cell_height / 2, "observed", ha="center", fontsize=11, weight="bold", rotation=90)
    for x, frame in zip(columns, story.observed):
        page.image(x, top, cell, cell_height, frame)
    for y, (name, frames) in zip(rows[1:], story.forecasts.items()):
        page.text(columns[story.past] - gap - space, y + cell_height / 2, name, ha="right", fontsize=11, weight="bold")
        for x, frame in zip(columns[story.past :], frames):
            page.image(x, y, cell, cell_height, frame)
    page.colour_bar(left, rows[-1] + cell_height + 0.35, min(6.0, page.width - left - 0.15))
    return page.figure


def _animation(story: _Story, unit: str, title: str | None):
    """Yields the pixels of each frame, uint8 (height, width, 3)."""
    cell, edge, top = 3.2, 0.2, 1.15  # inches
    cell_height = cell * story.aspect
    for index, time in enumerate(story.times):
        page = _Page(edge + (1 + len(story.forecasts)) * (cell + edge), top + cell_height + 0.85, unit)
        seen = index < story.past
        state = "observed" if seen else f"forecast {story.lead(index)}"
        page.text(edge, 0.25, title or _TITLE, fontsize=11, weight="bold")
        page.text(edge, 0.6, f"{_days([time])}, {time:%H:%M} UTC", fontsize=14, weight="bold")
        style = dict(ha="right", fontsize=14, weight="bold", color=_FAINT if seen else "#dc2f28")
        page.text(page.width - edge, 0.6, state, **style)
        observed = story.observed[index] if index < len(story.observed) else None
        for panel, name in enumerate(["observed", *story.forecasts]):
            x = edge + panel * (cell + edge)
            page.text(x + cell / 2, top - 0.14, name, ha="center", fontsize=10)
            frame = observed if seen or not panel else story.forecasts[name][index - story.past]
            if frame is None:
                page.text(x + cell / 2, top + cell_height / 2, "not yet observed", ha="center", color=_FAINT)
            else:
                page.image(x, top, cell, cell_height, frame)
        page.colour_bar(edge, top + cell_height + 0.35, page.width - 2 * edge)
        page.figure.canvas.draw()
        yield np.asarray(page.figure.canvas.buffer_rgba())[..., :3].copy()


class _Page:
    """A matplotlib figure on which everything is placed in inches from its upper left corner."""

    def __init__(self, width, height, unit):
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.colors import BoundaryNorm, ListedColormap
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError('Pictures need matplotlib: pip install "scs-keras[pictures]"') from error
        self.width, self.height, self.unit = width, height, unit
        self.figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
        FigureCanvasAgg(self.figure)
        bounds = _SCALES[unit][1]
        self.norm = BoundaryNorm(bounds, len(_COLOURS))
        self.colours = ListedColormap(_COLOURS).with_extremes(under=_DRY, over=_COLOURS[-1], bad=_NO_DATA)

    def text(self, x, y, words, **style):
        self.figure.text(x / self.width, 1 - y / self.height, words, **{"color": _INK, "va": "center"} | style)

    def axes(self, x, y, width, height, **options):
        box = x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height
        return self.figure.add_axes(box, **options)

    def image(self, x, y, width, height, frame):
        axes = self.axes(x, y, width, height, xticks=[], yticks=[])
        axes.imshow(frame, norm=self.norm, cmap=self.colours, interpolation="nearest", aspect="auto")
        for side in axes.spines.values():
            side.set(color="#b0b0b0", linewidth=0.6)

    def colour_bar(self, x, y, width):
        from matplotlib.cm import ScalarMappable

        axes, bounds = self.axes(x, y, width, 0.15), self.norm.boundaries
        scale = ScalarMappable(self.norm, self.colours)
        bar = self.figure.colorbar(scale, cax=axes, orientation="horizontal", spacing="uniform", ticks=bounds)
        bar.ax.set_xticks(bounds, [f"{bound:g}" for bound in bounds])
        bar.ax.tick_params(labelsize=8, length=2, color=_FAINT, labelcolor=_INK)
        bar.outline.set(linewidth=0.5, edgecolor="#b0b0b0")
        quantity = {"dBZ": "Reflectivity, dBZ", "mm/h": "Rain rate, mm/h"}[self.unit]
        self.text(x, y - 0.14, quantity, fontsize=9)


def _pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Animations need Pillow: pip install "scs-keras[pictures]"') from error
    return Image


def _days(times: list[datetime]) -> str:
    days = dict.fromkeys(f"{time.day} {time:%B %Y}" for time in times)
    return " – ".join(days)
