"""The recurrent video models: the reference's numbers, sizes, sampling of true frames, lengths, saving, errors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras.zoo.encoder_decoder import fold
from scs_keras.zoo.video_prediction import build, load_reference
from scs_keras.zoo.video_prediction.e3dlstm import MeanSquaredAndAbsoluteError, PairConvolution
from scs_keras.zoo.video_prediction.gates import GateConvolution
from scs_keras.zoo.video_prediction.sampling import ScheduledSampling
from tests.checks import in_own_process

FIXTURES = Path(__file__).with_name("fixtures")
CASES = dict(convlstm=3, predrnn=3, predrnnpp=3, mim=3, e3dlstm=2)  # number of layers
MODELS = [*CASES, "predrnnv2"]


def to_numpy(x):
    return ops.convert_to_numpy(x)


def to_frames(patches, size=4):
    """Patches of one-channel frames, (batch, time, rows, columns, size*size), to frames; plain NumPy."""
    batch, time, rows, columns, _ = patches.shape
    frames = patches.reshape(batch, time, rows, columns, size, size).transpose(0, 1, 2, 4, 3, 5)
    return frames.reshape(batch, time, rows * size, columns * size, 1)


def fixture(name):
    with np.load(FIXTURES / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def reference_model(name, **hyperparameters):
    """The fixture's model with its weights, its arrays, and its frames."""
    arrays = fixture(name)
    config = dict(
        in_shape=[4, 1, 16, 24], pre_seq_length=4, aft_seq_length=3, total_length=7, patch_size=4, filter_size=5,
        stride=1, layer_norm=0, reverse_scheduled_sampling=0, device="cpu", num_hidden=[8] * CASES[name],
    )  # fmt: skip
    model = build(name, (4, 16, 24, 1), **config, **hyperparameters)
    load_reference(model, {key.removeprefix("sd/"): each for key, each in arrays.items() if key.startswith("sd/")})
    return model, arrays, to_frames(arrays["in/x"])


def small(name, input_shape=(3, 8, 12, 1), output_length=2, **hyperparameters):
    settings = dict(num_hidden=(4, 4), patch_size=2, filter_size=3, seed=7)
    return build(name, input_shape, output_length, **{**settings, **hyperparameters})


def random_frames(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


# The reference's numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_reference_outputs_and_losses(name):
    model, arrays, frames = reference_model(name)
    expected = to_frames(arrays["out/y"])
    free = model(frames[:, :4], return_all=True)
    np.testing.assert_allclose(free, expected, atol=1e-4)
    np.testing.assert_allclose(model(frames, sampling_mask=arrays["in/mask_test"]), expected, atol=1e-4)
    np.testing.assert_allclose(model(frames[:, :4]), expected[:, -3:], atol=1e-4)
    trained = model(frames[:, :6], sampling_mask=arrays["in/mask_train"], training=True)
    np.testing.assert_allclose(trained, to_frames(arrays["out/y_train"]), atol=1e-4)
    sees_truth = arrays["in/mask_train"].any()
    assert (np.abs(to_numpy(trained) - to_numpy(free)).max() > 1e-3) == sees_truth
    loss = model.benchmark_loss()(frames[:, 1:], trained)
    np.testing.assert_allclose(loss, arrays["out/loss"], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
def test_reference_gradients():
    import tensorflow as tf

    model, arrays, frames = reference_model("convlstm")
    weights = {name: weight for name, weight in model.reference_weights().items() if name not in model.dead_weights}
    expected = {key.removeprefix("grad/"): each for key, each in arrays.items() if key.startswith("grad/")}
    assert set(weights) == set(expected)
    with tf.GradientTape() as tape:
        predictions = model(frames, sampling_mask=arrays["in/mask_train"], training=True)
        loss = ops.mean(ops.square(predictions - frames[:, 1:]))
    gradients = tape.gradient(loss, [weight.variable.value for weight in weights.values()])
    for (name, weight), gradient in zip(weights.items(), gradients):
        np.testing.assert_allclose(gradient, weight.to_keras(expected[name]), atol=1e-5, err_msg=name)


def test_convlstm_legacy_output():
    model, arrays, frames = reference_model("convlstm", legacy=True, return_all=True)
    np.testing.assert_allclose(model(frames[:, :4]), to_frames(arrays["out/y_legacy_v030"]), atol=1e-4)


def test_predrnnpp_legacy_reads_the_other_memory():
    model, _, frames = reference_model("predrnnpp")
    legacy, _, _ = reference_model("predrnnpp", legacy=True)
    cells = model.cells[0], legacy.cells[0]
    rng = np.random.default_rng(1)
    x, h, c, m = (ops.convert_to_tensor(rng.normal(size=(1, 4, 6, n)).astype("float32")) for n in (16, 8, 8, 8))
    for new, old in zip(cells[0](x, h, m, m), cells[1](x, h, m, m)):
        np.testing.assert_array_equal(new, old)  # where c and m are equal the versions are
    assert np.abs(to_numpy(cells[0](x, h, c, m)[0] - cells[1](x, h, c, m)[0])).max() > 1e-3


def test_dead_weights():
    dead = {name: reference_model(name)[0].dead_weights for name in CASES}
    unused = ("conv_o.0.weight", "conv_last.weight")
    assert dead["convlstm"] == [f"cell_list.{index}.{name}" for index in range(3) for name in unused]
    assert dead["predrnnpp"] == [f"cell_list.{index}.conv_o.0.weight" for index in range(3)]
    assert dead["mim"] == [f"stlstm_layer_diff.{index}.conv_last.weight" for index in range(2)]
    assert dead["predrnn"] == dead["e3dlstm"] == []


# Sizes ------------------------------------------------------------------------------------------------

DATA = dict(
    moving_mnist=((10, 64, 64, 1), 10), taxibj=((4, 32, 32, 2), 4), kth=((10, 128, 128, 1), 20),
    kitti_caltech=((10, 128, 160, 3), 1),
)  # fmt: skip
PATCHES = dict(mim=(4, 2, 4, 2), e3dlstm=(4, 2, 8, 4))
PARAMETERS = dict(
    convlstm=(15_083_520, 14_980_096, 14_928_384, 15_031_808),
    predrnn=(23_838_720, 23_658_496, 23_568_384, 23_748_608),
    predrnnpp=(38_584_320, 38_404_096, 38_313_984, 38_494_208),
    predrnnv2=(23_855_104, 23_674_880, 23_584_768, 23_764_992),
    mim=(38_043_648, 37_863_424, 39_813_120, 49_160_192),
    e3dlstm=(51_347_456, 50_987_008, 53_510_144, 54_886_400),
)
LIVE = dict(
    convlstm=11_675_648, predrnn=23_838_720, predrnnpp=35_307_520, predrnnv2=23_855_104, mim=37_945_344,
    e3dlstm=51_347_456,
)  # fmt: skip


def sizes(name, **hyperparameters):
    """[(weights, of them live)] of a model for each data set, with zeros instead of fifty million random numbers."""
    keras.initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: ops.zeros(shape, dtype)
    models = (
        build(name, *data, patch_size=patch, **hyperparameters)
        for data, patch in zip(DATA.values(), PATCHES.get(name, (4, 2, 2, 2)))
    )
    return [(model.count_params(), model.parameters, model.live_parameters) for model in models]


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameters(name):
    counted, parameters, live = zip(*in_own_process(sizes, name))
    assert live[0] == LIVE[name]
    assert counted == parameters == PARAMETERS[name]


@pytest.mark.slow
def test_wider_convlstm():
    assert in_own_process(sizes, "convlstm", num_hidden="192,192,192,192")[0][1] == 33_782_784


# Cells ------------------------------------------------------------------------------------------------


def convolve(x, kernel, stride=1):
    """Plain NumPy: x (height, width, in), kernel (k, k, in, out), k // 2 zeros on every side."""
    size = kernel.shape[0]
    padded = np.pad(x, [(size // 2, size // 2)] * 2 + [(0, 0)])
    rows, columns = range(0, x.shape[0], stride), range(0, x.shape[1], stride)
    return np.array([[np.tensordot(padded[i : i + size, j : j + size], kernel, 3) for j in columns] for i in rows])


def test_gate_convolution_normalises():
    layer = GateConvolution(2, 6, 3, frame=(4, 5))
    x = random_frames(1, 4, 5, 2)
    scale, bias = random_frames(4, 5, 6, seed=1), random_frames(4, 5, 6, seed=2)
    layer.scale.assign(scale)
    layer.bias.assign(bias)
    y = convolve(x[0], to_numpy(layer.kernel))
    expected = (y - y.mean()) / np.sqrt(y.var() + 1e-5) * scale + bias
    np.testing.assert_allclose(layer(x)[0], expected, atol=1e-5)
    assert {end: tuple(each.variable.shape) for end, each in layer.reference_weights().items()} == {
        ".0.weight": (3, 3, 2, 6), ".1.weight": (4, 5, 6), ".1.bias": (4, 5, 6)
    }  # fmt: skip


@pytest.mark.parametrize("stride", [1, 2])
def test_pair_convolution_is_three_dimensional(stride):
    layer = PairConvolution(2, 3, 3, stride=stride)
    kernel = random_frames(3, 2, 2, 3, 3)  # the reference's (out, in, depth, k, k)
    weight = layer.reference_weights()[".0.conv3d.weight"]
    weight.variable.assign(weight.to_keras(kernel))
    x = random_frames(1, 4, 6, 2, 2, seed=1)  # (batch, height, width, depth, channels)
    expected = sum(convolve(x[0, :, :, d], kernel[:, :, d].transpose(2, 3, 1, 0), stride) for d in (0, 1))
    expected = expected.repeat(stride, 0).repeat(stride, 1)
    np.testing.assert_allclose(layer(x)[0, :, :, 0], expected, atol=1e-5)


def test_decoupling_penalty():
    model = small("predrnnv2", decouple_beta=0.5)
    rng = np.random.default_rng(3)
    deltas = rng.normal(size=(2, 2, 4, 6, 4)).astype("float32")  # (c and m, batch, height, width, channels)
    adapter = to_numpy(model.adapter.kernel)[0, 0]
    a, b = ((delta @ adapter).reshape(2, 24, 4) for delta in deltas)
    cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    np.testing.assert_allclose(model.penalties(*deltas)[0], np.abs(cosines).mean(), rtol=1e-5)
    model.penalties = lambda c, m: [ops.convert_to_tensor(3.0)]
    model(random_frames(1, 4, 8, 12, 1), training=True)
    np.testing.assert_allclose(model.losses, [1.5])  # beta * mean
    model(random_frames(1, 4, 8, 12, 1))
    assert not model.losses


def test_mim_memory_starts_afresh_or_is_carried():
    frames = random_frames(2, 3, 8, 12, 1)
    fresh, carried = small("mim"), small("mim", carry_memory=2)
    assert fresh.parameters == carried.parameters
    for variable, other in zip(fresh.trainable_variables, carried.trainable_variables):
        variable.assign(random_frames(*variable.shape) - 0.5)
        other.assign(variable)
    first = to_numpy(fresh(frames))
    np.testing.assert_array_equal(fresh(frames), first)
    np.testing.assert_allclose(carried(frames), first, atol=1e-6)
    assert np.abs(to_numpy(carried(frames)) - first).max() > 1e-4
    carried.reset_memory()
    np.testing.assert_allclose(carried(frames), first, atol=1e-6)
    with pytest.raises(ValueError, match="every batch has 2 samples. Received: 1"):
        carried(frames[:1])


def test_e3dlstm_global_memory_learns_only_if_updated():
    frames = random_frames(1, 3, 8, 12, 1)
    outputs = {}
    for update in (False, True):
        model = small("e3dlstm", update_memory=update)
        for variable in model.trainable_variables:
            variable.assign(random_frames(*variable.shape) - 0.5)
        before = to_numpy(model(frames))
        for cell in model.cells:
            cell.conv_gm.kernel.assign(cell.conv_gm.kernel * 2)
        outputs[update] = before, np.abs(to_numpy(model(frames)) - before).max()
    assert outputs[False][1] == 0  # the memory is zero for ever
    assert outputs[True][1] > 1e-4


def test_loss_of_e3dlstm():
    y, p = random_frames(2, 3, 4, 4, 1), random_frames(2, 3, 4, 4, 1, seed=1)
    loss = MeanSquaredAndAbsoluteError()
    np.testing.assert_allclose(loss(y, p), ((p - y) ** 2).mean() + np.abs(p - y).mean(), rtol=1e-5)
    assert isinstance(MeanSquaredAndAbsoluteError.from_config(loss.get_config()), MeanSquaredAndAbsoluteError)


# Scheduled sampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "count, expected", [(0, 1 - 2e-5), (9_999, 0.8), (24_999, 0.5), (49_999, 0.0), (50_000, 0.0), (80_000, 0.0)]
)
def test_scheduled_probability(count, expected):
    observed, future = ScheduledSampling().probabilities(count)
    np.testing.assert_allclose([observed, future], [1.0, expected], atol=1e-5)


@pytest.mark.parametrize(
    "count, expected",
    [
        (0, (0.5, 0.5)), (24_999, (0.5, 0.5)), (30_000, (1 - 0.5 * np.exp(-1), 0.4)),
        (37_500, (1 - 0.5 * np.exp(-2.5), 0.25)), (50_000, (1.0, 0.0)), (60_000, (1.0, 0.0)),
    ],
)  # fmt: skip
def test_reverse_scheduled_probability(count, expected):
    np.testing.assert_allclose(ScheduledSampling(reverse=True).probabilities(count), expected, atol=1e-5)


def test_masks_have_their_probability_and_repeat():
    sampling = ScheduledSampling(reverse=True, r_step_1=0, r_step_2=100, r_alpha=50, seed=3)
    sampling.count = 50
    mask = to_numpy(sampling.draw(400, 3, 5))
    assert mask.shape == (400, 8, 1, 1, 1) and set(np.unique(mask)) == {0, 1}
    np.testing.assert_allclose(mask[:, :3].mean(), 1 - 0.5 * np.exp(-1), atol=0.05)
    np.testing.assert_allclose(mask[:, 3:].mean(), 0.25, atol=0.05)
    assert sampling.count == 51
    assert np.any(to_numpy(sampling.draw(400, 3, 5)) != mask)
    sampling.count = 50
    np.testing.assert_array_equal(sampling.draw(400, 3, 5), mask)


def test_training_samples_and_inference_does_not(tmp_path):
    frames = random_frames(4, 4, 8, 12, 1)
    model = small("predrnn", sampling_changing_rate=0.25, sampling_stop_iter=10)
    outputs = [to_numpy(model(frames, training=True)) for _ in range(2)]  # eta 0.75, 0.5
    assert model.sampling.count == 2
    free = to_numpy(model(frames[:, :3], return_all=True))
    true = to_numpy(model(frames, sampling_mask=np.ones((4, 1, 1, 1, 1))))
    assert model.sampling.count == 2
    for output in outputs:  # each sample saw either the true frame or its prediction
        assert all(np.allclose(o, f, atol=1e-6) or np.allclose(o, t, atol=1e-6) for o, f, t in zip(output, free, true))
    model.save_weights(tmp_path / "model.weights.h5")
    after = [to_numpy(model(frames, training=True)) for _ in range(4)]
    np.testing.assert_allclose(after[-1], free, atol=1e-6)  # eta has reached 0
    again = small("predrnn", sampling_changing_rate=0.25, sampling_stop_iter=10, seed=1)
    again.load_weights(tmp_path / "model.weights.h5")
    assert again.sampling.count == 2
    for expected in after:
        np.testing.assert_allclose(again(frames, training=True), expected, atol=1e-6)


def test_without_scheduled_sampling_the_future_is_never_shown():
    frames = random_frames(2, 4, 8, 12, 1)
    model = small("convlstm", scheduled_sampling=False)
    np.testing.assert_allclose(model(frames, training=True), model(frames[:, :3], return_all=True), atol=1e-6)
    assert model.sampling.count == 0


def test_reverse_mask_hides_observed_frames():
    model = small("predrnn", reverse_scheduled_sampling=True)
    frames, other = random_frames(1, 4, 8, 12, 1), random_frames(1, 4, 8, 12, 1, seed=1)
    other[:, 0] = frames[:, 0]
    hidden = np.zeros((1, 3, 1, 1, 1))
    np.testing.assert_array_equal(model(frames, sampling_mask=hidden), model(other, sampling_mask=hidden))
    test = np.array([1, 1, 0]).reshape(1, 3, 1, 1, 1)
    np.testing.assert_allclose(model(frames[:, :3], return_all=True), model(frames, sampling_mask=test), atol=1e-6)


# Lengths, channels, training, saving --------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_any_output_length(name):
    model = small(name)
    frames = random_frames(1, 3, 8, 12, 1)
    outputs = {}
    for length in (1, 5):
        model.output_length = length
        outputs[length] = to_numpy(model(frames))
        assert outputs[length].shape == (1, length, 8, 12, 1)
    np.testing.assert_allclose(outputs[1], outputs[5][:, :1], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_other_channels_out_than_in(channels):
    model = small("convlstm", (3, 8, 12, 2), 3, output_channels=channels)
    frames = random_frames(1, 3, 8, 12, 2)
    output = to_numpy(model(frames))
    assert output.shape == (1, 3, 8, 12, channels)
    seen, shown = np.concatenate([frames, np.repeat(frames[:, -1:], 2, axis=1)], axis=1), min(channels, 2)
    seen[:, 3:, ..., :shown] = output[:, :2, ..., :shown]  # what it lacks keeps its last values
    by_hand = model(seen, sampling_mask=np.ones((1, 2, 1, 1, 1)))
    np.testing.assert_allclose(by_hand[:, -3:], output, atol=1e-6)
    assert model.training_pair(random_frames(1, 6, 8, 12, 2))[1].shape == (1, 5, 8, 12, min(channels, 2))


@pytest.mark.parametrize("output_length", [1, 3])
def test_training_pair_fits_the_output(output_length):
    model = small("convlstm", output_length=output_length)
    sequence = random_frames(2, 3 + output_length, 8, 12, 1)
    x, y = model.training_pair(sequence)
    np.testing.assert_array_equal(y, sequence[:, 1:])
    assert model(x, training=True).shape == model(x).shape == y.shape
    changed = x.copy()
    changed[:, len(y[0]) :] = 0
    np.testing.assert_array_equal(model(changed), model(x))  # the last frame, if given, is not used


def test_fit_halves_the_loss():
    keras.utils.set_random_seed(0)
    model = small("predrnnv2", (2, 8, 12, 1), num_hidden=(8,))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=model.benchmark_loss(), jit_compile=False)
    x, y = model.training_pair(np.repeat(random_frames(4, 1, 8, 12, 1), 4, axis=1))
    before = model.evaluate(x, y, verbose=0)
    model.fit(np.tile(x, (25, 1, 1, 1, 1)), np.tile(y, (25, 1, 1, 1, 1)), batch_size=4, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.5 * before
    assert model.sampling.count == 25


@pytest.mark.parametrize("name", MODELS)
def test_keras_round_trip(name, tmp_path):
    model = small(name, layer_norm=name != "mim", return_all=True)
    model.sampling.count = 5
    frames = random_frames(2, 3, 8, 12, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config() and loaded.sampling.count == 5
    np.testing.assert_allclose(loaded(frames), model(frames), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision(name):
    frames = random_frames(1, 3, 8, 12, 1)
    model, half = small(name), small(name, dtype="mixed_bfloat16")
    for variable, other in zip(model.weights, half.weights):
        other.assign(variable)
    output = half(frames)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    assert keras.backend.standardize_dtype(half.cells[0].compute_dtype) == "bfloat16"
    np.testing.assert_allclose(output, model(frames), atol=0.05)


def test_patches_are_in_the_reference_order():
    x = fixture("convlstm")["in/x"]
    np.testing.assert_array_equal(fold(to_frames(x), 4), x)


def test_signature_shows_all_hyperparameters():
    config = small("convlstm").get_config()
    assert {"legacy", "num_hidden", "patch_size", "sampling_stop_iter", "r_exp_alpha", "return_all"} <= set(config)


# Errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("predrnn", dict(num_hidden=(4, 8)), "one number of channels"),
        ("convlstm", dict(num_hidden="4,x"), "whole numbers of at least 1"),
        ("convlstm", dict(num_hidden=()), "whole numbers of at least 1"),
        ("convlstm", dict(num_hidden=(4, 0)), "whole numbers of at least 1"),
        ("convlstm", dict(stride=2), "`stride` must be 1"),
        ("convlstm", dict(filter_size=4), "`filter_size` must be odd"),
        ("convlstm", dict(patch_size=0), "`patch_size` is a whole number of at least 1"),
        ("convlstm", dict(patch_size=8), "multiples of 8"),
        ("mim", dict(num_hidden="4"), "at least two layers"),
        ("mim", dict(carry_memory=True), "size of all batches"),
        ("convlstm", dict(sampling_start_value=1.5), r"in \[0, 1\]"),
        ("convlstm", dict(r_sampling_step_1=9, r_sampling_step_2=3), "must not come before"),
        ("convlstm", dict(r_exp_alpha=0), "must be positive"),
        ("predrnnv2", dict(decouple_beta=-1), "`decouple_beta` is at least 0"),
        ("e3dlstm", dict(stride=20), "`stride` is at most a frame's size in patches"),
    ],
)
def test_impossible_hyperparameters(name, settings, message):
    with pytest.raises(ValueError, match=message):
        small(name, **settings)


@pytest.mark.parametrize(
    "shape, mask, message",
    [
        ((1, 2, 8, 12, 1), None, "Received: 2 frames"),
        ((1, 6, 8, 12, 1), None, "Received: 6 frames"),
        ((1, 4, 8, 12, 1), (1, 2, 1, 1, 1), r"`sampling_mask` is \(batch, 1, 1, 1, 1\)"),
        ((1, 4, 8, 12, 1), (1, 1, 4, 1, 1), r"Received: shape=\(1, 1, 4, 1, 1\)"),
        ((1, 4, 8, 12, 1), (1, 1, 8, 12, 1), r"\(batch, 1, 4, 6, 4\) here. Received: shape=\(1, 1, 8, 12, 1\)"),
    ],
)
def test_impossible_input(shape, mask, message):
    with pytest.raises(ValueError, match=message):
        small("convlstm")(random_frames(*shape), sampling_mask=None if mask is None else np.ones(mask))


@pytest.mark.parametrize("name", ["mim", "e3dlstm"])
def test_frames_of_another_size_than_the_weights(name):
    with pytest.raises(ValueError, match="8 x 12"):
        small(name)(random_frames(1, 3, 12, 8, 1))
    with pytest.raises(ValueError, match="8 x 12"):
        small("convlstm", layer_norm=True)(random_frames(1, 3, 12, 8, 1))
    assert small("convlstm")(random_frames(1, 3, 12, 8, 1)).shape == (1, 2, 12, 8, 1)


# JAX --------------------------------------------------------------------------------------------------

ON_JAX = """
import sys
import keras
import numpy as np
from tests.test_video_recurrent import random_frames, small, to_numpy
keras.initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: np.zeros(shape, dtype)  # quick
folder = sys.argv[1]
for name in ("predrnnv2", "e3dlstm"):
    model = small(name, (2, 8, 12, 1), num_hidden=(4,))
    model.load_weights(f"{folder}/{name}.weights.h5")
    np.save(f"{folder}/{name}.npy", model.predict(random_frames(2, 2, 8, 12, 1), verbose=0))
    if name == "predrnnv2":
        model.compile("sgd", "mse")
        model.train_on_batch(*model.training_pair(random_frames(2, 4, 8, 12, 1)))
        model.save_weights(f"{folder}/trained.weights.h5")
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason='needs JAX: pip install "jax>=0.5"')
@pytest.mark.slow
def test_jax_gives_the_same_numbers_and_trains(tmp_path):
    frames, expected = random_frames(2, 2, 8, 12, 1), {}
    for name in ("predrnnv2", "e3dlstm"):
        model = small(name, (2, 8, 12, 1), num_hidden=(4,))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = to_numpy(model(frames))
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", ON_JAX, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    for name, output in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), output, atol=1e-5)
    trained = small("predrnnv2", (2, 8, 12, 1), num_hidden=(4,))
    trained.load_weights(tmp_path / "trained.weights.h5")
    assert trained.sampling.count == 1
    assert np.abs(to_numpy(trained(frames)) - expected["predrnnv2"]).max() > 1e-5
