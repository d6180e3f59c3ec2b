"""Presets: how they are found, records, weights, goldens, cards, what a model knows of its own, errors."""

import ast
import importlib
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.core.inputs import named
from scs_keras.serving.export import FORMATS
from scs_keras.serving.parity import ABSOLUTE
from scs_keras.training.card import model_card
from scs_keras.training.publish import inputs, outputs
from scs_keras.zoo import preset as preset_module
from tests.presets import add_preset, only_presets

GOLDEN = Path(__file__).parent / "golden"
PRESETS = zoo.list_presets()
TRAINED = [preset for preset in PRESETS if preset.has_weights]
FIRST = [next(preset for preset in TRAINED if preset.task == task) for task in {p.task: None for p in TRAINED}]


def all_but_first_slow(presets):
    return [pytest.param(p, id=p.name, marks=[] if p in FIRST else pytest.mark.slow) for p in presets]


def test_the_small_forecasters_ship_with_weights():
    assert {preset.name for preset in TRAINED} >= {
        "scs_precipitation_small_radar",
        "convlstm_precipitation_small_radar",
        "scs_precipitation_advection_small_radar",
        "scs_precipitation_nowcast_small_radar",
        "scale_filter_precipitation_small_radar",
    }
    assert zoo.list_presets("precipitation") == [p for p in PRESETS if p.task == "precipitation"]


@pytest.mark.parametrize("preset", all_but_first_slow(TRAINED))
def test_weights_give_the_golden_output(preset):
    with np.load(GOLDEN / f"{preset.name}.golden.npz", allow_pickle=False) as arrays:
        expected = dict(arrays)
    example = preset.make_example()
    for name, array in inputs(example).items():
        recorded = expected.pop(name)
        assert array.dtype == recorded.dtype and np.array_equal(array, recorded)
    model = zoo.load(preset.name)
    found = outputs(model, example)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-4)
    first = next(iter(expected.values()))
    if isinstance(example, dict):
        without = -np.log(first.shape[-1])  # log-probabilities of a model that knows nothing
    else:
        without = 1 / len(preset.labels) if preset.labels else example[:, -1:]
    assert np.abs(first - without).max() > 1e-3  # the weights do something
    assert model.compiled and model.preset is preset


def test_there_is_a_golden_output_for_each_trained_preset():
    names = {path.name.removesuffix(".golden.npz") for path in GOLDEN.glob("*.npz")}
    assert names == {preset.name for preset in TRAINED}


def test_a_card_says_which_formats_were_compared(monkeypatch):
    preset = TRAINED[0]
    formats = {"onnx": {"whole": 2.1e-6}, "litert": None}
    monkeypatch.setattr(type(preset), "record", {**preset.record, "formats": formats})
    assert "in its own numbers: onnx 2e-06, not litert; `python benchmarks/formats" in model_card(preset)
    formats["onnx"]["streamed"] = 1.0
    assert "(streamed: pixels in steps, other values relative): onnx 2e-06 (1), not litert;" in model_card(preset)


@pytest.mark.parametrize("preset", TRAINED, ids=lambda preset: preset.name)
def test_every_format_was_compared_with_the_model(preset):
    formats = preset.record.get("formats", {})
    remedy = f"Type: python benchmarks/formats.py --record {preset.name}"
    assert formats.keys() == FORMATS.keys() and all(formats.values()), remedy
    assert all(found["whole"] <= ABSOLUTE for found in formats.values())
    assert "\n- Exported, with the largest difference" in preset.card_path.read_text()


@pytest.mark.parametrize("preset", TRAINED, ids=lambda preset: preset.name)
def test_card_and_record_are_those_of_the_weights(preset):
    assert preset.card_path.read_text() == model_card(preset)
    assert preset.record["bytes"] == preset.weights_path.stat().st_size
    assert preset.record["sha256"] == preset_module.file_sha256(preset.weights_path)


def test_small_scs_and_convlstm_have_the_same_parameters_within_ten_percent():
    scs, convlstm = (
        zoo.get_preset(f"{name}_precipitation_small_radar").record["parameters"] for name in ("scs", "convlstm")
    )
    assert abs(scs / convlstm - 1) <= 0.1


@pytest.mark.slow
def test_the_paper_size_runs():
    model = zoo.load("scs_precipitation_15_reec", weights=None)
    assert len(model.network.scs_layers) == 15
    assert all(layer.cell.filters == 128 for layer in model.network.scs_layers)
    assert model.preset.input_shape == (5, 224, 244, 1)
    model.output_length = 1
    assert model(np.zeros((1, 2, 224, 244, 1), "float32")).shape == (1, 1, 224, 244, 1)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'scs_precipitation_small_radar'"):
        zoo.load("scs_precipitation_smal_radar")


def test_a_preset_without_weights_says_what_to_type():
    with pytest.raises(ValueError, match=r'zoo.load\("scs_precipitation_15_reec", weights=None\)'):
        zoo.load("scs_precipitation_15_reec")


@pytest.mark.parametrize("path", ["mine.weights.h5", "."])
def test_a_missing_weights_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"no weights file '{path}'. Give the path of a .weights.h5 file"):
        zoo.load(TRAINED[0].name, weights=path)


def test_weights_of_another_model_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "no.weights.h5").write_text("nothing")
    for name in ("other", "no"):
        with pytest.raises(ValueError, match=f"does not hold weights of {TRAINED[0].name} .*scs-keras convert"):
            zoo.load(TRAINED[0].name, weights=tmp_path / f"{name}.weights.h5")


def test_a_changed_weights_file_is_refused(monkeypatch):
    monkeypatch.setattr(preset_module, "file_sha256", lambda path: "0" * 64)
    with pytest.raises(ValueError, match="not the file that was published"):
        zoo.load(TRAINED[0].name)


# Tasks and presets are found ----------------------------------------------------------------------


@pytest.fixture
def new_task(tmp_path, monkeypatch):
    """Function that adds a folder to the zoo for the time of a test; it gets the folder's name and its code."""
    monkeypatch.setattr(zoo, "__path__", [*zoo.__path__, str(tmp_path)])

    def add(name, code):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
        monkeypatch.delitem(sys.modules, f"scs_keras.zoo.{name}", raising=False)
        monkeypatch.delattr(zoo, name, raising=False)

    yield add
    for path in tmp_path.iterdir():
        sys.modules.pop(f"scs_keras.zoo.{path.name}", None)
        vars(zoo).pop(path.name, None)


ONE = """
from dataclasses import replace
from scs_keras.zoo.precipitation import PRESETS as others
PRESETS = (replace(others[0], name={name!r}, task={task!r}),)
"""


def test_a_task_is_a_folder_and_no_other_line(new_task):
    before = zoo.tasks()
    assert before == ["action", "driving", "outline", "precipitation", "video_prediction"]
    new_task("toy", ONE.format(name="scs_toy", task="toy"))
    assert zoo.tasks() == [*before, "toy"]
    assert [preset.name for preset in zoo.list_presets("toy")] == ["scs_toy"]
    assert zoo.get_preset("scs_toy") in zoo.list_presets()
    assert [preset.name for preset in zoo.list_presets()][:-1] == [preset.name for preset in PRESETS]


def test_a_folder_without_presets_is_named(new_task):
    new_task("empty_task", "")
    with pytest.raises(ValueError, match="task with PRESETS.*scs_keras.zoo.empty_task has none"):
        zoo.list_presets()


def test_a_name_twice_names_both_tasks(new_task):
    new_task("toy", ONE.format(name=PRESETS[0].name, task="toy"))
    with pytest.raises(ValueError, match=f"unique. Received: '{PRESETS[0].name}' of 'action' and of 'toy'"):
        zoo.list_presets()


def test_a_preset_of_another_task_is_refused(new_task):
    new_task("toy", ONE.format(name="scs_toy", task="precipitation"))
    with pytest.raises(ValueError, match="'scs_toy' lies in the task 'toy'. Received: task='precipitation'"):
        zoo.list_presets()


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ValueError, match="no task 'precipitaton'. Did you mean 'precipitation'"):
        zoo.list_presets("precipitaton")


def test_what_the_video_task_had_at_hand_it_has():
    from scs_keras.zoo import video_prediction
    from scs_keras.zoo.video_prediction import NAMES, build, load_reference  # twice the same, also after its modules

    importlib.import_module("scs_keras.zoo.video_prediction.builder")
    assert (video_prediction.NAMES, video_prediction.build) == (NAMES, build) and "tau" in NAMES
    assert callable(build) and callable(load_reference)
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        _ = video_prediction.biuld


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_plain_data_and_takes_its_own_arguments(preset):
    given = {**preset.arguments, **preset.reduced}
    assert ast.literal_eval(repr(given)) == given
    preset.check_arguments(given.keys() - {"name"})
    small = preset.with_arguments(**preset.reduced)
    shapes = {name: each.shape for name, each in named(small.make_example()).items()}
    assert shapes == {name: (1, *shape) for name, shape in named(small.input_shape).items()}
    assert preset.dataset and preset.recipe and not preset.changed


@pytest.mark.parametrize(
    ("name", "argument", "nearest"),
    [
        ("tau_video_small_moving_mnist", "hid_s", "hid_S"),
        ("predrnn_video_small_radar", "num_hiden", "num_hidden"),
        ("scs_precipitation_small_radar", "paatch", "patch"),
    ],
)
def test_an_unknown_argument_is_refused_before_anything_is_built(name, argument, nearest, monkeypatch):
    monkeypatch.setattr(preset_module.Preset, "make", None)
    with pytest.raises(ValueError, match=f"no argument of {name} '{argument}'. Did you mean '{nearest}'"):
        zoo.load(name, weights=None, **{argument: 3})


def test_a_builder_that_takes_anything_checks_it_itself():
    replace(PRESETS[0], builder="tests.video_case:eager", argument_names="").check_arguments(["whatever"])


def test_lengths_and_sizes_change_the_shapes():
    preset = zoo.get_preset("scs_precipitation_small_radar").with_arguments(input_shape=[3, 32, 24, 1])
    preset = preset.with_arguments(output_length=7)
    assert (preset.input_shape, preset.output_shape) == ((3, 32, 24, 1), (7, 32, 24, 1))
    assert preset.changed == dict(input_shape=(3, 32, 24, 1), output_length=7)
    model = preset.make()
    assert model.output_length == 7 and model(preset.make_example()).shape == (1, 7, 32, 24, 1)


@pytest.mark.parametrize("switch_off", [dict(static_attention=False), dict(dynamic_attention=False), dict(alpha=0)])
def test_taus_ablations_are_arguments(switch_off):
    preset = zoo.get_preset("tau_video_small_moving_mnist")
    whole, without = (preset.with_arguments(**preset.reduced, **each).make() for each in ({}, switch_off))
    if "alpha" in switch_off:
        assert isinstance(without.loss, keras.losses.MeanSquaredError) and whole.alpha == 0.1
    else:
        assert without.parameters < whole.parameters


# A model knows its preset -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model, saved with its preset."""
    preset = zoo.get_preset("scs_precipitation_small_radar")
    model = preset.with_arguments(**preset.reduced).make()
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return model, path


def test_a_loaded_model_knows_its_preset(saved):
    model, path = saved
    loaded = keras.saving.load_model(path)
    assert loaded.preset == model.preset
    assert loaded.preset.changed == zoo.get_preset(model.preset.name).with_arguments(**model.preset.reduced).changed


def test_a_loaded_model_predicts_physical_values(saved):
    model, path = saved
    loaded = keras.saving.load_model(path)
    rain = np.random.default_rng(0).uniform(0.0, 20.0, (1, *model.preset.input_shape)).astype("float32")  # mm/h
    forecast = loaded.preset.predict(loaded, rain)
    assert forecast.shape == (1, *model.preset.output_shape)
    expected = model.preset.postprocess(np.asarray(model(model.preset.preprocess(rain))))
    np.testing.assert_allclose(forecast, expected, rtol=1e-4)
    np.testing.assert_allclose(forecast[:, 0], rain[:, -1], rtol=1e-3, atol=1e-3)  # untrained: persistence


def test_a_preset_that_is_gone_does_not_hinder_loading(saved, monkeypatch):
    model, path = saved
    frames = model.preset.make_example()
    only_presets(monkeypatch)
    loaded = keras.saving.load_model(path)
    assert loaded.preset is None and "preset" not in loaded.get_config()
    np.testing.assert_allclose(loaded(frames), model(frames), atol=1e-6)


def test_a_model_of_no_preset_says_so():
    model = importlib.import_module("scs_keras.zoo.video_prediction").build("tau", (2, 8, 8, 1), hid_S=4, hid_T=8)
    assert model.preset is None and "preset" not in model.get_config()


def test_a_users_preset_is_found_in_its_task(monkeypatch):
    preset = add_preset(monkeypatch, replace(PRESETS[0], name="mine"))
    assert zoo.get_preset("mine") is preset
