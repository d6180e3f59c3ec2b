"""Temporal goals on motions that are known, and on real image pairs and radar."""

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import goals
from scs_keras.core.targets import product, target_of


def numpy_of(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


class Texture:
    """A smooth random picture that can be looked up anywhere, so that moving it needs no interpolation."""

    def __init__(self, seed, channels=1, waves=40, shortest=9.0):
        random = np.random.default_rng(seed)
        length = random.uniform(shortest, 5 * shortest, (channels, waves))
        angle, self.phase = random.uniform(0, 2 * np.pi, (2, channels, waves))
        self.wave_x, self.wave_y = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length

    def __call__(self, x, y):
        argument = x[..., None, None] * self.wave_x + y[..., None, None] * self.wave_y + self.phase
        return (0.5 + np.cos(argument).sum(-1) / 40).astype("float32")


def grid(height, width):
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    return x, y


def translated(seed, size, motion, time, channels=1):
    x, y = grid(*size)
    texture = Texture(seed, channels)
    return np.stack([texture(x - t * motion[0], y - t * motion[1]) for t in range(time)])


def rotation(x, y, angle, centre):
    """Where a rotation by `angle` around `centre` takes x, y."""
    dx, dy = x - centre[0], y - centre[1]
    return (
        centre[0] + np.cos(angle) * dx - np.sin(angle) * dy,
        centre[1] + np.sin(angle) * dx + np.cos(angle) * dy,
    )


def rotated(seed, size, angle, time, centre):
    texture = Texture(seed)
    return np.stack([texture(*rotation(*grid(*size), -t * angle, centre)) for t in range(time)])


def endpoint_error(flow, expected):
    return np.linalg.norm(numpy_of(flow) - expected, axis=-1)


# --- frame difference -------------------------------------------------------------------------------------------------


def test_frame_difference():
    frames = np.random.default_rng(0).random((2, 4, 3, 5, 2)).astype("float32")
    np.testing.assert_allclose(numpy_of(goals.frame_difference(frames)), np.diff(frames, axis=1), rtol=1e-6)


def test_frame_difference_of_integers_does_not_wrap():
    frames = np.array([200, 100], "uint8").reshape(1, 2, 1, 1, 1)
    assert numpy_of(goals.frame_difference(frames)).item() == -100


# --- next frame -------------------------------------------------------------------------------------------------------


def test_next_frame_goals_are_those_of_each_pair():
    frames = np.stack([translated(seed, (24, 32), (1.5, -1.0), 4) for seed in (1, 2)])
    x, y = frames[:, :-1], frames[:, 1:]
    np.testing.assert_allclose(numpy_of(goals.next_frame_difference(x, y)), np.diff(frames, axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        numpy_of(goals.next_frame_flow(x, y)), numpy_of(goals.optical_flow(frames)), rtol=1e-4, atol=1e-5
    )
    names = [keras.saving.get_registered_name(goal) for goal in (goals.next_frame_difference, goals.next_frame_flow)]
    assert names == ["scs_keras>next_frame_difference", "scs_keras>next_frame_flow"]


# --- flow of known motions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("motion", [(1.7, -2.3), (-0.4, 0.3), (9.0, 6.5)])
def test_translation_is_recovered(motion):
    """Odd sizes, two channels, another texture in each sample."""
    frames = np.stack([translated(seed, (61, 83), motion, 3, channels=2) for seed in (1, 2)])
    flow = goals.optical_flow(frames)
    assert flow.shape == (2, 2, 61, 83, 2)
    assert endpoint_error(flow, motion).mean() < 0.2
    assert np.quantile(endpoint_error(flow, motion)[:, :, 10:-10, 10:-10], 0.95) < 0.2
    assert endpoint_error(goals.mean_flow(frames), motion).mean() < 0.2


def test_rotation_is_recovered():
    """`optical_flow` belongs to the place of departure, `mean_flow` to that of arrival."""
    size, angle, centre = (64, 80), 0.06, (35.0, 30.0)
    frames = rotated(3, size, angle, 4, centre)[None]
    x, y = grid(*size)
    there, back = rotation(x, y, angle, centre), rotation(x, y, -angle, centre)
    departing = np.stack([there[0] - x, there[1] - y], axis=-1)
    arriving = np.stack([x - back[0], y - back[1]], axis=-1)
    assert endpoint_error(goals.optical_flow(frames), departing).mean() < 0.2
    flow = goals.mean_flow(frames)
    assert endpoint_error(flow, arriving).mean() < 0.2
    inner = (0, slice(12, -12), slice(12, -12))
    assert endpoint_error(flow, arriving)[inner].mean() < 0.6 * endpoint_error(flow, departing)[inner].mean()


def test_mean_flow_is_steadier_than_the_mean_of_flows():
    """Noise as strong as the picture: most single pairs are lost."""
    motion, pooled, averaged = (2.0, 1.0), [], []
    for seed in (4, 5, 6):
        frames = translated(seed, (48, 48), motion, 6)[None]
        frames = frames + 0.5 * np.random.default_rng(seed).normal(size=frames.shape)
        pooled.append(endpoint_error(goals.mean_flow(frames), motion).mean())
        averaged.append(endpoint_error(numpy_of(goals.optical_flow(frames)).mean(axis=1), motion).mean())
    assert np.mean(pooled) < 0.9 * np.mean(averaged)


def test_dry_areas_take_on_the_surrounding_flow():
    motion = (3.0, -1.0)
    x, _ = grid(64, 96)
    frames = translated(6, (64, 96), motion, 3)[None]
    wet = np.stack([1 / (1 + np.exp(x - 40 - t * motion[0])) for t in range(3)])[None, ..., None]
    flow = numpy_of(goals.mean_flow(frames * wet))
    assert endpoint_error(flow[:, :, :30], motion).mean() < 0.2
    assert endpoint_error(flow[:, :, 60:], motion).max() < 0.8  # nothing to see there


def test_empty_frames_have_no_flow():
    flow = numpy_of(goals.optical_flow(np.zeros((1, 2, 20, 24, 1))))
    np.testing.assert_array_equal(flow, 0)


def test_scale_of_values_does_not_matter():
    frames = translated(7, (32, 40), (1.0, 2.0), 2)[None]
    flow = numpy_of(goals.optical_flow(frames))
    np.testing.assert_allclose(numpy_of(goals.optical_flow(255 * frames)), flow, atol=1e-3)
    assert endpoint_error(goals.optical_flow((255 * frames).astype("uint8")), (1.0, 2.0)).mean() < 0.2


def test_invalid_pixels_are_not_looked_at():
    """A quarter of the frame stands still, as a radar's blind sector does; the mask takes it out."""
    motion = (2.5, 1.5)
    frames = translated(8, (64, 64), motion, 3)[None]
    mask = np.ones((1, 64, 64, 1), bool)
    mask[:, :32, :32] = False
    frames = np.where(mask[:, None], frames, 2 * translated(9, (64, 64), (0, 0), 3)[None])
    for flow in (goals.mean_flow(frames, mask), goals.optical_flow(frames, mask)):
        assert endpoint_error(flow, motion).mean() < 0.2
    assert endpoint_error(goals.mean_flow(frames), motion).mean() > 1


# --- warp -------------------------------------------------------------------------------------------------------------


def plain_warp(image, flow, fill=None):
    height, width, _ = image.shape
    result = np.empty_like(image)
    for row in range(height):
        for column in range(width):
            x, y = column + flow[row, column, 0], row + flow[row, column, 1]
            if fill is not None and not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                result[row, column] = fill
                continue
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            left, top = int(x), int(y)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            upper = (1 - (x - left)) * image[top, left] + (x - left) * image[top, right]
            lower = (1 - (x - left)) * image[bottom, left] + (x - left) * image[bottom, right]
            result[row, column] = (1 - (y - top)) * upper + (y - top) * lower
    return result


@pytest.mark.parametrize("fill", [None, -1.0])
def test_warp_against_plain_loop(fill):
    random = np.random.default_rng(10)
    images = random.random((2, 7, 9, 3)).astype("float32")
    flow = random.uniform(-6, 6, (2, 7, 9, 2)).astype("float32")
    flow[:, 0] = np.round(flow[:, 0])
    expected = np.stack([plain_warp(*each, fill) for each in zip(images, flow)])
    np.testing.assert_allclose(numpy_of(goals.warp(images, flow, fill)), expected, atol=1e-5)


def test_warp_undoes_the_flow():
    frames = translated(11, (40, 40), (2.0, -3.0), 2)[None]
    flow = np.broadcast_to(np.float32([2.0, -3.0]), (1, 40, 40, 2))
    moved_back = numpy_of(goals.warp(frames[:, 1], flow))
    np.testing.assert_allclose(moved_back[:, 5:-5, 5:-5], frames[:, 0, 5:-5, 5:-5], atol=1e-5)


def test_warp_gradient():
    """Warping is linear, so the gradient of <weight, warp(images)> gives <gradient, images> = that same number."""
    random = np.random.default_rng(12)
    images, weight = random.random((2, 2, 6, 5, 1)).astype("float32")
    flow = random.uniform(-3, 3, (2, 6, 5, 2)).astype("float32")

    def loss(images):
        return ops.sum(weight * goals.warp(images, flow))

    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(loss)(images)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        images_tensor = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(images_tensor)
            value = loss(images_tensor)
        gradient = tf.convert_to_tensor(tape.gradient(value, images_tensor))
    else:
        pytest.skip("gradients are tried on TensorFlow and JAX")
    np.testing.assert_allclose((numpy_of(gradient) * images).sum(), float(loss(images)), rtol=1e-4)
    np.testing.assert_allclose(numpy_of(gradient).sum(), weight.sum(), rtol=1e-4)


def test_warp_keeps_the_dtype():
    images = ops.cast(np.ones((1, 4, 4, 1)), "bfloat16")
    assert keras.backend.standardize_dtype(goals.warp(images, np.zeros((1, 4, 4, 2))).dtype) == "bfloat16"


# --- advection --------------------------------------------------------------------------------------------------------


def test_constant_flow_shifts_exactly():
    """Whole pixels: the values themselves arrive, at any lead; the edge's values move in."""
    last = np.random.default_rng(13).random((2, 1, 12, 14, 2)).astype("float32")
    flow = np.broadcast_to(np.float32([2, -1]), (2, 12, 14, 2))
    forecast = numpy_of(goals.advect(last, 3, flow))
    assert forecast.shape == (2, 3, 12, 14, 2)
    for step in (1, 2, 3):
        rows = np.clip(np.arange(12) + step, 0, 11)
        columns = np.clip(np.arange(14) - 2 * step, 0, 13)
        np.testing.assert_array_equal(forecast[:, step - 1], last[:, 0][:, rows][:, :, columns])


def test_paths_follow_a_rotation():
    """Ten steps of 9 degrees: following the flow stays near the circle, ten times the first step would not."""
    size, angle, centre = (61, 61), np.pi / 20, (30.0, 30.0)
    x, y = grid(*size)
    back = rotation(x, y, -angle, centre)
    flow = np.stack([x - back[0], y - back[1]], axis=-1)[None]
    path = numpy_of(goals.displacements(flow, 10))[0, -1]
    quarter = rotation(x, y, -10 * angle, centre)
    expected = np.stack([quarter[0] - x, quarter[1] - y], axis=-1)
    near = np.hypot(x - 30, y - 30) < 28
    np.testing.assert_allclose(path[near], expected[near], atol=1e-3)
    assert endpoint_error(-10 * flow[0], expected)[near].max() > 10


def test_paths_stop_at_the_valid_area():
    """Nothing invalid moves in: the forecast continues what is seen at the edge."""
    mask = np.ones((1, 10, 20, 1))
    mask[:, :, :6] = 0
    last = np.where(mask, np.arange(20.0)[:, None], 99.0)[:, None].astype("float32")
    flow = np.broadcast_to(np.float32([1, 0]), (1, 10, 20, 2))
    forecast = numpy_of(goals.advect(last, 4, flow, mask))
    valid = np.arange(6, 20)
    for step in (1, 2, 3, 4):
        expected = np.broadcast_to(np.maximum(valid - step, 6), (10, 14))
        np.testing.assert_array_equal(forecast[0, step - 1, :, 6:, 0], expected)
    assert (numpy_of(goals.advect(last, 4, flow))[0, -1, :, 6:] == 99).any()


def test_advection_beats_persistence():
    frames = rotated(14, (64, 64), 0.05, 9, (20.0, 70.0))[None]
    forecast = numpy_of(goals.advect(frames[:, :5], 4))
    inner = (slice(None), slice(None), slice(12, -12), slice(12, -12))
    error = np.square(forecast - frames[:, 5:])[inner].mean()
    assert error < 0.05 * np.square(frames[:, 4:5] - frames[:, 5:])[inner].mean()


def test_compiled_with_unknown_batch():
    """In a compiled model whose batch size is unknown, as everywhere else."""

    class Advection(keras.layers.Layer):
        def call(self, frames):
            options = {"levels": 2, "iterations": 1}
            return (
                goals.advect(frames, 2, **options),
                goals.optical_flow(frames, **options),
                goals.frame_difference(frames),
            )

    inputs = keras.Input((3, 32, 24, 1))
    model = keras.Model(inputs, Advection()(inputs))
    assert [output.shape for output in model.outputs] == [
        (None, 2, 32, 24, 1),
        (None, 2, 32, 24, 2),
        (None, 2, 32, 24, 1),
    ]
    frames = np.stack([translated(seed, (32, 24), (1.0, 0.5), 3) for seed in range(3)])
    for got, expected in zip(model.predict(frames, batch_size=3, verbose=0), Advection()(frames)):
        np.testing.assert_allclose(got, numpy_of(expected), atol=1e-4)


# --- real data --------------------------------------------------------------------------------------------------------


@pytest.mark.needs_data("optical_flow", "image pairs of a known motion")
def test_real_image_pairs(data_folder):
    """FlyingChairs at half size, nine pairs: motions of up to 50 pixels, by several objects."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    errors, lengths = [], []
    for index in range(9):
        name = f"chairs_{index:02d}"
        pair = [
            np.asarray(image.open(data_folder / f"{name}_{side}.png").convert("RGB").reduce(2)) / 255 for side in (0, 1)
        ]
        flow = np.load(data_folder / f"{name}_flow.npz", allow_pickle=False)["flow"].astype("float32")
        expected = flow.reshape(192, 2, 256, 2, 2).mean(axis=(1, 3)) / 2
        errors.append(endpoint_error(goals.optical_flow(np.stack(pair)[None])[0, 0], expected).mean())
        lengths.append(np.linalg.norm(expected, axis=-1).mean())
    assert np.mean(errors) < 0.6 * np.mean(lengths)


@pytest.mark.needs_data("radar_nowcasting", "the radar data set")
@pytest.mark.parametrize("event, share", [("mch_20160711", 0.3), ("bom_melb_20180616", 0.55)])
def test_radar_advection(data_folder, event, share):
    """Four windows of a validation event: the error of persistence falls to its known share."""
    data = np.load(data_folder / f"{event}.npz", allow_pickle=False)
    rain = np.maximum(data["rain"] / 100.0, 1e-6)
    frames = np.clip(10 * np.log10(200 * rain**1.6) / 70, 0, 1).astype("float32")[..., None]
    windows = np.stack([frames[start : start + 10] for start in (0, 9, 18, 27)])
    valid = data["valid"]
    mask = np.broadcast_to(valid[None, ..., None], (4, *valid.shape, 1))
    forecast = numpy_of(goals.advect(windows[:, :5], 5, mask=mask))
    error = np.square(forecast - windows[:, 5:])[:, :, valid].mean()
    persistence = np.square(windows[:, 4:5] - windows[:, 5:])[:, :, valid].mean()
    assert error < share * persistence


# --- errors -----------------------------------------------------------------------------------------------------------

frames_like = np.zeros((1, 3, 16, 20, 1), "float32")


@pytest.mark.parametrize(
    "function", [goals.frame_difference, goals.optical_flow, goals.mean_flow, lambda frames: goals.advect(frames, 1)]
)
def test_wrong_frames(function):
    with pytest.raises(ValueError, match=r"batch, time, height, width, channels.*\(3, 16, 20, 1\).*frames\[None\]"):
        function(frames_like[0])
    with pytest.raises(ValueError, match="At least 2 frames.*Received 1"):
        function(frames_like[:, :1])


@pytest.mark.parametrize("goal", [goals.next_frame_difference, goals.next_frame_flow])
def test_wrong_pairs(goal):
    with pytest.raises(ValueError, match=r"y\[:, t\] for each frame x\[:, t\].*x=\(1, 3, .*y=\(1, 2, .*concatenate"):
        goal(frames_like, frames_like[:, :2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow traces unknown sizes as unknown")
def test_unknown_frame_size():
    class Flow(keras.layers.Layer):
        def call(self, frames):
            return goals.optical_flow(frames)

    with pytest.raises(ValueError, match="known time, height, width"):
        Flow()(keras.Input((None, 16, 20, 1)))


@pytest.mark.parametrize("steps", [0, -1, 2.0, True])
def test_wrong_steps(steps):
    with pytest.raises(ValueError, match=f"Python int of at least 1.*Received {steps}"):
        goals.advect(frames_like, steps)


def test_wrong_flow():
    with pytest.raises(ValueError, match=r"\(batch, 16, 20, 2\).*Received shape \(1, 20, 16, 2\)"):
        goals.advect(frames_like, 1, np.zeros((1, 20, 16, 2)))
    with pytest.raises(ValueError, match=r"\(batch, 16, 20, 2\).*Received shape \(1, 16, 20, 3\)"):
        goals.warp(frames_like[:, 0], np.zeros((1, 16, 20, 3)))
    with pytest.raises(ValueError, match=r"\(batch, height, width, 2\).*Received shape \(16, 20, 2\)"):
        goals.displacements(np.zeros((16, 20, 2)), 1)
    with pytest.raises(ValueError, match=r"leave one out|Received also \['levels'\]"):
        goals.advect(frames_like, 1, np.zeros((1, 16, 20, 2)), levels=2)


def test_wrong_images():
    with pytest.raises(ValueError, match=r"batch, height, width, channels.*frame by frame"):
        goals.warp(frames_like, np.zeros((1, 16, 20, 2)))


def test_wrong_mask():
    with pytest.raises(ValueError, match=r"\(batch, 16, 20, 1\).*Received shape \(16, 20\)"):
        goals.mean_flow(frames_like, np.ones((16, 20)))


@pytest.mark.parametrize(
    "option", [{"levels": 0}, {"iterations": 1.5}, {"window": 0}, {"smoothing": -1.0}, {"presmooth": -0.1}]
)
def test_wrong_options(option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name} must be .*Received {value}"):
        goals.optical_flow(frames_like, **option)


# --- what a goal asks for ---------------------------------------------------------------------------------------------


def test_targets_are_constants_and_weights_may_be_none():
    """What a goal is made of is not trained by its own loss."""
    tf = pytest.importorskip("tensorflow", reason="looks at TensorFlow's gradients")
    factor, frames = keras.Variable(2.0), np.ones((1, 2, 3), "float32")
    with tf.GradientTape() as tape:
        target = target_of(lambda x, y: ([factor * x, factor * y], None), frames, 3 * frames)
        total = ops.sum(target.values[0]) + ops.sum(target.values[1])
    assert tape.gradient(total, factor.value) is None and target.weights is None
    np.testing.assert_array_equal(numpy_of(target.values[1]), 6 * frames)


def test_weights_of_goal_and_sample_are_multiplied():
    whole, frames = np.array([2.0, 0.0]), np.array([[1.0, 3.0, 0.5], [1.0, 1.0, 1.0]])
    found = numpy_of(product(3, whole, None, frames))
    np.testing.assert_allclose(found, (whole[:, None] * frames)[..., None])
    assert product(3, None, None) is None
