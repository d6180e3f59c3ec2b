"""What several video models are checked for: a tiny moving picture, saving, lengths and channels, learning."""

import keras
import numpy as np
from keras import ops


def moving_squares(count=4, time=5, height=16, width=24, channels=1, side=6, seed=0):
    """Bright squares on black that move on by one or two pixels a frame, (count, time, height, width, channels)."""
    random = np.random.default_rng(seed)
    frames = np.zeros((count, time, height, width, channels), "float32")
    for sequence in frames:
        steps = random.integers(0, 3, size=2)
        y, x = (random.integers(0, size - side) for size in (height, width))
        for image in sequence:
            image[y : y + side, x : x + side] = 1.0
            y, x = min(y + steps[0], height - side), min(x + steps[1], width - side)
    return frames


def randomize(model, scale=1.0, seed=0):
    """Kernels of that scale times 1/sqrt(fan in), everything else near its initial value."""
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 25.0
        noise = random.normal(0.0, scale / np.sqrt(max(fan_in, 1)), variable.shape)
        variable.assign(ops.convert_to_numpy(variable) * (len(variable.shape) < 2) + noise)


def check_saved_and_loaded(model, frames, folder):
    """A `.keras` file gives the same predictions, and the same hyperparameters."""
    expected = model(frames)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_allclose(loaded(frames), expected, atol=1e-5)
    before, after = model.get_config(), loaded.get_config()
    assert before.keys() == after.keys() and all(str(before[key]) == str(after[key]) for key in before)


def check_lengths(model, frames, longer):
    """A longer output begins with the shorter one."""
    shorter = np.asarray(model(frames))
    assert shorter.shape[:2] == (len(frames), model.output_length)
    assert shorter.shape[2:] == (*frames.shape[2:4], model.output_channels)
    model.output_length = longer
    predicted = np.asarray(model(frames))
    assert predicted.shape == (len(frames), longer, *shorter.shape[2:])
    np.testing.assert_allclose(predicted[:, : shorter.shape[1]], shorter, atol=1e-5)
    model.output_length = 1
    np.testing.assert_allclose(model(frames), shorter[:, :1], atol=1e-5)


def check_learns(model, sequence, epochs, learning_rate=1e-2, **losses):
    """The loss of a few moving squares halves."""
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, jit_compile=False, **(losses or dict(loss="mse")))  # compiling takes longer than training
    history = model.fit(*model.training_pair(sequence), batch_size=len(sequence), epochs=epochs, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2, history["loss"]
    return history
