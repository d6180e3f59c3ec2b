"""Exports of all models of the zoo, in a file and so in a process of its own: TensorFlow keeps each graph."""

import pytest

from tests.test_conformance import ONE_PER_TASK, SMALL, check_export, named, on_tensorflow


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("preset", named(preset for preset in SMALL if preset not in ONE_PER_TASK))
def test_export(preset, tmp_path):
    check_export(preset, tmp_path)
