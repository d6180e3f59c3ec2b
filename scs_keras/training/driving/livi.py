"""DBNet-2018 (LiVi-Set), its part with images of the front camera:

train/1/dvr_66x200/0.jpg ...    up to 120 frames of a drive, in the order of their numbers
train/1/behavior.csv            a line for each frame, without names: angle in degrees, speed
val/..., test/...               test has no behavior.csv
"""

import csv
from pathlib import Path
from typing import Any

from scs_keras.training.data.folders import entries, in_order
from scs_keras.training.driving.drives import Drive, Row, image_drives, number
from scs_keras.zoo.preset import Preset

PARTS = ("train", "val")
IMAGES, LOG = "dvr_66x200", "behavior.csv"
_EXPECTED = f"train and val, with a folder for each drive that has {IMAGES}/ and {LOG}"


def drives(folder: str | Path, preset: Preset, crop: Any = (0, 1), name: str = "livi") -> tuple[list[Drive], list[str]]:
    """The drives of train and val.

    Args:
        folder: with train and val.
        preset: whose size and largest angle hold.
        crop: (top, bottom) of what is looked at, as shares of the height; the images are the road already.
        name: of the data.

    Returns:
        The drives of both splits, and no notes.

    Raises:
        FileNotFoundError: a folder, a log or an image is missing.
        ValueError: a row or an image is wrong, or images and log have different numbers; the message says which.
    """
    rows = []
    for part in PARTS:
        if not (Path(folder) / part).is_dir():
            raise FileNotFoundError(f"{folder}: there is no folder {part}. Expected {_EXPECTED}.")
        for drive in entries(Path(folder) / part):
            rows += _rows(drive, part)
    if not rows:
        raise ValueError(f"{folder}: has no frames. Expected {_EXPECTED}.")
    return image_drives(name, rows, preset, 0.0, crop, settable=False), []


def _rows(drive: Path, part: str) -> list[Row]:
    images, log = in_order((drive / IMAGES).glob("*.jpg")), drive / LOG
    if not images or not log.is_file():
        missing = LOG if images else f"{IMAGES}/*.jpg"
        raise FileNotFoundError(f"{drive}: there is no {missing}. Expected {_EXPECTED}.")
    where = f"{part}/{drive.name}/{LOG}"
    with open(log, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        angles = [number(line[0].strip(), f"{where}, line {reader.line_num}") for line in reader if line]
    if len(angles) != len(images):
        raise ValueError(
            f"{where}, line {min(len(angles), len(images)) + 1}: {len(angles)} angles for {len(images)} images in "
            f"{IMAGES}. There must be one for each; get the drive again."
        )
    return [
        Row(path, angle, f"{where}, line {line}", f"{part}/{drive.name}", part)
        for line, (path, angle) in enumerate(zip(images, angles), 1)
    ]
