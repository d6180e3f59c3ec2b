"""The readers of steering data by name: files to drives, and drives to samples."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scs_keras.core.arguments import check_known
from scs_keras.training.driving import comma as comma_h5
from scs_keras.training.driving import donkeycar as tub
from scs_keras.training.driving import livi as dbnet
from scs_keras.training.driving import table as csv_table
from scs_keras.training.driving import udacity as simulator
from scs_keras.training.driving.drives import Drive, of_split
from scs_keras.training.driving.samples import DrivingSamples
from scs_keras.zoo.preset import Preset

# -1 to 1 of the small car is taken as 25 degrees, as in Udacity's simulator; nobody has measured it.
DRIVES: dict[str, Callable[..., tuple[list[Drive], list[str]]]] = {
    "rc_car": partial(csv_table.drives, full_scale=25.0, name="rc_car"),
    "udacity_sim": partial(csv_table.drives, full_scale=25.0, crop=(22 / 96, 86 / 96), name="udacity_sim"),
    "table": csv_table.drives,
    "udacity": simulator.drives,
    "donkeycar": tub.drives,
    "comma": comma_h5.drives,
    "livi": dbnet.drives,
}
OF_SAMPLES = ("before", "balanced", "flip", "jitter", "cache_mb")


def drives_of(dataset: str, folder: str | Path, preset: Preset, **options: Any) -> tuple[list[Drive], list[str]]:
    """(drives of all splits, notes) of a data set; options are its reader's.

    Raises:
        ValueError: there is no such data set; else as its reader.
    """
    check_known("dataset", dataset, DRIVES)
    return DRIVES[dataset](folder, preset, **options)


def read(dataset: str, folder: str | Path, split: str, preset: Preset, **options: Any) -> DrivingSamples:
    """The samples of a part of a data set, cut to the preset's frames.

    Args:
        dataset: name.
        folder: of the data.
        split: "train", "val" or "test".
        preset: whose input shape, largest angle and output (at the last frame, or at every) the samples have.
        **options: of `DrivingSamples` and of the reader.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: bad data, or none in this part; the message says where.
    """
    of_samples = {name: options.pop(name) for name in OF_SAMPLES if name in options}
    drives, notes = drives_of(dataset, folder, preset, **options)
    return DrivingSamples(
        f"{dataset} {split}", of_split(dataset, drives, split), preset.input_shape,
        per_frame=len(preset.output_shape) == 2, notes=notes, **of_samples,
    )  # fmt: skip


rc_car, udacity_sim, table, udacity, donkeycar, comma, livi = (partial(read, name) for name in DRIVES)
