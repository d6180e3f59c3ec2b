"""The steering models: the rows of Tab. 5 for two data sets, and small ones that are trained here."""

from dataclasses import replace
from pathlib import Path

from scs_keras.zoo.preset import Preset
from scs_keras.zoo.values import PIXELS, Values

_HERE = "scs_keras.zoo.driving"
FOLDER = Path(__file__).parent

_LICENCES = {
    "livi": "DBNet-2018 (LiVi-Set): for research, on request from its authors",
    "comma": "comma.ai driving data of 2016: CC BY-NC-SA 3.0",
    "rc_car": "csc3520-autonomous-rc-car by J. Witt and others: no licence stated",
}
# Largest angles of the wheel. comma.ai: their own loader keeps these. LiVi: one turn. The small car: full lock is taken
# as 25 degrees, as Udacity's simulator does.
LIMITS = {"livi": 360.0, "comma": 200.0, "rc_car": 25.0}

_VALUES = "red, green and blue of 0 to 255 in; the angle at the last frame out, degrees"
_TINY = (3, 16, 24, 3)
_TINY_BACKBONES = {  # arguments and the smallest frames
    "resnet_18": (dict(filters=2), (3, 32, 32, 3)),
    "small_cnn": (dict(filters=(4, 4)), _TINY),
}
_TINY_SCS = dict(arguments=dict(structure=[dict(filters=4, strides=2), dict(filters=4, layers=2, shortcut_every=2)]))


def _preset(name, summary, paper_row, network, data, size, reduced, pixels="centred", **arguments):
    arguments = dict(network=network, input_shape=size, limit=LIMITS[data], **arguments)
    tiny = dict(input_shape=_TINY, **reduced)
    if arguments.get("backbone"):
        tiny["backbone_arguments"], tiny["input_shape"] = _TINY_BACKBONES[arguments["backbone"]]
    tiny["input_shape"] = (min(size[0], 3), *tiny["input_shape"][1:])
    if arguments.get("hidden"):
        tiny["hidden"] = (4,)
    return Preset(
        name=name,
        task="driving",
        summary=summary,
        paper_row=paper_row,
        builder=f"{_HERE}.builder:build",
        arguments=arguments,
        input_shape=size,
        output_shape=(1,),
        values=_VALUES,
        takes=replace(PIXELS, note="The part of the camera's picture that shows the road, see the data set's `crop`."),
        gives={"output": Values("float32", -LIMITS[data], LIMITS[data], "degrees", layout=("batch", "angle"))},
        preprocess=f"{_HERE}.pixels:{pixels}",
        postprocess=f"{_HERE}.pixels:unchanged",
        recipe="steering",
        dataset=data,
        folder=FOLDER / "weights",
        reduced=tiny,
        example=f"{_HERE}.example:bending_road",
        data_licence=_LICENCES[data],
    )


def _of_paper(data, named):
    """The rows of Tab. 5 for a data set; 3 frames in place of 7 and p are arguments."""
    size = (7, 64, 192, 3)
    yield _preset(
        f"scs_driving_17_{data}", f"17 SCS layers on 7 frames of {named}", "Tab. 5, SCS model", "scs", data, size,
        depth=17, arguments=dict(normalization="batch"), flow_stages=(1, 2, 3, 4), sub_goals="flow", switch="stsgd",
        learning_rate=1e-4,
        reduced=dict(_TINY_SCS, depth=None, flow_stages=(0, 1)),
    )  # fmt: skip
    yield _preset(
        f"lstm_driving_resnet18_{data}", f"an LSTM on the features of ResNet-18, 7 frames of {named}",
        "Tab. 5, CNN+LSTM", "lstm", data, size, pixels="unit", backbone="resnet_18", arguments=dict(units=512),
        learning_rate=2e-4, reduced=dict(arguments=dict(units=4)),
    )  # fmt: skip
    yield _preset(
        f"resnet18_driving_{data}", f"ResNet-18 on the last frame alone, {named}", "Tab. 5, CNN", "cnn", data,
        (1, *size[1:]), pixels="unit", backbone="resnet_18", learning_rate=2e-4, reduced={},
    )  # fmt: skip


_FRAMES = (3, 32, 96, 3)
_SMALL = dict(data="rc_car", flatten=True, dropout=0.3, learning_rate=1e-3)
_STAGES = [
    dict(filters=16, strides=2),
    dict(filters=24, layers=2, strides=2, shortcut_every=2),
    dict(filters=36, layers=2, strides=2, shortcut_every=2),
]

PRESETS = (
    *(
        preset
        for data, named in (("livi", "LiVi-Set"), ("comma", "comma.ai"))
        for preset in _of_paper(data, named)
    ),
    _preset(
        "scs_driving_small_rc", "small steering model of semi-coupled layers", "Tab. 5, SCS model, at a small scale",
        "scs", size=_FRAMES, **_SMALL, arguments=dict(structure=_STAGES, normalization="batch"),
        sub_goals="flow", switch="stsgd", flow_stages=(1, 2), flow_options=dict(iterations=1), temporal_weight=0.01,
        reduced=dict(_TINY_SCS, flow_stages=(0, 1)),
    ),
    _preset(
        "lstm_driving_small_rc", "its baseline: an LSTM on convolutions, same budget, same parameters within 10 %",
        "Tab. 5, CNN+LSTM, at a small scale", "lstm", size=_FRAMES, **_SMALL, backbone="small_cnn",
        backbone_arguments=dict(filters=(20, 32, 48, 48)), arguments=dict(units=24),
        reduced=dict(arguments=dict(units=4)),
    ),
    _preset(
        "cnn_driving_small_rc", "its baseline: convolutions of the last frame alone, same parameters within 10 %",
        "Tab. 5, CNN, at a small scale", "cnn", size=(1, *_FRAMES[1:]), **_SMALL, backbone="small_cnn",
        backbone_arguments=dict(filters=(24, 36, 56, 72)), hidden=(40,), reduced={},
    ),
)  # fmt: skip
