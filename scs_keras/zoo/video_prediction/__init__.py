"""TAU and the systems it is compared with: frames in, future frames out."""

from scs_keras.zoo.video_prediction.build import NAMES, build
from scs_keras.zoo.video_prediction.reference import load_reference

__all__ = ["NAMES", "build", "load_reference"]
