"""Moving MNIST: two handwritten digits that move and bounce in a 64x64 frame.

Training sequences are made on the fly from MNIST's own files, as the benchmark makes them: a digit starts anywhere,
flies straight at 0.1 of its range a frame in a random direction and turns around at the edges; digits are merged by
max.

Layout: train-images-idx3-ubyte.gz, and for the test t10k-images-idx3-ubyte.gz or mnist_test_seq.npy, in the folder
itself or in its sub-folder `moving_mnist`. A `split.json` {"train": {"file", "start", "end"}, "val": ..., "test": ...}
says which digits belong to which part; without one the last 10,000 of the training digits are for validation. So no
digit that is trained on is seen in validation or test. The benchmark trains on all 60,000 and validates on its test
set; for that: {"train": {"file": "train-images-idx3-ubyte.gz", "start": 0, "end": 60000}, "val": ..., "test": ...}.
"""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np

from scs_keras.training.video_prediction.video import Video, VideoWindows, check_split, scaled
from scs_keras.zoo.words import option

_TRAIN, _TEST, _SEQUENCES = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "mnist_test_seq.npy"
_SPLIT = {
    "train": dict(file=_TRAIN, start=0, end=50_000),
    "val": dict(file=_TRAIN, start=50_000, end=60_000),
    "test": dict(file=_TEST, start=0, end=10_000),
}
_COUNTS = {
    "train": 10_000,
    "val": 1_000,
    "test": 10_000,
}  # sequences; training never ends, this is the benchmark's epoch
_SEEDS = {"train": 0, "val": 1, "test": 2}
_STEP = 0.1  # of the range of a digit's position, a frame
_EXPECTED = (
    f"{_TRAIN} and {_TEST} of MNIST (http://yann.lecun.com/exdb/mnist), and if you like {_SEQUENCES} "
    "(http://www.cs.toronto.edu/~nitish/unsupervised_video), in the folder or in its sub-folder moving_mnist"
)


def read(folder, split, shape, stride=None):
    """Moving MNIST sequences.

    Args:
        folder: with the files above.
        split: "train", "val" or "test"; "test" is mnist_test_seq.npy where there is one, else made with a fixed seed.
        shape: (time, height, width, 1) of a sequence; the benchmark's is (20, 64, 64, 1).
        stride: None: sequences stand by themselves.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is broken, mnist_test_seq.npy has too few frames, or frames are not larger than a digit.
    """
    check_split(split)
    if stride is not None:
        raise ValueError(
            f"moving_mnist has sequences that stand by themselves: leave {option('stride')} out. Received: {stride}."
        )
    folder = _folder(folder)
    if split == "test" and (folder / _SEQUENCES).is_file():
        return _published_test(folder / _SEQUENCES, shape)
    digits, name = _digits(folder, split)
    return MovingDigits(digits, shape, _COUNTS[split], _SEEDS[split], file_names=[name])


class MovingDigits:
    """Sequences of two moving digits.

    Args:
        digits: uint8 (number, height, width), to draw from.
        shape: (time, height, width, 1) of a sequence.
        count: how many sequences there are; sequence `index` is a function of `seed` and `index`.
        seed: of the sequences by index; batches have their own.
        per_frame: digits in a sequence.
        file_names: names of those that the digits are from.
    """

    name = "moving_mnist"

    def __init__(self, digits, shape, count, seed=0, per_frame=2, file_names=()):
        size, digit = shape[1:3], digits.shape[1:]
        if shape[3] != 1 or min(np.subtract(size, digit)) < 1:
            raise ValueError(
                f"moving_mnist: frames must have 1 channel and be larger than a digit, {digit[0]}x{digit[1]}. "
                f"Received: {size[0]}x{size[1]} with {shape[3]} channels. For example: 64x64."
            )
        self.digits, self.shape, self.count, self.seed, self.per_frame = digits, tuple(shape), count, seed, per_frame
        self.file_names = tuple(file_names)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"There are {self.count} sequences. Received: index {index}.")
        return self.draw(np.random.default_rng((self.seed, index)), 1)[0]

    def about(self, index):
        return dict(name=f"sequence {index + 1}", group=self.name)

    def batch(self, step, batch_size, seed=0):
        """float32 (batch, time, height, width, 1) in [0, 1], a function of seed and step."""
        return self.draw(np.random.default_rng((seed, step)), batch_size)

    def draw(self, generator, count):
        """`count` sequences, float32 in [0, 1]."""
        chosen = self.digits[generator.integers(len(self.digits), size=(count, self.per_frame))]
        room = np.subtract(self.shape[1:3], self.digits.shape[1:])
        places = (trajectories(generator, (count, self.per_frame), self.shape[0]) * room).astype(int)  # truncated
        return scaled(paint(chosen, places, self.shape[1:3]))[..., None]


def trajectories(generator, shape, length):
    """Places of bouncing points in the unit square, (*shape, length, 2); last axis (y, x)."""
    place = generator.uniform(size=(*shape, 2))
    angle = generator.uniform(0, 2 * np.pi, size=shape)
    velocity = _STEP * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    places = np.empty((*shape, length, 2))
    for time in range(length):  # the first frame is one step after the start
        place = place + velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = np.clip(place, 0, 1)
        places[..., time, :] = place
    return places


def paint(digits, places, size):
    """Digits at places, merged by max.

    Args:
        digits: uint8 (count, digits per frame, digit height, digit width).
        places: whole numbers (count, digits per frame, time, 2), upper left corners.
        size: (height, width) of the frames.

    Returns:
        uint8 (count, time, height, width).
    """
    count, per_frame, length = places.shape[:3]
    frames = np.zeros((count, length, *size), "uint8")
    sequence, time = np.ogrid[:count, :length]
    rows, columns = (places[..., None, axis] + np.arange(digits.shape[2 + axis]) for axis in (0, 1))
    for digit in range(per_frame):
        area = sequence[..., None, None], time[..., None, None], rows[:, digit, ..., None], columns[:, digit, :, None]
        frames[area] = np.maximum(frames[area], digits[:, digit, None])
    return frames


def read_idx_images(path):
    """uint8 (number, height, width) of an idx3-ubyte.gz file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken or not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected {_EXPECTED}.")
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}). It may be truncated; get it again.") from error
    magic, *shape = np.frombuffer(content[:16].ljust(16, b"\0"), ">u4").tolist()
    if magic != 2051 or len(content) != 16 + np.prod(shape):
        raise ValueError(
            f"{path}: is not a whole idx3-ubyte file: expected the number 2051, three sizes and as many bytes. "
            f"Received: {magic}, {shape}, {len(content) - 16} bytes."
        )
    return np.frombuffer(content, "uint8", offset=16).reshape(shape)


def _folder(folder):
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Expected {_EXPECTED}.")
    inner = folder / "moving_mnist"
    return inner if inner.is_dir() else folder


def _digits(folder, split):
    listing = folder / "split.json"
    try:
        part = json.loads(listing.read_text())[split] if listing.is_file() else _SPLIT[split]
        file, start, end = str(part["file"]), int(part["start"]), int(part["end"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{listing}: expected {{"{split}": {{"file": name, "start": first, "end": last + 1}}, ...}}. '
            f"Received something else ({error!r}). Correct the file, or delete it for the usual split."
        ) from error
    digits = read_idx_images(folder / file)[start:end]
    if not len(digits):
        raise ValueError(f"{folder / file}: has no images {start} to {end} for the split {split!r}.")
    return digits, f"{file} (images {start} to {start + len(digits) - 1})"


def _published_test(path, shape):
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as an array ({error}). Get it again.") from error
    if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[0] > frames.shape[1] == 20:
        raise ValueError(
            f"{path}: expected uint8 (time, sequence, height, width), (20, 10000, 64, 64). "
            f"Received: {frames.dtype} {frames.shape}. Sequences first? Save np.swapaxes(frames, 0, 1)."
        )
    videos = [Video.of(f"{path.name}[{index}]", frames[:, index, :, :, None]) for index in range(frames.shape[1])]
    windows = [(index, 0) for index in range(len(videos))] if len(frames) >= shape[0] else []
    return VideoWindows("moving_mnist", videos, windows, shape, [path.name])
