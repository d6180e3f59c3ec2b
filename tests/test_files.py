"""Files: what a killed writer left, what can be checked before work begins, files that hold no weights."""

import errno
import os
import shutil
import subprocess
import sys
import warnings
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.core.arguments import check_known
from scs_keras.training.precipitation.recipe import PrecipitationRadar
from scs_keras.training.recipe import with_settings
from scs_keras.zoo import files
from scs_keras.zoo.words import option, typed

NAME = "scs_precipitation_small_radar"


@pytest.fixture
def gone():
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path, gone):
    left = tmp_path / f".{gone}.model.weights.h5"
    folder = tmp_path / f".{gone}.3"  # of an export
    others = [
        f".{os.getppid()}.model.weights.h5",
        f".{gone}.mine",
        ".12.model.weights.h5.txt",
        f"{gone}.model.weights.h5",
    ]
    for name in (left.name, *others):
        (tmp_path / name).write_text("half")
    (folder / "variables").mkdir(parents=True)
    with files.written_beside(tmp_path / "model.weights.h5") as beside:
        assert not left.exists()
        beside.write_text("whole")
    files.remove_leftovers(tmp_path, "[0-9]+")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "model.weights.h5"])


@pytest.mark.parametrize("check", [files.check_output_folder, lambda path: files.check_output_file(path / "a.json")])
def test_where_nothing_can_be_written(check, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "x", file / "x" / "y"):
        with pytest.raises(OSError, match="is a file where a folder is needed") as error:
            check(folder)
        assert error.value.filename == str(file)
    with pytest.raises(OSError, match="nothing can be written here"):
        check(Path("/proc/nothing") if Path("/proc").exists() else tmp_path / ("x" * 300))
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder where a file is to be written"):
        files.check_output_folder(tmp_path, ["a.json"])
    check(tmp_path / "new" / "newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "file"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "x"), RuntimeError(f"Can't decrement id ref count (errno = {errno.ENOSPC}, error message)")],
)
def test_a_full_disk_names_the_file(error, tmp_path):
    with pytest.raises(OSError, match="cannot be written: No space left") as raised:
        with files.written_beside(tmp_path / "a.h5"):
            raise error
    assert raised.value.filename == str(tmp_path / "a.h5") and not list(tmp_path.iterdir())


def test_room_on_the_disk(tmp_path, monkeypatch):
    files.check_space(tmp_path, 1)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(5e6))
    with pytest.raises(OSError, match="needs 10 MB of free disk, there are 5 MB"):
        files.check_space(tmp_path, 1e7)


@pytest.fixture(scope="module")
def no_weights(tmp_path_factory):
    """{kind: file} of what is given as weights and holds none of the model's."""
    place = tmp_path_factory.mktemp("weights")
    whole = zoo.get_preset(NAME).weights_path.read_bytes()
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save_weights(place / "other.weights.h5")
    other.save(place / "other.keras")
    shutil.copy(zoo.get_preset("convlstm_precipitation_small_radar").weights_path, place / "convlstm.weights.h5")
    for name, content in {
        "cut.weights.h5": whole[:9000],
        "text.weights.h5": b"words",
        "empty.weights.h5": b"",
        "a.h5": whole,
    }.items():
        (place / name).write_bytes(content)
    (place / "optimizer.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    return place


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut.weights.h5", "it is truncated"),
        ("text.weights.h5", "it is no HDF5 file"),
        ("empty.weights.h5", "it is no HDF5 file"),
        ("optimizer.weights.h5", "it cannot be read"),
        ("a.h5", "its name does not end in .weights.h5"),
        ("other.keras", "a .keras file is a whole model"),
        ("other.weights.h5", "could not be loaded|Layer|Skipping"),
        ("convlstm.weights.h5", "could not be loaded|Layer|Skipping"),
    ],
)
def test_wrong_weights_are_one_sentence_without_warnings(name, reason, no_weights, monkeypatch):
    preset = zoo.get_preset(NAME)
    monkeypatch.setattr(zoo.preset.Preset, "make", lambda self: small)
    small = preset.with_arguments(**preset.reduced).builder(**{**preset.arguments, **preset.reduced})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=rf"does not hold weights of {NAME} \(.*({reason}).*\)") as error:
            zoo.load(NAME, weights=no_weights / name)
    assert "\n" not in str(error.value) and not [each for each in seen if issubclass(each.category, UserWarning)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            dict(input_shape=3),
            "input_shape is .time, height, width, channels.*Received: 3. For example: .5, 256, 256, 1",
        ),
        (dict(input_shape=(5, 0, 16, 1)), "whole numbers of at least 1. Received: .5, 0, 16, 1"),
        (dict(network="x"), f"{NAME} cannot be made with network='x': there is no 'x'"),
        (dict(arguments=3), f"{NAME} cannot be made with arguments=3: .*must be a mapping"),
    ],
)
def test_impossible_values_of_arguments_are_named(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        zoo.load(NAME, weights=None, **arguments)


def test_messages_are_in_the_words_of_who_asked(tmp_path):
    no_weights = zoo.get_preset("scs_precipitation_15_reec")
    for command, expected in (
        (None, 'zoo.load("scs_precipitation_15_reec", weights=None)'),
        ("evaluate", "Train it, scs-keras train scs_precipitation_15_reec --data DIR --output RUN, or give --weights"),
        ("train", "Leave weights out to start from random ones, or give --weights FILE"),
    ):
        with typed(command), pytest.raises(ValueError) as error:
            no_weights.checked_weights()
        assert expected in str(error.value)
        with typed(command), pytest.raises(ValueError) as error:
            zoo.get_preset("nothing_of_the_kind")
        assert ("scs-keras presets" in str(error.value)) == bool(command) != ("list_presets()" in str(error.value))
        with typed(command), pytest.raises(ValueError) as error:
            with_settings(PrecipitationRadar(), ["steps"])
        example = "--set 'steps' must be KEY=VALUE. For example: --set 'steps=1200'."
        assert str(error.value) == (example if command else example.replace("--set", "the setting"))
        with typed(command):
            assert option("split", "val") == ("--split val" if command else "split='val'")
            assert option("split") == ("--split" if command else "`split`")
    (tmp_path / "model.weights.h5").write_text("")
    with pytest.raises(ValueError, match=f'for example {tmp_path / "model.weights.h5"}, "preset" for the trained'):
        no_weights.weights_file(tmp_path)


def test_a_guess_is_near_and_long_lists_are_left_out():
    with pytest.raises(ValueError, match=r"^There is no colour 'tree'. Allowed: red, Blue.$"):
        check_known("colour", "tree", ["red", "Blue"], "The wall has them.")
    with pytest.raises(ValueError, match="Did you mean 'Blue'"):
        check_known("colour", "blu", ["red", "Blue"])
    many = [f"colour_{number}" for number in range(50)]
    with pytest.raises(ValueError, match=r"^There is no colour 'xyz'. The wall has them.$"):
        check_known("colour", "xyz", many, "The wall has them.")
    with pytest.raises(ValueError, match=r"Did you mean 'colour_17'\? The wall has them.$"):
        check_known("colour", "coluor_17", many, "The wall has them.")


def _one_of_each_builder():
    found = {}
    for preset in (each for each in zoo.list_presets() if len(each.output_shape) == 4):  # they predict frames
        found.setdefault((preset.builder, preset.arguments.get("name"), preset.arguments.get("network")), preset)
    return list(found.values())


@pytest.mark.parametrize("preset", _one_of_each_builder(), ids=lambda preset: preset.name)
def test_every_preset_loads_with_another_output_length(preset):
    model = zoo.load(preset.name, weights=None, **{**preset.reduced, "output_length": 3})
    assert (model.output_length, model.preset.output_shape[0]) == (3, 3)
    output = model(model.preset.make_example())
    assert np.shape(output[model.products[0]] if isinstance(output, dict) else output)[1] == 3
