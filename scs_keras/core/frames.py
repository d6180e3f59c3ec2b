"""Checks of what goals and flows are called with: frames, flows, masks."""

from keras import backend, ops


def as_floating(values):
    values = ops.convert_to_tensor(values)
    return values if backend.is_float_dtype(values.dtype) else ops.cast(values, backend.floatx())


def as_frames(frames, least):
    frames = as_floating(frames)
    shape = tuple(frames.shape)
    if len(shape) != 5:
        raise ValueError(
            f"frames must be (batch, time, height, width, channels). Received shape {shape}; "
            "add a missing axis with frames[None] (batch) or frames[..., None] (channels)."
        )
    if None in shape[1:]:
        raise ValueError(
            f"frames need a known time, height, width and number of channels. Received shape {shape}; "
            "name them in keras.Input or the dataset's element_spec."
        )
    if shape[1] < least:
        raise ValueError(f"At least {least} frames are needed to see a motion. Received {shape[1]} in shape {shape}.")
    return frames


def as_flow(flow, height, width):
    flow = ops.convert_to_tensor(flow)
    if tuple(flow.shape[1:]) != (height, width, 2):
        raise ValueError(f"flow must be (batch, {height}, {width}, 2), [dx, dy]. Received shape {tuple(flow.shape)}.")
    return ops.cast(flow, "float32")


def as_mask(mask, height, width):
    mask = ops.convert_to_tensor(mask)
    if tuple(mask.shape[1:]) != (height, width, 1):
        raise ValueError(
            f"mask must be (batch, {height}, {width}, 1), 1 where valid. Received shape {tuple(mask.shape)}."
        )
    return ops.cast(mask, "float32")
