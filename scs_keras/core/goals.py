"""Temporal goals: frame difference, dense optical flow, and the advection forecast that follows from the flow.

Everything is `keras.ops`, so a training step makes its own targets on the fly and nothing is stored on disk. Sequences
are (batch, time, height, width, channels); only the batch size may be unknown. A flow is (..., height, width, 2),
float32, [dx, dy] in pixels per frame, dx to the right and dy downwards.
"""

from typing import Any

import keras
import numpy as np
from keras import backend, ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.flow import lucas_kanade, positions, sample

__all__ = [
    "frame_difference", "next_frame_difference", "next_frame_flow", "optical_flow", "mean_flow", "displacements",
    "warp", "advect",
]  # fmt: skip


@keras.saving.register_keras_serializable("scs_keras")
def next_frame_difference(x: Tensor, y: Tensor) -> Tensor:
    """Goal of an `SCSModel` whose main target y is the frame after each frame of x: how that one will change.

    Where y follows x as a whole, as in a forecast, the change is
    `frame_difference(ops.concatenate([x[:, -1:], y], axis=1))`.

    Args:
        x, y: (batch, time, height, width, channels); y[:, t] comes after x[:, t].

    Returns:
        (batch, time, height, width, channels), y - x.
    """
    x, y = _as_pairs(x, y)
    return y - x


@keras.saving.register_keras_serializable("scs_keras")
def next_frame_flow(x: Tensor, y: Tensor) -> Tensor:
    """Goal of an `SCSModel` whose main target y is the frame after each frame of x: how what is seen will move.

    Args:
        x, y: as in `next_frame_difference`.

    Returns:
        (batch, time, height, width, 2), float32: the `optical_flow` from x[:, t] to y[:, t], pixels per frame.
    """
    x, y = _as_pairs(x, y)
    pairs = ops.reshape(ops.stack([x, y], axis=2), (-1, 2, *x.shape[2:]))
    return ops.reshape(optical_flow(pairs), (-1, *x.shape[1:4], 2))


def frame_difference(frames: Tensor) -> Tensor:
    """Pixel-wise change from each frame to the next, the temporal goal for local growth and decay.

    Args:
        frames: (batch, time, height, width, channels), at least two frames.

    Returns:
        (batch, time - 1, height, width, channels), each frame minus the one before it.
    """
    frames = _as_frames(frames, least=2)
    return frames[:, 1:] - frames[:, :-1]


def optical_flow(
    frames: Tensor,
    mask: Tensor | None = None,
    levels: int = 5,
    window: float = 7.0,
    iterations: int = 2,
    smoothing: float = 0.2,
    presmooth: float = 0.5,
) -> Tensor:
    """Dense flow between consecutive frames: `frames[t](x) = frames[t + 1](x + flow[t](x))`.

    Lucas-Kanade on a pyramid with iterated warping (Bouguet). The normal equations are damped, and areas where nothing
    can be seen, such as dry ones on radar, take on the flow of their surroundings; a frame without any structure has
    no flow. The scale of the pixel values does not matter. No gradient goes through the flow.

    Args:
        frames: (batch, time, height, width, channels), at least two frames.
        mask: (batch, height, width, 1), 1 or True where pixels are valid in all frames; None if all are.
        levels: most pyramid levels, each half the size of the last, down to 8 pixels. Motions up to about
            2 ** levels pixels per frame are found.
        window: standard deviation in pixels of the Gaussian window over which motion is constant.
        iterations: warps on each level.
        smoothing: damping, relative to the mean of the structure tensor's trace over the frame.
        presmooth: standard deviation in pixels of a first blur of the frames; 0 is none.

    Returns:
        (batch, time - 1, height, width, 2), float32.

    References:
        Lucas and Kanade 1981; Bouguet, Pyramidal implementation of the Lucas Kanade feature tracker, 2000.
    """
    frames = ops.cast(_as_frames(frames, least=2), "float32")
    time, height, width, channels = frames.shape[1:]
    first = ops.reshape(frames[:, :-1], (-1, height, width, channels))
    second = ops.reshape(frames[:, 1:], (-1, height, width, channels))
    if mask is not None:
        mask = ops.repeat(_as_mask(mask, height, width), time - 1, axis=0)
    options = _flow_options(levels, window, iterations, smoothing, presmooth)
    flow = ops.stop_gradient(lucas_kanade(first, second, mask, **options))
    return ops.reshape(flow, (-1, time - 1, height, width, 2))


def mean_flow(
    frames: Tensor,
    mask: Tensor | None = None,
    levels: int = 5,
    window: float = 7.0,
    iterations: int = 2,
    smoothing: float = 0.2,
    presmooth: float = 0.5,
    weights: Tensor | None = None,
) -> Tensor:
    """One dense flow for a whole sequence: what is seen at x came from x - flow(x) in the frame before.

    The normal equations are summed over all consecutive pairs before they are solved, which is steadier than an
    average of flows: a pair counts where it shows something. Later pairs weigh more, in proportion to their number in
    the sequence. The flow belongs to the place of arrival, as a backward extrapolation needs it (`optical_flow`
    belongs to the place of departure).

    Args:
        frames, mask, levels, window, iterations, smoothing, presmooth: as in `optical_flow`.
        weights: (batch, time - 1), of the pairs beside that; 0 for a pair that is not to be looked at. None: all 1.

    Returns:
        (batch, height, width, 2), float32; 0 where no pair counts.
    """
    frames = ops.cast(_as_frames(frames, least=2), "float32")
    time, height, width, channels = frames.shape[1:]
    # Pairs become channels, which share one flow.
    images = ops.reshape(ops.transpose(frames, (0, 2, 3, 1, 4)), (-1, height, width, time * channels))
    shares = np.arange(1, time, dtype="float32")
    if weights is not None:
        shares = _as_pair_weights(weights, time)[:, None, None] * shares
    shares = ops.sqrt(ops.repeat(shares, channels, axis=-1))
    if mask is not None:
        mask = _as_mask(mask, height, width)
    options = _flow_options(levels, window, iterations, smoothing, presmooth)
    arriving, departing = shares * images[..., channels:], shares * images[..., :-channels]
    return -ops.stop_gradient(lucas_kanade(arriving, departing, mask, **options))


def warp(images: Tensor, flow: Tensor, fill: float | None = None) -> Tensor:
    """Backward bilinear warp: result(x) = images(x + flow(x)).

    Differentiable with respect to images and flow.

    Args:
        images: (batch, height, width, channels).
        flow: (batch, height, width, 2), [dx, dy] in pixels.
        fill: value of pixels that come from outside the frame. None takes the nearest edge pixel.

    Returns:
        (batch, height, width, channels), the dtype of floating images, else Keras's float type.
    """
    images = _as_floating(images)
    if len(images.shape) != 4:
        raise ValueError(
            "warp needs images of shape (batch, height, width, channels). "
            f"Received shape {tuple(images.shape)}; warp a sequence frame by frame, warp(frames[:, t], flow)."
        )
    flow = _as_flow(flow, *images.shape[1:3])
    return sample(images, *positions(flow), fill)


def displacements(flow: Tensor, steps: int, mask: Tensor | None = None) -> Tensor:
    """Where the pixels of the next `steps` frames come from in the last one, following the flow back step by step.

    Semi-Lagrangian: each step reads the flow where the previous one arrived. A path that would leave the valid area
    stops before it, so that what moves in from outside continues what is seen at the edge.

    Args:
        flow: (batch, height, width, 2), pixels per frame, as `mean_flow` gives it.
        steps: Python int, at least 1.
        mask: as in `optical_flow`; None stops paths nowhere (`warp` takes the nearest edge pixel).

    Returns:
        (batch, steps, height, width, 2), float32; frame k is warp(last, displacements[:, k]).
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps must be a Python int of at least 1, the number of future frames. Received {steps!r}.")
    flow = ops.convert_to_tensor(flow)
    if len(flow.shape) != 4 or flow.shape[-1] != 2:
        raise ValueError(f"flow must be (batch, height, width, 2), [dx, dy]. Received shape {tuple(flow.shape)}.")
    flow = ops.cast(flow, "float32")
    valid = None if mask is None else _as_mask(mask, *flow.shape[1:3])
    total, path = ops.zeros_like(flow), []
    for _ in range(steps):
        velocity = sample(flow, *positions(total)) if path else flow
        moved = total - velocity
        if valid is not None:
            moved = ops.where(sample(valid, *positions(moved)) > 0.99, moved, total)
        total = moved
        path.append(total)
    return ops.stack(path, axis=1)


def advect(
    frames: Tensor, steps: int, flow: Tensor | None = None, mask: Tensor | None = None, **flow_options: Any
) -> Tensor:
    """The advection forecast: the last frame carried on along the flow of the observed frames, unchanged.

    Backward semi-Lagrangian extrapolation; every forecast is interpolated once from the last frame, so blur does not
    accumulate. Gradients go to the frames through the interpolation only.

    Args:
        frames: (batch, time, height, width, channels), at least two, or one if `flow` is given.
        steps: number of future frames, a Python int of at least 1.
        flow: (batch, height, width, 2), pixels per frame. None estimates it: mean_flow(frames, mask, **flow_options).
        mask: (batch, height, width, 1), 1 or True where pixels are valid in all frames; None if all are.

    Returns:
        (batch, steps, height, width, channels).
    """
    frames = _as_frames(frames, least=2 if flow is None else 1)
    height, width, channels = frames.shape[2:]
    if flow is None:
        flow = mean_flow(frames, mask, **flow_options)
    elif flow_options:
        raise ValueError(
            f"advect estimates no flow when flow is given. Received also {sorted(flow_options)}; leave one out."
        )
    path = displacements(ops.stop_gradient(_as_flow(flow, height, width)), steps, mask)
    return sample(frames[:, -1], *positions(path))


def _as_floating(values):
    values = ops.convert_to_tensor(values)
    return values if backend.is_float_dtype(values.dtype) else ops.cast(values, backend.floatx())


def _as_frames(frames, least):
    frames = _as_floating(frames)
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


def _as_pairs(x, y):
    x, y = _as_frames(x, least=1), _as_frames(y, least=1)
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            "A next-frame goal needs a next frame y[:, t] for each frame x[:, t], both of the same shape. "
            f"Received shapes x={tuple(x.shape)} and y={tuple(y.shape)}. Where y follows x as a whole, use "
            "frame_difference or optical_flow on ops.concatenate([x[:, -1:], y], axis=1)."
        )
    return x, ops.cast(y, x.dtype)


def _as_flow(flow, height, width):
    flow = ops.convert_to_tensor(flow)
    if tuple(flow.shape[1:]) != (height, width, 2):
        raise ValueError(f"flow must be (batch, {height}, {width}, 2), [dx, dy]. Received shape {tuple(flow.shape)}.")
    return ops.cast(flow, "float32")


def _as_mask(mask, height, width):
    mask = ops.convert_to_tensor(mask)
    if tuple(mask.shape[1:]) != (height, width, 1):
        raise ValueError(
            f"mask must be (batch, {height}, {width}, 1), 1 where valid. Received shape {tuple(mask.shape)}."
        )
    return ops.cast(mask, "float32")


def _as_pair_weights(weights, time):
    weights = ops.convert_to_tensor(weights)
    if len(weights.shape) != 2 or weights.shape[1] != time - 1:
        raise ValueError(
            f"weights of pairs must be (batch, {time - 1}), one for each two frames in a row. "
            f"Received shape {tuple(weights.shape)}."
        )
    return ops.cast(weights, "float32")


def _flow_options(levels, window, iterations, smoothing, presmooth):
    options = {
        "levels": levels,
        "window": window,
        "iterations": iterations,
        "smoothing": smoothing,
        "presmooth": presmooth,
    }
    for name in ("levels", "iterations"):
        if not isinstance(options[name], int) or options[name] < 1:
            raise ValueError(f"{name} must be an int of at least 1. Received {options[name]!r}.")
    for name in ("window", "smoothing"):
        if not options[name] > 0:
            raise ValueError(f"{name} must be above 0. Received {options[name]!r}.")
    if not presmooth >= 0:
        raise ValueError(f"presmooth must be at least 0. Received {presmooth!r}.")
    return options
