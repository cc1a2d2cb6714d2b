"""Explanations that need no mathematics: shapes, order, zeros, what was overwritten, what adds up."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from ..engine.arrays import Array
from .alterations import Backward
from .case import Case
from .judgement import Explanation, Given
from .known import rule


def not_finite(case: Case, given: Given) -> Explanation | None:
    bad = np.argwhere(~np.isfinite(given.array))
    if not len(bad):
        return None
    return Explanation((f"{len(bad)} entries are not finite, the first at {tuple(int(i) for i in bad[0])}",))


def zero_everywhere(case: Case, given: Given) -> Explanation | None:
    if np.any(given.array) or not np.any(case.truth[given.name]):
        return None
    text = f"{given.symbol} is zero everywhere: it was never computed, or never written"
    known = rule(case, given)
    return Explanation((text,)) if known is None else Explanation((text, *known.lines), known.mistakes, known.aliases)


def in_another_order(case: Case, given: Given) -> Explanation | None:
    """The right gradients in the wrong places."""
    places = [n for n in case.truth if given.others.get(n) is not None]
    if len(places) > 6:
        return None
    fits = {n: [o for o in places if _are(case, given.others[n], o, given)] for n in places}
    if given.name not in fits or given.name in fits[given.name] or not fits[given.name]:
        return None
    for order in permutations(places):
        if all(o in fits[n] for n, o in zip(places, order)):
            moved = [n for n, o in zip(places, order) if n != o]
            if len(moved) == 2:
                return Explanation((f"{_d(case, moved[0])} and {_d(case, moved[1])} are swapped",), ("order",))
            gave, wants = (", ".join(_d(case, n) for n in names) for names in (order, places))
            return Explanation((f"you return ({gave}); the order is ({wants})",), ("order",))
    return None


def in_the_place_of_another(case: Case, given: Given) -> Explanation | None:
    """Another input's gradient, which may stand in its own place, too."""
    for other in case.truth:
        if other != given.name and _are(case, given.array, other, given):
            return Explanation((f"this is {_d(case, other)}, in the place of {given.symbol}",), ("order",))
    return None


def of_another_shape(case: Case, given: Given) -> Explanation | None:
    if given.has_shape(case):
        return None
    truth, mine = case.truth[given.name], given.array
    text = f"{given.symbol} has shape {mine.shape}, not {truth.shape}"
    misplaced = in_the_place_of_another(case, given)
    if misplaced is not None:
        return Explanation((f"{text}: {misplaced.lines[0]}",), misplaced.mistakes)
    if mine.size == truth.size and given.is_it(case, truth.reshape(mine.shape)):
        return Explanation((f"{text}: right values in the wrong shape",), ("shape",))
    if mine.shape == truth.shape[::-1] and given.is_it(case, truth.T):
        return Explanation((f"{text}: transposed",), ("shape",))
    known = rule(case, given)
    axes = _axes_to_sum(case, given)
    if axes is not None:
        text += f": sum over ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"
        return Explanation((text,), known.mistakes if known else ("shape",), known.aliases if known else ())
    if known is not None:
        return Explanation((text, *known.lines), known.mistakes, known.aliases)
    return Explanation((text,))


def transposed(case: Case, given: Given) -> Explanation | None:
    truth = case.truth[given.name]
    for a, b in combinations(range(truth.ndim), 2):
        other = np.swapaxes(truth, a, b)
        if truth.shape[a] == truth.shape[b] > 1 and given.is_it(case, other):
            return Explanation((f"{given.symbol} is transposed: axes {a} and {b} are swapped",), ("transposed",))
    return None


def overwritten(case: Case, given: Given) -> Explanation | None:
    """The right gradient, of what the candidate had made of its cotangent or its input by then."""
    dy = given.changed.get("dy")
    if dy is None or dy.shape != case.dy.shape or not np.all(np.isfinite(dy)):
        return None
    later = Backward(case.graph, case.leaves, dy.astype(np.float64)).gradients()[given.name]
    if not given.is_it(case, later):
        return None
    return Explanation((f"changed dy before {given.symbol} read it: this is {given.symbol} of what it wrote there. Copy dy first",),
                       ("dy overwritten",))  # fmt: skip


def changes_from_call_to_call(case: Case, given: Given) -> Explanation | None:
    """Asked only of what is right the first time."""
    if given.again is None or not given.has_shape(case):
        return None
    if np.max(np.abs(given.again - given.array), initial=0) <= case.gate(given.name, given.dtype):
        return None
    twice = given.again / 2
    if np.max(np.abs(twice - given.array), initial=0) <= case.gate(given.name, given.dtype, given.again):
        return Explanation((f"adds to what it returned last time: the second call gives twice {given.symbol}",), ("adds up",))
    return Explanation(("gives another answer the second time it is called with the same numbers",), ("not the same twice",))


def _are(case: Case, mine: Array | None, other: str, given: Given) -> bool:
    """Whether these numbers are the other input's gradient, which is not zero."""
    truth = case.truth[other]
    if mine is None or mine.shape != truth.shape or not np.any(truth):
        return False
    return bool(np.max(np.abs(mine.astype(np.float64) - truth), initial=0) <= case.gate(other, given.dtype))


def _axes_to_sum(case: Case, given: Given) -> tuple[int, ...] | None:
    """Those over which a sum gives it the shape it should have, right at once if there are such."""
    mine, truth = given.array, case.truth[given.name]
    found = []
    for k in range(1, mine.ndim + 1):
        for axes in combinations(range(mine.ndim), k):
            total = mine.sum(axes)
            if [n for n in total.shape if n != 1] == [n for n in truth.shape if n != 1]:
                right = np.max(np.abs(total.reshape(truth.shape) - truth), initial=0) <= case.gate(given.name, given.dtype, mine)
                found.append((not right, axes))
    return min(found)[1] if found else None


def _d(case: Case, name: str) -> str:
    return f"d{case.leaves[name].name or name}"
