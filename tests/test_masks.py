"""Frames that do not count: masks of any number of axes, and weights of frames in an average."""

import keras
import numpy as np
import pytest

from scs_keras import LTSC, SCS2D, SCSCell, SCSModel, SCSNetwork, Stage
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from tests.checks import assert_close, random

FRAMES = random(2, 5, 6, 6, 1)
PADDED = FRAMES.copy()
PADDED[0, 3:] = 0
PADDED[1, 1, :3] = 0  # a part of a frame: the frame counts
COUNTS = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "bool")


@pytest.mark.parametrize(
    "make",
    [
        lambda: SCS2D(2, strides=2, return_state=True),
        lambda: keras.layers.RNN(SCSCell(2, strides=2), return_sequences=True, return_state=True),
        lambda: SCSNetwork([2, Stage(3, strides=2, pool=2)]),
    ],
)
@pytest.mark.parametrize("pixels", [(), (6, 6), (6, 6, 1)])
def test_a_frame_is_masked_where_all_its_pixels_are(make, pixels):
    layer = make()
    mask = np.broadcast_to(COUNTS.reshape(2, 5, *(1,) * len(pixels)), (2, 5, *pixels)).copy()
    if pixels:
        mask[1, 1, :3] = False
    shown = layer(PADDED, mask=mask)
    assert_close(shown, layer(PADDED, mask=COUNTS))
    if not isinstance(layer, SCSNetwork):
        outputs, gate = shown
        assert_close(outputs[0, 4], outputs[0, 2])
        assert_close(gate[:1], layer(FRAMES[:1, :3])[1])


def test_masking_of_images_goes_through_layers_that_make_them_smaller():
    inputs = keras.Input((None, 6, 6, 1))
    u = keras.layers.Masking()(inputs)
    for layer in (
        SCS2D(2, strides=2),
        keras.layers.RNN(SCSCell(2, strides=2), return_sequences=True),
        SCSNetwork([2]),
        SCS2D(2, return_sequences=False),
    ):
        u = layer(u)
    model = keras.Model(inputs, u)
    assert_close(model(PADDED)[:1], model(FRAMES[:1, :3]))


def averaging(network=None, **arguments):
    keras.utils.set_random_seed(1)
    head = keras.Sequential([keras.layers.TimeDistributed(keras.layers.Flatten()), keras.layers.Dense(2)])
    model = SCSModel(network or SCSNetwork([2]), head, average=True)
    arguments = {"run_eagerly": True, **arguments}
    model.compile(keras.optimizers.SGD(0.1), "mse", spatial_loss="mse", metrics=["mae"], **arguments)
    model.build((None, *FRAMES.shape[1:]))
    return model


@pytest.mark.parametrize("make", [SCSNetwork, ConvLSTMNetwork])
def test_masked_frames_do_not_count_in_the_average(make):
    keras.utils.set_random_seed(1)
    head = keras.layers.TimeDistributed(keras.layers.Flatten())
    model = SCSModel(make([2]), head, average=True)
    inputs = keras.Input(FRAMES.shape[1:])
    masked = keras.Model(inputs, model(keras.layers.Masking()(inputs)))
    assert_close(masked(PADDED)[:1], model(FRAMES[:1, :3]))
    gap = FRAMES[:, [0, 1, 1, 2]].copy()
    gap[:, 2] = 0
    assert_close(model(gap, mask=np.array([[1, 1, 0, 1]] * 2, bool)), model(FRAMES[:, :3]))


def test_an_average_of_padded_sequences_is_that_of_their_frames():
    """Sequences of 3 frames, padded to 5 or not: the same losses, metrics and training."""
    y, weights = random(2, 2), np.array([[1, 1, 1, 0, 0]] * 2, "float32")
    padded, short = averaging(), averaging()
    for run in ("evaluate", "fit", "evaluate"):
        options = dict(return_dict=True) if run == "evaluate" else {}
        logs = getattr(padded, run)(FRAMES, y, sample_weight=weights, verbose=0, **options)
        expected = getattr(short, run)(FRAMES[:, :3], y, verbose=0, **options)
        if run == "evaluate":
            assert logs == pytest.approx(expected, rel=1e-4)
    assert_close(padded.get_weights(), short.get_weights())


def test_frames_count_by_their_weight():
    model, weights = averaging(), np.array([[1, 2, 0, 0, 1], [0, 0, 0, 0, 0]], "float32")
    states, outputs = model.initial_states(FRAMES), []
    for index in range(5):
        output, states = model.step(FRAMES[:, index], states)
        outputs.append(np.asarray(output))
    expected = (outputs[0] + 2 * outputs[1] + outputs[4])[0] / 4
    assert_close(model(FRAMES, frame_weights=weights), np.stack([expected, 0 * expected]))
    y = random(2, 2)
    logs = model.evaluate(FRAMES, y, sample_weight=weights, verbose=0, return_dict=True)
    assert logs["main_loss"] == pytest.approx(np.mean((expected - y[0]) ** 2) / 2, rel=1e-4)  # of two sequences


@pytest.mark.parametrize("weights", [np.ones((2, 5), "float32"), np.full((2, 5), 3.0, "float32")])
@pytest.mark.parametrize("long_sequence", [None, LTSC(2)])
def test_equal_weights_change_nothing(weights, long_sequence):
    y = random(2, 2)
    given, none = averaging(long_sequence=long_sequence), averaging(long_sequence=long_sequence)
    first = given.fit(FRAMES, y, sample_weight=weights, verbose=0).history
    second = none.fit(FRAMES, y, verbose=0).history
    assert first == {name: pytest.approx(each, rel=1e-4) for name, each in second.items()}
    assert_close(given.get_weights(), none.get_weights())


def test_in_clips_padding_teaches_nothing():
    weights, y = np.array([[1, 1, 1, 0, 0]] * 2, "float32"), random(2, 2)
    other = FRAMES.copy()
    other[:, 3:] += 7.0
    models = [averaging(long_sequence=LTSC(2, carry="aligned", overlap_weight=0.0)) for _ in range(2)]
    for model, x in zip(models, (FRAMES, other)):
        model.fit(x, y, sample_weight=weights, verbose=0)
    assert_close(models[0].get_weights(), models[1].get_weights())
