"""Writes a forecast as NetCDF of the CF conventions, with xarray."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_write import Forecast

_TIME = dict(units="seconds since 1970-01-01 00:00:00", calendar="standard")
_MEANING = {
    "matched": "rain rate, with the distribution of what was observed last",
    "mean": "rain rate, least squared error",
    "model": "rain rate",
}
_PACKED = dict(zlib=True, complevel=4)
_PROBABILITY = dict(_PACKED, dtype="int8", scale_factor=np.float32(0.005), add_offset=np.float32(0.5), _FillValue=-128)


def write(path: Path, forecast: Forecast) -> None:
    """`rainfall_rate_PRODUCT` (time, y, x) in mm h-1, the product for warnings first, and `probability`.

    Probabilities are packed as CF has it, a byte each, to the nearest 0.5 %; rain is float32 as it is.
    """
    import xarray

    coordinates, dims, mapping = _place(forecast.event.grid, forecast.event)
    times, last = forecast.times, forecast.event.times[-1]
    coordinates |= {
        "time": ("time", times, dict(standard_name="time", axis="T", **_TIME)),
        "forecast_reference_time": ((), last, dict(standard_name="forecast_reference_time", **_TIME)),
        "forecast_period": ("time", (times - last) / 60, dict(standard_name="forecast_period", units="min")),
    }  # fmt: skip
    valid, more = forecast.event.valid, {} if mapping is None else dict(grid_mapping="crs")
    variables: dict[str, Any] = {
        f"rainfall_rate_{name}": (
            ("time", *dims),
            np.where(valid, values, np.float32(np.nan)),
            dict(standard_name="rainfall_rate", long_name=_MEANING[name], units="mm h-1", **more),
        )
        for name, values in forecast.rain.items()
    }
    if forecast.probability is not None:
        coordinates["threshold"] = (
            "threshold", np.array(forecast.thresholds, "float32"), dict(long_name="least rain rate", units="mm h-1"),
        )  # fmt: skip
        variables["probability"] = (
            ("threshold", "time", *dims),
            np.where(valid, np.moveaxis(forecast.probability, -1, 0), np.float32(np.nan)),
            dict(
                long_name="probability of at least the rain rate threshold", units="1",
                comment="packed to the nearest 0.005", **more,
            ),
        )  # fmt: skip
    packed: dict[str, Any] = {name: dict(_PACKED, _FillValue=np.float32(np.nan)) for name in variables}
    if "probability" in packed:
        packed["probability"] = _PROBABILITY
    if mapping is not None:
        variables["crs"] = ((), np.int32(0), mapping)
    about = dict(
        Conventions="CF-1.8", title="Rain forecast from weather radar", source=forecast.source,
        institution=forecast.event.source,
    )  # fmt: skip
    dataset = xarray.Dataset(variables, coordinates, about)
    for name in coordinates:
        packed[name] = dict(_FillValue=None)
    dataset.to_netcdf(path, engine="h5netcdf", encoding=packed)


def _place(grid: Grid | None, event):
    """(coordinates of y and x, their names, attributes of the grid mapping or None)."""
    if grid is None:  # pixels, in metres if their size is known
        height, width = event.valid.shape
        step = 1000 * (event.km_per_pixel or 0.001)
        grid = Grid("", (height, width), (step, step), (0.0, step * height))
    x, y = grid.centres()
    if grid.is_lat_lon:
        names, attributes = ("lat", "lon"), [("latitude", "degrees_north"), ("longitude", "degrees_east")]
    else:
        unit = "degrees" if grid.in_degrees else "km" if grid.unit_metres == 1000 else "m"
        unit = unit if grid.projection or event.km_per_pixel else "1"
        names, attributes = ("y", "x"), [("projection_y_coordinate", unit), ("projection_x_coordinate", unit)]
    coordinates = {
        name: (name, values, dict(standard_name=standard, units=units, axis=axis))
        for name, values, (standard, units), axis in zip(names, (y, x), attributes, "YX")
    }
    return coordinates, names, _mapping(grid.projection) if grid.projection else None


def _mapping(projection):
    from pyproj import CRS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = CRS.from_user_input(projection).to_cf()
    return {name: value for name, value in made.items() if value is not None} | dict(proj4=projection)
