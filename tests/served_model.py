"""A small model as an export serves it: whole clips, files, and a stream. python -m tests.served_model FOLDER [VERSION]

It writes FOLDER/fading/VERSION, for TF Serving or `scs-keras serve FOLDER/fading`.
"""

import sys
from pathlib import Path

import numpy as np

NAME = "fading"
TIME, HEIGHT, WIDTH = 4, 8, 12
LABELS = ("dark", "grey", "bright")


def write(folder, version=1, offset=0.0):
    """Writes the version and returns its folder; another offset is another model."""
    import keras
    import tensorflow as tf

    from scs_keras.core.signatures import Signature, Spec
    from scs_keras.serving.saved_model import write_saved_model

    frame, labels = (HEIGHT, WIDTH, 1), tf.constant(LABELS)

    def following(state, pixels):
        return 0.5 * state + tf.cast(pixels, "float32") / 255.0 + offset

    def answer(state):
        best = tf.cast(tf.reduce_mean(state, (1, 2, 3)) * len(LABELS), "int32")
        return state, tf.gather(labels, tf.clip_by_value(best, 0, len(LABELS) - 1))

    def whole(frames):
        state, outputs = tf.zeros_like(frames[:, 0], "float32"), []
        for index in range(TIME):
            state = following(state, frames[:, index])
            outputs.append(state)
        return tf.stack(outputs, axis=1), answer(state)[1]

    def files(data):
        def decoded(each):
            return tf.ensure_shape(tf.io.decode_image(each, channels=1, expand_animations=False), frame)

        pixels = tf.map_fn(decoded, tf.reshape(data, (-1,)), fn_output_signature=tf.uint8)
        return whole(tf.reshape(pixels, (-1, TIME, *frame)))

    def step(pixels, state):
        state = following(state, pixels)
        return *answer(state), state

    outputs = ("output", "labels")
    signatures = (
        Signature("serving_default", (Spec("frames", (TIME, *frame), "uint8"),), outputs, whole),
        Signature("serve_bytes", (Spec("frames_bytes", (TIME,), "string"),), outputs, files),
        Signature("step", (Spec("frame", frame, "uint8"), Spec("state_0", frame)), (*outputs, "next_state_0"), step),
        Signature(
            "initial_state", (Spec("frame", frame, "uint8"),), ("state_0",), lambda each: (tf.zeros_like(each, "float32"),)
        ),
        Signature(  # more than a gRPC client's own 4 MB
            "large", (Spec("scale", ()),), ("output",), lambda scale: (tf.ones((1, 1_500_000)) * scale[:, None],)
        ),
    )  # fmt: skip

    path = Path(folder) / NAME / str(version)
    beside = path.with_name(f".{version}")  # a server that looks meanwhile sees no half of it
    beside.mkdir(parents=True)
    write_saved_model(keras.Model(), signatures, beside)
    return beside.rename(path)


def clips(batch=3, time=TIME, seed=0):
    """The first is dark, the last bright."""
    noise = np.random.default_rng(seed).random((batch, time, HEIGHT, WIDTH, 1))
    return (255 * noise * np.linspace(1 / batch, 1, batch)[:, None, None, None, None]).astype("uint8")


def expected(frames, offset=0.0):
    """(outputs of all frames, labels), in NumPy."""
    state, outputs = 0.0, []
    for frame in np.moveaxis(frames, 1, 0):
        state = 0.5 * state + frame / np.float32(255) + np.float32(offset)
        outputs.append(state)
    best = (outputs[-1].mean((1, 2, 3)) * len(LABELS)).astype(int).clip(0, len(LABELS) - 1)
    return np.stack(outputs, 1), np.array(LABELS, object)[best]


if __name__ == "__main__":
    print(write(sys.argv[1], *map(int, sys.argv[2:3])))
