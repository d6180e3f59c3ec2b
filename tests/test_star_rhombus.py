"""A small star-and-rhombus study: the carried state tells distances that no clip spans (Sec. 5.3)."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the study trains on TensorFlow")


@pytest.fixture(scope="module")
def star_rhombus():
    path = Path(__file__).parents[1] / "benchmarks" / "star_rhombus.py"
    spec = importlib.util.spec_from_file_location("star_rhombus", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sequences_show_one_star_and_count_from_it(star_rhombus):
    frames, distance, weight = star_rhombus.sequences(samples=20, steps=12, latest_star=4, seed=0)
    assert frames.shape == (20, 12, star_rhombus.SIZE, star_rhombus.SIZE, 1)
    is_star = frames.sum(axis=(2, 3, 4)) == star_rhombus.STAR.sum()  # the star has more pixels than the rhombus
    np.testing.assert_array_equal(is_star.sum(axis=1), 1)
    star = is_star.argmax(axis=1)
    assert star.min() == 0 and star.max() == 4
    steps = np.arange(12)
    np.testing.assert_array_equal(weight, steps >= star[:, None])
    np.testing.assert_array_equal(distance[..., 0], np.maximum(steps - star[:, None], 0))


def test_a_self_excited_gate_forgets_slowly(star_rhombus):
    """A gate of the study's own network, over 50 frames that show nothing: still on the way back to its rest, 1/2."""
    study = star_rhombus.Study(layers=1)
    network = star_rhombus.build(study).network
    nothing = keras.ops.zeros((1, 50, 1, 1, 8))
    network.build(nothing.shape)
    start = keras.tree.map_structure(lambda gate: keras.ops.full_like(gate, 0.3), network.initial_states(1, 1, 1))
    _, states = network(nothing, initial_states=start, return_states=True)
    (gates,) = keras.tree.flatten(states)
    assert gates.shape[-1] == study.units
    gates = keras.ops.convert_to_numpy(gates)
    assert 0.4 < gates.min() and gates.max() < 0.48


@pytest.mark.slow
def test_the_carried_state_tells_distances_beyond_the_clip(star_rhombus):
    # About 10 s; the full study (distances of 50 frames): python benchmarks/star_rhombus.py
    study = star_rhombus.Study(
        steps=26, latest_star=5, clip=6, layers=1, samples=256, updates=240, rate=1e-2, compiled=False
    )
    model = star_rhombus.train(study, "aligned", seed=0)
    frames, distance, weight = star_rhombus.sequences(128, study.steps, study.latest_star, seed=1000)
    answers = star_rhombus.tell(model, study, frames)
    np.testing.assert_allclose(answers, star_rhombus.tell_in_clips(model, study, frames), atol=1e-3)
    beyond = np.arange(study.clip, study.farthest + 1)  # further back than any clip reaches
    error = np.mean(star_rhombus.errors(answers, distance, weight, study.farthest)[study.clip :])
    constant = np.mean(np.abs(beyond - np.median(beyond)))
    assert error < 0.5 * constant
