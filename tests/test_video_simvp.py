"""SimVP and TAU: numbers of the public reference implementation, sizes, lengths, ablations, errors."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from scs_keras.zoo.video_prediction import build, load_reference
from scs_keras.zoo.video_prediction.convolutions import group_normalization
from scs_keras.zoo.video_prediction.losses import DifferentialDivergenceLoss, differential_divergence
from scs_keras.zoo.video_prediction.predictor import default_dtype
from scs_keras.zoo.video_prediction.translators import DropPath

FIXTURES = Path(__file__).parent / "fixtures"
SHAPE = (4, 16, 24, 2)
SIZES = dict(hid_S=8, N_S=4, N_T=3, spatio_kernel_enc=3, spatio_kernel_dec=3, drop=0.0, drop_path=0.0, mlp_ratio=2.0)
REFERENCE = dict(in_shape=[4, 2, 16, 24], **SIZES)
CASES = {  # fixture: (name, its configuration, parameters)
    "tau": ("tau", dict(REFERENCE, model_type="tau", hid_T=80, alpha=0.1), 136258),
    "simvp_incepu": ("simvp", dict(REFERENCE, model_type="IncepU", hid_T=32, alpha=0.0), 92722),
}
TINY = dict(hid_S=8, hid_T=16, N_S=2, N_T=2, mlp_ratio=2.0)


def channels_last(array):
    return np.moveaxis(array, -3, -1)


def frames(batch=2, shape=(2, 8, 8, 1), seed=0):
    return np.random.default_rng(seed).random((batch, *shape), "float32")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """(model with the reference's weights, the fixture's arrays)."""
    name, config, parameters = CASES[request.param]
    with np.load(FIXTURES / f"{request.param}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    model = build(name, SHAPE, **config)
    load_reference(model, {key[3:]: array for key, array in arrays.items() if key.startswith("sd/")})
    assert model.parameters == model.live_parameters == parameters
    return model, arrays


def test_group_normalization_equals_keras():
    x = 3 * frames(shape=(6, 4, 12)) + np.arange(12, dtype="float32")
    weights = np.random.default_rng(1).normal(size=(2, 12)).astype("float32")
    for groups in (1, 2, 6):
        ours, keras_own = group_normalization(groups, 12), keras.layers.GroupNormalization(groups, epsilon=1e-5)
        keras_own(x)
        for layer in (ours, keras_own):
            layer.set_weights(weights)
        np.testing.assert_allclose(ours(x), keras_own(x), atol=1e-5)
    x = 0.2 * frames(shape=(6, 4, 12)) + 30  # the mean is far from zero
    flat = x.astype("float64").reshape(2, 24, 6, 2)
    mean, deviation = (getattr(flat, name)(axis=(1, 3), keepdims=True) for name in ("mean", "std"))
    expected = ((flat - mean) / np.sqrt(deviation**2 + 1e-5)).reshape(x.shape) * weights[0] + weights[1]
    np.testing.assert_allclose(ours(x), expected, atol=5e-3)


# The reference's numbers ------------------------------------------------------------------------


def test_output_and_what_is_between(case):
    model, arrays = case
    x = channels_last(arrays["in/x"])
    latent, skip = model.encode(x.reshape(-1, *x.shape[2:]))
    found = {"out/y": model(x), "mid/enc_latent": latent, "mid/enc_skip": skip}
    if "mid/hid" in arrays:
        found["mid/hid"] = ops.reshape(model.translate(latent), (2, 4, *latent.shape[1:]))
    else:
        z = np.asarray(latent).reshape(2, 4, *latent.shape[1:]).transpose(0, 2, 3, 1, 4)
        z = z.reshape(*z.shape[:3], -1)
        for index, block in enumerate(model.translator.blocks):
            z = found[f"mid/hid_block{index}"] = block(z)
    assert found.keys() == {key for key in arrays if key.startswith(("out/y", "mid/"))}
    for key, value in found.items():
        np.testing.assert_allclose(value, channels_last(arrays[key]), atol=1e-4, err_msg=key)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape")
def test_loss_and_gradients(case):
    import tensorflow as tf

    model, arrays = case
    x, target = channels_last(arrays["in/x"]), channels_last(arrays["in/target"])
    names = [key[5:] for key in arrays if key.startswith("grad/")]
    weights = model.reference_weights()
    with tf.GradientTape() as tape:
        predicted = model(x, training=False)
        loss = model.benchmark_loss()(target, predicted)
    gradients = tape.gradient(loss, [weights[name].variable.value for name in names])
    assert float(loss) == pytest.approx(float(arrays["out/loss"]), abs=1e-5)
    assert np.mean(np.square(predicted - target)) == pytest.approx(float(arrays["out/loss_mse"]), abs=1e-5)
    divergence = np.mean(differential_divergence(ops.convert_to_tensor(target), predicted))
    assert divergence == pytest.approx(float(arrays["out/loss_diff_div"]), rel=1e-4)
    assert len(names) == len(model.trainable_variables)
    for name, gradient in zip(names, gradients):
        np.testing.assert_allclose(gradient, weights[name].to_keras(arrays[f"grad/{name}"]), atol=1e-4, err_msg=name)


LARGE = dict(moving_mnist=(10, 64, 64, 1), taxibj=(4, 32, 32, 2), kth=(10, 128, 128, 1), kitti=(10, 128, 160, 3))
ONE_STRIDE = dict(hid_S=64, hid_T=256, N_S=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data", "hyperparameters", "parameters"),
    [
        ("tau", "moving_mnist", {}, 44_656_001),
        ("simvp_gsta", "moving_mnist", {}, 46_769_665),
        ("simvp", "moving_mnist", {}, 57_946_113),
        ("tau", "taxibj", dict(hid_S=32, hid_T=256, N_S=2), 9_545_442),
        ("simvp_gsta", "taxibj", dict(hid_S=32, hid_T=256, N_S=2), 9_961_058),
        ("simvp", "taxibj", dict(hid_S=32, hid_T=256, N_S=2), 13_794_914),
        ("tau", "kth", dict(ONE_STRIDE, N_T=6), 14_955_201),
        ("simvp_gsta", "kth", dict(ONE_STRIDE, N_T=6), 15_632_961),
        ("simvp", "kth", dict(ONE_STRIDE, N_T=4), 8_600_641),
        ("tau", "kitti", dict(ONE_STRIDE, N_T=6), 14_956_483),
        ("simvp_gsta", "kitti", dict(ONE_STRIDE, N_T=6), 15_634_243),
        ("simvp", "kitti", dict(ONE_STRIDE, N_T=4), 8_601_923),
    ],
)
def test_published_sizes(name, data, hyperparameters, parameters):
    model = build(name, LARGE[data], **hyperparameters)
    assert model.parameters == model.live_parameters == parameters
    keras.backend.clear_session(free_memory=True)


# Lengths, channels, frame sizes -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["tau", "simvp_gsta", "simvp"])
def test_more_frames_are_fed_back_and_fewer_are_cut(name):
    model = build(name, (2, 8, 8, 1), **TINY)
    x = frames()
    once = np.asarray(model(x))
    twice = np.asarray(model(once))
    assert once.shape == x.shape and not np.allclose(once, twice)
    for length in (1, 2, 3, 4):
        model.output_length = length
        np.testing.assert_allclose(model(x), np.concatenate([once, twice], axis=1)[:, :length], atol=1e-6)
    assert model.passes == 2


def test_other_channels_come_out_and_those_not_predicted_keep_their_last_values():
    model = build("tau", (2, 8, 8, 3), output_length=4, output_channels=2, **TINY)
    x = frames(shape=(2, 8, 8, 3))
    y = np.asarray(model(x))
    assert y.shape == (2, 4, 8, 8, 2)
    fed_back = np.concatenate([y[:, :2], np.repeat(x[:, -1:, ..., 2:], 2, axis=1)], axis=-1)
    model.output_length = 2
    np.testing.assert_allclose(model(fed_back), y[:, 2:], atol=1e-5)
    observed, future = model.training_pair(frames(shape=(4, 8, 8, 3)))
    assert observed.shape == (2, 2, 8, 8, 3) and future.shape == (2, 2, 8, 8, 2)


def test_more_channels_than_seen_can_be_predicted():
    assert build("simvp", (2, 8, 8, 1), output_length=3, output_channels=2, **TINY)(frames()).shape == (2, 3, 8, 8, 2)


def test_other_frame_sizes_go_through_the_same_weights():
    model = build("tau", (2, 8, 8, 1), **TINY)
    assert model(frames(shape=(2, 10, 6, 1))).shape == (2, 2, 10, 6, 1)


def test_bfloat16_is_near_and_comes_out_as_float32():
    model = build("tau", (2, 8, 8, 1), **TINY)
    half = build("tau", (2, 8, 8, 1), dtype="mixed_bfloat16", **TINY)
    half.set_weights(model.get_weights())
    assert half.readout.compute_dtype == "bfloat16" and keras.config.dtype_policy().name == "float32"
    y = half(frames())
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(y, model(frames()), atol=0.05)


# Training ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_learns_with_predictions_fed_back():
    x = frames(4)
    model = build("tau", (2, 8, 8, 1), output_length=3, drop_path=0.2, drop=0.1, **TINY)
    model.compile(keras.optimizers.Adam(1e-2), loss=model.benchmark_loss(), jit_compile=False)
    losses = model.fit(x, np.repeat(x[:, -1:], 3, axis=1), epochs=12, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("name", ["tau", "simvp_gsta", "simvp"])
def test_saved_and_loaded(name, tmp_path):
    model = build(name, (2, 8, 8, 1), output_length=1, output_channels=2, drop_path=0.2, dtype="mixed_bfloat16", **TINY)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert loaded.drop_path == 0.2 and loaded.output_length == 1 and loaded.readout.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(loaded(frames()), model(frames()))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    layer, x = DropPath(0.25), np.ones((4000, 2, 2, 1), "float32")
    y = np.asarray(layer(x, training=True))
    kept = y[:, 0, 0, 0] > 0
    assert np.array_equal(y, np.broadcast_to(kept[:, None, None, None] / np.float32(0.75), y.shape))
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    assert np.array_equal(layer(x, training=False), x)


def test_drop_path_rises_from_the_references_first_value():
    def rates(**hyperparameters):
        model = build("simvp_gsta", (2, 8, 8, 1), **{**TINY, "N_T": 3, **hyperparameters})
        return [block.drop_path.rate for block in model.translator.blocks]

    assert rates() == pytest.approx([0.01, 0.005, 0.0])
    assert rates(drop_path=0.2) == pytest.approx([0.01, 0.105, 0.2])
    assert rates(first_drop_path=0.0) == [0, 0, 0]


def test_initial_values_are_the_references():
    model = build("simvp_gsta", (4, 16, 16, 1), hid_S=64, hid_T=64, N_S=2, N_T=2)
    block = model.translator.blocks[1]
    assert np.std(model.encoder[1].convolution.kernel) == pytest.approx(0.02, rel=0.05)
    assert np.std(block.mlp.local.kernel) == pytest.approx(np.sqrt(2 / 9), rel=0.05)
    assert np.std(block.mlp.narrow.kernel) == pytest.approx(np.sqrt(2 / 64), rel=0.05)
    assert np.all(np.asarray(block.scale1) == np.float32(0.01))
    tau = build("tau", (4, 16, 16, 1), hid_S=64, hid_T=64, N_S=2, N_T=2).translator.blocks[1].attention
    assert np.abs(tau.mix.kernel).max() == pytest.approx(1 / 8, rel=0.01)  # PyTorch's own: U(-1/sqrt(fan_in), ...)
    assert np.abs(tau.wide.kernel).max() == pytest.approx(1 / 7, rel=0.01)


# The paper's ablations ----------------------------------------------------------------------------


def test_attention_without_its_static_or_dynamic_part():
    both, static, dynamic = (
        build("tau", (2, 8, 8, 1), **TINY, **ablation)
        for ablation in ({}, dict(dynamic_attention=False), dict(static_attention=False))
    )
    assert both.parameters > max(static.parameters, dynamic.parameters)
    u = frames(shape=(4, 4, 16)) - 0.5
    units = [model.translator.blocks[0].attention for model in (both, static, dynamic)]
    for unit in units[1:]:
        for name in ("local", "wide", "mix", "squeeze", "excite"):
            if hasattr(unit, name):
                getattr(unit, name).set_weights(getattr(units[0], name).get_weights())
    with_both, with_static, with_dynamic = (np.asarray(unit.unit(u)) for unit in units)
    np.testing.assert_allclose(with_static * with_dynamic, with_both * u, atol=1e-5)  # (SA u)(DA u) = (SA DA u) u


def test_alpha_zero_is_the_mean_squared_error():
    y, p = frames(shape=(4, 8, 8, 1)), frames(shape=(4, 8, 8, 1), seed=1)
    mse = np.mean((y - p) ** 2)
    assert float(DifferentialDivergenceLoss(alpha=0.0)(y, p)) == pytest.approx(mse, rel=1e-5)
    assert float(DifferentialDivergenceLoss(alpha=0.1)(y, p)) > mse
    assert isinstance(build("tau", (2, 8, 8, 1), alpha=0, **TINY).benchmark_loss(), keras.losses.MeanSquaredError)
    assert build("tau", (2, 8, 8, 1), **TINY).benchmark_loss().alpha == 0.1
    assert isinstance(build("simvp", (2, 8, 8, 1), **TINY).benchmark_loss(), keras.losses.MeanSquaredError)


def test_divergence_is_that_of_plain_numpy():
    y, p = (frames(3, (4, 5, 6, 2), seed).astype("float64") for seed in (0, 1))

    def softmax(values):
        e = np.exp(values / 0.1)
        return e / e.sum(axis=(2, 3, 4), keepdims=True)

    a, b = softmax(np.diff(p, axis=1)), softmax(np.diff(y, axis=1))
    kl = (a * np.log(a / b)).sum(axis=(2, 3, 4)).mean(axis=1)
    y, p = y.astype("float32"), p.astype("float32")
    np.testing.assert_allclose(differential_divergence(y, p, over_pixels="sum"), kl, rtol=1e-4)
    np.testing.assert_allclose(differential_divergence(y, p), kl / 60, rtol=1e-4)
    assert not np.any(differential_divergence(y[:, :2], p[:, :2]))
    assert np.allclose(differential_divergence(y, y), 0, atol=1e-6)


def test_loss_keeps_its_settings_and_weighs_samples():
    loss = DifferentialDivergenceLoss(0.5, tau=0.2, over_pixels="sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    y, p = frames(shape=(4, 8, 8, 1)), frames(shape=(4, 8, 8, 1), seed=1)
    assert float(again(y, p)) == float(loss(y, p)) != float(DifferentialDivergenceLoss(0.5)(y, p))
    assert 2 * float(loss(y, p, sample_weight=[1.0, 0.0])) == pytest.approx(float(loss(y[:1], p[:1])), rel=1e-5)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="taau"), "Did you mean 'tau'"),
        (dict(hid_s=3), "no hyperparameter 'hid_s'. Did you mean 'hid_S'"),
        (dict(input_shape=(2, 8, 8)), "four whole numbers"),
        (dict(input_shape=(2, 10, 8, 1), N_S=4), "multiples of 4. Received: height 10, .*height 8 or 12, width 8"),
        (dict(output_length=0), "`output_length` is a whole number"),
        (dict(output_channels=1.5), "`output_channels` is a whole number"),
        (dict(hid_S=7), "`hid_S` is a positive even number"),
        (dict(N_T=1), "`N_T` is at least 2"),
        (dict(N_S=0), "`N_S` is a whole number of at least 1"),
        (dict(N_S="4"), "`N_S` is a whole number of at least 1. Received: N_S='4'"),
        (dict(hid_S=4.0), "`hid_S` is a whole number of at least 1"),
        (dict(hid_T=3), "`hid_T` is for TAU at least 4"),
        (dict(mlp_ratio=0), "`mlp_ratio` is more than 0"),
        (dict(spatio_kernel_enc=4), "`spatio_kernel_enc` is a positive odd number"),
        (dict(spatio_kernel_dec=-1), "`spatio_kernel_dec` is a positive odd number"),
        (dict(drop_path=1.0), r"`drop_path` is in \[0, 1\)"),
        (dict(alpha=-1.0), "`alpha` is at least 0"),
        (dict(name="simvp", hid_T=24), "`hid_T` is for IncepU a multiple of 16"),
        (dict(name="simvp", input_shape=(1, 8, 8, 1), hid_S=6), "`hid_S` is for IncepU such that"),
        (dict(name="simvp", static_attention=False), 'Only model_type="TAU"'),
        (dict(model_type="gSTA"), "`model_type` does not agree with the name 'tau'"),
        (dict(in_shape=[2, 1, 8, 16]), r"`in_shape` does not agree .* \(2, 1, 8, 8\)"),
        (dict(pre_seq_length=3), "`pre_seq_length` does not agree"),
        (dict(total_length=5), "`total_length` does not agree"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{"name": "tau", "input_shape": (2, 8, 8, 1), **TINY, **arguments})


def test_a_reference_configuration_gives_the_lengths():
    given = dict(in_shape=[2, 1, 8, 8], pre_seq_length=2, aft_seq_length=3, total_length=5, device="cpu")
    of_training = dict(method="TAU", model_type="tau", lr=1e-3, batch_size=16, sched="onecycle", warmup_epoch=0)
    assert build("tau", (2, 8, 8, 1), **TINY, **given, **of_training, act_inplace=True).output_length == 3


@pytest.mark.slow
def test_the_length_can_change_after_a_prediction():
    model = build("tau", (2, 8, 8, 1), **TINY)
    for length in (2, 5, 1):
        model.output_length = length
        assert model.predict(frames(), verbose=0).shape[1] == length
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="`output_length` is a whole number of at least 1. Received"):
            model.output_length = wrong


@pytest.mark.slow
def test_export_needs_no_call_before(tmp_path):
    model = build("tau", (2, 8, 8, 1), **TINY)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.serve(frames()), model(frames()), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 8, 8), r"takes frames \(batch, time, height, width, channels\) with 1 channels"),
        ((1, 2, 8, 8, 2), "with 1 channels"),
        ((1, 1, 8, 8, 1), "built for 2 frames. Received: 1 frames"),
        ((1, 2, 8, 7, 1), "multiples of 2. Received: height 8, width 7.*width 6 or 8"),
    ],
)
def test_bad_frames(shape, message):
    model = build("tau", (2, 8, 8, 1), **TINY)
    with pytest.raises(ValueError, match=message):
        model(np.zeros(shape, "float32"))


def test_pixels_are_told_from_frames():
    with pytest.raises(ValueError, match="frames of floating point, .* Received: dtype uint8. Divide pixels by 255"):
        build("tau", (2, 8, 8, 1), **TINY)(np.zeros((1, 2, 8, 8, 1), "uint8"))


def test_settings_of_the_regularisation_reach_the_loss():
    loss = build("tau", (2, 8, 8, 1), **TINY, alpha=0.3, tau=0.2, over_pixels="sum").benchmark_loss()
    assert (loss.alpha, loss.tau, loss.over_pixels) == (0.3, 0.2, "sum")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(alpha=-0.1), "`alpha` is at least 0"),
        (dict(tau=0), "`tau` is more than 0"),
        (dict(epsilon=0), "`epsilon` is more than 0"),
        (dict(over_pixels="max"), '"mean" .as published. or "sum"'),
    ],
)
def test_bad_loss(arguments, message):
    with pytest.raises(ValueError, match=message):
        DifferentialDivergenceLoss(**arguments)


def test_default_dtype_is_put_back_after_an_error():
    with pytest.raises(KeyError), default_dtype("mixed_bfloat16"):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
