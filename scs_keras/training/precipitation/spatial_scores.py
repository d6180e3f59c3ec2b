"""Sums for the fractions skill score and for the power spectrum of images."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np


def box_sums(fields: np.ndarray, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """Sums over the square of size x size pixels around each pixel; what lies outside the image counts as 0.

    Args:
        fields: (..., height, width), integers or floats.
        sizes: sides of the squares in pixels; an even one reaches one pixel further up and to the left.

    Yields:
        For each size the same shape; of integers int32.
    """
    (height, width), reach = fields.shape[-2:], max(sizes)
    before, after = reach // 2 + 1, reach - reach // 2 - 1
    dtype = "int32" if fields.dtype.kind in "bui" else "float64"
    padded = np.pad(fields, [(0, 0)] * (fields.ndim - 2) + 2 * [(before, after)])
    total = padded.cumsum(axis=-2, dtype=dtype).cumsum(axis=-1, dtype=dtype)
    for size in sizes:
        start = before - 1 - size // 2
        rows = total[..., start + size :, :][..., :height, :] - total[..., start:, :][..., :height, :]
        yield rows[..., start + size :][..., :width] - rows[..., start:][..., :width]


def fraction_sums(observed: np.ndarray, forecast: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """What the fractions skill score FSS = 1 - error / reference is made of (Roberts and Lean, 2008).

    Args:
        observed, forecast: bool (..., height, width), where rain reaches a threshold.
        sizes: sides in pixels of the squares in which fractions are taken.

    Returns:
        (..., sizes, 2): Σ (f - o)² and Σ f² + Σ o² over pixels, of the fractions o and f.
    """
    error = observed.astype("int8") - forecast.astype("int8")
    return np.stack(
        [
            np.stack([_square_sum(missing), _square_sum(made) + _square_sum(made + missing)], axis=-1) / size**4
            for size, missing, made in zip(sizes, box_sums(error, sizes), box_sums(forecast, sizes))
        ],
        axis=-2,
    )


def _square_sum(counts):
    flat = counts.reshape(*counts.shape[:-2], -1).astype("float64")
    return np.einsum("...i,...i->...", flat, flat)


def band_power(images: np.ndarray, wavelengths: tuple[float, float]) -> np.ndarray:
    """Mean of the radially averaged power spectral density over the rings between two wavelengths.

    Args:
        images: (..., height, width).
        wavelengths: the shortest and the longest in pixels, both inclusive.

    Returns:
        (...); 0 where the image is too small to have such a ring.
    """
    height, width = images.shape[-2:]
    weights = _ring_weights(height, width, *wavelengths)
    power = np.square(np.abs(np.fft.rfft2(images))) / (height * width)
    return np.einsum("...yx,yx->...", power, weights)


@functools.lru_cache(maxsize=32)
def _ring_weights(height, width, shortest, longest):
    """float64 (height, width // 2 + 1): how much each mode of `rfft2` counts in the mean over rings."""
    side = max(height, width)
    modes = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) * side
    rings = np.arange(1, (side + 1) // 2)
    rings = rings[(rings * longest >= side) & (rings * shortest <= side)]
    weights = np.zeros((height, width))
    for ring in rings:
        members = modes.round() == ring
        weights[members] = 1 / (members.sum() * len(rings))
    half = weights[:, : width // 2 + 1].copy()
    half[:, 1 : (width + 1) // 2] *= 2  # the other half of a real image's spectrum
    return half
