"""Promises about the project itself: what is checked, what a run of the tests tells, the version."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import scs_keras

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHECKED = {  # files whose types are checked; add yours, take none away
    "scs_keras/__init__.py",
    "scs_keras/core",
    "scs_keras/serving/client.py",
    "scs_keras/serving/client_grpc.py",
    "scs_keras/serving/client_rest.py",
    "scs_keras/serving/server",
    "scs_keras/serving/values.py",
    "scs_keras/training/action/baselines.py",
    "scs_keras/training/action/controls.py",
    "scs_keras/training/action/predict.py",
    "scs_keras/training/action/recipe.py",
    "scs_keras/training/action/scores.py",
    "scs_keras/training/checkpoint.py",
    "scs_keras/training/data",
    "scs_keras/training/driving/baselines.py",
    "scs_keras/training/driving/comma.py",
    "scs_keras/training/driving/datasets.py",
    "scs_keras/training/driving/donkeycar.py",
    "scs_keras/training/driving/drives.py",
    "scs_keras/training/driving/images.py",
    "scs_keras/training/driving/livi.py",
    "scs_keras/training/driving/pictures.py",
    "scs_keras/training/driving/predict.py",
    "scs_keras/training/driving/predictors.py",
    "scs_keras/training/driving/readers.py",
    "scs_keras/training/driving/recipe.py",
    "scs_keras/training/driving/samples.py",
    "scs_keras/training/driving/scores.py",
    "scs_keras/training/driving/table.py",
    "scs_keras/training/driving/udacity.py",
    "scs_keras/training/driving/world.py",
    "scs_keras/training/driving/world_view.py",
    "scs_keras/training/evaluate.py",
    "scs_keras/training/film_strip.py",
    "scs_keras/training/importance.py",
    "scs_keras/training/logistic.py",
    "scs_keras/training/outline",
    "scs_keras/training/output.py",
    "scs_keras/training/precipitation/bootstrap.py",
    "scs_keras/training/precipitation/probability_scores.py",
    "scs_keras/training/precipitation/scores.py",
    "scs_keras/training/precipitation/spatial_scores.py",
    "scs_keras/training/precipitation/tally.py",
    "scs_keras/training/precipitation/uncertainty.py",
    "scs_keras/training/predict.py",
    "scs_keras/training/recipe.py",
    "scs_keras/training/run.py",
    "scs_keras/training/samples.py",
    "scs_keras/training/scores.py",
    "scs_keras/training/task.py",
    "scs_keras/training/unusual.py",
    "scs_keras/training/validation.py",
    "scs_keras/zoo/__init__.py",
    "scs_keras/zoo/action/builder.py",
    "scs_keras/zoo/action/example.py",
    "scs_keras/zoo/action/goals.py",
    "scs_keras/zoo/action/model.py",
    "scs_keras/zoo/action/pixels.py",
    "scs_keras/zoo/driving/builder.py",
    "scs_keras/zoo/driving/example.py",
    "scs_keras/zoo/driving/model.py",
    "scs_keras/zoo/driving/pixels.py",
    "scs_keras/zoo/files.py",
    "scs_keras/zoo/flow.py",
    "scs_keras/zoo/heads.py",
    "scs_keras/zoo/lrcn.py",
    "scs_keras/zoo/outline/annotate.py",
    "scs_keras/zoo/outline/builder.py",
    "scs_keras/zoo/outline/cells.py",
    "scs_keras/zoo/outline/conv_gru.py",
    "scs_keras/zoo/outline/crops.py",
    "scs_keras/zoo/outline/decode.py",
    "scs_keras/zoo/outline/encoders.py",
    "scs_keras/zoo/outline/example.py",
    "scs_keras/zoo/outline/layers.py",
    "scs_keras/zoo/outline/losses.py",
    "scs_keras/zoo/outline/model.py",
    "scs_keras/zoo/outline/pixels.py",
    "scs_keras/zoo/outline/reference.py",
    "scs_keras/zoo/outline/shapes.py",
    "scs_keras/zoo/outline/simplify.py",
    "scs_keras/zoo/preset.py",
    "scs_keras/zoo/reference.py",
    "scs_keras/zoo/words.py",
}


def pytest_in(folder, *arguments, **environment):
    """The output of pytest, typed in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_types_are_checked_in_no_file_less_than_before():
    included = set(CONFIGURATION["tool"]["basedpyright"]["include"])
    assert included >= CHECKED
    assert not [path for path in included if not (ROOT / path).exists()]


def test_the_version_is_written_once():
    assert "version" not in CONFIGURATION["project"] and CONFIGURATION["project"]["dynamic"] == ["version"]
    assert CONFIGURATION["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "scs_keras.__version__"}
    files = [path for path in (ROOT / "scs_keras").rglob("*.py") if "__version__ =" in path.read_text()]
    assert files == [ROOT / "scs_keras" / "__init__.py"]
    assert metadata.version("scs-keras") == scs_keras.__version__


def test_the_command_line_tells_the_version():
    result = subprocess.run([sys.executable, "-m", "scs_keras", "--version"], capture_output=True, text=True)
    assert result.returncode == 0 and scs_keras.__version__ in result.stdout


def test_the_slow_tests_are_left_out_of_one_target_and_follow_in_the_other():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r'^test: venv\n\t.* -m "not slow"$', makefile, re.MULTILINE)
    assert re.search(r"^test-all: test\n\t.* -m slow$", makefile, re.MULTILINE)


CASE = """
import numpy, pytest, warnings
import scs_keras
import tests.conftest

@pytest.mark.needs_data("folder_of_nobody", "a folder of nobody")
def test_skipped(data_folder):
    pass

@pytest.mark.needs_data("mine", "a folder of mine")
def test_data(data_folder):
    assert (data_folder / "a.txt").read_text() == "hello"

def test_warning():
    warnings.warn("of ours", RuntimeWarning)

def test_growth():
    numpy.ones(50_000_000).sum()
    tests.conftest.MEMORY = 1e6
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What pytest says of four small tests under the project's configuration, and its exit status."""
    folder = tmp_path_factory.mktemp("case")
    (folder / "data" / "mine").mkdir(parents=True)
    (folder / "data" / "mine" / "a.txt").write_text("hello")
    (folder / "test_case.py").write_text(CASE)
    options = ("-p", "tests.conftest", "-c", ROOT / "pyproject.toml", "--rootdir", folder)
    return pytest_in(folder, *options, "test_case.py", SCS_KERAS_DATA="data")


def test_missing_data_is_told(told):
    reason = "needs a folder of nobody: no folder folder_of_nobody in $SCS_KERAS_DATA"
    assert re.search(r"^SKIPPED \[1\] .*" + re.escape(reason), told.stdout, re.MULTILINE), told.stdout


def test_a_warning_of_ours_is_an_error(told):
    assert "RuntimeWarning: of ours" in told.stdout and "1 failed, 2 passed, 1 skipped" in told.stdout, told.stdout


def test_too_much_memory_fails_and_names_the_test(told):
    assert told.returncode == 1
    assert re.search(r"^FAILED: a process of tests held .* GB\. .* in test_case.py::test_growth\.$", told.stdout, re.M)


def test_processor_time_is_told(told):
    assert re.search(r"^processor time: \d+ s; most memory", told.stdout, re.MULTILINE)


@pytest.mark.slow
def test_pytest_collects_each_test_once_from_anywhere(tmp_path):
    """Also with --doctest-modules, which looks into every file: not through the links at the top."""
    result = pytest_in(tmp_path, "--collect-only", "--doctest-modules", ROOT)
    collected = re.findall(r"^(\S+\.py)::", result.stdout, re.MULTILINE)
    tests = re.findall(r"^tests/.*::.*$", result.stdout, re.MULTILINE)
    assert result.returncode == 0 and len(tests) > 1000, result.stdout[-3000:]
    assert len(tests) == len(set(tests))
    assert not {path.split("/")[0] for path in collected} & {"zoo", "training", "serving", "build"}
