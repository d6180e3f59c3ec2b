"""Temporal goals: frame difference, dense optical flow, and the advection forecast that follows from the flow.

The flow is Lucas and Kanade's, coarse to fine with iterated warping (Bouguet), in `keras.ops` alone, so that a training
step can make its own targets on the fly. Sequences are (batch, time, height, width, channels); height and width are
static, batch may be unknown. A flow is (..., height, width, 2) with [dx, dy] in pixels per frame: what is seen at x in one
frame is seen at x + flow(x) in the next.
"""

import functools

import numpy as np
from keras import ops

__all__ = ["frame_difference", "optical_flow", "mean_flow", "warp", "advect"]


def frame_difference(frames):
    """Pixel-wise difference of consecutive frames: (batch, time, ...) -> (batch, time - 1, ...)."""
    frames = _checked_frames(frames)
    return frames[:, 1:] - frames[:, :-1]


def optical_flow(frames, mask=None, levels=4, window=3.0, iterations=2, smoothing=0.1, presmooth=1.0):
    frames = ops.cast(_checked_frames(frames), "float32")
    _, pairs, height, width, channels = frames.shape
    pairs -= 1
    first = ops.reshape(frames[:, :-1], (-1, height, width, channels))
    second = ops.reshape(frames[:, 1:], (-1, height, width, channels))
    if mask is not None:
        mask = ops.reshape(ops.repeat(mask[:, None], pairs, axis=1), (-1, height, width, 1))
    flow = lucas_kanade(first, second, mask, levels, window, iterations, smoothing, presmooth)
    return ops.reshape(flow, (-1, pairs, height, width, 2))


def mean_flow(frames, mask=None, levels=4, window=5.0, iterations=3, smoothing=0.1, presmooth=1.0, finest=0, spread=2.0):
    frames = ops.cast(_checked_frames(frames), "float32")
    _, time, height, width, channels = frames.shape
    images = ops.reshape(ops.transpose(frames, (0, 2, 3, 1, 4)), (-1, height, width, time * channels))
    return lucas_kanade(images[..., :-channels], images[..., channels:], mask, levels, window, iterations, smoothing, presmooth, finest, spread)


def warp(images, flow, fill=None):
    batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
    flow = ops.cast(flow, "float32")
    x, y = _positions(flow, height, width)
    return _sample(images, x, y, fill)


def _positions(flow, height, width):
    x = ops.arange(width, dtype="float32") + flow[..., 0]
    y = ops.arange(height, dtype="float32")[:, None] + flow[..., 1]
    return x, y


def _sample(images, x, y, fill=None):
    """Bilinear samples of (batch, height, width, channels) at x, y (batch, ..., )."""
    batch, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    inside = None
    if fill is not None:
        inside = ops.logical_and(ops.logical_and(x >= 0, x <= width - 1), ops.logical_and(y >= 0, y <= height - 1))[..., None]
    x, y = ops.clip(x, 0.0, width - 1.0), ops.clip(y, 0.0, height - 1.0)
    left, top = ops.floor(x), ops.floor(y)
    right_share = ops.cast(x - left, images.dtype)[..., None]
    bottom_share = ops.cast(y - top, images.dtype)[..., None]
    flat = ops.reshape(images, (-1, channels))
    offset = ops.reshape(ops.arange(batch, dtype="int32") * (height * width), (-1,) + (1,) * (len(x.shape) - 1))
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")
    right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
    top, bottom = offset + top * width, offset + bottom * width
    a, b, c, d = (ops.take(flat, index, axis=0) for index in (top + left, top + right, bottom + left, bottom + right))
    upper = a + right_share * (b - a)
    lower = c + right_share * (d - c)
    result = upper + bottom_share * (lower - upper)
    if fill is not None:
        result = ops.where(inside, result, ops.cast(fill, result.dtype))
    return result


def advect(frames, steps, flow=None, mask=None, fill=None, **options):
    frames = _checked_frames(frames)
    height, width = frames.shape[2:4]
    if flow is None:
        flow = ops.stop_gradient(mean_flow(frames, mask, **options))
    x, y = _positions(ops.zeros_like(flow), height, width)
    if mask is None: mask = ops.ones_like(flow[..., :1])
    fm = ops.concatenate([flow, ops.cast(mask, "float32")], -1)
    xs, ys = [], []
    for _ in range(steps):
        v = flow if not xs else _sample(flow, x, y)
        nx, ny = x - v[..., 0], y - v[..., 1]
        ok = (_sample(mask, nx, ny, OPT.get("mfill"))[..., 0] > 0.99) if OPT.get("stop") else True
        x, y = ops.where(ok, nx, x), ops.where(ok, ny, y)
        xs.append(x)
        ys.append(y)
    return _sample(frames[:, -1], ops.stack(xs, 1), ops.stack(ys, 1), fill)

OPT = {}

def lucas_kanade(first, second, mask, levels, window, iterations, smoothing, presmooth, finest=0, spread=2.0):
    height, width = first.shape[1:3]
    channels = first.shape[-1]
    if mask is None:
        mask = ops.ones_like(first[..., :1])
    mask = ops.cast(mask, "float32")
    stack = ops.transpose(ops.concatenate([first, second, mask], axis=-1), (0, 3, 1, 2))
    stack = _blur(stack, presmooth)
    pyramid = [stack]
    for _ in range(levels - 1):
        if min(pyramid[-1].shape[2:]) < 16:
            break
        pyramid.append(_halve(pyramid[-1]))
    flow = None
    for level in range(len(pyramid) - 1, finest - 1, -1):
        stack = ops.transpose(pyramid[level], (0, 2, 3, 1))
        a, b, m = stack[..., :channels], stack[..., channels:-1], stack[..., -1:]
        m = ops.cast(m > 0.99, "float32")
        if flow is None:
            flow = ops.zeros_like(stack[..., :2])
        else:
            flow = _double(flow, stack.shape[1:3])
        flow = _level(a, b, m, flow, window, smoothing, spread, iterations)
    for level in range(finest - 1, -1, -1):
        flow = _double(flow, pyramid[level].shape[2:])
    return flow


def _level(first, second, mask, flow, window, smoothing, spread, iterations):
    channels = first.shape[-1]
    height, width = first.shape[1:3]
    dx, dy = _difference(first, 2), _difference(first, 1)
    weight = mask
    if OPT.get("pairweight") is not None:
        weight = weight * np.linspace(OPT["pairweight"], 1, channels, dtype="float32")
    wdx, wdy = dx*weight, dy*weight
    fields = ops.stack([ops.sum(p, axis=-1) for p in (wdx * dx, wdx * dy, wdy * dy)], axis=1)
    fields = _blur(fields, window)
    xx, xy, yy = [fields[:, i] for i in range(3)]
    trace = xx + yy
    lam = smoothing * (ops.mean(trace, axis=(1, 2), keepdims=True) + 1e-12)
    xx, yy = xx + lam, yy + lam
    det = xx * yy - xy * xy
    confidence = trace / (trace + OPT.get("conf",1.) * lam)
    if OPT.get("mineig"):
        e = det / (trace+2*lam) - OPT["mineig"]*lam/2
        confidence = e / (e + lam)
    fx, fy = flow[..., 0], flow[..., 1]
    for _ in range(iterations):
        x, y = _positions(ops.stack([fx, fy], -1), height, width)
        moved = _sample(ops.concatenate([second, mask], -1), x, y, fill=0.0)
        change = (moved[..., :channels] - first) * moved[..., channels:]
        fields = _blur(ops.stack([ops.sum(wdx * change, -1), ops.sum(wdy * change, -1)], axis=1), window)
        xt, yt = fields[:, 0], fields[:, 1]
        if OPT.get("each") or OPT.get("pull"):
            px, py = _prior(confidence, fx, fy, spread * window)
            xt, yt = xt - lam * (px - fx), yt - lam * (py - fy)
        fx, fy = fx + (xy * yt - yy * xt) / det, fy + (xy * xt - xx * yt) / det
    if not OPT.get("each"):
        px, py = _prior(confidence, fx, fy, spread * window)
        fx, fy = px + confidence * (fx - px), py + confidence * (fy - py)
    return ops.stack([fx, fy], axis=-1)

def _prior(confidence, fx, fy, sigma):
    conf = ops.stack([confidence, confidence * fx, confidence * fy], axis=1)
    total = ops.mean(conf, axis=(2, 3), keepdims=True)
    near = _blur(conf, sigma) + 1e-3 * (total + np.array([1e-6, 0, 0], "float32").reshape(1, 3, 1, 1))
    return near[:, 1] / near[:, 0], near[:, 2] / near[:, 0]


def _difference(images, axis):
    size = images.shape[axis]
    def part(start, stop):
        return images[:, start:stop] if axis == 1 else images[:, :, start:stop]
    padded = ops.concatenate([part(0, 1), images, part(size - 1, size)], axis=axis)
    n = size + 2
    if axis == 1:
        return 0.5 * (padded[:, 2:] - padded[:, :-2])
    return 0.5 * (padded[:, :, 2:] - padded[:, :, :-2])


def _apply(rows, columns, images):
    """rows @ image @ columns.T for every image of (batch, channels, height, width)."""
    return ops.matmul(ops.matmul(rows, images), columns.T)


def _blur(images, sigma):
    if not sigma:
        return images
    height, width = images.shape[2:]
    return _apply(_gaussian(height, height, 1.0, 0.0, sigma), _gaussian(width, width, 1.0, 0.0, sigma), images)


def _halve(images):
    height, width = images.shape[2:]
    return _apply(_gaussian(-(-height // 2), height, 2.0, 0.5, 1.0), _gaussian(-(-width // 2), width, 2.0, 0.5, 1.0), images)


def _double(flow, size):
    h, w = flow.shape[1:3]
    out = _apply(_linear(size[0], h), _linear(size[1], w), ops.transpose(flow, (0, 3, 1, 2)))
    return 2.0 * ops.transpose(out, (0, 2, 3, 1))


@functools.lru_cache(256)
def _gaussian(size, source, stride, offset, sigma):
    centres = stride * np.arange(size)[:, None] + offset
    weights = np.exp(-0.5 * ((np.arange(source) - centres) / sigma) ** 2)
    weights[np.abs(np.arange(source) - centres) > 4 * sigma] = 0
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


@functools.lru_cache(256)
def _linear(size, source):
    centres = np.clip((np.arange(size)[:, None] - 0.5) / 2, 0, source - 1)
    return np.maximum(0, 1 - np.abs(np.arange(source) - centres)).astype("float32")


def _checked_frames(frames):
    frames = ops.convert_to_tensor(frames)
    return frames
