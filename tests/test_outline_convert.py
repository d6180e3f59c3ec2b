"""Checkpoints of the public outline demo: random ones of its names and shapes, against a decoder in NumPy."""

import contextlib
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.__main__ import main
from scs_keras.training.convert import read_checkpoint
from scs_keras.zoo.outline.cells import start_tokens
from scs_keras.zoo.outline.encoders import VGG_BLOCKS
from scs_keras.zoo.outline.presets import DEMO_FILTERS
from scs_keras.zoo.outline.reference import load_reference
from tests.checks import in_own_process, relu, sigmoid, to_numpy

NAME = "polygon_cbm_outline_demo_cityscapes"
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# `nn.Sequential`s of the demo: (convolution, its place) of each; BN is the place after it. "P" pools before.
SEQUENTIALS = {
    "model1": ((0, 0), (0, 3), "P", (1, 7), (1, 10), "P"),
    "model2": ((2, 0), (2, 3), (2, 6), "P"),
    "model3": ((3, 0), (3, 3), (3, 6)),
    "model4": ("P", (4, 1), (4, 4), (4, 7)),
}
SMALL = dict(
    grid=4, image_size=(32, 32), features=3, steps=6, clip_length=3,
    arguments=dict(structure=(3, 2), activation="tanh", initial_gate=0.0), backbone_arguments=dict(filters=[[4] * 2] * 2 + [[4] * 3] * 3),
)  # fmt: skip


def state_dict(widths, features, filters, grid, seed=0):
    """Random arrays under the demo's names, in PyTorch's layouts; what comes through keeps about its size."""
    rng, arrays = np.random.default_rng(seed), {}

    def convolution(name, inputs, outputs):
        scale = np.sqrt(2 / (9 * inputs))
        arrays[f"{name}.weight"] = (scale * rng.standard_normal((outputs, inputs, 3, 3), "float32")).astype("float32")
        arrays[f"{name}.bias"] = 0.1 * rng.standard_normal(outputs, "float32")

    def norm(name, channels):
        for part in ("weight", "running_var"):
            arrays[f"{name}.{part}"] = rng.uniform(0.5, 1.5, channels).astype("float32")
        for part in ("bias", "running_mean"):
            arrays[f"{name}.{part}"] = 0.1 * rng.standard_normal(channels, "float32")
        arrays[f"{name}.num_batches_tracked"] = np.array(3)

    channels, of_maps = 3, []
    for name, parts in SEQUENTIALS.items():
        for block, place in (part for part in parts if part != "P"):
            convolution(f"{name}.{place}", channels, widths[block])
            norm(f"{name}.{place + 1}", widths[block])
            channels = widths[block]
        of_maps.append(channels)
    for index, inputs in enumerate([*of_maps, 4 * features], start=1):
        convolution(f"convlayer{index}.0", inputs, features)
        norm(f"convlayer{index}.2", features)
    channels = features + 3
    for index, width in enumerate(filters):
        convolution(f"convlstm.cell_list.{index}.data_cnn", channels, width)
        convolution(f"convlstm.cell_list.{index}.ctrl_cnn", width + channels, width)
        channels = width
    units, tokens = 2 * grid**2, grid**2 + 3
    seen = channels * grid**2 + 2 * tokens
    for name, shape, scale in (
        ("lstmlayer.weight_ih_l0", (4 * units, seen), 1.0), ("lstmlayer.weight_hh_l0", (4 * units, units), 1 / np.sqrt(units)),
        ("lstmlayer.bias_ih_l0", 4 * units, 0.3), ("lstmlayer.bias_hh_l0", 4 * units, 0.3),
        ("linear2.weight", (tokens, units), 1.0), ("linear2.bias", tokens, 0.3),
    ):  # fmt: skip
        arrays[name] = rng.standard_normal(shape, "float32") * np.float32(scale)
    return arrays


# The demo in NumPy, channels first ------------------------------------------------------------------------------------


def conv(x, arrays, name):
    """3x3 over (channels, height, width), zeros around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # (channels, height, width, 3, 3)
    columns = windows.transpose(1, 2, 0, 3, 4).reshape(x.shape[1] * x.shape[2], -1)
    kernel, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
    return (columns @ kernel.reshape(len(kernel), -1).T + bias).T.reshape(-1, *x.shape[1:])


def normalized(x, arrays, name):
    weight, bias, mean, variance = (
        arrays[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def pooled(x):
    channels, height, width = x.shape
    return x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def doubled(x):
    """`nn.Upsample(scale_factor=2, mode="bilinear")`: half-pixel centres, the border held."""
    for axis in (1, 2):
        size = x.shape[axis]
        place = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.minimum(place.astype(int), size - 2)
        share = (place - low).reshape([-1 if each == axis else 1 for each in range(3)])
        x = (1 - share) * x.take(low, axis) + share * x.take(low + 1, axis)
    return x


def features_of(image, arrays):
    x, maps = np.moveaxis((image - MEAN) / DEVIATION, -1, 0).astype("float32"), []
    for name, parts in SEQUENTIALS.items():
        for part in parts:
            x = (
                pooled(x)
                if part == "P"
                else relu(normalized(conv(x, arrays, f"{name}.{part[1]}"), arrays, f"{name}.{part[1] + 1}"))
            )
        maps.append(x)
    maps[0] = pooled(maps[0])
    maps = [
        normalized(relu(conv(each, arrays, f"convlayer{i}.0")), arrays, f"convlayer{i}.2")
        for i, each in enumerate(maps, 1)
    ]
    maps[3] = doubled(maps[3])
    return normalized(relu(conv(np.concatenate(maps), arrays, "convlayer5.0")), arrays, "convlayer5.2")


def decoded(image, arrays, layers, grid, count=5):
    """(cells, log-probabilities of cells and end) of the first vertices, greedy, without an end."""
    features, hot = features_of(image, arrays), np.eye(grid**2 + 3, dtype="float32")
    known = list(start_tokens(grid))
    gates, h, c = [0.0] * layers, 0.0, 0.0
    cells, told = [], []
    for step in range(count):
        first = hot[cells[0]] if step else np.zeros(grid**2 + 3)
        maps = [each[: grid**2].reshape(1, grid, grid) for each in (first, hot[known[0]], hot[known[1]])]
        u = np.concatenate([features, *maps]).astype("float32")
        for index in range(layers):
            name = f"convlstm.cell_list.{index}"
            data = np.tanh(conv(u, arrays, f"{name}.data_cnn"))
            before = np.broadcast_to(gates[index], data.shape).astype("float32")
            gates[index] = sigmoid(conv(np.concatenate([before, u]), arrays, f"{name}.ctrl_cnn"))
            u = data * gates[index]
        v = np.concatenate([u.ravel(), hot[known[0]], hot[known[1]]])
        z = arrays["lstmlayer.weight_ih_l0"] @ v + arrays["lstmlayer.bias_ih_l0"] + arrays["lstmlayer.bias_hh_l0"]
        z = z + (arrays["lstmlayer.weight_hh_l0"] @ h if step else 0.0)
        i, f, g, o = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        logits = (arrays["linear2.weight"] @ h + arrays["linear2.bias"])[: grid**2 + 1]
        logs = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        told.append(logs)
        cells.append(int(np.argmax(logs[:-1])))
        known = [known[1], cells[-1]]
    return cells, np.stack(told)


def in_numpy(path, widths, features, filters, grid, side, seed=4):
    """Writes a checkpoint, demo.npz, and what the demo decodes with it: (image, cells, log-probabilities)."""
    arrays = state_dict(widths, features, filters, grid, seed)
    np.savez(path / "demo.npz", **{f"module.{name}": array for name, array in arrays.items()})
    image = np.random.default_rng(1).random((side, side, 3)).astype("float32")
    return image, *decoded(image, arrays, len(filters), grid)


def streamed(model, image, cells):
    """The log-probabilities of a model that is shown these vertices, one step after the other."""
    if isinstance(model, Path):
        model = zoo.load(NAME, weights=model)
    tokens = start_tokens(model.grid)
    before = [*tokens, *cells]
    vertices = [[cells[0] if step else tokens[0], *before[step : step + 2]] for step in range(len(cells))]
    vertices = np.array(vertices, "int32")
    states, found = model.initial_states({"image": image[None], "vertices": vertices[None]}), []
    for step in vertices:
        output, states = model.step({"vertices": step[None]}, states)
        found.append(to_numpy(output)[0])
    return np.stack(found)


def check(found, cells, logs):
    assert np.argmax(found[:, :-1], axis=1).tolist() == cells and len(set(cells)) > 2 and logs.std() > 1
    np.testing.assert_allclose(found, logs, atol=1e-5 * np.abs(logs).max())


def test_a_small_demo_decodes_as_in_numpy(small, tmp_path):
    image, cells, logs = in_numpy(tmp_path, [4] * 5, 3, (3, 2), 4, 32)
    load_reference(small, read_checkpoint(tmp_path / "demo.npz"))
    check(streamed(small, image, cells), cells, logs)


def typed(words):
    """What `scs-keras WORDS` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main(words)
    return said.getvalue()


def as_pytorch(path):
    """The npz as PyTorch saves a model in the middle of a training."""
    import torch

    state = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    torch.save({"state_dict": state, "epoch": 3}, path.with_suffix(".pth"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_the_demos_shapes_decode_as_in_numpy(suffix, tmp_path):
    if suffix == ".pth" and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    widths = [each[0] for each in VGG_BLOCKS]
    image, cells, logs = in_own_process(in_numpy, tmp_path, widths, 128, DEMO_FILTERS, 28, 224)
    if suffix == ".pth":
        in_own_process(as_pytorch, tmp_path / "demo.npz")
    said = in_own_process(typed, ["convert", str(tmp_path / f"demo{suffix}"), "--model", NAME])
    output = tmp_path / "demo.weights.h5"
    assert str(output) in said
    check(in_own_process(streamed, output, image, cells), cells, logs)


@pytest.fixture(scope="module")
def small():
    return zoo.load(NAME, weights=None, **SMALL)


@pytest.fixture
def arrays():
    return state_dict([4] * 5, 3, (3, 2), 4)


def test_every_weight_has_a_name_and_only_one(small):
    placed = [id(weight.variable) for weight in small.reference_weights().values()]
    kept = {id(each) for part in (small.context_encoder, small.network, small.head) for each in part.weights}
    assert len(placed) == len(set(placed)) and set(placed) == kept


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (lambda a: a.pop("lstmlayer.bias_hh_l0"),
         ["lstmlayer.bias_ih_l0: no place in the model", r"bias_ih_l0 \+ lstmlayer.bias_hh_l0: not in the checkpoint"]),
        (lambda a: a.pop("convlstm.cell_list.1.ctrl_cnn.weight"), [r"ctrl_cnn.weight\[:, state\]: not in the checkpoint"]),
        (lambda a: a.update({"linear2.bias": np.zeros(18)}), [r"linear2.bias: shape \(18,\)"]),
        (lambda a: a.update({"linear1.bias": np.zeros(18)}), ["linear1.bias: no place in the model"]),
        (lambda a: a["model1.0.weight"].fill(np.nan), ["model1.0.weight: has values that are not finite"]),
    ],
)  # fmt: skip
def test_other_checkpoints_are_refused_and_change_nothing(small, arrays, change, messages):
    before = small.get_weights()
    change(arrays)
    for message in messages:
        with pytest.raises(ValueError, match=message):
            load_reference(small, arrays)
    assert all(np.array_equal(a, b) for a, b in zip(before, small.get_weights()))


def test_models_of_other_layers_have_no_reference_checkpoints():
    model = zoo.load("polygon_scs_outline_small_coco", weights=None)
    with pytest.raises(ValueError, match="has no reference checkpoints: load a .weights.h5 file instead"):
        load_reference(model, {})
