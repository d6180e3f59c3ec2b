"""Exports of all models of the zoo, each in a process of its own: TensorFlow keeps every graph that it traced."""

import pytest

from scs_keras import zoo
from scs_keras.serving.export import export
from tests.checks import in_own_process
from tests.test_conformance import ONE_PER_TASK, SMALL, named, on_tensorflow


def exported(name, folder):
    preset = zoo.get_preset(name)
    return export(preset.with_arguments(**preset.reduced).make(), folder)  # compares all signatures with the model


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("preset", named(preset for preset in SMALL if preset not in ONE_PER_TASK))
def test_export(preset, tmp_path):
    path = in_own_process(exported, preset.name, tmp_path)
    assert (path / "assets.extra" / "parity.json").exists()
