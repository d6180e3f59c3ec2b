"""Frames of videos that are decoded when they are needed, and what clips of all tasks share: crops, classes, groups."""

import struct
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av", reason="videos are read with PyAV")

import av

from scs_keras.training.data import clips
from scs_keras.training.data.classes import balanced, check_labels, class_weights
from scs_keras.training.data.clips import ArrayFile, VideoFile, check_whole, covering, evenly, footage
from scs_keras.training.data.crops import MARGIN, drawn, larger, middle
from scs_keras.training.data.groups import check_apart, folds_of
from scs_keras.training.data.kept_clips import Kept
from scs_keras.training.samples import _ahead
from tests.clip_case import numbers, pictures, save_thermal, write_video

SIZE = (24, 32)


def noise(count, size=SIZE):
    """Blobs that move: no two frames alike, and none that a codec would skip."""
    y, x = np.mgrid[: size[0], : size[1]]
    frames = [127 + 120 * np.sin(0.3 * x + 0.5 * index) * np.cos(0.2 * y - 0.3 * index) for index in range(count)]
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1).astype("uint8")


def all_frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "mpeg2video")]
)
def test_any_frames_are_those_of_the_whole_decoded(tmp_path, name, codec):
    path = write_video(tmp_path / name, noise(60), codec=codec)
    whole, found = all_frames(path), VideoFile(path)
    assert len(found.seconds) == len(whole) == 60
    np.testing.assert_allclose(np.diff(found.seconds), 0.1, atol=1e-3)
    for chosen in ([0], [59], [3, 3, 17, 18, 40, 59], range(60)):
        made = found.read(chosen, SIZE)
        np.testing.assert_array_equal(made, np.stack([whole[index] for index in chosen]))


def test_frames_far_on_are_reached_from_the_key_frame_before_them(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", noise(120), codec="mpeg4", key_every=12)
    decoded, counted = [], clips._counted
    monkeypatch.setattr(clips, "_counted", lambda frames: (decoded.append(1) or each for each in counted(frames)))
    found = VideoFile(path)
    found.read([5, 100, 118], SIZE)
    assert len(decoded) <= 6 + 5 + 12 + 3


class Late:
    """A container whose seek goes too far, as with a wrong index."""

    def __init__(self, container):
        self.container = container

    def seek(self, tick, stream):
        self.container.seek(tick + 6 * 1024, stream=stream, backward=False)

    def decode(self, stream):
        return self.container.decode(stream)


def test_a_wrong_index_is_noticed(tmp_path, monkeypatch):
    import contextlib

    path = write_video(tmp_path / "a.mp4", pictures(40), codec="mpeg4", key_every=4)
    expected = VideoFile(path).read([2, 21, 30], SIZE)
    really = clips.opened

    @contextlib.contextmanager
    def opened(path):
        with really(path) as (container, stream):
            yield Late(container), stream

    found = VideoFile(path)
    monkeypatch.setattr(clips, "opened", opened)
    np.testing.assert_array_equal(found.read([2, 21, 30], SIZE), expected)
    assert numbers(expected) == [2, 21, 30]


def test_what_is_shown_at_times_between_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    step = VideoFile(path)._ticks[1]
    times = [step // 2, step, 3 * step - 1, 3 * step, 9 * step]
    shown = [frame.to_ndarray(format="rgb24") for _, frame in clips._shown_at(path, times, np.array([0]))]
    assert numbers(shown) == [0, 1, 2, 3, 4]


def test_times_are_those_of_the_frames_where_the_rate_varies(tmp_path):
    seconds = [0, 0.1, 0.2, 0.3, 1.3, 2.3, 3.3, 3.4]
    path = write_video(tmp_path / "a.mkv", pictures(8), seconds, codec="libx264")
    found = VideoFile(path)
    np.testing.assert_allclose(found.seconds, seconds, atol=2e-3)
    chosen = evenly(found.seconds, found.end, 4)  # of 3.5 s, the frames at 0.44, 1.31, 2.19 and 3.06
    assert numbers(found.read(chosen, SIZE)) == [3, 4, 4, 5]


@pytest.mark.parametrize("count, offset", [(3, 0.5), (7, 0.0), (16, 0.25), (16, 0.99)])
def test_evenly_takes_what_is_shown_at_evenly_spaced_times(count, offset):
    random = np.random.default_rng(1)
    seconds = np.concatenate([[0], np.cumsum(random.uniform(0.01, 0.5, 40))])
    end = seconds[-1] + 0.1
    expected = []
    for place in range(count):
        time = (place + offset) * end / count
        expected.append(max(index for index in range(41) if seconds[index] <= time))
    assert evenly(seconds, end, count, offset).tolist() == expected


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    assert len(VideoFile(path).seconds) == 5
    write_video(path, 9)
    assert len(VideoFile(path).seconds) == 9
    save_thermal(tmp_path / "a.npz", range(4))
    assert len(footage(tmp_path / "a.npz").seconds) == 4
    save_thermal(tmp_path / "a.npz", range(7))
    assert len(footage(tmp_path / "a.npz").seconds) == 7


def test_a_short_video_repeats_its_last_frame(tmp_path):
    found = VideoFile(write_video(tmp_path / "a.mp4", 3))
    assert numbers(found.read(evenly(found.seconds, found.end, 6), SIZE)) == [0, 1, 2, 2, 2, 2]
    one = VideoFile(write_video(tmp_path / "b.mp4", 1))
    assert one.seconds.tolist() == [0] and one.end > 0


def test_the_number_of_frames_that_a_file_tells_is_not_asked(tmp_path):
    path = write_video(tmp_path / "none.mkv", 12, codec="libx264")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    assert numbers(VideoFile(path).read(range(12), SIZE)) == list(range(12))
    lying = write_video(tmp_path / "lying.avi", 12)
    content = bytearray(lying.read_bytes())
    for header, offset in ((b"avih", 24), (b"strh", 40)):  # number of frames in both headers
        place = content.index(header) + offset
        assert struct.unpack_from("<I", content, place) == (12,)
        struct.pack_into("<I", content, place, 5000)
    lying.write_bytes(content)
    with av.open(str(lying)) as container:
        assert container.streams.video[0].frames == 5000
    assert numbers(VideoFile(lying).read(range(12), SIZE)) == list(range(12))


def test_a_bare_stream_without_times_is_counted(tmp_path):
    bare = tmp_path / "bare.m4v"
    with av.open(str(bare), "w", format="m4v") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in pictures(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    found = VideoFile(bare)
    assert numbers(found.read([0, 3, 7], SIZE)) == [0, 3, 7] and (np.diff(found.seconds) > 0).all()


def test_metadata_of_another_encoding(tmp_path):
    path = write_video(tmp_path / "a.avi", 4, title="QQQQ")
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xe9Q"))
    with pytest.raises(UnicodeDecodeError), av.open(str(path)) as container:
        container.metadata["title"]
    assert len(VideoFile(path).seconds) == 4


def no_moov(path):
    path.write_bytes(write_video(path, noise(20)).read_bytes()[:-600])


def only_sound(path):
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), "int16"), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


@pytest.mark.parametrize(
    "write, message",
    [
        (no_moov, "cannot be read as a video .* truncated"),
        (lambda path: path.write_bytes(b""), "cannot be read as a video"),
        (lambda path: path.write_text("no video" * 99), "cannot be read as a video"),
        (only_sound, ".*it has no pictures, only sound or text"),
        (lambda path: write_video(path, pictures(0)), "the video has no frames|cannot be read as a video"),
    ],
)
def test_broken_videos(tmp_path, write, message):
    path = tmp_path / "a.mp4"
    write(path)
    with pytest.raises(ValueError, match=f"a.mp4: {message}"):
        VideoFile(path)


def test_what_is_broken_in_the_middle_shows_when_everything_is_decoded(tmp_path):
    path = write_video(tmp_path / "a.mp4", noise(30), codec="libx264")
    check_whole(path)
    content = bytearray(path.read_bytes())
    start = int(0.7 * len(content))
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)
    assert VideoFile(path).read([0], SIZE).shape == (1, *SIZE, 3)
    with pytest.raises(ValueError, match="a.mp4: cannot be read as a video"):
        check_whole(path)


def test_frames_of_several_sizes(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 24, 32, "yuvj420p"
        for index, size in enumerate([(24, 32), (48, 64)]):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = *size, "yuvj420p", Fraction(1, 10)
            frame = av.VideoFrame.from_ndarray(np.zeros((*size, 3), "uint8"), format="rgb24")
            for packet in encoder.encode(frame.reformat(format="yuvj420p")):
                packet.stream, packet.pts, packet.dts = stream, index, index
                container.mux(packet)
    with pytest.raises(ValueError, match=r"a.mkv: .*several sizes, 24x32, 48x64 \(height x width\)"):
        VideoFile(path).read([0, 1], SIZE)


class Turned:
    """A frame that a telephone recorded on its side; its colours tell left from right and up from down."""

    def __init__(self, rotation):
        ramp = np.zeros((20, 40, 3), "uint8")
        ramp[..., 0], ramp[..., 1] = 5 * np.arange(40)[None], 10 * np.arange(20)[:, None]
        self.frame, self.rotation = av.VideoFrame.from_ndarray(ramp, format="rgb24"), rotation
        self.width, self.height, self.reformat = 40, 20, self.frame.reformat


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_upright(rotation):
    Image = pytest.importorskip("PIL.Image")
    frame = Turned(rotation)
    expected = Image.fromarray(frame.frame.to_ndarray(format="rgb24")).rotate(rotation, expand=True)
    size = expected.size[::-1]
    np.testing.assert_allclose(
        clips._upright(
            frame, size, lambda frame, width, height: frame.reformat(width, height, format="rgb24").to_ndarray()
        ).astype(int),
        np.asarray(expected).astype(int),
        atol=2,
    )


@pytest.mark.parametrize(
    "size, least, expected",
    [
        ((240, 320), (48, 64), (48, 64)),
        ((160, 214), (48, 64), (48, 64)),
        ((100, 400), (48, 64), (48, 192)),
        ((400, 100), (48, 64), (256, 64)),
        ((10, 10), (48, 64), (64, 64)),
    ],
)
def test_the_side_that_is_too_short_just_fits(size, least, expected):
    assert covering(size, least) == expected


def test_arrays_of_degrees_and_of_colours(tmp_path):
    path = save_thermal(tmp_path / "a.npz", [20.5, 21.25, 30], [3, 3.1, 3.3])
    found = footage(path)
    made = found.read([0, 2], (24, 32))
    assert made.shape == (2, 24, 32, 1) and made.dtype == "float32"
    np.testing.assert_allclose(made[:, 5, 7, 0], [20.5, 30])
    np.testing.assert_allclose(found.seconds, [0, 0.1, 0.3], atol=1e-6)
    with pytest.raises(ValueError, match="a.npz: frames must have the model's size, 48x64 .* Received: 24x32"):
        found.read([0], (48, 64))
    np.savez(tmp_path / "b.npz", frames=noise(5))
    found = footage(tmp_path / "b.npz")
    np.testing.assert_array_equal(found.read([1, 4], SIZE), noise(5)[[1, 4]])
    assert (
        found.read([1, 4], (30, 30)).shape == (2, 30, 40, 3)
        and abs(found.read([1], (30, 30)).mean() - noise(5)[1].mean()) < 2
    )


@pytest.mark.parametrize(
    "arrays, message",
    [
        (dict(other=[1]), "cannot be read .it holds other.. Expected an array thermal_centi_c"),
        (
            dict(thermal_centi_c=np.zeros((3, 4))),
            r"thermal_centi_c must be \(time, height, width\), with .* Received: float32 \(3, 4, 1\)",
        ),
        (dict(frames=np.zeros((3, 4, 4, 3))), "frames must be .* uint8, with at least one frame. Received: float64"),
        (dict(frames=np.zeros((0, 4, 4, 3), "uint8")), ".*at least one frame"),
        (dict(frames=noise(3)[..., :1]), r".*time, height, width, 3., uint8.* Received: uint8 \(3, 24, 32, 1\)"),
        (dict(frames=noise(3), seconds=[0, 2, 1]), "seconds must be ascending, one for each of the 3 frames"),
        (dict(frames=noise(3), seconds=[0, 2]), r"seconds must be ascending.* Received: \(2,\)"),
    ],
)
def test_other_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=f"a.npz: {message}"):
        ArrayFile(tmp_path / "a.npz")


def test_files_of_another_kind(tmp_path):
    with pytest.raises(ValueError, match="a.txt: files of this kind are not read. Expected .mp4, "):
        footage(tmp_path / "a.txt")


def test_kept_clips_are_the_same_and_fit_into_the_limit(tmp_path):
    path = write_video(tmp_path / "a.mp4", noise(20))
    chosen = np.array([1, 4, 9])
    bytes_of_three = 3 * 24 * 32 * 3
    none, all_of_it, one = (Kept(limit) for limit in (0, 1e6, 16 * bytes_of_three))
    for _ in range(2):
        for kept in (none, all_of_it, one):
            for key in range(20):
                found = kept.footage(key, path, lambda found: chosen, SIZE)
                if key % 10 == 0:
                    np.testing.assert_array_equal(found.read([1, 9, 9], SIZE), VideoFile(path).read([1, 9, 9], SIZE))
    degrees, four_bytes = save_thermal(tmp_path / "a.npz", np.arange(3)), Kept(16 * 3 * 24 * 32 * 3)
    for key in range(20):
        four_bytes.footage(key, degrees, lambda found: np.arange(3), SIZE)
    assert four_bytes.held == 12 * 3 * 24 * 32 * 4
    assert none.held == 0 and all_of_it.held == 20 * bytes_of_three and one.held == 16 * bytes_of_three


def test_batches_are_made_ahead_in_order():
    made = []
    stream = _ahead(lambda step: made.append(step) or step, 5)
    assert [next(stream) for _ in range(4)] == [5, 6, 7, 8]
    stream.close()
    assert sorted(made) == [5, 6, 7, 8, 9, 10]  # two are made while one is used
    with pytest.raises(ZeroDivisionError):
        next(_ahead(lambda step: 1 / 0, 0))


# Crops ----------------------------------------------------------------------------------------------------------------


def test_the_middle():
    frames = np.arange(2 * 5 * 9).reshape(2, 5, 9, 1)
    np.testing.assert_array_equal(middle(frames, (3, 4)), frames[:, 1:4, 2:6])


def test_a_draw_is_one_for_all_frames_and_a_function_of_the_random_numbers():
    frames = np.repeat(noise(1, (55, 74)), 4, axis=0)
    draws = [drawn(frames, (48, 64), np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert draws[0].shape == (4, 48, 64, 3) and draws[0].dtype == np.uint8 and (draws[0] != draws[2]).any()
    assert all((draw == draw[:1]).all() for draw in draws)


def test_crops_lie_inside_and_are_at_most_a_margin_smaller():
    high, wide = larger((48, 64))
    y, x = np.mgrid[:high, :wide]
    ramp = np.stack([y, x, 0 * x], axis=-1)[None].astype("uint8")
    heights = []
    for seed in range(20):
        made = drawn(ramp, (48, 64), np.random.default_rng(seed), flip=False, jitter=0)[0].astype(int)
        rows, columns = made[:, 0, 0], made[0, :, 1]
        assert high / MARGIN - 3 <= rows[-1] - rows[0] <= high and wide / MARGIN - 3 <= columns[-1] - columns[0] <= wide
        assert (np.diff(rows) >= 0).all() and (np.diff(columns) >= 0).all()
        heights.append(rows[-1] - rows[0])
    assert max(heights) - min(heights) > 4


def test_half_of_the_clips_are_mirrored_and_none_without_flip():
    frames = np.linspace(0, 30, 24 * 32, dtype="float32").reshape(1, 24, 32, 1)
    draws = [drawn(frames, (24, 32), np.random.default_rng(seed)) for seed in range(40)]
    mirrored = [np.array_equal(draw, frames[:, :, ::-1]) for draw in draws]
    assert all(same or np.array_equal(draw, frames) for same, draw in zip(mirrored, draws)) and 10 < sum(mirrored) < 30
    assert all((drawn(frames, (24, 32), np.random.default_rng(seed), flip=False) == frames).all() for seed in range(9))


def test_colours_change_by_up_to_the_jitter():
    frames = np.full((2, 48, 64, 3), (100, 120, 140), "uint8")
    means = [drawn(frames, (48, 64), np.random.default_rng(seed), jitter=0.1).mean() for seed in range(30)]
    assert max(means) > 123 and min(means) < 115 and 105 < min(means) and max(means) < 135
    assert (drawn(frames, (48, 64), np.random.default_rng(3), jitter=0) == frames).all()


# Classes --------------------------------------------------------------------------------------------------------------


def test_balanced_weights_have_the_mean_one_and_count_all_classes_alike():
    counts = np.array([10, 30, 0, 60])
    weights = class_weights("balanced", counts, "abcd")
    np.testing.assert_allclose(weights[[0, 1, 3]] * counts[[0, 1, 3]], 100 / 3, rtol=1e-6)
    assert np.isclose((weights * counts).sum() / counts.sum(), 1)


def test_given_weights():
    assert class_weights({"b": 2}, [1, 1], "ab").tolist() == [1, 2]
    assert class_weights('{"b": 0.5, "a": 3}', [1, 1], "ab").tolist() == [3, 0.5]
    assert class_weights(None, [1, 9], "ab").tolist() == class_weights("", [1, 9], "ab").tolist() == [1, 1]


@pytest.mark.parametrize(
    "given, message",
    [
        ("balance", 'class_weight is "balanced" or a weight for classes, for example {"a": 2}. Received: \'balance\''),
        ([1, 2], "class_weight is .* Received: .1, 2."),
        ({"c": 1}, "There is no class 'c'. Allowed: a, b"),
        ({"a": -1}, "weights are numbers of at least 0. Received: a: -1"),
        ({"a": "x"}, "weights are numbers of at least 0. Received: a: 'x'"),
    ],
)
def test_wrong_weights(given, message):
    with pytest.raises(ValueError, match=message):
        class_weights(given, [1, 1], ["a", "b"])


def test_balanced_batches_show_all_classes_equally_often_and_each_sample_before_any_again():
    members = [[0, 1, 2, 3, 4, 5], [6, 7], [8]]
    order = balanced(members, 0, 36, seed=3)
    assert [sum(index in kind for index in order) for kind in members] == [12, 12, 12]
    assert all(
        len({next(k for k, kind in enumerate(members) if index in kind) for index in order[at : at + 3]}) == 3
        for at in range(0, 36, 3)
    )
    of_first = [index for index in order if index in members[0]]
    assert sorted(of_first[:6]) == sorted(of_first[6:]) == members[0]
    assert order[10:20] == balanced(members, 10, 10, seed=3) and order != balanced(members, 0, 36, seed=4)


def test_classes_of_the_model_must_be_those_of_the_data():
    found = {"a": "", "b": "t.csv, line 3"}
    assert check_labels("x", found, ()) == ("a", "b") and check_labels("x", found, ("b", "a")) == ("b", "a")
    message = "x: the model has other classes than the data .only in the data: c .t.csv, line 9.; only in the model: a.. The model's: a, b. The data's: b, c."
    with pytest.raises(ValueError, match=message):
        check_labels("x", {"b": "", "c": "t.csv, line 9"}, ("a", "b"))


# Groups ---------------------------------------------------------------------------------------------------------------


def test_folds_divide_no_group_and_spread_the_classes():
    random = np.random.default_rng(0)
    groups = random.integers(0, 30, 300).astype(str)
    labels = np.where(random.random(300) < 0.3, "rare", "usual")
    folds = folds_of(groups, labels, 5)
    assert set(folds) == {1, 2, 3, 4, 5} and all(len(set(folds[groups == group])) == 1 for group in set(groups))
    shares = [(labels[folds == fold] == "rare").sum() / (labels == "rare").sum() for fold in range(1, 6)]
    assert max(abs(np.array(shares) - 0.2)) < 0.06
    assert (folds == folds_of(list(groups), list(labels), 5)).all()


def test_as_many_folds_as_groups_leave_one_out_in_the_order_of_the_rows():
    groups, labels = list("ccabbbab"), list("xyxyxyxx")
    assert folds_of(groups, labels, 3).tolist() == [1, 1, 2, 3, 3, 3, 2, 3]


@pytest.mark.parametrize("folds", [1, 4, 2.5])
def test_more_folds_than_groups(folds):
    with pytest.raises(ValueError, match="`folds` must be 2 to 3, the number of groups. Received: "):
        folds_of(list("abc"), list("xxx"), folds)


def test_a_group_on_both_sides():
    check_apart("t.csv", ["a", "a", "b"], ["train", "train", "val"], ["1", "2", "3"], "person")
    message = "t.csv: person 'a' is on both sides of the split: 'train' .line 2. and 'val' .line 4.. .* keep each person in one"
    with pytest.raises(ValueError, match=message):
        check_apart("t.csv", ["a", "b", "a"], ["train", "val", "val"], ["line 2", "line 3", "line 4"], "person")
