"""Streaming of the recurrent models: one observed frame in, the frames that follow out."""

from typing import Any

import keras
from keras import ops, tree

from scs_keras.core.arguments import Tensor
from scs_keras.core.signatures import Signature, streaming, whole
from scs_keras.core.states import shape_of
from scs_keras.zoo.encoder_decoder import feed_back, fold, unfold


class FrameByFrame:
    """For a `VideoPredictor` whose `advance(seen, states, training)` sees one frame and predicts the next.

    The states are those after the observed frames: what a forecast is rolled out with is not kept. A subclass whose
    states before the first frame are not `first_states(seen)`, or that does not work on patches, says so.
    """

    compute_dtype: str
    output_length: int
    patch_size: int
    first_states: Any
    advance: Any

    def initial_states(self, inputs: Any) -> list[Tensor]:
        """What is there before the first frame, each (batch, ...).

        Args:
            inputs: (batch, time, height, width, channels), or anything of that shape; where the batch size is None,
                as in a `keras.Input`, the states are `keras.KerasTensor`s.
        """
        batch, _, *frame = shape_of(inputs)
        states = tree.flatten(self.streamed_states(self.seen(ops.zeros((1 if batch is None else batch, *frame)))))
        if batch is not None:
            return states
        return [keras.KerasTensor((None, *each.shape[1:]), dtype=self.compute_dtype) for each in states]

    def step(self, frame: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One more observed frame (batch, height, width, channels): (the output_length frames that follow it as the
        call gives them, the next states)."""
        seen = self.seen(frame)
        before = tree.pack_sequence_as(self.streamed_states(seen), list(states))
        prediction, after = self.advance(seen, before, False)
        predictions, rolled = [prediction], after
        while len(predictions) < self.output_length:
            seen = self.fed_back(seen, predictions[-1])
            prediction, rolled = self.advance(seen, rolled, False)
            predictions.append(prediction)
        return ops.cast(self.frames_of(ops.stack(predictions, axis=1)), "float32"), tree.flatten(after)

    def reduce_outputs(self, frames: Tensor) -> Tensor:
        """The prediction of the call is that of the last step."""
        return frames[:, -1]

    def signatures(self, input_shape: tuple) -> tuple[Signature, ...]:
        """See `SCSModel.signatures`."""
        return (whole(self, input_shape), *streaming(self, input_shape))

    # What a step works on ------------------------------------------------------------------------

    def streamed_states(self, seen: Tensor) -> Any:
        """The states before the first frame, of one structure at every step."""
        return self.first_states(seen)

    def seen(self, frame: Tensor) -> Tensor:
        """What `advance` sees of a frame (batch, height, width, channels)."""
        return fold(ops.cast(frame, self.compute_dtype), self.patch_size)

    def frames_of(self, predictions: Tensor) -> Tensor:
        """Frames (batch, time, height, width, channels) of stacked predictions."""
        return unfold(predictions, self.patch_size)

    def fed_back(self, seen: Tensor, prediction: Tensor) -> Tensor:
        """What `advance` sees after `seen`, of its prediction."""
        return self._feed_back(seen, prediction)  # type: ignore[attr-defined]


class ImageByImage(FrameByFrame):
    """The same for models that work on whole frames, not on patches."""

    def seen(self, frame):
        return ops.cast(frame, self.compute_dtype)

    def frames_of(self, predictions):
        return predictions

    def fed_back(self, seen, prediction):
        return feed_back(seen, prediction)
