"""What ops of the table compute over arrays, where NumPy has no one name for it.

Nothing here knows of gradients. Where the mathematics allows it, everything takes complex arrays too, so that
complex step can go through. float16 is computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any

import numpy as np

from .arrays import Array, total
from .errors import DTypeError, describe

PIECE = 1 << 15  # entries worked on at a time: 128 kB of float32
Axes = tuple[int, ...]


def wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _narrow(y: Any, x: Array) -> Any:
    """A result computed from ``wide(x)`` as it goes out."""
    return y.astype(np.float16) if x.dtype == np.float16 else y


# Functions ----------------------------------------------------------------------------------------------

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


def _chebyshev(s: Array, coefficients: Sequence[float]) -> Any:
    """Σ cₖ·Tₖ(s), by Clenshaw's recurrence."""
    first, *others = coefficients
    twice, b, c = 2 * s, np.zeros_like(s), np.zeros_like(s)
    for a in reversed(others):
        c -= twice * b
        b, c = np.subtract(a, c, out=c), b
    return s * b - c + first


def _quotient(x: Array, above: Sequence[float], below: Sequence[float]) -> Array:
    """One polynomial over another, by Horner's rule."""
    ratio: list[Array] = []
    for *others, second, highest in (above, below):
        y = x * highest
        y += second
        for a in reversed(others):
            y *= x
            y += a
        ratio.append(y)
    ratio[0] /= ratio[1]
    return ratio[0]


def in_pieces(function: Callable[[Array], Any]) -> Callable[[Any], Any]:
    """A function of each entry by itself, of large arrays piece by piece, so that its many steps stay in cache."""

    @wraps(function)
    def whole(x: Any) -> Any:
        x = np.asarray(x)
        if x.size <= PIECE:
            return function(x)
        flat = x.reshape(-1)
        first = function(flat[:PIECE])
        out = np.empty(x.size, first.dtype)
        out[:PIECE] = first
        for start in range(PIECE, x.size, PIECE):
            out[start : start + PIECE] = function(flat[start : start + PIECE])
        return out.reshape(x.shape)

    return whole


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
        t = np.clip(t, 0, 14.6)
        return np.exp(t * t * -0.5) * _quotient(t, *_TAIL_SINGLE)
    t = np.where(t.real > 39, 39, t)
    return np.exp(t * t * -0.5) * _chebyshev((180 / (t + 6) - 17) / 13, _TAIL)


@in_pieces
def ndtr(x: Array) -> Any:
    """Φ, the normal distribution: ½·(1 + erf(x/√2)); below 0 relative to itself, where that would lose all digits."""
    z = np.asarray(wide(x) * 1.0)
    tail = _tail(_away(z))
    return _narrow(tail + (z.real > 0) * (1 - 2 * tail), x)  # 1 − tail for x > 0, with no branch for each entry


@in_pieces
def gelu(x: Array) -> Any:
    z = wide(x)
    return _narrow(z * ndtr(z), x)


@in_pieces
def gelu_tanh(x: Array) -> Any:
    """x·σ(u), u = 2√(2/π)·(x + 0.044715x³): as ½(1 + tanh(u/2)) is σ(u)."""
    z = wide(x)
    return _narrow(z * sigmoid(z * (GELU_TANH[0] + GELU_TANH[1] * (z * z))), x)


GELU_TANH = (2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715)


def _away(x: Array) -> Any:
    """|x|; of complex numbers x or −x, so that the real part is positive."""
    return np.abs(x) if x.dtype.kind == "f" else np.where(x.real > 0, x, -x)


@in_pieces
def sigmoid(x: Array) -> Any:
    if x.dtype.kind not in "fc":
        x = x.astype(np.result_type(x.dtype, np.float16))  # as NumPy's exp does
    z = np.exp(-_away(x))  # never overflows
    return (z + (x.real > 0) * (1 - z)) / (1 + z)  # 1/(1 + z) for x > 0, else z/(1 + z)


@in_pieces
def softplus(x: Array) -> Any:
    """log(1 + exp(x)); for x > 0 as x + log(1 + exp(−x)), so that nothing overflows."""
    z = np.asarray(wide(x))
    e = np.exp(-_away(z))
    if z.dtype.kind == "c":
        return np.log1p(e) + np.where(z.real > 0, z, 0)
    u = 1 + e
    return _narrow(np.log(u) + (e - (u - 1)) / u + np.maximum(z, 0), x)  # log1p with what u lost; NumPy's own is no loop of SIMD


def whole_division(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    """⌊a/b⌋, or what remains; a whole number by 0 is an error, for which NumPy gives 0."""

    def divide(a: Any, b: Any) -> Any:
        if not np.all(b) and np.result_type(a, b).kind in "biu":
            raise DTypeError(
                f"{ufunc.__name__}: {describe(a)} by {describe(b)}: whole numbers cannot be divided by 0. Cast to float64."
            )
        return ufunc(a, b)

    return divide


def _largest(x: Array, axis: Axes) -> Any:
    return np.max(x.real, axis, keepdims=True, initial=-np.inf)


def softmax(x: Array, axis: Axes) -> Any:
    z = wide(x)
    z = np.exp(z - _largest(z, axis))  # the largest is exp(0): nothing overflows
    return _narrow(z / total(z, axis), x)


def log_softmax(x: Array, axis: Axes) -> Any:
    z = wide(x)
    z = z - _largest(z, axis)
    return _narrow(z - _log_sum(z, axis), x)


def logsumexp(x: Array, axis: Axes) -> Any:
    z = wide(x)
    top = _largest(z, axis)
    top = np.where(np.isfinite(top), top, 0)  # ∞ − ∞ is no number
    return _narrow(_log_sum(z - top, axis) + top, x)


def _log_sum(z: Array, axis: Axes) -> Any:
    """log Σexp(z), the largest z being 0: as log(1 + (Σexp(z) − 1)), the 1 never added, so that a sum next to 1 keeps its digits."""
    e = np.exp(z)
    largest = z.real == 0
    if z.dtype.kind == "c":
        np.copyto(e, np.expm1(z), where=largest)
    else:
        e[largest] = 0
    more = np.add.reduce(largest, axis, z.real.dtype, keepdims=True) - 1
    with np.errstate(divide="ignore"):  # the log of a sum of nothing is −∞
        return np.log1p(total(e, axis) + more)


def power(x: Any, n: float) -> Any:
    """xⁿ; for small whole n as products, which cost a tenth of a power."""
    if n == 2 or n not in range(3, 9) or x.dtype.kind not in "fc":
        return x**n
    return _narrow(_raised(wide(x), int(n)), x)


def _raised(x: Array, n: int) -> Any:
    if n == 1:
        return x
    half = _raised(x, n // 2)
    y = half * half
    if n % 2:
        y *= x
    return y


# Over axes ----------------------------------------------------------------------------------------------


def mean(x: Array, axis: Axes) -> Any:
    shape = x.shape
    n = shape[axis[0]] if len(axis) == 1 else math.prod([shape[a] for a in axis])
    if x.dtype.char == "e":  # the sum may overflow where the mean does not
        return (np.add.reduce(x, axis, np.float32, keepdims=True) / np.float32(n)).astype(np.float16)
    means = total(x, axis) / n
    if n > 1 and x.dtype.kind == "f" and not np.vdot(means, means) < np.inf:  # so may it in any dtype
        means = np.where(np.isfinite(means), means, total(x / n, axis))
    return means


def prod(x: Array, axis: Axes) -> Any:
    carried = {"e": np.float32, "f": np.float64}.get(x.dtype.char)  # a product may pass through what it does not come to
    return np.multiply.reduce(x, axis, carried, keepdims=True).astype(x.dtype, copy=False)


def cumsum(x: Array, axis: int, reverse: bool) -> Array:
    """Running sums from the first entry on, or from the last; float32 adds up in float64."""
    carried = {"e": np.float32, "f": np.float64}.get(x.dtype.char)
    if reverse:
        return np.flip(cumsum(np.flip(x, axis), axis, False), axis)
    sums = np.add.accumulate(x, axis, carried)
    return sums.astype(x.dtype) if carried else sums


# Form ---------------------------------------------------------------------------------------------------


def inside(width: Sequence[tuple[int, int]], shape: Sequence[int]) -> tuple[slice, ...]:
    """Where in the padded array the array of that shape is."""
    return tuple(slice(before, before + n) for (before, _), n in zip(width, shape))


def pad(x: Array, width: Sequence[tuple[int, int]], value: float) -> Array:
    out = np.full([before + n + after for (before, after), n in zip(width, x.shape)], value, x.dtype)
    out[inside(width, x.shape)] = x
    return out


def is_basic(index: tuple[Any, ...]) -> bool:
    """Whether an index picks nothing twice."""
    return all(i is None or i is Ellipsis or isinstance(i, (slice, int, np.integer)) for i in index)


class Placed:
    """``scatter(g, index, shape)`` for an index that picks nothing twice, as long as nobody asks for the zeros around g."""

    __slots__ = ("dtype", "g", "index", "shape")

    def __init__(self, g: Array, index: tuple[Any, ...], shape: tuple[int, ...], dtype: Any) -> None:
        self.g, self.index, self.shape, self.dtype = g, index, shape, dtype

    def whole(self) -> Array:
        out = np.zeros(self.shape, self.dtype)
        out[self.index] = self.g
        return out

    def onto(self, a: Any, mine: bool) -> Array:
        """The sum with an array, or with another; ``mine``: the array may be overwritten."""
        if isinstance(a, Placed):
            a = a.whole()
        elif not mine or a.shape != self.shape or a.dtype != self.dtype:
            a = np.array(np.broadcast_to(a, self.shape))
        a[self.index] += self.g
        return a  # type: ignore[no-any-return]


def scatter(g: Array, index: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Zeros, and ``g`` added where ``index`` points: an entry picked twice receives twice."""
    if is_basic(index):
        out = np.zeros(shape, g.dtype)
        out[index] = g  # nothing is picked twice
        return out
    size = math.prod(shape)
    places = np.arange(size).reshape(shape)[index].ravel()
    if g.dtype.char in "efd":
        return np.bincount(places, g.ravel(), size).reshape(shape).astype(g.dtype, copy=False)  # adds up in float64
    out = np.zeros(size, g.dtype)
    np.add.at(out, places, g.ravel())
    return out.reshape(shape)


# Products -----------------------------------------------------------------------------------------------


def einsum(*xs: Array, equation: str) -> Any:
    """The sum of products that ``equation`` says, operand by operand from the left, each pair as one matrix product.

    The equation is explicit, ``ij,jk->ik``, and no term names an axis twice.
    """
    dtype = np.result_type(*xs)
    left, result = equation.split("->")
    terms = left.split(",")
    out, term = wide(np.asarray(xs[0])), terms[0]
    for i, x in enumerate(xs[1:], 1):
        out, term = _product(out, term, wide(np.asarray(x)), terms[i], result + "".join(terms[i + 1 :]))
    out, term = _summed(out, term, [c for c in term if c not in result])
    return out.transpose([term.index(c) for c in result]).astype(dtype, copy=False)


def _summed(x: Array, term: str, over: Sequence[str]) -> tuple[Array, str]:
    if not over:
        return x, term
    kept = [i for i, c in enumerate(term) if c not in over]
    summed = total(x, tuple(i for i in range(x.ndim) if i not in kept))
    return summed.reshape([x.shape[i] for i in kept]), "".join(term[i] for i in kept)


def _product(a: Array, left: str, b: Array, right: str, later: str) -> tuple[Array, str]:
    """Two operands as one, keeping the indices that appear later."""
    sizes, others = dict(zip(left, a.shape)), dict(zip(right, b.shape))
    apart = [c for c in left if c in others and sizes[c] != others[c] and c not in later]  # 1 beside n: sums of their own
    a, left = _summed(a, left, [c for c in left if c not in right + later or c in apart])
    b, right = _summed(b, right, [c for c in right if (c not in sizes and c not in later) or c in apart])
    both = [c for c in left if c in right]
    batch, inner = [c for c in both if c in later], [c for c in both if c not in later]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]

    def table(x: Array, term: str, *groups: list[str]) -> Array:
        """The batch axes as they are, then one axis for each group of indices."""
        x = x.transpose([term.index(c) for group in (batch, *groups) for c in group])
        ends = np.cumsum([len(batch), *map(len, groups)]).tolist()
        return x.reshape((*x.shape[: len(batch)], *(math.prod(x.shape[i:j]) for i, j in pairwise(ends))))

    out = table(a, left, rows, inner), table(b, right, inner, columns)
    product = out[0] @ out[1] if inner else out[0] * out[1]  # without a sum it is (rows, 1)·(1, columns)
    shape = [sizes[c] if c in rows else others[c] for c in rows + columns]
    return product.reshape((*product.shape[: len(batch)], *shape)), "".join(batch + rows + columns)
