"""The small network that chooses q from the three losses (Sec. 5.2: "3 fully connection layers")."""

import keras
from keras import ops


def another_switch(allowed, found):
    """The error of weights that hold the state of a switch `found` and not of the model's."""
    return ValueError(
        f"These weights were saved with another switch than the model's. Allowed: {allowed}. Received: {found}. Load "
        "them before `compile(switch=...)`, or into a model whose layers have no `switch`: the weights of the layers "
        "do not depend on it, and the new switch starts from its beginning."
    )


class Controller(keras.Layer):
    """Three dense layers map (L_s, L_t, L_g), each as log(L / initial loss), to the logit of q.

    The paper gives no training rule. Ours is the policy gradient of a Gaussian policy: the logit is
    drawn as a = m + sigma * e around the network's output m; the reward is how far log L_g fell until
    the next call, less its running mean; the weights move along

        rate * (reward - baseline) * e / sigma * dm/dtheta.

    They are not trainable weights of the model: its optimiser never touches them.

    Args:
        noise_seed: `keras.random.SeedGenerator` of the exploration (the switch's, saved with it).
        units: width of the two hidden layers.
        sigma: standard deviation of the exploration in logits.
        rate: step size.
        initial_logit: m before training; 3 gives q = 0.95, "spatial information first".
        seed: of the initial weights.
    """

    def __init__(self, noise_seed, units=8, sigma=0.3, rate=0.05, initial_logit=3.0, seed=0, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.sigma, self.rate, self.momentum = sigma, rate, 0.9
        self.noise_seed = noise_seed
        sizes = (3, units, units, 1)
        self.kernels, self.biases = [], []
        for index, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
            kernel = keras.initializers.GlorotNormal(seed + index)
            bias = keras.initializers.Constant(initial_logit if columns == 1 else 0.0)
            self.kernels.append(self._add(f"kernel{index}", (rows, columns), kernel))
            self.biases.append(self._add(f"bias{index}", (columns,), bias))
        zeros = keras.initializers.Zeros()
        self.features = self._add("features", (1, 3), zeros)
        self.noise = self._add("noise", (), zeros)
        self.last_loss = self._add("last_loss", (), zeros)  # 0: no call yet
        self.baseline = self._add("baseline", (), zeros)
        self.built = True

    def _add(self, name, shape, initializer):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, dtype="float32", aggregation="none"
        )

    def load_own_variables(self, store):
        if not list(store.keys()):
            raise another_switch("ASTSGD(controller='network')", "none of that kind and name")
        super().load_own_variables(store)

    def call(self, spatial_loss, temporal_loss, main_loss, initial_loss):
        """Learns from the fall of the main loss since the last call, then returns the next q in (0, 1)."""
        losses = ops.stack([spatial_loss, temporal_loss, main_loss])
        measured = ops.all(ops.isfinite(losses))
        main_loss = ops.where(measured, main_loss, 0.0)  # as if it had not been called
        self.learn(main_loss)
        losses = ops.where(measured, losses, initial_loss)
        features = ops.log(ops.maximum(losses, 1e-12) / ops.maximum(initial_loss, 1e-12))
        self.features.assign(ops.reshape(features, (1, 3)))
        self.noise.assign(keras.random.normal((), dtype="float32", seed=self.noise_seed))
        self.last_loss.assign(main_loss)
        return ops.sigmoid(self.logit(self.features)[-1][0, 0] + self.sigma * self.noise)

    def logit(self, features):
        """Activations of all layers, the input first; the last is the logit, shape (1, 1)."""
        activations = [ops.convert_to_tensor(features)]
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1]):
            activations.append(ops.tanh(ops.matmul(activations[-1], kernel) + bias))
        activations.append(ops.matmul(activations[-1], self.kernels[-1]) + self.biases[-1])
        return activations

    def learn(self, main_loss):
        """One policy-gradient step; back-propagation through three layers is written out."""
        seen = ops.cast(ops.logical_and(self.last_loss > 0, main_loss > 0), "float32")
        floor = ops.maximum(main_loss, 1e-12)
        reward = seen * (ops.log(ops.maximum(self.last_loss, 1e-12)) - ops.log(floor))
        advantage = seen * (reward - self.baseline)
        self.baseline.assign(self.momentum * self.baseline + (1 - self.momentum) * reward)
        activations = self.logit(self.features)
        gradient = ops.reshape(advantage * self.noise / self.sigma, (1, 1))
        for index in reversed(range(3)):
            kernel, bias = self.kernels[index], self.biases[index]
            below = ops.matmul(gradient, ops.transpose(kernel)) * (1.0 - ops.square(activations[index]))
            kernel.assign(kernel + self.rate * ops.matmul(ops.transpose(activations[index]), gradient))
            bias.assign(bias + self.rate * gradient[0])
            gradient = below
