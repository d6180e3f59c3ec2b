"""scs-keras: the Semi-Coupled Structure for Keras 3, and a model zoo for sequences of images.

Importing it is quick: Keras and its backend are imported when something of them is used. From then on, in whichever
order the two were imported, `keras.saving.load_model` finds every class of this package.
"""

import importlib
import importlib.abc
import importlib.machinery
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from scs_keras import zoo
    from scs_keras.core import goals, metrics
    from scs_keras.core.analysis import branch_maps, expected_chains, temporal_importance
    from scs_keras.core.cell import SCSCell
    from scs_keras.core.heads import RecurrentHead, ScaleHeads
    from scs_keras.core.inputs import JoinInputs
    from scs_keras.core.layer import SCS2D
    from scs_keras.core.long_sequence import LTSC
    from scs_keras.core.model import SCSModel
    from scs_keras.core.network import SCSNetwork
    from scs_keras.core.stages import Stage
    from scs_keras.core.switch import ASTSGD, STSGD
    from scs_keras.core.switch_callbacks import SwitchCallback

__all__ = [
    "ASTSGD", "JoinInputs", "LTSC", "RecurrentHead", "SCS2D", "SCSCell", "SCSModel", "SCSNetwork", "STSGD",
    "ScaleHeads", "Stage", "SwitchCallback", "branch_maps", "expected_chains", "goals", "metrics",
    "temporal_importance", "zoo",
]  # fmt: skip

_HOME = {  # module of each name that is not a module itself
    "ASTSGD": "core.switch",
    "JoinInputs": "core.inputs",
    "LTSC": "core.long_sequence",
    "RecurrentHead": "core.heads",
    "SCS2D": "core.layer",
    "SCSCell": "core.cell",
    "SCSModel": "core.model",
    "SCSNetwork": "core.network",
    "STSGD": "core.switch",
    "ScaleHeads": "core.heads",
    "Stage": "core.stages",
    "SwitchCallback": "core.switch_callbacks",
    "branch_maps": "core.analysis",
    "expected_chains": "core.analysis",
    "temporal_importance": "core.analysis",
}
_MODULES = {"goals": "core.goals", "metrics": "core.metrics", "zoo": "zoo"}


def __getattr__(name: str):
    if name in _MODULES:
        if name != "zoo":
            import_keras()
        return importlib.import_module(f"scs_keras.{_MODULES[name]}")
    if name in _HOME:
        import_keras()
        return getattr(importlib.import_module(f"scs_keras.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scs_keras' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


class _RegisterWithKeras(importlib.abc.MetaPathFinder):
    """Imports `scs_keras.registered`, all classes that can be saved, after Keras: it finds only what was imported.

    The first to come, Keras or a module of ours that needs it, is imported as ever and the rest after it.
    """

    def find_spec(self, name, path=None, target=None):
        if name != "keras" and not name.startswith("scs_keras."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or not (name == "keras" or _needs_keras(spec.origin)):
            return None
        sys.meta_path.remove(self)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            importlib.import_module("scs_keras.registered")

        spec.loader.exec_module = exec_module
        return spec


def _needs_keras(path):
    return path and re.search(r"^(import|from) keras\b", Path(path).read_text(encoding="utf-8"), re.MULTILINE)


def import_keras():
    """Imports Keras.

    Raises:
        ImportError: it or its backend is missing; the message says what to type.
    """
    try:
        return importlib.import_module("keras")
    except (ImportError, ValueError) as error:  # Keras starts with its backend
        raise ImportError(
            f"scs-keras needs Keras with a backend, TensorFlow or JAX: {error}. "
            'Type: pip install "scs-keras[tensorflow]" (or [cpu], [cuda]), or set KERAS_BACKEND=jax.'
        ) from error


if sys.modules.get("keras"):
    importlib.import_module("scs_keras.registered")
else:
    sys.meta_path.insert(0, _RegisterWithKeras())
