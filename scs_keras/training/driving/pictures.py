"""Pictures of what a model says of a drive: frames over steering dials, and the angles over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.film_strip import COLOURS, FAINT, INK, new_figure, save_figure

_CELL, _LEFT, _DIAL = 1.5, 0.1, 0.8  # inches: a frame, the margin, height of a dial
_WIDE, _HIGH = 11.0, 3.2  # inches of the time line
TRUTH, PREDICTION = INK, COLOURS[0]


def steering_strip(
    path: str | Path,
    frames: np.ndarray,
    names: Sequence[str],
    angles: np.ndarray,
    truth: np.ndarray,
    limit: float,
    title: str,
) -> None:
    """Writes a PNG: each frame over a dial with the angle that was steered, grey, and that of the model, blue.

    Args:
        path: of the file; its folder is made if need be.
        frames: (count, height, width, 3) uint8, at most about a dozen.
        names: of the frames.
        angles: of the model, (count,) degrees; above 0 the needle points to the right.
        truth: that were steered, likewise; NaN where they are not known.
        limit: degrees at the ends of a dial.
        title: line above.

    Raises:
        ImportError: matplotlib is missing.
    """
    height = _CELL * frames.shape[1] / frames.shape[2]
    figure, canvas = new_figure(2 * _LEFT + _CELL * len(frames), 0.6 + height + _DIAL + 0.4)
    for column, (frame, name) in enumerate(zip(frames, names)):
        left = _LEFT + column * _CELL
        cell = canvas(left, 0.5, _CELL - 0.06, height)
        cell.imshow(frame, interpolation="nearest", aspect="auto")
        cell.set_title(name, fontsize=6, color=FAINT, pad=2)
        cell.set_axis_off()
        dial = canvas(left, 0.55 + height, _CELL - 0.06, _DIAL + 0.3)
        _draw_dial(dial, float(angles[column]), float(truth[column]), limit)
    save_figure(figure, path, title)


def _draw_dial(axes: Any, angle: float, truth: float, limit: float) -> None:
    """Half a circle from -limit, to the left, to limit, with a needle for each angle that is known."""
    around = np.linspace(-np.pi / 2, np.pi / 2, 61)
    axes.plot(np.sin(around), np.cos(around), color=FAINT, linewidth=1)
    axes.plot([0, 0], [0.93, 1.07], color=FAINT, linewidth=1)
    for degrees, colour, width in ((truth, FAINT, 4.0), (angle, PREDICTION, 1.8)):
        if np.isfinite(degrees):
            turn = np.clip(degrees / limit, -1, 1) * np.pi / 2
            axes.plot([0, 0.92 * np.sin(turn)], [0, 0.92 * np.cos(turn)], color=colour, linewidth=width)
    known = f"\nsteered {truth:+.1f}°" if np.isfinite(truth) else ""
    axes.text(0, -0.12, f"{angle:+.1f}°{known}", ha="center", va="top", fontsize=7, color=INK)
    axes.set(xlim=(-1.3, 1.3), ylim=(-0.75, 1.15), aspect="equal")
    axes.set_axis_off()


def time_line(
    path: str | Path, angles: Mapping[str, np.ndarray], truth: np.ndarray, starts: Sequence[int], title: str
) -> None:
    """Writes a PNG: angles over the frames, those steered in black, a thin line where a new drive begins.

    Args:
        path: of the file; its folder is made if need be.
        angles: {name: (frames,)} degrees; NaN where there is none.
        truth: likewise, what was steered; NaN where it is not known.
        starts: the first frame of each drive.
        title: line above.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure, canvas = new_figure(_WIDE, _HIGH)
    axes = canvas(0.7, 0.6, _WIDE - 0.9, _HIGH - 1.15)
    if np.isfinite(truth).any():
        axes.plot(*_broken(truth, starts), color=TRUTH, linewidth=1.2, label="steered")
    for (name, values), colour in zip(angles.items(), COLOURS):
        axes.plot(*_broken(values, starts), color=colour, linewidth=1, label=name)
    for start in starts[1:]:
        axes.axvline(start, color=FAINT, linewidth=0.5)
    axes.axhline(0, color=FAINT, linewidth=0.5)
    axes.set(xlim=(0, max(len(truth) - 1, 1)), xlabel="frame", ylabel="degrees")
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save_figure(figure, path, title)


def _broken(values: np.ndarray, starts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(frames, values) with a gap between drives."""
    frames = np.insert(np.arange(len(values), dtype="float64"), list(starts[1:]), np.nan)
    return frames, np.insert(np.asarray(values, "float64"), list(starts[1:]), np.nan)
