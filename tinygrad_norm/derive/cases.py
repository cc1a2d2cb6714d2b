"""A formula with branches, case by case: [x > 0]·exp(x·[x > 0]) is [x > 0]·exp(x), and |x| is x, 0 or −x.

Where what is asked is a sum of a number and something else, x + 3, the cases are the stretches between the numbers at which the
something else changes sides, and these numbers themselves: where x = 3, x is 3 in the rest of the formula, too. A Σ has running
indices of its own: it is taken apart inside, and what is known outside of it is not known there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import sympy as sp

from .conditions import AtLeast, Positive, Zero
from .symbols import Highest, Letter, Mean, Sigma

_ASKING = (Positive, AtLeast, Zero, sp.Abs, sp.sign)
_BOUND = (Sigma, Mean, Highest)
_MOST = 80  # cases

Fact = tuple[Any, Any]
"""From where to where, both excluded, None for without end; or a number and itself."""


class TooMany(Exception):
    """More cases than are tried, or one in which the formula is no number."""


def by_cases(expr: Any, left_out: Callable[[Any], bool] = lambda point: False) -> Any:
    """The formula as a sum over its cases, each times the conditions that make it. Raises ``TooMany``.

    left_out:  of an expression that is zero at a point, whether that point is no case
    """
    count = [_MOST]

    def within(e: Any) -> Any:
        if isinstance(e, (Letter, Highest)) or not e.has(*_ASKING):
            return e
        if isinstance(e, (Sigma, Mean)):
            return e.func(apart(e.args[0]), *e.args[1:])
        return e.func(*map(within, e.args))

    def apart(e: Any) -> Any:
        e = within(e)
        return sp.Add(
            *(value * sp.Mul(*(_indicator(line, fact) for line, fact in facts.items())) for facts, value in cases(e, {}))
        )

    def cases(e: Any, facts: dict[Any, Fact]) -> list[tuple[dict[Any, Fact], Any]]:
        lines: dict[Any, set[Any]] = {}
        for asking in _asked(e):
            line, at, _ = _line(asking.args[0])
            lines.setdefault(line, set()).add(at)
        if not lines:
            if e.has(sp.zoo, sp.nan, sp.oo, -sp.oo):
                raise TooMany
            return [(facts, e)]
        line = min(lines, key=sp.default_sort_key)
        found = []
        for fact in _facts(sorted(lines[line]), facts.get(line, (None, None))):
            if fact[0] is not None and fact[0] == fact[1] and left_out(line - fact[0]):
                continue
            count[0] -= 1
            if count[0] < 0:
                raise TooMany
            known = outside(e, partial(_answer, line=line, fact=fact))
            if fact[0] is not None and fact[0] == fact[1]:
                known = outside(known, _solved(line - fact[0]))
            found += cases(known, {**facts, line: fact})
        return found

    def _indicator(line: Any, fact: Fact) -> Any:
        low, high = fact
        if low is not None and low == high:
            return Zero(line - low)
        above = sp.Integer(1) if low is None else Positive(line - low)
        at = sp.Integer(0) if high is None or left_out(line - high) else Zero(line - high)
        return above - (sp.Integer(0) if high is None else Positive(line - high) + at)

    return apart(expr)


def outside(e: Any, change: Callable[[Any], Any] | Mapping[Any, Any]) -> Any:
    """The expression with parts changed, but for those within a Σ."""
    if isinstance(change, Mapping):
        known = change
        return e if not known else outside(e, lambda a: known.get(a))
    new = change(e)
    if new is not None:
        return new
    if isinstance(e, (Letter, *_BOUND)) or not e.args:
        return e
    args = [outside(a, change) for a in e.args]
    return e.func(*args) if any(a is not b for a, b in zip(args, e.args)) else e


def points(expr: Any) -> list[Any]:
    """What is zero where one case ends and the next begins."""
    found: dict[Any, None] = {}

    def see(point: Any) -> bool:
        found[point] = None
        return True

    by_cases(expr, see)
    return list(found)


def _asked(e: Any) -> Iterable[Any]:
    """The questions of an expression that are asked of no question, but for those within a Σ."""
    if isinstance(e, (Letter, *_BOUND)) or not e.args:
        return
    inner = [q for a in e.args for q in _asked(a)]
    if not inner and isinstance(e, _ASKING):
        yield e
    yield from inner


def _line(a: Any) -> tuple[Any, Any, bool]:
    """``a`` as a number times (line − at): the line, at, and whether that number is positive."""
    a = sp.expand(a)
    at, rest = a.as_coeff_Add()
    lead = min(sp.Add.make_args(rest), key=lambda t: sp.default_sort_key(t / t.as_coeff_Mul()[0]))
    number = lead.as_coeff_Mul()[0]
    if not (at.is_Rational and number.is_Rational):
        at, rest = sp.Integer(0), a
        number = number if number.is_Rational else sp.Integer(1)
    return sp.expand(rest / number), -at / number, bool(number > 0)


def _facts(numbers: list[Any], known: Fact) -> Iterable[Fact]:
    """The stretches between these numbers, and the numbers, as far as they are in what is known."""
    low, high = known
    if low is not None and low == high:
        yield known
        return
    inner = [n for n in numbers if (low is None or n > low) and (high is None or n < high)]
    for before, after in zip([low, *inner], [*inner, high]):
        yield (before, after)
        if after is not None and after in inner:
            yield (after, after)


def _answer(a: Any, line: Any, fact: Fact) -> Any:
    """A question's answer where this is known of the line; None of what is no such question."""
    if not isinstance(a, _ASKING):
        return None
    asked, at, upwards = _line(a.args[0])
    if asked != line:
        return None
    low, high = fact
    if low is not None and low == high:
        side = int(bool(low > at)) - int(bool(low < at))
    else:
        side = 1 if low is not None and low >= at else -1
    side = side if upwards else -side
    if isinstance(a, sp.Abs):
        return side * a.args[0]
    if isinstance(a, sp.sign):
        return sp.Integer(side)
    return sp.Integer({Positive: side > 0, AtLeast: side >= 0, Zero: side == 0}[type(a)])


def _solved(zero: Any) -> dict[Any, Any]:
    """A letter by what it is where the expression is zero; nothing where that cannot be seen."""
    bound = {s: sp.Dummy() for s in _parts(zero)}
    free = sp.expand(outside(zero, lambda a: bound.get(a)))
    for letter in sorted(free.atoms(Letter), key=str):
        number = free.coeff(letter, 1)
        rest = sp.expand(free - number * letter)
        if number.is_Rational and number != 0 and letter not in rest.atoms(Letter):
            return {letter: (-rest / number).xreplace({d: s for s, d in bound.items()})}
    return {}


def _parts(e: Any) -> Iterable[Any]:
    if isinstance(e, _BOUND):
        yield e
    elif not isinstance(e, Letter):
        for a in e.args:
            yield from _parts(a)
