"""HMDB-51, https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database: 51 actions, 6,766 clips.

    brush_hair/NAME.avi ...   the clips; or in a sub-folder hmdb51, hmdb51_org or videos
    testTrainMulti_7030_splits/brush_hair_test_split1.txt ... wave_test_split3.txt   or in another sub-folder

A line of a list is a name and 1 (training), 2 (test) or 0 (not used), 70 and 30 of each class. There is no part for
validation: "val" is the test part, of which nothing is chosen in training.
"""

from pathlib import Path
from typing import Any

from scs_keras.training.action.clip_rows import Row, check_official, samples_of
from scs_keras.training.action.samples import ClipSamples
from scs_keras.training.action.ucf101 import NO_VALIDATION, lines
from scs_keras.training.data.folders import in_order
from scs_keras.zoo.preset import Preset

_EXPECTED = (
    "a folder of .avi files for each class, and the lists CLASS_test_splitN.txt in a sub-folder "
    "(https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database)"
)
_PARTS = {"0": "", "1": "train", "2": "test"}


def read(folder: str | Path, split: str, preset: Preset, fold: int = 0, **options: Any) -> ClipSamples:
    """Samples of HMDB-51; args and errors as `ucf101.read`, the folder as above."""
    fold = check_official("HMDB-51", fold)
    folder = Path(folder)
    lists = in_order(folder.glob(f"*_test_split{fold}.txt")) or in_order(folder.glob(f"*/*_test_split{fold}.txt"))
    if not lists:
        raise FileNotFoundError(f"{folder}: holds no list for split {fold}. Expected {_EXPECTED}.")
    labels = tuple(path.name.removesuffix(f"_test_split{fold}.txt") for path in lists)
    places = [folder, *(folder / name for name in ("hmdb51", "hmdb51_org", "videos"))]
    videos = next((place for place in places if (place / labels[0]).is_dir()), folder)
    rows = [row for path, label in zip(lists, labels) for row in _rows(path, label, videos)]
    return samples_of(
        f"hmdb51, official split {fold},", rows, "train" if split == "train" else "test", preset, labels,
        notes=[NO_VALIDATION] * (split == "val"), **options,
    )  # fmt: skip


def _rows(path, label, videos):
    for where, line in lines(path):
        name, _, part = line.rpartition(" ")
        if not name or part not in _PARTS:
            raise ValueError(f"{where}: expected a name and 0, 1 or 2, such as NAME.avi 1. Received: {line!r}.")
        if part != "0":
            name = name.strip()
            yield Row(videos / label / name, f"{label}/{name}", label, _PARTS[part], f"{label}/{name}", where)
