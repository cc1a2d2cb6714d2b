"""Shortcuts over arrays for the rules that backward passes spend their time in.

A kernel gives what the rules in the table give, summed to the inputs' shapes, with fewer passes over memory.
The table stays the truth; tests hold each kernel to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import SMALL, Array, contract, sum_to
from .values import PIECE


def add(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g, g)."""
    return [_fit(g, b if position else a) for position in wanted]


def sub(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g, −g): sum first, negate what is left."""
    return [-_fit(g, b) if position else _fit(g, a) for position in wanted]


def mul(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g·b, g·a): where the product is only wanted summed, it is a contraction."""
    return [_times(g, b, a) if position else _times(g, a, b) for position in wanted]


def div(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g/b, −g·out/b): b does not vary where it is spread, and divides what is left of the sum."""
    narrow = g.dtype.itemsize < 4  # whose sum may leave the range
    return [(_fit(-g * out / b, b) if narrow else -_times(g, b, out) / b) if position else _fit(g / b, a) for position in wanted]


def matmul(wanted: Sequence[int], g: Array, out: Array, a: Array, b: Array) -> list[Array]:
    """(g·bᵀ, aᵀ·g): for one matrix b and a batch of a as one product, which sums over the batch."""
    if b.ndim == 2 < a.ndim and a.size > SMALL and g.size:
        g, rows = g.reshape(-1, g.shape[-1]), a.reshape(-1, a.shape[-1])
        return [_laid_out_as(b, rows, g) if position else (g @ b.T).reshape(a.shape) for position in wanted]
    return [_laid_out_as(b, a, g) if position else g @ b.swapaxes(-1, -2) for position in wanted]


def _laid_out_as(b: Array, a: Array, g: Array) -> Array:
    """aᵀ·g in memory as b is: what a weight's gradient is added up and subtracted with then lies in the same order."""
    if b.ndim == 2 == g.ndim == a.ndim and b.flags.fnc:
        product: Array = (g.T @ a).T
        return product
    return np.asarray(a.swapaxes(-1, -2) @ g)


def _fit(g: Array, x: Array) -> Array:
    return g if g.shape == x.shape else sum_to(g, x.shape)


def _times(g: Array, x: Array, other: Any) -> Array:
    if g.shape == x.shape:
        return g * other  # type: ignore[no-any-return]
    if type(other) is np.ndarray and other.shape == g.shape and other.dtype == g.dtype:
        return contract(g, other, x.shape)
    return sum_to(g * other, x.shape)


def in_pieces(rule: Callable[..., Array], faster: Callable[..., Array] | None = None) -> Callable[..., list[Array]]:
    """The rule of a function of one array, or what gives the same of floats, a piece at a time, so that its many steps stay in
    cache."""

    def kernel(wanted: Sequence[int], g: Array, out: Array, x: Array) -> list[Array]:
        compute = faster if faster and x.dtype.char in "fd" and g.dtype == x.dtype else rule
        if out.size <= PIECE:
            return [compute(g, out, x) for _ in wanted]
        flat, share = [a.reshape(-1) for a in (g, out, x)], np.empty(out.shape, np.result_type(g, x))
        for start in range(0, out.size, PIECE):
            part = slice(start, start + PIECE)
            share.reshape(-1)[part] = compute(*[a[part] for a in flat])
        return [share for _ in wanted]

    return kernel
