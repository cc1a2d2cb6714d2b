"""Where a record is a number: what stands under its roots and logarithms, and what it divides by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sympy as sp

from ..graph import Record
from .conditions import Zero
from .symbols import Highest, Letter, Mean, Sigma


def asked(graph: Record, read: Callable[[Any], Any]) -> Iterator[tuple[Any, str]]:
    """(formula, "> 0", "≥ 0" or "≠ 0") for every operand that must be so, unless it is for all numbers.

    read:  the formula of an operand
    """
    for t in graph.tensors:
        if t.op is None or t.dtype.kind == "b":
            continue
        name, inputs = t.op.name, t.inputs
        if name in ("log", "rsqrt"):
            wanted: list[tuple[Any, str]] = [(read(inputs[0]), "> 0")]
        elif name == "sqrt":
            wanted = [(read(inputs[0]), "≥ 0")]
        elif name == "log1p":
            wanted = [(1 + read(inputs[0]), "> 0")]
        elif name == "div":
            wanted = [(read(inputs[1]), "≠ 0")]
        elif name == "pow" and not float(t.params["n"]).is_integer():
            wanted = [(read(inputs[0]), "> 0" if t.params["n"] < 0 else "≥ 0")]
        elif name == "pow" and t.params["n"] < 0:
            wanted = [(read(inputs[0]), "≠ 0")]
        elif name == "power":
            n = read(inputs[1])
            wanted = [] if n.is_Integer and n >= 0 else [(read(inputs[0]), "> 0")]
        else:
            continue
        for e, sign in wanted:
            yield from simplest(e, sign)


def simplest(e: Any, sign: str) -> Iterator[tuple[Any, str]]:
    """A condition in parts: √(x·w) is not 0 where x is not and w is not; x² is more than 0 where x is not 0."""
    if e.is_number and bool({"> 0": e > 0, "≥ 0": e >= 0, "≠ 0": e != 0}[sign]):
        return
    if sign == "> 0":
        factors = sp.Mul.make_args(e)
        even = [f for f in factors if is_at_least_zero(f)]
        for f in even:
            yield from simplest(f, "≠ 0")
        rest = sp.Mul(*(f for f in factors if f not in even))
        if rest != 1:
            yield rest, sign
    elif sign == "≥ 0":
        yield e, sign
    else:
        for f in sp.Mul.make_args(e):
            base = f.as_base_exp()[0]
            if isinstance(f, sp.Abs):
                yield from simplest(f.args[0], sign)
            elif not isinstance(f, sp.exp) and base.is_Mul:
                yield from simplest(base, sign)
            elif not isinstance(f, sp.exp):
                yield base, sign


def holds(e: Any, sign: str) -> bool:
    """Whether it is so for all numbers, by what it is made of."""
    return is_at_least_zero(e) if sign == "≥ 0" else is_positive(e)


def is_at_least_zero(e: Any) -> bool:
    if isinstance(e, Letter):
        return False
    if e.is_number or e.is_Symbol:
        return bool(e.is_nonnegative)
    if isinstance(e, (Sigma, Mean)):
        return is_at_least_zero(e.args[0])
    if isinstance(e, (sp.exp, sp.Abs)):
        return True
    if e.is_Pow:
        return bool(e.exp.is_Integer and e.exp % 2 == 0) or is_at_least_zero(e.base)
    if e.is_Add and not e.has(Letter, Sigma, Mean):
        return is_positive(e) or is_positive(e + 1)
    return (e.is_Add or e.is_Mul) and all(map(is_at_least_zero, e.args))


def _counts_the_largest(e: Any) -> bool:
    """Σ[x = max(x)]: at least one entry is the largest."""
    if not isinstance(e.args[0], Zero):
        return False
    gap = e.args[0].args[0]
    return any(
        set(m.args[1:]) <= set(e.args[1:]) and 0 in (sp.expand(gap - m + m.args[0]), sp.expand(gap + m - m.args[0]))
        for m in gap.atoms(Highest)
    )


def is_positive(e: Any) -> bool:
    if isinstance(e, Letter):
        return False
    if e.is_number or e.is_Symbol:
        return bool(e.is_positive)
    if isinstance(e, (Sigma, Mean)):
        return is_positive(e.args[0]) or _counts_the_largest(e)
    if isinstance(e, sp.exp):
        return True
    if e.is_Pow:
        return is_positive(e.base)
    if e.is_Add and e.atoms(sp.Symbol) and not e.has(Letter, Sigma, Mean):  # sizes, which are 1 or more
        least = e.subs(dict.fromkeys(e.atoms(sp.Symbol), 1))
        beyond = sp.expand(e.subs({n: n + 1 for n in e.atoms(sp.Symbol)}))
        return bool(least > 0) and all(t.as_coeff_Mul()[0] > 0 for t in sp.Add.make_args(beyond))
    if e.is_Add:
        return all(map(is_at_least_zero, e.args)) and any(map(is_positive, e.args))
    return bool(e.is_Mul) and all(map(is_positive, e.args))
