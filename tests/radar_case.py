"""Radar files in the layouts of services, made of known rain, for the tests of readers and writers."""

import h5py
import numpy as np
import pytest

OPERA = "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +units=m +ellps=WGS84"
START = 1535133600  # 2018-08-24 18:00
HEIGHT, WIDTH = 20, 24


def storm(time=6, height=HEIGHT, width=WIDTH, speed=2.0):
    """Rain in mm/h, a storm that moves to the right over dry ground; float32 (time, height, width)."""
    t, y, x = np.mgrid[:time, :height, :width]
    rain = 20 * np.exp(-((x - 5 - speed * t) ** 2 + (y - height / 2) ** 2) / 12)
    return np.where(rain < 0.1, 0, rain).astype("float32")


def stamp(index=0, minutes=5, form="%Y%m%d%H%M%S"):
    """Time of an image as text."""
    return np.datetime64(START + 60 * minutes * index, "s").item().strftime(form)


def npz(path, **changes):
    rain = storm()
    given = dict(
        rain=rain, valid=np.ones(rain.shape[1:], bool), times=START + 300 * np.arange(len(rain)), step_minutes=5
    )
    np.savez(path, **given | changes)
    return path


def odim(path, raw, index=0, quantity="RATE", projection=OPERA, data_attributes=(), **what):
    """One ODIM composite as OPERA writes it; `what` are attributes of /dataset1/data1/what."""
    what = dict(quantity=quantity, gain=1.0, offset=0.0, nodata=-9999000.0, undetect=-8888000.0) | what
    day, time = stamp(index, form="%Y%m%d"), stamp(index, form="%H%M%S")
    groups = {
        "what": dict(object="COMP", version="H5rad 2.1", date=day, time=time, source="ORG:247"),
        "where": where(projection, np.shape(raw)),
        "dataset1/what": dict(
            product="COMP", startdate=stamp(index - 1, form="%Y%m%d"), starttime=stamp(index - 1, form="%H%M%S"),
            enddate=day, endtime=time,
        ),
        "dataset1/data1/what": what,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_1")
        file["dataset1/data1/data"] = raw
        for name, attributes in groups.items():
            for key, value in attributes.items():
                value = np.bytes_(value) if isinstance(value, str) else value
                file.require_group(name).attrs[key] = value
    return path


def where(projection, size, scale=2000.0, left=1_000_000.0, top=-1_500_000.0):
    """Attributes of /where for an image whose outer upper left corner lies at (left, top)."""
    pyproj = pytest.importorskip("pyproj", reason="needs pyproj")
    place = pyproj.Proj(projection, preserve_units=True)
    (height, width), found = size, {}
    for name, x, y in (("UL", 0, 0), ("UR", width, 0), ("LL", 0, height), ("LR", width, height)):
        found[f"{name}_lon"], found[f"{name}_lat"] = place(left + scale * x, top - scale * y, inverse=True)
    return dict(projdef=projection, xsize=width, ysize=height, xscale=scale, yscale=scale, **found)


def netcdf(path, values, name="rainfall_rate", attributes=None, coordinates=None, mapping=None, engine="h5netcdf"):
    """A NetCDF file of (time, y, x), written raw: what the attributes say of packing is not done here."""
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    values = np.asarray(values)
    (height, width), unit = values.shape[-2:], dict(units="m")
    given = {
        "time": ("time", START + 300 * np.arange(len(values)), dict(units="seconds since 1970-01-01")),
        "y": ("y", 5000.0 - 1000 * np.arange(height), dict(standard_name="projection_y_coordinate", **unit)),
        "x": ("x", 200.0 + 1000 * np.arange(width), dict(standard_name="projection_x_coordinate", **unit)),
    } | (coordinates or {})
    given = {key: value for key, value in given.items() if value is not None}
    dims = [given[each][0] if each in given else each for each in ("time", "y", "x")][-values.ndim :]
    variables = {name: (dims, values, dict(units="mm h-1") if attributes is None else attributes)}
    if mapping is not None:
        variables["crs"] = ((), np.int32(0), mapping)
    dataset = xarray.Dataset(variables, given)
    encoding = {each: dict(_FillValue=None) for each in dataset.variables if "_FillValue" not in dataset[each].attrs}
    dataset.to_netcdf(path, engine=engine, encoding=encoding)
    return path


def geotiff(path, raw, crs="EPSG:3035", unit="mm/h", nodata=None, tags=None, scale=None, offset=0.0, north_up=True):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of the extra radar")
    raw = np.atleast_3d(raw.T).T if raw.ndim == 2 else raw
    bands, height, width = raw.shape
    step = 1000 if north_up else -1000
    transform = rasterio.Affine(1000, 0, 4_000_000, 0, -step, 3_000_000)
    with rasterio.open(
        path, "w", "GTiff", width, height, bands, crs=crs, transform=transform, dtype=raw.dtype, nodata=nodata
    ) as file:
        file.write(raw)
        if unit:
            file.units = [unit] * bands
        if scale is not None:
            file.scales, file.offsets = [scale] * bands, [offset] * bands
        file.update_tags(**tags or {})
    return path
