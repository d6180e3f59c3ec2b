"""What `SCSModel.compile` accepts: losses of the goals, the one switch, numbers."""

import keras

from scs_keras.core.arguments import is_count, is_number
from scs_keras.core.heads import loses_state
from scs_keras.core.long_sequence import LTSC
from scs_keras.core.objective import SUB_GOALS
from scs_keras.core.switch import ASTSGD, check_switch


class FunctionLoss(keras.losses.Loss):
    """A loss function such as `keras.losses.mean_squared_error` as a Loss."""

    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)


def inner_optimizer(optimizer):
    """The optimiser that makes the step: the one inside, where a LossScaleOptimizer is around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def steps_between_updates(optimizer):
    """The batches whose gradients the optimiser averages by itself before it moves the weights."""
    return inner_optimizer(optimizer).gradient_accumulation_steps or 1


def as_loss(loss):
    """A Keras loss from its name, config, function or object; None stays None."""
    loss = keras.losses.get(loss)
    return loss if loss is None or isinstance(loss, keras.losses.Loss) else FunctionLoss(loss)


def one_switch(given, cells):
    """The switch of a model: the one given to `compile`, else the one that its SCSCells own; None for none.

    Raises:
        ValueError: if `given` is no switch, or there is more than one.
    """
    owned = {id(cell.switch): cell.switch for cell in cells if cell.switch is not None}
    if check_switch(given) is not None:
        owned.pop(id(given), None)
        if owned:
            names = " and ".join(repr(switch.name) for switch in (given, *owned.values()))
            raise ValueError(
                f"A switch was given twice: to `compile(switch=...)` and to layers. Received: {names}. "
                "Remove `switch=` from the layers or from `compile`."
            )
        return given
    if len(owned) > 1:
        names = ", ".join(repr(switch.name) for switch in owned.values())
        raise ValueError(
            f"The layers of an SCSModel share one switch. Received: {len(owned)} of them, {names}. "
            "Remove `switch=` from the layers and give one to `compile(switch=...)`."
        )
    return next(iter(owned.values()), None)


def check_losses(model, main, sub_losses, switch):
    """Raises ValueError if the main goal, a sub-goal of the model or ASTSGD lacks its loss."""
    if main is None:
        raise ValueError(
            "The model has no loss for its main goal. Received: loss=None. For example: compile(loss='mse')."
        )
    for name, loss in sub_losses.items():
        if loss is None and (model.goals[name] is not None or model.sub_heads[name] is not None):
            raise ValueError(
                f"The model has a {name} goal but no loss for it. Received: {name}_loss=None. "
                f"Give compile({name}_loss='mse'), or build the model without {name}_goal and {name}_head."
            )
    if isinstance(switch, ASTSGD) and sub_losses["spatial"] is None:
        raise ValueError(
            "ASTSGD sets q from the spatial loss L_s (Eq. 20), but there is none. Received: "
            "spatial_loss=None. Give compile(spatial_loss=...) or use STSGD."
        )


def check_long_sequence(model, long_sequence):
    """Raises ValueError if it is neither an LTSC nor None, or the model's sequences cannot be cut into clips."""
    if long_sequence is None:
        return
    if not isinstance(long_sequence, LTSC):
        raise ValueError(
            "`long_sequence` must be an LTSC or None. "
            f"Received: long_sequence={long_sequence!r}. For example: long_sequence=LTSC(length=10)."
        )
    if not model.can_be_cut:
        raise ValueError(
            "LTSC cuts a sequence and its targets into clips, which takes a model with one output for each input "
            f"frame; {type(model).__name__} forecasts the frames after its inputs. Allowed: long_sequence=None. "
            f"Received: long_sequence=LTSC(length={long_sequence.length}). Leave `long_sequence` out of `compile`."
        )
    for head in (model.head, *model.sub_heads.values()):
        if loses_state(head):
            raise ValueError(
                "LTSC hands the state of a head on from clip to clip, which takes one that gives it out. Received: a "
                f"recurrent layer inside {head.name!r}, {type(head).__name__}. Write the head as "
                "RecurrentHead(keras.layers.LSTM(...), before=..., after=...)."
            )


def check_compile_arguments(accumulate_steps, clip, loss_weights):
    """Raises ValueError if one of them is of another kind or out of range."""
    if not is_count(accumulate_steps):
        raise ValueError(
            f"`accumulate_steps` must be a positive integer. Received: accumulate_steps={accumulate_steps!r}."
        )
    if clip is not None and not (is_number(clip) and clip > 0):
        raise ValueError(f"`clip` must be positive or None. Received: clip={clip!r}.")
    unknown = set(loss_weights or {}) - {"main", *SUB_GOALS}
    if unknown:
        raise ValueError(f"`loss_weights` may name 'main', 'spatial' and 'temporal'. Received: {sorted(unknown)}.")
