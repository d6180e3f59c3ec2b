"""Metrics of video prediction, one value for each frame; and as Keras metrics, their means over samples and frames."""

from typing import Any

import keras
from keras import ops

from scs_keras.core.arguments import Tensor
from scs_keras.core.metric_values import MeanOf, paired_images, weighted_sum


def squared_error_per_frame(target: Tensor, prediction: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error summed over height, width and channels: (..., height, width, channels) -> (...).

    `mask` broadcasts to the target's shape and weighs the pixels. The published MSE of Moving MNIST and alike is the
    mean of this over samples and frames; values are compared as they are, never clipped.
    """
    target, prediction = paired_images(target, prediction)
    return weighted_sum(ops.square(prediction - target), mask, axis=(-3, -2, -1))


def absolute_error_per_frame(target: Tensor, prediction: Tensor, mask: Tensor | None = None) -> Tensor:
    """As `squared_error_per_frame`, of the absolute error."""
    target, prediction = paired_images(target, prediction)
    return weighted_sum(ops.abs(prediction - target), mask, axis=(-3, -2, -1))


def structural_similarity(
    target: Tensor, prediction: Tensor, data_range: float = 1.0, clip: tuple[float, float] | None = None
) -> Tensor:
    """SSIM of each frame as scikit-image computes it: (..., height, width, channels) -> (...), at most 1.

    Uniform 7x7 window, K1 = 0.01, K2 = 0.03, sample covariance, three border pixels left out, mean over channels.

    Args:
        target, prediction: same shape, height and width at least 7.
        data_range: largest minus smallest possible value: 1.0 for images in [0, 1]. The published tables of video
            prediction used 2.0 on such images, which gives higher values.
        clip: (low, high) to clip the prediction to, as those tables did with (0.0, 1.0); None leaves it.

    References:
        Wang et al. 2004; skimage.metrics.structural_similarity.
    """
    target, prediction = paired_images(target, prediction, clip)
    height, width, channels = target.shape[-3:]
    if height is not None and height < 7 or width is not None and width < 7:
        raise ValueError(f"SSIM needs frames of at least 7x7 pixels, its window. Received {height}x{width}.")
    leading = ops.shape(target)[:-3]
    shape = ops.shape(target)[-3:]
    target, prediction = ops.reshape(target, (-1, *shape)), ops.reshape(prediction, (-1, *shape))

    def window_mean(images):
        return ops.average_pool(images, 7, strides=1, padding="valid", data_format="channels_last")

    mean_t, mean_p = window_mean(target), window_mean(prediction)
    sample = 49 / 48
    variance_t = sample * (window_mean(target * target) - mean_t * mean_t)
    variance_p = sample * (window_mean(prediction * prediction) - mean_p * mean_p)
    covariance = sample * (window_mean(target * prediction) - mean_t * mean_p)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_t * mean_p + c1) / (mean_t * mean_t + mean_p * mean_p + c1)
    structure = (2 * covariance + c2) / (variance_t + variance_p + c2)
    return ops.reshape(ops.mean(luminance * structure, axis=(1, 2, 3)), leading)


def peak_signal_to_noise_ratio(
    target: Tensor, prediction: Tensor, data_range: float = 1.0, clip: tuple[float, float] | None = None
) -> Tensor:
    """PSNR of each frame in dB, 20 log10(data_range / RMSE): (..., height, width, channels) -> (...).

    Infinite where a frame is predicted exactly, NaN where a value is. `clip` as in `structural_similarity`.
    """
    target, prediction = paired_images(target, prediction, clip)
    error = ops.mean(ops.square(prediction - target), axis=(-3, -2, -1))
    exact = error == 0
    return ops.where(exact, float("inf"), -10.0 * ops.log10(ops.where(exact, 1.0, error) / data_range**2))


@keras.saving.register_keras_serializable("scs_keras")
class MeanSquaredErrorPerFrame(MeanOf):
    """Mean over samples and frames of `squared_error_per_frame`; sample_weight is (batch,) or (batch, time)."""

    def __init__(self, name: str = "mse_per_frame", dtype: Any = None) -> None:
        super().__init__(squared_error_per_frame, name, dtype)


@keras.saving.register_keras_serializable("scs_keras")
class MeanAbsoluteErrorPerFrame(MeanOf):
    """Mean over samples and frames of `absolute_error_per_frame`; sample_weight is (batch,) or (batch, time)."""

    def __init__(self, name: str = "mae_per_frame", dtype: Any = None) -> None:
        super().__init__(absolute_error_per_frame, name, dtype)


@keras.saving.register_keras_serializable("scs_keras")
class StructuralSimilarity(MeanOf):
    """Mean over samples and frames of `structural_similarity`; sample_weight is (batch,) or (batch, time)."""

    def __init__(
        self, data_range: float = 1.0, clip: tuple[float, float] | None = None, name: str = "ssim", dtype: Any = None
    ) -> None:
        super().__init__(structural_similarity, name, dtype, data_range=data_range, clip=clip)


@keras.saving.register_keras_serializable("scs_keras")
class PeakSignalToNoiseRatio(MeanOf):
    """Mean over samples and frames of `peak_signal_to_noise_ratio`; sample_weight is (batch,) or (batch, time)."""

    def __init__(
        self, data_range: float = 1.0, clip: tuple[float, float] | None = None, name: str = "psnr", dtype: Any = None
    ) -> None:
        super().__init__(peak_signal_to_noise_ratio, name, dtype, data_range=data_range, clip=clip)
