"""Scores of predicted videos, as the benchmark defines them, and the baselines."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from scs_keras.core.goals import advect
from scs_keras.core.metrics import (
    absolute_error_per_frame,
    peak_signal_to_noise_ratio,
    squared_error_per_frame,
    structural_similarity,
)
from scs_keras.training.samples import Samples
from scs_keras.training.scores import Column, Scores, check_output, finite
from scs_keras.training.task import Prediction
from scs_keras.zoo.preset import Preset

_CLIP = (0.0, 1.0)  # predictions are clipped for SSIM and PSNR, not for the errors

_METRICS = {
    "mse": squared_error_per_frame,
    "mae": absolute_error_per_frame,
    "ssim": lambda target, predicted: structural_similarity(target, predicted, data_range=1.0, clip=_CLIP),
    "ssim_published": lambda target, predicted: structural_similarity(target, predicted, data_range=2.0, clip=_CLIP),
    "psnr": lambda target, predicted: peak_signal_to_noise_ratio(target, predicted, clip=_CLIP),
}


class VideoScores(Scores):
    """Means over sequences and frames of the benchmark's metrics; also for each lead time.

    None where a score is not finite: PSNR where a frame is predicted exactly.
    """

    columns = (
        Column("mse", "MSE", digits=2),
        Column("mae", "MAE", digits=2),
        Column("ssim", "SSIM", better="higher"),
        Column("ssim_published", "SSIM (range 2)", better="higher"),
        Column("psnr", "PSNR", digits=2, better="higher"),
    )
    notes = (
        "MSE and MAE are sums over a frame's pixels, means over frames; values are in [0, 1]. SSIM has the range 1 of "
        "the values, SSIM (range 2) that of the published tables. PSNR in dB."
    )

    def __init__(self, preset: Preset | None = None):
        self.sums: dict[str, np.ndarray | float] = dict.fromkeys(_METRICS, 0.0)
        self.count = 0

    def add(self, target: np.ndarray, output: np.ndarray, weight: None, about: Mapping[str, Any]) -> None:
        """Adds a sequence: target and output (time, height, width, channels)."""
        check_output(target, output, about)
        for metric, score in _METRICS.items():
            values = keras.ops.convert_to_numpy(score(target[None], output[None])).astype("float64")  # (1, lead time)
            self.sums[metric] = self.sums[metric] + values[0]
        self.count += 1

    def result(self) -> dict[str, float | None]:
        return {metric: finite(np.mean(total) / self.count) for metric, total in self.sums.items()}

    def parts(self) -> dict[str, dict[str, dict[str, float | None]]]:
        leads = range(len(np.atleast_1d(self.sums["mse"])))
        by_lead = {
            f"+{lead + 1}": {metric: finite(total[lead] / self.count) for metric, total in self.sums.items()}
            for lead in leads
        }
        return {"lead time in frames": by_lead}


def baselines(preset: Preset, samples: Samples, train: Callable[[], Samples]) -> dict[str, Prediction]:
    """`simple_predictions`, which a model has to beat; samples say with `advection` whether they are carried along."""
    return simple_predictions(preset.output_shape[0], preset.output_shape[-1], getattr(samples, "advection", False))


def simple_predictions(steps: int, channels: int, advection: bool = False) -> dict[str, Prediction]:
    """`persistence` (the last frame stays), and `advection` (it moves on along the flow of the observed frames).

    Args:
        steps: number of frames to predict.
        channels: so many of the first channels are predicted.
        advection: whether what is seen is carried along as a whole, as rain on radar is; with fewer than two observed
            frames there is no flow, and the last frame stays.
    """

    def stay(frames, about):
        return np.repeat(frames[:, -1:, ..., :channels], steps, axis=1)

    def move(frames, about):
        if frames.shape[1] < 2:
            return stay(frames, about)
        return keras.ops.convert_to_numpy(advect(frames[..., :channels], steps))

    return {"persistence": stay, **({"advection": move} if advection else {})}
