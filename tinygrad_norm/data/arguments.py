"""What the makers of data ask of their arguments, in one voice."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


class DataError(ValueError):
    """An argument that no data can be made of, or arrays that do not belong together."""


def whole(name: str, what: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """A size, a count or a seed as an int."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        upto = f" to {most}" if most is not None else " on"
        raise DataError(f"{name}: {what}={value!r}; it is a whole number from {least}{upto}.")
    return int(value)


def real(name: str, what: str, value: Any) -> float:
    """A finite number as a float."""
    fits = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not fits or not np.isfinite(value):
        raise DataError(f"{name}: {what}={value!r}; it is a finite number.")
    return float(value)


def floating(name: str, dtype: Any) -> np.dtype[Any]:
    """A floating-point dtype."""
    try:
        found: Any = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind != "f":
        raise DataError(f'{name}: dtype={dtype!r}; it is a floating-point dtype: "float32", "float64" or "float16".')
    return found  # type: ignore[no-any-return]


def drawn(name: str, seed: Any) -> np.random.Generator:
    return np.random.default_rng(whole(name, "seed", seed))
