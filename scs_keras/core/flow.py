"""Dense Lucas-Kanade flow: pyramid, normal equations, bilinear sampling. `scs_keras.core.goals` holds what users call.

Blurring, halving and doubling are small matrices applied along height and width (rows @ image @ columns.T). Their rows
are normalised at the frame's edge, so any height and width works and nothing is padded.
"""

import functools

import numpy as np
from keras import ops

from scs_keras.core.traced_once import traced_once

SMALLEST_LEVEL = 8  # pixels on the shorter side of the coarsest pyramid level
MASK_CERTAIN = 0.99  # a blurred mask above this saw valid pixels only


@traced_once
def lucas_kanade(first, second, mask, levels, window, iterations, smoothing, presmooth):
    """Flow (batch, height, width, 2) with first(x) = second(x + flow(x)) in every channel, coarse to fine.

    Channels may be colours or pairs of frames that share one flow: their normal equations are summed. Pixels where
    `mask` (batch, height, width, 1) is 0 are not looked at; None looks at all.
    """
    channels = first.shape[-1]
    images = ops.concatenate([first, second] if mask is None else [first, second, mask], axis=-1)
    pyramid = [blur(_channels_first(images), presmooth)]
    while len(pyramid) < levels and min(pyramid[-1].shape[2:]) >= 2 * SMALLEST_LEVEL:
        pyramid.append(_halve(pyramid[-1]))
    flow = None
    for images in map(_channels_last, reversed(pyramid)):
        first, second = images[..., :channels], images[..., channels : 2 * channels]
        if mask is not None:
            mask = ops.cast(images[..., -1:] > MASK_CERTAIN, "float32")
        flow = ops.zeros_like(images[..., :2]) if flow is None else _double(flow, images.shape[1:3])
        flow = _refine(first, second, mask, flow, window, iterations, smoothing)
    return flow


def _refine(first, second, mask, flow, window, iterations, smoothing):
    """One pyramid level: Gauss-Newton steps with the gradient of `first`, then dry areas filled from wet ones."""
    gradient_x, gradient_y = _difference(first, axis=2), _difference(first, axis=1)
    weight = 1.0 if mask is None else mask[..., 0]

    # Structure tensor [[xx, xy], [xy, yy]], damped in proportion to its mean over the frame.
    tensor = gradient_x * gradient_x, gradient_x * gradient_y, gradient_y * gradient_y
    xx, xy, yy = _window_sums(tensor, weight, window)
    trace = xx + yy
    damping = smoothing * ops.mean(trace, axis=(1, 2), keepdims=True) + 1e-12
    xx, yy = xx + damping, yy + damping
    determinant = xx * yy - xy * xy

    for _ in range(iterations):
        x, y = positions(flow)
        change = sample(second, x, y) - first
        seen = weight * _visible(mask, x, y)
        xt, yt = _window_sums((gradient_x * change, gradient_y * change), seen, window)
        flow = flow + ops.stack([xy * yt - yy * xt, xy * xt - xx * yt], axis=-1) / determinant[..., None]

    return _fill(flow, trace / (trace + damping), window)


def _visible(mask, x, y):
    """1 where x, y (batch, height, width) is a valid pixel of the frame, else 0."""
    height, width = x.shape[1:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    inside = ops.cast(inside, "float32")
    return inside if mask is None else inside * sample(mask, x, y)[..., 0]


def _window_sums(products, weight, window):
    """Each (batch, height, width, channels) summed over channels and a Gaussian window: (batch, height, width)."""
    sums = blur(ops.stack([weight * ops.sum(product, axis=-1) for product in products], axis=1), window)
    return [sums[:, index] for index in range(len(products))]


def _fill(flow, confidence, window):
    """Where there is nothing to see, the flow of the surroundings; far from everything, the frame's mean flow."""
    weighted = ops.stack([confidence, confidence * flow[..., 0], confidence * flow[..., 1]], axis=1)
    weighted = blur(weighted, window) + 1e-3 * ops.mean(weighted, axis=(2, 3), keepdims=True)
    around = _channels_last(weighted[:, 1:] / ops.maximum(weighted[:, :1], 1e-12))  # an empty frame: no motion
    return around + confidence[..., None] * (flow - around)


def _difference(images, axis):
    """Central difference along height (1) or width (2); the edge pixel is repeated."""
    before, after = [slice(None)] * 4, [slice(None)] * 4
    before[axis], after[axis] = slice(0, 1), slice(-1, None)
    padded = ops.concatenate([images[tuple(before)], images, images[tuple(after)]], axis=axis)
    before[axis], after[axis] = slice(None, -2), slice(2, None)
    return 0.5 * (padded[tuple(after)] - padded[tuple(before)])


# --- bilinear sampling ------------------------------------------------------------------------------------------------


def positions(displacement):
    """Pixel coordinates x, y (..., height, width) of every pixel after a displacement (..., height, width, 2)."""
    height, width = displacement.shape[-3:-1]
    x, y = ops.arange(width, dtype="float32"), ops.arange(height, dtype="float32")[:, None]
    return x + displacement[..., 0], y + displacement[..., 1]


def sample(images, x, y, fill=None):
    """Bilinear samples of images (batch, height, width, channels) at x, y (batch, ...) -> (batch, ..., channels).

    Outside the frame: the nearest edge pixel, or `fill`.
    """
    batch, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    inside_x, inside_y = ops.clip(x, 0.0, width - 1.0), ops.clip(y, 0.0, height - 1.0)
    left, top = ops.floor(inside_x), ops.floor(inside_y)
    share_x = ops.cast(inside_x - left, images.dtype)[..., None]
    share_y = ops.cast(inside_y - top, images.dtype)[..., None]

    # Gathering rows of the flattened images is several times faster on a CPU than gathering by (batch, y, x).
    pixels = ops.reshape(images, (-1, channels))
    start = ops.reshape(ops.arange(batch, dtype="int32") * (height * width), (-1,) + (1,) * (len(x.shape) - 1))
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")
    right = ops.minimum(left + 1, width - 1)
    top, bottom = start + top * width, start + ops.minimum(top + 1, height - 1) * width
    top_left, top_right = ops.take(pixels, top + left, axis=0), ops.take(pixels, top + right, axis=0)
    bottom_left, bottom_right = ops.take(pixels, bottom + left, axis=0), ops.take(pixels, bottom + right, axis=0)

    upper = top_left + share_x * (top_right - top_left)
    lower = bottom_left + share_x * (bottom_right - bottom_left)
    samples = upper + share_y * (lower - upper)
    if fill is None:
        return samples
    inside = ops.logical_and(ops.equal(inside_x, x), ops.equal(inside_y, y))[..., None]
    return ops.where(inside, samples, ops.cast(fill, samples.dtype))


# --- resampling by matrices -------------------------------------------------------------------------------------------


def blur(images, deviation):
    """Gaussian blur of (batch, channels, height, width), normalised at the edges."""
    if deviation == 0:
        return images
    height, width = images.shape[2:]
    return _resample(images, _gaussian_rows(height, height, 1, deviation), _gaussian_rows(width, width, 1, deviation))


def _halve(images):
    height, width = images.shape[2:]
    half_height, half_width = -(-height // 2), -(-width // 2)
    return _resample(images, _gaussian_rows(half_height, height, 2, 1.0), _gaussian_rows(half_width, width, 2, 1.0))


def _double(flow, size):
    """The flow of the next finer level: bilinear, and twice as many pixels per frame."""
    rows, columns = (_linear_rows(fine, coarse) for fine, coarse in zip(size, flow.shape[1:3]))
    return 2.0 * _channels_last(_resample(_channels_first(flow), rows, columns))


def _resample(images, rows, columns):
    return ops.matmul(ops.matmul(rows, images), columns.T)


def _channels_first(images):
    return ops.transpose(images, (0, 3, 1, 2))


def _channels_last(images):
    return ops.transpose(images, (0, 2, 3, 1))


@functools.lru_cache(maxsize=256)
def _gaussian_rows(size, source, stride, deviation):
    """(size, source): row i is a Gaussian around the middle of source pixels stride * i ... stride * (i + 1) - 1."""
    distance = np.arange(source) - (stride * np.arange(size)[:, None] + 0.5 * (stride - 1))
    weights = np.exp(-0.5 * np.square(distance / deviation))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


@functools.lru_cache(maxsize=256)
def _linear_rows(size, source):
    """(size, source): linear interpolation from half the resolution, the outermost pixels repeated."""
    centre = np.clip((np.arange(size)[:, None] - 0.5) / 2, 0, source - 1)
    return np.maximum(0, 1 - np.abs(np.arange(source) - centre)).astype("float32")
