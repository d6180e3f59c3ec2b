"""Radar events from files as services write them: one file an event, or a folder with one file per time.

Formats, each in a file of its own: npz (`radar_npz` has the layout), ODIM HDF5 composites (`radar_odim`), NetCDF of
the CF conventions (`radar_netcdf`), GeoTIFF (`radar_geotiff`), and what pysteps' importers read (`radar_pysteps`). A
folder of events needs nothing but those; a `split.json` beside them, {"train": [file names], "val": [file names]},
divides them by event.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py

from scs_keras.training.data import radar_geotiff, radar_netcdf, radar_npz, radar_odim, radar_pysteps
from scs_keras.training.data.folders import entries, in_order, named, no_notes, warn_left_out
from scs_keras.training.data.radar_event import SPARE, Images, RadarEvent, event_of, joined
from scs_keras.training.data.radar_quantity import Reading, typed_as

_HDF5, _NETCDF, _GEOTIFF = (".h5", ".hdf", ".hdf5"), (".nc", ".nc4", ".cdf"), (".tif", ".tiff")
_PER_TIME = (*_HDF5, *_NETCDF, *_GEOTIFF)  # files that may hold one image each
_KINDS = ".npz, ODIM HDF5 (.h5), CF NetCDF (.nc), GeoTIFF (.tif)"
_LAYOUT = (
    f"{_KINDS}, each an event, or a sub-folder for each event with one file per time; .npz with {radar_npz.LAYOUT}"
)


def read_event(path: str | Path, reading: Reading = Reading(), last: int | None = None) -> RadarEvent:
    """Reads one radar event.

    Args:
        path: a file of a format above, or a folder with one such file per time (not npz).
        reading: what the user says of its unit, Z-R, variable and importer.
        last: only so many images, the last ones; None: all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is broken or not of the formats, or images are too small, without data, at other steps or
            with gaps; the message names the file and says what to type.
        ImportError: a package that the format needs is missing.
    """
    path = Path(path)
    if path.is_dir():
        paths = [each for each in no_notes(entries(path)) if each.is_file() and _is_radar(each, reading)]
        if not paths:
            raise FileNotFoundError(f"{path}: the folder has no radar files, one per time. {_found(path)}")
        warn_left_out(path, [each for each in no_notes(entries(path)) if each not in paths], _KINDS)
        images = joined(_read_all(paths, reading, last), str(path))
        return event_of(images, path.name, path.name, str(path), last)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_LAYOUT}.")
    return event_of(_reader(path, reading)(path, reading), path.stem, path.name, str(path), last)


def read_events(
    folder: str | Path, split: str | None = None, exclude: Iterable[str] = (), reading: Reading = Reading()
) -> list[RadarEvent]:
    """Reads the events of a folder in the order of their names, numbers as numbers.

    Without a split.json, what else lies there is named in a warning.

    Args:
        folder: holds files, each an event, and sub-folders with one file per time, each an event.
        split: None for all events, "train" or "val" for those that `split.json` lists under that name. Without a
            `split.json` all events are for training: "train" gives all, "val" an empty list.
        exclude: names of events (with or without ending) to leave out.
        reading: see `read_event`.

    Raises:
        FileNotFoundError: the folder, its events or one that `split.json` lists do not exist.
        ValueError: an event is broken (see `read_event`), or frames differ in size between events.
    """
    folder = Path(folder)
    if split not in (None, "train", "val"):
        raise ValueError(f'split must be None, "train" or "val". Received: split={split!r}')
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected a folder with {_LAYOUT}.")
    found = entries(folder)
    paths = [path for path in found if is_event(path, reading)]
    if not paths:
        raise FileNotFoundError(f"{folder}: the folder has no radar events. {_found(folder)}")
    if not (folder / "split.json").is_file():  # which says what is read
        warn_left_out(folder, [path for path in found if path not in paths], f"{_KINDS}, and sub-folders of these")
    excluded = {_name(name) for name in exclude}
    paths = [path for path in _split(folder, paths, split) if _name(path.name) not in excluded]
    events = [read_event(path, reading) for path in paths]
    for event in events[1:]:
        if event.valid.shape != events[0].valid.shape:
            raise ValueError(
                f"{folder}: all events of a folder must have frames of one size. "
                f"Received: {events[0].file} with {_size(events[0].valid)} and "
                f"{event.file} with {_size(event.valid)} (height x width). "
                "Cut them to one size or put them into folders of their own."
            )
    return events


def _reader(path: Path, reading: Reading) -> Callable[[Path, Reading], Images]:
    suffix = path.suffix.lower()
    if reading.importer:
        return radar_pysteps.read
    if suffix == ".npz":
        return radar_npz.read
    if suffix in _GEOTIFF:
        return radar_geotiff.read
    if suffix in _NETCDF:
        return radar_netcdf.read
    if suffix in _HDF5:
        return _hdf5_reader(path)
    raise ValueError(
        f"{path}: files of this kind are not read. Expected {_LAYOUT}. With pysteps, type the importer for it: "
        f"{typed_as('importer', 'NAME')}"
    )


def _hdf5_reader(path):
    try:
        if radar_odim.is_odim(path):
            return radar_odim.read
        with h5py.File(path) as file:
            names = list(file)
            if any("DIMENSION_LIST" in each.attrs for each in file.values()):  # NetCDF's dimensions
                return radar_netcdf.read
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{path}: cannot be read as HDF5 ({' '.join(str(error).split())}). It may be truncated; get or write it "
            "again."
        ) from error
    raise ValueError(
        f"{path}: is HDF5, but neither an ODIM composite (/what, /dataset1/data1) nor NetCDF. It holds: "
        f"{', '.join(names[:10]) or 'nothing'}. With pysteps, type the importer for it, e.g. "
        f"{typed_as('importer', 'knmi_hdf5')}"
    )


def _read_all(paths, reading, last):
    """[(name, Images)]; with `last` only what can be among the last images is kept, so that memory does not grow."""
    parts = []
    for path in paths:
        parts.append((path.name, _reader(path, reading)(path, reading)))
        if last is not None:
            parts = sorted(parts, key=lambda part: part[1].times[-1])[-(last + SPARE) :]
    return parts


def _is_radar(path, reading):
    return bool(reading.importer) or path.suffix.lower() in _PER_TIME


def is_event(path: Path, reading: Reading = Reading()) -> bool:
    """Whether a path is read as an event, by its name: a file of the formats, or a folder with one of them."""
    if path.is_dir():
        return any(each.is_file() and _is_radar(each, reading) for each in no_notes(entries(path)))
    return path.suffix.lower() == ".npz" or path.suffix.lower() in _PER_TIME


def _name(name):
    """A name without the ending of a radar file."""
    return next((name.removesuffix(each) for each in (".npz", *_PER_TIME) if name.lower().endswith(each)), name)


def _found(folder):
    return f"Expected {_LAYOUT}. It holds: {named(in_order(entries(folder))) or 'nothing'}."


def _split(folder: Path, paths: list[Path], split: str | None) -> list[Path]:
    listing = folder / "split.json"
    if split is None:
        return paths
    if not listing.is_file():
        return paths if split == "train" else []
    try:
        names = json.loads(listing.read_text(encoding="utf-8"))[split]
        wanted = {_name(str(name)) for name in list(names)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{listing}: expected {{"train": [file names], "val": [file names]}}. Received something else ({error!r}). '
            "Correct the file, or delete it to use every event for training."
        ) from error
    missing = wanted - {_name(path.name) for path in paths}
    if missing:
        raise FileNotFoundError(f"{listing}: lists events that are not in the folder: {', '.join(sorted(missing))}.")
    return [path for path in paths if _name(path.name) in wanted]


def _size(frame) -> str:
    return f"{frame.shape[0]}x{frame.shape[1]}"
