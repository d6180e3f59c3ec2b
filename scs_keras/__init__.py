"""scs-keras: the Semi-Coupled Structure for Keras 3, and a model zoo for sequences of images."""

try:
    import keras  # noqa: F401
except (ImportError, ValueError) as error:  # Keras starts with its backend
    raise ImportError(
        f"scs-keras needs Keras with a backend, TensorFlow or JAX: {error}. "
        'Type: pip install "scs-keras[tensorflow]" (or [cpu], [cuda]), or set KERAS_BACKEND=jax.'
    ) from error

from scs_keras.analysis import expected_chains, temporal_importance
from scs_keras.cell import SCSCell
from scs_keras.layer import SCS2D
from scs_keras.long_sequence import LTSC
from scs_keras.model import SCSModel
from scs_keras.network import SCSNetwork, Stage
from scs_keras.switch import ASTSGD, STSGD
from scs_keras.switch_callbacks import SwitchCallback

__all__ = [
    "ASTSGD", "LTSC", "SCS2D", "SCSCell", "SCSModel", "SCSNetwork", "STSGD", "Stage", "SwitchCallback",
    "expected_chains", "temporal_importance",
]  # fmt: skip
__version__ = "0.1.0"
