"""Reads a radar image with an importer of pysteps, one image a file."""

import json
from pathlib import Path

import numpy as np

from scs_keras.training.data.radar_event import Images
from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_quantity import Reading, Unit, to_rain, typed_as
from scs_keras.training.data.radar_times import time_of_name
from scs_keras.training.task import check_needs

_KINDS = {"mm/h": "rate", "dBZ": "dBZ", "mm": "rate"}


def read(path: Path, reading: Reading) -> Images:
    """The image of one file that `reading.importer` knows: "NAME" or "NAME,argument=value,...".

    The time is that of the file's name.

    Raises:
        ValueError: there is no such importer, it cannot read the file, or the name says no time.
        ImportError: pysteps is missing.
    """
    name, arguments = _importer(reading.importer)
    check_needs({"pysteps": "radar"})
    from pysteps.io import get_method  # pyright: ignore[reportMissingImports]

    try:
        importer = get_method(name, "importer")
    except (ValueError, TypeError) as error:
        raise ValueError(f"importer: {' '.join(str(error).split())} Received: {name!r}.") from error
    try:
        field, _, metadata = importer(str(path), **arguments)
    except Exception as error:  # an importer may raise anything for a file that is not of its kind
        raise ValueError(
            f"{path}: pysteps' importer {name} cannot read it ({type(error).__name__}: {error}). Type the importer of "
            "this kind of file, with the arguments that it needs: "
            f"{typed_as('importer', 'mch_gif,product=AQC,unit=mm,accutime=5')}"
        ) from error
    rain, notes, said = _rain(path, np.asarray(np.ma.filled(field, np.nan), "float32"), metadata, name, reading)
    turned = metadata.get("yorigin", "upper") == "lower"
    rain = rain[::-1] if turned else rain
    return Images(
        rain[None], np.array([time_of_name(path)]), grid=_grid(rain.shape, metadata), reading=said, notes=notes,
        source=str(metadata.get("institution", "")),
    )  # fmt: skip


def _importer(text):
    name, *arguments = text.split(",")
    values = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"importer must be NAME or NAME,argument=value,... Received: {text!r}.")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    return name, values


def _rain(path, field, metadata, name, reading):
    unit = metadata.get("unit")
    without_time = unit == "mm" and not metadata.get("accutime")
    if unit not in _KINDS or metadata.get("transform") not in (None, "dB") or without_time:
        raise ValueError(
            f"{path}: pysteps' importer {name} gives {unit} ({metadata.get('transform')}). Allowed: "
            f"{', '.join(_KINDS)}, where mm needs an accutime."
        )
    if unit != "dBZ" and metadata.get("transform") == "dB":
        field = 10 ** (field / 10)
    factor = 60 / float(metadata["accutime"]) if unit == "mm" else 1
    zr = (metadata.get("zr_a"), metadata.get("zr_b"))
    return to_rain(field, Unit(_KINDS[unit], factor), f"pysteps {name} ({unit})", reading, zr if all(zr) else None)


def _grid(size, metadata):
    places = [metadata.get(key) for key in ("projection", "x1", "x2", "y1", "y2")]
    if None in places:
        return None
    projection, *edges = places
    unit = 1000 if metadata.get("cartesian_unit") == "km" and "+units=km" not in projection else 1
    x1, x2, y1, y2 = (float(edge) * unit for edge in edges)
    pixel = (abs(x2 - x1) / size[1], abs(y2 - y1) / size[0])
    return Grid(projection, size, pixel, (min(x1, x2), max(y1, y2)))
