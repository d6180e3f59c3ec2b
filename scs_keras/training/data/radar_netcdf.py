"""Reads radar images from NetCDF of the CF conventions, one image or a sequence a file, with xarray.

The variable is found by its standard name, else by its name; lines of latitude and longitude or of a projection
(`grid_mapping`) give the place of the pixels.
"""

import re
from pathlib import Path

import numpy as np

from scs_keras.training.data.radar_event import Images
from scs_keras.training.data.radar_netcdf_grid import place
from scs_keras.training.data.radar_quantity import EXAMPLES, Reading, Unit, to_rain, typed_as, unit_of, without_largest
from scs_keras.training.data.radar_times import time_of_name
from scs_keras.training.task import check_needs

_KNOWN = (  # (attribute or "" for the variable's own name, pattern); what is rain at the ground comes first
    ("standard_name", r"(lwe_)?(thickness_of_)?(rainfall|precip(itation)?)_(rate|flux|amount)"),
    ("", r"(rain(fall)?|precip(itation)?)(_?(rate|intensity|flux|amount))?|tp"),
    ("standard_name", "equivalent_reflectivity_factor"),
    ("", r"(\w*_)?reflectivity|dbzh?"),
)
_AXES = {
    "x": ("projection_x_coordinate", "longitude", "grid_longitude", "x", "lon", "easting"),
    "y": ("projection_y_coordinate", "latitude", "grid_latitude", "y", "lat", "northing"),
    "time": ("time", "valid_time"),
}


def read(path: Path, reading: Reading) -> Images:
    """The images of one NetCDF file.

    Raises:
        ValueError: the file is broken, or its variable, unit, axes or time are not clear; the message says what to
            type.
        ImportError: xarray or h5netcdf is missing.
    """
    check_needs({"xarray": "radar", "h5netcdf": "radar"})
    import xarray

    try:
        with _opened(path, xarray) as raw:
            return _read(path, raw, _decoded(path, raw, xarray), reading)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read as NetCDF ({' '.join(str(error).split())}). It may be truncated; get or write it "
            "again."
        ) from error


def _opened(path, xarray):
    with open(path, "rb") as file:
        classic = file.read(3) == b"CDF"
    if classic:
        try:
            return xarray.open_dataset(path, engine="scipy", mask_and_scale=False, decode_cf=False)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"{path}: is classic NetCDF, which needs scipy: pip install scipy, or nccopy -k nc4 {path.name} new.nc"
            ) from error
    # phony_dims: plain HDF5 has no dimensions
    return xarray.open_dataset(path, engine="h5netcdf", decode_cf=False, phony_dims="sort")


def _decoded(path, raw, xarray):
    try:
        return xarray.decode_cf(raw, decode_timedelta=False)
    except ValueError as error:
        raise ValueError(
            f"{path}: its attributes are not those of CF ({' '.join(str(error).split())}). Times need units such as "
            '"seconds since 1970-01-01".'
        ) from error


def _read(path, raw, decoded, reading):
    name = _variable(path, raw, reading.variable)
    attributes, axes = raw[name].attrs, _axes(path, decoded, name)
    text = reading.unit or str(attributes.get("units", ""))
    unit = unit_of(text)
    if unit is None:
        raise ValueError(
            f"{path}: the unit of {name} is {text or 'not said'}. Type it: {typed_as('unit', 'UNIT')}, one such "
            f"as {EXAMPLES}."
        )
    unit, interval = _duration(decoded, unit, axes)
    values = _values(raw[name])
    rain, notes, said = to_rain(values, unit, f"{name} ({text}{interval})", reading)
    order = [raw[name].dims.index(axes[each]) for each in ("time", "y", "x") if each in axes and axes[each]]
    others = [index for index in range(rain.ndim) if index not in order]
    rain = rain.transpose(*others, *order).reshape(-1, *(rain.shape[each] for each in order[-2:]))
    grid, turned, km = place(path, raw, decoded, name, axes)
    return Images(
        rain[:, ::-1] if turned else rain, _times(path, decoded, name, axes), reading=said, grid=grid,
        km_per_pixel=km, source=str(raw.attrs.get("source", raw.attrs.get("institution", ""))), notes=notes,
        per_step=unit.kind == "amount",
    )  # fmt: skip


def _variable(path, raw, wanted):
    """Name of the variable that holds the images."""
    held = {str(name): each for name, each in raw.data_vars.items() if each.ndim >= 2 and not _is_place(raw, name)}
    images = [name for name, each in held.items() if each.dtype.kind in "iuf"]
    if wanted:
        if wanted not in images:
            raise ValueError(f"{path}: has no images {wanted!r}. Allowed: {', '.join(images) or 'none'}.")
        return wanted
    for attribute, pattern in _KNOWN:
        for name in images:
            if re.fullmatch(pattern, str(raw[name].attrs.get(attribute, "")) if attribute else name.lower()):
                return name
    if len(images) == 1:
        return images[0]
    others = [f"{name} ({each.dtype})" for name, each in held.items()]
    raise ValueError(
        f"{path}: no variable of numbers has a name of rain or reflectivity, such as the standard names rainfall_rate "
        f"and equivalent_reflectivity_factor. It holds: {', '.join(others) or 'no images'}. Type which: "
        f"{typed_as('variable', 'NAME')}"
    )


def _is_place(raw, name):
    """Whether a variable holds latitudes, longitudes or bounds of others."""
    bounds = [each.attrs.get("bounds") for each in raw.variables.values()]
    standard = raw[name].attrs.get("standard_name", str(name).lower())
    return name in bounds or standard in ("latitude", "longitude", "lat", "lon")


def _values(variable):
    """Float32 physical values, NaN where nothing was measured: what CF marks, and the largest of an integer type."""
    raw, attributes = np.asarray(variable.values), variable.attrs
    if str(attributes.get("_Unsigned", "")).lower() == "true" and raw.dtype.kind == "i":
        raw = raw.view(f"u{raw.dtype.itemsize}")
    wrong = without_largest(raw)
    for name in ("_FillValue", "missing_value"):
        for code in _packed(attributes.get(name, ()), raw):
            wrong |= raw == code
    low, high = np.array_split(_packed(attributes.get("valid_range", ()), raw), 2)
    for code in (*low, *_packed(attributes.get("valid_min", ()), raw)):
        wrong |= raw < code
    for code in (*high, *_packed(attributes.get("valid_max", ()), raw)):
        wrong |= raw > code
    scale, offset = (float(np.ravel(attributes.get(key, default))[0]) for key, default in
                     (("scale_factor", 1), ("add_offset", 0)))  # fmt: skip
    values = (raw * scale + offset).astype("float32")
    values[wrong | ~np.isfinite(values)] = np.nan
    return values


def _packed(codes, raw):
    """An attribute's numbers as the data has them: -1 of a byte read as unsigned is 255."""
    codes = np.ravel(codes)
    return codes if codes.dtype.kind == "f" and raw.dtype.kind != "f" else codes.astype(raw.dtype)


def _axes(path, decoded, name):
    """{"time", "y", "x": name of the dimension}; "time" is None where the images have one time."""
    variable = decoded[name]
    found = {each: next((dim for dim in variable.dims if _is(decoded, dim, each)), None) for each in _AXES}
    left = [dim for dim in variable.dims if dim not in found.values()]
    for each in ("x", "y"):  # without coordinates the last two are rows and columns
        if found[each] is None and left:
            found[each] = left.pop()
    long = [dim for dim in left if variable.sizes[dim] > 1]
    if long or found["x"] is None or found["y"] is None:
        raise ValueError(
            f"{path}: {name} must be (time, y, x) or (y, x). Received: {dict(variable.sizes)}. Cut out one of "
            f"{', '.join(map(str, long)) or 'the rest'}, or type another: {typed_as('variable', 'NAME')}"
        )
    return found


def _is(decoded, dim, axis):
    coordinate = decoded[dim] if dim in decoded.variables else None
    attributes = {} if coordinate is None else coordinate.attrs
    if axis == "time" and coordinate is not None and coordinate.dtype.kind == "M":
        return True
    if attributes.get("axis", "").lower() == axis[0]:
        return True
    return attributes.get("standard_name", str(dim).lower()) in _AXES[axis]


def _times(path, decoded, name, axes):
    """int64 (time,), Unix seconds; of the file's name where it has no time."""
    variable = decoded[name]
    found = decoded[axes["time"]] if axes["time"] and axes["time"] in decoded.variables else None
    if found is None and not axes["time"]:
        scalars = [each for each in decoded.variables.values() if each.size == 1 and each.dtype.kind == "M"]
        named = [decoded[key].variable for key in _AXES["time"] if key in decoded.variables]
        found = next(iter([each for each in named if each.dtype.kind == "M"] or scalars), None)
    if found is None and variable.sizes.get(axes["time"], 1) == 1:
        return np.array([time_of_name(path)])
    if found is None or found.dtype.kind != "M":
        raise ValueError(
            f"{path}: the images of {name} have no times. Give them a coordinate time with units such as "
            '"seconds since 1970-01-01" and the standard calendar.'
        )
    return np.ravel(found.values).astype("datetime64[s]").astype("int64")


def _duration(decoded, unit, axes):
    """(unit, text for the record): an amount whose interval the bounds of time tell becomes a rate."""
    time = axes["time"] or next((key for key in _AXES["time"] if key in decoded.variables), None)
    bounds = decoded[time].attrs.get("bounds") if time in decoded.variables else None
    if unit.kind != "amount" or bounds not in decoded.variables or decoded[bounds].dtype.kind != "M":
        return unit, ""
    start, end = np.moveaxis(np.asarray(decoded[bounds].values).astype("datetime64[s]").astype("int64"), -1, 0)
    minutes = np.unique(end - start) / 60
    if len(minutes) != 1 or minutes[0] <= 0:
        return unit, ""
    return Unit("rate", unit.factor * 60 / minutes[0]), f" of {minutes[0]:g} min"
