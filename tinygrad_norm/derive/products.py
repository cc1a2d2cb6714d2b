"""Terms and factors, as the normal form asks about them; and the Σ of one product."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import sympy as sp

from .symbols import Sigma, sigma, varies


def part_sum(term: Any, axes: Any) -> Any:
    """Σ of one product: what does not vary leaves; what shares no axis parts; a Σ inside joins; Σ of 1 is the size."""
    factors, outside = [], sp.Integer(1)
    over = set(axes)
    for f in sp.Mul.make_args(term):
        base, n = f.as_base_exp()
        if isinstance(base, Sigma) and n.is_Integer and n > 0 and varies(base) & over:
            bound = set(base.args[1:])
            others = [a for a in sp.Mul.make_args(term) if a is not f]
            if n == 1 and not any(varies(a) & bound for a in others) and not bound & over:
                factors.append(base.args[0])
                over |= bound
                continue
        factors.append(f)
    groups: list[tuple[set[Any], Any]] = []
    for f in factors:
        along = set(varies(f)) & over
        if not along:
            outside *= f
            continue
        touching = [g for g in groups if g[0] & along]
        for g in touching:
            along, f = along | g[0], f * g[1]
            groups.remove(g)
        groups.append((along, f))
    spread = set().union(*(g[0] for g in groups)) if groups else set()
    for along, f in groups:
        outside *= sigma(f, along)
    for a in over - spread:
        outside *= a
    return outside


def lead(base: Any) -> Any:
    """The term whose number is made 1: one that does not depend on how the sum was scaled."""
    return min(sp.Add.make_args(base), key=lambda t: sp.default_sort_key(t / t.as_coeff_Mul()[0]))


def largest(base: Any, sizes: bool = False) -> Any:
    """The term of the highest degree in letters and Σs: what is put in its place has a lower one."""

    def degree(t: Any) -> Any:
        own = [f.as_base_exp() for f in sp.Mul.make_args(t.as_coeff_Mul()[1]) if (sizes or not is_size(f)) and not f.is_number]
        return (sum(n for _, n in own if n.is_number), sp.default_sort_key(t.as_coeff_Mul()[1]))

    return max(sp.Add.make_args(base), key=degree)


def is_size(f: Any) -> bool:
    base = f.as_base_exp()[0]
    return bool(base.is_Symbol and base.is_positive)


def is_even(f: Any) -> bool:
    n = f.as_base_exp()[1]
    return bool(n.is_Integer and n % 2 == 0)


def at_least(n: Any, k: Any) -> bool:
    return bool(n.is_Rational and k.is_Rational and n >= k > 0)


def content(base: Any, may_leave: Callable[[Any], bool]) -> tuple[Any, Any]:
    """What all terms of a sum have in common in numbers, and in sizes and letters that may leave it; and the rest, so that the rest
    is the same however the sum was written."""
    terms = list(base.args)
    powers = [dict(f.as_base_exp() for f in sp.Mul.make_args(t)) for t in terms]
    common = abs(lead(base).as_coeff_Mul()[0])
    for b in sorted(set().union(*powers), key=str):
        if b.is_number or not may_leave(b) or not (b.is_Symbol or isinstance(b, Sigma)):
            continue
        ns = [p.get(b, sp.Integer(0)) for p in powers]
        if all(n.is_Rational for n in ns):
            common *= b ** min(ns)
    return common, sp.Add(*(t / common for t in terms))


def factors_of(a: Any) -> list[Any]:
    """A product's factors; of a sum, what all its terms have in common, and the rest."""
    if not a.is_Add:
        return list(sp.Mul.make_args(a))
    shared, rest = content(a, lambda b: True)
    if lead(rest).as_coeff_Mul()[0] < 0:
        shared, rest = -shared, sp.expand_mul(-rest)
    return [f for f in (*sp.Mul.make_args(shared), rest) if f != 1]


def terms_of(factor: Any) -> int:
    """How many terms a factor has when it is multiplied out."""
    base, n = factor.as_base_exp()
    if base.is_Add and n.is_Integer and n > 0:
        return math.comb(len(base.args) + int(n) - 1, int(n))
    return 1
