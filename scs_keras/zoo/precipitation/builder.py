"""Builds the precipitation forecasters: sizes are arguments, not classes."""

from collections.abc import Mapping
from typing import Any

import keras

from scs_keras.core.network import SCSNetwork
from scs_keras.core.switch import ASTSGD, STSGD
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.precipitation.losses import ForecastLoss, NowcastLoss
from scs_keras.zoo.precipitation.model import PrecipitationForecaster
from scs_keras.zoo.precipitation.nowcast import FlowForecaster, Nowcast, ScaleFilter

_NETWORKS = {"scs": SCSNetwork, "convlstm": ConvLSTMNetwork}


def build(
    network: str,
    arguments: Mapping[str, Any],
    patch: int,
    advection: bool = False,
    sub_goals: bool = False,
    decay_steps: int | None = None,
    exceedance: float = 0.0,
    learning_rate: float = 1e-3,
    input_shape: tuple[int, ...] = (5, 256, 256, 1),
    output_length: int = 5,
) -> PrecipitationForecaster:
    """A compiled forecaster.

    Args:
        network: "scs" or "convlstm".
        arguments: of `SCSNetwork` or `ConvLSTMNetwork`, for encoder and decoder alike.
        patch, advection, sub_goals: see `PrecipitationForecaster`.
        decay_steps: with `sub_goals`, the switch is `STSGD(0.5, decay_steps=...)`; None: `ASTSGD()`.
        exceedance: weight of the exceedance term of `ForecastLoss`.
        learning_rate: of Adam.
        input_shape: (time, height, width, channels) that it is built for; it takes images of any size.
        output_length: number of future images.
    """
    make = _NETWORKS[network]
    model = PrecipitationForecaster(
        make(**arguments, name="encoder"),
        make(**arguments, name="decoder"),
        output_length=output_length,
        patch=patch,
        advection=advection,
        sub_goals=sub_goals,
    )
    goals = {}
    if sub_goals:  # light ones: at this budget they cost the main goal more than they help; the flow is the largest
        goals = dict(spatial_loss="mse", temporal_loss="mse", loss_weights=dict(spatial=0.1, temporal=0.01))
        goals["switch"] = STSGD(0.5, decay_steps=decay_steps) if decay_steps else ASTSGD()
    model.compile(keras.optimizers.Adam(learning_rate), loss=ForecastLoss(exceedance), **goals)
    model.build((None, *input_shape))
    return model


def build_nowcast(
    network: str = "scs",
    arguments: Mapping[str, Any] | None = None,
    patch: int = 4,
    exceedance: float = 0.3,
    learning_rate: float = 1e-3,
    input_shape: tuple[int, ...] = (5, 256, 256, 1),
    output_length: int = 5,
) -> FlowForecaster:
    """A compiled nowcast.

    Args:
        network: "scs" or "convlstm", or "none" for the scale-wise filter alone.
        arguments: of `SCSNetwork` or `ConvLSTMNetwork`, for encoder and decoder alike.
        patch: see `Nowcast`.
        exceedance: weight of the cross-entropy of exceedance in `NowcastLoss`.
        learning_rate: of Adam.
        input_shape: (time, height, width, channels) that it is built for; it takes images of any size.
        output_length: number of future images.
    """
    if network == "none":
        model: Any = ScaleFilter(output_length)
    else:
        make = _NETWORKS[network]
        model = Nowcast(
            make(**(arguments or {}), name="encoder"), make(**(arguments or {}), name="decoder"), output_length, patch
        )
    model.compile(keras.optimizers.Adam(learning_rate), loss=NowcastLoss(exceedance))
    model.build((None, *input_shape))
    return model
