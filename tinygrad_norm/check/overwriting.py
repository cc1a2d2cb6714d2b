"""Explanations by an array that is written over as the candidate goes along it: what is summed later reads what was written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..derive.formula import Letter, Total, places
from ..engine.arrays import Array
from .case import Case
from .counts import BLOCKS
from .fused import Fused
from .judgement import Explanation, Given
from .line import formula_of, right_formula

_MOST = 64  # pieces that are gone through one after the other
_LARGE = 4_000  # entries


def along_the_way(case: Case, given: Given) -> Explanation | None:
    """The right formula, piece after piece, each result put where the cotangent, or the input, stood."""
    found = formula_of(case, given)
    if found is None or given.array.size > _LARGE or found.shape != tuple(found.sizes[a] for a in found.axes):
        return None
    mine, gate = found.spread(given.array), given.gate(case)
    for letter in (a for a in found.arrays() if a.kind in ("cotangent", "input") and set(a.axes) == set(found.axes)):
        for axis in dict.fromkeys(a for t in found.terms for _, n in places(t) if isinstance(n, Total) for a in n.axes):
            for words, made in _gone_through(found, letter, axis, mine, gate):
                if np.max(np.abs(made - mine), initial=0) <= gate:
                    text = f"{letter.name} is written over as it is gone through along {found.over((axis,))}{words}: the sums of later ones read what was written"
                    return Explanation((text, *right_formula(found, given)), ("written over",))
    return None


def _gone_through(found: Fused, letter: Letter, axis: str, mine: Array, gate: float) -> Iterator[tuple[str, Array]]:
    at, n = found.axes.index(axis), found.sizes[axis]
    right = np.asarray(found.known[letter.name], np.float64)
    lines = list(found.formula.lines)
    for block in (b for b in (1, *BLOCKS) if b < n and n <= b * _MOST):
        now = np.array(np.broadcast_to(right, found.shape))
        for k in range(0, n, block):
            with np.errstate(all="ignore"):
                other = found.with_lines(())
                other.known[letter.name] = now
                for line in lines:
                    other.known[line.letter.name] = other.at(line.expression)
                parts = [other.value(t) for t in found.terms]
            if any(p is None for p in parts):
                break
            piece = tuple(slice(k, k + block) if j == at else slice(None) for j in range(now.ndim))
            now[piece] = np.sum(parts, axis=0)[piece]  # type: ignore[arg-type]
            if np.max(np.abs(now[piece] - mine[piece]), initial=0) > gate:  # the first pieces are right already, or it is none
                break
        else:
            yield "" if block == 1 else f", {block} at once", now
