"""KTH actions: 25 persons do six actions, grey frames.

Layout, in the folder or in its sub-folder `kth`: {boxing, handclapping, handwaving, walking, jogging,
running}/personXX_*/ image_XXXX.jpg. Persons 17 to 25 are the test, as published. Of 1 to 16, persons 15 and 16 are for
validation (the benchmark trains on all 16 and validates on its test set). Frames are resized to the model's size,
128x128 in the benchmark.
"""

import re
from pathlib import Path

from scs_keras.training.data.folders import entries, in_order, no_notes, warn_left_out
from scs_keras.training.video_prediction.images import image_video
from scs_keras.training.video_prediction.video import VideoWindows, check_split, every, every_from_the_end

ACTIONS = ("boxing", "handclapping", "handwaving", "walking", "jogging", "running")
PERSONS = {"train": range(1, 15), "val": range(15, 17), "test": range(17, 26)}
_FAST = ("jogging", "running")
_FAST_STRIDE = 3  # frames from one window to the next; other actions' windows do not overlap
_EXPECTED = (
    f"folders {', '.join(ACTIONS)}, in each of them personXX_* with image_XXXX.jpg: the frames of the videos at "
    "https://www.csc.kth.se/cvap/actions"
)


def read(folder, split, shape, stride=None):
    """Windows of KTH videos, from the end of each video backwards, as published.

    Args:
        folder: with the folders above.
        split: "train", "val" or "test".
        shape: (time, height, width, channels) of a window; the benchmark's is (30, 128, 128, 1).
        stride: a window every so many frames from the start instead.

    Raises:
        FileNotFoundError: there are no such folders, or no person of the split.
        ValueError: an image is broken, or no video has enough frames.
    """
    check_split(split)
    folder, (length, height, width, channels) = _folder(folder), shape
    videos, windows = [], []
    for action in ACTIONS:
        for recording in _recordings(folder / action, PERSONS[split]):
            for run in _runs(_frames(recording)):
                name = str(recording.relative_to(folder))
                videos.append(image_video(name, run, (height, width), channels, keep_aspect=False))
                jump = _FAST_STRIDE if action in _FAST else length
                starts = (
                    every_from_the_end(len(run), length, jump) if stride is None else every(len(run), length, stride)
                )
                windows += [(len(videos) - 1, start) for start in starts]
    if not videos:
        persons = PERSONS[split]
        raise FileNotFoundError(
            f"{folder}: has no frames of persons {persons[0]} to {persons[-1]}, the split {split!r}. "
            f"Expected {_EXPECTED}."
        )
    return VideoWindows("kth", videos, windows, shape)


def _folder(folder):
    folder = Path(folder)
    for place in (folder, folder / "kth"):
        if any((place / action).is_dir() for action in ACTIONS):
            return place
    raise FileNotFoundError(f"{folder}: is no KTH folder. Expected {_EXPECTED}.")


def _recordings(folder, persons):
    for path in in_order(folder.glob("person*")):
        number = re.match(r"person(\d+)", path.name)
        if path.is_dir() and number and int(number[1]) in persons:
            yield path


def _frames(recording):
    found = entries(recording)
    frames = [path for path in found if re.fullmatch(r"image_\d+\.jpg", path.name)]
    warn_left_out(recording, no_notes(path for path in found if path not in frames), "image_NUMBER.jpg")
    return frames


def _runs(paths):
    """Splits files where their numbers do not follow each other."""
    runs, last = [], None
    for path in paths:
        number = int(path.stem.removeprefix("image_"))
        if last is None or number != last + 1:
            runs.append([])
        runs[-1].append(path)
        last = number
    return runs
