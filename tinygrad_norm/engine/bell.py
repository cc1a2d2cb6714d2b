"""The normal distribution over arrays: erf, Φ, and the gelu that is made of it.

Nothing here knows of gradients. Complex arrays go through, next to the real axis; float16 is computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Array
from .values import away, in_pieces, narrow, sigmoid, wide

# Chebyshev coefficients by interpolation in 50 digits: erf(x)/x in s = 2x² − 1 for 0 ≤ x < 1, and exp(t²/2)·Φ(−t) in
# s = (180/(t + 6) − 17)/13 for 0 ≤ t ≤ 39. What is cut off is below 2⁻⁵⁶ of the value.
_ERF_NEAR = (
    *(0.9754769393826541, -0.14226120510371365, 0.010035582187599796, -0.0005768764699767485, 2.741993125219606e-05),
    *(-1.1043175507344507e-06, 3.8488755420345036e-08, -1.1808582533875466e-09, 3.2334215826050907e-11),
    *(-7.991015947004549e-13, 1.7990725113961456e-14, -3.718635487818693e-16, 7.103599003714253e-18),
)
_TAIL = (
    *(0.1604685272698457, 0.21317909235024315, 0.08542192576024484, 0.029394177910142396, 0.008725127585869024),
    *(0.002227240394462408, 0.00048333677031990233, 8.701014171941125e-05, 1.2337301928386734e-05, 1.2023070585456123e-06),
    *(3.588303738979354e-08, -1.1599549641505465e-08, -2.0544884404555764e-09, -5.348955577131764e-11, 2.9363023828583934e-11),
    *(3.64083586101378e-12, -2.5996849188804915e-13, -8.936810229738423e-14, 3.2695721921670996e-17, 1.8953269417802683e-15),
    *(7.546632220203064e-17, -4.059171365650889e-17, -2.7027568739919668e-18, 9.356232982728105e-19),
)
# For float32, quotients of polynomials, fitted so that the largest relative error is as small as it gets: erf(x)/x in x² for
# x ≤ 3.93 (2e-9), from where on it is 1; exp(t²/2)·Φ(−t) in t ≤ 14.6 (6e-9), from where on Φ(−t) is 0.
_ERF_SINGLE = (
    (4518364.612603115, 770789.5445559262, 222613.17425252235, 16805.038605045647, 1626.1153673634474, 26.43414993901483),
    (4004296.3697680994, 2017860.2602974866, 469473.92236396886, 64944.68283262817, 5639.807162698231, 285.11662883447224, 1.0),
)
_TAIL_SINGLE = (
    (48.3710516694407, 42.42109044067812, 17.74102766165993, 3.9358283928697086, 0.3989468367862185),
    (96.74210275948285, 162.03125222546757, 116.3927698592003, 45.45579351523727, 9.866275803937704, 1.0),
)


_NO_TAIL = 14.6  # from where on Φ(−t) is 0 in float32
_SMALL = 1e-30
DENSITY = 1 / math.sqrt(2 * math.pi)  # φ(0)


def _chebyshev(s: Array, coefficients: Sequence[float]) -> Any:
    """Σ cₖ·Tₖ(s), by Clenshaw's recurrence."""
    first, *others = coefficients
    twice, b, c = 2 * s, np.zeros_like(s), np.zeros_like(s)
    for a in reversed(others):
        c -= twice * b
        b, c = np.subtract(a, c, out=c), b
    return s * b - c + first


def _quotient(x: Array, above: Sequence[float], below: Sequence[float]) -> Array:
    """One polynomial over another, by Horner's rule; the highest coefficient below is 1."""
    *others, second, highest = above
    y = x * highest
    y += second
    for a in reversed(others):
        y *= x
        y += a
    *others, second, _ = below
    z = x + second
    for a in reversed(others):
        z *= x
        z += a
    y /= z
    return y


@in_pieces
def erf(x: Array) -> Any:
    """The error function 2/√π·∫₀ˣ exp(−t²) dt, to a unit in the last place of float32, to 2 of float64; complex next to
    the real axis."""
    if x.dtype.char in "ef":
        z = np.clip(x, -3.93, 3.93).astype(np.float64)
        return (z * _quotient(z * z, *_ERF_SINGLE)).astype(x.dtype)
    a = x * 1.0
    a = np.where(a.real < 0, -a, a)
    near = a.real < 1
    out = np.empty_like(a)
    z, t = a[near], a[~near]
    out[near] = z * _chebyshev(2 * z * z - 1, _ERF_NEAR)
    out[~near] = 1 - 2 * _tail(t * math.sqrt(2))
    return np.where(x.real < 0, -out, out)


def _tail(t: Array) -> Any:
    """Φ(−t) for t ≥ 0, relative to itself."""
    if t.dtype == np.float32:
        return _tail_single(np.clip(t, 0, _NO_TAIL))
    t = np.where(t.real > 39, 39, t)
    return np.exp(t * t * -0.5) * _chebyshev((180 / (t + 6) - 17) / 13, _TAIL)


def _tail_single(t: Array) -> Array:
    """Φ(−t) in float32, for 0 ≤ t ≤ _NO_TAIL."""
    tail = _quotient(t, *_TAIL_SINGLE)
    tail *= _exp_of_square(t)
    return tail


def _exp_of_square(x: Array) -> Array:
    """exp(−x²/2), of floats."""
    y = np.asarray(x * x)
    y *= -0.5
    return np.asarray(np.exp(y, out=y))


@in_pieces
def ndtr(x: Array) -> Any:
    """Φ, the normal distribution: ½·(1 + erf(x/√2)); below 0 relative to itself, where that would lose all digits."""
    z = np.asarray(wide(x) * 1.0)
    tail = _tail(away(z))
    return narrow(tail + (z.real > 0) * (1 - 2 * tail), x)  # 1 − tail for x > 0, with no branch for each entry


@in_pieces
def gelu(x: Array) -> Any:
    """x·Φ(x); of float32 as max(x, 0) − |x|·Φ(−|x|)."""
    if x.dtype.char not in "ef":
        return x * ndtr(x)
    z = wide(x)
    t = np.clip(np.abs(z), 0, _NO_TAIL)
    t *= _tail_single(t)
    y = np.clip(z, 0, np.inf)
    y -= t
    return narrow(y, x)


def gelu_slope(g: Array, out: Array, x: Array) -> Any:
    """g·(Φ(x) + x·φ(x)) of float32 and float64, where Φ(x) is what was computed, by x."""
    slope = _exp_of_square(x)
    slope *= x
    slope *= DENSITY
    small = np.abs(x) < _SMALL  # of which the value has lost digits, or x is 0
    slope += np.where(small, 0.5, out / np.where(small, 1, x)) if small.any() else out / x
    slope *= g
    return np.asarray(slope)


@in_pieces
def gelu_tanh(x: Array) -> Any:
    """x·σ(u), u = 2√(2/π)·(x + 0.044715x³): as ½(1 + tanh(u/2)) is σ(u)."""
    z = wide(x)
    return narrow(z * sigmoid(z * (GELU_TANH[0] + GELU_TANH[1] * (z * z))), x)


GELU_TANH = (2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715)
