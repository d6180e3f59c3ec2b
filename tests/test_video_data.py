"""Readers of videos: the generator against a slow version, each layout on a fabricated copy, every error message."""

import gzip
import io
import json
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from scs_keras.training.data.folders import in_order
from scs_keras.training.data.radar import read_events
from scs_keras.training.samples import shuffled, training_dataset
from scs_keras.training.task import task
from scs_keras.training.video_prediction import moving_mnist
from scs_keras.training.video_prediction.images import read_image
from scs_keras.training.video_prediction.kitti_caltech import read_hickle
from scs_keras.training.video_prediction.video import VideoWindows, scaled
from scs_keras.training.video_prediction.video_datasets import read_videos
from scs_keras.training.video_prediction.video_folder import read_video

Image = pytest.importorskip("PIL.Image")

needs_digits = pytest.mark.needs_data("moving_mnist_digits", "the real digits")
needs_kitti = pytest.mark.needs_data("video_kitti", "real KITTI frames")
needs_radar = pytest.mark.needs_data("radar_nowcasting", "the radar data set")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype="uint8")


# --- common -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Four videos of 9, 10, 11 and 12 frames, uint8 and floating point."""
    place = tmp_path / "videos"
    place.mkdir()
    for index, length in enumerate((9, 10, 11, 12)):
        frames = noise(length, 8, 10, 1, seed=index)
        np.save(place / f"{index}.npy", frames if index % 2 else frames.astype("float32") / 255)
    return place


def test_training_shows_every_window_once_before_any_twice(folder):
    videos = read_videos("folder", folder, "train", (4, 8, 10, 1))
    assert len(videos) == 6 + 7  # two videos of 9 and 10 frames
    steps = [videos.batch(step, 2, seed=3) for step in range(13)]
    assert all(batch.shape == (2, 4, 8, 10, 1) and batch.dtype == "float32" for batch in steps)
    seen = [sequence.tobytes() for batch in steps for sequence in batch]
    everything = {videos[index].tobytes() for index in range(13)}
    assert set(seen[:13]) == set(seen[13:]) == everything and len(everything) == 13
    assert seen[:13] != seen[13:]  # another order


def test_a_batch_is_a_function_of_seed_and_step(folder):
    first, again = (read_videos("folder", folder, "train", (4, 8, 10, 1)) for _ in range(2))
    np.testing.assert_array_equal(first.batch(7, 3, seed=1), again.batch(7, 3, seed=1))
    assert not np.array_equal(first.batch(7, 3, seed=1), first.batch(7, 3, seed=2))
    assert not np.array_equal(first.batch(7, 3, seed=1), first.batch(8, 3, seed=1))
    assert shuffled(5, 3, 4, seed=0) == shuffled(5, 0, 7, seed=0)[3:]


def test_the_dataset_goes_on_where_it_stopped(folder):
    videos = read_videos("folder", folder, "train", (4, 8, 10, 1))
    stream = iter(training_dataset(videos, 2, seed=5, start_step=3))
    for step in (3, 4, 5):
        np.testing.assert_array_equal(next(stream), videos.batch(step, 2, seed=5))


def test_training_dataset_errors(folder):
    videos = read_videos("folder", folder, "train", (4, 8, 10, 1))
    for arguments in (dict(size=0), dict(size=1, seed=-1), dict(size=1, start_step=-1)):
        with pytest.raises(ValueError, match="batch_size must be at least 1, seed and start_step at least 0. Received"):
            training_dataset(videos, **arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(dataset="moving_mnst"), "Did you mean 'moving_mnist'"),
        (dict(split="validation"), "must be one of train, val, test. Received: 'validation'"),
        (dict(stride=0), "`stride` must be at least 1. Received: 0"),
        (dict(shape=(13, 8, 10, 1)), "too few frames. Needed: 13 .* the longest, 1.npy, has 10"),
        (dict(shape=(4, 8, 8, 1)), r"must have the model's size, 8x8 .* 1 channel. Received: 8x10"),
        (dict(shape=(4, 8, 10, 3)), "with 3 channels. Received: 8x10"),
    ],
)
def test_errors_of_any_dataset(folder, change, message):
    arguments = dict(dataset="folder", folder=folder, split="train", shape=(4, 8, 10, 1)) | change
    with pytest.raises(ValueError, match=message):
        read_videos(**arguments)


@pytest.mark.parametrize("dataset", ["moving_mnist", "taxibj", "kth", "kitti_caltech", "folder", "radar"])
def test_a_missing_folder_says_what_is_expected(dataset, tmp_path):
    with pytest.raises(FileNotFoundError, match="(?s)nothing.*Expected .*(http|with np.save|videos)"):
        read_videos(dataset, tmp_path / "nothing", "train", (4, 32, 32, 1))


# --- Moving MNIST -----------------------------------------------------------------------------------------------------


def slow_sequence(digits, starts, directions, length, size):
    """The published generator, frame by frame and pixel by pixel, for starts and directions of each digit."""
    frames = np.zeros((length, size, size), "uint8")
    for digit, (y, x), theta in zip(digits, starts, directions):
        room, side = size - len(digit), len(digit)
        velocity_x, velocity_y = np.cos(theta), np.sin(theta)
        for time in range(length):
            x, y = x + velocity_x * 0.1, y + velocity_y * 0.1
            if x <= 0:
                x, velocity_x = 0.0, -velocity_x
            elif x >= 1:
                x, velocity_x = 1.0, -velocity_x
            if y <= 0:
                y, velocity_y = 0.0, -velocity_y
            elif y >= 1:
                y, velocity_y = 1.0, -velocity_y
            left, top = int(x * room), int(y * room)
            for row in range(side):
                for column in range(side):
                    at = time, top + row, left + column
                    frames[at] = max(frames[at], digit[row, column])
    return frames


class Recorder:
    """A generator that remembers what it drew."""

    def __init__(self, seed):
        self.generator, self.drawn = np.random.default_rng(seed), []

    def _remember(self, value):
        self.drawn.append(value)
        return value

    def integers(self, *arguments, **named):
        return self._remember(self.generator.integers(*arguments, **named))

    def uniform(self, *arguments, **named):
        return self._remember(self.generator.uniform(*arguments, **named))


def test_moving_digits_equal_the_slow_version():
    digits = noise(5, 7, 7)
    made = moving_mnist.MovingDigits(digits, (30, 17, 17, 1), count=1)
    recorder = Recorder(4)
    sequences = made.draw(recorder, 3)
    chosen, start, angle = recorder.drawn
    for sequence, which, place, theta in zip(sequences, chosen, start, angle):
        expected = slow_sequence(digits[which], place, theta, 30, 17)
        np.testing.assert_array_equal(sequence[..., 0], expected.astype("float32") / 255)


def test_trajectories_bounce_stay_inside_and_start_anywhere():
    places = moving_mnist.trajectories(np.random.default_rng(0), (500,), 20)
    assert places.min() == 0 and places.max() == 1
    steps = np.linalg.norm(np.diff(places, axis=1), axis=-1)
    free = ((places[:, 1:] > 0) & (places[:, 1:] < 1)).all(-1)
    np.testing.assert_allclose(steps[free], 0.1)  # no speed is lost
    turned = np.sign(np.diff(places[..., 0], axis=1))
    assert (turned[:, 1:] * turned[:, :-1] < 0).any(axis=1).mean() > 0.5
    assert abs(places[:, 0].mean() - 0.5) < 0.03


def write_idx(path, images):
    header = np.array([2051, *images.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + images.tobytes()))


@pytest.fixture
def mnist(tmp_path):
    """Digits of one grey value a part: 50 to train, 150 to validate, 250 to test."""
    train = np.full((20, 8, 8), 50, "uint8")
    train[15:] = 150
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", train)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.full((6, 8, 8), 250, "uint8"))
    split = {
        part: dict(file=file, start=start, end=end)
        for part, file, start, end in (
            ("train", "train-images-idx3-ubyte.gz", 0, 15), ("val", "train-images-idx3-ubyte.gz", 15, 20),
            ("test", "t10k-images-idx3-ubyte.gz", 0, 6),
        )
    }  # fmt: skip
    (tmp_path / "split.json").write_text(json.dumps(split))
    return tmp_path


def test_parts_of_moving_mnist_share_no_digit(mnist):
    for split, grey in (("train", 50), ("val", 150), ("test", 250)):
        videos = read_videos("moving_mnist", mnist, split, (6, 20, 20, 1))
        for sequence in (*videos.batch(0, 3), videos[len(videos) - 1]):
            assert set(np.unique(sequence)) == {0, np.float32(grey) / np.float32(255)}
        np.testing.assert_array_equal(videos[3], read_videos("moving_mnist", mnist, split, (6, 20, 20, 1))[3])
        assert not np.array_equal(videos[3], videos[4])
        with pytest.raises(IndexError):
            videos[len(videos)]
    assert task("video_prediction").dataset("moving_mnist").scored == "test"


def test_the_published_test_set_is_used_where_it_lies(mnist):
    frames = noise(20, 5, 20, 20)
    np.save(mnist / "mnist_test_seq.npy", frames)
    videos = read_videos("moving_mnist", mnist, "test", (12, 20, 20, 1))
    assert len(videos) == 5
    np.testing.assert_array_equal(videos[2][..., 0], frames[:12, 2].astype("float32") / 255)
    with pytest.raises(ValueError, match="too few frames. Needed: 25"):
        read_videos("moving_mnist", mnist, "test", (25, 20, 20, 1))
    np.save(mnist / "mnist_test_seq.npy", np.swapaxes(frames, 0, 1)[[0] * 30])
    with pytest.raises(ValueError, match=r"Received: uint8 \(30, 20, 20, 20\). Sequences first\? Save np.swapaxes"):
        read_videos("moving_mnist", mnist, "test", (12, 20, 20, 1))
    np.save(mnist / "mnist_test_seq.npy", frames[0])
    with pytest.raises(ValueError, match=r"expected uint8 \(time, sequence, height, width\)"):
        read_videos("moving_mnist", mnist, "test", (12, 20, 20, 1))
    (mnist / "mnist_test_seq.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="cannot be read as an array"):
        read_videos("moving_mnist", mnist, "test", (12, 20, 20, 1))


def test_moving_mnist_errors(mnist):
    with pytest.raises(ValueError, match="larger than a digit, 8x8. Received: 8x8 with 1"):
        read_videos("moving_mnist", mnist, "train", (6, 8, 8, 1))
    with pytest.raises(ValueError, match="leave `stride` out"):
        read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1), stride=2)
    path = mnist / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1))
    for broken in (gzip.decompress(whole)[:-1], b"", b"abc"):
        path.write_bytes(gzip.compress(broken))
        with pytest.raises(ValueError, match="is not a whole idx3-ubyte file"):
            read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1))
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(ValueError, match="is not a whole idx3-ubyte file"):
        read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1))
    path.unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz: there is no such file. Expected"):
        read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1))
    (mnist / "split.json").write_text("{}")
    with pytest.raises(ValueError, match="split.json: expected"):
        read_videos("moving_mnist", mnist, "train", (6, 20, 20, 1))


@needs_digits
def test_the_real_digits(data_folder):
    sizes = {"train": 50_000, "val": 10_000, "test": 10_000}
    for split, size in sizes.items():
        videos = read_videos("moving_mnist", data_folder, split, (20, 64, 64, 1))
        assert videos.digits.shape == (size, 28, 28)
        assert videos[0].shape == (20, 64, 64, 1) and videos[0].max() <= 1
    mean = np.mean([videos[index].mean() for index in range(200)])
    assert 0.04 < mean < 0.055  # two digits of mean 0.13 on 28x28 of 64x64 pixels, less where they overlap


# --- TaxiBJ -----------------------------------------------------------------------------------------------------------


def save_taxibj(path, train=40, test=3, **changes):
    """Half-hours from one series: sequence i starts at half-hour i, as in the real file."""
    series = np.linspace(-1, 1, train + test + 8, dtype="float32")[:, None, None, None] * np.ones(
        (1, 2, 4, 5), "float32"
    )
    arrays = {}
    for part, first, count in (("train", 0, train), ("test", train, test)):
        windows = np.stack([series[start : start + 8] for start in range(first, first + count)])
        arrays |= {f"X_{part}": windows[:, :4], f"Y_{part}": windows[:, 4:]}
    np.savez(path, **(arrays | changes))
    return arrays


def test_taxibj(tmp_path):
    arrays = save_taxibj(tmp_path / "dataset.npz")
    parts = {split: read_videos("taxibj", tmp_path, split, (8, 4, 5, 2)) for split in ("train", "val", "test")}
    assert {split: len(videos) for split, videos in parts.items()} == {"train": 29, "val": 4, "test": 3}
    expected = (np.concatenate([arrays["X_test"][1], arrays["Y_test"][1]]) + 1) / 2
    np.testing.assert_allclose(parts["test"][1], np.moveaxis(expected, 1, -1), rtol=1e-6)
    values = {split: {float(v) for i in range(len(each)) for v in each[i][:, 0, 0, 0]} for split, each in parts.items()}
    assert not values["train"] & values["val"]  # no frame in both


def test_taxibj_errors(tmp_path):
    path = tmp_path / "dataset.npz"
    save_taxibj(path, X_test=np.full((3, 4, 2, 4, 5), 2.0))
    with pytest.raises(ValueError, match=r"values of X_test must be in \[-1, 1\]. Received: 0 to 2"):
        read_videos("taxibj", tmp_path, "test", (8, 4, 5, 2))
    save_taxibj(path, Y_test=np.zeros((2, 4, 2, 4, 5)))
    with pytest.raises(ValueError, match="of one number and frame size"):
        read_videos("taxibj", tmp_path, "test", (8, 4, 5, 2))
    with pytest.raises(ValueError, match="too few frames. Needed: 9"):
        read_videos("taxibj", tmp_path, "train", (9, 4, 5, 2))
    with pytest.raises(ValueError, match="leave `stride` out"):
        read_videos("taxibj", tmp_path, "train", (8, 4, 5, 2), stride=1)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="dataset.npz: cannot be read"):
        read_videos("taxibj", tmp_path, "train", (8, 4, 5, 2))


# --- KTH --------------------------------------------------------------------------------------------------------------


def save_images(folder, numbers, size=(12, 16), name="image_{:04}.png", start=0):
    folder.mkdir(parents=True)
    for offset, number in enumerate(numbers):
        Image.fromarray(np.full(size, start + offset, "uint8")).save(folder / name.format(number))


def save_kth(folder, frames=20):
    """Persons 1, 15 and 17, each of another grey; JPEG keeps one grey value as it is."""
    for action in ("walking", "running"):
        for person in (1, 15, 17):
            save_images(
                folder / action / f"person{person:02}_d1",
                range(1, frames + 1),
                name="image_{:04}.jpg",
                start=person * 10,
            )


def test_kth_windows(tmp_path):
    save_kth(tmp_path)
    for split, person in (("train", 1), ("val", 15), ("test", 17)):
        videos = read_videos("kth", tmp_path, split, (6, 8, 8, 1))
        firsts = [round(float(videos[index][0].mean()) * 255) - 10 * person for index in range(len(videos))]
        # From the end: walking without overlap, running every third frame.
        assert firsts == [14, 8, 2, 14, 11, 8, 5, 2]
    assert len(read_videos("kth", tmp_path, "train", (6, 8, 8, 1), stride=7)) == 2 * 3


def test_kth_windows_do_not_cross_a_gap(tmp_path):
    save_images(tmp_path / "walking" / "person01_d1", [1, 2, 3, 4, 5, 9, 10, 11], name="image_{:04}.jpg")
    videos = read_videos("kth", tmp_path, "train", (3, 8, 8, 1))
    assert [[round(float(frame.mean()) * 255) for frame in videos[index]] for index in range(2)] == [
        [2, 3, 4],
        [5, 6, 7],
    ]


def test_kth_errors(tmp_path):
    save_kth(tmp_path, frames=4)
    with pytest.raises(ValueError, match="too few frames. Needed: 6"):
        read_videos("kth", tmp_path, "train", (6, 8, 8, 1))
    with pytest.raises(ValueError, match="1 channel .grey. or 3"):
        read_videos("kth", tmp_path, "train", (3, 8, 8, 2))
    (tmp_path / "walking" / "person01_d1" / "image_0002.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="image_0002.jpg: is not an image"):
        read_videos("kth", tmp_path, "train", (3, 8, 8, 1))
    only_one = tmp_path / "other"
    save_images(only_one / "boxing" / "person01_d1", [1, 2])
    with pytest.raises(FileNotFoundError, match="no frames of persons 17 to 25"):
        read_videos("kth", only_one, "test", (2, 8, 8, 1))


def test_images_are_interpolated_as_opencv_does(tmp_path):
    """Between the four nearest pixels, half-pixel centres: by hand for a ramp, 4 columns to 2 and to 8."""
    Image.fromarray(np.tile(np.array([0, 40, 80, 120], "uint8"), (4, 1))).save(tmp_path / "a.png")
    made = read_image(tmp_path / "a.png", (4, 2), 1, keep_aspect=False)
    np.testing.assert_array_equal(made[..., 0], [[20, 100]] * 4)
    made = read_image(tmp_path / "a.png", (4, 8), 3, keep_aspect=False)
    np.testing.assert_array_equal(made[..., 2], [[0, 10, 30, 50, 70, 90, 110, 120]] * 4)
    cut = read_image(tmp_path / "a.png", (4, 2), 1)
    np.testing.assert_array_equal(cut[..., 0], [[40, 80]] * 4)  # the middle


# --- KITTI and Caltech ------------------------------------------------------------------------------------------------


def save_hickle(path, value):
    """As hickle 1 to 3 write an array, and a list of texts."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data_0", data=np.asarray(value, "S" if isinstance(value, list) else None))
        file.create_dataset("type", data=[b"ndarray"])


def save_kitti(folder):
    """Three recordings of 25, 4 and 13 frames; frame i has the grey value i, in red ten more."""
    folder.mkdir()
    frames = np.zeros((42, 8, 10, 3), "uint8") + np.arange(42, dtype="uint8")[:, None, None, None]
    frames[..., 0] += 10
    save_hickle(folder / "X_train.hkl", frames)
    save_hickle(folder / "sources_train.hkl", ["city-a"] * 25 + ["city-b"] * 4 + ["road-c"] * 13)
    return frames


def firsts(videos):
    return [round(float(videos[index][0, 0, 0, 1]) * 255) for index in range(len(videos))]


def test_kitti_from_hickle(tmp_path):
    frames = save_kitti(tmp_path / "kitti_hkl")
    shape = (5, 8, 10, 3)
    train, val = (read_videos("kitti_caltech", tmp_path, split, shape) for split in ("train", "val"))
    assert firsts(train) + firsts(val) == [0, 5, 10, 15, 20, 32, 37]  # from each recording's end, none in the short one
    assert len(val) == 1
    np.testing.assert_array_equal(train[1], frames[5:10].astype("float32") / 255)
    save_hickle(tmp_path / "kitti_hkl" / "X_val.hkl", frames[:6])
    save_hickle(tmp_path / "kitti_hkl" / "sources_val.hkl", ["city-d"] * 6)
    train, val = (read_videos("kitti_caltech", tmp_path, split, shape) for split in ("train", "val"))
    assert (len(train), firsts(val)) == (7, [1])


def test_hickle_5_texts_and_references(tmp_path):
    with h5py.File(tmp_path / "a.hkl", "w") as file:
        group = file.create_group("data")
        for index, text in enumerate(("road", "city")):
            group.create_dataset(f"data{index}", data=np.array([[c.encode() for c in text]], "S1")).attrs[
                "str_type"
            ] = "str"
        group.create_dataset("data2", data=group["data0"].ref, dtype=h5py.ref_dtype)
        file.create_group("hickle_types_table")
    assert read_hickle(tmp_path / "a.hkl").tolist() == ["road", "city", "road"]


def test_nothing_is_unpickled(tmp_path):
    with h5py.File(tmp_path / "a.hkl", "w") as file:
        file.create_dataset("data", data=np.bytes_(b"cos\nsystem\n.")).attrs["type"] = np.array([b"pickle"])
    with pytest.raises(ValueError, match="it holds a pickled object"):
        read_hickle(tmp_path / "a.hkl")
    (tmp_path / "a.hkl").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="cannot be read as a hickle file"):
        read_hickle(tmp_path / "a.hkl")


def save_npy(folder, length=33):
    folder.mkdir(parents=True)
    for part, seed in (("train", 0), ("test", 1)):
        frames = noise(length, 8, 10, 3, seed=seed)
        np.save(folder / f"{part}_data.npy", frames if part == "train" else frames / 255.0)
        np.save(folder / f"{part}_idx.npy", np.arange(length - 11, -1, -11))
    return folder


def test_kitti_and_caltech_from_arrays(tmp_path):
    save_npy(tmp_path / "kitticaltech_npy")
    shape = (11, 8, 10, 3)
    parts = {split: read_videos("kitti_caltech", tmp_path, split, shape) for split in ("train", "val", "test")}
    assert {split: len(videos) for split, videos in parts.items()} == {"train": 2, "val": 1, "test": 3}
    np.testing.assert_allclose(parts["test"][1], noise(33, 8, 10, 3, seed=1)[11:22] / 255.0, rtol=1e-6)
    as_rgb = read_videos("kitti_caltech_bgr", tmp_path, "test", shape)
    np.testing.assert_array_equal(as_rgb[1], parts["test"][1][..., ::-1])
    np.testing.assert_array_equal(read_videos("kitti_caltech_bgr", tmp_path, "val", shape)[0], parts["val"][0])


def test_training_on_hickle_and_testing_on_arrays(tmp_path):
    save_kitti(tmp_path / "kitti_hkl")
    save_npy(tmp_path / "kitticaltech_npy")
    shape = (11, 8, 10, 3)
    assert firsts(read_videos("kitti_caltech", tmp_path, "train", shape)) == [3, 14]
    assert len(read_videos("kitti_caltech", tmp_path, "test", shape)) == 3


def save_seq(path, count, stamp=8, height=12, width=20):
    """A .seq file whose frame i has the red value 5 i, and blue 200."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack("<I24sii", 0xFEED, "Norpix seq".encode("utf-16-le"), 3, 1024)
    parts = [header.ljust(1024, b"\0")]
    for index in range(count):
        frame = np.zeros((height, width, 3), "uint8") + np.array([5 * index, 0, 200], "uint8")
        Image.fromarray(frame).save(file := io.BytesIO(), "jpeg", quality=98)
        parts += [struct.pack("<I", len(file.getvalue()) + 4), file.getvalue(), bytes(stamp)]
    path.write_bytes(b"".join(parts))


@pytest.mark.parametrize("stamp", [8, 16])
def test_caltech_from_seq(tmp_path, stamp):
    save_kitti(tmp_path / "kitti_hkl")
    for name, count in (("set06/V000", 20), ("set06/V001", 8), ("set07/V000", 9)):
        save_seq(tmp_path / "caltech" / f"{name}.seq", count, stamp)
    test = read_videos("kitti_caltech", tmp_path, "test", (3, 8, 10, 3))
    assert [video.length for video in test.videos] == [6, 2, 3]
    np.testing.assert_allclose(test[0][:, 4, 5, 0] * 255, [10, 25, 40], atol=3)  # frames 2, 5 and 8
    np.testing.assert_allclose(test[2][..., 2] * 255, 200, atol=3)
    assert len(test) == 3 and len(read_videos("kitti_caltech", tmp_path, "test", (3, 8, 10, 3), stride=1)) == 5
    exchanged = read_videos("kitti_caltech_bgr", tmp_path, "test", (3, 8, 10, 3))
    np.testing.assert_array_equal(exchanged[2], test[2][..., ::-1])
    assert len(read_videos("kitti_caltech", tmp_path, "train", (3, 8, 10, 3))) > 1


def test_seq_errors(tmp_path):
    path = tmp_path / "caltech" / "set06" / "V000.seq"
    save_seq(path, 9)
    whole = path.read_bytes()
    for broken, message in (
        (whole[:20], "fewer bytes than a header"),
        (b"RIFF" + whole[4:], "it starts with 0x46464952 and not 0xfeed"),
        (whole[:-200], "is truncated in frame 8"),
        (whole[:1028] + b"\0\0\0" + whole[1031:], "frame 0 is no JPEG image"),
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=message):
            read_videos("kitti_caltech", tmp_path, "test", (3, 8, 10, 3))
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no .seq files in its folders. Expected"):
        read_videos("kitti_caltech", tmp_path, "test", (3, 8, 10, 3))


def test_one_window_is_too_few_for_training_and_validation(tmp_path):
    save_npy(tmp_path / "kitticaltech_npy", length=11)
    with pytest.raises(ValueError, match="one window only, too few for training and validation"):
        read_videos("kitti_caltech", tmp_path, "train", (11, 8, 10, 3))


def test_kitti_errors(tmp_path):
    save_kitti(tmp_path / "kitti_hkl")
    with pytest.raises(FileNotFoundError, match="no files for the split 'test'. Expected"):
        read_videos("kitti_caltech", tmp_path, "test", (5, 8, 10, 3))
    save_hickle(tmp_path / "kitti_hkl" / "sources_train.hkl", ["a"] * 3)
    with pytest.raises(ValueError, match="with one entry a frame"):
        read_videos("kitti_caltech", tmp_path, "train", (5, 8, 10, 3))
    (tmp_path / "kitti_hkl" / "sources_train.hkl").unlink()
    with pytest.raises(FileNotFoundError, match="sources_train.hkl: there is no such file"):
        read_videos("kitti_caltech", tmp_path, "train", (5, 8, 10, 3))
    arrays = save_npy(tmp_path / "npy" / "kitticaltech_npy")
    with pytest.raises(ValueError, match="a window of 12 frames that starts at 22 is not inside the 33"):
        read_videos("kitti_caltech", tmp_path / "npy", "test", (12, 8, 10, 3))
    with pytest.raises(ValueError, match="leave `stride` out"):
        read_videos("kitti_caltech", tmp_path / "npy", "test", (11, 8, 10, 3), stride=1)
    np.save(arrays / "test_idx.npy", np.zeros(3))
    with pytest.raises(ValueError, match="test_idx.npy whole numbers"):
        read_videos("kitti_caltech", tmp_path / "npy", "test", (11, 8, 10, 3))
    np.save(arrays / "test_data.npy", np.full((33, 8, 10, 3), 255.0))
    with pytest.raises(
        ValueError, match=r"test_data.npy: values of floating point must be in \[0, 1\]. Received: 0 to 255"
    ):
        read_videos("kitti_caltech", tmp_path / "npy", "test", (11, 8, 10, 3))
    (arrays / "test_data.npy").unlink()
    with pytest.raises(FileNotFoundError, match="test_data.npy: there is no such file"):
        read_videos("kitti_caltech", tmp_path / "npy", "test", (11, 8, 10, 3))


# --- a user's folder --------------------------------------------------------------------------------------------------


def test_a_folder_is_split_by_video(folder):
    counts = {split: len(read_videos("folder", folder, split, (4, 8, 10, 1))) for split in ("train", "val", "test")}
    assert counts == {"train": 13, "val": 2, "test": 3}  # windows of validation and test do not overlap
    assert len(read_videos("folder", folder, "test", (4, 8, 10, 1), stride=1)) == 9
    (folder / "split.json").write_text('{"train": ["3"], "val": ["0.npy", "1.npy"]}')
    assert len(read_videos("folder", folder, "train", (4, 8, 10, 1))) == 9
    assert len(read_videos("folder", folder, "val", (4, 8, 10, 1))) == 4
    with pytest.raises(ValueError, match="lists no videos for 'test'. It has: train, val"):
        read_videos("folder", folder, "test", (4, 8, 10, 1))
    (folder / "split.json").write_text('{"train": ["0", "3"], "val": ["0"]}')
    with pytest.raises(ValueError, match="lists videos for training and for scores: 0. Keep them apart"):
        read_videos("folder", folder, "train", (4, 8, 10, 1))
    (folder / "split.json").write_text('{"train": ["9"]}')
    with pytest.raises(FileNotFoundError, match="lists videos that are not in the folder: 9"):
        read_videos("folder", folder, "train", (4, 8, 10, 1))
    (folder / "split.json").write_text("[]")
    with pytest.raises(ValueError, match="split.json: expected"):
        read_videos("folder", folder, "train", (4, 8, 10, 1))


def test_a_folder_says_what_was_changed_and_left_out(tmp_path):
    for index, (size, length) in enumerate([((16, 8), 9), ((16, 8), 12), ((8, 8), 10)]):
        save_images(tmp_path / f"clip{index}", range(length), size=size)
    (tmp_path / "split.json").write_text('{"train": ["clip0", "clip1", "clip2"], "test": []}')
    name, change = tmp_path.name, "the middle 8x8 of 8x16 pixels (width x height) was taken"
    videos = [read_videos("folder", tmp_path, "train", (4, 8, 8, 1), stride) for stride in (None, 4, 5)]
    cut = f"{name} train: 2 of 3 videos (clip0, clip1): {change}."
    assert videos[0].notes == (cut,)  # every frame is in a window
    left = "frames lie in no window of 4 and are left out"
    assert videos[1].notes == (cut, f"{name} train: 3 {left} (2 of 3 videos (clip0, clip2)).")
    assert videos[2].notes == (cut, f"{name} train: 7 {left} (3 of 3 videos (clip0, clip1, clip2)).")


def test_few_videos_are_all_for_training(tmp_path):
    np.savez(tmp_path / "one.npz", frames=noise(9, 8, 10), other=[1])
    assert len(read_videos("folder", tmp_path, "train", (4, 8, 10, 1))) == 6
    with pytest.raises(ValueError, match='fewer than 3 videos .*, for example {"train": \\["one.npz"\\].*validate=0'):
        read_videos("folder", tmp_path, "val", (4, 8, 10, 1))


def test_short_videos_and_other_sizes_are_named(tmp_path):
    np.save(tmp_path / "a.npy", noise(9, 8, 10))
    np.save(tmp_path / "b.npy", noise(3, 8, 10))
    with pytest.warns(UserWarning, match="shorter than 4 frames and left out: b.npy"):
        assert len(read_videos("folder", tmp_path, "train", (4, 8, 10, 1))) == 6
    np.save(tmp_path / "b.npy", noise(9, 8, 12))
    with pytest.raises(ValueError, match="b.npy: frames must have the model's size, 8x10 .* Received: 8x12"):
        read_videos("folder", tmp_path, "train", (4, 8, 10, 1))


def test_arrays_in_every_form(tmp_path):
    frames = noise(5, 8, 10)
    np.save(tmp_path / "a.npy", frames)
    np.savez(tmp_path / "b.npz", frames[..., None].astype("float64") / 255)
    np.savez(tmp_path / "c.npz", frames=frames, times=np.arange(5))
    read = [read_video(tmp_path / name, (8, 10, 1)) for name in ("a.npy", "b.npz", "c.npz")]
    assert [video.length for video in read] == [5, 5, 5]
    windows = [VideoWindows("x", [video], [(0, 0)], (5, 8, 10, 1))[0] for video in read]
    for window in windows:
        np.testing.assert_allclose(window[..., 0], frames / 255, atol=1e-7)


@pytest.mark.parametrize(
    "save, message",
    [
        (
            lambda path: np.save(path, np.full((5, 8, 8, 1), 255.0)),
            r"a.npy: values .* in \[0, 1\]. Received: 0 to 255. Scale",
        ),
        (lambda path: np.save(path, np.full((5, 8, 8, 1), np.nan)), "Received: nan to nan"),
        (
            lambda path: np.save(path, np.zeros((5, 8, 8, 1), "int64")),
            "must be uint8 or floating point .* Received: int64",
        ),
        (
            lambda path: np.save(path, np.zeros((8, 8), "uint8")),
            r"must be \(time, height, width\) or .* Received: \(8, 8\)",
        ),
        (lambda path: np.save(path, np.array([{}])), "cannot be read as an array"),
        (lambda path: path.write_bytes(b"\x93NUMPY"), "cannot be read as an array"),
    ],
)
def test_broken_arrays(tmp_path, save, message):
    save(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=message):
        read_videos("folder", tmp_path, "train", (4, 8, 8, 1))


def test_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no videos. Expected a folder with your videos"):
        read_videos("folder", tmp_path, "train", (4, 8, 8, 1))
    np.savez(tmp_path / "a.npz", first=[1], second=[2])
    with pytest.raises(ValueError, match="it has no array `frames` but first, second"):
        read_videos("folder", tmp_path, "train", (4, 8, 8, 1))
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(ValueError, match="files of this kind are not read. Expected .npy, .npz"):
        read_video(tmp_path / "words.txt", (8, 8, 1))
    with pytest.raises(FileNotFoundError, match="none.npy: there is no such file"):
        read_video(tmp_path / "none.npy", (8, 8, 1))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no images"):
        read_video(tmp_path / "empty", (8, 8, 1))


def test_a_truncated_image_is_named(tmp_path):
    save_images(tmp_path / "clip", range(3), size=(64, 64), name="{}.png")
    Image.fromarray(noise(64, 64)).save(tmp_path / "clip" / "1.png")
    path = tmp_path / "clip" / "1.png"
    path.write_bytes(path.read_bytes()[:1500])
    video = read_video(tmp_path / "clip", (64, 64, 1))
    with pytest.raises(ValueError, match="1.png: the image cannot be read"):
        video.read(0, 3)


def test_image_folders_get_the_models_size_and_colours(tmp_path):
    save_images(tmp_path / "clip", range(6), size=(12, 16), name="{:02}.png", start=10)
    grey, colour = (read_videos("folder", tmp_path, "train", (4, 6, 6, channels)) for channels in (1, 3))
    assert len(grey) == 3
    for step in range(4):
        assert (grey[1][step] == np.float32(11 + step) / np.float32(255)).all() and (
            colour[1][step] == grey[1][step]
        ).all()


def test_video_files(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(7):
            picture = np.full((24, 32, 3), 30 * index, "uint8")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    videos = read_videos("folder", tmp_path, "train", (5, 12, 12, 3))
    assert len(videos) == 3
    np.testing.assert_allclose(videos[1].mean(axis=(1, 2, 3)) * 255, 30 * np.arange(1, 6), atol=4)
    (tmp_path / "a.mp4").write_bytes(b"no video" * 40)
    with pytest.raises(ValueError, match="a.mp4: cannot be read as a video"):
        read_videos("folder", tmp_path, "train", (5, 12, 12, 3))


def test_a_video_of_more_than_8_bits_says_what_is_made_of_them(tmp_path):
    av = pytest.importorskip("av", reason="videos are read with PyAV")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p10le"
        for index in range(4):
            picture = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 60 * index, "uint8"), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p10le")))
        container.mux(stream.encode())
    video = read_video(tmp_path / "a.mkv", (24, 32, 3))
    assert video.change == "values of 10 bits were made 8"
    np.testing.assert_allclose(greys(video), 60 * np.arange(4), atol=3)


def greys(video):
    """The grey value of each frame, 0 to 255."""
    frames = scaled(video.read(0, video.length))
    return np.round(frames.mean(axis=(1, 2, 3)) * 255, 3).tolist()


def test_numbers_in_names_count_as_numbers_everywhere(tmp_path):
    counted = list(range(12))
    save_images(tmp_path / "clip", counted, name="img{}.png")
    assert greys(read_video(tmp_path / "clip", (8, 8, 1))) == counted
    for number in counted:
        np.save(tmp_path / f"v{number}.npy", np.full((4, 8, 8), number, "uint8"))
    (tmp_path / "clip").rename(tmp_path / "w")
    parts = [read_videos("folder", tmp_path, part, (4, 8, 8, 1)) for part in ("train", "val", "test")]
    names = [video.name for part in parts for video in part.videos]
    assert names == [*(f"v{number}.npy" for number in counted), "w"]
    save_images(tmp_path / "kth" / "boxing" / "person1_d1", range(1, 12), name="image_{}.jpg")
    kth = read_videos("kth", tmp_path / "kth", "train", (11, 8, 8, 1))
    assert len(kth) == 1 and greys(kth.videos[0]) == list(range(11))
    (tmp_path / "kth" / "boxing" / "person1_d1" / "image_12.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="person1_d1: not read and left out: image_12.png. Read is image_NUMBER.jpg"):
        read_videos("kth", tmp_path / "kth", "train", (11, 8, 8, 1))
    for number in (10, 9):
        save_seq(tmp_path / "city" / "caltech" / "set06" / f"V{number}.seq", 9)
    seq = read_videos("kitti_caltech", tmp_path / "city", "test", (3, 8, 10, 3))
    assert [video.name for video in seq.videos] == ["set06/V9.seq", "set06/V10.seq"]
    (tmp_path / "radar").mkdir()
    for number in (10, 9):
        save_event(tmp_path / "radar", f"event{number}", np.ones((24, 32), bool))
    assert [event.name for event in read_events(tmp_path / "radar")] == ["event9", "event10"]
    names = ["a1b10", "a1b9", "a", "a.png", "1", "01", "b.2", "b.10"]
    assert [path.name for path in in_order(map(Path, names))] == [
        "01",
        "1",
        "a",
        "a.png",
        "a1b9",
        "a1b10",
        "b.2",
        "b.10",
    ]


def test_deep_images_keep_their_values_or_are_refused(tmp_path):
    values = np.array([[0, 1000], [40000, 65535]], "uint16").repeat(4, 0).repeat(4, 1)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "b.tif")
    Image.fromarray((values / 65535).astype("float32")).save(tmp_path / "c.tiff")
    for name in ("a.png", "b.tif", "c.tiff"):
        for channels in (1, 3):
            read = read_image(tmp_path / name, (8, 8), channels)
            assert read.dtype == "float32" and read.shape == (8, 8, channels)
            np.testing.assert_allclose(read, (values / 65535)[..., None].repeat(channels, -1), atol=1e-6)
        for keep in (True, False):
            halved = read_image(tmp_path / name, (4, 4), 1, keep_aspect=keep)
            np.testing.assert_allclose(halved[0, 0, 0] + halved[3, 3, 0], 1, atol=0.02)
    Image.fromarray(np.full((8, 8), 51, "uint8")).save(tmp_path / "d.png")  # 8 bits beside 16 and floating point
    (tmp_path / "clip").mkdir()
    for name in ("a.png", "d.png"):
        (tmp_path / name).rename(tmp_path / "clip" / name)
    frames = scaled(read_video(tmp_path / "clip", (8, 8, 1)).read(0, 2))
    np.testing.assert_allclose(frames[1], 0.2, atol=1e-6)
    np.testing.assert_allclose(frames[0, ..., 0], values / 65535, atol=1e-6)


def save_fine_png(path, values):
    """A PNG of 16 bits a value, which Pillow reads but does not write; 2 or 4 channels have transparency."""
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.mark.parametrize("stored", [2, 3, 4])
def test_colours_of_16_bits_keep_their_values(tmp_path, stored):
    pytest.importorskip("av", reason="16-bit colours are read with PyAV")
    values = np.random.default_rng(0).integers(0, 2**16, (6, 9, stored)).astype("uint16")
    save_fine_png(tmp_path / "a.png", values)
    colours = values[..., :3] / 65535 if stored > 2 else np.repeat(values[..., :1] / 65535, 3, axis=-1)
    if stored != 3:
        colours = colours * (values[..., -1:] / 65535)  # on black
    read = read_image(tmp_path / "a.png", (6, 9), 3)
    assert read.dtype == "float32"
    np.testing.assert_allclose(read, colours, atol=1e-6)
    grey = read_image(tmp_path / "a.png", (6, 9), 1)
    np.testing.assert_allclose(grey[..., 0], colours @ [0.299, 0.587, 0.114], atol=1e-6)
    coarse = Image.fromarray((255 * colours).round().astype("uint8"))
    assert abs(grey[..., 0] - np.asarray(coarse.convert("L")) / 255).max() < 0.006  # as Pillow makes grey
    half = [read_image(tmp_path / "a.png", (3, 9), 3, keep_aspect=False), colours.reshape(3, 2, 9, 3).mean(1)]
    np.testing.assert_allclose(*half, atol=1e-6)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="a.png: the image cannot be read .*truncated"):
        read_image(tmp_path / "a.png", (6, 9), 3)


def test_fine_colours_in_tiff_are_turned_as_the_camera_noted(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="writes TIFF with colours of 16 bits")
    pytest.importorskip("av", reason="16-bit colours are read with PyAV")
    values = np.random.default_rng(0).integers(0, 2**16, (6, 9, 3)).astype("uint16")
    turn = [(0x0112, "H", 1, 6, True)]  # clockwise
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", compression="zlib", extratags=turn)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif", (9, 6), 3), np.rot90(values, -1) / 65535, atol=1e-6)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([values] * 3), photometric="rgb")
    with pytest.raises(ValueError, match="b.tif: an image with colours of 16 bits that is not read .one of several"):
        read_video(tmp_path / "b.tif", (6, 9, 3))


@pytest.mark.parametrize(
    "save, message",
    [
        (lambda path: Image.fromarray(np.full((8, 8), 70000, "int32")).save(path), "a.tif: .*no known range. Save it"),
        (lambda path: Image.fromarray(np.full((8, 8), 2.5, "float32")).save(path), r"a.tif: .*in \[0, 1\]. Received: .*2.5"),
        (lambda path: Image.fromarray(np.full((8, 8), np.nan, "float32")).save(path), "a.tif: .*Received: nan"),
    ],
)  # fmt: skip
def test_values_that_would_be_lost_are_refused(tmp_path, save, message):
    save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.tif", (8, 8), 1)


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    picture, exif = np.zeros((8, 16), "uint8"), Image.Exif()
    picture[:, :4] = 255
    exif[0x0112] = 6  # to be shown after a quarter turn clockwise: what is left comes up
    for name in ("a.jpg", "a.png", "a.webp"):
        Image.fromarray(picture).save(tmp_path / name, exif=exif, **({"quality": 100} if name != "a.png" else {}))
        read = read_image(tmp_path / name, (16, 8), 1)[..., 0]
        assert read[:3].min() > 240 and read[5:].max() < 15
    (tmp_path / "clip").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "clip" / "a.jpg")
    assert read_video(tmp_path / "clip", (16, 8, 1)).change == ""
    assert "the middle 8x8 of 8x16" in read_video(tmp_path / "clip", (8, 8, 1)).change


def test_palettes_are_colours_and_what_is_transparent_is_black(tmp_path):
    colours = Image.new("P", (8, 8), 1)
    colours.putpalette([0, 0, 0, 200, 100, 0])
    colours.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", (8, 8), 3)[0, 0].tolist() == [200, 100, 0]
    colours.save(tmp_path / "b.png", transparency=1)
    Image.new("RGBA", (8, 8), (200, 100, 0, 0)).save(tmp_path / "c.png")
    Image.new("LA", (8, 8), (200, 0)).save(tmp_path / "d.png")
    for name in ("b.png", "c.png", "d.png"):
        assert not read_image(tmp_path / name, (8, 8), 1).any() and not read_image(tmp_path / name, (8, 8), 3).any()
    Image.new("RGBA", (8, 8), (200, 100, 0, 255)).save(tmp_path / "e.png")
    assert read_image(tmp_path / "e.png", (8, 8), 3)[0, 0].tolist() == [200, 100, 0]


def save_animation(path, count=6):
    pictures = [Image.fromarray(np.full((8, 8), 40 * index, "uint8")) for index in range(count)]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], **({"lossless": True} if path.suffix == ".webp" else {})
    )


@pytest.mark.parametrize("ending", [".gif", ".webp", ".tif", ".png"])
def test_animations_are_videos(tmp_path, ending):
    save_animation(tmp_path / f"a{ending}")
    videos = read_videos("folder", tmp_path, "train", (4, 8, 8, 3))
    assert len(videos) == 3 and greys(videos.videos[0]) == [0, 40, 80, 120, 160, 200]
    save_images(tmp_path / "clip", range(3))
    save_animation(tmp_path / "clip" / f"a{ending}")
    with pytest.raises(
        ValueError, match=f"a{ending}: holds several images, in a folder whose files are one frame each"
    ):
        read_video(tmp_path / "clip", (8, 8, 1))
    Image.fromarray(noise(8, 8)).save(tmp_path / f"b{ending}")
    with pytest.raises(ValueError, match=f"b{ending}: is one image and no video"):
        read_video(tmp_path / f"b{ending}", (8, 8, 1))
    whole = (tmp_path / f"a{ending}").read_bytes()
    (tmp_path / f"a{ending}").write_bytes(whole[: len(whole) * 2 // 3] if ending != ".gif" else whole[:-5])
    with pytest.raises(ValueError, match=f"a{ending}: .*(cannot be read|can be read)"):
        read_video(tmp_path / f"a{ending}", (8, 8, 1))


def test_a_gif_cut_between_two_images_is_noticed(tmp_path):
    save_animation(tmp_path / "a.gif")
    whole = (tmp_path / "a.gif").read_bytes()
    places = [
        place for place in range(len(whole)) if whole[place : place + 3] == b"\x21\xf9\x04"
    ]  # before each image but the first
    (tmp_path / "a.gif").write_bytes(whole[: places[3]])
    with pytest.warns(UserWarning, match="a.gif: its 4 images do not end as a GIF does; it may be truncated"):
        assert read_video(tmp_path / "a.gif", (8, 8, 1)).length == 4


def test_what_is_not_read_is_named(tmp_path):
    np.save(tmp_path / "a.npy", noise(9, 8, 8))
    for name in ("README.md", ".hidden", "split.json", "clip.rm", "still.png", "notes.txt"):
        (tmp_path / name).write_text('{"train": ["a"]}')
    Image.fromarray(noise(8, 8)).save(tmp_path / "still.png")
    save_images(tmp_path / "deep" / "deeper", range(3))
    with pytest.warns(
        UserWarning, match="not read and left out: clip.rm, deep/, notes.txt, still.png. Read is each .npy"
    ):
        assert len(read_videos("folder", tmp_path, "train", (4, 8, 8, 1))) == 6
    for name in ("a.mp4", "poses.txt"):  # notes beside the frames are no frames
        (tmp_path / "deep" / "deeper" / name).write_bytes(b"")
    with pytest.warns(UserWarning, match="deeper: not read and left out: a.mp4. Read is images"):
        assert read_video(tmp_path / "deep" / "deeper", (8, 8, 1)).length == 3
    (tmp_path / "a.npy").unlink()
    with pytest.raises(
        FileNotFoundError, match="holds no videos.* It holds: clip.rm, deep/, notes.txt, still.png; images of"
    ):
        read_videos("folder", tmp_path, "train", (4, 8, 8, 1))
    events = tmp_path / "radar"
    events.mkdir()
    save_event(events, "a", np.ones((24, 32), bool))
    (events / "b.grib2").write_text("")
    (events / "full").mkdir()
    with pytest.warns(UserWarning, match="not read and left out: b.grib2, full/. Read is .npz, ODIM"):
        read_events(events)


def save_clip(path, count=7, **metadata):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata)
        stream = container.add_stream("flv1" if path.suffix == ".flv" else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(count):
            picture = np.full((24, 32, 3), 30 * index % 256, "uint8")
            picture[:, :8] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_kinds_of_video_files_tags_and_turned_telephones(tmp_path):
    save_clip(tmp_path / "a.flv")
    save_clip(tmp_path / "b.mp4", title="Zuerich")
    tagged = (tmp_path / "b.mp4").read_bytes()
    assert tagged.count(b"Zuerich") == 1
    (tmp_path / "b.mp4").write_bytes(tagged.replace(b"Zuerich", b"Z\xfcerich"))
    turned, place = bytearray(tagged), tagged.index(b"tkhd") + 44
    turned[place : place + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 2**30)  # clockwise: left comes up
    (tmp_path / "c.mp4").write_bytes(turned)
    videos = [read_video(tmp_path / name, (24, 32, 1)) for name in ("a.flv", "b.mp4")]
    assert [video.length for video in videos] == [7, 7] and {video.change for video in videos} == {
        "colours were made grey"
    }
    upright = read_video(tmp_path / "c.mp4", (32, 24, 3))
    assert upright.change == "" and upright.read(0, 1)[0, 2:6].min() > 240 and upright.read(0, 1)[0, 11:].max() < 15
    save_clip(tmp_path / "d.mkv", count=60)
    half = (tmp_path / "d.mkv").read_bytes()
    (tmp_path / "d.mkv").write_bytes(half[: len(half) // 3])
    with pytest.warns(UserWarning, match="d.mkv: its .* pictures end after .* of 6.0 s; it may be truncated"):
        assert 0 < read_video(tmp_path / "d.mkv", (24, 32, 1)).length < 40
    (tmp_path / "b.mp4").write_bytes(tagged[:300])
    with pytest.raises(ValueError, match="b.mp4: cannot be read as a video"):
        read_video(tmp_path / "b.mp4", (24, 32, 1))


def test_missing_packages_are_named_with_the_line_to_type(tmp_path, monkeypatch):
    save_images(tmp_path / "clip", range(3))
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImportError, match=r'pip install "scs-keras\[video\]"'):
        read_video(tmp_path / "a.mp4", (8, 8, 1))
    save_fine_png(tmp_path / "b.png", np.zeros((8, 8, 3), "uint16"))
    with pytest.raises(ValueError, match=r'b.png: colours of 16 bits need PyAV: pip install "scs-keras\[video\]"'):
        read_image(tmp_path / "b.png", (8, 8), 3)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "scs-keras\[video\]"'):
        read_video(tmp_path / "clip", (8, 8, 1))


@needs_kitti
def test_real_kitti_frames(data_folder):
    train, val = (read_videos("folder", data_folder, split, (11, 128, 160, 3)) for split in ("train", "val"))
    assert (len(train), len(val)) == (41, 4)
    assert 0.2 < train[0].mean() < 0.6 and not np.array_equal(train[0], val[0])


# --- radar ------------------------------------------------------------------------------------------------------------


def save_event(folder, name, valid, time=12):
    y, x = np.mgrid[:24, :32]
    rain = np.stack([1000 * np.exp(-((x - 6 - t) ** 2 + (y - 8) ** 2) / 20) for t in range(time)]) * valid
    np.savez(
        folder / f"{name}.npz", rain=rain.astype("uint16"), valid=valid, times=300 * np.arange(time), step_minutes=5
    )


def test_radar_as_videos(tmp_path):
    valid = np.ones((24, 32), bool)
    save_event(tmp_path, "a", valid)
    valid[:, -1] = False  # the last of four tiles of 12 and more columns has pixels without data
    save_event(tmp_path, "b", valid)
    (tmp_path / "split.json").write_text('{"train": ["a.npz"], "val": ["b.npz"]}')
    train, val = (read_videos("radar", tmp_path, split, (6, 8, 8, 1)) for split in ("train", "val"))
    batch = train.batch(0, 4, seed=1)
    assert batch.shape == (4, 6, 8, 8, 1) and 0 <= batch.min() and 0.2 < batch.max() <= 1
    np.testing.assert_array_equal(batch, train.batch(0, 4, seed=1))
    assert not np.array_equal(batch, train.batch(1, 4, seed=1)) and train[2].shape == (6, 8, 8, 1)
    assert len(val) == 3 * 3 * 2  # rows, columns of tiles, windows
    assert val.notes[0].startswith(f"radar: {9 * 64 / (24 * 31):.0%} of the pixels with data are in the squares of 8x8")
    assert len(val.notes) == 1  # every frame is in a window of 6
    longer = read_videos("radar", tmp_path, "val", (10, 8, 8, 1))
    assert "radar: 18 frames lie in no window of 10 and are left out (9 of 9 videos (b 0,0, b 0,8," in longer.notes[1]
    assert task("video_prediction").dataset("radar").scored == "val"
    for arguments, message in (
        (("test", (6, 8, 8, 1)), "no radar event belongs to the split 'test'. Use split='val'"),
        (("train", (6, 8, 10, 1)), "square frames with 1 channel. Received: a model of 8x10x1"),
        (("train", (6, 64, 64, 1)), "crop=64 is larger than the frames"),
        (("train", (20, 8, 8, 1)), "the sequence is too short"),
    ):
        with pytest.raises(ValueError, match=message):
            read_videos("radar", tmp_path, *arguments)


@needs_radar
def test_real_radar(data_folder):
    videos = read_videos("radar", data_folder, "val", (20, 64, 64, 1))
    assert len(videos) > 20 and max(videos[index].max() for index in range(len(videos))) > 0.5
