"""The base of all video models: shapes, lengths, their checks, and the names of the reference's (OpenSTL's) weights."""

import inspect

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import check_counts, check_sequence, is_count
from scs_keras.core.empty import RefusesEmpty
from scs_keras.core.frozen import KeepsFrozen
from scs_keras.zoo.default_dtype import default_dtype
from scs_keras.zoo.knows_preset import KnowsPreset
from scs_keras.zoo.output_length import OutputLength


class VideoPredictor(KnowsPreset, OutputLength, RefusesEmpty, KeepsFrozen, keras.Model):
    """Observed frames to future frames: the base of every model of this folder.

    A subclass lists its hyperparameters as keyword arguments of `__init__` and keeps each as an attribute
    of the same name; that is all `get_config` and `build.build` need. It makes its weights in `__init__` or
    `build`, without a forward pass.

    Args:
        input_shape: (time, height, width, channels) of the observed frames; kept as `frames_shape`, and the
            first as `input_length`.
        output_length: number of frames to predict, the input's by default. May be changed at any time
            (`model.output_length = 20`): the weights do not depend on it.
        output_channels: channels of a predicted frame, the input's by default.
        frame_multiple: height and width must be multiples of this, because of strides or patches.
        minimum_frames: smallest number of observed frames.

    Call arguments:
        frames: (batch, time, height, width, channels), usually in [0, 1].
        training: whether this is training.

    Output shape: (batch, output_length, height, width, output_channels), float32.

    Raises:
        ValueError: if frames have another rank, length or number of channels, or a size the strides cannot take.
    """

    dead_weights = ()  # names of the reference's parameters that no forward pass uses; here they do not train

    def __init__(
        self, input_shape, output_length=None, output_channels=None, *, frame_multiple=1, minimum_frames=1, **kwargs
    ):
        super().__init__(**kwargs)
        shape = tuple(input_shape)
        if len(shape) != 4 or not all(is_count(size) for size in shape):
            raise ValueError(
                "`input_shape` is (time, height, width, channels) of one sample, four whole numbers of at least 1, "
                f"for example (10, 64, 64, 1). Received: input_shape={shape}."
            )
        if shape[0] < minimum_frames:
            raise ValueError(
                f"{type(self).__name__} needs at least {minimum_frames} observed frames. Received: {shape[0]}, "
                f"input_shape={shape}."
            )
        if output_channels is not None:
            check_counts(output_channels=output_channels)
        self.frame_multiple = frame_multiple
        self.frames_shape = shape
        self.input_length = shape[0]
        self.output_length = shape[0] if output_length is None else output_length
        self.output_channels = output_channels or shape[-1]
        self._check_size(*shape[1:3])

    def _check_size(self, height, width):
        multiple = self.frame_multiple
        if any(size is not None and size % multiple for size in (height, width)):
            nearest = [sorted({max(size // multiple, 1), -(-size // multiple)}) for size in (height, width)]
            raise ValueError(
                f"{type(self).__name__} with these strides takes frames whose height and width are multiples of "
                f"{multiple}. Received: height {height}, width {width}. Nearest: "
                f"height {_or(nearest[0], multiple)}, width {_or(nearest[1], multiple)}. Crop, pad or resize them."
            )

    def check_frames(self, frames, longest=None):
        """The frames in the model's compute dtype; between input_length and `longest` (default the same) of them."""
        shape, length, channels = tuple(frames.shape), self.input_length, self.frames_shape[-1]
        if len(shape) != 5 or shape[-1] != channels:
            raise ValueError(
                f"{type(self).__name__} takes frames (batch, time, height, width, channels) with {channels} channels. "
                f"Received: shape={shape}."
            )
        check_sequence(shape, type(self).__name__)
        dtype = keras.backend.standardize_dtype(frames.dtype)
        if keras.backend.is_int_dtype(dtype):
            raise ValueError(
                f"{type(self).__name__} takes frames of floating point, usually in [0, 1]. Received: dtype {dtype}. "
                "Divide pixels by 255, or use the `preprocess` of the model's preset."
            )
        longest = longest or length
        if shape[1] is not None and not length <= shape[1] <= longest:
            allowed = length if longest == length else f"{length} to {longest}"
            raise ValueError(
                f"{type(self).__name__} was built for {allowed} frames. Received: {shape[1]} frames, shape={shape}. "
                f"Build it with input_shape=({shape[1]}, height, width, {channels}) for other lengths."
            )
        self._check_size(*shape[2:4])
        return ops.cast(frames, self.compute_dtype)

    @property
    def passes(self):
        """Number of forward passes of the whole model for one prediction."""
        return 1

    def build(self, input_shape=None):
        """Makes all weights, for `frames_shape`."""
        self.built = True

    def export(self, filepath, *args, **kwargs):
        """As Keras's, which needs a model that was called."""
        self(keras.KerasTensor((None, *self.frames_shape)))
        return super().export(filepath, *args, **kwargs)

    # The reference's names ----------------------------------------------------------------------

    def reference_weights(self):
        """{name of the reference's parameter: ReferenceWeight}, see `reference.py`."""
        return {}

    @property
    def live_parameters(self):
        """Number of parameters that train."""
        return _count(self.trainable_variables)

    @property
    def parameters(self):
        """Number of parameters as the benchmark counts them: unused weights count, normalisation statistics do not."""
        dead = [self.reference_weights()[name].variable for name in self.dead_weights]
        return self.live_parameters + _count(dead)

    # Training -----------------------------------------------------------------------------------

    def benchmark_loss(self):
        """The Keras loss that the benchmark trains this model with."""
        return keras.losses.MeanSquaredError()

    def training_pair(self, sequence):
        """(x, y) for `fit` from (batch, input_length + output_length, height, width, channels)."""
        return sequence[:, : self.input_length], sequence[:, self.input_length :, ..., : self.output_channels]

    # Saving -------------------------------------------------------------------------------------

    def get_config(self):
        names = [
            parameter.name
            for parameter in inspect.signature(type(self).__init__).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in ("self", "input_shape")
        ]
        config = {name: getattr(self, name) for name in {"output_length", "output_channels", *names}}
        layer = keras.Model.get_config(self)  # name, dtype, trainable
        return dict(input_shape=self.frames_shape, **config, **layer, **self.preset_config())

    @classmethod
    def from_config(cls, config):
        with default_dtype(config.get("dtype")):
            return cls(**config)


def _or(counts, multiple):
    return " or ".join(str(count * multiple) for count in counts)


def _count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)
