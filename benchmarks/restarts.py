"""Many trainings of few models: the seeds of one share a graph, models run in processes of their own."""

import logging
import os
import subprocess
import sys
from multiprocessing.pool import ThreadPool

import numpy as np

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # not that it left a function of ours as it is
PREDICTED = 120  # samples of a batch of a prediction


class Restarts:
    """Trains the model of a recipe from the start, again and again; its graph is compiled once.

    Args:
        recipe: `Recipe` of all trainings but for the seed.
    """

    def __init__(self, recipe):
        self.recipe, self.model = recipe, None

    def trained(self, seed, parts):
        """(the model after all steps, {name: losses and metrics by epoch}); parts are the data, `TrainingData`."""
        import keras

        from scs_keras.training.run import pairs
        from scs_keras.training.samples import training_dataset

        keras.utils.set_random_seed(seed)
        fresh = self.recipe.model(parts)
        if self.model is None:
            self.model = fresh
        else:
            as_before_training(self.model, fresh)
        batches = pairs(self.recipe, self.model, training_dataset(parts.train, self.recipe.batch_size, seed))
        every = min(self.recipe.checkpoint_every, self.recipe.steps)
        history = self.model.fit(
            batches, steps_per_epoch=every, epochs=self.recipe.steps // every, shuffle=False, verbose=0
        )
        return self.model, {
            name: [round(float(each), 6) for each in values] for name, values in history.history.items()
        }


def as_before_training(model, fresh):
    """Gives a model the weights, the random states and the optimiser's values of one that was made alike just now."""
    fresh.optimizer.build(fresh.trainable_variables)
    for mine, other in ((model, fresh), (model.optimizer, fresh.optimizer)):
        for variable, new in zip(mine.variables, other.variables, strict=True):
            variable.assign(new)


def predicted(model, x):
    """`model.predict` in batches of one size, so that nothing is compiled twice."""
    import keras

    count = len(x)
    said = model.predict(x[np.resize(np.arange(count), -(-count // PREDICTED) * PREDICTED)], PREDICTED, verbose=0)
    return keras.tree.map_structure(lambda each: each[:count], said)


def in_processes(jobs, groups):
    """Runs the command that was typed once for each list of further arguments, so many at a time."""
    command = [sys.executable, *sys.argv, "--jobs", "0"]
    # JAX would take most of the GPU's memory for the first one.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ}
    with ThreadPool(jobs) as pool:
        codes = pool.map(lambda group: subprocess.run([*command, *group], env=environment).returncode, groups, 1)
    failed = [" ".join(group) for group, code in zip(groups, codes) if code]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}. The same command makes what is missing.")
