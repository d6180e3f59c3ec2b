"""Between the values of a data set and those of the models, [0, 1].

Every function takes NumPy arrays and lists (and returns NumPy) as well as tensors (and returns tensors of the running
Keras backend). The values of arrays are checked; those of tensors, which may have none yet, are not.
"""

import numpy as np
from keras import ops


def pixels_to_scaled(pixels):
    """Grey or colour values 0 ... 255 (uint8 or any number type) to [0, 1], float32."""
    return _scaled(pixels, 0.0, 255.0, "pixels")


def scaled_to_pixels(frames):
    """[0, 1] to uint8 0 ... 255, rounded; values beyond are clipped."""
    if ops.is_tensor(frames):
        return ops.cast(ops.round(ops.clip(ops.cast(frames, "float32"), 0.0, 1.0) * 255.0), "uint8")
    return np.rint(np.clip(np.asarray(frames, "float32"), 0.0, 1.0) * 255).astype("uint8")


def flow_to_scaled(flow):
    """TaxiBJ's traffic flow as it is distributed, in [-1, 1], to [0, 1], float32."""
    return _scaled(flow, -1.0, 1.0, "TaxiBJ's flows")


def scaled_to_flow(frames):
    """[0, 1] to [-1, 1], float32; not clipped."""
    frames = ops.cast(frames, "float32") if ops.is_tensor(frames) else np.asarray(frames, "float32")
    return frames * 2.0 - 1.0


def _scaled(values, low, high, name):
    if ops.is_tensor(values):
        return (ops.cast(values, "float32") - low) / (high - low)
    values = np.asarray(values)
    if values.size and not (values.min() >= low and values.max() <= high):  # not a number is refused too
        raise ValueError(
            f"Allowed are {name} from {low:g} to {high:g}. Received: {values.min():g} to {values.max():g}. "
            "Frames that are in [0, 1] already go to the model as they are."
        )
    return ((values.astype("float32") - low) / (high - low)).astype("float32")
