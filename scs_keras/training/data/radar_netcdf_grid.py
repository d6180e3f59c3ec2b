"""Where the pixels of a NetCDF file lie, as its coordinates and the grid mapping of the CF conventions say."""

import numpy as np

from scs_keras.training.data.radar_grid import KM_PER_DEGREE, Grid, grid_of_centres, proj_string
from scs_keras.training.task import check_needs

_LONGLAT = "+proj=longlat +datum=WGS84"
_METRES = {"m": 1, "metre": 1, "metres": 1, "meter": 1, "meters": 1, "km": 1000, "kilometre": 1000, "kilometer": 1000}


def place(path, raw, decoded, name: str, axes) -> tuple[Grid | None, bool, float | None]:
    """(grid or None, whether the rows have to be turned, km of a pixel where there is no grid).

    Args:
        path: for messages.
        raw, decoded: the xarray.Dataset before and after its attributes are applied.
        name: of the variable.
        axes: {"x", "y": names of the dimensions}.

    Raises:
        ValueError: the coordinates are not evenly spaced, or the grid mapping is none.
        ImportError: pyproj is missing.
    """
    x, y = axes["x"], axes["y"]
    if x not in decoded.variables or y not in decoded.variables:
        return _curvilinear(decoded, decoded[name])
    unit = str(decoded[x].attrs.get("units", "m")).lower()
    degrees = "degree" in unit or str(x).lower() in ("lon", "longitude")
    projection = _projection(path, raw, name) or (_LONGLAT if degrees else "")
    if not degrees and not projection and unit not in _METRES:  # numbers of pixels
        return None, False, None
    metres = 1 if degrees or "+units=km" in projection else _METRES.get(unit, 1)
    try:
        return *grid_of_centres(projection, decoded[x].values * metres, decoded[y].values * metres), None
    except ValueError as error:
        raise ValueError(f"{path}: {error} Bring the images onto an even grid first.") from error


def _projection(path, raw, name):
    """PROJ string of the grid mapping, "" without one."""
    mapping = raw.variables.get(str(raw[name].attrs.get("grid_mapping", "")).split(":")[0].strip())
    if mapping is None:
        return ""
    check_needs({"pyproj": "radar"})
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return proj_string(CRS.from_cf(mapping.attrs))
    except (CRSError, KeyError) as error:
        raise ValueError(f"{path}: the grid mapping of {name} cannot be read ({error}). Correct it.") from error


def _curvilinear(decoded, variable):
    """Of a latitude and longitude for each pixel: no projection, only the size of a pixel in the middle."""
    places = {}
    for each in decoded.variables:
        standard = decoded[each].attrs.get("standard_name", str(each))
        if decoded[each].ndim == 2 and decoded[each].shape == variable.shape[-2:]:
            places[{"lat": "latitude", "lon": "longitude"}.get(standard, standard)] = decoded[each].values
    if not {"latitude", "longitude"} <= places.keys():
        return None, False, None
    latitude, longitude = places["latitude"], places["longitude"]
    row, column = (size // 2 for size in latitude.shape)
    narrow = np.cos(np.radians(latitude[row, column]))
    down, right = (
        np.hypot(latitude[there] - latitude[row, column], (longitude[there] - longitude[row, column]) * narrow)
        for there in ((row + 1, column), (row, column + 1))
    )
    turned = bool(latitude[-1, column] > latitude[0, column])
    return None, turned, float(round(np.sqrt(down * right) * KM_PER_DEGREE, 4))
