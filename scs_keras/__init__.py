"""scs-keras: the Semi-Coupled Structure for Keras 3, and a model zoo for sequences of images."""

from scs_keras.analysis import expected_chains, temporal_importance
from scs_keras.cell import SCSCell
from scs_keras.layer import SCS2D
from scs_keras.long_sequence import LTSC
from scs_keras.model import SCSModel
from scs_keras.network import SCSNetwork, Stage
from scs_keras.switch import ASTSGD, STSGD, SwitchCallback

__version__ = "0.1.0"
