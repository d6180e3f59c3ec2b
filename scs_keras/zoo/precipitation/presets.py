"""The precipitation forecasters of the zoo: sizes are rows, not classes."""

import functools
from pathlib import Path

import keras

from scs_keras.core.network import SCSNetwork, Stage
from scs_keras.core.switch import ASTSGD, STSGD
from scs_keras.zoo.encoder_decoder import GAINS
from scs_keras.zoo.precipitation.convlstm import ConvLSTMNetwork
from scs_keras.zoo.precipitation.losses import ForecastLoss
from scs_keras.zoo.precipitation.model import PrecipitationForecaster
from scs_keras.zoo.precipitation.units import rain_to_scaled, scaled_to_rain
from scs_keras.zoo.preset import Preset

OBSERVED, FORECAST = 5, 5  # images, Sec. 5.8


def build(
    network, arguments, patch, advection=False, sub_goals=False, decay_steps=None, exceedance=0.0, learning_rate=1e-3
):
    """A compiled forecaster.

    Args:
        network: "scs" or "convlstm".
        arguments: of `SCSNetwork` or `ConvLSTMNetwork`, for encoder and decoder alike.
        patch, advection, sub_goals: see `PrecipitationForecaster`.
        decay_steps: with `sub_goals`, the switch is `STSGD(0.5, decay_steps=...)`; None: `ASTSGD()`.
        exceedance: weight of the exceedance term of `ForecastLoss`.
        learning_rate: of Adam.
    """
    make = {"scs": SCSNetwork, "convlstm": ConvLSTMNetwork}[network]
    model = PrecipitationForecaster(
        make(**arguments, name="encoder"),
        make(**arguments, name="decoder"),
        output_length=FORECAST,
        patch=patch,
        advection=advection,
        sub_goals=sub_goals,
    )
    goals = {}
    if sub_goals:  # light ones: at this budget they cost the main goal more than they help; the flow is the largest
        goals = dict(spatial_loss="mse", temporal_loss="mse", loss_weights=dict(spatial=0.1, temporal=0.01))
        goals["switch"] = STSGD(0.5, decay_steps=decay_steps) if decay_steps else ASTSGD()
    model.compile(keras.optimizers.Adam(learning_rate), loss=ForecastLoss(exceedance), **goals)
    return model


_preset = functools.partial(
    Preset,
    task="precipitation",
    build=build,
    values="reflectivity / 70 dBZ, clipped to [0, 1]; dBZ = 10 log10(200 R^1.6), R in mm/h",
    preprocess=rain_to_scaled,
    postprocess=scaled_to_rain,
    recipe="precipitation_radar",
    folder=Path(__file__).parent / "weights",
    data_licence=(
        "Radar composites of MeteoSwiss, FMI, KNMI and BoM (research and test use; not part of this package) "
        "and Meteo-France's MeteoNet (Open Licence 2.0)"
    ),
)

_SMALL_SCS = dict(structure=[Stage(56, layers=3)], **GAINS)
_ADVECTION_SCS = dict(
    structure=[Stage(32, layers=4, shortcut_every=2)], spatial_initializer=GAINS["spatial_initializer"]
)
_PAPER_SCS = dict(structure=[Stage(128), Stage(128, layers=14, shortcut_every=2)], normalization="batch")
_LENGTHS = dict(input_shape=(OBSERVED, 256, 256, 1), output_shape=(FORECAST, 256, 256, 1))
_PAPER_LENGTHS = dict(input_shape=(OBSERVED, 224, 244, 1), output_shape=(FORECAST, 224, 244, 1))

PRESETS = (
    _preset(
        name="scs_precipitation_15_reec",
        summary="the paper's forecaster: 15 SCS layers of 128 features, 224x244 images",
        paper_row="Tab. 7, SCS",
        arguments=dict(network="scs", arguments=_PAPER_SCS, patch=4, sub_goals=True, learning_rate=1e-4),
        **_PAPER_LENGTHS,
    ),
    _preset(
        name="convlstm_precipitation_15_reec",
        summary="the paper's baseline: 15 ConvLSTM layers of 64 features, 224x244 images",
        paper_row="Tab. 7, ConvLSTM",
        arguments=dict(network="convlstm", arguments=dict(filters=[64] * 15), patch=4, learning_rate=1e-4),
        **_PAPER_LENGTHS,
    ),
    _preset(
        name="scs_precipitation_small_radar",
        summary="small forecaster in the paper's form",
        paper_row="Tab. 7, SCS, at a small scale",
        arguments=dict(network="scs", arguments=_SMALL_SCS, patch=4, sub_goals=True, decay_steps=100),
        **_LENGTHS,
    ),
    _preset(
        name="convlstm_precipitation_small_radar",
        summary="its baseline: ConvLSTM, same budget, same parameters within 10 %",
        paper_row="Tab. 7, ConvLSTM, at a small scale",
        arguments=dict(network="convlstm", arguments=dict(filters=[44] * 2), patch=4),
        **_LENGTHS,
    ),
    _preset(
        name="scs_precipitation_advection_small_radar",
        summary="SCS on top of advection: flow moves the rain, the decoder adds growth and decay",
        paper_row="none: beyond the paper",
        arguments=dict(network="scs", arguments=_ADVECTION_SCS, patch=4, advection=True, exceedance=0.01),
        **_LENGTHS,
    ),
)
