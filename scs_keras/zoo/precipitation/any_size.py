"""Forecasters that predict images of any size."""

from typing import Any

from scs_keras.core.keras_private import forget_functions


class AnySize:
    """For a Keras model whose flow must know the size of its images when it is compiled."""

    predicted_shape: tuple | None = None

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras's, for images of another size at each call: Keras would compile for any size at the second
        one, but the flow's coarse-to-fine levels need to know it."""
        shape = tuple(getattr(x, "shape", ()))[1:]
        if shape != self.predicted_shape:
            forget_functions(self)
            self.predicted_shape = shape
        return super().predict(x, *args, **kwargs)  # type: ignore[misc]
