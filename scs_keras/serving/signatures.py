"""What an exported model answers to: the model's own signatures, and around them those in the preset's own values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from scs_keras import zoo
from scs_keras.core.analysis import has_same_goals
from scs_keras.core.layer import swap_time_and_batch
from scs_keras.core.model import SCSModel
from scs_keras.core.objective import SUB_GOALS
from scs_keras.core.signatures import Signature, Spec, output_names, output_of, output_values
from scs_keras.zoo.values import PROBABILITIES, Values

BEST = 5  # labels and scores of so many classes


def served_signatures(model: keras.Model, input_shape: tuple | dict) -> tuple[Signature, ...]:
    """The signatures of a model of the zoo where it is served; the batch axis comes first and is free everywhere.

        serving_default: `frames` to `output` (or the model's `products`), both in the preset's own values
            (`preset.takes` and `preset.gives`). Of classes also `labels` and `scores`, (batch, at most 5), best first.
        model: the same in the model's numbers, float32.
        serve_bytes: `frames_bytes` (batch, time), PNG or JPEG files, of presets that take pictures; else as
            serving_default.

    of models that see one frame after the other:

        step: `frame`, `state_0`, ... to the outputs of serving_default, `next_state_0`, ...
        initial_state: the first `frame` to `state_0`, ...

    and of models of semi-coupled layers:

        explain: `frames` to `h_s_0`, `h_t_0`, ..., what the branches of each layer give to F, the mean over their
            channels, (batch, time, height, width) of that layer; and where T1 and T2 have learnt the main goal
            `importance`, T2 less T1 of every frame, in the model's numbers.

    Of several inputs each has its own name, with `_bytes` where it is files; those that hold for a whole sequence go to
    `initial_state`, not to `step`.

    Args:
        model: with its `preset`.
        input_shape: (time, height, width, channels), height and width None where they are free; or {name: shape}.
    """
    own = {each.name: _whole_numbers_kept(model, each) for each in zoo.signatures(model, input_shape)}
    whole = own["model"]
    found = [_in_values(model, whole), whole]
    if any(_is_picture(model, spec) for spec in whole.inputs):
        found.append(_of_pictures(model, found[0]))
    if "step" in own:
        found += [_step_in_values(model, own["step"]), _first_in_values(model, own["initial_state"])]
    if isinstance(model, SCSModel) and getattr(model.network, "scs_layers", ()):
        found.append(_explained(model, whole, isinstance(input_shape, dict)))
    return tuple(found)


def values_of(model: Any) -> dict[str, Values]:
    """{name of an output: its `Values`} of serving_default; labels have none."""
    preset = model.preset
    default = preset.takes if isinstance(preset.takes, Values) else Values()
    default = PROBABILITIES if preset.labels else default
    return {name: preset.gives.get(name, default) for name in output_names(model)}


def taken(model: Any, name: str) -> Values:
    """What the input of that name takes in the preset's own values."""
    takes = model.preset.takes
    return takes if isinstance(takes, Values) else takes[name]


def _whole_numbers_kept(model, signature):
    """The model's own signature, whose inputs are float32 unless they are whole numbers to the model too."""
    kept = tuple(
        replace(spec, dtype="int32")
        if not spec.name.startswith("state_") and taken(model, spec.name).dtype == "int32"
        else spec
        for spec in signature.inputs
    )
    return replace(signature, inputs=kept)


def _in_values(model, whole):
    def serve(*values):
        return _answers(model, whole.function(*_preprocessed(model, whole.inputs, values)))

    return Signature("serving_default", _given(model, whole.inputs), _answer_names(model), serve)


def _step_in_values(model, step):
    names = output_names(model)
    frames = tuple(spec for spec in step.inputs if not spec.name.startswith("state_"))
    states = step.inputs[len(frames) :]
    given = _given(model, frames)
    back = [index for index, spec in enumerate(frames) if taken(model, spec.name).looks_back]
    # The frame before is one more state.
    kept = tuple(replace(given[at], name=f"state_{len(states) + index}") for index, at in enumerate(back))

    def serve(*values):
        seen, before = values[: len(frames)], values[len(frames) + len(states) :]
        ready = _preprocessed(model, frames, seen, {frames[at].name: each for at, each in zip(back, before)})
        made = step.function(*ready, *values[len(frames) : len(frames) + len(states)])
        return *_answers(model, made[: len(names)]), *made[len(names) :], *(seen[at] for at in back)

    outputs = (*_answer_names(model), *step.outputs[len(names) :], *(f"next_{spec.name}" for spec in kept))
    return Signature("step", (*given, *states, *kept), outputs, serve)


def _first_in_values(model, first):
    context = getattr(model, "context", ())
    back = [taken(model, spec.name).looks_back and spec.name not in context for spec in first.inputs]
    kept = [f"state_{len(first.outputs) + index}" for index in range(sum(back))]

    def serve(*values):
        frames = [value for value, each in zip(values, back) if each]  # nothing changed before the first
        return *first.function(*_preprocessed(model, first.inputs, values, {})), *frames

    return Signature("initial_state", _given(model, first.inputs), (*first.outputs, *kept), serve)


def _explained(model, whole, several):
    layers = range(len(model.network.scs_layers))
    names = [f"{branch}_{index}" for index in layers for branch in ("h_s", "h_t")]
    importance = ("importance",) if has_same_goals(model) else ()

    def serve(*values):
        ready = _preprocessed(model, whole.inputs, values)
        x = dict(zip((spec.name for spec in whole.inputs), ready)) if several else ready[0]
        branches = model.network.branches(model.seen_by_network(x))
        maps = [ops.mean(swap_time_and_batch(each), axis=-1) for pair in branches for each in pair]
        if importance:
            made = model(x, stream=SUB_GOALS, training=False, return_sequences=True)
            maps.append(made["temporal"] - made["spatial"])
        return maps

    return Signature("explain", _given(model, whole.inputs), (*names, *importance), serve)


def _given(model, specs):
    """The inputs in the preset's own type."""
    return tuple(replace(spec, dtype=taken(model, spec.name).dtype) for spec in specs)


def _preprocessed(model, specs, values, before=None):
    """The inputs as the model takes them; of single frames, `before` has by name those before them that are needed."""
    context = getattr(model, "context", ())
    given, one = {spec.name: value for spec, value in zip(specs, values)}, before is not None
    if one:
        for name in (name for name in given if name not in context):
            given[name] = ops.stack([*([before[name]] if name in before else []), given[name]], axis=1)
    single = isinstance(model.preset.takes, Values) and len(given) == 1
    made = model.preset.preprocess(next(iter(given.values())) if single else given)
    named = dict(zip(given, [made])) if single else made
    return [named[name][:, -1] if one and name not in context else named[name] for name in given]


# What comes out ---------------------------------------------------------------------------------------------------


def _answer_names(model):
    return (*output_names(model), *(("labels", "scores") if model.preset.labels else ()))


def _answers(model, outputs: Sequence) -> tuple:
    """In the preset's own values, and of classes the best with their labels."""
    labels = model.preset.labels
    made = output_values(model, model.preset.postprocess(output_of(model, list(outputs))))
    if not labels:
        return made
    import tensorflow as tf

    scores, best = ops.top_k(made[0], min(BEST, len(labels)))
    return *made, tf.gather(tf.constant(labels), best), scores


def _is_picture(model, spec):
    return taken(model, spec.name).dtype == "uint8" and len(spec.shape) >= 3 and spec.shape[-1] in (1, 3)


def _of_pictures(model, default):
    """serving_default for PNG and JPEG files."""
    files = [_is_picture(model, spec) for spec in default.inputs]
    inputs = tuple(
        Spec(f"{spec.name}_bytes", spec.shape[:-3], "string") if each else spec
        for spec, each in zip(default.inputs, files)
    )

    def serve(*values):
        read = [_decoded(*both) if each else both[0] for both, each in zip(zip(values, default.inputs), files)]
        return default.function(*read)

    return Signature("serve_bytes", inputs, default.outputs, serve)


def _decoded(files, spec):
    """The pictures of files (batch, *before) as pixels (batch, *before, height, width, channels)."""
    import tensorflow as tf

    *before, height, width, channels = spec.shape

    def picture(file):
        pixels = tf.io.decode_image(file, channels=channels, expand_animations=False)
        return tf.ensure_shape(pixels, (height, width, channels))

    pixels = tf.map_fn(picture, tf.reshape(files, (-1,)), fn_output_signature=tf.uint8)
    frames = tf.reshape(pixels, tf.concat([(-1, *before), tf.shape(pixels)[1:]], axis=0))
    return tf.ensure_shape(frames, (None, *spec.shape))
