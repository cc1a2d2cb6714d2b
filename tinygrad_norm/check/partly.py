"""Explanations by one term that is missing, or otherwise, in some entries only: a tail that was not gone through, a branch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..engine.arrays import Array
from .case import Case
from .fitting import listed, tail
from .fused import Fused
from .judgement import Explanation, Given
from .line import formula_of, right_formula
from .variants import placed

_WAYS = (
    (-1.0, "is missing"),
    (-2.0, "has the wrong sign"),
    (1.0, "stands there twice"),
    (-0.5, "is half as big as it should be"),
)


def partly(case: Case, given: Given) -> Explanation | None:
    """Right, but for one term in part of the entries."""
    found = formula_of(case, given)
    if found is None or given.array.size < 4:
        return None
    truth = found.spread(case.truth[given.name])
    off = found.spread(given.array) - truth
    gate = given.gate(case)
    hit = np.abs(off) > gate
    if not 0 < np.sum(hit) < hit.size:
        return None
    for term in found.terms if len(found.terms) > 1 else ():
        value = np.asarray(found.value(term))
        for much, words in _WAYS:
            if np.max(np.abs(off - much * value * hit)) <= gate and np.sum(hit) > 1:
                text = f"the term {found.hand(term)} of {given.symbol} {words} {_where(found, hit)}; the other entries are right"
                return Explanation((text, *right_formula(found, given)), ("in part",))
    if np.max(np.abs(off + truth * hit)) <= gate and np.sum(hit) > 1:
        where = next(iter(_conditions(found, hit)), None)
        if where is not None:
            return Explanation((f"{given.symbol} is zero where {where}; the other entries are right",), ("in part",))
    return None


def _where(found: Fused, hit: Array) -> str:
    for at, axis in enumerate(found.axes):
        along = tuple(k for k in range(hit.ndim) if k != at)
        some = np.any(hit, axis=along)
        if np.array_equal(hit, np.broadcast_to(np.expand_dims(some, along), hit.shape)) and 0 < np.sum(some) < len(some):
            where = np.flatnonzero(some)
            return f"in index {listed(where)} of {found.over((axis,))}{tail(where, len(some))}"
    return next((f"where {words}" for words in _conditions(found, hit)), f"in {int(np.sum(hit))} of {hit.size} entries")


def _conditions(found: Fused, hit: Array) -> Iterator[str]:
    long = [k for k, n in enumerate(hit.shape) if n > 1]
    if len(long) > 1:
        i, j = (np.arange(hit.shape[k]).reshape([-1 if m == k else 1 for m in range(hit.ndim)]) for k in long[-2:])
        one, two = (found.axes[k].lower() for k in long[-2:])
        for words, mask in (
            (f"{one} < {two}", i < j),
            (f"{one} > {two}", i > j),
            (f"{one} = {two}", i == j),
            (f"{one} ≠ {two}", i != j),
        ):
            if np.array_equal(np.broadcast_to(mask, hit.shape), hit):
                yield f"{words}, indices along {found.axes[long[-2]]} and {found.axes[long[-1]]}"
    for letter in found.arrays():
        a = np.broadcast_to(placed(found, found.known[letter.name]), [found.sizes[x] for x in found.axes])
        if a.shape == hit.shape:
            for words, mask in (("<", a < 0), (">", a > 0)):
                if np.array_equal(mask, hit):
                    yield f"{letter.name} {words} 0"
