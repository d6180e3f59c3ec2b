"""Reads radar composites of OPERA's layout, ODIM HDF5 (EUMETNET OPERA Data Information Model, 2.0 to 2.4).

Images lie in /datasetN/dataM/data with gain, offset, nodata and undetect, and a quantity: reflectivity DBZH or TH, rain
rate RATE, or accumulation ACRR. Several datasets of one file are images of several times.
"""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from scs_keras.training.data.radar_event import Images
from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_quantity import Reading, Unit, to_rain, typed_as, without_largest

REFLECTIVITY = ("DBZH", "TH", "DBZ", "DBZHC", "DBZV", "TV")
QUANTITIES = ("RATE", "ACRR", *REFLECTIVITY)
_OBJECTS = ("COMP", "IMAGE", "CVOL")


def is_odim(path: str | Path) -> bool:
    """Whether an HDF5 file has the groups of ODIM."""
    with h5py.File(path) as file:
        return "what" in file and any(name.startswith("dataset") for name in file)


def read(path: Path, reading: Reading) -> Images:
    """The images of one ODIM file.

    Raises:
        ValueError: the file is broken, no ODIM composite, or of another quantity; the message says what to type.
    """
    try:
        with h5py.File(path) as file:
            return _read(path, file, reading)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read as an ODIM HDF5 composite ({' '.join(str(error).split())}). It may be truncated "
            "or lack a part of the layout; get or write it again."
        ) from error


def _read(path, file, reading):
    kind = _text(file["what"].attrs.get("object", b"COMP"))
    if kind not in _OBJECTS:
        raise ValueError(
            f"{path}: object {kind} is not an image. Allowed: {', '.join(_OBJECTS)}. Make a Cartesian composite of a "
            "polar volume first, e.g. with wradlib."
        )
    found, notes = _images(path, file, reading)
    parts, times = [], []
    for time, quantity, image in found:
        rain, more, said = _rain(path, image, quantity, reading)
        parts.append(rain)
        times.append(time)
        notes += [note for note in more if note not in notes]
    return Images(
        np.stack(parts), np.array(times, "int64"), reading=said, source=_text(file["what"].attrs.get("source", b"")),
        grid=_grid(file, parts[0].shape), notes=notes,
    )  # fmt: skip


def _images(path, file, reading):
    """([(time, quantity, group of the data)] of one quantity, one for each time, in the file's order; notes)."""
    found = [
        (dataset, _text(_attribute(data, "what", "quantity", b"")), data)
        for dataset in _numbered(file, "dataset")
        for data in _numbered(dataset, "data")
    ]
    held = list(dict.fromkeys(quantity for _, quantity, _ in found))
    wanted = [reading.variable] if reading.variable else [each for each in QUANTITIES if each in held][:1]
    chosen = [each for each in found if each[1] in wanted]
    if not chosen or (wanted[0] not in QUANTITIES and not reading.unit):
        raise ValueError(
            f"{path}: the quantities are {', '.join(held) or 'none'}. Allowed: {', '.join(QUANTITIES)}; another one is "
            f"read with {typed_as('variable', 'NAME')} and {typed_as('unit', 'mm/h')}."
        )
    nominal = _time(file["what"].attrs, "date", "time")
    several = len({dataset.name for dataset, _, _ in chosen}) > 1
    by_time = {}
    for dataset, quantity, data in chosen:
        what = dataset["what"].attrs if "what" in dataset else {}
        time = _time(what, "enddate", "endtime") if several and "enddate" in what else nominal
        by_time.setdefault(time, (time, quantity, data))
    several_of_one = len(by_time) < len(chosen)
    return list(by_time.values()), ["Of several images of one time the first is read."] if several_of_one else []


def _rain(path, data, quantity, reading):
    """(mm/h, NaN where nothing was measured; notes; the record) of one image."""
    raw = data["data"]
    if raw.dtype.kind not in "iuf" or raw.ndim != 2:
        raise ValueError(
            f"{path}: {raw.name} must be (height, width) of whole or floating-point numbers. Received: {raw.dtype} of "
            f"shape {raw.shape}. Write it as uint8 or uint16 with gain, offset, nodata and undetect."
        )
    raw = raw[()]
    gain, offset = (float(_attribute(data, "what", name, value)) for name, value in (("gain", 1), ("offset", 0)))
    nodata, undetect = (_attribute(data, "what", name, np.nan) for name in ("nodata", "undetect"))
    values = (raw * gain + offset).astype("float32")
    dry = raw == undetect
    values[dry | without_largest(raw) | (raw == nodata) | ~np.isfinite(values)] = np.nan
    unit, said = _unit(data, quantity, reading)
    rain, notes, said = to_rain(values, unit, said, reading, _zr(data))
    rain[dry] = 0  # also where a file marks both with one number: no echo is the commoner meaning
    return rain, notes, said


def _unit(data, quantity, reading):
    if reading.unit_given:
        return reading.unit_given, f"{quantity} ({reading.unit})"
    if quantity in REFLECTIVITY:
        return Unit("dBZ"), quantity
    if quantity == "RATE":
        return Unit("rate"), quantity
    what = data.parent["what"].attrs
    minutes = (_time(what, "enddate", "endtime") - _time(what, "startdate", "starttime")) / 60
    if minutes <= 0:
        raise ValueError(
            f"{data.file.filename}: ACRR needs the time of accumulation: startdate, starttime, enddate, endtime of "
            f"its dataset. Received: none or no time. Type it: {typed_as('unit', 'mm/5min')}"
        )
    return Unit("rate", 60 / minutes), f"{quantity} of {minutes:g} min"


def _zr(data):
    a, b = (float(_attribute(data, "how", name, 0)) for name in ("zr_a", "zr_b"))
    return (a, b) if a > 0 and b > 0 else None


def _grid(file, size):
    where = _first_where(file)
    if where is None:
        return None
    projection, (height, width) = _text(where["projdef"]), size
    corners = {name: (float(where[f"{name}_lon"]), float(where[f"{name}_lat"])) for name in ("UL", "UR", "LL", "LR")}
    grid = Grid(projection, size, (float(where["xscale"]), float(where["yscale"])), None, corners)
    if grid.is_lat_lon:  # where some files write metres
        degrees = ((corners["UR"][0] - corners["UL"][0]) / width, (corners["UL"][1] - corners["LL"][1]) / height)
        return Grid(projection, size, degrees, None, corners)
    return grid


def _first_where(file):
    for group in (file, *_numbered(file, "dataset")):
        if "where" in group and "projdef" in group["where"].attrs:
            return group["where"].attrs
    return None


def _attribute(data, group, name, default):
    """An attribute of /datasetN/dataM/GROUP, else of the groups above, which hold what is the same for all."""
    for each in (data, data.parent, data.file):
        if group in each and name in each[group].attrs:
            value = each[group].attrs[name]
            return value if isinstance(value, (bytes, str)) else np.asarray(value).ravel()[0]
    return default


def _numbered(group, name):
    """The sub-groups nameN in the order of N."""
    numbers = sorted(int(key[len(name) :]) for key in group if key.startswith(name) and key[len(name) :].isdigit())
    return [group[f"{name}{number}"] for number in numbers]


def _time(attributes, date, time):
    text = _text(attributes[date]) + _text(attributes[time])
    try:
        return int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise KeyError(f"{date} and {time} are no time YYYYMMDD HHMMSS: {text}") from error


def _text(value):
    value = np.asarray(value).ravel()[0] if np.ndim(value) else value
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip("\0 ")
