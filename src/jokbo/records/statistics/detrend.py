"""Noise of a log: what a local parabola leaves, robust against single spikes.

A running least-squares parabola (Savitzky and Golay 1964, Analytical Chemistry 36) follows a loss
curve without bias up to its third derivative, so that the steep beginning leaves no trend behind.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

WINDOW = 33
"""Rows of the running parabola; noise slower than that is counted as trend."""

CLIP = 4.0
"""Robust deviations beyond which a value is pulled in: loss spikes are events, not noise."""

EXAMINED = 512
"""Values of a block that its deviation is taken from."""


def residuals(values: Float64[np.ndarray, " n"], window: int = WINDOW) -> Float64[np.ndarray, " n"]:
    """Values less their local parabola; spikes bend neither it nor themselves beyond :data:`CLIP` deviations.

    Fewer than `window` values leave nothing to estimate, and give zeros.

    Examples
    --------
    >>> bool(np.allclose(residuals(np.arange(100.0) ** 2), 0))
    True
    """
    from scipy.ndimage import median_filter
    from scipy.signal import savgol_filter

    if len(values) < window:
        return np.zeros(len(values))
    first = values - savgol_filter(values, window, 2)
    scale = local_scale(first)
    # Spikes are found against a running median, which they do not bend.
    rough = values - median_filter(values, 5, mode="nearest")
    spike = np.abs(rough) > 2 * CLIP * np.maximum(scale, np.finfo(np.float64).tiny)
    if spike.any():
        tame = np.where(spike, values - rough, values)
        first = values - savgol_filter(tame, window, 2)
        scale = local_scale(first)
    return np.clip(first, -CLIP * scale, CLIP * scale)


def local_scale(noise: Float64[np.ndarray, " n"], blocks: int = 64) -> Float64[np.ndarray, " n"]:
    """Deviation of the noise along the log: 1.4826 times the median size in each block, joined by straight lines."""
    n = len(noise)
    size = max(WINDOW, -(-n // blocks))
    starts = np.arange(0, max(n - size // 2, 1), size)
    middles = (starts + np.minimum(starts + size, n)) / 2
    every = max(1, size // EXAMINED)
    levels = np.array([1.4826 * np.median(np.abs(noise[s : s + size : every])) for s in starts])
    return np.interp(np.arange(n), middles, levels)


def whitened(noise: Float64[np.ndarray, " n"], order: int = 6) -> Float64[np.ndarray, " n"]:
    """Noise of unit local deviation, less what its own `order` predecessors predict (Yule and Walker).

    The first `order` values predict from what there is.
    """
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    scale = local_scale(noise)
    unit = np.divide(noise, scale, out=np.zeros_like(noise), where=scale > 0)
    unit = np.clip(unit, -CLIP, CLIP)
    n = len(unit)
    power = float(unit @ unit) / max(n, 1)
    if n <= 4 * order or power <= 0:
        return unit
    lags = np.array([float(unit[k:] @ unit[: n - k]) / n for k in range(order + 1)])
    weights = solve_toeplitz(lags[:-1] + 1e-9 * power * (np.arange(order) == 0), lags[1:])
    return np.asarray(lfilter(np.concatenate([[1.0], -weights]), [1.0], unit), dtype=np.float64)
