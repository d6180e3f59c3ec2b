"""The models of action recognition: the rows of Tab. 2 for three data sets, and small ones that are trained here."""

from dataclasses import replace
from pathlib import Path

from scs_keras.zoo.preset import Preset
from scs_keras.zoo.values import CELSIUS, PIXELS

_HERE = "scs_keras.zoo.action"
FOLDER = Path(__file__).parent


def labels_of(name: str) -> tuple[str, ...]:
    """The classes of a public data set, in its own order."""
    return tuple((FOLDER / "labels" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


_LICENCES = {
    "ucf101": "UCF-101: no licence stated, for research; videos from the web",
    "hmdb51": "HMDB-51: CC BY 4.0 by its authors; clips from films and the web",
    "kinetics": "Kinetics-400: annotations CC BY 4.0; the videos belong to who put them on YouTube",
    "fight": (
        "fight-detection-surv-dataset by S. Akti, MIT, with a request to cite Akti et al. 2019; its clips are from "
        "YouTube and of the CamNet and Synopsis data sets, whose terms are not stated there"
    ),
    "thermal": "FIR-Image-Action-Dataset by H. Zhang (2020): no licence stated",
}
_LABELS = {
    **{name: labels_of(name) for name in ("ucf101", "hmdb51", "kinetics")},
    "fight": ("fight", "noFight"),
    "thermal": ("walk", "up", "down-going", "lying"),
}
_RGB = ("red, green and blue of 0 to 255 in; probabilities of the classes out", f"{_HERE}.pixels:normalized", PIXELS)
_UNIT = (_RGB[0], f"{_HERE}.pixels:unit", PIXELS)
# Of 46 scenes a model learns the places by heart, unless it does not see them.
_CHANGES = (
    "red, green and blue of 0 to 255 in, of which the model sees what changes; probabilities of the classes out",
    f"{_HERE}.pixels:differences",
    replace(PIXELS, looks_back=True),
)
_CELSIUS = ("degrees C in; probabilities of the classes of every frame out", f"{_HERE}.pixels:thermal", CELSIUS)

# Tab. 8: 6 clips of 5 frames, 7 of 10. With a quarter shared they hold 25 and 58 frames.
_ALONE = dict(size=(25, 224, 224, 3), clip_length=5)
_BACKED = dict(size=(58, 224, 224, 3), clip_length=10)
_SCS = dict(sub_goals="flow", switch="astsgd")
_CBM = dict(sub_goals="none", switch="cbm")
_CBM_CELL = dict(activation="tanh", initial_gate=0.0)

_RESNET = dict(structure="resnet_17", normalization="batch")
# Three blocks of five layers; a residual line over each, then pooling: 7, 4, 2, 1 pixels.
_FIVES = dict(structure=[dict(filters=512, layers=5, shortcut_every=5, pool=2)] * 3, normalization="batch")
_HEAD = dict(hidden=(512,), dropout=0.5)
# 15 ConvLSTM layers, as deep and wide as Tab. 1 up to its last two.
_CONVLSTM = [
    dict(filters=64, kernel_size=7, strides=2, pool=3),
    dict(filters=64, layers=4),
    dict(filters=128, layers=4, strides=2),
    dict(filters=256, layers=4, strides=2),
    dict(filters=512, layers=2, strides=2),
]

_TINY = dict(labels=("a", "b", "c"))
_TINY_FRAMES, _TINY_SIDE, _SMALLEST_OF_BACKBONES = 5, 8, 32
_TINY_SCS = dict(
    arguments=dict(structure=[dict(filters=4, strides=2), dict(filters=4, layers=2, strides=2, shortcut_every=2)]),
    flow_stages=(0, 1),
)
_TINY_CBM = dict(arguments=dict(_TINY_SCS["arguments"], **_CBM_CELL))
_TINY_BACKBONES = {
    "vgg19": dict(until="block1_conv1"),
    "googlenet": dict(table=((2, 2, 2, 2, 2, 2),), stem=(4, 4, 4)),
    "small_cnn": dict(filters=(4, 4)),
}


def _preset(name, summary, paper_row, network, data, size, reduced, pixels=_RGB, **arguments):
    per_frame = arguments.get("per_frame", False)
    labels = _LABELS[data]
    values, preprocess, takes = pixels
    side = _SMALLEST_OF_BACKBONES if pixels is _UNIT else _TINY_SIDE
    tiny = dict(reduced, input_shape=(_TINY_FRAMES, side, side, size[-1]))
    if arguments.get("backbone"):
        tiny["backbone_arguments"] = _TINY_BACKBONES[arguments["backbone"]]
    if "hidden" in arguments:
        tiny["hidden"] = (4,)
    if arguments.get("clip_length"):
        tiny["clip_length"] = 3
    return Preset(
        name=name,
        task="action",
        summary=summary,
        paper_row=paper_row,
        builder=f"{_HERE}.builder:build",
        arguments=dict(network=network, labels=labels, input_shape=size, **arguments),
        input_shape=size,
        output_shape=(size[0], len(labels)) if per_frame else (len(labels),),
        values=values,
        takes=takes,
        preprocess=preprocess,
        postprocess=f"{_HERE}.pixels:unchanged",
        recipe="action_clips",
        dataset=data,
        folder=FOLDER / "weights",
        reduced={**_TINY, **tiny},
        example=f"{_HERE}.example:moving_disc",
        data_licence=_LICENCES[data],
        labels=labels,
    )


def _of_paper(data, named):
    """The rows of Tab. 2 for a data set; `named` is how people call it."""
    yield _preset(
        f"scs_action_17_{data}", f"the stand-alone network: 17 SCS layers on {named}", "Tab. 2, Stand-alone SCS",
        "scs", data, **_ALONE, **_SCS, arguments=_RESNET, flow_stages=(1, 2, 3, 4), reduced=_TINY_SCS,
    )  # fmt: skip
    yield _preset(
        f"cbm_action_17_{data}", f"its predecessor: 17 CBM layers on {named}", "Tab. 2, Stand-alone CBM",
        "scs", data, **_ALONE, **_CBM, arguments={**_RESNET, **_CBM_CELL}, reduced=_TINY_CBM,
    )  # fmt: skip
    yield _preset(
        f"scs_action_vgg_{data}", f"15 SCS layers on the features of VGG-19, {named}",
        "Tab. 2, BB (VGG) supported SCS",
        "scs", data, **_BACKED, **_SCS, arguments=_FIVES, **_HEAD, backbone="vgg19", pixels=_UNIT, reduced=_TINY_SCS,
    )  # fmt: skip
    yield _preset(
        f"scs_action_inception_{data}", f"15 SCS layers on the features of Inception V1, {named}",
        "Tab. 2, BB (Inception) supported SCS",
        "scs", data, **_BACKED, **_SCS, arguments=_FIVES, **_HEAD, backbone="googlenet", pixels=_UNIT,
        reduced=_TINY_SCS,
    )  # fmt: skip
    yield _preset(
        f"cbm_action_vgg_{data}", f"15 CBM layers on the features of VGG-19, {named}",
        "Tab. 2, BB (VGG) supported CBM",
        "scs", data, **_BACKED, **_CBM, arguments={**_FIVES, **_CBM_CELL}, **_HEAD, backbone="vgg19", pixels=_UNIT,
        reduced=_TINY_CBM,
    )  # fmt: skip
    yield _preset(
        f"lrcn_action_vgg_{data}", f"an LSTM on the features of VGG-19, {named}", "Tab. 2, LSTM with BB (VGG)",
        "lstm", data, **_BACKED, arguments=dict(units=512), dropout=0.5, backbone="vgg19", pixels=_UNIT,
        reduced=dict(arguments=dict(units=4)),
    )  # fmt: skip
    yield _preset(
        f"convlstm_action_15_{data}", f"15 ConvLSTM layers on {named}", "Tab. 2, 15-layer ConvLSTM",
        "convlstm", data, **_ALONE, arguments=dict(filters=_CONVLSTM, normalization="group"),
        reduced=dict(arguments=dict(filters=[dict(filters=4, strides=2, pool=3), 4])),
    )  # fmt: skip


def _small(data, size, networks, **others):
    """SCS, the LSTM and the ConvLSTM of a small data set, with as many parameters."""
    summaries = {
        "scs": "small classifier of semi-coupled layers",
        "lstm": "its baseline: an LSTM on convolutions, same budget, same parameters within 10 %",
        "convlstm": "its baseline: ConvLSTM layers, same budget, same parameters within 10 %",
    }
    rows = {"scs": "Tab. 2, SCS", "lstm": "Tab. 2, LSTM with BB", "convlstm": "Tab. 2, ConvLSTM"}
    reduced = {
        "scs": _TINY_SCS,
        "lstm": dict(arguments=dict(units=4)),
        "convlstm": dict(arguments=dict(filters=[dict(filters=4, strides=2, pool=3), 4])),
    }
    for network, own in networks.items():
        yield _preset(
            f"{ {'lstm': 'lrcn'}.get(network, network) }_action_small_{data}", summaries[network],
            f"{rows[network]}, at a small scale", network, data, size, **own, **others, learning_rate=1e-3,
            reduced=reduced[network],
        )  # fmt: skip


_FIGHT = dict(
    scs=dict(
        arguments=dict(
            structure=[
                dict(filters=16, strides=2),
                dict(filters=24, layers=2, strides=2, shortcut_every=2),
                dict(filters=42, layers=2, strides=2, shortcut_every=2),
            ],
            normalization="batch",
        ),
        flow_stages=(1, 2),
        flow_options=dict(iterations=1),
        temporal_weight=0.1,
        **_SCS,
    ),
    lstm=dict(
        arguments=dict(units=72), backbone="small_cnn", backbone_arguments=dict(filters=(24, 48, 64, 64)), dropout=0.3
    ),
    convlstm=dict(
        arguments=dict(
            filters=[dict(filters=12, strides=2), dict(filters=24, strides=2), dict(filters=36, strides=2)],
            normalization="group",
        ),
    ),
)
_THERMAL = dict(
    scs=dict(
        arguments=dict(
            structure=[dict(filters=20, strides=2), dict(filters=32, layers=2, strides=2, shortcut_every=2)],
            normalization="batch",
        ),
        flow_stages=(0, 1),
        flow_options=dict(iterations=1),
        temporal_weight=0.1,
        **_SCS,
    ),
    lstm=dict(
        arguments=dict(units=64), backbone="small_cnn", backbone_arguments=dict(filters=(16, 40, 56)), dropout=0.3
    ),
    convlstm=dict(
        arguments=dict(filters=[dict(filters=16, strides=2), dict(filters=28, strides=2)], normalization="group")
    ),
)

PRESETS = (
    *(
        preset
        for data, named in (("ucf101", "UCF-101"), ("hmdb51", "HMDB-51"), ("kinetics", "Kinetics-400"))
        for preset in _of_paper(data, named)
    ),
    *_small("fight", (16, 48, 64, 3), _FIGHT, pixels=_CHANGES, differences=True),
    *_small("thermal", (16, 24, 32, 1), _THERMAL, pixels=_CELSIUS, per_frame=True),
    _preset(
        "scs_action_importance_small_thermal",
        "small classifier whose T1 and T2 name the class too: what time adds is T2 less T1",
        "Tab. 6 (of another task)", "scs", "thermal", (16, 24, 32, 1), _TINY_SCS, _CELSIUS,
        **{**_THERMAL["scs"], "sub_goals": "same", "temporal_weight": 1.0}, per_frame=True, learning_rate=1e-3,
    ),
)  # fmt: skip
