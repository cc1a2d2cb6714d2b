"""Explanations by the derived formula: one of its terms altered, or all of them, or two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace as changed
from itertools import chain, islice

import numpy as np

from ..derive.formula import Node, Total, letters, places
from ..engine.arrays import Array
from .added import foreign, once_more
from .case import Case
from .computed import is_it, otherwise, quietly, total
from .fused import Fused, fused, inward
from .judgement import Explain, Explanation, Given
from .slips import everywhere, slips

TRIED = 6_000  # altered formulas, at most,
_TWICE = 2_500  # and pairs of alterations in one term, and in all of them
_ENTRIES = 4_000_000  # and entries computed for them
_FIRST, _SECOND = 60, 70  # slips in one term, tried together
_LARGE = 4_096  # entries; of what is larger, terms are not made otherwise one by one
_TOLD = 3  # causes that no number tells apart, at most
KNOWN = {"μ", "σ²", "rstd", "x̂", "σ"}  # letters that are written without being explained


def line(case: Case, given: Given) -> Explanation | None:
    """The derived formula with one mistake in it."""
    causes, _ = _causes(case, given)
    causes = _no_chance_rest(causes, given)
    return explained(case.formulas[given.name], given, causes) if causes else None


_REST = re.compile(r"(\d+) mod (\d+) = (\d+)")


def _no_chance_rest(causes: list[str], given: Given) -> list[str]:
    """What is left over of a block's length, only where it is so at another length, too."""
    other = given.told_apart() if any(_REST.search(c) for c in causes) else None
    there = [found for c in _causes(*other)[0] if (found := _REST.search(c))] if other is not None else []
    rests = {(int(found[1]), int(found[3])) for found in there}
    if not rests:
        return causes
    kept = [c for c in causes if (found := _REST.search(c)) is None or any(n % int(found[2]) == r for n, r in rests)]
    return kept or list(dict.fromkeys(_REST.sub(r"\3 of \1", c) for c in causes))


def explained(found: Fused, given: Given, causes: list[str]) -> Explanation:
    """One of these causes, and the formula as it is right."""
    return Explanation((*_told(causes), *right_formula(found, given)), (causes[0],), tuple(causes[1:_TOLD]))


def in_one_term(case: Case, given: Given, ways: Callable[[Fused, Node], Iterable[tuple[str, Array]]]) -> Explanation | None:
    """One term that is what one of these makes of it, in words and in numbers, where all others are right."""
    found = formula_of(case, given)
    if found is None or given.array.size > _LARGE or not found.axes:
        return None
    mine, gate = found.spread(given.array), given.gate(case)
    values = [np.asarray(found.value(t)) for t in found.terms]
    whole = np.sum(values, axis=0)
    causes: list[str] = []
    for k, term in enumerate(found.terms):
        needed = mine - whole + values[k]
        for form in dict.fromkeys((term, inward(term))):
            for words, other in ways(found, form):
                if np.max(np.abs(other - needed), initial=0) <= gate:
                    where = f"the term {found.hand(term)} of {given.symbol}" if len(found.terms) > 1 else f"your {given.symbol}"
                    causes.append(f"{where} {words}")
                if len(causes) == _TOLD:
                    break
    return explained(found, given, list(dict.fromkeys(causes))) if causes else None


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
                *(
                    ["in the derived formula:", *(f"  {c}" for c in _told(causes))]
                    if not causes[0].endswith(" is missing")
                    else []
                ),
                *right_formula(case.formulas[given.name], given),
            ),
        )

    return explanation


def _causes(case: Case, given: Given) -> tuple[list[str], bool]:
    """Every single alteration that gives these numbers, and whether one is more than a number before a term."""
    found = formula_of(case, given)
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
            value = quietly(found, slip.node)
            if value is not None and is_it(case, given, found, mine, rest + value):
                causes.append(_said(found, given, k, slip.words))
                more = more or not slip.only_a_number
    if causes:
        return list(dict.fromkeys(causes)), more
    whole = ((terms, words) for terms, words in islice(everywhere(found), budget))
    added = (((*found.terms, term), words) for term, words in chain(foreign(found), once_more(found)))
    for attempt in (whole, added):
        causes = [
            f"your {given.symbol} {words}" for terms, words in attempt if is_it(case, given, found, mine, total(found, terms))
        ]
        if causes:
            return list(dict.fromkeys(causes)), True
    causes = list(dict.fromkeys(otherwise(case, given, found, mine)))
    return causes, bool(causes)


def two_in_the_line(case: Case, given: Given) -> Explanation | None:
    """The derived formula with two mistakes in it: in two terms, or one in all and one in one."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    budget, tried = min(_TWICE, _budget(found)), 0
    rng = np.random.default_rng(0)
    weights = rng.normal(size=found.shape)
    values = [np.asarray(found.value(t)) for t in found.terms]
    aim = float(np.sum((mine - sum(values)) * weights))
    shifts: list[tuple[int, float, str, Node]] = []
    for k, term in enumerate(found.terms):
        for slip in slips(found, term):
            value = quietly(found, slip.node)
            tried += 1
            if value is not None:
                shifts.append((k, float(np.sum((value - values[k]) * weights)), slip.words, slip.node))
    for term, words in foreign(found):
        value = quietly(found, term)
        tried += 1
        if value is not None:
            shifts.append((-1, float(np.sum(value * weights)), words, term))
    if len(shifts) > 1:
        order = np.argsort([s[1] for s in shifts], kind="stable")
        sorted_shifts = np.array([shifts[i][1] for i in order])
        scale = 4 * given.gate(case) * float(np.sum(np.abs(weights)))
        best: tuple[int, list[str]] | None = None
        for i, (k, shift, words, node) in enumerate(shifts):
            low, high = np.searchsorted(sorted_shifts, [aim - shift - scale, aim - shift + scale])
            for j in sorted(order[low:high])[:40]:
                if j <= i or shifts[j][0] == k:
                    continue
                other = shifts[j]
                made = [node if m == k else other[3] if m == other[0] else t for m, t in enumerate(found.terms)]
                made += [t for m, t in ((k, node), (other[0], other[3])) if m < 0]
                if (best is None or i + j < best[0]) and is_it(case, given, found, mine, total(found, made)):
                    best = int(i + j), [_said(found, given, k, words), _said(found, given, shifts[j][0], shifts[j][2])]
        if best is not None:
            return _both(found, given, best[1])
    budget += tried
    aims = [mine - (sum(values) - v) for v in values]
    for k, term in enumerate(found.terms):  # both in one term
        for slip in islice((s for s in slips(found, term) if not s.only_a_number), _FIRST):
            for second in islice(slips(found, slip.node), _SECOND):
                value = quietly(found, second.node)
                tried += 1
                if value is not None and is_it(case, given, found, aims[k], value):
                    return _both(
                        found,
                        given,
                        [_said(found, given, k, slip.words), f"and then, as {found.hand(slip.node)}, it {second.words}"],
                    )
            if tried > budget:
                break
    budget = tried + min(_TWICE, _budget(found))
    for terms, words in everywhere(found):
        if len(terms) != len(found.terms) or tried > budget:
            continue
        parts = [quietly(found, t) for t in terms]
        tried += len(terms)
        if any(p is None for p in parts):
            continue
        for k, term in enumerate(terms):
            rest = np.sum([p for j, p in enumerate(parts) if j != k and p is not None], axis=0)
            needed = mine - rest
            for slip in islice(slips(found, term), _SECOND):
                value = quietly(found, slip.node)
                tried += 1
                if value is not None and is_it(case, given, found, needed, value):
                    return _both(found, given, [f"your {given.symbol} {words}", _said(found, given, k, slip.words)])
            if tried > budget:
                break
    if tried > budget:
        given.gave_up.append(f"gave up after {tried} altered formulas")
    return None


def _both(found: Fused, given: Given, causes: list[str]) -> Explanation:
    alike = set()
    for cause in causes:
        for term in found.terms:
            cause = cause.removeprefix(f"the term {found.hand(term)} of {given.symbol} ")
            for _, node in places(term):
                cause = cause.replace(found.hand(node), "Σ") if isinstance(node, Total) else cause
        alike.add(cause)
    if len(alike) == 1:
        return Explanation(("the same mistake in two terms:", *(f"  {c}" for c in causes)), tuple(causes))
    return Explanation(("two mistakes at once:", *(f"  {c}" for c in causes)), tuple(causes))


def formula_of(case: Case, given: Given) -> Fused | None:
    """The derived formula of this gradient on the case's numbers, if it has one."""
    if not given.has_shape(case) or not np.all(np.isfinite(given.array)):
        return None
    if given.name not in case.formulas:
        case.formulas[given.name] = fused(case, given.name)
    found = case.formulas[given.name]
    return found if isinstance(found, Fused) else None


def _budget(found: Fused) -> int:
    return max(200, min(TRIED, _ENTRIES // max(1, int(np.prod([found.sizes[a] for a in found.axes])))))


def _said(found: Fused, given: Given, k: int, words: str) -> str:
    if k < 0:
        return f"your {given.symbol} {words}"
    return (
        f"the term {found.hand(found.terms[k])} of {given.symbol} {words}"
        if len(found.terms) > 1
        else f"your {given.symbol} {words}"
    )


def _told(causes: list[str]) -> list[str]:
    kept = _simplest(causes)
    return [kept[0], *(f"or, with the same numbers: {c}" for c in kept[1:_TOLD])]


def _simplest(causes: list[str]) -> list[str]:
    """Without those that say the same in another way: a factor that lacks is a division by it, what is missing is nought times anything."""
    lacks = any(" lacks the factor " in c for c in causes)
    extra = any(" as a factor too much" in c for c in causes)
    kept = [
        c
        for c in causes
        if not (lacks and (" divides by " in c or " is divided by " in c)) and not (extra and "where it does not belong" in c)
    ]
    kept = list({re.sub(r",? (?:in|inside) [^ ]*(?:, with [^ ]+ before it)?$", "", c): c for c in reversed(kept)}.values())[
        ::-1
    ]  # by γ in the sum or before it
    kept = list(
        {
            re.sub(r"in the order \(.*?\)|(?<= has )[^ ]+(?:, [^ ]+)* (?=of the (?:first|second|last) half)", "", c): c
            for c in reversed(kept)
        }.values()
    )[::-1]
    return kept[:1] if kept[0].endswith(" is missing") else kept


def right_formula(found: Fused, given: Given) -> list[str]:
    """The derived formula itself."""
    text = f"right: {given.symbol} = {found.hand(found.formula.result)}"
    read = set(letters(found.formula.result))
    named = [
        f"{x.letter.name} = {found.hand(x.expression)}"
        for x in found.formula.lines
        if x.kind == "abbreviation" or (x.letter.name in read and x.letter.name not in KNOWN)
    ]
    named += (
        ["q the target's row: 1 at its class"] if "q" in read and "q" not in {x.letter.name for x in found.formula.lines} else []
    )
    return [f"{text},  {', '.join(named)}" if named else text]
