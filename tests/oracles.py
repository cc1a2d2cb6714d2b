"""Derivatives that know nothing of the engine: what the tests measure it against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def complex_step(f: Callable[..., Any], xs: Sequence[Any], directions: Sequence[Any], h: float = 1e-30) -> Any:
    """d/dt f(x + t·v) at t = 0, exact to rounding, for an f that is analytic and written in NumPy.

    ``None`` as a direction leaves that input as it is (a condition, a plain number).
    """
    moved = [x if v is None else np.asarray(x + 1j * h * np.asarray(v)) for x, v in zip(xs, directions)]
    return np.imag(f(*moved)) / h


def central(f: Callable[..., Any], xs: Sequence[Any], directions: Sequence[Any], h: float = 1e-3) -> Any:
    """d/dt f(x + t·v) at t = 0 by the five-point stencil: wrong by some h⁴ and some 1e-13."""

    def at(t: float) -> Any:
        return f(*[x if v is None else np.asarray(x + t * np.asarray(v)) for x, v in zip(xs, directions)])

    return (8.0 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


def gradient(
    f: Callable[..., Any], xs: Sequence[Any], position: int, cotangent: Any, derivative: Callable[..., Any] = complex_step
) -> np.ndarray:
    """The whole gradient of ⟨cotangent, f(xs)⟩ for one input, one entry after the other."""
    x = np.asarray(xs[position])
    result = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        directions = [unit if i == position else None for i in range(len(xs))]
        result[place] = np.sum(cotangent * derivative(f, xs, directions))
    return result
