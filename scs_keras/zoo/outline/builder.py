"""Builds the models of outlines: network, depth, head, grid and training scheme are arguments, not classes."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from scs_keras.core.arguments import check_counts, check_known
from scs_keras.core.inputs import JoinInputs
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.network import SCSNetwork
from scs_keras.core.switch import ASTSGD, STSGD
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.outline.conv_gru import ConvGRUNetwork
from scs_keras.zoo.outline.encoders import encoder
from scs_keras.zoo.outline.layers import LSTMHead, MapHead, VertexMaps
from scs_keras.zoo.outline.losses import CellCrossentropy
from scs_keras.zoo.outline.model import OutlineModel
from scs_keras.zoo.sub_goals import check_sub_goals

NETWORKS = {"scs": SCSNetwork, "convlstm": ConvLSTMNetwork, "convgru": ConvGRUNetwork}
HEADS = ("map", "reference")
SUB_GOALS = ("same", "spatial", "none")
SWITCHES = ("astsgd", "stsgd", "cbm", "none")


def build(
    network: str,
    arguments: Mapping[str, Any],
    steps: int = 60,
    image_size: tuple[int, int] = (224, 224),
    grid: int = 28,
    backbone: str = "vgg16",
    backbone_arguments: Mapping[str, Any] | None = None,
    features: int = 128,
    offsets: bool = False,
    head: str = "reference",
    auxiliary: float = 0.0,
    spread: float = 0.0,
    sub_goals: str = "none",
    switch: str = "none",
    probability: float = 0.5,
    decay_steps: int | None = None,
    clip_length: int | None = None,
    overlap_weight: float = 1.0,
    accumulate_steps: int = 1,
    learning_rate: float = 1e-4,
    dtype: Any = None,
) -> OutlineModel:
    """A compiled model of outlines.

    Args:
        network: "scs", "convlstm" or "convgru".
        arguments: of `SCSNetwork` (with its `structure`), `ConvLSTMNetwork` or `ConvGRUNetwork`.
        steps: vertices at most; where there is room, an end token follows the last.
        image_size: height and width of the crop that the backbone sees.
        grid: cells along a side.
        backbone: "vgg16", "vgg16_bn" or "small", see `scs_keras.zoo.outline.encoders.encoder`.
        backbone_arguments: of the encoder: filters, weights, frozen.
        features: channels of the image's features.
        offsets: whether every cell sees how far it is from the three vertices, not only where these are.
        head: "map", a logit a cell and one of the end, or "reference", the public reference's LSTM.
        auxiliary: weight of the heads for edge and vertex cells; 0 for none.
        spread: of the target over neighbouring cells, a standard deviation in cells; 0 for none.
        sub_goals: "same": T1 and T2 predict the next vertex too (Sec. 5.6); "spatial": T1 alone; "none".
        switch: "astsgd" (it needs T1), "stsgd", "cbm" (the temporal branch alone closes), "none".
        probability: the switch's p at first, or the q0 of ASTSGD.
        decay_steps: of STSGD.
        clip_length: vertices of a clip of LTSC; None: the sequence in one piece.
        overlap_weight: of the overlap of clips (Eq. 23).
        accumulate_steps: batches whose gradients are averaged before a step.
        learning_rate: of Adam.
        dtype: policy of all layers, for example "mixed_bfloat16"; None: the global one. The output is float32.

    Raises:
        ValueError: for an unknown word, a size that is none, or a switch or sub-goals that the network does not have.
    """
    check_known("network", network, NETWORKS)
    check_known("head", head, HEADS)
    check_known("choice of sub_goals", sub_goals, SUB_GOALS)
    check_known("switch", switch, SWITCHES)
    height, width = image_size
    check_counts(steps=steps, grid=grid, features=features, height=height, width=width)
    check_sub_goals(network, sub_goals, switch)
    with default_dtype(dtype):
        see = encoder(backbone, (height, width), grid, features, **(backbone_arguments or {}))
        model = OutlineModel(
            NETWORKS[network](**arguments, name="network"),
            MapHead(name="head") if head == "map" else LSTMHead(grid, name="head"),
            backbone=JoinInputs({"image": None, "vertices": VertexMaps(grid, offsets)}, name="join"),
            context="image",
            context_encoder=see,
            grid=grid,
            auxiliary=auxiliary,
            name=network,
        )
    loss = CellCrossentropy(grid, spread)
    goals = {"none": (), "spatial": ("spatial_loss",), "same": ("spatial_loss", "temporal_loss")}[sub_goals]
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=loss,
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        switch=_switch(switch, probability, decay_steps, math.log(grid**2 + 1)),
        long_sequence=LTSC(clip_length, overlap_weight=overlap_weight) if clip_length else None,
        accumulate_steps=accumulate_steps,
        **{name: CellCrossentropy(grid, spread) for name in goals},
    )
    model.build({"image": (None, height, width, 3), "vertices": (None, steps, 3)})
    return model


def _switch(name, probability, decay_steps, initial_loss):
    if name == "astsgd":
        return ASTSGD(q0=probability, initial_loss=initial_loss)
    if name == "stsgd":
        return STSGD(probability, decay_steps=decay_steps)
    return STSGD(temporal=probability) if name == "cbm" else None
