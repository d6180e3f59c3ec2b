"""`build("tau", (10, 64, 64, 1))`: a model of the family by its short name.

Of TAU's Tables 2 to 6 these are the systems of the public benchmark. Not here: systems that the tables quote from other
papers and the benchmark does not have (LMC, Conv-TT-LSTM, MCnet, SAVP, STMFA Net and others), PredNet and DVF,
and Table 6's "Conv Baseline", which has no public definition.
"""

import inspect
from typing import Any

import keras

from scs_keras.core.arguments import check_known
from scs_keras.core.switch import ASTSGD
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.video_prediction.convlstm import ConvLSTM
from scs_keras.zoo.video_prediction.crevnet import CrevNet
from scs_keras.zoo.video_prediction.e3dlstm import E3DLSTM
from scs_keras.zoo.video_prediction.mau import MAU
from scs_keras.zoo.video_prediction.mim import MIM
from scs_keras.zoo.video_prediction.phydnet import PhyDNet
from scs_keras.zoo.video_prediction.predictor import VideoPredictor
from scs_keras.zoo.video_prediction.predrnn import PredRNN, PredRNNpp, PredRNNv2
from scs_keras.zoo.video_prediction.scs import SCSVideo
from scs_keras.zoo.video_prediction.simvp import SimVP

# Short name: (class, hyperparameters that make the variant).
NAMES = {
    "tau": (SimVP, dict(model_type="TAU", alpha=0.1)),
    "simvp": (SimVP, dict(model_type="IncepU")),
    "simvp_gsta": (SimVP, dict(model_type="gSTA")),
    "convlstm": (ConvLSTM, {}),
    "predrnn": (PredRNN, {}),
    "predrnnpp": (PredRNNpp, {}),
    "predrnnv2": (PredRNNv2, {}),
    "mim": (MIM, {}),
    "e3dlstm": (E3DLSTM, {}),
    "mau": (MAU, {}),
    "phydnet": (PhyDNet, {}),
    "crevnet": (CrevNet, {}),
    "scs_video": (SCSVideo, {}),
}

# Keys of the reference's configurations that say what other arguments say; how, from the model's shape and lengths.
_REDUNDANT = {
    "in_shape": lambda shape, length: (shape[0], shape[3], shape[1], shape[2]),  # channels first there
    "pre_seq_length": lambda shape, length: shape[0],
    "aft_seq_length": lambda shape, length: length,
    "total_length": lambda shape, length: shape[0] + length,
}

# Keys of the reference's configurations and constructors that are about training, or about memory alone.
_NOT_OF_THE_MODEL = {
    "method", "device", "epoch", "batch_size", "val_batch_size", "drop_last", "lr", "opt", "sched", "warmup_epoch",
    "warmup_lr", "min_lr", "final_div_factor", "weight_decay", "act_inplace",
}  # fmt: skip


def build(
    name: str,
    input_shape: tuple[int, ...],
    output_length: int | None = None,
    dtype: Any = None,
    **hyperparameters: Any,
) -> VideoPredictor:
    """A model of the family with its weights made, at random initial values.

    Args:
        name: short name, one of `NAMES`.
        input_shape: (time, height, width, channels) of the observed frames.
        output_length: number of frames to predict; as many as are observed by default.
        dtype: policy of all its layers, for example "mixed_bfloat16"; the global one by default.
        **hyperparameters: under the reference's names; what is not given is the published Moving MNIST
            configuration. `output_channels` is an argument of every model. A configuration of the reference may be
            given whole: `in_shape`, `pre_seq_length`, `aft_seq_length` and `total_length` are checked against the
            arguments above (the third gives `output_length` where it is not); what is not of the model (`method`,
            `lr`, `batch_size`, `sched`, `device` and so on) is ignored.

    Raises:
        ValueError: if the name or a hyperparameter is unknown, or a value is not allowed.
    """
    check_known("video model", name, NAMES)
    model_class, variant = NAMES[name]
    output_length = hyperparameters.get("aft_seq_length") if output_length is None else output_length
    hyperparameters = _without_redundant(hyperparameters, tuple(input_shape), output_length)
    if "model_type" in variant and "model_type" in hyperparameters:
        _agree("model_type", hyperparameters.pop("model_type"), variant["model_type"], f"the name {name!r}")
    for key in hyperparameters:
        check_known("hyperparameter", key, hyperparameters_of(model_class))
    with default_dtype(dtype):
        model = model_class(input_shape, output_length, name=name, **{**variant, **hyperparameters})
        if not model.built:
            model.build((None, *model.frames_shape))
    return model


def compiled(
    name: str, input_shape: tuple[int, ...], output_length: int, learning_rate: float, **hyperparameters: Any
) -> VideoPredictor:
    """`build(name, ...)`, compiled with the benchmark's optimiser and loss; SCS with sub-goals also with a switch.

    Args:
        learning_rate: of Adam; the peak of the benchmark's schedule.
    """
    model = build(name, input_shape, output_length, **hyperparameters)
    goals = {}
    if hyperparameters.get("sub_goals"):
        goals = dict(spatial_loss="mse", temporal_loss="mse", switch=ASTSGD())
    model.compile(keras.optimizers.Adam(learning_rate, epsilon=1e-8), loss=model.benchmark_loss(), **goals)
    return model


def argument_names(name: str, **_: Any) -> list[str]:
    """What `compiled` takes for the model of that short name, without what a reference's configuration adds."""
    model_class, _ = NAMES[name]
    return ["input_shape", "output_length", "learning_rate", "dtype", *hyperparameters_of(model_class)]


def hyperparameters_of(model_class):
    """{name: default} of a model class."""
    parameters = inspect.signature(model_class.__init__).parameters.values()
    given = ("self", "input_shape", "output_length")
    named = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in given}
    return {"output_channels": None, **named}


def _without_redundant(hyperparameters, shape, output_length):
    if len(shape) == 4:  # otherwise the model's own check says what is wrong
        for key, value_of in _REDUNDANT.items():
            if key in hyperparameters:
                received = hyperparameters[key]
                received = tuple(received) if isinstance(received, (list, tuple)) else received
                _agree(key, received, value_of(shape, output_length or shape[0]), "input_shape and output_length")
    return {key: value for key, value in hyperparameters.items() if key not in {*_REDUNDANT, *_NOT_OF_THE_MODEL}}


def _agree(key, received, expected, source):
    if str(received).lower() != str(expected).lower():
        raise ValueError(
            f"`{key}` does not agree with {source}, which make it {expected!r}. Received: {key}={received!r}."
        )
