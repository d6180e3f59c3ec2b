"""Multiply-adds: by hand for single layers, against the published figures for whole models."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import __main__ as cli
from scs_keras import zoo
from scs_keras.training import costs as flops
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.video_prediction import build
from tests.presets import only_presets

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counted in TensorFlow's graph")
TINY = dict(hid_S=4, hid_T=8, N_S=2, N_T=2, mlp_ratio=1.0)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: keras.layers.Dense(5), (7,), 7 * 5),
        (lambda: keras.layers.Conv1D(5, 3, padding="same"), (8, 2), 8 * 5 * 3 * 2),
        (lambda: keras.layers.Conv2D(5, 3, padding="same"), (8, 6, 2), 8 * 6 * 5 * 9 * 2),
        (lambda: keras.layers.Conv2D(5, 3, strides=2), (9, 7, 2), 4 * 3 * 5 * 9 * 2),
        (lambda: keras.layers.Conv2D(6, 3, padding="same", groups=2), (8, 6, 4), 8 * 6 * 6 * 9 * 2),
        (lambda: keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (8, 6, 2), 8 * 6 * 2 * 9 * 5),
        (lambda: keras.layers.DepthwiseConv2D(5, padding="same"), (8, 6, 3), 8 * 6 * 3 * 25),
        (lambda: keras.layers.Conv3D(5, (2, 3, 3), padding="same"), (4, 8, 6, 2), 4 * 8 * 6 * 5 * 18 * 2),
        (lambda: keras.layers.Lambda(lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1)))), (4, 6), 4 * 4 * 6),
        (lambda: keras.layers.Lambda(lambda x: ops.einsum("bij,bkj->bik", x, x)), (4, 6), 4 * 4 * 6),
    ],
)
def test_single_layers(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer()])
    assert flops.multiply_adds(model, shape) == expected


def test_a_loop_of_unknown_length_is_refused():
    model = keras.Sequential([keras.Input((4, 8, 8, 1)), keras.layers.ConvLSTM2D(2, 3)])
    with pytest.raises(ValueError, match="loop of unknown length.*unroll=True"):
        flops.multiply_adds(model, (4, 8, 8, 1))


@pytest.mark.parametrize(
    ("preset", "published"),
    [("tau_video_taxibj", 2.492e9), ("simvp_gsta_video_taxibj", 2.613e9), ("simvp_gsta_video_kitti_caltech", 96.243e9)],
)
def test_published_figures(preset, published):
    cost = flops.preset_cost(zoo.get_preset(preset))
    assert cost.multiply_adds == pytest.approx(published, rel=0.01) and cost.passes == 1
    assert cost.parameters == cost.live_parameters


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("tau_video_moving_mnist", 15.953e9),
        ("simvp_gsta_video_moving_mnist", 16.526e9),
        ("simvp_video_moving_mnist", 19.431e9),
        ("tau_video_kth", 73.773e9),
        ("tau_video_kitti_caltech", 92.478e9),
        ("simvp_gsta_video_kth", 76.785e9),
        ("simvp_video_taxibj", 3.614e9),
        ("simvp_video_kth", 48.256e9),
        ("simvp_video_kitti_caltech", 60.582e9),
    ],
)
def test_published_figures_by_hand(preset, published):
    arguments = zoo.get_preset(preset).arguments
    assert simvp_by_hand(**arguments) == pytest.approx(published, rel=0.01)


def simvp_by_hand(name, input_shape, hid_S, hid_T, N_S, N_T, mlp_ratio=8, **_):
    """Multiply-adds of one pass, from the shapes alone."""
    time, height, width, channels = input_shape
    pixels, down = height * width, [i % 2 == 1 for i in range(N_S)]
    total, size = 0, pixels
    for i, strided in enumerate(down):
        size //= 4 if strided else 1
        total += time * size * 9 * (channels if i == 0 else hid_S) * hid_S
    latent = size
    for strided in reversed(down):
        total += time * size * 9 * hid_S * hid_S * (4 if strided else 1)
        size *= 4 if strided else 1
    total += time * pixels * hid_S * channels
    outer = time * hid_S
    if name == "simvp":
        ins = [outer] + [hid_T] * N_T + [2 * hid_T] * (N_T - 1)
        outs = [hid_T] * (2 * N_T - 1) + [outer]
        window = 9 + 25 + 49 + 121
        return total + sum(latent * (i * hid_T // 2 + window * hid_T // 2 * o // 8) for i, o in zip(ins, outs))
    widths = [outer] + [hid_T] * (N_T - 1)
    for width, after in zip(widths, [*widths[1:], outer]):
        mix = 2 if name == "simvp_gsta" else 1
        total += latent * width * ((2 + mix + 2 * mlp_ratio) * width + 25 + 49 + 9 * mlp_ratio)
        total += latent * width * after if width != after else 0
    return total


def test_by_hand_is_what_is_counted():
    for name in ("tau", "simvp_gsta", "simvp"):
        sizes = {**TINY, "mlp_ratio": 2, "hid_T": 64, "hid_S": 16}
        model = build(name, (3, 24, 24, 1), **sizes)
        counted = flops.multiply_adds(model, (3, 24, 24, 1))
        assert counted == pytest.approx(simvp_by_hand(name, (3, 24, 24, 1), **sizes), rel=0.005)


def test_the_papers_figure_without_static_attention():
    model = build("tau", (10, 64, 64, 1), static_attention=False)
    assert flops.multiply_adds(model, (10, 64, 64, 1)) == pytest.approx(15.30e9, rel=0.01)  # Tab. 6


@pytest.mark.slow
def test_predictions_fed_back_count_one_pass_and_say_so(monkeypatch, capsys):
    def preset(name, length):
        return Preset(
            name=name, task="video_prediction", summary="", paper_row="", values="", recipe="", dataset="",
            builder="scs_keras.zoo.video_prediction.builder:compiled", folder=Path(),
            arguments=dict(name="tau", input_shape=(2, 8, 8, 1), output_length=length, learning_rate=1e-3, **TINY),
            input_shape=(2, 8, 8, 1), output_shape=(length, 8, 8, 1), preprocess="", postprocess="",
        )  # fmt: skip

    one, two = preset("one_pass", 2), preset("two_passes", 3)
    once, twice = flops.preset_cost(one), flops.preset_cost(two)
    assert once.multiply_adds == twice.multiply_adds > 0 and (once.passes, twice.passes) == (1, 2)
    only_presets(monkeypatch, one, two)
    cli.main(["presets", "--flops"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[2].endswith("x 2 passes")
    name, parameters, live, multiply_adds = lines[1].split()
    assert name == "one_pass" and parameters == live == f"{one.make().parameters:,}"
    assert float(multiply_adds) == pytest.approx(once.multiply_adds / 1e9, abs=1e-3)


def test_every_preset_of_the_papers_tables_is_there():
    names = {preset.name for preset in zoo.list_presets("video_prediction")}
    models = "tau simvp simvp_gsta convlstm predrnn predrnnpp predrnnv2 mim e3dlstm mau phydnet".split()
    assert names >= {f"{m}_video_{d}" for m in models for d in ("moving_mnist", "taxibj", "kth", "kitti_caltech")}
    for preset in zoo.list_presets("video_prediction"):
        assert preset.input_shape == tuple(preset.arguments["input_shape"])
        assert preset.output_shape[0] == preset.arguments["output_length"]
        assert re.fullmatch(r"[a-z0-9_]+", preset.name)


@pytest.mark.parametrize("name", ["tau_video_moving_mnist", "tau_video_taxibj"])
def test_values_of_the_data_go_both_ways(name):
    preset = zoo.get_preset(name)
    low, high = (-1.0, 1.0) if "taxibj" in name else (0, 255)
    values = np.linspace(low, high, 256).astype("float32" if low else "uint8")
    scaled = preset.preprocess(values)
    assert scaled.dtype == np.float32 and (scaled.min(), scaled.max()) == (0, 1)
    np.testing.assert_allclose(preset.postprocess(scaled), values, atol=1e-6)
    with pytest.raises(ValueError, match="Received: .* to 256"):
        preset.preprocess(np.array([0, 256]))
    with pytest.raises(ValueError, match="Allowed are"):
        preset.preprocess(np.array([np.nan]))
