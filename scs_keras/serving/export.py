"""SavedModel export for TF Serving: `scs-keras export PRESET --output DIR`."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np

import scs_keras
from scs_keras import zoo
from scs_keras.zoo.encoder_decoder import EncoderDecoder

TOLERANCE = 1e-5


def export_preset(name, output, weights=None, size=None):
    """Exports a preset and returns the version directory, the next free integer in `output`.

    Signatures, all float32 and with a free batch size:
        serving_default: `frames` (batch, time, height, width, channels) to `output`.
        step: `frame` (batch, height, width, channels), `state_0`, ... to `output`, `next_state_0`, ...; TF Serving
            keeps nothing between calls, so the state goes in and out with each. Of SCS models only.
        initial_state: `batch_size` (scalar int32) to `state_0`, ... Of SCS models only.

    The export is loaded again and compared with the model before it gets its name; the largest
    differences stand in `assets.extra/parity.json`.

    Args:
        name: of the preset.
        output: folder that TF Serving watches.
        weights: a `.weights.h5` file instead of the preset's.
        size: (height, width) of the frames; None for the preset's.

    Raises:
        ValueError: for an unknown preset or one without weights, a size below 1, another backend than TensorFlow,
            or an export that does not give the model's numbers.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Export needs TensorFlow. Received: backend {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )
    if size is not None and min(size) < 1:
        raise ValueError(f"--size must be positive. Received: {tuple(size)}. For example: --size 256 256.")
    model = zoo.load(name, weights=weights or "preset")
    time, height, width, channels = model.preset.input_shape
    frame = (*(size or (height, width)), channels)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(path.name) for path in output.iterdir() if path.name.isdigit()), default=0)
    beside = output / f"writing_{version}"
    shutil.rmtree(beside, ignore_errors=True)
    _write(model, beside, time, frame)
    try:
        parity = check(model, beside, time, frame)
    except ValueError:
        shutil.rmtree(beside)
        raise
    (beside / "assets.extra").mkdir()
    report = dict(preset=name, version=scs_keras.__version__, frame=frame, largest_difference=parity)
    (beside / "assets.extra" / "parity.json").write_text(json.dumps(report, indent=1))
    os.replace(beside, output / str(version))
    return output / str(version)


def _write(model, path, time, frame):
    import tensorflow as tf

    def spec(shape, name):
        return tf.TensorSpec((None, *shape), tf.float32, name=name)

    def serving_default(frames):
        return {"output": tf.cast(model(frames, training=False), tf.float32)}

    def step(image, *states):
        forecast, following = model.step(image, list(states))
        named = {f"next_state_{index}": state for index, state in enumerate(following)}
        return {"output": tf.cast(forecast, tf.float32), **named}

    def initial_state(batch_size):
        return {f"state_{index}": s for index, s in enumerate(model.initial_states(batch_size, *frame[:2]))}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serving_default, [spec((time, *frame), "frames")])
    if streams(model):
        states = model.initial_states(1, *frame[:2])
        state_specs = [spec(state.shape[1:], f"state_{index}") for index, state in enumerate(states)]
        archive.add_endpoint("step", step, [spec(frame, "frame"), *state_specs])
        archive.add_endpoint("initial_state", initial_state, [tf.TensorSpec((), tf.int32, name="batch_size")])
    archive.write_out(str(path), verbose=False)


def streams(model):
    """Whether the model can take one frame at a time."""
    return isinstance(model, EncoderDecoder)


def check(model, path, time, frame):
    """Largest differences between the export and the model, whole and streamed, on random frames in [0, 1].

    Raises:
        ValueError: if one exceeds 1e-5.
    """
    import tensorflow as tf

    frames = np.random.default_rng(0).random((2, time, *frame), "float32")
    expected = np.asarray(model(frames))
    loaded = tf.saved_model.load(str(path))  # must stay alive while its signatures are used
    whole = loaded.signatures["serving_default"](frames=tf.constant(frames))["output"]
    differences = {"serving_default": float(np.abs(whole - expected).max())}
    if streams(model):
        state = loaded.signatures["initial_state"](batch_size=tf.constant(2))
        for index in range(time):
            result = loaded.signatures["step"](frame=tf.constant(frames[:, index]), **state)
            state = {key.removeprefix("next_"): value for key, value in result.items() if key != "output"}
        differences["step"] = float(np.abs(result["output"] - expected).max())
    if max(differences.values()) > TOLERANCE:
        raise ValueError(
            f"The export does not give the model's numbers. Allowed: {TOLERANCE}. Received: {differences}."
        )
    return differences
