"""Conditions as factors: [d > 0] is 1 where it holds and 0 elsewhere. Every branch of a forward is a sum of such products."""

from __future__ import annotations

from typing import Any

import sympy as sp

from .symbols import Letter, Sigma


class _Indicator(sp.Function):  # type: ignore[misc]
    """0 or 1: its own square."""

    def _eval_power(self, n: Any) -> Any:
        return self if n.is_Integer and n > 0 else None


class Positive(_Indicator):
    """``Positive(d)``: [d > 0]"""

    @classmethod
    def eval(cls, d: Any) -> Any:
        if d.is_number:
            return sp.Integer(1 if d > 0 else 0) if d.is_real else None
        if is_positive(d):
            return sp.Integer(1)
        if is_positive(-d, or_zero=True):
            return sp.Integer(0)
        return _by_branches(cls, d)


class AtLeast(_Indicator):
    """``AtLeast(d)``: [d ≥ 0], which is 1 − [−d > 0]"""

    @classmethod
    def eval(cls, d: Any) -> Any:
        if d.is_number:
            return sp.Integer(1 if d >= 0 else 0) if d.is_real else None
        if is_positive(d, or_zero=True):
            return sp.Integer(1)
        if is_positive(-d):
            return sp.Integer(0)
        return _by_branches(cls, d)


def _by_branches(kind: Any, d: Any) -> Any:
    """Of a branch within: each of the two. Of a multiple: the same."""
    if asked_in(d) > MANY:
        return None
    inner = next(iter(sorted(d.atoms(Positive, AtLeast), key=sp.default_sort_key)), None)
    if inner is not None:
        other = complement(inner)
        yes, no = (kind(d.xreplace({inner: sp.Integer(v), other: sp.Integer(1 - v)})) for v in (1, 0))
        if no == 0 and isinstance(yes, (Positive, AtLeast)):
            beyond = inner.args[0] - yes.args[0]
            if beyond.is_number and (beyond > 0 or (beyond == 0 and isinstance(yes, Positive))):
                return yes  # which does not hold but where the other does
        return inner * yes + other * no
    number = abs(d.as_coeff_Mul()[0])
    return kind(d / number) if number != 1 else None


MANY = 2  # branches within a branch; of more, what is asked is left as it is


def asked_in(e: Any) -> int:
    """How many conditions an expression has, each with its complement."""
    found: set[Any] = set()
    for c in e.atoms(Positive, AtLeast, Zero):
        if -c.args[0] not in found:
            found.add(c.args[0])
    return len(found)


def complement(c: Any) -> Any:
    """1 − c, as one condition where it is one."""
    return AtLeast(-c.args[0]) if isinstance(c, Positive) else Positive(-c.args[0]) if isinstance(c, AtLeast) else 1 - c


def strict(expr: Any) -> Any:
    """Every [d ≥ 0] as 1 − [−d > 0], so that nothing can be written in two ways."""
    return expr.replace(lambda e: isinstance(e, AtLeast), lambda e: 1 - Positive(-e.args[0]))


class Zero(_Indicator):
    """``Zero(d)``: [d = 0]"""

    @classmethod
    def eval(cls, d: Any) -> Any:
        if d.is_number:
            return sp.Integer(1 if d == 0 else 0)
        return cls(-d) if d.could_extract_minus_sign() else None


def is_positive(d: Any, or_zero: bool = False) -> bool:
    """Whether an expression is greater than zero for all numbers, as far as can be seen at once."""
    if d.is_number:
        return bool(d.is_real) and bool(d >= 0 if or_zero else d > 0)
    if isinstance(d, Letter):
        return False
    if d.is_Symbol or isinstance(d, sp.exp):  # a size
        return True
    if d.is_Pow:
        return (or_zero and d.exp.is_Integer and d.exp % 2 == 0) or is_positive(d.base)
    if isinstance(d, sp.Abs):
        return or_zero
    if isinstance(d, Sigma):
        return is_positive(d.args[0], or_zero)
    if d.is_Mul:
        return all(is_positive(a, or_zero) for a in d.args)
    if d.is_Add:
        return all(is_positive(a, True) for a in d.args) and (or_zero or any(map(is_positive, d.args)))
    return False


def condition(left: Any, sign: str, right: Any) -> Any:
    """The comparison as an expression that is 1 where it holds."""
    d = left - right
    if sign in ("=", "≠"):
        return Zero(d) if sign == "=" else 1 - Zero(d)
    return (Positive if sign in "<>" else AtLeast)(d if sign in ">≥" else -d)
