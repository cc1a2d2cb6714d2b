"""A series with seasons whose level drifts away, and the windows that a forecaster sees of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import describe
from .arguments import Array, DataError, drawn, floating, real, values, whole


def seasonal(
    length: int = 1000,
    channels: int = 1,
    period: int = 24,
    drift: float = 0.02,
    noise: float = 0.1,
    seed: int = 0,
    dtype: Any = np.float64,
) -> Array:
    """Waves on a level that drifts: what was learned of the beginning has another mean than the end. Shape (length, channels).

        y_t = level_t + sin(2π·t/period + φ) + ½·sin(4π·t/period + φ′) + noise·ξ_t,    level_t = level_{t−1} + drift·(1 + ζ_t)

    φ and φ′ are drawn for each channel, ξ and ζ are standard normal: after t steps the level is drift·t in the mean, and varies
    by drift·√t. noise = 0 and drift = 0 leave the waves. Raises ``DataError`` for sizes below 1 and numbers that are not finite.
    """
    length, channels = whole("seasonal", "length", length, 1), whole("seasonal", "channels", channels, 1)
    period, kind, rng = whole("seasonal", "period", period, 1), floating("seasonal", dtype), drawn("seasonal", seed)
    drift, noise = real("seasonal", "drift", drift), real("seasonal", "noise", noise)
    angle = 2 * np.pi * np.arange(length)[:, None] / period
    phase = rng.uniform(0, 2 * np.pi, (2, channels))
    steps = drift * (1 + rng.standard_normal((length, channels)))
    steps[0] = 0
    waves = np.sin(angle + phase[0]) + 0.5 * np.sin(2 * angle + phase[1])
    found: Array = np.cumsum(steps, axis=0) + waves + noise * rng.standard_normal((length, channels))
    return found.astype(kind)


def windows(series: Any, size: int, horizon: int, stride: int = 1) -> tuple[Array, Array]:
    """What was seen, and what came: x, shape (n, size, channels), and y, shape (n, horizon, channels), the steps right after it.

    series:  shape (length, channels), or (length,) for one channel; of a tensor the values
    stride:  from the start of one window to the next

    In the order of time, so that a split by place holds out the future. Copies. Raises ``DataError`` where not one window fits.
    """
    array = values("windows", series)
    array = array[:, None] if array.ndim == 1 else array
    size, horizon, stride = (whole("windows", w, v, 1) for w, v in (("size", size), ("horizon", horizon), ("stride", stride)))
    if array.ndim != 2 or len(array) < size + horizon:
        raise DataError(
            f"windows: series {describe(series)} with size={size} and horizon={horizon}: it is (length, channels), and of at least "
            f"{size + horizon} steps."
        )
    starts = np.arange(0, len(array) - size - horizon + 1, stride)[:, None]
    return array[starts + np.arange(size)], array[starts + size + np.arange(horizon)]
