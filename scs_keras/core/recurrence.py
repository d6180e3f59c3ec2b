"""The loop over time, on time-major tensors: everything that cannot be done for all steps at once."""

import functools

from keras import ops

from scs_keras.core.keras_private import rnn_loop


def iterate(step, inputs, state, mask=None, unroll=True):
    """Runs `output, state = step(input, state)` over the first axis of `inputs`.

    Args:
        step: function of one time step's input and the state.
        inputs: tensor (time, batch, ...).
        state: tensor (batch, ...).
        mask: boolean tensor (time, batch) or None; where it is False the state stays as it was.
        unroll: one copy of the step for each time step (a static number of them), or a loop in the graph.

    Returns:
        outputs, a tensor (time, batch, ...), and the final state.
    """
    if mask is not None:
        mask = ops.reshape(mask, (*ops.shape(mask), *(1,) * (len(inputs.shape) - 2)))

    def masked_step(value, state, open_):
        output, new_state = step(value, state)
        return output, new_state if open_ is None else ops.where(open_, new_state, state)

    if not unroll:
        return _loop(masked_step, inputs, state, mask)
    masks = [None] * inputs.shape[0] if mask is None else ops.unstack(mask)
    outputs = []
    for value, open_ in zip(ops.unstack(inputs), masks):
        output, state = masked_step(value, state, open_)
        outputs.append(output)
    return ops.stack(outputs), state


def _loop(step, inputs, state, mask):
    sequences = (inputs,) if mask is None else (inputs, mask)

    def rnn_step(values, states):
        output, new_state = step(values[0], states[0], values[1] if mask is not None else None)
        return output, [new_state]

    length = inputs.shape[0] or 2**31 - 1  # an upper bound: the loop ends with the sequence
    outputs, states = rnn_loop(rnn_step, sequences, [state], length)
    return outputs, states[0]


def frame_mask(mask):
    """(batch, time) of a mask with more axes, as `keras.layers.Masking` makes of images: a frame counts if any pixel
    of it does. None stays None."""
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    return ops.any(mask, axis=tuple(range(2, len(mask.shape)))) if len(mask.shape) > 2 else mask


def sequence_mask(mask):
    """`frame_mask` of the mask of one sequence, or of a dict of those of several: a frame counts if it does in all."""
    if not isinstance(mask, dict):
        return frame_mask(mask)
    masks = [frame_mask(each) for each in mask.values() if each is not None]
    return functools.reduce(ops.logical_and, masks) if masks else None


def hold_last(outputs, mask):
    """Outputs of masked steps replaced by that of the last unmasked one, zeros before the first (as Keras does).

    Args:
        outputs: (time, batch, ...); mask: boolean (time, batch).
    """
    steps = ops.arange(ops.shape(outputs)[0])
    earlier = ops.expand_dims(steps[:, None] >= steps[None, :], -1)  # (time, time, 1)
    seen = ops.where(ops.logical_and(earlier, mask[None]), steps[None, :, None], -1)
    last = ops.reshape(ops.max(seen, axis=1), (*ops.shape(mask), *(1,) * (len(outputs.shape) - 2)))
    held = ops.take_along_axis(outputs, ops.maximum(last, 0), axis=0)
    return ops.where(last >= 0, held, ops.zeros_like(held))
