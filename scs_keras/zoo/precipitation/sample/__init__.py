"""The radar sequences that ship with the project; README.md beside them has their sources and licences."""

from pathlib import Path

import numpy as np

from scs_keras.zoo.preset import Preset
from scs_keras.zoo.radar_units import rain_to_scaled

SAMPLE = Path(__file__).parent / "meteonet_SE_20160828a.npz"
"""Of the presets' examples."""
DEMO_EVENT = Path(__file__).parent / "mrms_florida_20190610.npz"
"""Of the demo: heavier rain."""
_CORNER, _SIDE = 96, 64  # pixels


def observed(preset: Preset) -> np.ndarray:
    """The first images of `SAMPLE`, as the preset's models see them.

    Returns:
        float32 (1, time, height, width, 1), as many images as the preset observes; of 64 x 64 pixels at most.
    """
    time, *frame, _ = preset.input_shape
    rows, columns = (slice(_CORNER, _CORNER + min(size, _SIDE)) for size in frame)
    with np.load(SAMPLE, allow_pickle=False) as arrays:
        rain, valid = arrays["rain"][:time, rows, columns], arrays["valid"][rows, columns]
    rain_mm_h = np.where(valid, rain, 0).astype("float32") / np.float32(100)  # stored in 0.01 mm/h
    return rain_to_scaled(rain_mm_h)[None, ..., None]
