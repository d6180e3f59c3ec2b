"""The models of outlines: the rows of Tab. 4, the public reference's own, and small ones that are trained here."""

from pathlib import Path

from scs_keras.zoo.gains import GAINS
from scs_keras.zoo.outline.shapes import shapes
from scs_keras.zoo.preset import Preset
from scs_keras.zoo.values import Values

_HERE = "scs_keras.zoo.outline"
FOLDER = Path(__file__).parent

FILTERS = {  # Tab. 4, by the number of layers
    2: (64, 8),
    5: (128, 128, 64, 32, 8),
    10: (128,) * 5 + (64,) * 3 + (32, 8),
    15: (256,) * 2 + (128,) * 4 + (64,) * 6 + (32,) * 2 + (8,),
}
DEMO_FILTERS = (128,) * 9 + (64,) * 3 + (32,) * 2 + (8,)
_ROWS = {"scs": (2, 5, 10, 15), "cbm": (5, 15), "lstm": (2, 5, 10, 15), "gru": (5, 15)}
_SUMMARIES = {
    "scs": "semi-coupled layers", "cbm": "layers of its predecessor", "lstm": "ConvLSTM layers",
    "gru": "convolutional GRU layers",
}  # fmt: skip

_TAKES = {
    "image": Values("uint8", 0, 255, "colour value", layout=("batch", "height", "width", "channels")),
    "vertices": Values(
        "int32", 0, None, "cell", layout=("batch", "time", "first and two before"),
        note="Cells of the grid, row by row; after the last the end token and two start tokens.",
    ),
}  # fmt: skip
_LOG = Values("float32", None, 0.0, "log-probability", layout=("batch", "time", "cells"))
_LICENCES = {
    "cityscapes": "Cityscapes: for non-commercial research and education, cityscapes-dataset.com/license",
    "coco": "COCO: annotations CC BY 4.0; the pictures belong to who put them on Flickr, under their licences",
}

# Sec. 5.6, Tab. 8: sub-goals the same as the main one, STSGD, clips of 10 (8 of them in 60 steps), batches of 4.
_CBM_CELL = dict(activation="tanh", initial_gate=0.0)
_TRAINED = {
    "scs": dict(sub_goals="same", switch="stsgd", clip_length=10, learning_rate=2e-4),
    "cbm": dict(switch="cbm", clip_length=10, learning_rate=2e-4),
    "lstm": {},
    "gru": {},
}

_PAPER = dict(steps=60, image_size=(224, 224), grid=28, backbone="vgg16", features=128, head="reference")

_TINY = dict(steps=5, image_size=(32, 32), grid=3, features=2)
_TINY_NETWORKS = {
    "scs": dict(arguments=dict(structure=[4, 3])),
    "cbm": dict(arguments=dict(structure=[4, 3], **_CBM_CELL)),
    "lstm": dict(arguments=dict(filters=[3])),
    "gru": dict(arguments=dict(filters=[3])),
}
_TINY_BACKBONES = {
    "vgg16": dict(backbone_arguments=dict(maps=("block1_conv1",) * 4)),
    "vgg16_bn": dict(backbone_arguments=dict(filters=(2, 2, 2, 2, 2))),
    "small": dict(backbone_arguments=dict(filters=(4, 4, 4, 4))),
}


def _preset(name, summary, paper_row, kind, data, **arguments):
    network = {"lstm": "convlstm", "gru": "convgru"}.get(kind, "scs")
    arguments = {**_PAPER, "network": network, **arguments}
    input_shape, output_shape = shapes(arguments)
    reduced = {**_TINY, **_TINY_NETWORKS[kind], **_TINY_BACKBONES[arguments["backbone"]]}
    if arguments.get("clip_length"):
        reduced["clip_length"] = 3
    return Preset(
        name=name,
        task="outline",
        summary=summary,
        paper_row=paper_row,
        builder=f"{_HERE}.builder:build",
        arguments=arguments,
        shapes=f"{_HERE}.shapes:shapes",
        input_shape=input_shape,
        output_shape=output_shape,
        values="an image and the vertices so far in; log-probabilities of the next vertex's cell, and of the end, out",
        takes=_TAKES,
        gives={"output": _LOG},
        preprocess=f"{_HERE}.pixels:unit",
        postprocess=f"{_HERE}.pixels:unchanged",
        recipe="outline",
        dataset=data,
        folder=FOLDER / "weights",
        reduced=reduced,
        example=f"{_HERE}.example:square",
        data_licence=_LICENCES[data],
    )


def _of_paper():
    """The rows of Tab. 4."""
    for kind, depths in _ROWS.items():
        for depth in depths:
            filters = FILTERS[depth]
            network = {
                "scs": dict(structure=filters, **GAINS),
                "cbm": dict(structure=filters, **_CBM_CELL),
            }.get(kind, dict(filters=filters))
            yield _preset(
                f"polygon_{kind}_outline_{depth}_cityscapes", f"{depth} {_SUMMARIES[kind]} on the features of VGG-16",
                f"Tab. 4, Polyg-{kind.upper()}, {depth} layers", kind, "cityscapes", arguments=network,
                **_TRAINED[kind],
            )  # fmt: skip


# The same number of parameters of the recurrent part, within 10 %, and the same rest.
_SMALL = dict(
    steps=25, image_size=(112, 112), backbone="small", features=32, offsets=True, head="map", auxiliary=1.0, spread=0.7,
    learning_rate=1e-3,
)  # fmt: skip
_SMALL_NETWORKS = {
    "scs": dict(structure=[16, dict(filters=16, layers=8, shortcut_every=2)], normalization="batch"),
    "lstm": dict(filters=[16, 16, 16], normalization="group"),
}

PRESETS = (
    *_of_paper(),
    _preset(
        "polygon_cbm_outline_demo_cityscapes", "the 15 layers of the public demo, on VGG-16 with batch normalisation",
        "none: the public reference's checkpoint", "cbm", "cityscapes",
        arguments=dict(structure=DEMO_FILTERS, **_CBM_CELL), backbone="vgg16_bn", **_TRAINED["cbm"],
    ),
    _preset(
        "polygon_scs_outline_small_coco", "small model of 9 semi-coupled layers", "Tab. 4, Polyg-SCS, at a small scale",
        "scs", "coco", arguments=_SMALL_NETWORKS["scs"], **_SMALL,
    ),
    _preset(
        "polygon_lstm_outline_small_coco",
        "its baseline: ConvLSTM layers, same rest, same parameters of the recurrent part within 10 %",
        "Tab. 4, Polyg-LSTM, at a small scale", "lstm", "coco", arguments=_SMALL_NETWORKS["lstm"], **_SMALL,
    ),
)  # fmt: skip
