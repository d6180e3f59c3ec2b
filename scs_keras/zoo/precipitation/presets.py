"""The precipitation forecasters of the zoo: sizes are rows, not classes."""

from dataclasses import replace
from pathlib import Path

from scs_keras.zoo.gains import GAINS
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.values import RAIN, Values

OBSERVED, FORECAST = 5, 5  # images, Sec. 5.8
SMALL, PAPER = (256, 256), (224, 244)  # pixels

_SMALL_SCS = dict(structure=[dict(filters=56, layers=3)], **GAINS)
_FLOW_SCS = dict(
    structure=[dict(filters=32, layers=4, shortcut_every=2)], spatial_initializer=GAINS["spatial_initializer"]
)
_PAPER_SCS = dict(
    structure=[dict(filters=128), dict(filters=128, layers=14, shortcut_every=2)], normalization="batch"
)  # fmt: skip
_REDUCED = {
    "scs": dict(structure=[dict(filters=4, layers=2)]),
    "convlstm": dict(filters=[4]),
}
_LICENCE = (
    "Radar composites of {} (research and test use; not part of this package) and Meteo-France's MeteoNet "
    "(Open Licence 2.0)"
)
_FIRST_RADARS = "MeteoSwiss, FMI, KNMI and BoM"
_RADARS = (
    "MeteoSwiss, FMI, KNMI, BoM, EUMETNET OPERA, Dipartimento della Protezione Civile and Environment and Climate "
    "Change Canada"
)
_FORECASTER = dict(
    data_licence=_LICENCE.format(_RADARS),
    builder="scs_keras.zoo.precipitation.builder:build",
    postprocess="scs_keras.zoo.precipitation.products:to_rain",
    gives=dict(output=RAIN),
    recipe="precipitation_radar",
)
_NOWCAST = dict(
    data_licence=_LICENCE.format(_RADARS),
    builder="scs_keras.zoo.precipitation.builder:build_nowcast",
    postprocess="scs_keras.zoo.precipitation.products:to_rain",
    gives=dict(
        mean=RAIN,
        matched=replace(RAIN, ranked=True),
        probability=Values(low=0.0, high=1.0, unit="probability of at least 0.5, 2, 5, 10 mm/h (the channels)"),
        lost=Values(low=0.0, high=1.0, unit="1 for an image that was found lost", layout=("batch", "time")),
    ),
    recipe="precipitation_nowcast",
)


def _preset(size, network, arguments, **others):
    input_shape = (OBSERVED, *size, 1)
    own = {name: others.pop(name) for name in ("name", "summary", "paper_row")}
    kind = {name: others.pop(name, default) for name, default in _FORECASTER.items()}
    networks = dict(network=network, arguments=arguments, patch=4) if arguments else dict(network=network)
    small = dict(arguments=_REDUCED[network], patch=2) if arguments else {}
    return Preset(
        **own,
        **kind,
        task="precipitation",
        arguments=dict(**networks, **others, input_shape=input_shape, output_length=FORECAST),
        input_shape=input_shape,
        output_shape=(FORECAST, *size, 1),
        values="reflectivity / 70 dBZ, clipped to [0, 1]; dBZ = 10 log10(200 R^1.6), R in mm/h",
        takes=RAIN,
        preprocess="scs_keras.zoo.radar_units:rain_to_scaled",
        dataset="radar",
        folder=Path(__file__).parent / "weights",
        reduced=dict(**small, input_shape=(3, 16, 16, 1), output_length=2),
        example="scs_keras.zoo.precipitation.sample:observed",
    )


PRESETS = (
    _preset(
        PAPER, "scs", _PAPER_SCS, sub_goals=True, learning_rate=1e-4,
        name="scs_precipitation_15_reec",
        summary="the paper's forecaster: 15 SCS layers of 128 features, 224x244 images",
        paper_row="Tab. 7, SCS",
    ),
    _preset(
        PAPER, "convlstm", dict(filters=[64] * 15), learning_rate=1e-4,
        name="convlstm_precipitation_15_reec",
        summary="the paper's baseline: 15 ConvLSTM layers of 64 features, 224x244 images",
        paper_row="Tab. 7, ConvLSTM",
    ),
    _preset(
        SMALL, "scs", _SMALL_SCS, sub_goals=True, decay_steps=100,
        name="scs_precipitation_small_radar",
        summary="small forecaster in the paper's form",
        paper_row="Tab. 7, SCS, at a small scale",
    ),
    _preset(
        SMALL, "convlstm", dict(filters=[44] * 2),
        name="convlstm_precipitation_small_radar",
        summary="its baseline: ConvLSTM, same budget, same parameters within 10 %",
        paper_row="Tab. 7, ConvLSTM, at a small scale",
    ),
    _preset(
        SMALL, "scs", _FLOW_SCS, advection=True, exceedance=0.01, data_licence=_LICENCE.format(_FIRST_RADARS),
        name="scs_precipitation_advection_small_radar",
        summary="SCS on top of advection: flow moves the rain, the decoder adds growth and decay",
        paper_row="none: beyond the paper",
    ),
    _preset(
        SMALL, "scs", _FLOW_SCS, **_NOWCAST,
        name="scs_precipitation_nowcast_small_radar",
        summary="the nowcast: SCS corrects the scale-wise filter along the flow; mean, matched and probabilities",
        paper_row="none: beyond the paper",
    ),
    _preset(
        SMALL, "none", None, **_NOWCAST,
        name="scale_filter_precipitation_small_radar",
        summary="its baseline: the scale-wise filter along the flow, in which only the probabilities are learnt",
        paper_row="none: the idea of S-PROG (Seed, 2003)",
    ),
)  # fmt: skip
