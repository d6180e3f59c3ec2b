"""Models whose number of predicted frames is no matter of their weights."""

from scs_keras.core.arguments import check_counts
from scs_keras.core.keras_private import forget_functions


class OutputLength:
    """For a Keras model: `output_length`, the number of frames that it predicts. May be changed at any time:
    `model.output_length = 20`.

    Raises:
        ValueError: if it is no whole number of at least 1.
    """

    @property
    def output_length(self):
        return self._output_length

    @output_length.setter
    def output_length(self, value):
        check_counts(output_length=value)
        self._output_length = int(value)
        forget_functions(self)  # they have the old number in them
