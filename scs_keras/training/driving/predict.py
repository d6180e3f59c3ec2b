"""What a steering model says of a user's own drive: a table, a film strip with dials, a time line of angles."""

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.folders import in_order, no_notes, warn_left_out
from scs_keras.training.driving.datasets import DATASETS
from scs_keras.training.driving.donkeycar import MANIFEST
from scs_keras.training.driving.drives import Drive
from scs_keras.training.driving.images import ImageFiles, as_crop, check_images
from scs_keras.training.driving.pictures import steering_strip, time_line
from scs_keras.training.driving.predictors import predictors
from scs_keras.training.driving.readers import drives_of
from scs_keras.training.driving.samples import DrivingSamples
from scs_keras.training.driving.scores import THRESHOLDS, angle_scores, threshold_accuracies
from scs_keras.training.film_strip import MOST_FRAMES
from scs_keras.training.samples import spread
from scs_keras.training.source import Source
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.words import option

TABLE, STRIP, LINE = "predictions.csv", "film.png", "angles.png"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
LOG = "driving_log.csv"
BATCH = 32
UNKNOWN = np.nan


def predict(
    source: Source,
    file: Path,
    output: Path,
    dataset: str | None = None,
    importance: bool = False,
    streamed: bool = False,
    **reading: Any,
) -> str:
    """Writes predictions.csv with a row for each frame, film.png and angles.png, and says how good the angles are.

    The first frames of a drive, of which the model would have to see earlier ones, have no angle.

    Args:
        source: of a model of the task.
        file: a tub of donkeycar, Udacity's folder with driving_log.csv, a table or its folder, or a folder of images,
            whose angles are not known.
        output: folder.
        dataset: the layout, by the name of its reader; None: what the folder looks like.
        importance: also what T1 and T2 say, and what time adds: Eq. 24 at 6 degrees of T2, less that of T1.
        streamed: also the angle where the state is carried on from frame to frame.
        **reading: options of the reader, `crop`, `full_scale`, `column`; None where they are not given. The layout
            may take fewer: a warning says so.

    Raises:
        FileNotFoundError: a folder that is none of these.
        ValueError: a frame or an angle is wrong, no drive is long enough, or the model has no such streams.
    """
    preset = source.preset
    given = {name: value for name, value in reading.items() if value is not None}
    drives, notes = drives_in(file, preset, dataset, given)
    _check_length(file, drives, preset)
    samples = DrivingSamples(file.resolve().name, drives, preset.input_shape, before=0)
    model = source.load()
    said = _said(predictors(model, importance=importance, streamed=streamed), samples)
    frames = _Frames(drives, samples, said)
    frames.write_table(output / TABLE, importance)
    _draw(output, frames, samples, preset)
    return " ".join([*notes, frames.quality(preset), f"Wrote {TABLE}, {STRIP} and {LINE} to {output}."])


def drives_in(
    file: Path, preset: Preset, dataset: str | None, reading: Mapping[str, Any]
) -> tuple[list[Drive], list[str]]:
    """(drives, notes on what is left out) of what a user gives, see `predict`.

    Raises:
        FileNotFoundError, ValueError: as there.
    """
    layout = dataset or _layout(file)
    taken = {each.python_name for each in DATASETS[layout].options} if layout else {"crop"}
    for name in set(reading) - taken:
        warnings.warn(f"{file}: {layout or 'images'} take no {option(name)}; it is not used.", stacklevel=2)
    reading = {name: value for name, value in reading.items() if name in taken}
    if layout:
        return drives_of(layout, file, preset, **reading)
    paths = in_order(path for path in file.iterdir() if path.suffix.lower() in IMAGES) if file.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"{file}: expected a tub of donkeycar ({MANIFEST}), a folder with {LOG} or another CSV file of angles, or "
            f"images ({', '.join(IMAGES)}). It holds none of these. Another layout is named: "
            f"{option('dataset', 'comma')}."
        )
    warn_left_out(file, no_notes(path for path in file.iterdir() if path not in paths), "images")
    lines = [path.name for path in paths]
    check_images(paths, lines)
    _, *size, _ = preset.input_shape
    frames = ImageFiles(paths, lines, as_crop(reading.get("crop", (0, 1))), (size[0], size[1]))
    return [Drive(file.resolve().name, frames, np.full(len(paths), UNKNOWN), names=lines)], []


def _layout(file: Path) -> str:
    """The reader's name of what a folder looks like; "" for none."""
    if (file / MANIFEST).is_file():
        return "donkeycar"
    if (file / LOG).is_file() and (file / "IMG").is_dir():
        return "udacity"
    return "table" if file.suffix.lower() == ".csv" or any(file.glob("*.csv")) else ""


def _check_length(file, drives, preset):
    longest, needed = max(len(drive.frames) for drive in drives), preset.input_shape[0]
    if longest < needed:
        raise ValueError(
            f"{file}: the model sees {needed} frames, the longest drive without a gap has {longest}. Give a longer "
            "one, or take a model of fewer frames."
        )


def _said(predictions, samples):
    """{name: degrees (samples,)}."""
    said: dict[str, list[np.ndarray]] = {name: [] for name in predictions}
    for start in range(0, len(samples), BATCH):
        places = range(start, min(start + BATCH, len(samples)))
        x, about = np.stack([samples[place][0] for place in places]), [samples.about(place) for place in places]
        for name, predict_batch in predictions.items():
            said[name].append(np.reshape(predict_batch(x, about), (len(x), -1))[:, -1])
    return {name: np.concatenate(parts).astype("float64") for name, parts in said.items()}


class _Frames:
    """All frames of the drives in a row, with the angles that are known.

    Attributes:
        names, drives: of each frame.
        starts: the first frame of each drive.
        seconds, truth: (frames,), NaN where they are not known.
        angles: {"model" and what else was said: (frames,) degrees}, NaN where there is none.
        places: the frame of each sample.
    """

    def __init__(self, drives: Sequence[Drive], samples: DrivingSamples, said: Mapping[str, np.ndarray]):
        lengths = [len(drive.frames) for drive in drives]
        self.starts = [int(start) for start in np.cumsum([0, *lengths[:-1]])]
        self.drives = [drive.name for drive, length in zip(drives, lengths) for _ in range(length)]
        self.names = [
            drive.names[frame] if drive.names else f"frame {drive.first + frame + 1}"
            for drive, length in zip(drives, lengths)
            for frame in range(length)
        ]
        self.truth = np.concatenate([drive.degrees for drive in drives])
        self.seconds = np.concatenate(
            [
                drive.seconds if len(drive.seconds) else np.full(length, UNKNOWN)
                for drive, length in zip(drives, lengths)
            ]
        )
        steps = samples.shape[0]
        self.places = np.concatenate(
            [np.arange(start + steps - 1, start + n) for start, n in zip(self.starts, lengths)]
        )
        self.angles = {name: np.full(len(self.names), UNKNOWN) for name in said}
        for name, degrees in said.items():
            self.angles[name][self.places] = degrees

    def write_table(self, path: Path, importance: bool) -> None:
        """A row for each frame; what is not known is empty."""
        columns = {"seconds": self.seconds, "steered": self.truth, "angle": self.angles["model"]}
        columns |= {name: values for name, values in self.angles.items() if name != "model"}
        if importance:
            spatial, temporal = (
                threshold_accuracies(self.angles[name] - self.truth, THRESHOLDS[-1]) for name in ("spatial", "temporal")
            )
            columns["time_adds"] = temporal - spatial
        with written_beside(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["drive", "frame", *columns])
            for place, (drive, name) in enumerate(zip(self.drives, self.names)):
                values = [each[place] for each in columns.values()]
                writer.writerow([drive, name, *(f"{each:.4f}" if np.isfinite(each) else "" for each in values)])

    def quality(self, preset: Preset) -> str:
        """A sentence on the errors beside those of steering straight on; how many frames where nothing was steered."""
        known = self.places[np.isfinite(self.truth[self.places])]
        if not len(known):
            return f"{len(self.places)} angles."
        truth, limit = self.truth[known], preset.arguments["limit"]
        found = angle_scores(truth, self.angles["model"][known], limit)
        straight = angle_scores(truth, np.zeros(len(truth)), limit)
        r2 = "" if found["r2"] is None else f", R² {found['r2']:.2f}"
        return (
            f"{len(self.places)} angles, on the mean {found['mae']:.2f} degrees from what was steered "
            f"(straight on: {straight['mae']:.2f}){r2}."
        )


def _draw(output, frames, samples, preset):
    title = f"{samples.name}: {frames.quality(preset)} {preset.name}. Not for driving a car."
    chosen = spread(len(samples), MOST_FRAMES)
    places = frames.places[chosen]
    images = np.stack([samples.window(index, 1)[0] for index in chosen])
    names, limit = [frames.names[place] for place in places], preset.arguments["limit"]
    dials = f"{title} A dial ends at {limit:g}°."
    steering_strip(output / STRIP, images, names, frames.angles["model"][places], frames.truth[places], limit, dials)
    time_line(output / LINE, frames.angles, frames.truth, frames.starts, title)
