"""Exports of all models of the zoo, each in a process of its own: TensorFlow keeps every graph that it traced."""

import subprocess
import sys

import pytest

from tests.test_conformance import ONE_PER_TASK, SMALL, named, on_tensorflow

EXPORT = """
import sys
from scs_keras import zoo
from scs_keras.serving.export import export

preset = zoo.get_preset(sys.argv[1])
path = export(preset.with_arguments(**preset.reduced).make(), sys.argv[2])  # compares all signatures with the model
assert (path / "assets.extra" / "parity.json").exists()
"""


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("preset", named(preset for preset in SMALL if preset not in ONE_PER_TASK))
def test_export(preset, tmp_path):
    done = subprocess.run([sys.executable, "-c", EXPORT, preset.name, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
