"""Temporal goals: frame difference, dense optical flow, and the advection forecast that follows from the flow.

Everything is `keras.ops`, so a training step makes its own targets on the fly and nothing is stored on disk. Sequences
are (batch, time, height, width, channels); only the batch size may be unknown. A flow is (..., height, width, 2),
float32, [dx, dy] in pixels per frame, dx to the right and dy downwards.
"""

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from scs_keras.core.advection import displacements, warp
from scs_keras.core.arguments import Tensor, is_count
from scs_keras.core.flow import lucas_kanade, positions, sample
from scs_keras.core.frames import as_flow, as_frames, as_mask
from scs_keras.core.inputs import cut, named

__all__ = [
    "LastFrameFlow", "frame_difference", "next_frame_difference", "next_frame_flow", "optical_flow", "mean_flow",
    "displacements", "warp", "advect",
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


@keras.saving.register_keras_serializable("scs_keras")
class LastFrameFlow:
    """Goal of an `SCSModel`: how what is seen has moved since the last frame, for a head at each of several scales.

    It is computed from the frames that the model sees, after any augmentation.

    Args:
        scales: an integer, the pixels of a frame along a side of the head's pixel; or several, one for each output of
            a `ScaleHeads`. The head's frame has ceil(size / scale) pixels.
        input: the name of the frames among several inputs.
        **flow_options: of `optical_flow`.

    Call arguments:
        x, y: inputs and main target of the model; y is not used.

    Returns:
        (targets, weights): for each scale (batch, time, height, width, 2), float32, the `optical_flow` from x[:, t - 1]
        to x[:, t], averaged over the head's pixel, in the head's pixels per frame; zeros for frame 0, which has the
        weight 0, (1, time).

    Raises:
        ValueError: if a scale is no integer of at least 1.
    """

    MOST_AT_ONCE = 32  # frames; of longer sequences one after the other, so that memory does not grow with them

    def __init__(self, scales: int | tuple[int, ...] = 1, input: str = "frames", **flow_options: Any) -> None:
        self.scales: Any = list(scales) if isinstance(scales, (list, tuple)) else scales
        if not self.scales or not all(is_count(scale) for scale in tree.flatten(self.scales)):
            raise ValueError(
                f"`scales` are pixels, integers of at least 1. Received: scales={scales!r}. For example: (4, 8)."
            )
        self.input = input
        self.flow_options = flow_options

    def __call__(self, x: Any, y: Any) -> tuple[Any, Tensor]:
        frames = as_frames(named(x)[self.input], least=1)
        time, *size = frames.shape[1:4]
        if time == 1:
            flow = ops.zeros((ops.shape(frames)[0], 0, *size, 2), "float32")
        elif time <= self.MOST_AT_ONCE:
            flow = optical_flow(frames, **self.flow_options)
        else:
            flow = ops.map(lambda start: optical_flow(cut(frames, start, 2), **self.flow_options), ops.arange(time - 1))
            flow = ops.moveaxis(flow[:, :, 0], 0, 1)
        flow = ops.pad(flow, [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])
        weights = np.array([[0.0] + [1.0] * (time - 1)], "float32")
        return tree.map_structure(lambda scale: self.at_scale(flow, scale), self.scales), weights

    @staticmethod
    def at_scale(flow: Tensor, scale: int) -> Tensor:
        """A flow (batch, time, height, width, 2) of pixels that are `scale` times as large."""
        time, height, width = flow.shape[1:4]
        images = ops.reshape(flow, (-1, height, width, 2))
        pooled = ops.average_pool(images, scale, scale, padding="same", data_format="channels_last") / scale
        return ops.reshape(pooled, (-1, time, *pooled.shape[1:]))

    def get_config(self) -> dict:
        return dict(scales=self.scales, input=self.input, **self.flow_options)

    @classmethod
    def from_config(cls, config: dict) -> "LastFrameFlow":
        return cls(**config)


def frame_difference(frames: Tensor) -> Tensor:
    """Pixel-wise change from each frame to the next, the temporal goal for local growth and decay.

    Args:
        frames: (batch, time, height, width, channels), at least two frames.

    Returns:
        (batch, time - 1, height, width, channels), each frame minus the one before it.
    """
    frames = as_frames(frames, least=2)
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
    frames = ops.cast(as_frames(frames, least=2), "float32")
    time, height, width, channels = frames.shape[1:]
    first = ops.reshape(frames[:, :-1], (-1, height, width, channels))
    second = ops.reshape(frames[:, 1:], (-1, height, width, channels))
    if mask is not None:
        mask = ops.repeat(as_mask(mask, height, width), time - 1, axis=0)
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
    frames = ops.cast(as_frames(frames, least=2), "float32")
    time, height, width, channels = frames.shape[1:]
    # Pairs become channels, which share one flow.
    images = ops.reshape(ops.transpose(frames, (0, 2, 3, 1, 4)), (-1, height, width, time * channels))
    shares = np.arange(1, time, dtype="float32")
    if weights is not None:
        shares = _as_pair_weights(weights, time)[:, None, None] * shares
    shares = ops.sqrt(ops.repeat(shares, channels, axis=-1))
    if mask is not None:
        mask = as_mask(mask, height, width)
    options = _flow_options(levels, window, iterations, smoothing, presmooth)
    arriving, departing = shares * images[..., channels:], shares * images[..., :-channels]
    return -ops.stop_gradient(lucas_kanade(arriving, departing, mask, **options))


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
    frames = as_frames(frames, least=2 if flow is None else 1)
    height, width, channels = frames.shape[2:]
    if flow is None:
        flow = mean_flow(frames, mask, **flow_options)
    elif flow_options:
        raise ValueError(
            f"advect estimates no flow when flow is given. Received also {sorted(flow_options)}; leave one out."
        )
    path = displacements(ops.stop_gradient(as_flow(flow, height, width)), steps, mask)
    return sample(frames[:, -1], *positions(path))


def _as_pairs(x, y):
    x, y = as_frames(x, least=1), as_frames(y, least=1)
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            "A next-frame goal needs a next frame y[:, t] for each frame x[:, t], both of the same shape. "
            f"Received shapes x={tuple(x.shape)} and y={tuple(y.shape)}. Where y follows x as a whole, use "
            "frame_difference or optical_flow on ops.concatenate([x[:, -1:], y], axis=1)."
        )
    return x, ops.cast(y, x.dtype)


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
