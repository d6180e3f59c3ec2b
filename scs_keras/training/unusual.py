"""Whether frames are like those of a data set: of others a model trained on it says little."""

from collections.abc import Callable, Mapping

import numpy as np

STATISTICS: dict[str, Callable[[np.ndarray], float]] = {  # of frames in [0, 1]
    "share of black": lambda frames: float((frames < 0.05).mean()),  # below it looks black
    "mean": lambda frames: float(frames.mean()),
    "standard deviation": lambda frames: float(frames.std()),
}


def unusual(frames: np.ndarray, usual: Mapping[str, tuple[float, float]]) -> str:
    """Which statistics of the frames lie outside of the usual ones, in words; "" if none does.

    Args:
        frames: of any shape, in [0, 1].
        usual: {name of a statistic: (least, most)}.
    """
    values = {name: STATISTICS[name](frames) for name in usual}
    return ", ".join(
        f"{name} {value:.2f} (there {usual[name][0]:g} to {usual[name][1]:g})"
        for name, value in values.items()
        if not usual[name][0] <= value <= usual[name][1]
    )
