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
