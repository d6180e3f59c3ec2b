"""What the benchmarks share: the head of a result file, and which trainings are one model's."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import scs_keras
from tests.checks import in_own_process

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_measuring_loads_no_backend():
    """memory.py measures processes that it starts; it must be small itself."""
    code = "import sys, measuring; start = measuring.provenance(); print(sorted({'keras', 'tensorflow', 'jax'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_result_file(benchmark, tmp_path):
    measuring = benchmark("measuring")
    start = measuring.provenance()
    assert start["versions"]["scs_keras"] == scs_keras.__version__
    assert start["versions"]["keras"] == keras.__version__
    path = measuring.result_path("speed", start, tmp_path)
    assert re.fullmatch(r"speed_\d{4}-\d\d-\d\d_[\d.]+\.json", path.name)
    measuring.write(path, start)
    assert measuring.begun(path, start) == json.loads(json.dumps(start))
    other = {**start, "machine": {**start["machine"], "cores": -1}}
    with pytest.raises(ValueError, match="another machine"):
        measuring.begun(path, other)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="video_models times TensorFlow")
def test_video_models_are_grouped_by_preset_and_arguments(benchmark):
    pytest.importorskip("matplotlib")
    video_models = benchmark("video_models")

    def run(preset, **arguments):
        return {"settings": {"preset": preset, "arguments": arguments}}

    tau, radar = "tau_video_small_moving_mnist", "tau_video_small_radar"
    runs = dict(a=run(tau), b=run(tau), c=run(tau, static_attention=False), d=run(tau, alpha=0), e=run(radar))
    groups = {str(kind): group for kind, group in video_models.by_kind(runs).items()}
    assert groups == {
        tau: [runs["a"], runs["b"]],
        f"{tau}, static_attention=False": [runs["c"]],
        f"{tau}, alpha=0": [runs["d"]],
        radar: [runs["e"]],
    }
    kinds = list(video_models.by_kind(runs))
    shown = {title: [kind.short for kind in kinds if belongs(kind)] for title, belongs in video_models.PANELS.items()}
    assert shown == {
        "Moving MNIST": ["tau"],
        "Moving MNIST, ablations of TAU": ["tau", "tau, static_attention=False", "tau, alpha=0"],
        "Radar": ["tau"],
    }
    changed = run(tau, input_shape=[4, 32, 32, 1])  # lists of JSON
    assert str(video_models.Kind.of(changed)) == f"{tau}, input_shape=(4, 32, 32, 1)"


def moved(one, other):
    """The cyclic shift in rows and columns that lays one frame over the other, by their correlation."""
    product = np.fft.fft2(other) * np.conj(np.fft.fft2(one))
    size = np.array(one.shape)
    shift = np.array(np.unravel_index(np.fft.ifft2(product).real.argmax(), one.shape))
    return tuple((shift + size // 2) % size - size // 2)


def test_geometries_move_as_their_label_says(benchmark):
    geometries = benchmark("geometries")
    frames, labels = geometries.unseen_geometry(0, noise=0.0).sequences(40, seed=0)
    assert frames.shape == (40, geometries.FRAMES, geometries.SIZE, geometries.SIZE, 1) and frames.dtype == np.float32
    directions = [*geometries.DIRECTIONS.values()]
    assert set(labels) == {0, 1, 2, 3}
    for sequence, label in zip(frames[..., 0], labels):
        for one, other in zip(sequence, sequence[1:]):
            assert moved(one, other) == tuple(geometries.SPEED * each for each in directions[label])


def test_disordered_geometries_stay_the_same_and_jump(benchmark):
    geometries = benchmark("geometries")
    task = geometries.disordered_motion(noise=0.0)
    images = [np.array([list(map(int, row)) for row in rows]) for rows in geometries.GEOMETRIES.values()]
    for seen in (True, False):
        frames, labels = task.test(seed=0, count=30, seen=seen)
        shifts = []
        for sequence, label in zip(frames[..., 0], labels):
            first = np.zeros_like(sequence[0])
            first[:7, :7] = images[label]
            for frame in sequence:
                np.testing.assert_array_equal(np.roll(first, moved(first, frame), (0, 1)), frame)
            shifts += [moved(*pair) for pair in zip(sequence, sequence[1:])]
        directions = {tuple(geometries.SPEED * step for step in each) for each in geometries.DIRECTIONS.values()}
        assert (set(shifts) <= directions) == seen
        np.testing.assert_array_equal(task.matched(frames), labels)


@pytest.mark.parametrize("task", ["unseen_geometry", "unseen_pairs"])
def test_what_is_unseen_is_not_in_training(benchmark, task):
    geometries = benchmark("geometries")
    task = geometries.unseen_geometry(2) if task == "unseen_geometry" else geometries.unseen_pairs()
    assert not {*task.seen} & {*task.unseen} and {*task.seen, *task.unseen} == {*geometries.ALL}
    for kinds in (task.seen, task.unseen):  # the direction cannot be guessed from how often it is shown
        assert len({sum(kind[1] == direction for kind in kinds) for direction in range(4)}) == 1
    images = [np.array([list(map(int, row)) for row in rows]) for rows in geometries.GEOMETRIES.values()]
    quiet = dataclasses.replace(task, noise=0.0)
    for seen, kinds in ((True, task.seen), (False, task.unseen)):
        shown = set()
        for sequence, label in zip(*quiet.test(0, 60, seen)):
            patches = np.lib.stride_tricks.sliding_window_view(np.pad(sequence[0, ..., 0], (0, 6), "wrap"), (7, 7))
            (geometry,) = [at for at, image in enumerate(images) if (patches == image).all(axis=(2, 3)).any()]
            shown.add((geometry, int(label)))
        assert shown == {*kinds}
        np.testing.assert_array_equal(quiet.matched(quiet.test(0, 60, seen)[0]), quiet.test(0, 60, seen)[1])


def test_batches_are_a_function_of_seed_and_step(benchmark):
    geometries = benchmark("geometries")
    for task in (geometries.unseen_pairs(), geometries.unseen_pairs(examples=64)):
        one, again, later, other = (task.batch(*each, size=8) for each in ((0, 3), (0, 3), (0, 4), (1, 3)))
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])
        assert not np.array_equal(one[0], later[0]) and not np.array_equal(one[0], other[0])
    few = geometries.unseen_pairs(examples=4)
    shown = {frames.tobytes() for step in range(20) for frames in few.batch(0, step, 8)[0]}
    assert len(shown) == 4
    tested = {frames.tobytes() for frames in few.test(0, 50, seen=True)[0]}
    assert not shown & tested


def test_tables_of_the_moving_geometries(benchmark):
    """Differences of Tab. 3 are of the same seed, and only of those that have both."""
    tables = benchmark("geometry_tables").tables

    def run(study, row, seed, seen, unseen, steps=None):
        return dict(
            study=study,
            task="pairs",
            model="scs",
            row=row,
            rate=0.01,
            seed=seed,
            seen=seen,
            unseen=unseen,
            steps_to_95=steps,
        )

    ablations = [run("tab3", "whole", 0, 0.9, 0.5), run("tab3", "whole", 1, 0.8, 0.7)]
    ablations += [run("tab3", "without T2", 1, 0.9, 0.6), run("tab3", "without T2", 2, 0.9, 0.6)]
    lines = tables([run("pairs", "", 0, 0.9, 0.5, 75), run("pairs", "", 1, 0.7, 0.5), *ablations]).splitlines()
    assert "| pairs | scs | 0.01 | 75, never | 0.800 ± 0.141 | 0.500 ± 0.000 | 0.300 ± 0.141 |" in lines
    assert lines[-2:] == [
        "| whole | 0.850 ± 0.071 | 0.600 ± 0.141 |  |  |",
        "| without T2 | 0.900 ± 0.000 | 0.600 ± 0.000 | +0.100 | -0.100 |",
    ]


def _small_outlines(names, folder):
    """Trains for two steps each; by `in_own_process`, for what the models take stays in memory."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)  # graphs cost more than these few steps
    sys.path.insert(0, str(FOLDER))
    outlines = importlib.import_module("outlines")
    for name, value in dict(LOOK=2, TEST=3, SIDE=32, GRID=8, WIDTH=4).items():
        setattr(outlines, name, value)
    for name in names:
        outlines.one(name, 0, outlines.Budget(2, 2, 5, 1), folder)


@pytest.mark.slow
def test_outlines_are_trained_drawn_and_kept(benchmark, tmp_path):
    """A shallow SCS and a ConvLSTM with a gain, and what is made of the records."""
    pytest.importorskip("matplotlib")
    names = ["scs_2", "convlstm_gain_2"]
    in_own_process(_small_outlines, names, tmp_path)
    outlines = benchmark("outlines")
    budget = outlines.Budget(2, 2, 5, 1)
    assert all(outlines.own_process(name, 0, budget, tmp_path) for name in names)  # are there: none is started
    records = [json.loads(budget.path(tmp_path, name, 0).read_text()) for name in names]
    assert [len(each["curve"]) for each in records] == [2, 2] and all(0 <= each["iou"] <= 1 for each in records)
    assert [each["network"] for each in records] == ["scs", "convlstm"] and records[0]["recurrent_parameters"] > 0
    assert records[0]["budget"] == dict(steps=2, batch=2, vertices=5, every=1, rate=2e-3)
    beside = dict(box=0.6, ellipse=0.7)
    lines = outlines.table(records, beside).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["scs_2", "convlstm_gain_2"]
    assert lines[-1].split() == ["ellipse", "0.700"]
    outlines.draw(records, beside, tmp_path / "outlines.png")
    assert (tmp_path / "outlines.png").stat().st_size > 1000


def test_names_of_the_outline_models(benchmark):
    outlines = benchmark("outlines")
    names = outlines.names_of((2, 15))
    parts = {name: outlines.parts_of(name) for name in names}
    assert names[:4] == ["scs_2", "scs_15", "convlstm_2", "convlstm_15"]
    assert parts["scs_2"] == ("scs", "", 2) and parts["convlstm_norm_15"] == ("convlstm", "norm", 15)
    assert parts["scs_p0.2_15"] == ("scs", "p0.2", 15)
    assert parts["scs_norm_15"] == ("scs", "norm", 15)
    assert outlines.parts_of("scs_gain_15") is None and outlines.parts_of("lstm_2") is None
    assert outlines.in_order([dict(name=name) for name in reversed(names)])[:3] == [
        "convlstm_2",
        "convlstm_15",
        "scs_2",
    ]
