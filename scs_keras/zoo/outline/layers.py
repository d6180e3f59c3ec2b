"""What the network sees of vertices, and the two heads from its features to the next vertex."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.heads import RecurrentHead


@keras.saving.register_keras_serializable("scs_keras.outline")
class VertexMaps(keras.Layer):
    """The first vertex and those two steps and one step before as maps; tokens are nothing.

    Args:
        grid: cells along a side.
        offsets: whether every cell also knows how far it is from each of the three, in rows and columns over `grid`.

    Call arguments:
        vertices: (batch, 3), cells or tokens, see `cells`.

    Output shape: (batch, grid, grid, 3), 1 where the vertex is, else 0; with `offsets` (batch, grid, grid, 9).
    """

    def __init__(self, grid: int, offsets: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid, self.offsets = grid, offsets

    def call(self, vertices: Tensor) -> Tensor:
        cells = ops.cast(vertices, "int32")
        maps = ops.one_hot(cells, self.grid**2, axis=1, dtype=self.compute_dtype)  # (batch, cells, 3)
        if self.offsets:
            known = ops.cast(cells < self.grid**2, "float32")[:, None]
            place = np.arange(self.grid**2)[None, :, None]
            rows = ops.cast(place // self.grid - cells[:, None] // self.grid, "float32")
            columns = ops.cast(place % self.grid - cells[:, None] % self.grid, "float32")
            far = ops.concatenate([rows * known, columns * known], axis=-1) / self.grid
            maps = ops.concatenate([maps, ops.cast(far, maps.dtype)], axis=-1)
        return ops.reshape(maps, (-1, self.grid, self.grid, maps.shape[-1]))

    def compute_output_shape(self, vertices_shape: tuple) -> tuple:
        return (vertices_shape[0], self.grid, self.grid, 9 if self.offsets else 3)

    def get_config(self) -> dict:
        return {**super().get_config(), "grid": self.grid, "offsets": self.offsets}


@keras.saving.register_keras_serializable("scs_keras.outline")
class MapHead(keras.Layer):
    """A 1x1 convolution to one logit a cell, and the end's logit from the features' mean and maximum over the cells.

    Call arguments:
        features: (batch, time, height, width, channels).

    Output shape: (batch, time, height * width + 1), float32 log-probabilities; the end is the last.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        same = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.cells, self.end = layers.Dense(1, **same), layers.Dense(1, **same)

    def build(self, features_shape: tuple) -> None:
        channels = features_shape[-1]
        self.cells.build((None, None, None, None, channels))
        self.end.build((None, None, 2 * channels))
        self.built = True

    def call(self, features: Tensor) -> Tensor:
        batch, time, height, width, _ = ops.shape(features)
        cells = ops.reshape(self.cells(features), (batch, time, height * width))
        pooled = [ops.mean(features, axis=(2, 3)), ops.max(features, axis=(2, 3))]
        logits = ops.concatenate([cells, self.end(ops.concatenate(pooled, axis=-1))], axis=-1)
        return ops.log_softmax(ops.cast(logits, "float32"))

    def compute_output_spec(self, features: Any) -> Any:
        batch, time, height, width, _ = features.shape
        return keras.KerasTensor((batch, time, height * width + 1), dtype="float32")


@keras.saving.register_keras_serializable("scs_keras.outline")
class LSTMHead(RecurrentHead):
    """The public reference's: features, flattened channel by channel, and the tokens of the vertices two steps and one
    step before, through an LSTM of 2 * grid**2 units and a dense layer. Tab. 4 does not count its parameters.

    Args:
        grid: cells along a side.

    Output shape: (batch, time, grid**2 + 1), float32 log-probabilities; the end is the last.
    """

    def __init__(self, grid: int, **kwargs: Any) -> None:
        same: Any = dict(dtype=kwargs.get("dtype"))
        after = LogProbabilities(grid**2 + 1, **same)
        super().__init__(layers.LSTM(2 * grid**2, **same), after=after, inputs=("vertices",), **kwargs)
        self.grid = grid

    def vectors(self, features: Tensor, inputs: dict, training: bool) -> Tensor:
        batch, time, height, width, channels = ops.shape(features)
        u = ops.reshape(ops.transpose(features, (0, 1, 4, 2, 3)), (batch, time, height * width * channels))
        tokens = ops.cast(inputs["vertices"][..., 1:], "int32")
        known = ops.one_hot(tokens, self.grid**2 + 3, dtype=u.dtype)  # (batch, time, 2, cells and tokens)
        known = ops.reshape(known, (batch, time, 2 * (self.grid**2 + 3)))
        return ops.concatenate([u, known], axis=-1)

    def get_config(self) -> dict:
        kept = ("name", "trainable", "dtype")
        return {**{name: value for name, value in super().get_config().items() if name in kept}, "grid": self.grid}

    @classmethod
    def from_config(cls, config: dict) -> "LSTMHead":
        return cls(**config)


@keras.saving.register_keras_serializable("scs_keras.outline")
class LogProbabilities(layers.Dense):
    """A dense layer to log-probabilities, float32."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return ops.log_softmax(ops.cast(super().call(inputs), "float32"))


@keras.saving.register_keras_serializable("scs_keras.outline")
class Resized(keras.Layer):
    """Feature maps of another size, bilinear with half-pixel centres.

    Args:
        size: height and width.

    Call arguments:
        maps: (batch, height, width, channels).
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, maps: Tensor) -> Tensor:
        size = (self.size, self.size)  # without antialiasing, which ONNX and LiteRT do not have
        return ops.image.resize(maps, size, "bilinear", data_format="channels_last")

    def compute_output_shape(self, maps_shape: tuple) -> tuple:
        return (maps_shape[0], self.size, self.size, maps_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size}
