"""Folders of data: files in the order of their numbers, and no word less about what is not read."""

import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from scs_keras.zoo.words import words

_NO_DATA = ("split.json", "readme", "license", "licence")

_NOTES = (".txt", ".csv", ".json", ".xml", ".yml", ".yaml", ".md")  # beside frames: times, poses, labels


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order of their names, of which numbers count as numbers: img2.png before img10.png."""
    return sorted(paths, key=lambda path: (*map(_numbers, (*path.parent.parts, path.stem, path.suffix)), path.name))


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order; without hidden files, and split.json, README and LICENSE, which hold no data."""
    return in_order(path for path in folder.iterdir() if not path.name.lower().startswith((".", *_NO_DATA)))


def named(paths: Iterable[Path]) -> str:
    """Their names for a message, the first ten of many; folders end in a slash."""
    names = [f"{path.name}/" if path.is_dir() else path.name for path in paths]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def one_table(folder: Path, expected: str, example: str) -> Path:
    """The CSV file that `folder` is, or the only one in it.

    Args:
        expected: what it holds, for a message.
        example: a name for one, for a message.

    Raises:
        FileNotFoundError: there is no such folder, or no such file, or several.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected one with {expected}.")
    found = in_order(folder.glob("*.csv"))
    if len(found) != 1:
        holds = f"{len(found)} ({named(found)})" if found else "none"
        first = found[0] if found else folder / example
        raise FileNotFoundError(
            f"{folder}: expected one CSV file, {expected}. It holds {holds}. Give the path of the file: "
            f"{words(repr(str(first)), f'--data {first}')}."
        )
    return found[0]


def no_notes(paths: Iterable[Path]) -> list[Path]:
    """Those that are no text, such as times or poses beside the frames."""
    return [path for path in paths if path.suffix.lower() not in _NOTES]


def warn_left_out(folder: Path, paths: Iterable[Path], expected: str) -> None:
    """Warns of files and folders that are not read; `expected` says what is."""
    if left_out := named(paths):
        warnings.warn(f"{folder}: not read and left out: {left_out}. Read is {expected}.", stacklevel=3)


def listed_split(listing: Path) -> dict[str, list[str]]:
    """The names in a split.json, {"train": [names], "val": [names], "test": [names]}, of the parts that it has.

    Raises:
        ValueError: the file is something else, or has a name for training and for scores.
    """
    try:
        content = json.loads(listing.read_text()).items()
        parts = {name: list(names) for name, names in content if name in ("train", "val", "test")}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{listing}: expected {{"train": [names], "val": [names], "test": [names]}}. Received something else '
            f"({error!r}). Correct the file, or delete it."
        ) from error
    shared = sorted(set(map(str, parts.get("train", []))) & {str(n) for p in ("val", "test") for n in parts.get(p, [])})
    if shared:
        raise ValueError(f"{listing}: lists videos for training and for scores: {', '.join(shared)}. Keep them apart.")
    return parts


def _numbers(name):
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]
