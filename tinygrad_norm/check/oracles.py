"""Gradients from values alone: oracles that share no line with the backward pass they judge.

Each takes a function of arrays whose result, summed, is the number to differentiate, and answers with
the derivative at chosen entries. They compute in double precision whatever the inputs' dtype.
(The result comes unsummed so that a difference is taken term by term: what one entry does not touch
then cancels exactly instead of leaving its rounding behind.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.arrays import Array
from ..engine.errors import TinygradNormError

Terms = Callable[[Sequence[Array]], Array]
STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
ALONG = tuple(2.0**-k for k in (7, 9, 11, 13, 16, 19))  # powers of two: h·v is then exact for directions() below
SHORTER, SHORTER_ALONG = tuple(10.0**-k for k in range(6, 17)), tuple(2.0**-k for k in range(19, 56, 3))
"""Steps for where the others saw nothing that stands still: a function that changes within less than a millionth."""
STEP = 1e-40  # of complex step
_UNIT = float(np.finfo(np.float64).eps) / 2
LONGER = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 100)
"""Whether this platform has a longer floating-point number than double (x86 has, Windows and most ARMs have not)."""


@dataclass(frozen=True)
class Estimate:
    """Derivatives at some entries of one input.

    entries:  flat indices into the input
    values:   the derivative there
    error:    what the oracle itself may be off by, absolute, entry by entry
    """

    entries: Array
    values: Array
    error: Array


def choose(size: int, most: int, rng: np.random.Generator) -> Array:
    """All entries, or ``most`` of them drawn without repetition, sorted."""
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False))


def complex_step(f: Terms, inputs: Sequence[Array], which: int, entries: Array, h: float = STEP) -> Estimate:
    """Im f(x + ih)/h: exact to rounding, with no step to tune, for any f built from smooth operations.

    Squire and Trapp 1998, SIAM Review 40(1). It is off by h²f‴/6, which is seen where f′ is zero: another h gives another answer
    there. ``error`` counts the rounding of the last sum, not that of what was summed.
    """
    point = [np.asarray(a, np.float64) for a in inputs]
    moved = point[which].astype(np.complex128)
    flat = moved.reshape(-1)
    values, error = np.empty(len(entries)), np.empty(len(entries))
    for k, i in enumerate(entries):
        flat[i] += 1j * h  # h so small that the real part does not notice
        terms = np.imag(f([*point[:which], moved, *point[which + 1 :]]))
        values[k], error[k] = np.sum(terms) / h, np.sum(np.abs(terms)) / h
        flat[i] = flat[i].real
    return Estimate(entries, values, 32 * _UNIT * error)


def central_difference(
    f: Terms,
    inputs: Sequence[Array],
    which: int,
    entries: Array,
    rounding: Array | None = None,
    steps: Sequence[float] = STEPS,
) -> Estimate:
    """(f(x + h) − f(x − h))/2h for several steps; the one whose neighbour agrees best, and by how much they differ.

    A step too long sees the curvature, one too short only rounding; between the two the answers stand still.
    rounding:  what each term of f may be off by; one rounding of it when not given
    """
    point = [np.asarray(a, np.float64) for a in inputs]
    moved = point[which].copy()
    flat = moved.reshape(-1)
    args = [*point[:which], moved, *point[which + 1 :]]
    scale = scale_of(moved)
    noise = 2 * _UNIT * np.abs(f(args)) if rounding is None else rounding
    rows = np.empty((len(steps), len(entries)))
    off = np.empty_like(rows)
    for k, i in enumerate(entries):
        before, ways = flat[i], []
        flat[i] = np.nan
        touched = _depend(f, args, noise)
        for s, step in enumerate(steps):
            flat[i] = high = before + step * scale
            above = f(args)
            flat[i] = low = before - step * scale
            changed = above - f(args)
            touched = touched | (changed != 0)
            with np.errstate(all="ignore"):  # a step too short to move x has no answer
                rows[s, k] = np.sum(changed) / (high - low)
            ways.append(high - low)
        flat[i] = before
        with np.errstate(all="ignore"):
            off[:, k] = 2 * float(np.sum(noise[touched])) / np.abs(ways)
    values, error = _stillest(rows, off)
    return Estimate(entries, values, error)


def _depend(f: Terms, args: Sequence[Array], noise: Array) -> Array:
    """Which terms depend on what is nan in the arguments; the others cancel exactly. All, where that cannot be asked."""
    try:
        with np.errstate(all="ignore"):
            touched = np.isnan(f(args))
    except (TinygradNormError, ValueError, TypeError, IndexError, ArithmeticError):
        return np.ones(noise.shape, bool)
    return touched if np.any(touched) else np.ones(noise.shape, bool)


def _stillest(rows: Array, noise: Array) -> tuple[Array, Array]:
    """For each entry the step at which least is in doubt: how far it is from the step before, and its own noise."""
    doubt = np.abs(np.diff(rows, axis=0)) + noise[1:]
    doubt = np.where(np.isnan(doubt), np.inf, doubt)  # nan: a step out of the domain
    best = np.argmin(doubt, axis=0)[None]
    return np.take_along_axis(rows[1:], best, 0)[0], np.take_along_axis(doubt, best, 0)[0]


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
    error:   what the oracle itself may be off by, absolute, of the same shape
    """

    values: Array
    error: Array


def directions(inputs: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """A random direction, each input's part as long as the input's own scale, in its dtype; with so few bits that a step
    of a power of two along it loses none."""
    return [(_length(x) * np.round(rng.normal(size=x.shape) * 64) / 64).astype(x.dtype) for x in (np.asarray(a) for a in inputs)]


def _length(x: Array) -> float:
    """The power of two below the scale of x; such that its fourth power neither overflows nor vanishes in the dtype of x."""
    widest = float(np.finfo(x.dtype if x.dtype.kind == "f" else np.float64).max) ** 0.25
    return float(2.0 ** np.floor(np.log2(min(max(scale_of(x), 1 / widest), widest))))


def complex_step_along(
    f: Terms, inputs: Sequence[Array], direction: Sequence[Array], summed: bool = True, long: bool = False, h: float = STEP
) -> Slope:
    """Im f(x + ihv)/h, exact to rounding; with ``long`` in long double, where ``LONGER`` says that there is one."""
    if long and not LONGER:
        raise ValueError("complex_step_along: long double is not available here: it is no longer than double.")
    dtype = np.clongdouble if long else np.complex128
    terms = (
        np.imag(f([np.asarray(x).astype(dtype) + 1j * h * np.asarray(v).astype(dtype) for x, v in zip(inputs, direction)])) / h
    )
    values = np.asarray(np.sum(terms) if summed else terms)
    error = np.asarray(np.sum(np.abs(terms)) if summed else np.abs(terms))
    return Slope(values.astype(np.float64), (16 * float(np.finfo(dtype).eps) * error).astype(np.float64))


def central_difference_along(
    f: Terms,
    inputs: Sequence[Array],
    direction: Sequence[Array],
    summed: bool = True,
    rounding: Array | None = None,
    steps: Sequence[float] = ALONG,
) -> Slope:
    """The five-point stencil for several steps; the one whose neighbour agrees best, and by how much they differ.

    rounding:  what each term of f may be off by; one rounding of it when not given
    """
    point = [np.asarray(a, np.float64) for a in inputs]
    ways = [np.asarray(v, np.float64) for v in direction]

    def at(t: float) -> Array:
        return f([x + t * v for x, v in zip(point, ways)])

    noise = 2 * _UNIT * np.abs(at(0.0)) if rounding is None else rounding
    unknown = [np.where(v != 0, np.nan, x) for x, v in zip(point, ways)]
    touched, rows = _depend(f, unknown, noise) if summed else np.ones(noise.shape, bool), []
    for h in steps:
        near, far = at(h) - at(-h), at(2 * h) - at(-2 * h)
        touched = touched | (near != 0) | (far != 0)
        terms = (8 * near - far) / (12 * h)
        rows.append(np.asarray(np.sum(terms) if summed else terms))
    whole = np.asarray(np.sum(noise[touched]) if summed else noise)
    values, error = _stillest(np.array(rows), np.array([1.5 * whole / h for h in steps]))
    return Slope(values, error)
