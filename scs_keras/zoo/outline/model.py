"""The model of the task: an `SCSModel` of an image and vertices, which knows its preset and how to draw an outline."""

from typing import Any

import keras
from keras import layers, ops

from scs_keras.core.inputs import encode, split
from scs_keras.core.model import SCSModel
from scs_keras.core.objective import ClipResult, Objective
from scs_keras.zoo.knows_preset import KnowsPreset

# Modules, not their functions: whichever of them a program imports first is not finished when this one is imported.
from scs_keras.zoo.outline import annotate, decode, reference
from scs_keras.zoo.outline.losses import edge_and_vertex_cells


class OutlineObjective(Objective):
    """The objective, with the loss of the heads for edge and vertex cells where the model has them."""

    def whole(self, x: Any, y: Any, sample_weight: Any, training: bool, y_pred: Any = None) -> Any:
        losses, outputs = super().whole(x, y, sample_weight, training, y_pred)
        if training and self.model.auxiliary:
            encoding = encode(self.model.context_encoder, split(x, self.model.context)[1], training)
            losses["auxiliary"] = self.model.auxiliary_loss(encoding["image"], y)
        return losses, outputs

    def of_clip(self, clip: Any, start: Any, sequence: Any, encoding: dict, *rest: Any) -> ClipResult:
        result = super().of_clip(clip, start, sequence, encoding, *rest)
        if self.model.auxiliary:
            loss = self.model.auxiliary_loss(encoding["image"], sequence.targets["main"].values)
            result.losses["auxiliary"] = loss * clip.share
        return result


@keras.saving.register_keras_serializable("scs_keras.outline")
class OutlineModel(KnowsPreset, SCSModel):
    """An image and the vertices so far to the log-probabilities of the next vertex's cell.

    Args:
        grid: cells along a side.
        auxiliary: weight of the loss of two heads that find edge and vertex cells in the image's features, in training
            only (as Polygon-RNN++); 0 for none.
        *args, **kwargs: of `SCSModel`; `preset` of `KnowsPreset`.

    Call arguments:
        x: {"image": (batch, height, width, 3), RGB in [0, 1], "vertices": (batch, time, 3) int32, the first vertex and
            those two steps and one step before, cells or tokens, see `scs_keras.zoo.outline.cells`}.

    Output shape: (batch, time, grid**2 + 1), float32; the last is the end.
    """

    objective_class = OutlineObjective

    def __init__(self, *args: Any, grid: int, auxiliary: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.grid, self.auxiliary = grid, auxiliary
        self.auxiliary_head: Any = None
        if auxiliary:
            same: Any = dict(trainable=self.trainable, dtype=self.dtype_policy)
            self.auxiliary_head = layers.Dense(2, name="auxiliary_head", **same)

    def build(self, input_shape: Any) -> None:
        if self.auxiliary_head is not None:
            self.auxiliary_head.build(self.context_encoder.output_shape)
        super().build(input_shape)

    def auxiliary_loss(self, features: Any, cells: Any) -> Any:
        """Binary cross-entropy of edge and vertex cells, weighted; of features (batch, grid, grid, channels) and
        targets (batch, time)."""
        logits = ops.cast(self.auxiliary_head(features), "float32")
        target = edge_and_vertex_cells(cells, self.grid)
        losses = ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
        return self.auxiliary / self.replicas * ops.mean(losses)

    def annotate(self, image: Any, box: Any, *arguments: Any, **options: Any) -> "annotate.Outline":
        """The outline of one object, see `scs_keras.zoo.outline.annotate.annotate`."""
        return annotate.annotate(self, image, box, *arguments, **options)

    def annotate_many(self, images: Any, boxes: Any, *arguments: Any, **options: Any) -> "list[annotate.Outline]":
        """The outlines of objects, see `scs_keras.zoo.outline.annotate.annotate_many`."""
        return annotate.annotate_many(self, images, boxes, *arguments, **options)

    def decode(self, images: Any, *arguments: Any, **options: Any) -> "list[decode.Decoded]":
        """The outlines of crops, in cells, see `scs_keras.zoo.outline.decode.decode`."""
        return decode.decode(self, images, *arguments, **options)

    def reference_weights(self) -> dict[str, Any]:
        """{name in the public demo: `ReferenceWeight`}, see `scs_keras.zoo.outline.reference`."""
        return reference.reference_weights(self)

    def get_config(self) -> dict:
        return {**super().get_config(), "grid": self.grid, "auxiliary": self.auxiliary}

    @classmethod
    def from_config(cls, config: dict) -> "OutlineModel":
        config = dict(config)
        own = {name: config.pop(name) for name in ("grid", "auxiliary", "preset") if name in config}
        plain = ("name", "average", "reduce", "context", "trainable")
        return cls(
            **{
                name: value if name in plain else keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            },
            **own,
        )
