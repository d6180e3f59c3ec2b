"""Builds the models of action recognition: depth, backbone, goals and training schemes are arguments, not classes."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from scs_keras.core.arguments import check_known
from scs_keras.core.goals import LastFrameFlow
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.network import SCSNetwork
from scs_keras.core.switch import ASTSGD, STSGD
from scs_keras.zoo.action.goals import FlowOfDifferences
from scs_keras.zoo.action.model import ActionModel
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.flow import flow_parts
from scs_keras.zoo.heads import ClassHead
from scs_keras.zoo.lrcn import SMALL_CNN, NoNetwork, frame_backbone, lstm_head
from scs_keras.zoo.sub_goals import check_sub_goals

NETWORKS = ("scs", "convlstm", "lstm")
SUB_GOALS = ("flow", "same", "spatial", "none")
SWITCHES = ("astsgd", "stsgd", "cbm", "none")


def build(
    network: str,
    labels: tuple[str, ...],
    input_shape: tuple[int, ...],
    arguments: Mapping[str, Any] | None = None,
    backbone: str = "",
    backbone_arguments: Mapping[str, Any] | None = None,
    per_frame: bool = False,
    differences: bool = False,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    sub_goals: str = "none",
    switch: str = "none",
    clip_length: int | None = None,
    flow_stages: tuple[int, ...] = (),
    flow_options: Mapping[str, Any] | None = None,
    spatial_weight: float = 1.0,
    temporal_weight: float = 1.0,
    overlap_weight: float = 1.0,
    decay_steps: int | None = None,
    accumulate_steps: int = 1,
    learning_rate: float = 1e-4,
    dtype: Any = None,
) -> ActionModel:
    """A compiled classifier of sequences, or of their frames.

    Args:
        network: "scs", "convlstm", or "lstm" on the backbone's features (LRCN).
        labels: names of the classes.
        input_shape: (time, height, width, channels).
        arguments: of `SCSNetwork` (with its `structure`) or `ConvLSTMNetwork`; of the LSTM its `units`.
        backbone: name as in `scs_keras.zoo.backbones.backbone`, or "small_cnn"; "" for none.
        backbone_arguments: of the backbone, such as weights="imagenet", frozen=True.
        per_frame: whether every frame has a class; otherwise the mean of the frames' probabilities is the sequence's,
            in training of those of the second half of the sequence, or of every clip.
        differences: whether it sees differences of neighbouring frames, not frames; of importance for the flow only.
        hidden, dropout: of `ClassHead`.
        sub_goals: "flow": T1 names the class too, T2 estimates the flow from the last frame; "same": T1 and T2 name the
            class; "spatial": T1 alone is trained; "none".
        switch: "astsgd" (it needs T1), "stsgd", "cbm" (the temporal branch alone closes, with probability 0.5), "none".
        clip_length: frames of a clip of LTSC; None: the sequence in one piece.
        flow_stages: after these stages of the network, from 0 on, T2 estimates the flow.
        flow_options: of `scs_keras.goals.optical_flow`.
        spatial_weight, temporal_weight: of the losses of T1 and T2.
        overlap_weight: of the overlap of clips (Eq. 23).
        decay_steps: of STSGD.
        accumulate_steps: batches whose gradients are averaged before a step.
        learning_rate: of Adam.
        dtype: policy of all layers, for example "mixed_bfloat16"; None: the global one. Probabilities are float32.

    Raises:
        ValueError: for an unknown word, labels that are none, or a switch or sub-goals that the network does not have.
    """
    check_known("network", network, NETWORKS)
    check_known("choice of sub_goals", sub_goals, SUB_GOALS)
    check_known("switch", switch, SWITCHES)
    check_labels(labels)
    _check_goals(network, backbone, sub_goals, switch)
    with default_dtype(dtype):
        features = frame_backbone(backbone, input_shape, backbone_arguments or {})
        classes = ClassHead(len(labels), hidden, dropout, name="head")
        parts = dict(backbone=features, reduce="none" if per_frame else "second_half", name=network)
        if network == "lstm":
            model = ActionModel(NoNetwork(name="network"), lstm_head(**(arguments or {}), after=classes), **parts)
        else:
            made = (SCSNetwork if network == "scs" else ConvLSTMNetwork)(**(arguments or {}), name="network")
            if sub_goals == "flow":
                goal = FlowOfDifferences if differences else LastFrameFlow
                parts |= flow_parts(made, features, input_shape, flow_stages, goal, flow_options)
            model = ActionModel(made, classes, **parts)
    entropy = "sparse_categorical_crossentropy"
    goals: dict[str, Any] = {} if sub_goals == "none" else dict(spatial_loss=entropy)
    if sub_goals in ("flow", "same"):
        goals["temporal_loss"] = "mse" if sub_goals == "flow" else entropy
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=entropy,
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        loss_weights=dict(spatial=spatial_weight, temporal=temporal_weight),
        switch=_switch(switch, len(labels), decay_steps),
        long_sequence=LTSC(clip_length, overlap_weight=overlap_weight) if clip_length else None,
        accumulate_steps=accumulate_steps,
        **goals,
    )
    model.build((None, *input_shape))
    return model


def check_labels(labels: Any) -> None:
    """Raises ValueError unless `labels` are at least two names, all different."""
    names = isinstance(labels, (tuple, list)) and all(isinstance(each, str) and each for each in labels)
    if not names or len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(
            "`labels` are the names of the classes, at least two, all different. "
            f'Received: labels={labels!r}. For example: labels=("walk", "run").'
        )


def _check_goals(network, backbone, sub_goals, switch):
    if network == "lstm" and not backbone:
        raise ValueError(
            "An LSTM sees the features of a backbone. Received: network='lstm', backbone=''. For example: "
            f"backbone={SMALL_CNN!r}."
        )
    check_sub_goals(network, sub_goals, switch)


def _switch(name, classes, decay_steps):
    if name == "astsgd":
        return ASTSGD(initial_loss=math.log(classes))
    if name == "stsgd":
        return STSGD(0.5, decay_steps=decay_steps)
    return STSGD(temporal=0.5) if name == "cbm" else None
