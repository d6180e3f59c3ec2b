"""Does an export give the model's numbers? Whole clips and streams, in the model's range and in the preset's values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scs_keras.core.inputs import named
from scs_keras.core.signatures import Signature, output_of, output_values
from scs_keras.serving.saved_model import as_served
from scs_keras.serving.signatures import taken, values_of
from scs_keras.zoo.values import Values

ABSOLUTE = 1e-5  # of the model's range where it is known, else absolute and, beyond 1 as of logarithms, of the value
OF_NOISE = 1e-4  # likewise, of white noise: what warps images finds no flow in it
RELATIVE = 2e-4  # in the preset's own floating point: of the value, or of `SMALLEST` where it is less
SMALLEST = 0.1  # of the range of the values, or without one 0.1 of their unit, as 0.1 mm/h
STEPS = 1  # of 256, of pixels

Run = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """Inputs of one signature, what the model makes of them, and how far an export may be off."""

    name: str
    signature: str
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    allowed: float
    values: dict[str, Values]  # in which the outputs are compared


class Reference:
    """What the Keras model gives: for the golden input and smooth moving frames, batches of 1 and 3, and for noise.

    Args:
        model: of the zoo.
        signatures: of `served_signatures`.
        shape: (time, height, width, channels) of the frames, or {name: shape} of several inputs.
    """

    def __init__(self, model: Any, signatures: Iterable[Signature], shape: Any):
        self.model, self.signatures = model, {each.name: each for each in signatures}
        self.values, preset = values_of(model), model.preset
        several, shapes = isinstance(shape, dict), named(shape)
        self.sequences = [name for name in shapes if name not in (model.context if several else ())]
        self.time = shapes[self.sequences[0]][0]
        given = {name: _golden_and_moving(preset, name, taken(model, name), each) for name, each in shapes.items()}
        if _takes_nan(preset):
            given["frames"][1, 0, :2] = np.nan
        scaled = preset.preprocess(given if several else given["frames"])
        unchanged = preset.postprocess(scaled) is scaled  # the model's own numbers have the range of the preset's
        limits = {} if unchanged else dict(low=None, high=None)
        scaled = {name: np.asarray(each) for name, each in named(scaled).items()}
        noise = {name: _noise(each) for name, each in scaled.items()}
        in_range = {
            name: replace(each, dtype="float32", gap=_scaled_gap(preset, each), **limits)
            for name, each in self.values.items()
        }
        self.cases = [
            self._case("model", "model", scaled, ABSOLUTE, in_range),
            self._case("model of noise", "model", noise, OF_NOISE, in_range),
            self._case("serving_default", "serving_default", given, RELATIVE, self.values),
        ]
        if "explain" in self.signatures:
            maps = dict.fromkeys(self.signatures["explain"].outputs, Values())
            self.cases.append(self._case("explain", "explain", given, RELATIVE, maps))
        moving = {name: moving_input(preset, name, taken(model, name), each, 3) for name, each in shapes.items()}
        self.stream = moving | {name: self._twice(moving[name], name, shapes[name]) for name in self.sequences}
        self.streamed = self.stream_of(self.run) if "step" in self.signatures else []

    def _twice(self, moving, name, shape):
        """A sequence of twice the length."""
        values = taken(self.model, name)
        if values.dtype == "int32":
            return np.concatenate([moving, moving], axis=1)
        return moving_frames(values, (3, 2 * shape[0], *shape[1:]))

    def _case(self, name, signature, inputs, allowed, values):
        return Case(name, signature, inputs, self.run(signature, inputs), allowed, values)

    def run(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model itself, as `saved_model_runner` runs an export."""
        import keras

        signature = self.signatures[name]
        made = signature.function(*(keras.ops.convert_to_tensor(inputs[spec.name]) for spec in signature.inputs))
        return dict(zip(signature.outputs, (np.asarray(as_served(each)) for each in made)))

    def clip(self, batch: int) -> dict[str, np.ndarray]:
        """The beginning of the streams as whole sequences, inputs of serving_default."""
        return {
            name: each[:batch, : self.time] if name in self.sequences else each[:batch]
            for name, each in self.stream.items()
        }

    def frame(self, batch: int, time: int) -> dict[str, np.ndarray]:
        """One frame of the streams, inputs of `step` beside the states."""
        frame = {name: self.stream[name][:batch, time] for name in self.sequences}
        return {"frame": frame["frames"]} if list(frame) == ["frames"] else frame

    def first_state(self, run: Run, batch: int) -> Mapping[str, np.ndarray]:
        """What `initial_state` gives."""
        whole = {name: each[:batch] for name, each in self.stream.items() if name not in self.sequences}
        return run("initial_state", {**self.frame(batch, 0), **whole})

    def stream_of(self, run: Run, batch: int = 3) -> list[dict[str, np.ndarray]]:
        """The outputs of `step` for twice the clip, frame after frame."""
        state, outputs = self.first_state(run, batch), []
        for time in range(2 * self.time):
            made = run("step", {**self.frame(batch, time), **state})
            state = {name.removeprefix("next_"): each for name, each in made.items() if name.startswith("next_")}
            outputs.append({name: made[name] for name in self.values})
        return outputs

    # Comparison -----------------------------------------------------------------------------------

    def compare(self, run: Run, what: str) -> dict[str, dict[str, dict[str, float]]]:
        """{case: {output: {measure: value}}}, the largest of each, see `differences`.

        Args:
            run: the export.
            what: it is, for the message.

        Raises:
            ValueError: it does not give the model's numbers.
        """
        found: dict = {}
        for case in self.cases:
            for part in (slice(0, 1), slice(1, None)):  # batches of 1 and the rest
                made = run(case.signature, {name: each[part] for name, each in case.inputs.items()})
                for name, values in case.values.items():
                    measured = differences(made[name], case.expected[name][part], values, case.allowed)
                    _collect(found, case.name, name, measured, what)
        if "step" in self.signatures:
            self._compare_streams(run, found, what)
        return {signature: {name: dict(each) for name, each in by.items()} for signature, by in found.items()}

    def _compare_streams(self, run, found, what):
        for batch in (1, 3):
            made = self.stream_of(run, batch)
            for step, expected in zip(made, self.streamed):
                for name, values in self.values.items():
                    measured = differences(step[name], expected[name][:batch], values, RELATIVE)
                    _collect(found, "step", name, measured, what)
        whole = run("serving_default", self.clip(3))
        seen = [output_of(self.model, list(step.values())) for step in made[: self.time]]
        last = output_values(self.model, self.model.reduce_outputs(_stacked(seen)))
        for name, of_stream in zip(self.values, last):
            values = self.values[name]
            _collect(found, "step", name, differences(np.asarray(of_stream), whole[name], values, RELATIVE), what)


def _stacked(steps):
    import keras

    return keras.tree.map_structure(lambda *each: keras.ops.stack(each, axis=1), *steps)


def _collect(found, signature, name, measured, what):
    """Keeps the largest of each measure; raises ValueError for a difference that is too large."""
    if not measured["difference"] <= measured["allowed"]:
        raise ValueError(
            f"The {what} does not give the model's numbers: {name} of {signature} is off by "
            f"{measured['difference']:.2g}. Allowed: {measured['allowed']:g}. It was not kept."
        )
    kept = found.setdefault(signature, {}).setdefault(name, {})
    for measure, value in measured.items():
        kept[measure] = max(kept.get(measure, 0.0), value)


def differences(found: Any, expected: Any, values: Values, allowed: float) -> dict[str, float]:
    """How far an output is off.

    Args:
        found, expected: arrays.
        values: what they are.
        allowed: for floating point: `RELATIVE` means a relative difference, else it is of the range of the values, or
            without one absolute, and relative to values beyond 1, whose digits are fewer.

    Returns:
        difference: the largest: of pixels in steps; of floating point as `allowed` says, relative to the larger of the
            value and `SMALLEST`; of a ranked image of its sorted values.
        allowed: the largest that passes.
        flipped: share of values that are 0 in one and at most `values.gap` in the other, which is left out before.
        moved: of a ranked image the share of pixels that have another value.
    """
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    if found.shape != expected.shape:
        return dict(difference=np.inf, allowed=allowed)
    if values.dtype == "uint8":
        return dict(difference=_largest(np.abs(found - expected)), allowed=STEPS)
    scale = _scale(expected, values, allowed)
    if values.ranked:
        moved = float(np.mean(np.abs(found - expected) / scale > allowed))
        images = (*expected.shape[:2], -1)
        found, expected = (np.sort(each.reshape(images), axis=-1) for each in (found, expected))
        scale = _scale(expected, values, allowed)
        return dict(difference=_largest(np.abs(found - expected) / scale), allowed=allowed, moved=moved)
    flips = ((found == 0) != (expected == 0)) & (np.maximum(found, expected) <= values.gap)
    difference = np.where(flips, 0.0, np.abs(found - expected) / scale)
    return dict(
        difference=_largest(difference), allowed=allowed, **(dict(flipped=float(flips.mean())) if values.gap else {})
    )


def _scale(expected, values, allowed):
    """What a difference is divided by."""
    limited = values.low is not None and values.high is not None
    size = values.high - values.low if limited else 1.0
    if allowed == RELATIVE:
        return np.maximum(np.abs(expected), SMALLEST * size)
    return size if limited else np.maximum(np.abs(expected), size)


def _largest(values):
    return float(values.max()) if np.isfinite(values).all() else np.inf


# Inputs -----------------------------------------------------------------------------------------------------------


def moving_frames(values: Values, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth blobs that move, (batch, time, height, width, channels), in the range of the values."""
    batch, time, height, width, channels = shape
    sample, t, y, x, channel = np.ogrid[:batch, :time, :height, :width, :channels]
    phase = 0.7 * sample + 0.5 * channel
    rows, columns = (y / height - 0.2 * np.sin(phase) - 0.02 * t), (x / width - 0.2 * np.cos(phase) + 0.03 * t)
    field = 0.5 + 0.5 * np.sin(9.0 * rows + phase) * np.cos(11.0 * columns)
    if values.high is None:  # most of it weak, as rain is
        field = np.maximum(30.0 * (field**3 - 0.1), values.low or 0.0) if values.low is not None else field
    else:
        field = values.low + (values.high - values.low) * field
    return np.broadcast_to(field, shape).astype(values.dtype)


def _noise(scaled):
    """White noise of the shape of two samples; whole numbers as they are."""
    if scaled.dtype.kind != "f":
        return scaled[:2]
    return np.random.default_rng(0).random((2, *scaled.shape[1:]), "float32")


def _golden_and_moving(preset, name, values, shape):
    golden = _golden(preset, name, values, shape)
    return np.concatenate([golden, moving_input(preset, name, values, shape, 3)])


def moving_input(preset: Any, name: str, values: Values, shape: tuple[int, ...], batch: int) -> np.ndarray:
    """An input of that shape and name: moving frames, or a picture of them; whole numbers are those of the example."""
    if values.dtype == "int32":
        return np.repeat(np.asarray(preset.make_example()[name], "int32"), batch, axis=0)
    frames = moving_frames(values, (batch, *(1,) * (4 - len(shape)), *shape))
    return frames.reshape((batch, *shape))


def _golden(preset, name, values, shape):
    """The preset's example in its own values, as large as the frames; of models that give no frames, another."""
    if len(preset.output_shape) < 3 or not isinstance(preset.takes, Values):
        return moving_input(preset, name, values, shape, 1)
    example = np.asarray(preset.postprocess(preset.make_example()), values.dtype)[:, : shape[0]]
    missing = [(0, max(size - given, 0)) for size, given in zip((1, *shape), example.shape)]
    example = np.pad(example, missing, mode="symmetric")
    return example[:, :, : shape[1], : shape[2]]


def _takes_nan(preset):
    takes, nothing = preset.takes, np.full((1,) * 5, np.nan, "float32")
    radar = isinstance(takes, Values) and takes.dtype == "float32" and takes.high is None
    return radar and bool(np.isfinite(preset.preprocess(nothing)).all())


def _scaled_gap(preset, values):
    return float(preset.preprocess(np.float32(values.gap))) if values.gap else 0.0
