"""Where the pixels of a radar image lie: projection, size and corners."""

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scs_keras.training.task import check_needs

KM_PER_DEGREE = 111.195  # of latitude, on a sphere of 6371 km


@dataclass(frozen=True)
class Grid:
    """Pixels with north up: row 0 is the northernmost.

    Attributes:
        projection: as a PROJ string, e.g. "+proj=laea +lat_0=55 +lon_0=10 +units=m +ellps=WGS84"; "" if not known.
        size: (height, width).
        pixel: (dx, dy), both above 0, in the projection's unit, metres or degrees.
        upper_left: (x, y) of the outer corner of the first pixel, in the projection's unit; None if `corners` say it.
        corners: {"UL", "UR", "LL", "LR"}: (longitude, latitude) of the image's outer corners; None if `upper_left`
            says them.
    """

    projection: str
    size: tuple[int, int]
    pixel: tuple[float, float]
    upper_left: tuple[float, float] | None = None
    corners: Mapping[str, tuple[float, float]] | None = field(default=None, hash=False)

    @property
    def is_lat_lon(self) -> bool:
        return re.search(r"\+proj=(longlat|latlong|lonlat|latlon)\b", self.projection) is not None

    @property
    def in_degrees(self) -> bool:
        """Whether the projection's unit is degrees: of latitude and longitude, or of a turned pole."""
        return self.is_lat_lon or "o_proj=longlat" in self.projection

    @property
    def unit_metres(self) -> float:
        """Metres of the projection's unit."""
        return 1000.0 if "+units=km" in self.projection else 1.0

    @property
    def km_per_pixel(self) -> float:
        """Of a pixel that is not square, the root of its area, in the middle of the image."""
        dx, dy = self.pixel
        if self.in_degrees:
            latitude = self._upper_left()[1] - dy * self.size[0] / 2
            dx, dy = dx * KM_PER_DEGREE * math.cos(math.radians(latitude)), dy * KM_PER_DEGREE
        else:
            dx, dy = dx * self.unit_metres / 1000, dy * self.unit_metres / 1000
        return round(math.sqrt(dx * dy), 4)

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of the pixels' centres, west to east and north to south, in the projection's unit."""
        (height, width), (dx, dy), (left, top) = self.size, self.pixel, self._upper_left()
        return left + dx * (np.arange(width) + 0.5), top - dy * (np.arange(height) + 0.5)

    def lon_lat_corners(self) -> dict[str, tuple[float, float]]:
        """{"UL", "UR", "LL", "LR"}: (longitude, latitude) of the image's outer corners."""
        if self.corners is not None:
            return dict(self.corners)
        (height, width), (dx, dy), (left, top) = self.size, self.pixel, self._upper_left()
        right, bottom = left + dx * width, top - dy * height
        places = {"UL": (left, top), "UR": (right, top), "LL": (left, bottom), "LR": (right, bottom)}
        if self.is_lat_lon:
            return places
        to_lon_lat = _projection(self.projection)
        found = {name: to_lon_lat(*place, inverse=True) for name, place in places.items()}
        return {name: (float(longitude), float(latitude)) for name, (longitude, latitude) in found.items()}

    def _upper_left(self):
        if self.upper_left is not None:
            return self.upper_left
        if self.corners is None:
            return 0.0, self.pixel[1] * self.size[0]
        if self.is_lat_lon:
            return self.corners["UL"]
        return _projection(self.projection)(*self.corners["UL"])


def _projection(text):
    check_needs({"pyproj": "radar"})
    import pyproj

    # preserve_units: else metres, whatever the projection says
    return pyproj.Proj(text, preserve_units=True)


def grid_of_centres(projection: str, x: np.ndarray, y: np.ndarray) -> tuple[Grid, bool]:
    """(Grid, whether the rows have to be turned) of the pixels' centres in either order, evenly spaced.

    Raises:
        ValueError: x falls, or they are not evenly spaced.
    """
    dx, dy = (_spacing(name, values) for name, values in (("x", x), ("y", y)))
    if dx < 0:
        raise ValueError("x must rise, from west to east. Received: falling x.")
    top = float(max(y[0], y[-1])) + abs(dy) / 2
    return Grid(projection, (len(y), len(x)), (dx, abs(dy)), (float(x[0]) - dx / 2, top)), dy > 0


def _spacing(name, values):
    values = np.asarray(values, "float64")
    if len(values) < 2:
        raise ValueError(f"{name} must have at least 2 places. Received: {len(values)}.")
    spacing = (values[-1] - values[0]) / (len(values) - 1)
    if spacing == 0 or np.abs(np.diff(values) - spacing).max() > 0.02 * abs(spacing):
        raise ValueError(f"{name} must be evenly spaced. Received: {name} from {values[0]:g} to {values[-1]:g}.")
    return float(spacing)


def proj_string(crs) -> str:
    """A pyproj or rasterio coordinate system as a PROJ string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it says less than WKT: the formats of radar have no other
        return str(crs.to_proj4()).replace(" +type=crs", "").strip()
