"""The checkpoint of a training: one file with everything that it needs to go on."""

import os
import platform
import time
from pathlib import Path

import h5py
import keras
import numpy as np

from scs_keras.training.output import Output
from scs_keras.zoo.files import check_space, load_weights
from scs_keras.zoo.words import option, words

_GROUP = "scs_keras_training"  # beside what Keras writes, which it does not read


class Checkpoint(keras.callbacks.Callback):
    """Writes weights, optimiser, iteration, switch and the random generators after every epoch, and stops on NaN.

    Keras saves all of these with the weights but the generators, for example those of dropout: they are put into the
    same file, with the minutes that the training took so far.

    Args:
        output: of the training.
    """

    def __init__(self, output: Output):
        super().__init__()
        self.output = output
        self.minutes = 0.0
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if logs is None or not np.isfinite(logs["loss"]):
            raise self._diverged(f"loss became {logs and logs['loss']}", epoch)
        weights = map(keras.ops.convert_to_numpy, self.model.trainable_variables)
        if not all(np.isfinite(weight).all() for weight in weights):  # by the last step, after its loss
            raise self._diverged("weights became infinite or NaN", epoch)
        with self.output.writing(self.output.checkpoint) as beside:
            self._write(self.model, beside)

    def _diverged(self, what, epoch):
        path = self.output.checkpoint
        left = f"; {path} still holds the epoch before" if path.exists() else ""
        return FloatingPointError(
            f"The {what} in epoch {epoch + 1}{left}. "
            f"Start anew with a smaller {words('learning_rate', '--set learning_rate')} and another {option('output')}."
        )

    def _write(self, model, path):
        model.save_weights(path)
        with h5py.File(path, "a") as file:
            group = file.create_group(_GROUP)
            group.attrs["minutes"] = self.minutes_so_far()
            group.attrs["hardware"] = hardware()
            for number, state in enumerate(_generators(model)):
                group[str(number)] = keras.ops.convert_to_numpy(state)

    def rehearse(self, model: keras.Model) -> None:
        """Writes a checkpoint that is thrown away: what cannot be written, or found again, shows before the first step.

        Raises:
            OSError: there is no room for two checkpoints and the final weights, or the file cannot be written.
        """
        with self.output.writing(self.output.checkpoint, keep=False) as trial:
            self._write(model, trial)
            check_space(trial.parent, 2 * trial.stat().st_size)  # beside this one

    def minutes_so_far(self) -> float:
        """Minutes that the training took, those before an interruption included."""
        return round(self.minutes + (time.monotonic() - self.start) / 60, 2)

    def restore(self, model: keras.Model) -> int:
        """Loads the checkpoint, if there is one; returns the number of steps made.

        Raises:
            ValueError: it is of another model.
        """
        path = self.output.checkpoint
        model.optimizer.build(model.trainable_variables)
        if not path.exists():
            return 0
        load_weights(
            model, path, "this recipe's model in this version",
            "Go on with the version of scs-keras that wrote it, or start anew in another "
            f"{option('output')}.",
        )  # fmt: skip
        with h5py.File(path) as file:
            if _GROUP in file:
                for number, state in enumerate(_generators(model)):
                    state.assign(file[_GROUP][str(number)][()])
        self.minutes, _ = cost_of(path)
        return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def cost_of(path: Path) -> tuple[float, str]:
    """(minutes, hardware) of a training until its checkpoint; (0, "unknown hardware") where it does not say."""
    with h5py.File(path) as file:
        told = dict(file[_GROUP].attrs) if _GROUP in file else {}
    return float(told.get("minutes", 0)), str(told.get("hardware", "unknown hardware"))


def hardware() -> str:
    """Accelerators, processor cores and backend of this process, for people: "1 GPU, 16 CPU cores (x86_64), ..."."""
    kinds = [device.split(":")[0].upper() for device in keras.distribution.list_devices()]
    accelerators = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds) if kind != "CPU"]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return ", ".join([*accelerators, cores, f"Keras {keras.__version__} on {keras.backend.backend()}"])


def _generators(model):
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
