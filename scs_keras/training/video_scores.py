"""Scores of predicted videos, as the benchmark defines them, and their tables."""

from collections.abc import Callable, Mapping

import keras
import numpy as np

from scs_keras.core.metrics import (
    absolute_error_per_frame,
    peak_signal_to_noise_ratio,
    squared_error_per_frame,
    structural_similarity,
)
from scs_keras.training.data.video import Videos
from scs_keras.training.scores import check_forecast, table_rows
from scs_keras.training.video_validation import spread

_CLIP = (0.0, 1.0)  # predictions are clipped for SSIM and PSNR, not for the errors

_METRICS = {
    "mse": squared_error_per_frame,
    "mae": absolute_error_per_frame,
    "ssim": lambda target, predicted: structural_similarity(target, predicted, data_range=1.0, clip=_CLIP),
    "ssim_published": lambda target, predicted: structural_similarity(target, predicted, data_range=2.0, clip=_CLIP),
    "psnr": lambda target, predicted: peak_signal_to_noise_ratio(target, predicted, clip=_CLIP),
}

METRICS = tuple(_METRICS)
"""Mean over sequences and frames of: squared and absolute error summed over a frame's pixels and channels; SSIM with
the range of the values, 1; SSIM with the range 2 of the published tables; PSNR in dB."""

_TITLES = {"mse": "MSE", "mae": "MAE", "ssim": "SSIM", "ssim_published": "SSIM (range 2)", "psnr": "PSNR"}

Prediction = Callable[[np.ndarray], np.ndarray]


def evaluate_videos(
    predictions: Mapping[str, Prediction],
    videos: Videos,
    input_length: int,
    limit: int | None = None,
    batch_size: int = 8,
    channels: int | None = None,
):
    """Scores predictions on sequences.

    Args:
        predictions: name: function from float32 (batch, input_length, height, width, channels) in [0, 1] to (batch,
            output_length, height, width, channels).
        videos: sequences of input_length + output_length frames.
        input_length: frames that a prediction sees.
        limit: score so many sequences, evenly spread; None for all.
        batch_size: sequences a call.
        channels: so many of the first channels are predicted; None for all.

    Returns:
        ({prediction: {metric: value}}, {prediction: {metric: [value for each lead time]}}) for METRICS. None where a
        score is not finite (PSNR of a frame that is predicted exactly).

    Raises:
        ValueError: a prediction has the wrong shape, or NaN; limit is below 1.
    """
    sums = {name: dict.fromkeys(METRICS, 0.0) for name in predictions}
    indices = spread(len(videos), limit)
    for start in range(0, len(indices), batch_size):
        sequences = np.stack([videos[index] for index in indices[start : start + batch_size]])
        target = sequences[:, input_length:, ..., :channels]
        for name, predict in predictions.items():
            made = np.asarray(predict(sequences[:, :input_length]))
            check_forecast(name, made, target, videos.name)
            for metric, score in _METRICS.items():
                values = keras.ops.convert_to_numpy(score(target, made)).astype("float64")  # (batch, lead time)
                sums[name][metric] = sums[name][metric] + values.sum(axis=0)
    by_lead = {name: {m: total / len(indices) for m, total in each.items()} for name, each in sums.items()}
    pooled = {name: {m: _finite(values.mean()) for m, values in each.items()} for name, each in by_lead.items()}
    return pooled, {
        name: {m: [_finite(value) for value in values] for m, values in each.items()} for name, each in by_lead.items()
    }


def persistence(output_length: int, channels: int | None = None) -> Prediction:
    """The prediction that every model has to beat: the last frame (its first `channels`) stays."""
    return lambda frames: np.repeat(frames[:, -1:, ..., :channels], output_length, axis=1)


def format_table(results: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """{data: {prediction: {metric: value}}} as text."""
    blocks = []
    for data, predictions in results.items():
        rows = {name: [_cell(metric, scores[metric]) for metric in METRICS] for name, scores in predictions.items()}
        lines = [f"{data} (MSE and MAE per frame, summed over its pixels; PSNR in dB; - is not defined)"]
        blocks.append("\n".join([*lines, "", *table_rows([_TITLES[metric] for metric in METRICS], rows)]))
    return "\n\n\n".join(blocks)


def format_lead_table(results: Mapping[str, Mapping[str, Mapping[str, list[float | None]]]]) -> str:
    """{data: {prediction: {metric: list}}} as text, a block per metric and a column per lead time."""
    blocks = []
    for data, predictions in results.items():
        lines = [f"{data}, by lead time in frames"]
        for metric in METRICS:
            rows = {name: [_cell(metric, value) for value in scores[metric]] for name, scores in predictions.items()}
            leads = range(1, 1 + max(map(len, rows.values())))
            lines += ["", *table_rows([f"+{lead}" for lead in leads], rows, _TITLES[metric])]
        blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks)


def _finite(value) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cell(metric, value):
    return "-" if value is None else f"{value:.4f}" if metric.startswith("ssim") else f"{value:.2f}"
