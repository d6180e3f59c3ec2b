"""Reads a radar image from a GeoTIFF, one image a file, with rasterio."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from scs_keras.training.data.radar_event import Images
from scs_keras.training.data.radar_grid import Grid, proj_string
from scs_keras.training.data.radar_quantity import EXAMPLES, Reading, to_rain, typed_as, unit_of, without_largest
from scs_keras.training.data.radar_times import time_of_name
from scs_keras.training.task import check_needs

_TIME_TAGS = ("time", "valid_time", "timestamp", "TIME", "VALID_TIME", "TIMESTAMP")
_CREATED = "TIFFTAG_DATETIME"  # often when the file was made: the file's name comes first
_UNIT_TAGS = ("units", "unit", "UNITS", "UNIT")


def read(path: Path, reading: Reading) -> Images:
    """The image of one GeoTIFF of one band.

    Scale, offset, nodata, unit and projection are those of the file; the time is that of a tag `time`, else of the
    file's name, else of the tag TIFFTAG_DATETIME.

    Raises:
        ValueError: the file is broken, has several bands, no unit or no time; the message says what to type.
        ImportError: rasterio is missing.
    """
    check_needs({"rasterio": "radar"})
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as file:
            return _read(path, file, reading)
    except RasterioError as error:
        raise ValueError(f"{path}: cannot be read as a GeoTIFF ({error}). Get or write it again.") from error


def _read(path, file, reading):
    if file.count != 1:
        raise ValueError(
            f"{path}: must have one band, one image a file. Received: {file.count} bands. Take one out: "
            f"gdal_translate -b 1 {path.name} one.tif"
        )
    tags = {**file.tags(), **file.tags(1)}
    text = reading.unit or file.units[0] or next((tags[name] for name in _UNIT_TAGS if name in tags), "")
    unit = unit_of(text)
    if unit is None:
        raise ValueError(
            f"{path}: the unit is {text or 'not said'}. Type it: {typed_as('unit', 'UNIT')}, one such as {EXAMPLES}."
        )
    raw = file.read(1)
    if raw.dtype.kind not in "iuf":
        raise ValueError(f"{path}: must hold numbers. Received: {raw.dtype}. Write it as uint16 or float32.")
    values = (raw * file.scales[0] + file.offsets[0]).astype("float32")
    values[without_largest(raw) | (file.read_masks(1) == 0) | ~np.isfinite(values)] = np.nan
    rain, notes, said = to_rain(values, unit, f"GeoTIFF ({text})", reading)
    grid = _grid(path, file)
    return Images(
        rain[None], np.array([_time(path, tags)]), grid=grid, reading=said, notes=notes,
        per_step=unit.kind == "amount",
    )  # fmt: skip


def _grid(path, file):
    transform = file.transform
    if transform.is_identity or file.crs is None:
        return None
    if transform.b or transform.d or transform.a < 0 or transform.e > 0:
        raise ValueError(
            f"{path}: must have north up and west on the left. Received: the transform {tuple(transform)[:6]}. Turn "
            f"it: gdalwarp {path.name} north_up.tif"
        )
    return Grid(
        proj_string(file.crs), (file.height, file.width), (transform.a, -transform.e), (transform.c, transform.f)
    )


def _time(path, tags):
    for name in _TIME_TAGS:
        if name in tags:
            return _of_text(path, name, tags[name])
    try:
        return time_of_name(path)
    except ValueError:
        if _CREATED not in tags:
            raise
        return _of_text(path, _CREATED, tags[_CREATED].replace(":", "-", 2))


def _of_text(path, name, text):
    if text.strip().isdigit():
        return int(text)
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{path}: the tag {name} must be a time such as 2024-08-26T12:05:00, in UTC unless it says another zone. "
            f"Received: {text!r}."
        ) from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
