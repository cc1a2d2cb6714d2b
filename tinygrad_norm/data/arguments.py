"""What the makers of data ask of their arguments, in one voice."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..engine import Tensor, TinygradNormError, describe
from ..engine.tensor import as_dtype

Array: TypeAlias = np.ndarray[Any, Any]


class DataError(TinygradNormError, ValueError):
    """An argument that no data can be made of, or arrays that do not belong together."""


def values(name: str, given: Any) -> Array:
    """What was given as an array; of a tensor the values, whatever its history."""
    try:
        return np.asarray(given.numpy() if isinstance(given, Tensor) else given)
    except (ValueError, TypeError, TinygradNormError):  # lists of unequal lengths, or of tensors with a history
        raise DataError(
            f"{name}: {describe(given)} makes no array. Give an array with the samples along the first axis."
        ) from None


def whole(name: str, what: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """A size, a count or a seed as an int."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        upto = f" to {most}" if most is not None else " on"
        raise DataError(f"{name}: {what}={describe(value)}; it is a whole number from {least}{upto}.")
    return int(value)


def real(name: str, what: str, value: Any) -> float:
    """A finite number as a float."""
    fits = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not fits or not np.isfinite(value):
        raise DataError(f"{name}: {what}={describe(value)}; it is a finite number.")
    return float(value)


def floating(name: str, dtype: Any) -> np.dtype[Any]:
    """A floating-point dtype."""
    try:
        found: Any = None if dtype is None else as_dtype(name, dtype)
    except TinygradNormError:
        found = None
    if found is None or found.kind != "f":
        raise DataError(
            f'{name}: dtype={describe(dtype)}; it is a floating-point dtype: "float32", "float64" or "float16".'
        ) from None
    return found  # type: ignore[no-any-return]


def drawn(name: str, seed: Any, what: str = "seed") -> np.random.Generator:
    return np.random.default_rng(whole(name, what, seed))
