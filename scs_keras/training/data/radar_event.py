"""A radar event, and how one is made of the images that a format's reader gives: in time, without holes, checked."""

import functools
from dataclasses import dataclass, field, replace

import numpy as np

from scs_keras.training.data.radar_fill import REACH, fill
from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_times import clock, regular, step_of
from scs_keras.zoo.radar_units import rain_to_scaled, scaled_to_rain

SMALLEST = 16  # pixels a side
SPARE = 3  # images before the last ones, for what is to be filled


@dataclass(frozen=True, eq=False)
class RadarEvent:
    """A rain sequence of one radar or composite.

    Attributes:
        name: the file's name without its ending, or the folder's.
        rain_mm_h: float32 (time, height, width), mm/h, 0 where there is no value. North is up in files that say so.
        valid: bool (height, width), the pixels that have a value in every image, measured or filled.
        times: int64 (time,), Unix seconds UTC, at regular steps.
        step_minutes: minutes between two frames.
        km_per_pixel: size of a pixel, None if the file does not say.
        source: where the data came from, "" if the file does not say.
        measured: bool (time, height, width), the pixels that were measured; None: all that are valid.
        missing: bool (time,), images that were not there and are filled along the flow; None: none.
        grid: projection and place of the pixels, None if the file does not say.
        reading: what was made into rain and how: quantity, unit, Z-R; "" for mm/h of an npz file.
        notes: sentences on what was filled or taken as something else.
        file: name of the file or folder; "": the name with `.npz`.
    """

    name: str
    rain_mm_h: np.ndarray
    valid: np.ndarray
    times: np.ndarray
    step_minutes: float
    km_per_pixel: float | None = None
    source: str = ""
    measured: np.ndarray = None  # type: ignore[assignment]
    missing: np.ndarray = None  # type: ignore[assignment]
    grid: Grid | None = None
    reading: str = ""
    notes: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self):
        if self.measured is None:
            object.__setattr__(self, "measured", np.broadcast_to(self.valid, np.shape(self.rain_mm_h)))
        if self.missing is None:
            object.__setattr__(self, "missing", np.zeros(len(self.times), bool))
        if not self.file:
            object.__setattr__(self, "file", f"{self.name}.npz")

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """The frames as the models see them: float32 (time, height, width) in [0, 1], see `rain_to_scaled`."""
        return rain_to_scaled(self.rain_mm_h)


@dataclass
class Images:
    """What a format's reader gives.

    Attributes:
        rain: float32 (time, height, width), mm/h, NaN where nothing was measured, 0 where it does not rain.
        times: int64 (time,), Unix seconds UTC.
        step_minutes: if the file says it.
        per_step: rain is in mm since the image before.
        reading, source, grid, notes: see `RadarEvent`.
        km_per_pixel: if there is no grid.
    """

    rain: np.ndarray
    times: np.ndarray
    step_minutes: float | None = None
    per_step: bool = False
    reading: str = ""
    source: str = ""
    grid: Grid | None = None
    km_per_pixel: float | None = None
    notes: list[str] = field(default_factory=list)


def event_of(images: Images, name: str, file: str, where: str, last: int | None = None) -> RadarEvent:
    """The event of images in the order of their times.

    Images that are not there, or have no data at all, are filled along the flow, at most two in a row; so are pixels
    without data in some images. Times within a tenth of the step of regular ones are taken as regular.

    Args:
        images: of a reader.
        name, file: of the event.
        where: path for messages.
        last: only so many images, the last ones; None: all.

    Raises:
        ValueError: images of fewer than 16 pixels a side, no pixel with data, times with gaps or at other steps.
    """
    _check(images, where)
    step_minutes = images.step_minutes or step_of(images.times, where)
    if last is not None:
        images = _recent(images, step_minutes, last)
    times, slots, off = regular(images.times, step_minutes, where)
    notes = list(images.notes)
    if off:
        notes.append(f"Times are up to {off:g} s off and taken as every {step_minutes:g} min.")
    rain = np.full((len(times), *images.rain.shape[1:]), np.nan, "float32")
    rain[slots] = images.rain
    if images.per_step:
        rain *= np.float32(60 / step_minutes)
    measured = np.isfinite(rain)
    missing = np.logical_not(measured.any(axis=(1, 2)))
    _check_gaps(missing, times, where)
    rain = np.where(measured, rain, np.float32(0))
    filled, has_value = fill(rain_to_scaled(rain), measured)
    added = has_value & ~measured
    rain[added] = scaled_to_rain(filled[added])
    kept = slice(None if last is None else -last, None)
    notes += _said(missing[kept], added[kept], times[kept])
    valid = np.asarray(has_value[kept].all(axis=0))
    if not valid.any():
        raise ValueError(f"{where}: no pixel has data in every image. Leave out the images or the part without data.")
    return RadarEvent(
        name, rain[kept], valid, times[kept], step_minutes,
        km_per_pixel=images.grid.km_per_pixel if images.grid else images.km_per_pixel,
        source=images.source, measured=measured[kept], missing=missing[kept], grid=images.grid,
        reading=images.reading, notes=tuple(notes), file=file,
    )  # fmt: skip


def joined(parts: list[tuple[str, Images]], where: str) -> Images:
    """Images of several files, each (name of the file, Images), in the order of their times.

    Raises:
        ValueError: files differ in size, grid or unit, or two have an image of one time.
    """
    (first_name, first), *others = parts
    for name, each in others:
        for what, one, other in (
            ("size", first.rain.shape[1:], each.rain.shape[1:]),
            ("projection or grid", first.grid, each.grid),
            ("quantity or unit", (first.reading, first.per_step), (each.reading, each.per_step)),
        ):
            if one != other:
                raise ValueError(
                    f"{where}: the files of an event must have one {what}. Received: {first_name} with {one} and "
                    f"{name} with {other}. Put them into folders of their own."
                )
    times = np.concatenate([each.times for _, each in parts])
    order = np.argsort(times, kind="stable")
    names = np.repeat([name for name, _ in parts], [len(each.times) for _, each in parts])[order]
    same = np.flatnonzero(np.diff(times[order]) == 0)
    if same.size:
        one, other = names[same[0]], names[same[0] + 1]
        raise ValueError(
            f"{where}: {one} and {other} both have an image of {clock(times[order][int(same[0])])}. Leave one."
        )
    notes = list(dict.fromkeys(note for _, each in parts for note in each.notes))
    rain = np.concatenate([each.rain for _, each in parts])[order]
    return replace(first, rain=rain, times=times[order], notes=notes)


def _recent(images, step_minutes, last):
    """The images that the last ones need; those before a gap that is older than that do not matter."""
    steps = np.diff(images.times) / (60 * step_minutes)
    start = max(np.flatnonzero(steps > REACH + 1.5).max(initial=-1) + 1, len(images.times) - last - SPARE)
    if (images.times[-1] - images.times[start]) / (60 * step_minutes) < last - 1.5:  # the gap is among them
        return images
    return replace(images, rain=images.rain[start:], times=images.times[start:])


def _check(images, where):
    height, width = images.rain.shape[1:]
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"{where}: images must have at least {SMALLEST} pixels a side. Received: {height}x{width}. Give a larger "
            "part of the radar image."
        )
    if not np.isfinite(images.rain).any():
        raise ValueError(
            f"{where}: no pixel has data: all are marked as missing (in an npz file: valid is False). Correct the "
            "marks, or give images with data."
        )


def _check_gaps(missing, times, where):
    run = 0
    for index, gone in enumerate(missing):
        run = run + 1 if gone else 0
        if run > REACH:
            first = index - run + 1
            raise ValueError(
                f"{where}: more than {REACH} images in a row are without data, from {clock(times[first])} on. At most "
                f"{REACH} are filled. Cut the sequence at its gaps into files of their own."
            )


def _said(missing, added, times):
    if missing.any():
        gone = [clock(int(time)) for time in times[missing]]
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        yield f"Missing and filled along the flow: the image of {', '.join(gone[:5])}{more}."
    partly = (added.mean(axis=(1, 2)) > 0) & ~missing
    if partly.any():
        share = added[partly].mean()
        yield f"Pixels without data filled along the flow: {share:.2%} of {partly.sum()} images."
