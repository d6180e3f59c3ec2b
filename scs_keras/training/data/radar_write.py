"""Writes a forecast of a radar event: npz (laid out as an event), CF NetCDF or ODIM HDF5."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.core.arguments import check_known
from scs_keras.training.data.radar_event import RadarEvent
from scs_keras.training.task import check_needs
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.radar_units import LEVELS
from scs_keras.zoo.reference import resolve

_HERE = "scs_keras.training.data"
PRODUCTS = ("matched", "model", "mean")  # of rain; the first there is, is the one for warnings and pictures
PROBABILITY = "probability"


@dataclass(frozen=True)
class Forecast:
    """What the formats write.

    Attributes:
        rain: {product: float32 (lead, height, width), mm/h}, the one for warnings first.
        probability: float32 (lead, height, width, thresholds) in [0, 1], or None.
        thresholds: mm/h, of the probability of at least so much rain.
        times: int64 (lead,), Unix seconds UTC, of the images that are forecast.
        event: what was observed.
        source: for the record: model, file, and how the file was read.
    """

    rain: Mapping[str, np.ndarray]
    probability: np.ndarray | None
    thresholds: tuple[float, ...]
    times: np.ndarray
    event: RadarEvent
    source: str


FORMATS = {  # name: (file, "module:function" of (path, Forecast), packages to import)
    "npz": ("forecast.npz", f"{_HERE}.radar_write:_write_npz", ()),
    "netcdf": ("forecast.nc", f"{_HERE}.radar_write_netcdf:write", ("xarray", "h5netcdf", "pyproj")),
    "odim": ("forecast.h5", f"{_HERE}.radar_write_odim:write", ()),
}


def check_format(format: str, event: RadarEvent) -> None:
    """Whether a forecast of the event can be written so, asked before the work.

    Raises:
        ValueError: there is no such format, or it needs a projection and the event's file says none.
        ImportError: a package that it needs is missing.
    """
    check_known("format", format, FORMATS)
    check_needs({package: "radar" for package in FORMATS[format][2]})
    if format != "odim":
        return
    if event.grid is None or not event.grid.projection:
        raise ValueError(
            f"{event.file} says no projection, which ODIM needs. Write the forecast as npz or netcdf, or give the "
            "event as ODIM HDF5, GeoTIFF, or NetCDF with a grid mapping."
        )
    event.grid.lon_lat_corners()  # asks for pyproj where it is needed


def write_forecast(
    path: str | Path,
    format: str,
    forecast: Mapping[str, np.ndarray],
    event: RadarEvent,
    model: str = "",
    thresholds: tuple[float, ...] = LEVELS,
) -> None:
    """Writes a forecast of what follows an event's last image.

    npz has `rain` (of "matched", else "model", else "mean"), every product under its name, and valid, times and
    step_minutes, as an event has. netcdf has them as CF variables with projection and times; ODIM has the rain, a
    dataset for each lead time, its probabilities are left out. Pixels that are not valid are 0 in npz, and marked as
    without data in the others.

    Args:
        path: of the file; see `FORMATS` for the usual names.
        format: "npz", "netcdf" or "odim".
        forecast: {"mean", "matched", "model": (lead, height, width), also with a channel axis of 1, mm/h, at least
            one of them; "probability": (lead, height, width, thresholds) in [0, 1]}.
        event: what was observed, to its last image.
        model: name of what made the forecast, for the record.
        thresholds: mm/h, of the probabilities.

    Raises:
        ValueError: an unknown format or product, arrays of other shapes, values that are not finite or not in range,
            or a projection is missing.
        ImportError: a package that the format needs is missing.
    """
    check_format(format, event)
    made = _checked(forecast, event, model, thresholds)
    with written_beside(path) as beside:
        resolve(FORMATS[format][1])(beside, made)


def _checked(forecast, event, model, thresholds) -> Forecast:
    for name in forecast:
        check_known("product", name, (*PRODUCTS, PROBABILITY))
    rain = {name: _without_channel(forecast[name]) for name in PRODUCTS if name in forecast}
    probability = np.asarray(forecast[PROBABILITY], "float32") if PROBABILITY in forecast else None
    if not rain:
        raise ValueError(
            f"forecast needs rain: one of {', '.join(PRODUCTS)}. Received: {', '.join(forecast) or 'none'}."
        )
    lead, size = len(next(iter(rain.values()))), event.valid.shape
    for name, values, shape, high in (
        *((name, values, (lead, *size), np.inf) for name, values in rain.items()),
        *([(PROBABILITY, probability, (lead, *size, len(thresholds)), 1)] if probability is not None else []),
    ):
        if values.shape != shape:
            raise ValueError(f"{name} must be of shape {shape}. Received: {values.shape}.")
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= high):
            raise ValueError(
                f"{name} must be {'in [0, 1]' if high == 1 else 'finite, 0 and more'}. Received: {values.min():g} to "
                f"{values.max():g}."
            )
    times = event.times[-1] + np.round(60 * event.step_minutes * np.arange(1, lead + 1)).astype("int64")
    source = " ".join(filter(None, (model and f"{model} from", event.file, event.reading and f"({event.reading})")))
    return Forecast(rain, probability, tuple(thresholds), times, event, "; ".join([source, *event.notes]))


def _without_channel(values):
    values = np.asarray(values, "float32")
    return values[..., 0] if values.ndim == 4 and values.shape[-1] == 1 else values


def _write_npz(path: Path, forecast: Forecast) -> None:
    event = forecast.event
    rain = {name: values * event.valid for name, values in forecast.rain.items()}
    more: dict[str, Any] = {} if event.km_per_pixel is None else dict(km_per_pixel=event.km_per_pixel)
    if forecast.probability is not None:
        probability = forecast.probability * event.valid[..., None]
        more |= dict(probability=probability, thresholds_mm_h=np.array(forecast.thresholds))
    np.savez_compressed(
        path, rain=next(iter(rain.values())), valid=event.valid, times=forecast.times,
        step_minutes=event.step_minutes, source=forecast.source, **({} if len(rain) == 1 else rain), **more,
    )  # fmt: skip
