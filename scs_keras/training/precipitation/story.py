"""What a picture of a nowcast shows, checked and in the units that are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from scs_keras.training.scores import Column
from scs_keras.zoo.radar_units import LEVELS, scaled_to_rain

LABELS = {"sprog": "S-PROG", "steps": "STEPS"}


@dataclass(frozen=True, kw_only=True)
class Nowcast:
    """What a picture and an animation show.

    Attributes:
        observed: scaled to [0, 1], (time, height, width) or with a channel axis of 1. The images that were seen and, if
            they are known, the ones that were forecast.
        forecasts: {name: images} in the order of their rows: rain, (lead, height, width) or with a channel axis of 1,
            scaled likewise; or probabilities of `LEVELS`, (lead, height, width, 4) in [0, 1].
        times: Unix seconds UTC of the images that were seen and of those that were forecast.
        step_minutes: minutes between two images.
        valid: bool (height, width); other pixels are grey. None: all are valid.
        lost: bool (images that were seen,): those that were not there, or that the model found lost, and that were
            filled. None: none.
        km_per_pixel: for the scale bar; None: not known, there is none.
        threshold: whose probability is shown, one of `LEVELS`; None: the highest that a twentieth of the valid pixels
            of the last image seen reach, or the lowest.
        title: line above everything.
        source: where the images come from, with their licence.
        takeaway: what the picture tells, a sentence below the title.
        notes: lines of small print.
        scores: (columns, {name: {metric: value}}) of a table; None: no table.
        scored: what the table's scores are and of what, a sentence or two.
    """

    observed: Any
    forecasts: Mapping[str, Any]
    times: Sequence[int] | np.ndarray
    step_minutes: float
    valid: Any = None
    lost: Any = None
    km_per_pixel: float | None = None
    threshold: float | None = None
    title: str = "Radar: observed and forecast"
    source: str = ""
    takeaway: str = ""
    notes: Sequence[str] = ()
    scores: tuple[Sequence[Column], Mapping[str, Mapping[str, float | None]]] | None = None
    scored: str = ""


class Row(NamedTuple):
    """A forecast as it is drawn; pixels without data are masked."""

    label: str
    images: np.ma.MaskedArray  # rain in mm/h or probability
    probability: bool


class Story(NamedTuple):
    observed: np.ma.MaskedArray  # rain in mm/h
    rows: list[Row]
    past: int  # number of images that were seen
    times: list[datetime]
    step_minutes: float
    threshold: float  # of the probability maps
    lost: np.ndarray

    @property
    def known(self) -> bool:
        """Whether what came is known."""
        return len(self.observed) > self.past

    @property
    def probable(self) -> bool:
        return any(row.probability for row in self.rows)

    @property
    def aspect(self) -> float:
        return self.observed.shape[1] / self.observed.shape[2]

    def lead(self, index: int) -> str:
        minutes = (index + 1 - self.past) * self.step_minutes
        return "now" if minutes == 0 else f"{'+' if minutes > 0 else '−'}{abs(minutes):g} min"

    def reached(self, index: int) -> np.ndarray:
        """Where an observed image reaches the threshold."""
        return np.ma.filled(self.observed[index] >= self.threshold, False)

    def certain(self, index: int) -> np.ma.MaskedArray:
        """What an observed image is as a probability: 0 or 1."""
        return np.ma.masked_where(np.ma.getmaskarray(self.observed[index]), self.reached(index).astype("float32"))


def tell(nowcast: Nowcast) -> Story:
    if not nowcast.forecasts:
        raise ValueError('forecasts is empty: give at least one, {"model": images}.')
    if nowcast.threshold not in (None, *LEVELS):
        raise ValueError(
            f"threshold must be one of {', '.join(map(str, LEVELS))} mm/h, or None. Received: {nowcast.threshold!r}."
        )
    observed = _images("observed", nowcast.observed, (1,))[..., 0]
    forecasts = {
        name: _images(f"the forecast {name!r}", each, (1, len(LEVELS))) for name, each in nowcast.forecasts.items()
    }
    past = _past(nowcast, observed, forecasts)
    size = observed.shape[1:]
    valid = np.ones(size, bool) if nowcast.valid is None else np.asarray(nowcast.valid, bool)
    if valid.shape != size:
        raise ValueError(f"valid must be of the images' size, {size}. Received: {valid.shape}.")
    lost = np.zeros(past, bool) if nowcast.lost is None else np.asarray(nowcast.lost, bool)
    if lost.shape != (past,):
        raise ValueError(f"lost must have one entry for each of the {past} images seen. Received: {lost.shape}.")

    def masked(values, images):
        return np.ma.masked_where(~(np.isfinite(images) & valid), values)

    def rain(images):  # 0.00007 dBZ more: 2 mm/h reaches 2 mm/h, however its logarithm was rounded
        return masked(scaled_to_rain(images) * np.float32(1 + 1e-5), images)

    seen = rain(observed)
    threshold = _threshold(seen[past - 1]) if nowcast.threshold is None else nowcast.threshold
    rows = []
    for name, images in forecasts.items():
        label = LABELS.get(name, name)
        if images.shape[-1] == 1:
            rows.append(Row(label, rain(images[..., 0]), False))
        else:
            images = images[..., LEVELS.index(threshold)]
            rows.append(Row(f"{label}\nof {threshold:g} mm/h\nor more", masked(images, images), True))
    times = [datetime.fromtimestamp(int(seconds), UTC) for seconds in nowcast.times]
    return Story(seen, rows, past, times, nowcast.step_minutes, threshold, lost)


def _images(name, images, channels) -> np.ndarray:
    """float32 (time, height, width, channels)."""
    images = np.asarray(images, "float32")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape or images.shape[-1] not in channels:
        allowed = "".join(f" or (time, height, width, {count})" for count in channels)
        raise ValueError(f"{name} must be (time, height, width){allowed}. Received: {images.shape}.")
    return images


def _past(nowcast, observed, forecasts) -> int:
    """The number of images that were seen."""
    shapes = {name: images.shape[:3] for name, images in forecasts.items()}
    future, *size = next(iter(shapes.values()))
    if len(set(shapes.values())) > 1 or tuple(size) != observed.shape[1:]:
        raise ValueError(
            "All forecasts must be of one length and of the observed images' size. "
            f"Received: observed {observed.shape}, forecasts {shapes} (time, height, width)."
        )
    past = len(nowcast.times) - future
    if past < 1 or len(observed) not in (past, len(nowcast.times)):
        raise ValueError(
            "times must name the images that were seen and those that were forecast; observed may hold both or the "
            f"former alone. Received: {len(nowcast.times)} times, {len(observed)} observed and {future} forecast "
            "images."
        )
    return past


def _threshold(rain: np.ma.MaskedArray) -> float:
    reached = [threshold for threshold in LEVELS if np.ma.filled((rain >= threshold).mean(), 0) >= 0.05]
    return max(reached, default=LEVELS[0])
