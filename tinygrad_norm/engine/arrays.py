"""NumPy as the engine uses it: sums that neither lose small addends nor wait for memory.

Nothing here knows of gradients; everything here must give what the plain NumPy expression gives, to rounding.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

# ∞ and NaN are results, as in PyTorch, and NumPy's warnings of them would point at lines of ours, which are nobody's business.
# Who wants to know where the first one comes from asks NumPy to stop there: np.errstate(all="raise").
warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning, rf"{__name__.partition('.')[0]}\.")

SLAB = 1 << 16  # elements worked on at a time: 256 kB of float32 stay in a core's cache
SMALL = 1 << 14  # below this, one call into NumPy beats any cleverness
_ROW = 1024  # entries of a row that one dot product adds up, in whatever order, before they join a float64 sum
_COLUMN = 256  # rows added up in the array's own dtype before they join a float64 sum


@contextmanager
def by_rows() -> Iterator[None]:
    """NumPy broadcasts row by row inside: it else copies a broadcast operand first, at half the speed.

    The buffer size is part of NumPy's error state, so it ends with the context and no other thread sees it.
    """
    with np.errstate():
        np.setbufsize(512)
        yield


@lru_cache(maxsize=64)
def ones(n: int, dtype: str) -> Array:
    """A vector of ones, for sums as products."""
    vector = np.ones(n, dtype)
    vector.flags.writeable = False
    return vector


@lru_cache(maxsize=256)
def number(value: float, dtype: str) -> Array:
    """A number as an array without axes, which NumPy takes in half the time of a Python number."""
    return np.array(value, dtype)


def row_sums(a: Array, b: Array | None = None) -> Array:
    """Σ a·b, or Σ a, of each row of a table."""
    if a.shape[1] > _ROW:
        return _dots(a, b)
    if b is None:
        return np.asarray(a.dot(ones(a.shape[1], a.dtype.char)))
    return np.asarray(np.add.reduce(a * b, 1) if a.shape[1] < 8 else np.vecdot(a, b))  # too short for a dot product's call


def _dots(a: Array, b: Array | None) -> Array:
    """Σ a·b, or Σ a, along the last axis; in the dtype of a, carried in float64 from block to block of _ROW entries."""

    def some(part: slice, *blocks: int) -> Array:
        x = a[..., part].reshape(*a.shape[:-1], *blocks)
        return np.asarray(np.vecdot(x, ones(blocks[-1], a.dtype.char) if b is None else b[..., part].reshape(x.shape)))

    n = a.shape[-1]
    if n <= _ROW:
        return some(slice(None), n)
    whole = n - n % _ROW
    carried = np.add.reduce(some(slice(whole), n // _ROW, _ROW), -1, np.float64)
    return np.asarray(carried + some(slice(whole, None), n - whole), a.dtype)


# Sums ---------------------------------------------------------------------------------------------------


def total(x: Array, axis: tuple[int, ...]) -> Array:
    """The sum over ``axis`` (canonical, sorted), kept as axes of size 1; the dtype of ``x``.

    float16 adds up in float32. float32 adds up in float64, or in blocks that do: NumPy and BLAS add one after
    the other in places that depend on the processor, and 2²⁵ ones would give 2²⁴.
    """
    if x.size <= SMALL:
        kept, vector, table, before, short = _few(x.shape, axis, x.dtype.char)
        if vector is not None and x.flags.c_contiguous:
            rows = x if table is None else x.reshape(table)
            summed: Array = (vector.dot(rows) if before else rows.dot(vector)).reshape(kept)
            return summed
        if short:
            return np.add.reduce(x, axis, keepdims=True)
    if x.dtype == np.float16:
        return np.add.reduce(x, axis, np.float32, keepdims=True).astype(np.float16)
    if x.size > SMALL or x.dtype == np.float32:
        folded = _fold(x, axis)
        if folded is not None:
            rows, leading = folded
            sums = _column_sums(rows) if leading else _dots(rows, None)
            return sums.reshape(_reduced(x.shape, axis))
        last = tuple([a for i, a in enumerate(axis) if a - i == x.ndim - len(axis)])
        if x.size > SMALL and 0 < len(last) < len(axis) and x.dtype.char in "fd" and x.flags.c_contiguous:  # rows first
            return np.add.reduce(total(x, last), axis[: -len(last)], np.float64, keepdims=True).astype(x.dtype, copy=False)
        if x.dtype == np.float32:
            return np.add.reduce(x, axis, np.float64, keepdims=True).astype(np.float32)
    return np.add.reduce(x, axis, keepdims=True)


@lru_cache(maxsize=1024)
def _few(shape: tuple[int, ...], axis: tuple[int, ...], dtype: str) -> tuple[Any, ...]:
    """How few entries are summed: the shape of the sum; the vector of ones whose product with a contiguous array it is, by
    far the fastest, if there is one, the table that the array is then, and whether the ones stand before it; whether a plain
    sum will do: no column so long that NumPy, adding up one by one, would lose small entries."""
    n, kept, vector, table, before = math.prod([shape[a] for a in axis]), _reduced(shape, axis), None, None, False
    others = math.prod(shape) // n if n else 0
    if axis and others and dtype in "fd" and axis[-1] - axis[0] + 1 == len(axis):
        if axis[-1] == len(shape) - 1 and n <= _ROW:
            vector, table = ones(n, dtype), (others, n)
        elif axis[0] == 0 and n <= _COLUMN:
            vector, table, before = ones(n, dtype), (n, others), True
    short = dtype != "e" and all(shape[a] <= _COLUMN or a == len(shape) - 1 for a in axis)
    return kept, vector, None if table == shape else table, before, short


def contract(a: Array, b: Array, shape: tuple[int, ...]) -> Array:
    """``sum_to(a * b, shape)`` without the product in memory, for a and b of one shape and dtype."""
    if a.size > SMALL:
        axis = _spread(a.shape, shape)
        left, right = _fold(a, axis), _fold(b, axis)
        if left is not None and right is not None:
            (u, leading), (v, _) = left, right
            return (_column_sums(u, v) if leading else _dots(u, v)).reshape(shape)
    return sum_to(a * b, shape)


def _fold(x: Array, axis: tuple[int, ...]) -> tuple[Array, bool] | None:
    """A contiguous float array as a table whose columns (True) or rows (False) are to be summed, if ``axis`` allows."""
    if not axis or x.dtype.kind != "f" or x.itemsize < 4 or not x.flags.c_contiguous or axis[-1] - axis[0] + 1 != len(axis):
        return None
    if axis[-1] == x.ndim - 1:
        n = math.prod(x.shape[axis[0] :])
        return (x.reshape(-1, n), False) if n else None
    if axis[0] == 0:
        n = math.prod(x.shape[axis[-1] + 1 :])
        return (x.reshape(-1, n), True) if n else None
    return None


def _column_sums(rows: Array, times: Array | None = None) -> Array:
    """Σ rows, or Σ rows·times, over the first axis; in the rows' dtype, carried in float64."""
    vector = ones(_COLUMN, rows.dtype.char)

    def some(part: slice) -> Array:
        a = rows[part]
        sums: Array = vector[: len(a)] @ a if times is None else np.einsum("ij,ij->j", a, times[part])
        return sums

    if len(rows) <= _COLUMN:
        return some(slice(None))
    sums = np.zeros(rows.shape[1], np.float64)
    for start in range(0, len(rows), _COLUMN):
        sums += some(slice(start, start + _COLUMN))
    return sums.astype(rows.dtype, copy=False)


def sums(a: Array, b: Array | None, shape: tuple[int, ...]) -> Array:
    """Σ a·b (Σ a without b) down to ``shape``, of as many axes as a: where it has 1, the axis is summed over. A new array.

    For a piece that stays in cache, contiguous or not. Sums along the last axes run as products of matrices and vectors,
    sums over others are carried in float64.
    """
    spread = tuple([i for i, (n, m) in enumerate(zip(a.shape, shape)) if m == 1 and n != 1])
    if not spread:
        return a.copy() if b is None else a * b
    ndim, first = a.ndim, a.ndim
    while first - 1 in spread:
        first -= 1
    if first == ndim:  # the last axis stays: columns
        table = a.ndim == 2 or (a.flags.c_contiguous and (b is None or b.flags.c_contiguous))
        if table and spread == tuple(range(len(spread))):
            n = math.prod(a.shape[len(spread) :])
            return _column_sums(a.reshape(-1, n), None if b is None else b.reshape(-1, n)).reshape(shape)
        whole = a if b is None else a * b
        return np.add.reduce(whole, spread, np.float64, keepdims=True).astype(a.dtype)
    n = math.prod(a.shape[first:])
    as_rows = first == ndim - 1 or (a.flags.c_contiguous and (b is None or b.flags.c_contiguous))
    if n > _ROW or (b is not None and n >= 64 and as_rows):
        lead = a.shape[:first]
        part = _dots(a.reshape(*lead, n), None if b is None else b.reshape(*lead, n))
    else:
        part = (a if b is None else a * b).reshape(*a.shape[:first], n) @ ones(n, a.dtype.char)
    if first == len(spread) == 0 or len(spread) == ndim - first:
        return part.reshape(shape)
    others = spread[: len(spread) - (ndim - first)]
    part = part.reshape(*a.shape[:first], *(1,) * (ndim - first))
    return np.add.reduce(part, others, np.float64, keepdims=True).astype(a.dtype)


# Undoing a broadcast ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def fitted(full: tuple[Any, ...], shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """What ``full`` becomes when summed over the axes along which ``shape`` was spread.

    It is ``shape``, except where ``full`` has 1 already: there nothing varies, and nothing is summed.
    """
    k = min(len(full), len(shape))
    return tuple(n if n == 1 else m for n, m in zip(shape[len(shape) - k :], full[len(full) - k :]))


@lru_cache(maxsize=1024)
def _spread(full: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    lead = len(full) - len(shape)
    return (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 and full[lead + i] != 1))


@lru_cache(maxsize=1024)
def _reduced(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if a in axis else n for a, n in enumerate(shape))


@lru_cache(maxsize=1024)
def _summing(full: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> tuple[Any, ...]:
    """Over which axes ``full`` is summed to become ``shape``; what it is then (1 where it has 1 and nothing varies), and what
    ``_few`` says."""
    shape = fitted(full, shape)
    axis = _spread(full, shape)
    return axis, shape, *_few(full, axis, dtype)[1:]


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting ``shape`` to ``x.shape``, for arrays. Where x has 1 nothing varies, and it keeps that."""
    axis, shape, vector, table, before, short = _summing(x.shape, shape, x.dtype.char)
    if axis:
        if vector is not None and x.size <= SMALL and x.flags.c_contiguous:
            rows = x if table is None else x.reshape(table)
            x = vector.dot(rows) if before else rows.dot(vector)
        else:
            x = np.add.reduce(x, axis, keepdims=True) if short and x.size <= SMALL else total(x, axis)
    return x if x.shape == shape else x.reshape(shape)


def sum_in_slabs(
    rule: Callable[..., Array], operands: tuple[Any, ...], params: dict[str, Any], full: tuple[int, ...], shape: tuple[int, ...]
) -> Array:
    """``sum_to(rule(*operands, **params), shape)``, read a slab of rows at a time.

    Where only the sum of an elementwise result is wanted, the whole of it need never stand in memory.
    """
    n, step = full[0], max(1, SLAB // max(1, math.prod(full[1:])))
    kept = len(shape) == len(full) and shape[0] == n
    parts, sums = [], None
    for start in range(0, n, step):
        rows = slice(start, start + step)
        slab = rule(*(_rows(a, rows, full) for a in operands), **params)
        part = sum_to(slab, (slab.shape[0], *shape[1:]) if kept else shape)
        if kept:
            parts.append(part)
        else:
            sums = part.astype(np.float64) if sums is None else sums + part
    if kept:
        return np.concatenate(parts)
    assert sums is not None
    return sums.astype(part.dtype, copy=False)


def _rows(a: Any, rows: slice, full: tuple[int, ...]) -> Any:
    return a[rows] if isinstance(a, np.ndarray) and a.ndim == len(full) and a.shape[0] == full[0] else a
