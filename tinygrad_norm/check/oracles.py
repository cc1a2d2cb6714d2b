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
_ALONG = tuple(2.0**-k for k in (7, 9, 11, 13, 16, 19))  # powers of two: x ± h·v are then exact for directions() below
LONGER = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 100)
"""Whether this platform has a longer floating-point number than double (x86 has, Windows and most ARMs have not)."""


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
    scale = scale_of(moved)
    rows, noise = [], []
    for step in STEPS:
        h = step * scale
        row, largest = np.empty(len(entries)), 0.0
        for k, i in enumerate(entries):
            before = flat[i]
            flat[i] = high = before + h
            above = f(args)
            flat[i] = low = before - h
            changed = above - f(args)
            row[k] = np.sum(changed) / (high - low)
            largest = max(largest, float(np.max(np.abs(above[changed != 0]), initial=0)))
            flat[i] = before
        rows.append(row)
        noise.append(float(np.finfo(np.float64).eps) * largest / h)
    changes = [float(np.max(np.abs(a - b), initial=0)) for a, b in pairwise(rows)]
    best = int(np.argmin(np.nan_to_num(changes, nan=np.inf)))  # nan: a step out of the domain
    return Estimate(entries, rows[best + 1], changes[best] + noise[best + 1] / 10)  # a judge allows ten times this


def scale_of(x: Array) -> float:
    """What counts as a short way for x: its spread, or its size where it does not spread, or 1."""
    size = float(np.max(np.abs(x), initial=0))
    spread = float(np.std(x)) if x.size > 1 else 0.0
    return spread if spread > 1e-10 * size else size or 1.0


# Along a direction ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slope:
    """A derivative along one direction, term by term or summed.

    values:  the derivative
    error:   what the oracle itself may be off by, absolute
    """

    values: Array
    error: float


def directions(inputs: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """A random direction, each input's part as long as the input's own scale, in its dtype; with so few bits that a step
    of a power of two along it loses none."""
    return [
        (2.0 ** np.floor(np.log2(scale_of(x))) * np.round(rng.normal(size=x.shape) * 64) / 64).astype(x.dtype)
        for x in (np.asarray(a) for a in inputs)
    ]


def complex_step_along(
    f: Terms, inputs: Sequence[Array], direction: Sequence[Array], summed: bool = True, long: bool = False
) -> Slope:
    """Im f(x + ihv)/h, exact to rounding; with ``long`` in long double, where ``LONGER`` says that there is one."""
    if long and not LONGER:
        raise ValueError("complex_step_along: long double is not available here: it is no longer than double.")
    h = 1e-40
    dtype = np.clongdouble if long else np.complex128
    terms = (
        np.imag(f([np.asarray(x).astype(dtype) + 1j * h * np.asarray(v).astype(dtype) for x, v in zip(inputs, direction)])) / h
    )
    values = np.asarray(np.sum(terms) if summed else terms)
    scale = float(np.sum(np.abs(terms)) if summed else np.max(np.abs(terms), initial=0))
    return Slope(values.astype(np.float64), 16 * float(np.finfo(dtype).eps) * scale)


def central_difference_along(f: Terms, inputs: Sequence[Array], direction: Sequence[Array], summed: bool = True) -> Slope:
    """The five-point stencil for several steps; the one whose neighbour agrees best, and by how much they differ."""
    point = [np.asarray(a, np.float64) for a in inputs]
    ways = [np.asarray(v, np.float64) for v in direction]

    def at(t: float) -> Array:
        return f([x + t * v for x, v in zip(point, ways)])

    rows, noise = [], []
    for h in _ALONG:
        near, far = (at(h), at(-h)), (at(2 * h), at(-2 * h))
        terms = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)
        rows.append(np.asarray(np.sum(terms) if summed else terms))
        size = np.abs(near[0])
        noise.append(float(np.finfo(np.float64).eps * (np.sum(size) if summed else np.max(size, initial=0)) / h))
    changes = [float(np.max(np.abs(a - b), initial=0)) + n for (a, b), n in zip(pairwise(rows), noise[1:])]
    best = int(np.argmin(np.nan_to_num(changes, nan=np.inf)))  # nan: a step out of the domain
    return Slope(rows[best + 1], changes[best])
