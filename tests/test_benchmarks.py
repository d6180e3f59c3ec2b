"""What the benchmarks share: the head of a result file, and which trainings are one model's."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import scs_keras

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
