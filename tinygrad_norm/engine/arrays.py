"""NumPy as the engine uses it: sums that neither lose small addends nor wait for memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

SLAB = 1 << 16  # elements worked on at a time: 256 kB of float32 stay in a core's cache
_DOT = 1 << 14  # longer rows go to NumPy's pairwise sum, whose error does not grow with the length


@lru_cache(maxsize=64)
def _ones(n: int, dtype: str) -> Array:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def total(x: Array, axis: tuple[int, ...]) -> Array:
    """The sum over ``axis`` (canonical, sorted), kept as axes of size 1; the dtype of ``x``.

    float16 adds up in float32. Long float32 columns are summed slab by slab and the slabs in
    float64, because NumPy adds rows one after the other there: 2²⁵ ones would give 2²⁴.
    """
    if x.dtype == np.float16:
        return np.add.reduce(x, axis=axis, dtype=np.float32, keepdims=True).astype(np.float16)
    if x.size > 256 and x.dtype.kind == "f" and x.flags.c_contiguous:
        first, last = axis[0], axis[-1]
        if last - first + 1 == len(axis):
            shape = tuple(1 if a in axis else n for a, n in enumerate(x.shape))
            if last == x.ndim - 1 and (n := math.prod(x.shape[first:])) <= _DOT:
                sums: Array = np.vecdot(x.reshape(-1, n), _ones(n, x.dtype.char)).reshape(shape)
                return sums
            if first == 0 and last < x.ndim - 1:
                rows = x.reshape(-1, math.prod(x.shape[last + 1 :]))
                return _column_sums(rows).astype(x.dtype, copy=False).reshape(shape)
    return np.add.reduce(x, axis=axis, keepdims=True)


def _column_sums(rows: Array) -> Array:
    n, width = rows.shape
    step = max(1, min(256, SLAB // max(1, width)))
    ones = _ones(step, rows.dtype.char)
    if n <= step:
        return ones[:n] @ rows
    sums = np.zeros(width, np.float64)
    for start in range(0, n, step):
        slab = rows[start : start + step]
        sums += ones[: len(slab)] @ slab
    return sums


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting ``shape`` to ``x.shape``, for arrays."""
    lead = x.ndim - len(shape)
    axis = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1))
    if axis:
        x = total(x, axis)
    return x.reshape(shape) if lead else x


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
