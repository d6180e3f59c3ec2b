"""UCF-101, https://www.crcv.ucf.edu/data/UCF101.php: 13,320 videos of 101 actions, three splits of training and test.

    UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi ...
    ucfTrainTestlist/classInd.txt, trainlist01.txt, testlist01.txt ... testlist03.txt

Of the same group (g01) are clips of one source video. There is no part for validation: "val" is the test list, of which
nothing is chosen in training.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scs_keras.training.action.clip_rows import Row, check_official, samples_of
from scs_keras.training.action.samples import ClipSamples
from scs_keras.zoo.preset import Preset

_EXPECTED = (
    "UCF-101/CLASS/v_CLASS_gNN_cNN.avi and ucfTrainTestlist/classInd.txt, trainlist01.txt, testlist01.txt "
    "(https://www.crcv.ucf.edu/data/UCF101.php)"
)


NO_VALIDATION = "There is no part for validation: val is the test list."


def read(folder: str | Path, split: str, preset: Preset, fold: int = 0, **options: Any) -> ClipSamples:
    """Samples of UCF-101.

    Args:
        folder: with UCF-101 and ucfTrainTestlist.
        split: "train", or "test" (the same as "val").
        preset: whose input shape and classes the samples have.
        fold: which of the three official splits, 1 to 3; 0 for the first.
        **options: see `table.read`.

    Raises:
        FileNotFoundError: a list or a video is missing.
        ValueError: a line is wrong, or a video is broken; the message says which.
    """
    fold = check_official("UCF-101", fold)
    folder = Path(folder)
    lists, videos = folder / "ucfTrainTestlist", folder / "UCF-101"
    for path in (lists / "classInd.txt", lists / f"trainlist{fold:02}.txt", lists / f"testlist{fold:02}.txt", videos):
        if not path.exists():
            raise FileNotFoundError(f"{path}: is missing. Expected {_EXPECTED}.")
    labels = _labels(lists / "classInd.txt")
    on_disk = _without_case(videos)
    rows = [
        row
        for part in ("train", "test")
        for row in _rows(lists / f"{part}list{fold:02}.txt", part, labels, videos, on_disk)
    ]
    return samples_of(
        f"ucf101, official split {fold},", rows, "train" if split == "train" else "test", preset,
        tuple(labels.values()), "group", notes=[NO_VALIDATION] * (split == "val"), **options,
    )  # fmt: skip


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(file and line, text) of the lines that are not empty."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield f"{path.name}, line {number}", line.strip()


def _labels(path: Path) -> dict[int, str]:
    labels = {}
    for where, line in lines(path):
        found = re.fullmatch(r"(\d+)\s+(\S+)", line)
        if not found:
            raise ValueError(f"{where}: expected a number and a class, such as 1 ApplyEyeMakeup. Received: {line!r}.")
        labels[int(found[1])] = found[2]
    return labels


def _without_case(videos: Path) -> dict[str, Path]:
    """{class/file in lower case: path}: lists and folders write HandStandPushups in two ways."""
    return {f"{path.parent.name}/{path.name}".lower(): path for path in videos.glob("*/*.avi")}


def _rows(path, part, labels, videos, on_disk):
    known = {label.lower(): label for label in labels.values()}
    for where, line in lines(path):
        found = re.fullmatch(r"([^/]+)/(\S+?_(g\d+)_c\d+\.avi)(?:\s+(\d+))?", line)
        if not found or (part == "train") != bool(found[4]):
            example = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi" + " 1" * (part == "train")
            raise ValueError(f"{where}: expected a line such as {example}. Received: {line!r}.")
        label = known.get(found[1].lower())
        if label is None or (found[4] and labels.get(int(found[4])) != label):
            number = f" of number {found[4]}" if found[4] else ""
            raise ValueError(f"{where}: there is no class {found[1]!r}{number} in classInd.txt.")
        name = f"{found[1]}/{found[2]}"
        yield Row(on_disk.get(name.lower(), videos / name), name, label, part, f"{label}_{found[3]}", where)
