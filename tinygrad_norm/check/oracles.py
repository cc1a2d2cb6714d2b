"""Gradients from values alone: oracles that share no line with the backward pass they judge.

Each takes a function of arrays whose result, summed, is the number to differentiate, and answers with
the derivative at chosen entries. They compute in double precision whatever the inputs' dtype.
(The result comes unsummed so that a difference is taken term by term: what one entry does not touch
then cancels exactly instead of leaving its rounding behind.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..engine.arrays import Array

Terms = Callable[[Sequence[Array]], Array]
STEPS = (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Estimate:
    """Derivatives at some entries of one input.

    entries:  flat indices into the input
    values:   the derivative there
    error:    what the oracle itself may be off by, absolute
    """

    entries: Array
    values: Array
    error: float


def choose(size: int, most: int, rng: np.random.Generator) -> Array:
    """All entries, or ``most`` of them drawn without repetition, sorted."""
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False))


def complex_step(f: Terms, inputs: Sequence[Array], which: int, entries: Array, h: float = 1e-40) -> Estimate:
    """Im f(x + ih)/h: exact to rounding, with no step to tune, for any f built from smooth operations.

    Squire and Trapp 1998, SIAM Review 40(1).
    """
    point = [np.asarray(a, np.float64) for a in inputs]
    moved = point[which].astype(np.complex128)
    flat = moved.reshape(-1)
    values = np.empty(len(entries))
    for k, i in enumerate(entries):
        flat[i] += 1j * h  # h so small that the real part does not notice
        values[k] = np.sum(np.imag(f([*point[:which], moved, *point[which + 1 :]]))) / h
        flat[i] = flat[i].real
    scale = float(np.max(np.abs(values), initial=0))
    return Estimate(entries, values, 16 * np.finfo(np.float64).eps * scale)


def central_difference(f: Terms, inputs: Sequence[Array], which: int, entries: Array) -> Estimate:
    """(f(x + h) − f(x − h))/2h for several steps; the one whose neighbour agrees best, and by how much they differ.

    A step too long sees the curvature, one too short only rounding; between the two the answers stand still.
    """
    point = [np.asarray(a, np.float64) for a in inputs]
    moved = point[which].copy()
    flat = moved.reshape(-1)
    args = [*point[:which], moved, *point[which + 1 :]]
    size = float(np.max(np.abs(moved), initial=0))
    spread = float(np.std(moved)) if moved.size > 1 else 0.0
    scale = spread if spread > 1e-10 * size else size or 1.0
    rows = []
    for step in STEPS:
        h = step * scale
        row = np.empty(len(entries))
        for k, i in enumerate(entries):
            before = flat[i]
            flat[i] = high = before + h
            above = f(args)
            flat[i] = low = before - h
            row[k] = np.sum(above - f(args)) / (high - low)
            flat[i] = before
        rows.append(row)
    changes = [float(np.max(np.abs(a - b), initial=0)) for a, b in pairwise(rows)]
    best = int(np.argmin(changes))
    return Estimate(entries, rows[best + 1], changes[best])
