"""One training step of every model of the zoo, as `test_conformance` has them, in a file of its own: a process keeps
the memory of what it trained."""

import keras
import numpy as np
import pytest

from scs_keras import zoo
from tests.checks import in_own_process, to_numpy
from tests.test_conformance import FIXED_WIDTHS, SMALL, inputs, named


def training_pair(model):
    """Random (x, y) as the model is trained on them."""
    if model.preset.labels:
        x = inputs(model.preset)
        return x, np.random.default_rng(0).integers(
            len(model.preset.labels), size=(len(x), *model.preset.output_shape[:-1])
        )
    if isinstance(model.preset.input_shape, dict):  # one of so many cells a step
        steps, cells = model.preset.output_shape
        return inputs(model.preset), np.random.default_rng(0).integers(cells, size=(2, steps))
    if len(model.preset.output_shape) < 3:  # numbers of a sequence, or of its frames
        x = inputs(model.preset)
        return x, np.random.default_rng(0).random((len(x), *model.preset.output_shape), "float32")
    length, channels = model.preset.output_shape[0], model.preset.output_shape[-1]
    if hasattr(model, "training_pair"):
        return model.training_pair(inputs(model.preset, extra=length))
    return inputs(model.preset), inputs(model.preset, extra=length)[:, -length:, ..., :channels]


def train_one_step(preset, eagerly):
    model = preset.make()
    model.run_eagerly, model.jit_compile = eagerly, False  # XLA would take minutes and 2 GB for all of them
    before = model.get_weights()
    loss = model.train_on_batch(*training_pair(model))
    assert np.all(np.isfinite(loss))
    assert any(np.any(old != new) for old, new in zip(before, model.get_weights()))


@pytest.mark.parametrize("preset", named(SMALL))
def test_one_training_step(preset):
    train_one_step(preset, eagerly=True)


@pytest.mark.slow
@pytest.mark.parametrize("preset", named(SMALL))
def test_one_training_step_in_a_graph(preset):
    if preset.arguments.get("name") in FIXED_WIDTHS:  # a third of a gigabyte each
        in_own_process(train_one_step, preset, eagerly=False)
    else:
        train_one_step(preset, eagerly=False)


AT_PAPER_SIZE = {  # all parameters, stages, heads and clips; small frames, few of them
    **dict.fromkeys(("scs_action_17_ucf101", "cbm_action_17_ucf101", "convlstm_action_15_ucf101"), (6, 64, 64, 3)),
    **dict.fromkeys(("scs_action_vgg_ucf101", "scs_action_inception_ucf101", "cbm_action_vgg_ucf101"), (3, 64, 64, 3)),
    "lrcn_action_vgg_ucf101": (3, 64, 64, 3),
    "scs_driving_17_livi": (3, 64, 192, 3),
}


def trained_at_paper_size(name, file):
    """Outputs of a model that took a step and was saved; with SGD, since Adam holds two gigabytes more."""
    model = zoo.load(name, weights=None, input_shape=AT_PAPER_SIZE[name])
    model.optimizer, model.run_eagerly = keras.optimizers.SGD(1e-5), True
    x, y = (each[:1] for each in training_pair(model))
    assert np.all(np.isfinite(model.train_on_batch(x, y)))
    model.save(file)
    return to_numpy(model(x))


def loaded_at_paper_size(file):
    model = keras.saving.load_model(file)
    return to_numpy(model(inputs(model.preset)[:1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_PAPER_SIZE)
def test_a_step_and_a_saved_file_at_paper_size(name, tmp_path):
    """In two processes, neither of which holds the model twice."""
    outputs = in_own_process(trained_at_paper_size, name, tmp_path / "model.keras")
    np.testing.assert_allclose(in_own_process(loaded_at_paper_size, tmp_path / "model.keras"), outputs, atol=1e-5)
