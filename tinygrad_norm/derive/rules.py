"""The rewriting: a short list of named rules, applied in turn, each with a reason for the one who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import sympy as sp

from .algebra import (
    each_product,
    each_sum,
    has_new_inverse,
    leaves_the_sum,
    length,
    multiplied_out,
    products,
    shared_factor,
    with_means,
)
from .conditions import AtLeast, Positive, Zero, complement
from .lemmas import Lemma, Lemmas
from .letters import Letters
from .normal import Normal
from .products import part_sum
from .symbols import Letter, Mean, Sigma, sigma, varies


class Rewriting:
    """From the sum over routes to a formula one would write: yields (rule, reason, expression) for each step that changes it."""

    def __init__(
        self, letters: Letters, dy: Letter, write: Callable[[Any], str], source: Any, given: Sequence[Lemma] = ()
    ) -> None:
        self.letters, self.dy, self.write, self.source = letters, dy, write, source
        self.normal = Normal()
        self.definitions = dict(letters.definitions)
        self.named: dict[Letter, Any] = {}
        """Abbreviations made on the way: g = dy·γ."""
        self.cotangents: dict[Any, str] = {}
        """Gradients of nodes, by formula: what an abbreviation may turn out to be."""
        self.lemmas: list[Lemma] = []
        self.expanding = True
        """Whether products of sums are multiplied out."""
        self.abbreviating = True
        """Whether a factor that goes with dy gets a letter of its own with it."""
        self._known = Lemmas(letters, dy, write, self.normal, self.named, given)

    def steps(self, expr: Any) -> Iterator[tuple[str, str, Any]]:
        """Apply the rules, each in its turn."""
        rules: list[Callable[[Any], tuple[Any, str, str]]] = [
            self.known_by_name,
            *([self.linear] if self.expanding else []),
            self.leave,
            self.vanish,
            self.shorten,
            self.leave,
            self.vanish,
            self.deviate,
            self.vanish,
            self.complement,
            self.softmax,
            self.means,
            *([self.abbreviate] if self.abbreviating else []),
            self.common,
            self.group,
        ]
        whole = self._parameters(expr)
        expr = expr.xreplace(whole)
        back = {a: e for e, a in whole.items()}
        for rule in rules:
            new, name, reason = rule(expr)
            if new != expr:
                self.named = {g: e.xreplace(back) for g, e in self.named.items()}
                yield name, reason, new.xreplace(back)
                expr = new

    def _parameters(self, expr: Any) -> dict[Any, Letter]:
        """Sums of parameters alone, such as 1 + γ: factors that stay whole."""
        found = {}
        for e in sorted(expr.atoms(sp.Add), key=sp.default_sort_key):
            letters = e.atoms(Letter)
            if (
                letters
                and all(a in self.letters.leaves and a not in (self.dy, self.source) for a in letters)
                and not e.has(Sigma)
            ):
                found[e] = Letter(self.write(e), varies(e))
                self.letters.values[found[e]] = self.letters.number(e)
        return found

    def _out(self, expr: Any) -> Any:
        return multiplied_out(expr) if self.expanding else expr

    def _each_part(self, total: Any, inside: Any) -> Any:
        return sp.Add(*(part_sum(t, total.args[1:]) for t in sp.Add.make_args(inside)))

    def known_by_name(self, expr: Any) -> tuple[Any, str, str]:
        """A function of something that the forward has computed has a letter."""
        for a, definition in self.definitions.items():  # exp(z − log Σ exp(z))
            for t in definition.args if definition.is_Add and expr.has(sp.exp(a)) else ():
                if isinstance(-t, sp.log):
                    expr = expr.xreplace({sp.exp(a): sp.exp(definition - t) / (-t).args[0]})
        found = {e: a for a, e in self.definitions.items() if isinstance(e, sp.Function) and not isinstance(e, (Sigma, Mean))}
        found = {e: a for e, a in found.items() if expr.has(e)}
        reason = "; ".join(f"{self.write(e)} is {a.name}" for e, a in found.items())
        return expr.xreplace(found), "a value that has a name", reason

    # The rules ------------------------------------------------------------------------------------------------

    def linear(self, expr: Any) -> tuple[Any, str, str]:
        """Multiply out, inside Σ and outside, and let Σ go to each term."""

        def part(s: Any) -> Any:
            return sp.Add(*(sigma(t, s.args[1:]) for t in sp.Add.make_args(multiplied_out(s.args[0]))))

        return (
            multiplied_out(each_sum(expr, part)),
            "Σ is linear",
            "products are multiplied out; the sum of a + b is the sum of a plus the sum of b",
        )

    def leave(self, expr: Any) -> tuple[Any, str, str]:
        left: dict[str, dict[str, None]] = {}

        def part(s: Any) -> Any:
            for f in sp.Mul.make_args(s.args[0]):
                if f.atoms(Letter) and not varies(f) & set(s.args[1:]):
                    over = "".join(map(str, s.args[1:]))
                    left.setdefault(over, {})[self.write(f.as_base_exp()[0])] = None
            return self._each_part(s, s.args[0])

        new = self._out(each_sum(expr, part))
        reason = "; ".join(leaves_the_sum(list(names), over) for over, names in left.items())
        ones = any(not varies(s.args[0]) for s in expr.atoms(Sigma))
        reason = reason or ("a sum of ones is the size of its axis" if ones else "so do numbers")
        return new, "what does not vary leaves the sum", reason

    def vanish(self, expr: Any) -> tuple[Any, str, str]:
        """Σs whose value is known: each lemma is proved by the normal form before it is used."""
        known, reasons = {}, []
        for s in sorted(expr.atoms(Sigma), key=sp.default_sort_key):
            lemma = self._known.of(s)
            if lemma is not None:
                known[s] = lemma.value
                self.lemmas.append(lemma)
                reasons.append(lemma.why)
        return self._out(expr.xreplace(known)), "a sum that is known", "; ".join(dict.fromkeys(reasons))

    def shorten(self, expr: Any) -> tuple[Any, str, str]:
        """Where a letter is a product on the record, write it for its parts if that is shorter."""
        reasons = []
        for letter, definition in self.definitions.items():
            factors = sp.Mul.make_args(definition)
            base, n = definition.as_base_exp()
            if base.is_Add:  # 1/(σ + ε), which division leaves behind
                again = {p: letter ** (p.exp / n) for p in expr.atoms(sp.Pow) if p.base == base}
                again = {p: q for p, q in again.items() if q.as_base_exp()[1].is_Integer}
                if again:
                    expr = expr.xreplace(again)
                    reasons.append(f"{self.write(definition)} is {letter.name}")
            may_be_zero = definition.has(Positive, AtLeast, Zero)
            if len(factors) < 2 or may_be_zero or not self._is_short_for(letter, factors):
                continue
            wide = max(factors, key=lambda f: (len(varies(f)), f.as_base_exp()[0] not in self.letters.leaves))
            base, n = wide.as_base_exp()
            if n != 1 or not isinstance(base, Letter):
                continue
            other = expr.xreplace({base: letter * base / definition})
            other = self._out(each_sum(other, lambda s: self._each_part(s, self._out(s.args[0]))))
            if length(other) <= length(expr) and other != expr and not has_new_inverse(other, expr, definition / base):
                expr = other
                reasons.append(f"{self.write(definition)} is {letter.name}")
        return expr, "a product that has a name", "; ".join(reasons)

    def _is_short_for(self, letter: Letter, factors: Any) -> bool:
        """A product of what is normalized and statistics; with a parameter in it, it is more than a name."""
        leaves = [f for f in factors if f.as_base_exp()[0] in self.letters.leaves]
        return all(f.as_base_exp()[0] == self.source for f in leaves)

    def deviate(self, expr: Any) -> tuple[Any, str, str]:
        """u is c + μ: what is left of u where only its deviations count."""
        reasons = []
        for c, definition in self.definitions.items():
            if not definition.is_Add or len(definition.args) != 2:
                continue
            for u in definition.args:
                m = u - definition
                if not (isinstance(u, Letter) and isinstance(m, Letter) and expr.has(u) and varies(m) < varies(u)):
                    continue
                other = expr.xreplace({u: c + m})
                other = self._out(each_sum(other, lambda s: self._each_part(s, self._out(s.args[0]))))
                other = self.shorten(self.vanish(other)[0])[0]
                if length(other) < length(expr):
                    expr = other
                    reasons.append(f"{u.name} is {c.name} + {m.name}, and the terms with {m.name} are gone")
        return expr, "a deviation that has a name", "; ".join(reasons)

    def complement(self, expr: Any) -> tuple[Any, str, str]:
        """e/(1 + e) is 1 − 1/(1 + e)."""
        reasons = []
        for q, definition in self.definitions.items():
            base, n = definition.as_base_exp()
            if not (definition.is_Pow and base.is_Add and n == -1 and expr.has(q)):
                continue
            for e in base.args:
                if isinstance(e, Letter) and expr.has(e) and not (base - e).has(e):
                    other = multiplied_out(expr.xreplace({e: 1 / q - (base - e)}))
                    if length(other) <= length(expr) or isinstance(self.definitions.get(e), sp.exp):
                        reasons.append(f"{self.write(e * q)} is {self.write(1 - (base - e) * q)}")
                        expr = other
        return expr, "what is left to one", "; ".join(reasons)

    def group(self, expr: Any) -> tuple[Any, str, str]:
        """a·b − a·b·c is a·b·(1 − c), entry by entry."""
        found: list[str] = []

        def inside(e: Any) -> Any:
            if isinstance(e, Letter) or not e.args:
                return e
            e = e.func(*map(inside, e.args)) if not isinstance(e, (Sigma, Mean)) else e.func(inside(e.args[0]), *e.args[1:])
            if e.is_Add and len(e.args) == 2 and 1 in e.args and isinstance(1 - e, (Positive, AtLeast)):
                return complement(1 - e)
            return self._joined(self._grouped(e, found), found) if e.is_Add else e

        return inside(expr), "a common factor of some terms", "; ".join(dict.fromkeys(found))

    def _joined(self, e: Any, found: list[str]) -> Any:
        """Sums over the same axes are one sum."""
        totals: dict[Any, list[Any]] = {}
        for t in e.args if e.is_Add else ():
            number, s = t.as_coeff_Mul()
            if isinstance(s, (Sigma, Mean)):
                totals.setdefault((s.func, s.args[1:]), []).append(number * s.args[0])
        for (kind, axes), inside in totals.items():
            if len(inside) > 1:
                gone = sp.Add(*(kind(a / a.as_coeff_Mul()[0], *axes) * a.as_coeff_Mul()[0] for a in inside))
                found.append("sums over the same axes are one")
                within = self.common(sp.Add(*inside))[0]
                within = self._grouped(within, []) if within.is_Add else within
                e = e - gone + kind(within, *axes)
        return e

    def _grouped(self, e: Any, found: list[str]) -> Any:
        terms = list(e.args)
        sums = [t for t in terms if t.has(Sigma, Mean)]
        if len(sums) > 1:  # dy + rstd·(g − mean(g) − …): what all sums have in common
            shared = reduce(shared_factor, sums[1:], sums[0])
            with_it = [t for t in terms if shared_factor(t, shared) == shared]
            if shared.atoms(Letter) and len(with_it) < len(terms):
                found.append(f"{self.write(shared)} is in {len(with_it)} terms")
                return sp.Mul(shared, sp.Add(*(t / shared for t in with_it))) + sp.Add(*(t for t in terms if t not in with_it))
        best = sp.Integer(1)
        for i, a in enumerate(terms):
            for j in range(i):
                if a.has(Sigma, Mean) or terms[j].has(Sigma, Mean):
                    continue
                shared = shared_factor(a, terms[j])
                if length(shared) > length(best) and shared.atoms(Letter) and (terms[j] / shared).is_polynomial():
                    best = shared
        if best == 1:
            return e
        with_it = [t for t in terms if not t.has(Sigma, Mean) and shared_factor(t, best) == best]
        rest = [t for t in terms if t not in with_it]
        found.append(f"{self.write(best)} is in {len(with_it)} terms")
        within = sp.Add(*(t / best for t in with_it))
        within = self._grouped(within, found) if within.is_Add else within
        new = sp.Add(sp.Mul(best, within), *rest)
        return new

    def softmax(self, expr: Any) -> tuple[Any, str, str]:
        """exp(z)/Σ exp(z) has a name."""
        reasons = []
        for total, e in self._exponentials(expr):
            if not any({e, 1 / total} <= set(sp.Mul.make_args(t)) for t in products(expr)):
                continue
            meaning = self.letters.inlined(e / total)
            known = {**self.letters.definitions, **self.named}
            p = next((a for a, m in known.items() if varies(a) == varies(e) and self.letters.inlined(m) == meaning), None)
            p = p or Letter(self.letters.fresh("p"), varies(e))
            expr = each_product(
                expr,
                lambda t, e=e, s=total, p=p: t * s / e * p if {e, 1 / s} <= set(sp.Mul.make_args(t)) else t,  # type: ignore[misc]
            )
            if p not in known:
                self.named[p] = e / total
                self.letters.values[p] = self.letters.number(e / total)
            inside = (e if isinstance(e, sp.exp) else self.definitions[e]).args[0]
            reasons.append(f"{self.write(e / total)} is the softmax of {self.write(inside)}")
        return expr, "a share that has a name", "; ".join(reasons)

    def _exponentials(self, expr: Any) -> Iterator[tuple[Any, Any]]:
        """Σ e and e, where e is an exponential, in full or by name."""
        for s in sorted(expr.atoms(Sigma), key=sp.default_sort_key):
            if isinstance(self.definitions.get(s.args[0], s.args[0]), sp.exp):
                yield s, s.args[0]
        for letter, definition in self.definitions.items():
            if isinstance(definition, Sigma) and isinstance(self.definitions.get(definition.args[0]), sp.exp):
                yield letter, definition.args[0]

    def means(self, expr: Any) -> tuple[Any, str, str]:
        return with_means(expr), "mean for (1/N)Σ", "a sum divided by how many there are is a mean"

    def abbreviate(self, expr: Any) -> tuple[Any, str, str]:
        """A factor that goes with dy wherever dy stands: g."""
        with_dy = [t for t in products(expr) if t.has(self.dy) and self.dy in [f.as_base_exp()[0] for f in sp.Mul.make_args(t)]]
        if len(with_dy) < 2:
            return expr, "", ""
        shared: set[Any] = set.intersection(*({f for f in sp.Mul.make_args(t) if self._is_parameter(f)} for t in with_dy)) - {
            self.dy
        }
        if not shared:
            return expr, "", ""
        meaning = self.dy * sp.Mul(*shared)
        g = Letter(self.letters.fresh("g"), varies(meaning))
        self.named[g] = meaning
        self.letters.values[g] = self.letters.number(meaning)
        new = each_product(expr, lambda t: t / meaning * g if self.dy in sp.Mul.make_args(t) else t)
        known = self.cotangents.get(meaning)
        reason = "the two only occur together" + (
            f": {g.name} is {known}, the gradient that reaches {known[1:]}" if known else ""
        )
        return new, f"{g.name} for {self.write(meaning)}", reason

    def _is_parameter(self, f: Any) -> bool:
        """A letter that is no statistic of what is normalized, or a condition."""
        return isinstance(f, (Positive, AtLeast)) or (
            isinstance(f, Letter) and f not in self.named and not self.letters.inlined(f).has(self.source)
        )

    def common(self, expr: Any) -> tuple[Any, str, str]:
        terms = sp.Add.make_args(expr)
        if len(terms) < 2:
            return expr, "", ""
        powers = [
            {b: n for b, n in (f.as_base_exp() for f in sp.Mul.make_args(t.as_coeff_Mul()[1])) if n.is_Rational} for t in terms
        ]
        factor = sp.Integer(1)
        for base in set.intersection(*(set(p) for p in powers)):
            ns = [p[base] for p in powers]
            if base.is_Add:
                continue
            if all(n > 0 for n in ns):
                factor *= base ** min(ns)
            elif all(n < 0 for n in ns):
                factor *= base ** max(ns)
        numbers = [t.as_coeff_Mul()[0] for t in terms]
        if all(n == numbers[0] or n == -numbers[0] for n in numbers) and abs(numbers[0]) != 1:
            factor *= abs(numbers[0])
        if factor == 1:
            return expr, "", ""
        rest = sp.Add(*(t / factor for t in terms))
        number, letters = factor.as_coeff_Mul()
        new = sp.Mul(number, letters, rest, evaluate=False) if number != 1 else letters * rest
        return new, "the common factor", f"{self.write(factor)} is in every term"
