"""Builds the steering models: network, depth, backbone, goals and training schemes are arguments, not classes."""

from collections.abc import Mapping
from typing import Any

import keras

from scs_keras.core.arguments import check_known
from scs_keras.core.heads import RecurrentHead
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.metrics import ThresholdAccuracy
from scs_keras.core.network import SCSNetwork
from scs_keras.core.stages import VARIANTS, Stage
from scs_keras.core.switch import ASTSGD, STSGD
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.driving.model import AngleError, AngleHead, DrivingModel
from scs_keras.zoo.flow import flow_parts
from scs_keras.zoo.lrcn import SMALL_CNN, NoNetwork, frame_backbone
from scs_keras.zoo.sub_goals import check_sub_goals

NETWORKS = ("scs", "lstm", "cnn")
SUB_GOALS = ("flow", "same", "spatial", "none")
SWITCHES = ("stsgd", "astsgd", "none")
# Sec. 5.7: as in action recognition, Tab. 1. Tab. 8 has 15 layers: without the last two.
DEPTHS = {17: VARIANTS["resnet_17"], 15: (*VARIANTS["resnet_17"][:-1], Stage(512, 2, strides=2, shortcut_every=2))}


def build(
    network: str,
    input_shape: tuple[int, ...],
    arguments: Mapping[str, Any] | None = None,
    depth: int | None = None,
    backbone: str = "",
    backbone_arguments: Mapping[str, Any] | None = None,
    limit: float = 25.0,
    slope: float = 1.0,
    per_frame: bool = False,
    flatten: bool = False,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    sub_goals: str = "none",
    switch: str = "none",
    p: float = 0.5,
    decay_steps: int | None = None,
    clip_length: int | None = None,
    overlap_weight: float = 1.0,
    flow_stages: tuple[int, ...] = (),
    flow_options: Mapping[str, Any] | None = None,
    spatial_weight: float = 1.0,
    temporal_weight: float = 1.0,
    accumulate_steps: int = 1,
    learning_rate: float = 1e-4,
    dtype: Any = None,
) -> DrivingModel:
    """A compiled model from frames of the road to the angle of the wheel at the last one, in degrees.

    It never sees an earlier angle (Sec. 2.3). It minimises the squared error in units of the sigmoid, see `AngleError`.

    Args:
        network: "scs"; "lstm", on the backbone's features (LRCN); "cnn", the backbone of a single frame.
        input_shape: (time, height, width, channels).
        arguments: of `SCSNetwork`, with its `structure` unless `depth` says it; of the LSTM its `units`.
        depth: 17 layers (Sec. 5.7) or 15 (Tab. 8) of an SCS network; None: what `arguments` say.
        backbone: name as in `scs_keras.zoo.backbones.backbone`, or "small_cnn"; "" for none.
        backbone_arguments: of the backbone, such as weights="imagenet", frozen=True.
        limit, slope, flatten, hidden, dropout: of `AngleHead`; an LSTM sees what `flatten` says, as the head does.
        per_frame: whether every frame's angle is learnt and answered; else that of the last frame.
        sub_goals: "flow": T1 learns the angle too, T2 the flow from the frame before; "same": T1 and T2 learn the angle
            (r_s = r_t = g); "spatial": T1 alone is trained; "none".
        switch: "stsgd" (Sec. 5.7), "astsgd" (Tab. 8; it needs T1), "none".
        p: initial probability that STSGD closes a branch (Tab. 5).
        decay_steps: of STSGD.
        clip_length: frames of a clip of LTSC; None: the sequence in one piece.
        overlap_weight: of the overlap of clips (Eq. 23), in units of the sigmoid as the loss.
        flow_stages: after these stages of the network, from 0 on, T2 estimates the flow; () for all.
        flow_options: of `scs_keras.goals.optical_flow`.
        spatial_weight, temporal_weight: of the losses of T1 and T2.
        accumulate_steps: batches whose gradients are averaged before a step.
        learning_rate: of Adam.
        dtype: policy of all layers, for example "mixed_bfloat16"; None: the global one. Angles are float32.

    Raises:
        ValueError: for an unknown word or depth, or a backbone, a switch or sub-goals that the network does not have.
    """
    check_known("network", network, NETWORKS)
    check_known("choice of sub_goals", sub_goals, SUB_GOALS)
    check_known("switch", switch, SWITCHES)
    _check_parts(network, backbone, depth, sub_goals, switch, input_shape)
    with default_dtype(dtype):
        features = frame_backbone(backbone, input_shape, backbone_arguments or {})
        angle = AngleHead(limit, slope, flatten and network != "lstm", hidden, dropout, name="head")
        parts = dict(backbone=features, reduce="none" if per_frame else "last", name=network)
        if network == "scs":
            structure = {} if depth is None else {"structure": DEPTHS[depth]}
            made = SCSNetwork(**{**(arguments or {}), **structure}, name="network")
            if sub_goals == "flow":
                parts |= flow_parts(made, features, input_shape, flow_stages, options=flow_options)
            model = DrivingModel(made, angle, **parts)
        else:
            head = _recurrent(angle, flatten, **(arguments or {})) if network == "lstm" else angle
            model = DrivingModel(NoNetwork(name="network"), head, **parts)
    error = AngleError(limit)
    goals: dict[str, Any] = {} if sub_goals == "none" else dict(spatial_loss=error)
    if sub_goals in ("flow", "same"):
        goals["temporal_loss"] = "mse" if sub_goals == "flow" else error
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=error,
        metrics=[ThresholdAccuracy(degrees, name=f"accuracy_{degrees}") for degrees in (3, 6)],
        loss_weights=dict(spatial=spatial_weight, temporal=temporal_weight),
        switch={"stsgd": lambda: STSGD(p, decay_steps=decay_steps), "astsgd": ASTSGD, "none": lambda: None}[switch](),
        long_sequence=LTSC(clip_length, overlap_weight=overlap_weight / (2 * limit) ** 2) if clip_length else None,
        accumulate_steps=accumulate_steps,
        **goals,
    )
    model.build((None, *input_shape))
    return model


def _check_parts(network, backbone, depth, sub_goals, switch, input_shape):
    if depth is not None and (network != "scs" or depth not in DEPTHS):
        raise ValueError(
            "depth is the number of layers of a network of semi-coupled layers: 17 (Sec. 5.7) or 15 (Tab. 8), or None "
            f"for the structure in `arguments`. Received: network={network!r}, depth={depth!r}."
        )
    if network != "scs" and not backbone:
        raise ValueError(
            f"An LSTM or a CNN sees the features of a backbone. Received: network={network!r}, backbone=''. "
            f"For example: backbone={SMALL_CNN!r}."
        )
    check_sub_goals(network, sub_goals, switch)
    if network == "cnn" and input_shape[0] != 1:
        raise ValueError(
            "A CNN sees the last frame alone. Received: network='cnn', "
            f"input_shape={tuple(input_shape)}. For example: input_shape={(1, *input_shape[1:])}."
        )


def _recurrent(angle, flatten, units):
    pixels = keras.layers.TimeDistributed(keras.layers.Flatten()) if flatten else None
    return RecurrentHead(keras.layers.LSTM(units), before=pixels, after=angle)
