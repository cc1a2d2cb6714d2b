"""Explanations by a scale that is another in each row, whatever it is: the rest of the formula is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed

import numpy as np

from ..derive.formula import Letter, Power, Total, letters, places
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .fused import Fused
from .judgement import Explanation, Given
from .line import explained, formula_of
from .variants import placed


def another_scale(case: Case, given: Given) -> Explanation | None:
    """One over σ, or a length, with other numbers: in every term, or in all that is computed from it, too."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    gate = given.gate(case)
    causes = []
    for letter in _scales(found):
        right = placed(found, found.known[letter.name])
        times = _times(found, letter, mine)
        if times is None or np.max(np.abs(times - 1)) < 1e-9 or not np.all(times > 0):  # a root is positive
            continue
        for value in (right * times, right / times):
            for lines, where in ((found.formula.lines, ", and in all that is computed from it"), ((), ", in every term")):
                with np.errstate(all="ignore"):
                    other = found.with_lines(lines, {letter.name: value})
                    other.known[letter.name] = value
                    made = [other.value(t) for t in found.terms]
                if all(m is not None for m in made) and np.max(np.abs(np.sum(made, axis=0) - mine)) <= gate:  # type: ignore[arg-type]
                    causes.append(_said(found, given, letter, value / right, where))
    causes = list(dict.fromkeys(causes))
    if not causes:
        return None
    off = float(np.max(np.abs(given.array - case.truth[given.name]), initial=0))
    single = given.dtype == np.float64 and off <= case.gate(given.name, np.float32)
    return changed(explained(found, given, causes), status="imprecise" if single else "wrong")


def _scales(found: Fused) -> Iterator[Letter]:
    """Statistics that are roots, and read in the formula."""
    read = {a for t in found.terms for a in letters(t)}
    for line in found.statistics():
        if isinstance(line.expression, Power) and line.letter.name in read:
            yield line.letter


def _times(found: Fused, letter: Letter, mine: Array) -> Array | None:
    """How many times the term without a sum is what it should be, in each index of the letter's axes: by least squares."""
    direct = [k for k, t in enumerate(found.terms) if not any(isinstance(n, Total) for _, n in places(t))]
    values = [np.asarray(found.value(t)) for t in found.terms]
    along = [k for k, a in enumerate(found.axes) if a in letter.axes]
    if len(direct) != 1 or values[0].ndim != len(found.axes):
        return None
    shape = [found.sizes[a] if a in letter.axes else 1 for a in found.axes]
    n = int(np.prod(shape))
    rows = [np.moveaxis(v, along, range(len(along))).reshape(n, -1) for v in (*values, mine)]
    if rows[0].shape[1] <= len(values):
        return None
    times = np.empty(n)
    for i in range(n):
        c, _, rank, _ = np.linalg.lstsq(np.stack([r[i] for r in rows[:-1]], axis=1), rows[-1][i], rcond=1e-12)
        if rank < len(values):
            return None
        times[i] = c[direct[0]]
    return times.reshape(shape)


def _said(found: Fused, given: Given, letter: Letter, times: Array, where: str) -> str:
    low, high = float(np.min(times)), float(np.max(times))
    much = number(low) if abs(high - low) <= 1e-9 * abs(high) else f"between {number(low)} and {number(high)} times"
    own = " of its own" if low != high else ""
    if np.max(np.abs(times - 1)) < 5e-4:
        much = f"up to {number(float(np.max(np.abs(times - 1))))} of it off"
        return (
            f"your {given.symbol} has another {letter.name}{where}: {much}, more than rounding; all else in the formula is right"
        )
    return (
        f"your {given.symbol} has another {letter.name}{where}: {much} what {letter.name} is, with a factor{own} in each index of "
        f"{found.over(letter.axes)}; all else in the formula is right"
    )
