"""Arrays without a sample, of which Keras's `fit` and `evaluate` make nothing and `predict` an error of its own."""

import functools
from typing import Any

import keras

from scs_keras.core.arguments import check_batch


class RefusesEmpty:
    """For a Keras model: `fit`, `evaluate` and `predict` of an array without a sample raise ValueError."""

    @functools.wraps(keras.Model.fit)
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().fit(self._not_empty(x), *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().evaluate(self._not_empty(x), *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    @functools.wraps(keras.Model.predict)
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return super().predict(self._not_empty(x), *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    def _not_empty(self, x):
        for each in x.values() if isinstance(x, dict) else [x]:
            check_batch(getattr(each, "shape", ()), type(self).__name__)
        return x
