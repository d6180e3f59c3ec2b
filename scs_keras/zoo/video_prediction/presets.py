"""The video-prediction models of the zoo: a data set is a row, a model's configuration on it another."""

from dataclasses import dataclass
from pathlib import Path

from scs_keras.zoo import values as kinds
from scs_keras.zoo.preset import Preset

_UNITS = "scs_keras.zoo.video_prediction.units"
PIXELS = (f"{_UNITS}:pixels_to_scaled", f"{_UNITS}:scaled_to_pixels")
FLOW = (f"{_UNITS}:flow_to_scaled", f"{_UNITS}:scaled_to_flow")
RAIN = ("scs_keras.zoo.radar_units:rain_to_scaled", "scs_keras.zoo.radar_units:scaled_to_rain")


@dataclass(frozen=True)
class Data:
    """A data set: its name, the papers' table, (time, height, width, channels) observed, frames to predict."""

    title: str
    table: str
    observed: tuple
    future: int
    licence: str
    values: str = "grey or colour values / 255, in [0, 1]"
    units: tuple = PIXELS
    takes: kinds.Values = kinds.PIXELS
    size: str = ", the published size"


DATA = {
    "moving_mnist": Data(
        "Moving MNIST", "TAU Tab. 2", (10, 64, 64, 1), 10, "MNIST: CC BY-SA 3.0 (not part of this package)"
    ),
    "taxibj": Data(
        "TaxiBJ", "TAU Tab. 3", (4, 32, 32, 2), 4, "TaxiBJ: research use (not part of this package)",
        "in- and outflow of taxis, scaled to [0, 1]", FLOW,
        kinds.Values("float32", -1.0, 1.0, "in- and outflow of taxis, scaled as TaxiBJ is distributed"),
    ),
    "kth": Data("KTH", "TAU Tab. 5", (10, 128, 128, 1), 20, "KTH: research use (not part of this package)"),
    "kitti_caltech": Data(
        "KITTI, tested on Caltech", "TAU Tab. 4", (10, 128, 160, 3), 1,
        "KITTI: CC BY-NC-SA 3.0; Caltech Pedestrian: research use (not part of this package)",
    ),
    "small_moving_mnist": Data(
        "Moving MNIST, small", "TAU Tab. 2, at a small scale", (10, 64, 64, 1), 10,
        "MNIST: CC BY-SA 3.0 (not part of this package)", size="",
    ),
    "small_radar": Data(
        "radar composites, small", "none: beyond the papers", (5, 64, 64, 1), 5,
        "Radar composites of MeteoSwiss, FMI, KNMI and BoM (research and test use; not part of this package) and "
        "Meteo-France's MeteoNet (Open Licence 2.0)",
        "reflectivity / 70 dBZ, clipped to [0, 1]", RAIN, kinds.RAIN, size="",
    ),
}  # fmt: skip

SMALL_CONVLSTM = dict(num_hidden=(48, 48), patch_size=4, filter_size=3, learning_rate=1e-3)
SMALL_PREDRNN = dict(num_hidden=(32, 32), patch_size=4, filter_size=3, learning_rate=1e-3)
SMALL_SCS = dict(structure=[dict(filters=48, layers=3)], learning_rate=1e-3)
SMALL_SIMVP = dict(hid_S=16, hid_T=64, N_T=4, N_S=4, mlp_ratio=4.0, learning_rate=1e-3)

# {model: (title, {data: hyperparameters})}: what the benchmark's configurations set. The rest are the models' defaults.
MODELS = {
    "tau": ("TAU", {
        "moving_mnist": dict(hid_S=64, hid_T=512, N_T=8, N_S=4, learning_rate=1e-3),
        "taxibj": dict(hid_S=32, hid_T=256, N_T=8, N_S=2, drop_path=0.1, learning_rate=5e-4),
        "kth": dict(hid_S=64, hid_T=256, N_T=6, N_S=2, drop_path=0.1, learning_rate=1e-3),
        "kitti_caltech": dict(hid_S=64, hid_T=256, N_T=6, N_S=2, drop_path=0.1, learning_rate=1e-2),
        "small_moving_mnist": SMALL_SIMVP,
        "small_radar": SMALL_SIMVP,
    }),
    "simvp": ("SimVP (IncepU)", {
        "moving_mnist": dict(hid_S=64, hid_T=512, N_T=8, N_S=4, learning_rate=1e-3),
        "taxibj": dict(hid_S=32, hid_T=256, N_T=8, N_S=2, learning_rate=1e-3),
        "kth": dict(hid_S=64, hid_T=256, N_T=4, N_S=2, learning_rate=1e-3),
        "kitti_caltech": dict(hid_S=64, hid_T=256, N_T=4, N_S=2, learning_rate=5e-3),
    }),
    "simvp_gsta": ("SimVP v2 (gSTA)", {
        "moving_mnist": dict(hid_S=64, hid_T=512, N_T=8, N_S=4, learning_rate=1e-3),
        "taxibj": dict(hid_S=32, hid_T=256, N_T=8, N_S=2, drop_path=0.1, learning_rate=5e-4),
        "kth": dict(hid_S=64, hid_T=256, N_T=6, N_S=2, drop_path=0.2, learning_rate=1e-3),
        "kitti_caltech": dict(hid_S=64, hid_T=256, N_T=6, N_S=2, drop_path=0.2, learning_rate=5e-3),
        "small_moving_mnist": SMALL_SIMVP,
        "small_radar": SMALL_SIMVP,
    }),
    "convlstm": ("ConvLSTM", {
        "moving_mnist": dict(patch_size=4, learning_rate=5e-4),
        "taxibj": dict(patch_size=2, learning_rate=5e-4),
        "kth": dict(patch_size=2, learning_rate=1e-3),
        "kitti_caltech": dict(patch_size=2, learning_rate=5e-3),
        "small_moving_mnist": SMALL_CONVLSTM,
        "small_radar": SMALL_CONVLSTM,
    }),
    "convlstm_large": ("ConvLSTM, 4 layers of 192", {
        "moving_mnist": dict(num_hidden=(192,) * 4, patch_size=4, learning_rate=5e-4),
    }),
    "predrnn": ("PredRNN", {
        "moving_mnist": dict(patch_size=4, learning_rate=5e-4),
        "taxibj": dict(patch_size=2, learning_rate=1e-4),
        "kth": dict(patch_size=2, learning_rate=1e-3),
        "kitti_caltech": dict(patch_size=2, learning_rate=1e-2),
        "small_moving_mnist": SMALL_PREDRNN,
        "small_radar": SMALL_PREDRNN,
    }),
    "predrnnpp": ("PredRNN++", {
        "moving_mnist": dict(patch_size=4, learning_rate=1e-4),
        "taxibj": dict(patch_size=2, learning_rate=1e-4),
        "kth": dict(patch_size=2, learning_rate=1e-3),
        "kitti_caltech": dict(patch_size=2, learning_rate=5e-3),
    }),
    "predrnnv2": ("PredRNN v2", {
        "moving_mnist": dict(patch_size=4, decouple_beta=0.1, learning_rate=5e-4),
        "taxibj": dict(patch_size=2, decouple_beta=0.1, learning_rate=5e-4),
        "kth": dict(patch_size=2, decouple_beta=0.01, learning_rate=1e-3),
        "kitti_caltech": dict(patch_size=2, decouple_beta=0.1, learning_rate=1e-3),
    }),
    "mim": ("MIM", {
        "moving_mnist": dict(patch_size=4, learning_rate=5e-4),
        "taxibj": dict(patch_size=2, learning_rate=1e-2),
        "kth": dict(patch_size=4, learning_rate=1e-4),
        "kitti_caltech": dict(patch_size=2, learning_rate=1e-2),
    }),
    "e3dlstm": ("E3D-LSTM", {
        "moving_mnist": dict(patch_size=4, learning_rate=1e-4),
        "taxibj": dict(patch_size=2, learning_rate=5e-3),
        "kth": dict(patch_size=8, stride=2, learning_rate=5e-4),
        "kitti_caltech": dict(patch_size=4, learning_rate=2.5e-3),
    }),
    "mau": ("MAU", {
        "moving_mnist": dict(sr_size=4, learning_rate=1e-3),
        "taxibj": dict(sr_size=2, learning_rate=1e-3),
        "kth": dict(sr_size=2, learning_rate=5e-4),
        "kitti_caltech": dict(sr_size=2, learning_rate=1e-3),
    }),
    "phydnet": ("PhyDNet", {
        "moving_mnist": dict(patch_size=4, learning_rate=1e-3),
        "taxibj": dict(patch_size=2, learning_rate=5e-4),
        "kth": dict(patch_size=4, learning_rate=1e-3),
        "kitti_caltech": dict(patch_size=4, learning_rate=5e-3),
    }),
    "crevnet": ("CrevNet", {
        "moving_mnist": dict(learning_rate=5e-4),
    }),
    "scs": ("SCS, encoder and decoder (beyond the papers)", {
        "moving_mnist": dict(sub_goals=True, learning_rate=1e-3),
        "small_moving_mnist": SMALL_SCS,
        "small_radar": SMALL_SCS,
    }),
}  # fmt: skip
# The published weights of two systems are of the reference up to version 0.3, whose cells differ (see `legacy` there).
LEGACY = ("convlstm", "convlstm_large", "predrnnpp")
MODELS |= {
    f"{model}_legacy": (
        f"{MODELS[model][0]} as in its published weights",
        {data: dict(values, legacy=True) for data, values in MODELS[model][1].items() if not data.startswith("small_")},
    )
    for model in LEGACY
}
_CLASSES = {"convlstm_large": "convlstm", "scs": "scs_video"}  # where the preset's name is not that of `build`

_RECURRENT = dict(num_hidden=(4, 4), patch_size=2, filter_size=3)
_SIMVP = dict(hid_S=4, hid_T=16, N_S=2, N_T=2, mlp_ratio=2.0)
REDUCED = {  # {name of `build`: hyperparameters of a small version}
    "tau": _SIMVP,
    "simvp": _SIMVP,
    "simvp_gsta": _SIMVP,
    "convlstm": _RECURRENT,
    "predrnn": _RECURRENT,
    "predrnnpp": _RECURRENT,
    "predrnnv2": _RECURRENT,
    "mim": _RECURRENT,
    "e3dlstm": _RECURRENT,
    "mau": dict(num_hidden=(4, 4), sr_size=2),
    "phydnet": dict(patch_size=2),
    "crevnet": dict(n_blocks=(1, 1, 1), predictor_rnn_layers=1),
    "scs_video": dict(structure=[dict(filters=4)]),
}
_REDUCED_TIME, _REDUCED_SIZE = 4, 16  # observed frames, height and width


def _preset(model, data, hyperparameters):
    title, rows = MODELS[model][0], DATA[data]
    base = model.removesuffix("_legacy")
    name = _CLASSES.get(base, base)
    small = (_REDUCED_TIME, _REDUCED_SIZE, _REDUCED_SIZE, rows.observed[-1])
    return Preset(
        name=f"{model}_video_{data}",
        task="video_prediction",
        summary=f"{title} on {rows.title}, {rows.observed[0]} frames to {rows.future}{rows.size}",
        paper_row=f"{rows.table}, {title}",
        builder="scs_keras.zoo.video_prediction.builder:compiled",
        arguments=dict(name=name, input_shape=rows.observed, output_length=rows.future, **hyperparameters),
        argument_names="scs_keras.zoo.video_prediction.builder:argument_names",
        input_shape=rows.observed,
        output_shape=(rows.future, *rows.observed[1:]),
        values=rows.values,
        takes=rows.takes,
        preprocess=rows.units[0],
        postprocess=rows.units[1],
        recipe="video_prediction",
        dataset=data.removeprefix("small_"),
        folder=Path(__file__).parent / "weights",
        reduced=dict(input_shape=small, output_length=2, **REDUCED[name]),
        example="scs_keras.zoo.video_prediction.example:moving_disc",
        data_licence=rows.licence,
    )


PRESETS = tuple(
    _preset(model, data, hyperparameters)
    for data in DATA
    for model, (_, configurations) in MODELS.items()
    for name, hyperparameters in configurations.items()
    if name == data
)
