"""Pictures of a film: its frames with what a model says of each, and with maps of its features."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.samples import spread
from scs_keras.zoo.files import written_beside

MOST_FRAMES, MOST_CLASSES = 10, 6  # that are drawn
INK, FAINT = "#222222", "#777777"
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_CELL, _LEFT, _BAR = 1.1, 1.6, 0.16  # inches: a frame, names of classes, a class


def film_strip(
    path: str | Path,
    frames: np.ndarray,
    seconds: Sequence[float],
    probabilities: np.ndarray,
    labels: Sequence[str],
    title: str,
) -> None:
    """Writes a PNG: frames over bars of the classes, a bar's height the probability at that frame.

    Args:
        path: of the file; its folder is made if need be.
        frames: (time, height, width, channels), uint8 RGB, or of one channel of any scale.
        seconds: (time,), when each is shown.
        probabilities: (time, classes) in [0, 1].
        labels: of the classes.
        title: line above.

    Raises:
        ImportError: matplotlib is missing.
    """
    shown = spread(len(frames), MOST_FRAMES)
    classes = np.argsort(-probabilities.max(axis=0), kind="stable")[:MOST_CLASSES]
    height = _CELL * frames.shape[1] / frames.shape[2]
    figure, canvas = new_figure(_LEFT + _CELL * len(shown), 0.5 + height + 3 * _BAR * len(classes) + 0.4)
    for column, index in enumerate(shown):
        cell = canvas(_LEFT + column * _CELL, 0.4, _CELL - 0.06, height)
        cell.imshow(
            pixels_of(frames, index), interpolation="nearest", aspect="auto", cmap="inferno", **scale_of(frames)
        )
        cell.set_title(f"{seconds[index]:.2f} s", fontsize=7, color=FAINT, pad=2)
        cell.set_axis_off()
    for row, label in enumerate(classes):
        top = 0.5 + height + 3 * _BAR * row
        bars = canvas(_LEFT, top, _CELL * len(shown) - 0.06, 2.4 * _BAR)
        bars.bar(
            np.arange(len(frames)),
            probabilities[:, label],
            width=0.9 if len(frames) <= 60 else 1.0,
            color=COLOURS[row % len(COLOURS)],
        )
        bars.set(xlim=(-0.5, len(frames) - 0.5), ylim=(0, 1), xticks=[], yticks=[])
        bars.set_ylabel(labels[label], rotation=0, ha="right", va="center", fontsize=8, color=INK)
        for side in ("top", "right", "left"):
            bars.spines[side].set_visible(False)
    save_figure(figure, path, title)


def map_strip(
    path: str | Path, frames: np.ndarray, seconds: Sequence[float], maps: Mapping[str, np.ndarray], title: str
) -> None:
    """Writes a PNG: frames, and below them the maps of one channel, of which the last of them changes most over time.

    Args:
        path, frames, seconds, title: as in `film_strip`.
        maps: {name: (time, height, width, channels)}, all of the same channels.
    """
    shown = spread(len(frames), MOST_FRAMES)
    height = _CELL * frames.shape[1] / frames.shape[2]
    figure, canvas = new_figure(_LEFT + _CELL * len(shown), 0.5 + (height + 0.06) * (1 + len(maps)) + 0.2)
    *_, last = maps.values()
    channel = int(last.std(axis=0).mean(axis=(0, 1)).argmax())
    rows = {"frames": frames}
    rows |= {f"{name}, channel {channel}": each[..., channel : channel + 1] for name, each in maps.items()}
    for row, (name, values) in enumerate(rows.items()):
        for column, index in enumerate(shown):
            cell = canvas(_LEFT + column * _CELL, 0.4 + row * (height + 0.06), _CELL - 0.06, height)
            cell.imshow(pixels_of(values, index), interpolation="nearest", aspect="auto", **scale_of(values))
            cell.set_axis_off()
            if row == 0:
                cell.set_title(f"{seconds[index]:.2f} s", fontsize=7, color=FAINT, pad=2)
            if column == 0:
                cell.text(-0.1, 0.5, name, ha="right", va="center", fontsize=8, color=INK, transform=cell.transAxes)
    save_figure(figure, path, title)


def new_figure(width: float, height: float) -> tuple[Any, Callable[[float, float, float, float], Any]]:
    """(figure, function of left, top, width, height that makes axes); all in inches.

    Raises:
        ImportError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Pictures need matplotlib: pip install "scs-keras[pictures]"') from error
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)

    def canvas(left: float, top: float, wide: float, high: float) -> Any:
        return figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))

    return figure, canvas


def pixels_of(frames: np.ndarray, index: int) -> np.ndarray:
    """A frame for `imshow`, without the axis of a single channel."""
    return frames[index] if frames.shape[-1] == 3 else frames[index, ..., 0]


def scale_of(frames: np.ndarray) -> dict[str, float]:
    """Options of `imshow`: one scale for all frames of one channel."""
    return {} if frames.shape[-1] == 3 else dict(vmin=float(frames.min()), vmax=float(frames.max()) or 1.0)


def save_figure(figure: Any, path: str | Path, title: str) -> None:
    """Writes a PNG, to a temporary file that is renamed, with the title above."""
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, title, ha="left", va="top", fontsize=9, color=INK)
    with written_beside(path) as beside:
        figure.savefig(beside, format="png", dpi=120)
