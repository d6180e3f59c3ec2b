"""Images moved along a flow, and where its paths lead. Public in `scs_keras.goals`."""

from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.flow import positions, sample
from scs_keras.core.frames import as_floating, as_flow, as_mask


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
    images = as_floating(images)
    if len(images.shape) != 4:
        raise ValueError(
            "warp needs images of shape (batch, height, width, channels). "
            f"Received shape {tuple(images.shape)}; warp a sequence frame by frame, warp(frames[:, t], flow)."
        )
    flow = as_flow(flow, *images.shape[1:3])
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
    valid = None if mask is None else as_mask(mask, *flow.shape[1:3])
    total, path = ops.zeros_like(flow), []
    for _ in range(steps):
        velocity = sample(flow, *positions(total)) if path else flow
        moved = total - velocity
        if valid is not None:
            moved = ops.where(sample(valid, *positions(moved)) > 0.99, moved, total)
        total = moved
        path.append(total)
    return ops.stack(path, axis=1)
