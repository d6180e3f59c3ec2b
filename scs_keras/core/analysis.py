"""What a network has to learn through, and what it learnt: chains of back-propagation, importance of time."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor, is_integer
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.model import SCSModel
from scs_keras.core.objective import SUB_GOALS
from scs_keras.core.switch import check_probability


def expected_chains(layers: int, steps: int, p: float | tuple[float, float]) -> np.ndarray:
    """Expected number of back-propagation chains by length (Sec. 5.2, Fig. 3).

    A chain leads from the output of layer n at time T down to the network's input at any time. It crosses
    every layer l once, from u_t^l to u_{t-r}^{l-1}:

        by the spatial path h_s, at one time step (r = 0), or
        by the temporal path h_t, r >= 0 steps back along the layer's own recurrence, then down.

    Its length is the number of edges: one for each layer crossed and one for each step back in time, from
    n to n + T - 1. STSGD never closes the recurrence (c_{t-1} to c_t), only a branch's way down to the layer
    below, with a draw of its own for each layer, time step and branch. A chain crosses each layer once, so
    its draws are independent and it is open with probability (1 - p_s)^(spatial crossings)
    (1 - p_t)^(temporal crossings): equal probabilities p shrink every length by (1 - p)^n, a larger p_t
    shrinks the long chains most. `keep_one` and `unbiased` are not considered.

    Args:
        layers: n, a positive integer.
        steps: T, the number of time steps, a positive integer.
        p: probability that a branch is closed, in [0, 1], or the pair (p_s, p_t); 0 counts all chains.

    Returns:
        float64 array (layers + steps,), indexed by length: element k is the expected number of chains of
        k edges, 0 below `layers`. Exact while the counts stay below 2^53, rounded above.

    Raises:
        ValueError: if an argument is outside these ranges.
    """
    layers, steps = _positive_integer("layers", layers), _positive_integer("steps", steps)
    open_spatial, open_temporal = (1.0 - each for each in _pair(p))
    crossing = np.full(steps, open_temporal)  # one layer's ways down by steps back in time
    crossing[0] += open_spatial
    chains = np.ones(1)
    for _ in range(layers):
        chains = np.convolve(chains, crossing)[:steps]  # no chain leaves the sequence
    return np.concatenate([np.zeros(layers), chains])


def temporal_importance(
    model: Any, x: Tensor, y: Tensor, score: Callable, batch_size: int = 32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much temporal information matters for the main goal, sample by sample (Sec. 5.7, Tab. 6).

    The spatial stream T1 and the temporal stream T2 of a model whose sub-goals are the main goal solve the
    same task, one from single frames, the other through the recurrence; the difference of their scores
    says what time adds.

    Args:
        model: an `SCSModel` trained with `spatial_loss` and `temporal_loss`, without `spatial_goal` and
            `temporal_goal`: r_s and r_t are g.
        x: frames, array (samples, time, height, width, channels).
        y: targets of the main goal, array (samples, ...).
        score: function (targets, outputs) of two arrays (batch, ...) to an array (batch, ...) whose other
            axes are averaged; the larger the better, for example minus the absolute error.
        batch_size: samples evaluated at once, a positive integer.

    Returns:
        (spatial, temporal, difference): float64 arrays (samples,), the scores of T1 and of T2, and T2 - T1.

    Raises:
        ValueError: if the model's sub-goals are not the main goal or were not trained, x and y differ in
            length or are empty, or the score is not one for each sample.
    """
    _check_goals(model)
    batch_size = _positive_integer("batch_size", batch_size)
    if not len(x) or len(x) != len(y):
        raise ValueError(
            f"`x` and `y` must hold the same samples, at least one. Received: len(x)={len(x)}, len(y)={len(y)}."
        )
    scores = {name: [] for name in SUB_GOALS}
    for start in range(0, len(x), batch_size):
        frames, targets = x[start : start + batch_size], y[start : start + batch_size]
        for name in SUB_GOALS:
            outputs = ops.cast(model(frames, stream=name, training=False), "float32")
            scores[name].append(_sample_scores(score, targets, ops.convert_to_numpy(outputs)))
    spatial, temporal = (np.concatenate(scores[name]) for name in SUB_GOALS)
    return spatial, temporal, temporal - spatial


def branch_maps(model: Any, x: Tensor, layer: int = -1) -> dict[str, np.ndarray]:
    """Feature maps of the branches of one semi-coupled layer, of every frame (Fig. 2b, 4a).

    Args:
        model: an `SCSModel` on an `SCSNetwork`.
        x: its inputs.
        layer: place of the layer in the network; -1 is the last.

    Returns:
        {"h_s": relu(s_t), "h_t": sigmoid(c_t), "F": their product}, float32 arrays (batch, time, height, width,
        filters) of the main stream at inference.

    Raises:
        ValueError: if the model's network has no semi-coupled layers, or not that one.
    """
    layers = getattr(getattr(model, "network", None), "scs_layers", [])
    if not is_integer(layer) or not -len(layers) <= layer < len(layers):
        raise ValueError(
            "`branch_maps` looks at a semi-coupled layer of an SCSModel's SCSNetwork. Allowed: layer -1 (the last) or "
            f"0 to {len(layers) - 1}. Received: layer={layer!r} of {type(model).__name__} with {len(layers)} of them."
        )
    spatial, temporal = map(swap_time_and_batch, model.network.branches(model.seen_by_network(x))[layer])
    maps = {"h_s": spatial, "h_t": temporal, "F": spatial * temporal}
    return {name: ops.convert_to_numpy(ops.cast(each, "float32")) for name, each in maps.items()}


def has_same_goals(model: SCSModel) -> bool:
    """Whether T1 and T2 of a compiled model are trained on the main goal, so that T2 - T1 says what time adds."""
    return all(model.goals[name] is None and name in model.objective.sub_losses for name in SUB_GOALS)


def _check_goals(model):
    if not isinstance(model, SCSModel):
        raise ValueError(
            "`temporal_importance` compares the streams of an SCSModel. "
            f"Received: {type(model).__name__}. Wrap the network: SCSModel(network, head)."
        )
    others = [name for name in SUB_GOALS if model.goals[name] is not None]
    if others:
        raise ValueError(
            "The importance of time is the difference of T2 and T1 on one and the same task, so both "
            f"sub-goals must be the main goal. Received: a model with {' and '.join(others)} goals of its "
            "own. Train SCSModel(network, head) without spatial_goal and temporal_goal."
        )
    untrained = [name for name in SUB_GOALS if name not in model.objective.sub_losses]
    if model.compiled and untrained:
        raise ValueError(
            "Both sub-goals must be trained for their scores to mean something. "
            f"Received: a model compiled without {' and '.join(f'{name}_loss' for name in untrained)}. "
            "Train with compile(loss=..., spatial_loss=..., temporal_loss=...)."
        )


def _sample_scores(score, targets, outputs):
    """One score for each sample of a batch, (batch,)."""
    scores = np.asarray(ops.convert_to_numpy(score(targets, outputs)), "float64")
    if scores.ndim == 0 or len(scores) != len(outputs):
        raise ValueError(
            "`score` must keep the samples apart and return an array (batch, ...). Received: shape "
            f"{scores.shape} for a batch of {len(outputs)}. For example: "
            "score=lambda targets, outputs: -abs(targets - outputs)."
        )
    return scores.reshape(len(scores), -1).mean(axis=1)


def _positive_integer(name, value):
    try:
        integer = operator.index(value)
    except TypeError:
        integer = 0
    if integer < 1 or isinstance(value, bool):
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}. For example: {name}=8.")
    return integer


def _pair(p):
    """(p_s, p_t) from one probability or two."""
    if not isinstance(p, (tuple, list)):
        return (check_probability("p", p),) * 2
    if len(p) != 2:
        raise ValueError(
            f"`p` must be one probability or the pair (p_s, p_t). Received: p={p!r}. For example: p=(0.0, 0.5)."
        )
    return check_probability("p[0]", p[0]), check_probability("p[1]", p[1])
