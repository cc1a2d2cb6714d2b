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

from .arrays import Array, number, total
from .errors import DTypeError, describe

PIECE = 1 << 15  # entries worked on at a time: 128 kB of float32
_FEW = 1 << 10  # entries; below, one call into NumPy beats any cleverness
Axes = tuple[int, ...]


def wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def narrow(y: Any, x: Array) -> Any:
    """A result computed from ``wide(x)`` as it goes out."""
    return y.astype(np.float16) if x.dtype == np.float16 else y


# Functions ----------------------------------------------------------------------------------------------


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


def away(x: Array) -> Any:
    """|x|; of complex numbers x or −x, so that the real part is positive."""
    return np.abs(x) if x.dtype.kind == "f" else np.where(x.real > 0, x, -x)


_NO_OVERFLOW = {char: -float(np.log(np.finfo(char).max)) for char in "fd"}  # above, exp(−x) is a number


@in_pieces
def sigmoid(x: Array) -> Any:
    """1/(1 + exp(−x)); where that would overflow, and for x ≤ 0, as exp(x)/(1 + exp(x))."""
    least = _NO_OVERFLOW.get(x.dtype.char)
    if least is not None and x.size and x.min() > least:
        y = np.asarray(np.negative(x))
        np.exp(y, out=y)
        y += number(1.0, x.dtype.char)
        return np.reciprocal(y, out=y)
    if x.dtype.kind not in "fc":
        x = x.astype(np.result_type(x.dtype, np.float16))  # as NumPy's exp does
    z = np.exp(-away(x))  # never overflows
    if x.dtype.kind == "c":
        return np.where(x.real > 0, 1, z) / (1 + z)
    y = np.maximum(z, x > 0)  # 1 for x > 0, else z
    y /= z + 1
    return y


@in_pieces
def softplus(x: Array) -> Any:
    """log(1 + exp(x)); for x > 0 as x + log(1 + exp(−x)), so that nothing overflows."""
    z = np.asarray(wide(x))
    e = np.exp(-away(z))
    if z.dtype.kind == "c":
        return np.log1p(e) + np.where(z.real > 0, z, 0)
    u = 1 + e
    return narrow(np.log(u) + (e - (u - 1)) / u + np.maximum(z, 0), x)  # log1p with what u lost; NumPy's own is no loop of SIMD


def relu(x: Any) -> Any:
    large = np.size(x) > 1 << 13 and x.dtype.kind == "f"
    return np.clip(x, 0, np.inf) if large else np.maximum(x, 0)  # of an array and a number NumPy has no loop of SIMD


def where(c: Any, a: Any, b: Any) -> Any:
    """a where c is true, else b: by the bits of numbers, as a processor that guesses at each entry which it will be loses
    more time by wrong guesses than both cost."""
    if np.size(c) < _FEW or (dtype := np.result_type(a, b)).char not in "efd" or c.dtype != bool:
        return np.where(c, a, b)
    bits = np.dtype(f"i{dtype.itemsize}")
    x, y = (np.asarray(v, dtype).view(bits) for v in (a, b))
    if c.size <= PIECE or any(v.ndim and (v.shape != c.shape or not v.flags.c_contiguous) for v in (c, x, y)):
        return _of_two(c.astype(bits), x, y).view(dtype)
    out, flat = np.empty(c.shape, bits), c.reshape(-1)
    for start in range(0, flat.size, PIECE):
        part = slice(start, start + PIECE)
        some, other = (v.reshape(-1)[part] if v.ndim else v for v in (x, y))
        _of_two(flat[part].astype(bits), some, other, out.reshape(-1)[part])
    return out.view(dtype)


def _of_two(kept: Array, x: Array, y: Array, out: Array | None = None) -> Array:
    """x where ``kept`` is 1, else y: whole numbers, all bits of each or none. ``kept`` is overwritten."""
    if not x.ndim and not x:
        kept -= 1
        return np.asarray(np.bitwise_and(kept, y, kept if out is None and y.shape == kept.shape else out))
    np.negative(kept, out=kept)
    if not y.ndim and not y:
        return np.asarray(np.bitwise_and(kept, x, kept if out is None and x.shape == kept.shape else out))
    return np.asarray(np.bitwise_xor(kept & (x ^ y), y, out))


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
    return np.maximum.reduce(x.real if x.dtype.kind == "c" else x, axis, keepdims=True, initial=-np.inf)


def softmax(x: Array, axis: Axes) -> Any:
    z = wide(x)
    z = np.exp(z - _largest(z, axis))  # the largest is exp(0): nothing overflows
    return narrow(z / total(z, axis), x)


def log_softmax(x: Array, axis: Axes) -> Any:
    z = wide(x)
    z = z - _largest(z, axis)
    return narrow(z - _log_sum(z, axis), x)


def logsumexp(x: Array, axis: Axes) -> Any:
    z = wide(x)
    top = _largest(z, axis)
    top = np.where(np.isfinite(top), top, 0)  # ∞ − ∞ is no number
    return narrow(_log_sum(z - top, axis) + top, x)


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
    return narrow(_raised(wide(x), int(n)), x)


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


BASIC = {slice, int, type(None), type(Ellipsis)}  # of which an index mostly is


def is_basic(index: tuple[Any, ...]) -> bool:
    """Whether an index picks nothing twice."""
    return BASIC.issuperset(map(type, index)) or all(type(i) in BASIC or isinstance(i, (int, np.integer)) for i in index)


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
        part = a[self.index]
        if type(part) is np.ndarray:  # a view, which need not be written back
            part += self.g
        else:
            a[self.index] += self.g
        return a  # type: ignore[no-any-return]


def scatter(g: Array, index: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Zeros, and ``g`` added where ``index`` points: an entry picked twice receives twice."""
    if is_basic(index):
        out = np.zeros(shape, g.dtype)
        out[index] = g  # nothing is picked twice
        return out
    size = math.prod(shape)
    if len(shape) == len(index) == 1 and index[0].dtype.kind in "iu" and index[0].min(initial=0) >= 0:
        places = index[0].ravel()
    else:
        places = np.arange(size).reshape(shape)[index].ravel()
    out, met = np.zeros(size, g.dtype), np.zeros(size, bool)
    met[places] = True
    if np.count_nonzero(met) == places.size:
        out[places] = g.ravel()
    elif g.dtype.char in "efd":
        out = np.bincount(places, g.ravel(), size).astype(g.dtype, copy=False)  # adds up in float64
    else:
        np.add.at(out, places, g.ravel())
    return out.reshape(shape)


# Products -----------------------------------------------------------------------------------------------


def matmul(a: Array, b: Array) -> Any:
    """Matrices, batched; by one and the same matrix b as one product."""
    if b.ndim != 2 or a.ndim < 3 or a.shape[-1] != len(b):
        return np.matmul(a, b)
    return np.matmul(a.reshape(-1, len(b)) if a.size else a, b).reshape(*a.shape[:-1], b.shape[1])


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
