"""An LSTM on the features of single frames (LRCN, Donahue et al. 2015), as parts of an `SCSModel`."""

import functools
from collections.abc import Mapping
from typing import Any

import keras

from scs_keras.core.arguments import Tensor, check_counts, check_main_stream
from scs_keras.core.heads import RecurrentHead
from scs_keras.zoo.backbones import backbone, channels_last, convolution

SMALL_CNN = "small_cnn"


@keras.saving.register_keras_serializable("scs_keras")
class NoNetwork(keras.Layer):
    """In place of an `SCSNetwork`: the head gets the backbone's features as they are."""

    def call(self, frames: Tensor, stream: str = "main", training: bool | None = None) -> Tensor:
        return self.run(frames, stream)[0]

    def run(
        self,
        sequence: Tensor,
        stream: str = "main",
        states: list[Tensor] | None = None,
        training: bool = False,
        states_at: int = -1,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `SCSNetwork.run`.

        Raises:
            ValueError: for a sub-goal's stream.
        """
        check_main_stream(stream, "Without a network there are no sub-goals.")
        return sequence, []

    def initial_states(self, batch_size: Any, height: Any, width: Any) -> list[Tensor]:
        """None: the state is the head's."""
        return []

    def compute_output_shape(self, frames_shape: tuple) -> tuple:
        return tuple(frames_shape)


def lstm_head(units: int, after: keras.Layer, dtype: Any = None) -> RecurrentHead:
    """The mean over the pixels of every frame -> LSTM -> `after`."""
    return RecurrentHead(keras.layers.LSTM(units, dtype=dtype), after=after, dtype=dtype)


def small_cnn(
    input_shape: tuple[int | None, ...], filters: tuple[int, ...] = (16, 32), kernel_size: int = 3
) -> keras.Model:
    """A backbone of a few convolutions of stride 2, each with batch normalisation and ReLU, of any channels.

    Args:
        input_shape: (height, width, channels) of an image.
        filters: channels of each convolution.
        kernel_size: of all.
    """
    check_counts(kernel_size=kernel_size, **{f"filters_{index}": each for index, each in enumerate(filters)})
    inputs = x = keras.Input(tuple(input_shape), name="image")
    with channels_last():
        for each in filters:
            x = convolution(x, each, kernel_size, 2)
    return keras.Model(inputs, x, name="small_cnn")


def frame_backbone(name: str, input_shape: tuple[int, ...], arguments: Mapping[str, Any]) -> keras.Model | None:
    """The backbone of a sequence's frames: `small_cnn` or one of `backbones.backbone`; None for "".

    Args:
        name: of the backbone.
        input_shape: (time, height, width, channels).
        arguments: of the backbone.
    """
    if not name:
        return None
    make = small_cnn if name == SMALL_CNN else functools.partial(backbone, name)
    return make(tuple(input_shape[1:]), **arguments)
