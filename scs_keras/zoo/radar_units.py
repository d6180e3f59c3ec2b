"""Rain rate, reflectivity and the 0-1 images that the precipitation models see.

    Z = 200 R^1.6 (Marshall and Palmer, 1948),  dBZ = 10 log10 Z,  scaled = dBZ / 70 clipped to [0, 1]

Every function takes NumPy arrays and numbers of any shape (and returns NumPy) as well as tensors (and returns tensors
of the running Keras backend).
"""

import math

import keras
import numpy as np

FULL_SCALE_DBZ = 70.0
MARSHALL_PALMER_A = 200.0
MARSHALL_PALMER_B = 1.6
LEVELS = (0.5, 2, 5, 10)
"""Rain rates in mm/h: the probability of at least so much is forecast, written, drawn and scored."""
DETECTABLE = 0.05
"""mm/h: weaker rain of a forecast is none."""
PAPER_THRESHOLD = 0.5
"""The threshold of the paper's CSI, FAR, POD and correlation, on the scaled image: 35 dBZ, 5.6 mm/h."""

_DBZ_OF_1_MM_H = 10.0 * math.log10(MARSHALL_PALMER_A)
_DRY_MM_H = 1e-6  # far below 0 dBZ (0.036 mm/h): keeps the logarithm of dry pixels finite until they are clipped to 0


def rain_to_scaled(rain_mm_h):
    """Rain rate in mm/h (0 and more) to the scaled image in [0, 1]; all below 0 dBZ (0.036 mm/h) becomes 0, and so does
    what is not a number: it was not measured."""
    ops = _ops(rain_mm_h)
    rain = _float(rain_mm_h)
    wet = ops.maximum(ops.where(ops.isnan(rain), ops.zeros_like(rain), rain), _DRY_MM_H)
    dbz = _DBZ_OF_1_MM_H + 10.0 * MARSHALL_PALMER_B * ops.log10(wet)
    return dbz_to_scaled(dbz)


def scaled_to_rain(scaled):
    """The scaled image (clipped to [0, 1]) to rain rate in mm/h; 0 becomes 0, 1 becomes 865 mm/h."""
    ops = _ops(scaled)
    scaled = ops.clip(_float(scaled), 0.0, 1.0)
    exponent = (FULL_SCALE_DBZ * scaled - _DBZ_OF_1_MM_H) / (10.0 * MARSHALL_PALMER_B)
    return ops.where(scaled > 0.0, 10.0**exponent, ops.zeros_like(scaled))


def detectable_rain(scaled):
    """As `scaled_to_rain`, and 0 below what a radar detects: of a forecast, which never is quite 0 by itself."""
    rain = scaled_to_rain(scaled)
    ops = _ops(rain)
    return ops.where(rain < DETECTABLE, ops.zeros_like(rain), rain)


def scaled_to_dbz(scaled):
    """The scaled image to reflectivity in dBZ (0 to 70 for 0 to 1); dry pixels are 0 dBZ."""
    return FULL_SCALE_DBZ * _float(scaled)


def dbz_to_scaled(dbz):
    """Reflectivity in dBZ to the scaled image, clipped to [0, 1]."""
    return _ops(dbz).clip(_float(dbz) / FULL_SCALE_DBZ, 0.0, 1.0)


def _is_numpy(value):
    return isinstance(value, (np.ndarray, np.generic, int, float, list, tuple))


def _ops(value):
    return np if _is_numpy(value) else keras.ops


def _float(value):
    """Integers and lists as float32; floating values keep their type (plain numbers stay float64)."""
    if not _is_numpy(value):
        return value if keras.backend.is_float_dtype(value.dtype) else keras.ops.cast(value, "float32")
    value = np.asarray(value)
    return value if np.issubdtype(value.dtype, np.floating) else value.astype("float32")
