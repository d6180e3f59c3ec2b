"""Checkpoints of the reference: layouts of axes, refused loads, and `scs-keras convert`."""

import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import __main__ as cli
from scs_keras import zoo
from scs_keras.training.convert import read_checkpoint
from scs_keras.training.video_prediction import convert as convert_module
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.pytorch_weights import ReferenceWeight, layer_weights
from scs_keras.zoo.video_prediction import build, load_reference
from tests.presets import add_preset

TINY = dict(hid_S=4, hid_T=8, N_S=2, N_T=2, mlp_ratio=1.0)
SHAPE = (2, 8, 8, 1)


def tiny():
    return build("tau", SHAPE, **TINY)


def checkpoint(model, seed=0):
    """Random arrays under the reference's names, in PyTorch's layouts."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, weight in model.reference_weights().items():
        shape = tuple(weight.variable.shape)
        order = {"convolution": (3, 2, 0, 1), "depthwise": (2, 3, 0, 1), "dense": (1, 0)}.get(weight.kind)
        arrays[name] = rng.random([shape[i] for i in order] if order else shape, "float32") + 0.1
    return arrays


@pytest.fixture
def preset(monkeypatch):
    """A preset of a tiny model in the zoo."""
    record = Preset(
        name="tau_video_test", task="video_prediction", summary="", paper_row="",
        builder="scs_keras.zoo.video_prediction.builder:compiled",
        arguments=dict(name="tau", input_shape=SHAPE, output_length=2, learning_rate=1e-3, **TINY),
        input_shape=SHAPE, output_shape=SHAPE, values="", preprocess="", postprocess="", recipe="",
        dataset="", folder=Path(),
    )  # fmt: skip
    monkeypatch.setattr(Preset, "has_weights", False)
    return add_preset(monkeypatch, record)


# Layouts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        ("same", (3,), (3,)),
        ("statistic", (3,), (3,)),
        ("convolution", (5, 2, 3, 4), (3, 4, 2, 5)),
        ("convolution", (5, 2, 2, 3, 4), (2, 3, 4, 2, 5)),
        ("depthwise", (5, 1, 3, 4), (3, 4, 5, 1)),
        ("transposed", (5, 2, 3, 4), (3, 4, 2, 5)),
        ("dense", (5, 2), (2, 5)),
        ("image", (5, 3, 4), (3, 4, 5)),
    ],
)
def test_axes_move_to_kerass_order(kind, shape, expected):
    array = np.arange(np.prod(shape)).reshape(shape)
    moved = ReferenceWeight(None, kind).to_keras(array)
    assert moved.shape == expected and moved.flat[0] == 0
    if kind == "depthwise":
        assert moved[1, 2, 4, 0] == array[4, 0, 1, 2]
    if kind == "image":
        assert moved[1, 2, 4] == array[4, 1, 2]
    if kind == "dense":
        assert np.array_equal(moved, array.T)


def test_unknown_kind():
    with pytest.raises(ValueError, match="`kind` is one of same, .* Received: kind='conv'"):
        ReferenceWeight(None, "conv")


def test_names_of_a_layers_weights():
    norm = keras.layers.BatchNormalization()
    norm.build((None, 3))
    kinds = {name: weight.kind for name, weight in layer_weights("n", norm).items()}
    assert kinds == {"n.weight": "same", "n.bias": "same", "n.running_mean": "statistic", "n.running_var": "statistic"}


# Loading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_every_weight_is_loaded(prefix):
    model = tiny()
    arrays = checkpoint(model)
    given = {prefix + name: array for name, array in arrays.items()} | {f"{prefix}n.num_batches_tracked": np.array(7)}
    assert load_reference(model, given) is model
    for name, weight in model.reference_weights().items():
        np.testing.assert_array_equal(weight.variable, weight.to_keras(arrays[name]))
    placed = {id(weight.variable) for weight in model.reference_weights().values()}
    assert all(id(v) in placed for v in model.weights if "seed_generator" not in v.path)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (lambda arrays: arrays.pop("dec.readout.bias"), ["dec.readout.bias: not in the checkpoint"]),
        (lambda arrays: arrays.update({"e.9": np.zeros(1), "y": np.zeros(1)}), ["e.9: no place", "y: no place"]),
        (lambda arrays: arrays.update({"dec.readout.weight": np.zeros((3, 4, 1, 1))}),
         [r"dec.readout.weight: shape \(3, 4, 1, 1\) in .*laid out as \(1, 1, 4, 3\) here, .* has \(1, 1, 4, 1\)"]),
        (lambda arrays: arrays["dec.readout.bias"].fill(np.nan), ["1 differences:\n  dec.readout.bias: .* not finite"]),
        (dict.clear, ["dec.readout.weight: not in the checkpoint", "hid.enc.1.block.attn.spatial_gating_unit.fc.2"]),
    ],
)  # fmt: skip
def test_a_partial_load_is_refused_and_changes_nothing(change, messages):
    model = tiny()
    before, arrays = model.get_weights(), checkpoint(model)
    change(arrays)
    for message in messages:
        with pytest.raises(ValueError, match=message):
            load_reference(model, arrays)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_a_checkpoint_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"(?s)not the weights of this SimVP, 'tau'.*hid.dec.0.conv1.weight: no place"):
        load_reference(tiny(), checkpoint(build("simvp", SHAPE, **{**TINY, "hid_T": 16})))


def test_a_variable_with_two_names_needs_one_of_them():
    model = tiny()
    weights = model.reference_weights()
    weights["again"] = weights["dec.readout.bias"]
    weights["constant"] = ReferenceWeight(None, "buffer")
    model.reference_weights = lambda: weights
    arrays = checkpoint(tiny())
    load_reference(model, arrays)
    load_reference(model, {**arrays, "again": arrays["dec.readout.bias"], "constant": np.ones(3)})
    arrays["again"] = arrays.pop("dec.readout.bias") + 1
    load_reference(model, arrays)
    np.testing.assert_array_equal(model.readout.bias, arrays["again"])


def test_two_names_of_one_variable_must_agree():
    model = tiny()
    weights = model.reference_weights()
    weights["again"] = weights["dec.readout.bias"]
    model.reference_weights = lambda: weights
    arrays = checkpoint(tiny())
    with pytest.raises(ValueError, match="again: not equal to dec.readout.bias, which is the same weight"):
        load_reference(model, {**arrays, "again": arrays["dec.readout.bias"] + 1})


# The command --------------------------------------------------------------------------------------


def test_convert_writes_weights_that_the_zoo_loads(preset, tmp_path, capsys):
    arrays = checkpoint(tiny())
    np.savez(tmp_path / "published.npz", **{f"model.{name}": array for name, array in arrays.items()})
    cli.main(["convert", str(tmp_path / "published.npz"), "--model", preset.name])
    written = tmp_path / "published.weights.h5"
    assert capsys.readouterr().out.strip() == str(written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published.npz", "published.weights.h5"]
    x = np.random.default_rng(1).random((1, *SHAPE), "float32")
    expected = load_reference(tiny(), arrays)(x)
    np.testing.assert_allclose(zoo.load(preset.name, weights=str(written))(x), expected, atol=1e-6)


def test_convert_refuses_a_partial_load_and_writes_nothing(preset, tmp_path):
    arrays = checkpoint(tiny())
    arrays["enc.enc.7.conv"] = arrays.pop("dec.readout.bias")
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SystemExit, match="(?s)enc.enc.7.conv: no place.*dec.readout.bias: not in the checkpoint"):
        cli.main(["convert", str(tmp_path / "a.npz"), "--model", preset.name])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("model", "prefix", "other"),
    [
        ("convlstm", "", "convlstm_legacy_video_taxibj"),
        ("predrnnpp_legacy", "model.", "predrnnpp_video_taxibj"),
        ("convlstm_legacy", "", None),
        ("convlstm", "model.", None),
        ("tau", "", None),
    ],
)
def test_weights_of_another_version_of_the_reference_are_told(model, prefix, other, recwarn):
    convert_module._say_which_cell(zoo.get_preset(f"{model}_video_taxibj"), {f"{prefix}conv_last.weight": None})
    messages = [str(each.message) for each in recwarn]
    assert [other in message for message in messages] == [True] * (other is not None)


class Tensor:
    """What a PyTorch tensor has that is used."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def float(self):
        return Tensor(np.asarray(self.array, "float32"))

    def numpy(self):
        return self.array


@pytest.fixture
def torch(monkeypatch):
    """A stand-in for PyTorch that gives `content` for any file."""
    module = types.ModuleType("torch")

    def load(path, map_location, weights_only):
        assert weights_only and map_location == "cpu"
        if isinstance(module.content, Exception):
            raise module.content
        return module.content

    module.load = load
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"epoch": 3, "state_dict": state}])
def test_both_forms_of_pytorch_files(wrap, torch, preset, tmp_path):
    arrays = checkpoint(tiny())
    torch.content = wrap({name: Tensor(array.astype("float64")) for name, array in arrays.items()})
    (tmp_path / "best.ckpt").touch()
    output = convert_module.convert(tmp_path / "best.ckpt", preset.name, tmp_path / "new" / "my.weights.h5")
    assert output == tmp_path / "new" / "my.weights.h5" and output.stat().st_size > 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RuntimeError("Weights only load failed"), "cannot be read .*weights_only=True.*load failed"),
        ([1, 2], "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
    ],
)
def test_pytorch_files_that_hold_no_weights(content, message, torch, tmp_path):
    torch.content = content
    (tmp_path / "a.pth").touch()
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "a.pth")


def test_without_pytorch_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth").touch()
    with pytest.raises(ImportError, match=r'pip install "scs-keras\[convert\]"'):
        read_checkpoint(tmp_path / "a.pth")


def test_a_real_pytorch_file(preset, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    arrays = checkpoint(tiny())
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").keys() == arrays.keys()


def test_a_pickle_in_an_npz_is_not_run(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([subprocess], dtype=object)[:0])
    with pytest.raises(ValueError, match="is not an npz file of arrays"):
        read_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.pth", "--model", "tau_video_moving_mnist"], "There is no checkpoint nothing.pth"),
        (["x", "--model", "tau_video_moving_mnis"], "Did you mean 'tau_video_moving_mnist'"),
        (
            ["x", "--model", "scs_precipitation_small_radar"],
            "it is for precipitation. Allowed: polygon_cbm_outline_demo_cityscapes and others",
        ),
        (["x", "--model", "tau_video_taxibj", "--output", "a.h5"], "Received: a.h5. Try: a.weights.h5"),
    ],
)
def test_errors_of_the_command(arguments, message):
    with pytest.raises(SystemExit, match=message):
        cli.main(["convert", *arguments])


def test_an_empty_npz_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="is not an npz file of arrays"):
        read_checkpoint(tmp_path / "a.npz")
