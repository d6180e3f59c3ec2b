"""A page on which rain and probability maps, their keys and a table of scores are drawn (matplotlib)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scs_keras.training.scores import Column
from scs_keras.zoo.radar_units import rain_to_scaled, scaled_to_dbz

INK, FAINT, EDGE, RED, GREEN = "#222222", "#6b6b6b", "#b0b0b0", "#dc2f28", "#e3f1e3"
DRY, NO_DATA = "#fcfcfc", "#cfcfcf"


class Palette(NamedTuple):
    """Colours of a map: `colours[i]` from `bounds[i]` up to `bounds[i + 1]`, the last also above; `DRY` below."""

    bounds: Sequence[float]
    colours: Sequence[str]


RAIN = Palette(
    (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100),
    ("#dbeaf6", "#aed0eb", "#6daedb", "#2f7fc1", "#2a9d5c", "#f7e04b", "#fcae2e", "#f0641e", "#cf1f34", "#7b1fa2"),
)
"""Of rain in mm/h; the scores' thresholds 0.5, 2, 5 and 10 are bounds."""
PROBABILITY = Palette(
    tuple(tenth / 10 for tenth in range(1, 10)),
    ("#f1e6f7", "#e2cdef", "#cfb0e4", "#b98fd7", "#a06cc8", "#864ab4", "#6b2c9b", "#50177e", "#34095a"),
)


class Page:
    """A matplotlib figure on which everything is placed in inches from its upper left corner.

    Args:
        width, height: inches.
        dots: per inch.
    """

    def __init__(self, width: float, height: float, dots: float):
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError('Pictures need matplotlib: pip install "scs-keras[pictures]"') from error
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=dots, facecolor="white")
        self._canvas = FigureCanvasAgg(self.figure)

    def pixels(self) -> np.ndarray:
        """uint8 (height, width, 3)."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def indexed(self) -> Any:
        """A Pillow image of one palette, the same for all pages: small files, and animations that do not flicker.

        The colours of maps stay as they are; Pillow's own search for the nearest one is not exact.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError('Pictures need Pillow: pip install "scs-keras[pictures]"') from error
        codes, colours = self.pixels().astype("uint32") @ np.array([1 << 16, 1 << 8, 1], "uint32"), _shades()
        places = np.zeros(1 << 24, "uint8")  # of each colour in the palette
        places[codes] = 1
        found = np.flatnonzero(places)
        parts = np.stack([found >> 16, found >> 8 & 255, found & 255], -1)
        places[found] = (np.square(colours).sum(-1) - 2 * parts @ colours.T).argmin(-1)  # the nearest
        image = Image.fromarray(places[codes], "P")
        image.putpalette(colours.astype("uint8").tobytes())
        return image

    def text(self, x: float, y: float, words: str, widest: float | None = None, **style: Any) -> float:
        """Writes, smaller where the words would be wider than `widest` inches; returns their width."""
        style = {"color": INK, "va": "center"} | style
        drawn = self.figure.text(x / self.width, 1 - y / self.height, words, **style)
        while (width := self._width(drawn)) > (widest or width) and drawn.get_fontsize() > 2:
            drawn.set_fontsize(0.97 * drawn.get_fontsize())
        return width

    def lines(self, x: float, y: float, step: float, lines: Sequence[str], widest: float, **style: Any) -> None:
        """Writes lines, `step` inches from one to the next."""
        for index, line in enumerate(lines):
            self.text(x, y + step * index, line, widest, **style)

    def _width(self, drawn):
        return drawn.get_window_extent(self._canvas.get_renderer()).width / self.figure.dpi

    def image(self, x: float, y: float, width: float, height: float, frame: np.ma.MaskedArray, palette: Palette) -> Any:
        """Draws a map; masked pixels are those without data. Returns its axes."""
        axes = self._axes(x, y, width, height, xticks=[], yticks=[])
        norm, colours = _matplotlib(palette)
        # Every pixel a square of one colour; where there are more pixels than dots, their mean.
        smooth = frame.shape[1] > width * self.figure.dpi
        axes.imshow(frame, norm=norm, cmap=colours, interpolation="auto" if smooth else "nearest", aspect="auto")
        for side in axes.spines.values():
            side.set(color=EDGE, linewidth=0.6)
        return axes

    def outline(self, axes: Any, mask: np.ndarray) -> None:
        """Draws the edge of an area of a map; nothing where it is nowhere or everywhere."""
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            axes.contour(mask.astype(float), levels=[0.5], colors=[INK], linewidths=0.7)

    def scale(self, axes: Any, columns: int, km_per_pixel: float) -> None:
        """Draws a scale bar in the lower left corner of a map so many pixels wide."""
        from matplotlib.patches import Rectangle

        length = round_length(columns * km_per_pixel / 3)
        x, y, width, height = axes.get_position().bounds
        inches = width * self.width * length / (columns * km_per_pixel)
        left, low = x * self.width + 0.09, (1 - y) * self.height - 0.1
        label = self.text(left, low - 0.12, f"{length:g} km", fontsize=8, zorder=4)
        size = (max(inches, label) + 0.08) / self.width, 0.26 / self.height
        corner = (left - 0.04) / self.width, 1 - (low + 0.05) / self.height
        style = dict(facecolor="white", edgecolor="none", alpha=0.85, transform=self.figure.transFigure, zorder=2)
        self.figure.add_artist(Rectangle(corner, *size, **style))
        self.box(left, low - 0.02, inches, 0.035, INK, INK)

    def rain_key(self, x: float, y: float, width: float) -> None:
        """The key of rain, 0.7 inches high: mm/h and, below, what they are in dBZ."""
        self._key(x, y, width, RAIN, "Rain rate, mm/h (grey: dBZ)", [f"{bound:g}" for bound in RAIN.bounds])
        step = width / (len(RAIN.colours) + 1)
        for index, dbz in enumerate(scaled_to_dbz(rain_to_scaled(np.array(RAIN.bounds))), 1):
            self.text(x + index * step, y + 0.58, f"{dbz:.0f}", ha="center", fontsize=8, color=FAINT)

    def probability_key(self, x: float, y: float, width: float, threshold: float) -> None:
        """The key of probability maps, 0.5 inches high."""
        title = f"Probability of {threshold:g} mm/h or more, %"
        self._key(x, y, width, PROBABILITY, title, [f"{100 * bound:.0f}" for bound in PROBABILITY.bounds])

    def _key(self, x, y, width, palette, title, labels):
        """The colours, of what is below the scale first, and the labels of their bounds."""
        self.text(x, y, title, width, fontsize=10)
        step = width / (len(palette.colours) + 1)
        for index, colour in enumerate((DRY, *palette.colours)):
            self.box(x + index * step, y + 0.13, step, 0.17, colour)
        for index, label in enumerate(labels, 1):
            self.text(x + index * step, y + 0.4, label, ha="center", fontsize=9)

    def small_keys(self, x: float, y: float, outlined: str = "") -> None:
        """What grey pixels are and, where there is one, an outline."""
        self.box(x, y - 0.07, 0.24, 0.14, NO_DATA)
        x += 0.32 + self.text(x + 0.32, y, "no data", fontsize=9) + 0.25
        if outlined:
            self.box(x, y - 0.07, 0.24, 0.14, "white", INK)
            self.text(x + 0.32, y, outlined, fontsize=9)

    def box(self, x: float, y: float, width: float, height: float, colour: str, edge: str = EDGE) -> None:
        from matplotlib.patches import Rectangle

        corner, size = (x / self.width, 1 - (y + height) / self.height), (width / self.width, height / self.height)
        style = dict(facecolor=colour, edgecolor=edge, linewidth=0.5, transform=self.figure.transFigure, zorder=3)
        self.figure.add_artist(Rectangle(corner, *size, **style))

    def table(
        self, x: float, y: float, width: float, columns: Sequence[Column], results: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Draws scores, `LINE` inches a row below a heading; the best of each column is bold on a tinted ground."""
        step = (width - _NAMES) / len(columns)
        for row, name in enumerate(results, 1):
            self.text(x, y + row * LINE, name, _NAMES - 0.1, fontsize=10)
        for index, column in enumerate(columns):
            right = x + _NAMES + (index + 1) * step
            arrow = {"lower": " ↓", "higher": " ↑"}.get(column.better, "")
            self.text(right, y, column.title + arrow, step - 0.05, ha="right", fontsize=9, color=FAINT)
            values = [values.get(column.name) for values in results.values()]
            best = column.best(values)
            for row, value in enumerate(values, 1):
                wins = value is not None and value == best
                if wins:
                    self.box(right - step + 0.06, y + (row - 0.5) * LINE, step, LINE, GREEN, "none")
                weight = "bold" if wins else "normal"
                self.text(right, y + row * LINE, column.text(value), ha="right", fontsize=10, weight=weight)

    def _axes(self, x, y, width, height, **options):
        box = x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height
        return self.figure.add_axes(box, **options)


LINE, _NAMES = 0.24, 1.2  # inches: a row of a table, its names


def round_length(most: float) -> float:
    """The largest of ..., 1, 2, 5, 10, 20, ... that is not above `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    return power * max(digit for digit in (1, 2, 5) if digit * power <= most * (1 + 1e-9))


def _matplotlib(palette):
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = ListedColormap(palette.colours[:-1]).with_extremes(under=DRY, over=palette.colours[-1], bad=NO_DATA)
    return BoundaryNorm(palette.bounds, len(palette.colours) - 1), colours


def _shades():
    """int (colours, 3): those of the maps, and shades of the text."""
    plain = (*RAIN.colours, *PROBABILITY.colours, DRY, NO_DATA, INK, FAINT, EDGE, GREEN, RED)
    plain = [tuple(bytes.fromhex(colour[1:])) for colour in plain]
    red = [tuple(255 + (part - 255) * share // 16 for part in plain[-1]) for share in range(1, 16)]
    return np.array([*plain, *red, *((level,) * 3 for level in range(0, 256, 5))])
