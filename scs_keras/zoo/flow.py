"""The temporal goal of several tasks: T2 estimates the optical flow after stages of its network."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from scs_keras.core.goals import LastFrameFlow
from scs_keras.core.heads import ScaleHeads
from scs_keras.core.network import SCSNetwork
from scs_keras.core.stages import Stage, as_stages
from scs_keras.zoo.heads import FlowHead


def flow_parts(
    network: SCSNetwork,
    backbone: keras.Model | None,
    input_shape: tuple[int, ...],
    stages: tuple[int, ...] = (),
    goal: Callable[..., LastFrameFlow] = LastFrameFlow,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments of an `SCSModel`, goal and heads of T2: the flow at the scale of each of the chosen stages.

    Args:
        network: whose stages they are.
        backbone: before it, or None.
        input_shape: (time, height, width, channels) of the frames.
        stages: by their place, from 0 on; () for all.
        goal: made with the stages' scales and the options.
        options: of `scs_keras.goals.optical_flow`.
    """
    scale = 1 if backbone is None else -(-input_shape[1] // backbone.output_shape[1])
    scales = list(_scales(network.stages, scale))
    stages = tuple(stages) or tuple(range(len(scales)))
    network.check_taps(stages)
    heads = [
        FlowHead(max(2, min(32, network.stages[tap].filters // 4)), name=f"flow_{index}")
        for index, tap in enumerate(stages)
    ]
    return dict(
        temporal_head=ScaleHeads(heads, taps=stages, name="temporal_head"),
        temporal_goal=goal(tuple(scales[tap] for tap in stages), **(options or {})),
    )


def _scales(stages: tuple[Stage, ...], scale: int) -> Iterator[int]:
    """Pixels of a frame along a side of a pixel after each stage."""
    for stage in as_stages(list(stages)):
        scale *= stage.strides * (2 if stage.pool else 1)
        yield scale
