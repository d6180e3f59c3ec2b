"""What an exported model answers to: the model's own signatures, and around them those in the preset's own values."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from scs_keras import zoo
from scs_keras.core.signatures import Signature, Spec, output_names, output_of, output_values
from scs_keras.zoo.values import PROBABILITIES, Values

BEST = 5  # labels and scores of so many classes


def served_signatures(model: keras.Model, input_shape: tuple) -> tuple[Signature, ...]:
    """The signatures of a model of the zoo where it is served; the batch axis comes first and is free everywhere.

        serving_default: `frames` to `output` (or the model's `products`), both in the preset's own values
            (`preset.takes` and `preset.gives`). Of classes also `labels` and `scores`, (batch, at most 5), best first.
        model: the same in the model's numbers, float32.
        serve_bytes: `frames_bytes` (batch, time), PNG or JPEG files, of presets that take pictures; else as
            serving_default.

    and of models that see one frame after the other:

        step: `frame`, `state_0`, ... to the outputs of serving_default, `next_state_0`, ...
        initial_state: the first `frame` to `state_0`, ...

    Args:
        model: with its `preset`.
        input_shape: (time, height, width, channels); height and width None where they are free.
    """
    own = {each.name: each for each in zoo.signatures(model, input_shape)}
    found = [_in_values(model, own["model"]), own["model"]]
    if model.preset.takes.dtype == "uint8" and len(own["model"].inputs) == 1 and input_shape[-1] in (1, 3):
        found.append(_of_pictures(found[0]))
    if "step" in own:
        found += [_step_in_values(model, own["step"]), _first_in_values(model, own["initial_state"])]
    return tuple(found)


def values_of(model: Any) -> dict[str, Values]:
    """{name of an output: its `Values`} of serving_default; labels have none."""
    preset = model.preset
    default = PROBABILITIES if preset.labels else preset.takes
    return {name: preset.gives.get(name, default) for name in output_names(model)}


def _in_values(model, whole):
    def serve(*values):
        return _answers(model, whole.function(*_preprocessed(model, whole.inputs, values)))

    return Signature("serving_default", _given(model, whole.inputs), _answer_names(model), serve)


def _step_in_values(model, step):
    names = output_names(model)
    frames = tuple(spec for spec in step.inputs if not spec.name.startswith("state_"))
    states = step.inputs[len(frames) :]

    looks_back = model.preset.takes.looks_back
    held = _given(model, frames) if looks_back else ()  # the frame before is one more state
    kept = tuple(Spec(f"state_{len(states) + index}", spec.shape, spec.dtype) for index, spec in enumerate(held))

    def serve(*values):
        given, before = values[: len(frames)], values[len(frames) + len(states) :]
        seen = _preprocessed(model, frames, given, before)
        made = step.function(*seen, *values[len(frames) : len(frames) + len(states)])
        return *_answers(model, made[: len(names)]), *made[len(names) :], *(given if looks_back else ())

    outputs = (*_answer_names(model), *step.outputs[len(names) :], *(f"next_{spec.name}" for spec in kept))
    return Signature("step", (*_given(model, frames), *states, *kept), outputs, serve)


def _first_in_values(model, first):
    given, context = _given(model, first.inputs), getattr(model, "context", ())
    held = [spec.name not in context for spec in first.inputs] if model.preset.takes.looks_back else []
    kept = [f"state_{len(first.outputs) + index}" for index in range(sum(held))]

    def serve(*values):
        frames = [value for value, each in zip(values, held) if each]  # nothing changed before the first
        return *first.function(*_preprocessed(model, first.inputs, values, ())), *frames

    return Signature("initial_state", given, (*first.outputs, *kept), serve)


def _given(model, specs):
    """The inputs of the sequences, or of one frame each, in the preset's own type."""
    context = getattr(model, "context", ())
    dtype = model.preset.takes.dtype
    return tuple(spec if spec.name in context else Spec(spec.name, spec.shape, dtype) for spec in specs)


def _preprocessed(model, specs, values, before=None):
    """The inputs as the model takes them; of single frames, `before` has those before them, or none is needed."""
    context = getattr(model, "context", ())
    lengthened = {spec.name: value for spec, value in zip(specs, values)}
    one = before is not None
    if one:
        sequences = [name for name in lengthened if name not in context]
        for index, name in enumerate(sequences):
            frames = [*before[index : index + 1], lengthened[name]]
            lengthened[name] = ops.stack(frames, axis=1)
    single = len(lengthened) == 1
    made = model.preset.preprocess(next(iter(lengthened.values())) if single else lengthened)
    named = dict(zip(lengthened, [made])) if single else made
    return [each[:, -1] if one and name not in context else each for name, each in named.items()]


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


def _of_pictures(default):
    """serving_default for PNG and JPEG files."""
    import tensorflow as tf

    time, height, width, channels = default.inputs[0].shape

    def picture(file):
        pixels = tf.io.decode_image(file, channels=channels, expand_animations=False)
        return tf.ensure_shape(pixels, (height, width, channels))

    def serve(files):
        pixels = tf.map_fn(picture, tf.reshape(files, (-1,)), fn_output_signature=tf.uint8)
        size = tf.shape(pixels)[1:]
        frames = tf.reshape(pixels, tf.concat([(-1, time), size], axis=0))
        return default.function(tf.ensure_shape(frames, (None, time, height, width, channels)))

    return Signature("serve_bytes", (Spec("frames_bytes", (time,), "string"),), default.outputs, serve)
