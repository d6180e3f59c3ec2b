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
    kernel = keras.ops.convert_to_numpy(star_rhombus.SelfExcitation(4.0)((3, 3, 2, 2)))
    np.testing.assert_array_equal(kernel[1, 1], 4 * np.eye(2))
    assert kernel.sum() == 8
    gate = 0.3
    for _ in range(50):
        gate = 1 / (1 + np.exp(2 - 4 * gate))
    assert 0.4 < gate < 0.48  # after 50 frames still on the way back to 1/2


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
