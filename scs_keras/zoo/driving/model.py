"""The parts of a steering model: angles of limited size, their loss, and a model that knows its preset."""

from typing import Any

import keras
from keras import layers, ops

from scs_keras.core.arguments import Tensor, check_counts, is_number
from scs_keras.core.model import SCSModel
from scs_keras.zoo.knows_preset import KnowsPreset


@keras.saving.register_keras_serializable("scs_keras.driving")
class DrivingModel(KnowsPreset, SCSModel):
    """Frames to the angle at the last one, in degrees or, with `reduce="none"`, to the angle at every frame.

    Args:
        preset: {"name": ..., "arguments": ...} of the preset that it is made from, or None.
        *args, **kwargs: of `SCSModel`.

    Call arguments:
        x: what `preset.preprocess` makes of frames (batch, time, height, width, channels).

    Output shape: (batch, 1), or (batch, time, 1); float32.
    """


@keras.saving.register_keras_serializable("scs_keras.driving")
class AngleHead(keras.Layer):
    """The angle at every frame: dense layers, then limit * (2 sigmoid(slope * z) - 1) of the last one's z.

    Args:
        limit: largest angle, degrees.
        slope: of the sigmoid's input; at z = 0 the angle changes by limit * slope / 2 degrees for each unit of z.
        flatten: whether the dense layers see all pixels of a feature map, and with them where the road is; else their
            mean.
        hidden: units of the dense layers before the last, each with ReLU and dropout.
        dropout: share of the inputs of each dense layer that is left out in training.

    Call arguments:
        features: (batch, time, height, width, channels), or vectors (batch, time, channels).

    Output shape: (batch, time, 1), float32, degrees between -limit and limit.

    Raises:
        ValueError: limit or slope is no number above 0.
    """

    def __init__(
        self,
        limit: float,
        slope: float = 1.0,
        flatten: bool = False,
        hidden: tuple[int, ...] = (),
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive(limit=limit, slope=slope)
        check_counts(**{f"hidden_{index}": units for index, units in enumerate(hidden)})
        self.limit, self.slope, self.flatten = float(limit), float(slope), flatten
        self.hidden, self.dropout = tuple(hidden), dropout
        same = dict(trainable=self.trainable, dtype=self.dtype_policy)
        self.drop = layers.Dropout(dropout, **same)
        self.dense = [layers.Dense(units, "relu", **same) for units in self.hidden]
        self.dense.append(layers.Dense(1, **same))

    def build(self, features_shape: tuple) -> None:
        frame = features_shape[2:]
        size = 1
        for each in frame if self.flatten else frame[-1:]:
            size *= each
        for layer in self.dense:
            layer.build((None, None, size))
            size = layer.units
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        u = features
        if len(features.shape) == 5:
            batch, time, *frame = ops.shape(features)
            size = frame[0] * frame[1] * frame[2]
            u = ops.reshape(u, (batch, time, size)) if self.flatten else ops.mean(u, axis=(2, 3))
        for layer in self.dense:
            u = layer(self.drop(u, training=training))
        return self.limit * (2 * ops.sigmoid(self.slope * ops.cast(u, "float32")) - 1)

    def compute_output_spec(self, features: Any, training: bool = False) -> Any:
        return keras.KerasTensor((*features.shape[:2], 1), dtype="float32")

    def get_config(self) -> dict:
        own = dict(
            limit=self.limit, slope=self.slope, flatten=self.flatten, hidden=list(self.hidden), dropout=self.dropout
        )
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("scs_keras.driving")
class AngleError(keras.losses.Loss):
    """Mean squared error of angles in degrees, in the units of the sigmoid: 1 from -limit to limit.

    Args:
        limit: of the head, degrees.
        **kwargs: name, reduction, dtype of the loss.
    """

    def __init__(self, limit: float, **kwargs: Any) -> None:
        super().__init__(**{"name": "angle_error", **kwargs})
        check_positive(limit=limit)
        self.limit = float(limit)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = (ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")) / (2 * self.limit)
        return ops.mean(ops.square(error), axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "limit": self.limit}


def check_positive(**values: Any) -> None:
    """Raises ValueError unless each is a number above 0."""
    for name, value in values.items():
        if not is_number(value) or not value > 0:
            raise ValueError(f"`{name}` must be a number above 0. Received: {name}={value!r}. For example: {name}=25.")
