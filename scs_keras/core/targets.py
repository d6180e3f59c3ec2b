"""What goals ask for: targets at one or several scales, and the weights of their elements."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops, tree

from scs_keras.core.arguments import Tensor


class Target(NamedTuple):
    """What a goal asks for: a tensor or one for each scale, and weights of its elements or None."""

    values: Any
    weights: Any = None


def target_of(goal: Callable, x: Any, y: Tensor) -> Target:
    """What `goal(x, y)` asks for: a tensor, a list with one for each scale, or (targets, weights) of these."""
    target = tree.map_structure(lambda each: each if each is None else ops.stop_gradient(each), goal(x, y))
    return Target(*target) if isinstance(target, tuple) else Target(target)


def product(axes: int, *weights: Tensor | None) -> Tensor | None:
    """The product of weights (batch, ...), each with axes of size 1 added up to `axes`; None for none."""
    weights = tuple(
        ops.reshape(each, (*ops.shape(each), *(1,) * (axes - len(each.shape)))) for each in weights if each is not None
    )
    return functools.reduce(lambda a, b: ops.cast(a, "float32") * ops.cast(b, "float32"), weights) if weights else None


def check_scales(name: str, targets: list, outputs: list, weights: list, channels: bool = True) -> None:
    """Raises ValueError unless there is a target for each output of a goal, of the same size where both are images.

    `channels` is False for a loss that takes another number of them, and says so by its `channels_of_its_own`.
    """
    if not len(targets) == len(outputs) == len(weights):
        raise ValueError(
            f"The {name} goal gives a target, and a weight if any, for each output of its head. Received: "
            f"{len(targets)} targets and {len(weights)} weights for {len(outputs)} outputs."
        )
    for target, output in zip(targets, outputs):
        found, wanted = tuple(target.shape), tuple(output.shape)
        sizes = list(zip(found, wanted))[1 : None if channels else -1]
        if len(found) == len(wanted) > 3 and any(None not in (a, b) and a != b for a, b in sizes):
            raise ValueError(
                f"The target of the {name} goal has another size than the head's output. Allowed: {wanted}. "
                f"Received: {found}. Give the goal the head's scale, or the head as many channels."
            )
