"""One dtype for a whole model."""

import contextlib

import keras


@contextlib.contextmanager
def default_dtype(policy):
    """Layers made inside get this dtype policy (None: the global one), so that a whole model has one dtype."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(before if policy is None else keras.dtype_policies.get(policy))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
