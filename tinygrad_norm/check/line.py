"""Explanations by the derived formula: one of its terms altered, or all of them, or two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed
from itertools import chain, combinations, islice, permutations

import numpy as np

from ..derive.formula import Call, Line, Node, Total, replace, walk
from ..engine.arrays import Array
from .case import Case
from .fused import Fused, fused
from .judgement import Explain, Explanation, Given
from .slips import everywhere, foreign, slips

TRIED = 6_000  # altered formulas, at most
_ENTRIES = 8_000_000  # and entries computed for them
_FIRST, _SECOND = 60, 70  # slips in one term, tried together
_TOLD = 3  # causes that no number tells apart, at most


def line(case: Case, given: Given) -> Explanation | None:
    """The derived formula with one mistake in it."""
    causes, _ = _causes(case, given)
    if not causes:
        return None
    found = case.formulas[given.name]
    return Explanation((*_told(causes), *_right(found, given)), (causes[0],), tuple(causes[1:_TOLD]))


def in_the_line(attempt: Explain) -> Explain:
    """The same, and what it is in the derived formula, if it is more there than a number before a term."""

    def explanation(case: Case, given: Given) -> Explanation | None:
        told = attempt(case, given)
        causes, more = _causes(case, given) if told is not None else ([], False)
        if told is None or not more:
            return told
        return changed(
            told,
            lines=(
                *told.lines,
                "in the derived formula:",
                *(f"  {c}" for c in _told(causes)),
                *_right(case.formulas[given.name], given),
            ),
        )

    return explanation


def _causes(case: Case, given: Given) -> tuple[list[str], bool]:
    """Every single alteration that gives these numbers, and whether one is more than a number before a term."""
    found = _formula(case, given)
    if found is None:
        return [], False
    mine = found.spread(given.array)
    values = [np.asarray(found.value(t)) for t in found.terms]
    budget = _budget(found)
    causes: list[str] = []
    more = False
    for k, term in enumerate(found.terms):
        rest = np.sum([v for j, v in enumerate(values) if j != k], axis=0)
        for slip in islice(slips(found, term), budget):
            value = _quietly(found, slip.node)
            if value is not None and _is(case, given, found, mine, rest + value):
                causes.append(_said(found, given, k, slip.words))
                more = more or not slip.only_a_number
    if causes:
        return list(dict.fromkeys(causes)), more
    whole = ((terms, words) for terms, words in islice(everywhere(found), budget))
    added = (((*found.terms, term), words) for term, words in foreign(found))
    for attempt in (whole, added):
        causes = [f"your {given.symbol} {words}" for terms, words in attempt if _is(case, given, found, mine, _sum(found, terms))]
        if causes:
            return list(dict.fromkeys(causes)), True
    causes = list(dict.fromkeys((*_statistics(case, given, found, mine), *_handed(case, given, found, mine))))
    return causes, bool(causes)


def two_in_the_line(case: Case, given: Given) -> Explanation | None:
    """The derived formula with two mistakes in it: in two terms, or one in all and one in one."""
    found = _formula(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    budget, tried = _budget(found), 0
    rng = np.random.default_rng(0)
    weights = rng.normal(size=found.shape)
    values = [np.asarray(found.value(t)) for t in found.terms]
    aim = float(np.sum((mine - sum(values)) * weights))
    shifts: list[tuple[int, float, str, Node]] = []
    for k, term in enumerate(found.terms):
        for slip in slips(found, term):
            value = _quietly(found, slip.node)
            tried += 1
            if value is not None:
                shifts.append((k, float(np.sum((value - values[k]) * weights)), slip.words, slip.node))
    for term, words in foreign(found):
        value = _quietly(found, term)
        tried += 1
        if value is not None:
            shifts.append((-1, float(np.sum(value * weights)), words, term))
    if len(shifts) > 1:
        order = np.argsort([s[1] for s in shifts], kind="stable")
        sorted_shifts = np.array([shifts[i][1] for i in order])
        scale = 4 * case.gate(given.name, given.dtype, given.array) * float(np.sum(np.abs(weights)))
        best: tuple[int, list[str]] | None = None
        for i, (k, shift, words, node) in enumerate(shifts):
            low, high = np.searchsorted(sorted_shifts, [aim - shift - scale, aim - shift + scale])
            for j in sorted(order[low:high])[:40]:
                if j <= i or shifts[j][0] == k:
                    continue
                other = shifts[j]
                made = [node if m == k else other[3] if m == other[0] else t for m, t in enumerate(found.terms)]
                made += [t for m, t in ((k, node), (other[0], other[3])) if m < 0]
                if (best is None or i + j < best[0]) and _is(case, given, found, mine, _sum(found, made)):
                    best = int(i + j), [_said(found, given, k, words), _said(found, given, shifts[j][0], shifts[j][2])]
        if best is not None:
            return _both(given, best[1])
    aims = [mine - (sum(values) - v) for v in values]
    for k, term in enumerate(found.terms):  # both in one term
        for slip in islice((s for s in slips(found, term) if not s.only_a_number), _FIRST):
            for second in islice(slips(found, slip.node), _SECOND):
                value = _quietly(found, second.node)
                tried += 1
                if value is not None and _is(case, given, found, aims[k], value):
                    return _both(
                        given, [_said(found, given, k, slip.words), f"and then, as {found.hand(slip.node)}, it {second.words}"]
                    )
            if tried > budget:
                break
    budget += tried
    for terms, words in everywhere(found):
        if len(terms) != len(found.terms) or tried > budget:
            continue
        parts = [_quietly(found, t) for t in terms]
        tried += len(terms)
        if any(p is None for p in parts):
            continue
        for k, term in enumerate(terms):
            rest = np.sum([p for j, p in enumerate(parts) if j != k and p is not None], axis=0)
            needed = mine - rest
            for slip in islice(slips(found, term), _SECOND):
                value = _quietly(found, slip.node)
                tried += 1
                if value is not None and _is(case, given, found, needed, value):
                    return _both(given, [f"your {given.symbol} {words}", _said(found, given, k, slip.words)])
            if tried > budget:
                break
    if tried > budget:
        given.gave_up.append(f"gave up after {tried} altered formulas")
    return None


def _both(given: Given, causes: list[str]) -> Explanation:
    return Explanation(("two mistakes at once:", *(f"  {c}" for c in causes)), tuple(causes))


def _formula(case: Case, given: Given) -> Fused | None:
    if not given.has_shape(case) or not np.all(np.isfinite(given.array)):
        return None
    if given.name not in case.formulas:
        case.formulas[given.name] = fused(case, given.name)
    found = case.formulas[given.name]
    return found if isinstance(found, Fused) else None


def _budget(found: Fused) -> int:
    return max(200, min(TRIED, _ENTRIES // max(1, int(np.prod([found.sizes[a] for a in found.axes])))))


def _quietly(found: Fused, node: Node) -> Array | None:
    with np.errstate(all="ignore"):
        return found.value(node)


def _sum(found: Fused, terms: object) -> Array | None:
    total = np.zeros(found.shape)
    for t in terms:  # type: ignore[attr-defined]
        value = _quietly(found, t)
        if value is None:
            return None
        total = total + value
    return total


def _is(case: Case, given: Given, found: Fused, mine: Array, other: Array | None) -> bool:
    """Whether these are the numbers, to rounding."""
    if other is None:
        return False
    off = float(np.max(np.abs(mine - other), initial=0))
    return off <= case.gate(given.name, given.dtype, given.array)


def _said(found: Fused, given: Given, k: int, words: str) -> str:
    if k < 0:
        return f"your {given.symbol} {words}"
    return (
        f"the term {found.hand(found.terms[k])} of {given.symbol} {words}"
        if len(found.terms) > 1
        else f"your {given.symbol} {words}"
    )


def _statistics(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """The statistics taken over other axes, or as a sum for a mean; by themselves, or with all that is summed in the gradient."""
    subsets = dict.fromkeys(n.axes for line in found.formula.lines for n in _totals(line.expression))
    for own in subsets:
        for axes in chain.from_iterable(combinations(found.axes, k) for k in range(1, len(found.axes) + 1)):
            for function in ("mean", "sum", ""):

                def over(
                    n: Node, own: tuple[str, ...] = own, axes: tuple[str, ...] = axes, function: str = function
                ) -> Node | None:
                    if isinstance(n, Call) and n.axes == own and not function:
                        return changed(n, axes=axes)
                    if not (isinstance(n, Total) and n.axes == own and n.function in ("mean", "sum")):
                        return None
                    return Total(n.inside, axes, function or n.function)

                lines = [Line(line.letter, replace(line.expression, over), line.kind) for line in found.formula.lines]
                with np.errstate(all="ignore"):
                    other = found.with_lines(lines)
                where, belongs = found.over(axes), found.over(own)
                kind = f"as a {function} " if function else ""
                which = [a.letter.name for a, b in zip(found.formula.lines, lines) if a.expression != b.expression]
                are = f"{', '.join(which)} {'is' if len(which) == 1 else 'are'}"
                if which and _is(case, given, found, mine, _sum(other, found.terms)):
                    yield f"{are} taken {kind}over {where} where {belongs} belongs"
                elif not function and _is(case, given, found, mine, _sum(other, [replace(t, over) for t in found.terms])):
                    yield f"{', '.join(which)} and all sums are taken over {where} where {belongs} belongs"


def _handed(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """Statistics that are not the input's own, but what the candidate was handed besides: running ones."""
    own = [x.letter for x in found.formula.lines if isinstance(x.expression, Total) and x.letter.axes]
    for k in range(1, len(own) + 1):
        for letters in combinations(own, k):
            for handed in permutations(case.besides.items(), k):
                values = {a.name: np.asarray(v) for a, (_, v) in zip(letters, handed)}
                if any(v.size != np.size(found.known[n]) for n, v in values.items()):
                    continue
                fixed = {n: v.reshape(np.shape(found.known[n])) for n, v in values.items()}
                with np.errstate(all="ignore"):
                    other = found.with_lines(found.formula.lines, fixed)
                if _is(case, given, found, mine, _sum(other, found.terms)):
                    which = ", ".join(f"{n} for {a.name}" for a, (n, _) in zip(letters, handed))
                    yield f"your {given.symbol} has {which}: what was handed over, where the statistics of the input itself belong"


def _totals(node: Node) -> Iterator[Total | Call]:
    return (n for n in walk(node) if (isinstance(n, Total) and n.function in ("mean", "sum")) or (isinstance(n, Call) and n.axes))


def _told(causes: list[str]) -> list[str]:
    return [causes[0], *(f"or, with the same numbers: {c}" for c in causes[1:_TOLD])]


def _right(found: Fused, given: Given) -> list[str]:
    """The derived formula itself."""
    text = f"right: {given.symbol} = {found.hand(found.formula.result)}"
    named = [f"{x.letter.name} = {found.hand(x.expression)}" for x in found.formula.lines if x.kind == "abbreviation"]
    return [f"{text},  {', '.join(named)}" if named else text]
