"""Explanations by where numbers stand: axes that were reshaped instead of transposed, and rows that have no gradient."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ..engine.arrays import Array
from .alterations import Backward
from .case import Case
from .fitting import listed
from .judgement import Explanation, Given

_AXES = 4  # axes, of whose orders all are tried


def reshaped(case: Case, given: Given) -> Explanation | None:
    """Axes in another order that were reshaped to the right shape, where they have to be transposed: of dy, of the result, of both."""
    truth = case.truth[given.name]
    whole = truth.shape == case.dy.shape
    if not given.has_shape(case) or not 2 <= case.dy.ndim <= _AXES:
        return None
    orders = [p for p in permutations(range(case.dy.ndim)) if p != tuple(range(case.dy.ndim)) and _moves(case.dy, p)]
    for p in orders if whole else ():
        if given.is_it(case, _put_back(truth, p)):
            text = f"the right numbers in the wrong places: with its axes in the order {p}, {given.symbol} was reshaped to {truth.shape}"
            return Explanation((f"{text}. Transpose it back first",), ("reshaped without transposing",))
    for p in orders:
        dy = _misread(case.dy, p)
        other = Backward(case.graph, case.leaves, dy).gradients()[given.name]
        for text, wrong in (("", other), (", and the result likewise", _put_back(other, p) if whole else None)):
            if wrong is not None and given.is_it(case, wrong):
                shape = tuple(case.dy.shape[a] for a in p)
                told = f"dy was reshaped without transposing it: its numbers are read as if its axes were in the order {p}, {shape}{text}"
                return Explanation((told,), ("reshaped without transposing",))
    return None


def moved(case: Case, given: Given) -> Explanation | None:
    """The right rows in the wrong places, with others left at zero: an index that is permuted, shifted, or too small a number."""
    truth = case.truth[given.name]
    if not given.has_shape(case) or truth.ndim < 2:
        return None
    for axis in range(truth.ndim):
        mine, right = (np.moveaxis(a, axis, 0).reshape(truth.shape[axis], -1) for a in (given.array, truth))
        weights = np.random.default_rng(0).normal(size=mine.shape[1])
        order = np.argsort(right @ weights)
        found = order[np.clip(np.searchsorted((right @ weights)[order], mine @ weights), 0, len(order) - 1)]
        before = order[np.clip(np.searchsorted((right @ weights)[order], mine @ weights) - 1, 0, len(order) - 1)]
        near = np.abs((right[before] - mine) @ weights) < np.abs((right[found] - mine) @ weights)
        found = np.where(near, before, found)
        gate = case.gate(given.name, given.dtype)
        zero = ~np.any(mine, axis=1) & np.any(right, axis=1)
        if np.any(np.max(np.abs(mine - right[found]), axis=1)[~zero] > gate):
            continue
        off = np.flatnonzero((found != np.arange(len(found))) & ~zero & (np.max(np.abs(mine - right), axis=1) > gate))
        if len(off):
            said = ", ".join(f"{i} has what belongs to {found[i]}" for i in off[:3]) + (", …" if len(off) > 3 else "")
            rest = f"; {np.sum(zero)} of them are left at zero" if np.any(zero) else ""
            return Explanation((f"the right numbers in the wrong indices of axis {axis}: {said}{rest}",), ("moved",))
    return None


def none_there(case: Case, given: Given) -> Explanation | None:
    """A gradient where there is none, as in rows whose target is ignored; elsewhere it is right."""
    truth = case.truth[given.name]
    if not given.has_shape(case) or truth.ndim < 2:
        return None
    along = tuple(range(1, truth.ndim))
    off = np.any(np.abs(given.array - truth) > case.gate(given.name, given.dtype), axis=along)
    none = ~np.any(truth, axis=along)
    if not np.any(off) or np.any(off & ~none):
        return None
    why = ""
    for n, t in case.inputs.items():
        if not t.requires_grad and t.shape == off.shape:
            same = [o for o, v in case.options.items() if isinstance(v, int) and np.array_equal(t.numpy() == v, none)]
            why = f", where {t.name or n} is what is ignored ({same[0]})" if same else why
    return Explanation(
        (f"index {listed(np.flatnonzero(off))} of axis 0 has a gradient and should have none{why}; the others are right",),
        ("a gradient where there is none",),
    )


def _moves(a: Array, p: tuple[int, ...]) -> bool:
    """Whether that order is another one in memory."""
    return not np.array_equal(_put_back(np.arange(a.size).reshape(a.shape), p).ravel(), np.arange(a.size))


def _put_back(a: Array, p: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(np.transpose(a, p)).reshape(a.shape)


def _misread(a: Array, p: tuple[int, ...]) -> Array:
    return np.transpose(np.ascontiguousarray(a).reshape([a.shape[k] for k in p]), np.argsort(p))
