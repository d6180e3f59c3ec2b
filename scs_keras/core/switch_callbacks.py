"""Callbacks of `fit` for the switch: SwitchCallback for a model of your own, ValidateSwitch for SCSModel."""

import keras

from scs_keras.core.switch import Switch, check_replicas, read


class ValidateSwitch(keras.callbacks.Callback):
    """Stops `fit` after its first batch if the losses measured on it contradict the switch's arguments."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not self.validated:
            if self.model.switch is not None:
                self.model.switch.validate()
            self.validated = True

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.validated = False


class SwitchCallback(keras.callbacks.Callback):
    """Drives a switch under the plain `fit` of a model of your own that holds layers with that switch.

    After each batch it tells the switch how many steps the optimiser made and, for ASTSGD, the losses: those that
    Keras logs (running means of the epoch) under the names given.

    Args:
        switch: the `STSGD` or `ASTSGD` of the model's layers.
        spatial_loss, temporal_loss, main_loss: keys of `logs`; None for the first two takes L_g.

    Raises:
        ValueError: if a key is not among the logs.
    """

    def __init__(
        self, switch: Switch, spatial_loss: str | None = None, temporal_loss: str | None = None, main_loss: str = "loss"
    ) -> None:
        super().__init__()
        self.switch = switch
        self.steps = None  # of the optimiser so far, once `fit` has begun
        self.keys = [key or main_loss for key in (spatial_loss, temporal_loss, main_loss)]

    def on_train_begin(self, logs: dict | None = None) -> None:
        check_replicas(self.switch, self.model)
        self.steps = self._steps()

    def _steps(self):
        return int(read(self.model.optimizer.iterations))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        missing = [key for key in self.keys if key not in logs]
        if missing:
            raise ValueError(
                f"SwitchCallback found no {missing[0]!r} among the logs. Allowed: {sorted(logs)}. "
                "Name the model's outputs or metrics so that each loss is logged."
            )
        _ = self.model  # on JAX `fit` keeps the variables outside the model until someone looks at it
        if self.steps is None:
            self.switch.advance()
        else:  # no step while the optimiser accumulates, several in one execution
            before, self.steps = self.steps, self._steps()
            self.switch.advance(float(self.steps - before))
        self.switch.update(*(logs[key] for key in self.keys))
        if batch == 0:
            self.switch.validate()
