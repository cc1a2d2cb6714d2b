"""A normal form for formulas over named axes: two formulas that have the same one are equal, whatever the numbers.

Everything is written out down to the leaves. What is left are sums of products of letters, of Σs of such products, and
of roots. Σ is linear; factors that do not vary along its axes leave it; sums over different axes part or join. A root's
square says something about its letters (r⁻² = Σx²/N − (Σx)²/N² + ε): by that, one Σ of each root is put in terms of the
others, so that nothing can be written in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from .letters import Letters
from .symbols import Letter, Mean, Sigma, sigma, varies


class Normal:
    """Normal forms that share their letters for roots: compare only those made by the same one."""

    def __init__(self, known: Mapping[Any, Any] | None = None) -> None:
        self._named: dict[Any, Letter] = {}  # a power or a function of a sum, as one letter
        self._meaning: dict[Letter, Any] = {}
        self._rules: dict[Any, Any] = dict(known or {})  # a Σ, in terms of a root, or as it is known

    def form(self, expr: Any, letters: Letters) -> Any:
        return self._settle(self._form(letters.inlined(expr)))

    def is_zero(self, expr: Any, letters: Letters) -> bool:
        """Whether the formula is zero for all numbers; False says only that this could not be shown."""
        left = self.form(expr, letters)
        for _ in range(4):
            if left == 0:
                return True
            opened = left.xreplace(
                {a: self._meaning[a] for a in left.atoms(Letter) if a in self._meaning and self._is_quotient(a)}
            )
            if opened == left:
                return False
            left = self._settle(self._polynomial(sp.fraction(sp.together(opened))[0]))
        return False

    def _is_quotient(self, a: Letter) -> bool:
        meaning = self._meaning[a]
        return bool(meaning.is_Pow and meaning.exp == -1)

    def _settle(self, expr: Any) -> Any:
        for _ in range(20):
            known = {s: self._rules[s] for s in expr.atoms(Sigma) if s in self._rules}
            if not known:
                return expr
            expr = self._polynomial(self._parted(expr.xreplace(known)))
        return expr

    # One level at a time -----------------------------------------------------------------------------------

    def _form(self, e: Any) -> Any:
        if not e.args or isinstance(e, Letter):
            return e
        if isinstance(e, (Sigma, Mean)):
            total = self._sum(self._form(e.args[0]), e.args[1:])
            return total / sp.Mul(*e.args[1:]) if isinstance(e, Mean) else total
        if e.is_Pow and e.base is not sp.E:
            return self._power(self._form(e.base), e.exp)
        if e.is_Add or e.is_Mul:
            return self._polynomial(e.func(*(self._form(a) for a in e.args)))
        if isinstance(e, sp.exp):
            return self._exponential(self._settle(self._form(e.args[0])))
        return self._name(e.func(*(self._settle(self._form(a)) for a in e.args)))

    def _polynomial(self, e: Any) -> Any:
        return self._powers(sp.expand_mul(sp.expand_multinomial(e)))

    def _powers(self, e: Any) -> Any:
        """Negative powers of sums, which expanding made anew, become letters."""
        found = {p: self._power(p.base, p.exp) for p in e.atoms(sp.Pow) if p.base.is_Add and p.base is not sp.E}
        return sp.expand_mul(e.xreplace(found)) if found else e

    def _power(self, base: Any, n: Any) -> Any:
        base = self._settle(base)
        if base.is_Mul:
            whole = [] if n.is_Integer else [a for a in base.args if not self._is_positive(a)]
            apart = sp.Mul(*(self._power_of_product(a, n) for a in base.args if a not in whole))
            return apart * (self._power_of_product(whole[0], n) if len(whole) == 1 else sp.Mul(*whole) ** n)
        return self._power_of_one(base, n)

    def _power_of_product(self, factor: Any, n: Any) -> Any:
        base, k = factor.as_base_exp()
        if factor.is_Pow and (n.is_Integer or self._is_positive(base)):
            return self._power(base, k * n)
        return self._power_of_one(factor, n)

    def _is_positive(self, factor: Any) -> bool:
        """Whether a root may be taken of the factor by itself: not where it may be negative."""
        base = factor.as_base_exp()[0]
        meaning = self._meaning.get(base)
        root = meaning is not None and (isinstance(meaning, sp.exp) or (meaning.is_Pow and not meaning.exp.is_Integer))
        return bool(factor.is_positive or base.is_positive or root)

    def _power_of_one(self, base: Any, n: Any) -> Any:
        if not base.is_Add:
            return base**n
        if n.is_Integer and n > 0:
            return self._polynomial(base**n)
        content, base = _content(base)
        if base == 1 or not base.is_Add:
            return content**n * base**n
        if n.is_Rational and not n.is_Integer:
            root = self._name(sp.Pow(base, sp.Rational(-1, n.q), evaluate=False))
            self._eliminate(base, root, n.q)
            return content**n * root ** (-n.q * n)
        if n.is_Integer:
            return content**n * self._name(sp.Pow(base, -1, evaluate=False)) ** (-n)
        return content**n * self._name(sp.Pow(base, n, evaluate=False))

    def _eliminate(self, base: Any, root: Letter, q: int) -> None:
        """By root⁻² = base (or another power q), one Σ of the base in terms of the others."""
        for term in sorted(base.args, key=lambda t: (-sp.count_ops(t), str(t))):
            factor, rest = term.as_independent(Sigma, as_Add=False)
            if isinstance(rest, Sigma) and not varies(factor) and not factor.atoms(Letter) and not (base - term).has(rest):
                if rest not in self._rules:
                    self._rules[rest] = sp.expand_mul((root**-q - (base - term)) / factor)
                return

    def _exponential(self, e: Any) -> Any:
        """exp of a sum as a product of letters, so that what does not vary can leave a Σ."""
        found = sp.Integer(1)
        for term in sp.Add.make_args(e):
            number, rest = term.as_coeff_Mul()
            if isinstance(rest, sp.log) or (rest in self._meaning and isinstance(self._meaning[rest], sp.log)):
                inside = rest.args[0] if isinstance(rest, sp.log) else self._meaning[rest].args[0]
                found *= self._power(inside, number)
            else:
                found *= self._name(sp.exp(rest)) ** number
        return self._polynomial(found)

    def _name(self, e: Any) -> Letter:
        if e not in self._named:
            letter = Letter(f"⟨{len(self._named)}⟩", varies(e))
            self._named[e], self._meaning[letter] = letter, e
        return self._named[e]

    # Sums --------------------------------------------------------------------------------------------------

    def _parted(self, e: Any) -> Any:
        """What was put into Σs is summed anew."""
        return e.replace(lambda a: isinstance(a, Sigma), lambda s: self._sum(s.args[0], s.args[1:]))

    def _sum(self, e: Any, axes: Any) -> Any:
        return sp.Add(*(part_sum(t, axes) for t in sp.Add.make_args(self._polynomial(e))))


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


def _content(base: Any) -> tuple[Any, Any]:
    """What all terms of a sum have in common in numbers and sizes, so that the rest is the same however it was written."""
    terms = list(base.args)
    powers = [_sizes(t) for t in terms]
    content = sp.Integer(1)
    for symbol in sorted(set().union(*powers), key=str):
        content *= symbol ** min(p.get(symbol, 0) for p in powers)
    lead = min(terms, key=lambda t: sp.default_sort_key(t / t.as_coeff_Mul()[0]))
    content *= abs(lead.as_coeff_Mul()[0])
    return content, sp.Add(*(t / content for t in terms))


def _sizes(term: Any) -> dict[Any, Any]:
    return {b: n for b, n in (f.as_base_exp() for f in sp.Mul.make_args(term)) if b.is_Symbol and b.is_positive}
