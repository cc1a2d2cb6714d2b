"""Explanations by a statistic with other numbers, whatever they are: the rest of the formula is right. What was found for one
gradient explains the others, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..derive.formula import Letter, Line, Power
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .fused import Fused
from .judgement import Explanation, Given
from .line import explained, formula_of
from .variants import placed

_STEPS = 40
_WHERE = {
    "all": ", and in all that is computed from it",
    "statistics": ", and in all that is computed from it but the statistics",
    "none": ", in every term",
}
_LEAST = 3  # entries for each number that is fitted


def another_statistic(case: Case, given: Given) -> Explanation | None:
    """One statistic of each row, or column, that is another number there: found by Newton's steps, if that is exact."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine, gate = found.spread(given.array), given.gate(case)
    for line in found.statistics():
        letter, right = line.letter, placed(found, found.known[line.letter.name])
        if mine.size < _LEAST * right.size or np.broadcast_shapes(right.shape, mine.shape) != mine.shape:
            continue
        for how, where in _WHERE.items():
            value = _fitted(found, letter, how, mine, gate)
            if value is None or np.max(np.abs(value - right)) <= 1e-9 * np.max(np.abs(right)):
                continue
            if isinstance(line.expression, Power) and not np.all(value > 0):
                continue  # one over a root is positive
            said = _said(found, letter, right, value, where)
            case.suspects.append((said, letter.name, value, how))
            return explained(found, given, [f"your {given.symbol} has {said}"])
    return None


def as_in_another(case: Case, given: Given) -> Explanation | None:
    """What was found in another gradient, in this one."""
    found = formula_of(case, given) if case.suspects else None
    if found is None:
        return None
    for said, name, value, how in case.suspects:
        if name in found.letters and np.size(found.known.get(name, ())) == value.size:
            made = _made(found, name, value, how)
            if made is not None and np.max(np.abs(made - found.spread(given.array)), initial=0) <= given.gate(case):
                return explained(found, given, [f"your {given.symbol} has {said}"])
    return None


def _made(found: Fused, name: str, value: Array, how: str) -> Array | None:
    lines: Sequence[Line] = () if how == "none" else found.formula.lines
    kept = {x.letter.name: found.known[x.letter.name] for x in found.statistics()} if how == "statistics" else {}
    with np.errstate(all="ignore"):
        other = found.with_lines(lines, {**kept, name: value})
        other.known[name] = value
        parts = [other.value(t) for t in found.terms]
    return None if any(p is None for p in parts) else np.asarray(np.sum(parts, axis=0))  # type: ignore[arg-type]


def _fitted(found: Fused, letter: Letter, how: str, mine: Array, gate: float) -> Array | None:
    """Its numbers: each index by itself, by least squares on what depends on it."""
    right = placed(found, found.known[letter.name])
    along = tuple(k for k, n in enumerate(right.shape) if n == 1)
    size = np.max(np.abs(right)) or 1.0
    for start in (right, np.zeros(right.shape)):
        value: Array = start.copy()
        for _ in range(_STEPS):
            now, then = (_made(found, letter.name, v, how) for v in (value, value + 1e-7 * size))
            if now is None or then is None:
                break
            if np.max(np.abs(mine - now)) <= gate:
                return value
            slope = (then - now) / (1e-7 * size)
            much = np.sum(slope * slope, axis=along, keepdims=True)
            step = np.sum(slope * (mine - now), axis=along, keepdims=True) / np.where(much > 0, much, np.inf)
            value = value + np.clip(step, -3 * size, 3 * size)
    return None


def _said(found: Fused, letter: Letter, right: Array, value: Array, where: str) -> str:
    off = value - right
    each = f"in each index of {found.over(letter.axes)} a number of its own, off by between {number(float(np.min(off)))} and {number(float(np.max(off)))}"
    return f"another {letter.name}{where}: {each}; all else in the formula is right"
