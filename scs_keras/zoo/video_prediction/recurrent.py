"""The frame that the recurrent models share: patches, the loop over time, feeding back, scheduled sampling."""

import inspect

from keras import ops

from scs_keras.core.arguments import check_counts
from scs_keras.zoo.encoder_decoder import feed_back, fold, unfold
from scs_keras.zoo.video_prediction.predictor import VideoPredictor
from scs_keras.zoo.video_prediction.sampling import ScheduledSampling


class RecurrentPredictor(VideoPredictor):
    """Base of the models that see one frame after the other and predict the next at every step.

    Step t sees frame t, or later its own prediction of it, and predicts frame t + 1; all work is done on patches,
    in which channel (i*p + j)*channels + c is channel c at row i and column j of the p x p pixels.
    A subclass has `cells` and the convolution `conv_last`, and says how one step goes: `first_states` and `advance`.

    Args:
        input_shape, output_length, output_channels: see `VideoPredictor`. A prediction's channels are fed back
            as the first of the input's; input channels that are not predicted keep their last known values.
        num_hidden: channels of each layer, a list or "128,128,128,128".
        patch_size: side p of the patches: frames are seen as (height/p, width/p, p*p*channels).
        filter_size: odd side of the convolutions.
        stride: 1.
        layer_norm: whether a layer normalisation follows each convolution that makes gates.
        return_all: whether `call` always returns all input_length + output_length - 1 predictions.
        scheduled_sampling: False never shows the true future while training; otherwise, after `sampling_...`,
            it is shown less and less often.
        reverse_scheduled_sampling: hides observed frames too, less and less often, after `r_...`.
        sampling_stop_iter, sampling_start_value, sampling_changing_rate, r_sampling_step_1, r_sampling_step_2,
            r_exp_alpha, seed: see `ScheduledSampling`.

    Call arguments:
        frames: (batch, time, height, width, channels): the input_length observed frames, or more: the known
            future behind them, at most input_length + output_length frames, the last of which is not used.
        sampling_mask: 1 where the true frame is seen, 0 where the prediction: (batch, n, 1, 1, 1) or
            (batch, n, height/p, width/p, p*p*channels), with n = output_length - 1 for the frames after the observed;
            with reverse scheduled sampling n = input_length + output_length - 2, from the second frame on.
            Without it: drawn while training if the future is known; otherwise the observed frames are
            seen and the future is not.
        training: whether this is training.
        return_all: overrides the model's.

    Output shape: (batch, output_length, height, width, output_channels), float32. If the future is known or with
        `return_all`: (batch, input_length + output_length - 1, ...), predictions of frames 1, 2, ...

    Raises:
        ValueError: on impossible hyperparameters, frames or masks.
    """

    def __init_subclass__(cls, **kwargs):
        """`**kwargs` of a model's `__init__` stands for the arguments of this class: show them in its signature."""
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            parent = inspect.signature(super(cls, cls).__init__).parameters
            own = inspect.signature(cls.__init__)
            named = {name: each for name, each in own.parameters.items() if each.kind is not each.VAR_KEYWORD}
            ordered = sorted({**parent, **named}.values(), key=lambda each: each.kind)
            cls.__init__.__signature__ = own.replace(parameters=ordered)

    def __init__(
        self,
        input_shape,
        output_length=None,
        output_channels=None,
        *,
        num_hidden="128,128,128,128",
        patch_size=4,
        filter_size=5,
        stride=1,
        layer_norm=False,
        return_all=False,
        scheduled_sampling=True,
        sampling_stop_iter=50000,
        sampling_start_value=1.0,
        sampling_changing_rate=2e-5,
        reverse_scheduled_sampling=False,
        r_sampling_step_1=25000,
        r_sampling_step_2=50000,
        r_exp_alpha=5000,
        seed=None,
        **kwargs,
    ):
        check_counts(patch_size=patch_size, filter_size=filter_size, stride=stride)
        if filter_size % 2 == 0:
            raise ValueError(f"`filter_size` must be odd, for example 5. Received: filter_size={filter_size}.")
        super().__init__(input_shape, output_length, output_channels, frame_multiple=patch_size, **kwargs)
        self.num_hidden = _channels(num_hidden)
        self.patch_size, self.filter_size, self.stride = patch_size, filter_size, stride
        self._check_stride()
        self.layer_norm, self.return_all = bool(layer_norm), bool(return_all)
        self.scheduled_sampling = bool(scheduled_sampling)
        self.sampling_stop_iter, self.sampling_start_value = sampling_stop_iter, sampling_start_value
        self.sampling_changing_rate = sampling_changing_rate
        self.reverse_scheduled_sampling = bool(reverse_scheduled_sampling)
        self.r_sampling_step_1, self.r_sampling_step_2 = r_sampling_step_1, r_sampling_step_2
        self.r_exp_alpha, self.seed = r_exp_alpha, seed
        self.sampling = ScheduledSampling(
            reverse_scheduled_sampling, sampling_stop_iter, sampling_start_value, sampling_changing_rate,
            r_sampling_step_1, r_sampling_step_2, r_exp_alpha, seed,
        )  # fmt: skip

    def _check_stride(self):
        if self.stride != 1:
            raise ValueError(
                f"`stride` must be 1: the states of {type(self).__name__} are as large as its input. "
                f"Received: stride={self.stride}. For smaller states take a larger patch_size."
            )

    def _check_equal_widths(self):
        if len(set(self.num_hidden)) > 1:
            raise ValueError(
                f"All layers of {type(self).__name__} have one number of channels, because a memory goes through all "
                f"of them. Received: num_hidden={self.num_hidden}. For example: num_hidden="
                f"{self.num_hidden[:1] * len(self.num_hidden)}."
            )

    # Sizes ----------------------------------------------------------------------------------------

    @property
    def patch_frame(self):
        """(height, width) of a frame in patches."""
        return self.frames_shape[1] // self.patch_size, self.frames_shape[2] // self.patch_size

    @property
    def patch_channels(self):
        """Channels of a patch: (observed, predicted)."""
        return self.patch_size**2 * self.frames_shape[-1], self.patch_size**2 * self.output_channels

    @property
    def gates(self):
        """What every convolution that makes gates has in common."""
        frame = self.patch_frame if self.layer_norm else None
        return dict(kernel_size=self.filter_size, frame=frame, dtype=self.dtype_policy)

    def zeros(self, like, channels):
        """A state for a batch of patches (batch, height, width, any): zeros (batch, height, width, channels)."""
        return ops.zeros((*ops.shape(like)[:3], channels), dtype=self.compute_dtype)

    @property
    def has_weight_for_every_position(self):
        """Whether frames must be of the size that the model was built for."""
        return self.layer_norm

    def check_frames(self, frames, longest=None):
        frames, size = super().check_frames(frames, longest), self.frames_shape[1:3]
        if self.has_weight_for_every_position and any(a not in (None, b) for a, b in zip(frames.shape[2:4], size)):
            raise ValueError(
                f"This {type(self).__name__} has a weight for every position and takes frames of {size[0]} x {size[1]} "
                f"pixels. Received: shape={tuple(frames.shape)}. Resize the frames, or build a model for their size."
            )
        return frames

    # The loop -------------------------------------------------------------------------------------

    def first_states(self, patches):
        """The states before the first frame; `patches` is (batch, height/p, width/p, p*p*channels)."""
        raise NotImplementedError

    def advance(self, patches, states, training):
        """(prediction of the next patches, new states)."""
        raise NotImplementedError

    def finish(self, states, training):
        """Called with the states after the last step."""

    def call(self, frames, sampling_mask=None, training=None, return_all=None):
        steps = self.input_length + self.output_length - 1
        frames = self.check_frames(frames, longest=steps + 1)
        known = min(frames.shape[1] or self.input_length, steps)
        future_known = (frames.shape[1] or 0) > self.input_length
        patches = fold(frames, self.patch_size)
        mask, first = self._mask(patches, sampling_mask, training and future_known)
        truth = [patches[:, step] for step in range(known)]
        states, seen, predictions = self.first_states(truth[0]), None, []
        for step in range(steps):
            if step < first:
                seen = truth[step]
            else:
                fed_back = self._feed_back(seen, predictions[-1])
                seen = fed_back
                if mask is not None and step < known:
                    share = mask[:, step - first]
                    seen = share * truth[step] + (1 - share) * fed_back
            prediction, states = self.advance(seen, states, training)
            predictions.append(prediction)
        self.finish(states, training)
        if not (future_known or (self.return_all if return_all is None else return_all)):
            predictions = predictions[-self.output_length :]
        return ops.cast(unfold(ops.stack(predictions, axis=1), self.patch_size), "float32")

    def _mask(self, patches, given, draw):
        """(mask or None, first step at which the frame seen is not simply the true one)."""
        observed, future = self.input_length - 1 if self.reverse_scheduled_sampling else 0, self.output_length - 1
        first = self.input_length - observed
        if given is not None:
            self._check_mask(given, patches, observed + future)
            return ops.cast(given, self.compute_dtype), first
        if not draw or not (self.scheduled_sampling or self.reverse_scheduled_sampling):
            return None, self.input_length
        mask = self.sampling.draw(ops.shape(patches)[0], observed, future)
        return ops.cast(mask, self.compute_dtype), first

    def _check_mask(self, mask, patches, entries):
        allowed = [(entries, 1, 1, 1), (entries, *patches.shape[2:])]
        shape = tuple(mask.shape)
        if shape[1:] not in allowed:
            raise ValueError(
                f"`sampling_mask` is (batch, {', '.join(map(str, allowed[0]))}) or, in patches, "
                f"(batch, {', '.join(map(str, allowed[1]))}) here. Received: shape={shape}."
            )

    def _feed_back(self, seen, prediction):
        """The next input, patches like `seen`."""
        if self.output_channels == self.frames_shape[-1]:
            return prediction
        pixels = [
            ops.reshape(each, (*ops.shape(each)[:3], self.patch_size**2, channels))
            for each, channels in ((seen, self.frames_shape[-1]), (prediction, self.output_channels))
        ]
        return ops.reshape(feed_back(*pixels), ops.shape(seen))

    # The reference and training -------------------------------------------------------------------

    cells_name = "cell_list"  # of the list of cells in the reference

    def reference_weights(self):
        weights = {}
        for index, cell in enumerate(self.cells):
            weights |= cell.reference_weights(f"{self.cells_name}.{index}")
        return weights | {f"conv_last{end}": weight for end, weight in self.conv_last.reference_weights().items()}

    @property
    def dead_weights(self):
        return [name for name, weight in self.reference_weights().items() if not weight.variable.trainable]

    def training_pair(self, sequence):
        """(x, y): the frames but the last, with the future for scheduled sampling, and the frames but the first.

        With one frame to predict, x is the whole sequence, whose last frame is not used: x is longer than what is
        observed, so that all predictions come out.
        """
        x = sequence if self.output_length == 1 else sequence[:, :-1]
        return x, sequence[:, 1:, ..., : self.output_channels]


def _channels(num_hidden):
    """A tuple of channel numbers from a sequence or "128,128"."""
    parts = num_hidden.split(",") if isinstance(num_hidden, str) else num_hidden
    try:
        channels = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        channels = ()
    if not channels or min(channels) < 1:
        raise ValueError(
            '`num_hidden` is the channels of each layer, whole numbers of at least 1, for example "128,128" or '
            f"(128, 128). Received: num_hidden={num_hidden!r}."
        )
    return channels
