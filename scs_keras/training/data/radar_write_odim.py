"""Writes a forecast as one ODIM HDF5 composite: /datasetN for each lead time, /dataM for each product of rain."""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from scs_keras.training.data.radar_write import Forecast

_NODATA, _UNDETECT = -9999000.0, -8888000.0  # as OPERA has them in its composites of rain


def write(path: Path, forecast: Forecast) -> None:
    """RATE in mm/h as float32, 0 as undetect; the product for warnings is data1."""
    event = forecast.event
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = _text("ODIM_H5/V2_4")
        date, time = _stamp(event.times[-1])
        _set(file, "what", object="COMP", version="H5rad 2.4", date=date, time=time, source=f"CMT:{forecast.source}")
        _set(file, "how", simulated="False", task="forecast")
        _set(file, "where", **_where(event.grid))
        for lead, end in enumerate(forecast.times):
            dataset = file.create_group(f"dataset{lead + 1}")
            date, time = _stamp(end)
            _set(dataset, "what", product="COMP", startdate=date, starttime=time, enddate=date, endtime=time)
            for number, (name, rain) in enumerate(forecast.rain.items(), 1):
                data = dataset.create_group(f"data{number}")
                _set(data, "what", quantity="RATE", gain=1.0, offset=0.0, nodata=_NODATA, undetect=_UNDETECT)
                _set(data, "how", task=name)
                values = np.where(rain[lead] > 0, rain[lead], np.float32(_UNDETECT))
                values = np.where(event.valid, values, np.float32(_NODATA))
                image = data.create_dataset("data", data=values, compression="gzip", compression_opts=6)
                image.attrs["CLASS"], image.attrs["IMAGE_VERSION"] = _text("IMAGE"), _text("1.2")


def _where(grid):
    height, width = grid.size
    corners = grid.lon_lat_corners()
    places = {f"{name}_{axis}": value for name, both in corners.items() for axis, value in zip(("lon", "lat"), both)}
    dx, dy = grid.pixel
    return dict(projdef=grid.projection, xsize=width, ysize=height, xscale=dx, yscale=dy, **places)


def _set(group, name, **attributes):
    for key, value in attributes.items():
        if isinstance(value, str):
            value = _text(value)
        elif isinstance(value, int):
            value = np.int64(value)
        group.require_group(name).attrs[key] = value


def _text(text):
    return np.bytes_(text.encode("ascii", "replace"))  # of fixed length, as ODIM wants it


def _stamp(seconds):
    time = datetime.fromtimestamp(int(seconds), UTC)
    return f"{time:%Y%m%d}", f"{time:%H%M%S}"
