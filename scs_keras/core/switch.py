"""STSGD and ASTSGD: the switch that closes a branch's way down at random (Sec. 5.2).

With a certain probability a branch of a layer sees `stop_gradient(u)` instead of its input u: the
layer's own weights still learn, the layers below learn nothing through that branch (Eq. 17 and 19).
Values never change, only gradients.
"""

import contextlib
import math
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from scs_keras.core.arguments import Tensor, is_integer, is_number, python_number
from scs_keras.core.controller import Controller, another_switch

_SCOPE = []  # switches of the models that are training at the moment, innermost last


class Draw(NamedTuple):
    """What multiplies the gradient on its way down: 0 where closed; a scalar or one value a time step."""

    spatial: object
    temporal: object

    def over_time(self, rank: int) -> "Draw":
        """The same, to be broadcast over a time-major sequence with `rank` axes."""
        return Draw(*(ops.reshape(scale, (-1,) + (1,) * (rank - 1)) for scale in self))


@ops.custom_gradient
def use_branch(u: Tensor, scale: Tensor) -> Any:
    """u, with the gradient that flows back through it multiplied by `scale`.

    At scale 0 this is stop_gradient(u), at scale 1 it is u; values are never changed. (Written as
    stop_gradient(u) + scale * (u - stop_gradient(u)) it would cost six more passes over a layer's input.)
    """

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return upstream * ops.cast(scale, upstream.dtype), ops.zeros_like(scale)

    return u, gradient


@contextlib.contextmanager
def switch_scope(switch: "Switch | None") -> Iterator[None]:
    """Layers called inside use `switch` while training, unless it is None."""
    _SCOPE.append(switch)
    try:
        yield
    finally:
        _SCOPE.pop()


def active_switch(own: "Switch | None", training: bool) -> "Switch | None":
    """The switch a layer must obey: its own, or that of the model that calls it; None if not training.

    Raises:
        ValueError: if both are there.
    """
    if not training:
        return None
    given = _SCOPE[-1] if _SCOPE else None
    if own is not None and given is not None and own is not given:
        raise ValueError(
            "A switch was given twice: to `compile(switch=...)` and to a layer "
            f"({given.name!r} and {own.name!r}). Remove `switch=` from the layers or from `compile`."
        )
    return own or given


def check_switch(switch: "Switch | None") -> "Switch | None":
    """Returns `switch`; raises ValueError if it is neither a switch nor None."""
    if switch is not None and not isinstance(switch, Switch):
        raise ValueError(
            f"`switch` must be an STSGD, an ASTSGD or None. Received: switch={switch!r}. "
            "For example: switch=STSGD(0.5)."
        )
    return switch


def read(variable: Any) -> np.ndarray:
    """The value of a variable as NumPy's, also inside a `strategy.scope()`: that of the first replica."""
    return ops.convert_to_numpy(ops.convert_to_tensor(variable))


def check_replicas(switch: "Switch | None", model: keras.Model) -> None:
    """Raises ValueError if the model is trained on several replicas and the switch was made outside their scope."""
    strategy: Any = getattr(model, "distribute_strategy", None)  # of TensorFlow's models
    if switch is None or strategy is None or strategy.num_replicas_in_sync == 1:
        return
    if not all(strategy.extended.variable_created_in_scope(variable.value) for variable in switch.variables):
        raise ValueError(
            "A switch made outside `strategy.scope()` draws differently on each replica. Allowed: one made inside. "
            f"Received: {switch.name!r} for {strategy.num_replicas_in_sync} replicas. Write "
            f"`with strategy.scope(): switch = {type(switch).__name__}(...)`."
        )


def check_probability(name: str, value: Any) -> float:
    """`value` as a float; raises ValueError unless `value` is a number in [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` is a probability and must lie in [0, 1]. Received: {name}={value!r}. For example: {name}=0.5."
        )
    return float(value)


class Switch(keras.Layer):
    """Base of the two switches: draws which branches are open.

    Args:
        keep_one: True re-opens one branch where both were closed.
        unbiased: True divides by the probability to be open, so that the expected gradient is the
            full one (E[gamma] = 1 - p in Eq. 18).
        seed: integer; the draws are a function of it and of the number of draws so far, both saved
            with the weights. None draws one, another for each switch, which follows
            `keras.utils.set_random_seed`; `switch.seed` tells it. TensorFlow's XLA (`jit_compile=True`) has
            another random generator: for one seed its draws are others than those without it.

    For a model in a `strategy.scope()` the switch is made there too, so that all replicas draw alike.

    Raises:
        ValueError: if `seed` is neither an integer nor None.
    """

    def __init__(self, keep_one: bool = False, unbiased: bool = False, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_one = keep_one
        self.unbiased = unbiased
        if seed is not None and not is_integer(seed):
            raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}. For example: seed=1.")
        self.seed = random.randint(1, 10**9) if seed is None else int(seed)  # Keras draws its own like this
        self.draws = keras.random.SeedGenerator(self.seed)
        self.built = True

    def _value(self, name, value, dtype="float32"):
        """A saved variable; every replica assigns the same value to its own copy."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            dtype=dtype,
            autocast=False,  # exact also inside layers with mixed precision
            aggregation="none",
        )

    def probabilities(self) -> tuple[Tensor, Tensor]:
        """(spatial, temporal): the probabilities that each branch is closed, scalars in [0, 1]."""
        raise NotImplementedError

    def temporal_share(self) -> Tensor:
        """Probability that `keep_one` re-opens the temporal branch rather than the spatial one."""
        return ops.convert_to_tensor(0.5, dtype="float32")

    def draw(self, steps: Any = None) -> Draw:
        """Draws anew for one layer: a scalar scale for each branch, or one for each of `steps` time steps."""
        shape = (3,) if steps is None else (3, steps)
        chance = keras.random.uniform(shape, dtype="float32", seed=self.draws)
        p_s, p_t = self.probabilities()
        closed_s, closed_t = chance[0] < p_s, chance[1] < p_t
        open_s, open_t = 1.0 - p_s, 1.0 - p_t
        if self.keep_one:
            share = self.temporal_share()
            both, temporal = ops.logical_and(closed_s, closed_t), chance[2] < share
            closed_t = ops.logical_and(closed_t, ops.logical_not(ops.logical_and(both, temporal)))
            closed_s = ops.logical_and(closed_s, ops.logical_or(ops.logical_not(both), temporal))
            open_s, open_t = open_s + p_s * p_t * (1.0 - share), open_t + p_s * p_t * share

        def scale(closed, probability):
            value = ops.where(closed, 0.0, 1.0)
            return value / ops.maximum(probability, 1e-7) if self.unbiased else value

        return Draw(scale(closed_s, open_s), scale(closed_t, open_t))

    def advance(self, steps: Any = 1.0) -> None:
        """Tells the switch that the optimiser made `steps` steps."""

    def update(self, spatial_loss: Tensor, temporal_loss: Tensor, main_loss: Tensor) -> None:
        """Tells the switch the losses of T1 (L_s), T2 (L_t) and T (L_g), scalars."""

    def validate(self) -> None:
        """Raises ValueError if what was measured so far contradicts the arguments."""

    def logs(self) -> dict[str, keras.Variable]:
        """{name: variable} for progress bars and logs."""
        raise NotImplementedError

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["draws"] = read(self.draws.state)
        store["kind"] = self.kind

    def load_own_variables(self, store: Any) -> None:
        names = set(store.keys())
        if "draws" not in names or ("kind" in names and not np.array_equal(store["kind"], self.kind)):
            found = bytes(store["kind"]).decode() if "kind" in names else "none of that kind and name"
            raise another_switch(bytes(self.kind).decode(), found)
        self.draws.state.assign(store["draws"])
        super().load_own_variables({key: store[key] for key in names - {"draws", "kind"}})

    @property
    def kind(self) -> np.ndarray:
        """The name of the class, as bytes that a weights file can hold."""
        return np.frombuffer(type(self).__name__.encode(), "uint8")

    def get_config(self) -> dict:
        own = dict(keep_one=self.keep_one, unbiased=self.unbiased, seed=self.seed)
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("scs_keras")
class STSGD(Switch):
    """Spatial-Temporal Switch Gradient Descent (Eq. 17-18): both branches close with probability p.

    The variable `p` falls linearly to 0 over `decay_steps` optimiser steps.

    Args:
        p: initial probability for both branches, in [0, 1]; 0.5 is the paper's.
        spatial, temporal: probabilities for one branch by itself, in [0, 1]; the other is then 0
            unless given too. `STSGD(temporal=0.5)` is the predecessor CBM. `p` is then the larger.
        decay_steps: positive number of optimiser steps until 0, or None: constant.
        keep_one, unbiased, seed: see `Switch`; `keep_one` re-opens a random branch.

    Raises:
        ValueError: if a probability is outside [0, 1] or `decay_steps` is not positive.
    """

    def __init__(
        self,
        p: float = 0.5,
        spatial: float | None = None,
        temporal: float | None = None,
        decay_steps: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        single = spatial is not None or temporal is not None
        p = check_probability("p", p)
        p_s = check_probability("spatial", spatial or 0.0) if single else p
        p_t = check_probability("temporal", temporal or 0.0) if single else p_s
        if decay_steps is not None and not (is_number(decay_steps) and decay_steps > 0):
            raise ValueError(
                "`decay_steps` is the number of optimiser steps until p is 0 and must be positive, "
                f"or None for a constant p. Received: decay_steps={decay_steps!r}."
            )
        arguments = dict(p=p, spatial=spatial, temporal=temporal, decay_steps=decay_steps)
        self.config = {name: python_number(value) for name, value in arguments.items()}
        self.decay_steps = self.config["decay_steps"]
        self.p0 = max(p_s, p_t)
        self.shares = (p_s / self.p0, p_t / self.p0) if self.p0 else (0.0, 0.0)
        self.p = self._value("p", self.p0)
        self.steps = self._value("steps", 0.0)

    def probabilities(self) -> tuple[Tensor, Tensor]:
        return self.p * self.shares[0], self.p * self.shares[1]

    def advance(self, steps: Any = 1.0) -> None:
        self.steps.assign_add(steps)
        if self.decay_steps is not None:
            self.p.assign(self.p0 * ops.maximum(0.0, 1.0 - self.steps / self.decay_steps))

    def logs(self) -> dict[str, keras.Variable]:
        return {"p": self.p}

    def get_config(self) -> dict:
        return {**super().get_config(), **self.config}


@keras.saving.register_keras_serializable("scs_keras")
class ASTSGD(Switch):
    """Advanced STSGD (Eq. 19-20): the temporal branch closes with probability q, the spatial with 1 - q.

    The variable `q` is 1 until the first losses and is then set from them:

        q = q0 + (1 - q0) * max(0, L_s - threshold) / (initial_loss - threshold)
              * (alpha * (L_g / L_s - 1) + 1),         clipped to [0, 1].

    Args:
        q0: value q falls to, in [0, 1].
        threshold: L_s at which q reaches q0; None takes initial_loss / ln 400, the ratio of the
            reference's 400-class task, so that it fits losses of any size.
        alpha: the larger, the more L_g / L_s weighs.
        initial_loss: first value of L_g, for example ln(classes); None measures it on the first batch.
        controller: "formula" (Eq. 20) or "network": three dense layers on (L_s, L_t, L_g) choose q.
            The paper gives no training rule for it; ours is in `Controller`.
        keep_one, unbiased, seed: see `Switch`; `keep_one` follows the reference: it re-opens the
            temporal branch if q < 0.5, else the spatial one.

    Raises:
        ValueError: if q0 is outside [0, 1], `threshold` or `alpha` is no number, `controller` is unknown,
            or the initial loss is not positive or not above the threshold. A measured one: from `validate`,
            which `SwitchCallback` and SCSModel's `fit` and `train_on_batch` call; in a training loop of your
            own call it after a batch.
    """

    def __init__(
        self,
        q0: float = 0.5,
        threshold: float | None = None,
        alpha: float = 1.0,
        initial_loss: float | None = None,
        controller: str = "formula",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if controller not in ("formula", "network"):
            raise ValueError(
                f"`controller` must be 'formula' (Eq. 20) or 'network'. Received: controller={controller!r}."
            )
        if initial_loss is not None and not (is_number(initial_loss) and initial_loss > 0):
            raise ValueError(
                "`initial_loss` must be positive, or None to measure it. "
                f"Received: initial_loss={initial_loss!r}. For example: initial_loss=math.log(classes)."
            )
        if threshold is not None and not is_number(threshold):
            raise ValueError(
                "`threshold` must be a number below the initial loss, or None for initial_loss / ln 400. "
                f"Received: threshold={threshold!r}. For example: threshold=1.0."
            )
        if not is_number(alpha):
            raise ValueError(f"`alpha` must be a number. Received: alpha={alpha!r}. For example: alpha=1.0.")
        self.q0 = check_probability("q0", q0)
        arguments = dict(q0=q0, threshold=threshold, alpha=alpha, initial_loss=initial_loss)
        self.config = {name: python_number(value) for name, value in arguments.items()} | dict(controller=controller)
        self.threshold: Any = self.config["threshold"]
        self.alpha = self.config["alpha"]
        self.q = self._value("q", 1.0)
        self.initial_loss = self._value("initial_loss", initial_loss or 0.0)  # 0: not measured yet
        self.network = Controller(self.draws) if controller == "network" else None
        if initial_loss is not None:
            self._check_initial_loss(float(initial_loss))

    def validate(self) -> None:
        self._check_initial_loss(float(read(self.initial_loss)))

    def _check_initial_loss(self, initial_loss):
        if initial_loss and self.threshold is not None and initial_loss <= self.threshold:
            raise ValueError(
                "`threshold` must be below the initial loss, because q falls while the spatial loss goes "
                f"from the one to the other (Eq. 20). Received: threshold={self.threshold}, initial "
                f"loss={initial_loss:.6g}. Use threshold=None or, for example, "
                f"threshold={initial_loss / math.log(400):.3g}."
            )

    def probabilities(self) -> tuple[Tensor, Tensor]:
        q = ops.convert_to_tensor(self.q)
        return 1.0 - q, q

    def temporal_share(self) -> Tensor:
        return ops.cast(self.q < 0.5, "float32")

    def update(self, spatial_loss: Tensor, temporal_loss: Tensor, main_loss: Tensor) -> None:
        L_s, L_t, L_g = (
            ops.cast(ops.stop_gradient(loss), "float32") for loss in (spatial_loss, temporal_loss, main_loss)
        )
        initial_loss = ops.convert_to_tensor(self.initial_loss)
        measured = ops.where(ops.isfinite(L_g), L_g, 0.0)  # an infinite one would hold q for good
        self.initial_loss.assign(ops.where(initial_loss > 0, initial_loss, measured))
        q = self.formula(L_s, L_g) if self.network is None else self.network(L_s, L_t, L_g, self.initial_loss)
        self.q.assign(ops.where(ops.isfinite(q), ops.clip(q, 0.0, 1.0), ops.convert_to_tensor(self.q)))

    def formula(self, L_s: Tensor, L_g: Tensor) -> Tensor:
        """Eq. 20, not clipped; L_s is floored so that L_g / L_s stays finite."""
        initial = ops.convert_to_tensor(self.initial_loss)
        threshold = initial / math.log(400) if self.threshold is None else self.threshold
        distance = ops.maximum(0.0, L_s - threshold) / ops.maximum(initial - threshold, 1e-12)
        ratio = L_g / ops.maximum(L_s, 1e-12)
        return self.q0 + (1.0 - self.q0) * distance * (self.alpha * (ratio - 1.0) + 1.0)

    def logs(self) -> dict[str, keras.Variable]:
        return {"q": self.q}

    def get_config(self) -> dict:
        return {**super().get_config(), **self.config}
