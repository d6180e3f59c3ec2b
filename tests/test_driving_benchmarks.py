"""The benchmarks of steering: seeds that share a graph, what is made again, tables."""

import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scs_keras.training.driving.world import ROADS, World
from scs_keras.training.run import recipe_of

TINY = (
    'model.arguments={"structure": [{"filters": 3, "strides": 4}], "normalization": "batch"}',
    "model.input_shape=[7,8,12,3]",
    "model.sub_goals=same",
    "batch_size=2",
    "steps=2",
    "checkpoint_every=1",
)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module


def eager(recipe, monkeypatch):
    make = type(recipe).model

    def model(self, samples):
        made = make(self, samples)
        made.run_eagerly = True
        return made

    monkeypatch.setattr(type(recipe), "model", model)
    return recipe


@pytest.mark.slow
def test_a_seed_after_another_is_as_if_it_were_the_first(benchmark, monkeypatch):
    """Weights, moving averages, dropout's and the switch's draws: nothing is left of the training before."""
    restarts = benchmark("restarts")
    recipe = eager(recipe_of("scs_driving_small_rc", TINY), monkeypatch)
    parts = SimpleNamespace(train=World((7, 8, 12, 3), count=2))
    second = restarts.Restarts(recipe)
    first_weights = [each.copy() for each in second.trained(0, parts)[0].get_weights()]
    weights = second.trained(1, parts)[0].get_weights()
    alone = restarts.Restarts(recipe).trained(1, parts)[0].get_weights()
    assert len(weights) == len(alone) > 0
    for mine, other in zip(weights, alone):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    assert any(np.abs(mine - other).max() > 1e-3 for mine, other in zip(weights, first_weights))


def test_predictions_in_batches_of_one_size(benchmark):
    restarts, sizes = benchmark("restarts"), []

    class Model:
        def predict(self, x, batch_size, verbose):
            sizes.append(len(x) % batch_size)
            return {"a": 2 * x}

    x = np.arange(restarts.PREDICTED + 1)
    np.testing.assert_array_equal(restarts.predicted(Model(), x)["a"], 2 * x)
    assert sizes == [0]


def test_scores_of_the_world_by_road(benchmark):
    """Of 0 degrees: half of T-junctions, a third of straight roads and crossroads; of the truth all."""
    world = World(split="test", count=96)
    found = benchmark("driving_world").scores(np.zeros(96), world)
    assert [found[road]["right"] for road in ROADS] == pytest.approx([1 / 3, 1 / 2, 1 / 2, 1 / 3])
    assert found["crossroads"]["eq24_3"] == pytest.approx(1 / 3 + 2 / 3 * 3 / 15)
    assert found["T-junction"]["eq24_6"] == pytest.approx(6 / 15)
    perfect = benchmark("driving_world").scores(world.drives.degrees, world)
    assert {values["right"] for values in perfect.values()} == {1.0}


def world_document():
    def run(seed, added):
        scores = {road: dict(right=0.5, eq24_3=0.4, eq24_6=0.5, count=240) for road in ROADS}
        better = {road: {**each, "right": 0.5 + added} for road, each in scores.items()}
        return dict(world="world", seed=seed, streams=dict(main=better, spatial=scores, temporal=better))

    best = {road: 0.5 for road in ROADS}
    return dict(
        runs=[run(0, 0.2), run(1, 0.4)],
        best_single_frame=dict(world=best, control=best),
        baselines=dict(world={"ridge": run(0, 0)["streams"]["spatial"]}, control={}),
    )


def test_table_and_picture_of_the_world(benchmark, tmp_path):
    pytest.importorskip("matplotlib")
    tables = benchmark("driving_world_tables")
    text = tables.tables(world_document())
    assert (
        "| world, T-junction | 0.500 | 0.500 | 0.800 ± 0.141 | 0.500 ± 0.000 | 0.800 ± 0.141 | 0.300 ± 0.141 |" in text
    )
    assert "control, straight" not in text  # nothing was trained on it
    tables.draw(world_document(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_of_table_5(benchmark):
    table5 = benchmark("driving_table5")
    assert len(table5.ROWS) == 9 and "scs_3_p0.3" in table5.ROWS
    for row in table5.ROWS.values():
        recipe = recipe_of(row.preset, row.settings)
        recipe.check()
        assert recipe.changed_preset.input_shape == (row.frames, 32, 96, 3)
        assert row.p is None or recipe.changed_preset.arguments["p"] == row.p


def test_table_5(benchmark):
    table5 = benchmark("driving_table5")

    def scored(r2):
        values = dict(accuracy_3=0.5, accuracy_6=0.6, mse_units=0.01, mse=80.0, r2=r2)
        return dict(all=values, steering={"curve (≥ 6°)": {**values, "r2": None}})

    runs = [dict(row="scs_3_p0.3", scores=scored(r2)) for r2 in (0.4, 0.5)]
    lines = table5.table(dict(runs=runs, baselines={"ridge_3": scored(0.46)})).splitlines()
    assert lines[2] == (
        "| scs, p = 0.3 | 3 | 2 | 0.600 ± 0.000 | 0.500 ± 0.000 | 0.0100 ± 0.0000 | 80.0 ± 0.0 | 0.450 ± 0.071 | - |"
    )
    assert lines[3].startswith("| ridge_3 |  |  | 0.600 |") and len(lines) == 4


def test_what_is_done_is_not_made_again(benchmark, tmp_path, monkeypatch, capsys):
    """The table of kept results; nothing is trained, and `--only` makes no table."""
    world = benchmark("driving_world")
    for run in world_document()["runs"]:
        (tmp_path / f"world_steps5_seed{run['seed']}.json").write_text(json.dumps(run))
    monkeypatch.setattr(world, "baselines", lambda kind: {})
    monkeypatch.setattr(world, "recipe_of", None)
    common = ["driving_world.py", "--runs", str(tmp_path), "--steps", "5", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*common, "--only", "world", "--seeds", "0", "1"])
    world.main()
    assert capsys.readouterr().out == "" and not list(tmp_path.glob("driving_world_*"))
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("sys.argv", [*common, "--kept"])
    world.main()
    assert "| world, straight |" in capsys.readouterr().out
    (path,) = tmp_path.glob("driving_world_*.json")
    assert re.search(r"driving_world_\d{4}-\d\d-\d\d_", path.name) and len(json.loads(path.read_text())["runs"]) == 2
