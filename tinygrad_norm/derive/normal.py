"""A normal form for formulas over named axes: two formulas that have the same one are equal, whatever the numbers.

Everything is written out down to the leaves. What is normal is a sum of products of powers of: leaves, sizes, Σs of such
products, and letters for what is no polynomial of these,

    root      r of a sum S, r^q = 1/S with one q for all of S's roots and quotients
    exp, |x|  exp of one term (of a sum it is a product), the absolute value; tanh and sigmoid are written by exp, twice an angle by it
    sign, log, erf, [a > 0], [a = 0], …  of a normal argument

Σ is linear; factors that do not vary along its axes leave it; sums over different axes part or join. Each letter's relation is
used in one direction only: |x|² is x²; the largest product in S times r^q is 1 less the others times r^q; and where S holds a Σ,
that Σ is put in terms of r and the others. What was not found zero may be zero all the same; what was found zero is, wherever
the formula is a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import sympy as sp

from .cases import TooMany, by_cases, points
from .conditions import Positive, Zero
from .functions import Functions
from .letters import Letters
from .products import at_least, content, is_even, is_size, largest, part_sum, terms_of
from .symbols import Letter, Mean, Sigma, varies

_ROUNDS = 40  # of rewriting; more would be a circle
_TERMS, _FEW = 400, 40  # of a sum: a proof that needs more is not tried; nor is more shown
BUDGET = 4_000  # terms that one proof multiplies out


class TooLong(Exception):
    """A normal form of very many terms, or the last of a budget."""


class Normal(Functions):
    """Normal forms that share their letters: compare only those made by the same one.

    known:     Σs whose value is given
    positive:  letters that are taken to be positive
    nonzero:   what was taken to be no zero, for sign(x)² to be 1
    """

    def __init__(self, known: Mapping[Any, Any] | None = None, positive: frozenset[Any] = frozenset()) -> None:
        self.known, self.positive = dict(known or {}), positive
        self.nonzero: set[Any] = set()
        self._mode = ""  # how |x| and sign(x) are read
        self._named: dict[Any, Letter] = {}  # a function, as one letter
        self._meaning: dict[Letter, Any] = {}
        self._roots: dict[Any, Letter] = {}  # by the sum S
        self._under: dict[Letter, Any] = {}
        self._q: dict[Letter, int] = {}
        self._faced: set[Any] = set()  # of a sum and its negative, that of which a root was asked
        self._free: set[Letter] = set()  # roots by which a Σ was put away
        self._rules: dict[Any, Any] = dict(self.known)  # a Σ, in terms of a root, or as it is known
        self._changed, self._most = False, 0
        self.left = BUDGET

    def form(self, expr: Any, letters: Letters) -> Any:
        expr = letters.inlined(expr)
        for _ in range(6):
            self._changed = False
            found = self._settle(self._form(expr))
            if not self._changed:
                break
            self._rules, self._free = dict(self.known), set()  # a root of another order came up: all over, knowing it
        return found

    def sign_of(self, expr: Any, letters: Letters) -> Any:
        """The normal form less what is positive in it: two formulas that have the same one have the same sign."""
        found = self.form(expr, letters)
        if found.is_Add:
            found = content(found, self._is_positive)[1]
        number, rest = found.as_coeff_Mul()
        factors = [f for f in sp.Mul.make_args(rest) if not self._is_positive(f)]
        return sp.sign(number) * sp.Mul(*factors)

    def is_more(self, expr: Any, letters: Letters) -> bool:
        """Whether it is more than zero for all numbers; a sum of squares may be zero."""
        return self._is_more(self.form(expr, letters))

    def _is_more(self, e: Any) -> bool:
        if e.is_Add:
            return self._is_positive(e) and any(map(self._is_more, e.args))
        bases = [f if f.is_number else f.as_base_exp()[0] for f in sp.Mul.make_args(e)]
        return all(
            bool(b > 0)
            if b.is_number
            else b.is_positive
            or b in self.positive
            or self._is_exp(b)
            or (isinstance(b, Sigma) and self._is_more(b.args[0]))
            or (b.is_Add and self._is_more(b))
            for b in bases
        )

    def is_zero(self, expr: Any, letters: Letters) -> bool:
        """Whether the formula is zero for all numbers; False says only that this could not be shown."""
        for mode, kinds in ("", (sp.Expr,)), ("branches", (sp.sign, sp.Abs)), ("signs", (sp.sign,)):
            involved = [m.args[0] for m in self._meaning.values() if isinstance(m, kinds)]
            if mode and not involved:
                continue
            self._mode, self._most = mode, _TERMS
            try:
                if self._opens_to_zero(expr, letters):
                    self.nonzero |= set(involved) if mode == "signs" else set()
                    return True
            except TooLong:
                return False
            finally:
                self._mode, self._most = "", 0
        return False

    def is_zero_but(self, expr: Any, letters: Letters) -> list[Any] | None:
        """Whether it is zero in each of its cases: what may not be zero for that, nothing where it is zero in all of them; None
        where that could not be shown."""
        try:
            ends = points(expr)
            if not ends or not self.is_zero(by_cases(expr, lambda point: True), letters):
                return None
            needed = list(ends)
            for point in ends:
                rest = [p for p in needed if p != point]
                with suppress(TooMany):
                    needed = rest if self.is_zero(by_cases(expr, rest.__contains__), letters) else needed
            return needed
        except TooMany:
            return None

    def short_form(self, expr: Any, letters: Letters) -> Any | None:
        """The normal form; None where it is very long."""
        self._most = _FEW
        try:
            return self.form(expr, letters)
        except TooLong:
            return None
        finally:
            self._most = 0

    def _opens_to_zero(self, expr: Any, letters: Letters) -> bool:
        left = self.form(expr, letters)
        for _ in range(4):
            if left == 0:
                return True
            opened = self._opened(left)
            if opened == left:
                return False
            left = self._settle(self._polynomial(sp.fraction(sp.together(opened))[0]))
        return False

    def _opened(self, e: Any) -> Any:
        """Whole powers of r^q as 1/S; what stands within a Σ stays as it is."""
        terms = []
        for term in sp.Add.make_args(e):
            factors = []
            for f in sp.Mul.make_args(term):
                base, n = f.as_base_exp()
                if base in self._under and base not in self._free and n.is_Integer:
                    q = self._q[base]
                    m, rest = divmod(int(n), q)
                    factors.append(self._under[base] ** -m * base**rest)
                else:
                    factors.append(f)
            terms.append(sp.Mul(*factors))
        return sp.Add(*terms)

    def _settle(self, expr: Any) -> Any:
        for _ in range(20):
            known = {s: self._rules[s] for s in expr.atoms(Sigma) if s in self._rules}
            if not known:
                return expr
            expr = self._polynomial(self._parted(expr.xreplace(known)))
        return expr

    # One level at a time -----------------------------------------------------------------------------------

    def _form(self, e: Any) -> Any:
        if not e.args or isinstance(e, Letter) or e.is_number:
            return e
        if isinstance(e, (Sigma, Mean)):
            total = self._sum(self._form(e.args[0]), e.args[1:])
            return total / sp.Mul(*e.args[1:]) if isinstance(e, Mean) else total
        if isinstance(e, sp.exp) or (e.is_Pow and e.base is sp.E):
            return self._exponential(self._settle(self._form(e.exp)))
        if e.is_Pow:
            return self._polynomial(self._power(self._form(e.base), e.exp))
        if e.is_Add or e.is_Mul:
            return self._polynomial(e.func(*(self._form(a) for a in e.args)))
        if len(e.args) == 1:
            return self._polynomial(self._function(e.func, self._settle(self._form(e.args[0]))))
        return self._name(e.func(*(self._settle(self._form(a)) for a in e.args)))

    def _polynomial(self, e: Any) -> Any:
        self._spend(e)
        e = sp.expand_mul(sp.expand_multinomial(e))
        for _ in range(_ROUNDS):
            if 0 < self._most < len(sp.Add.make_args(e)):
                raise TooLong
            found = {p: self._power(p.base, p.exp) for p in e.atoms(sp.Pow) if p.base.is_Add and p.base is not sp.E}
            new = e.xreplace(found) if found else e
            new = self._reduced(new)
            if new == e:
                return e
            self._spend(new)
            e = sp.expand_mul(sp.expand_multinomial(new))
        return e

    def _spend(self, e: Any) -> None:
        """Takes what e has for terms, multiplied out, from what is left; raises where it is too much."""
        self.left -= sum(math.prod(map(terms_of, sp.Mul.make_args(t))) for t in sp.Add.make_args(e))
        if self.left < 0:
            raise TooLong

    # The letters' relations ---------------------------------------------------------------------------------

    def _reduced(self, e: Any) -> Any:
        if not any(a in self._meaning or a in self._under for a in e.atoms(Letter)):
            return e
        return sp.Add(*(self._reduced_term(t) for t in sp.Add.make_args(e)))

    def _reduced_term(self, term: Any) -> Any:
        powers = dict(f.as_base_exp() for f in sp.Mul.make_args(term))
        for letter, n in powers.items():
            meaning = self._meaning.get(letter)
            if isinstance(meaning, sp.Abs) and n.is_Rational and not 0 <= n < 2:
                m = sp.floor(n / 2)
                return term / letter**n * letter ** (n - 2 * m) * self._power(meaning.args[0], 2 * m)
            if isinstance(meaning, sp.sign) and n.is_Integer and n > 0:
                if n > 2:
                    return term / letter**2
                inside = meaning.args[0]
                absolute = self._named.get(sp.Abs(inside, evaluate=False), self._named.get(sp.Abs(inside)))
                if absolute is not None and absolute in powers and at_least(powers[absolute], sp.Integer(1)):
                    return term / letter / absolute * inside
                if inside in powers and powers[inside].is_Integer and powers[inside] >= 1:
                    return term / letter / inside * self._absolute(inside, sp.Integer(1))
            if isinstance(meaning, (Positive, Zero)):
                if n != 1:
                    return term / letter ** (n - 1)
                if isinstance(meaning, Zero) and (
                    self._named.get(Positive(meaning.args[0])) in powers or powers.get(meaning.args[0], sp.Integer(0)).is_positive
                ):
                    return sp.Integer(0)
            if self._mode == "branches" and isinstance(meaning, sp.Abs) and n == 1:
                return term / letter * meaning.args[0] * (2 * self._positive(meaning.args[0]) - 1)
            if letter in self._under and letter not in self._free and n.is_Integer:
                q, under = self._q[letter], self._under[letter]
                if n < 0:
                    m = -(-int(-n) // q)
                    return term / letter**n * letter ** (n + m * q) * under**m
                if n >= q:
                    top = largest(under)
                    product = top.as_coeff_Mul()[1]
                    sizes = sp.Mul(*(f for f in sp.Mul.make_args(product) if is_size(f)))
                    own = [f.as_base_exp() for f in sp.Mul.make_args(product / sizes) if f != 1]
                    if own and all(b in powers and at_least(powers[b], k) for b, k in own):
                        return term / top / letter**q - term / top * sp.expand_mul(under - top)
        return term

    def _power(self, base: Any, n: Any) -> Any:
        """Of a product, the product of the powers: of the factors, or for a root, where several may be negative, of |factor|s."""
        base = self._settle(base)
        if not base.is_Mul:
            return self._power_of_factor(base, n, True)
        if n.is_Integer:
            return sp.Mul(*(self._power_of_factor(a, n, True) for a in base.args))
        number, rest = base.as_coeff_Mul()
        factors = list(sp.Mul.make_args(rest))
        unsure = [k for k, f in enumerate(factors) if not (self._is_positive(f) or f.is_number or is_even(f))]
        if number < 0 and len(unsure) == 1 and factors[unsure[0]].is_Add:
            factors[unsure[0]], number = sp.expand_mul(-factors[unsure[0]]), -number
        if number < 0 and len(unsure) == 1:
            inner, k = factors[unsure[0]].as_base_exp()
            if inner in self._under and self._q[inner] == 1 and k.is_Integer and k % 2 == 1:  # 1/S, and it is −S that is positive
                rest = sp.Mul(*(f for i, f in enumerate(factors) if i != unsure[0]))
                turned = self._facing(sp.expand_mul(-self._under[inner]))
                return self._power(-number * rest, n) * self._power_of_one(turned, -k * n)
        alone = number > 0 and len(unsure) < 2
        return abs(number) ** n * sp.Mul(*(self._power_of_factor(f, n, alone) for f in factors))

    def _facing(self, base: Any) -> Any:
        """The sum, from now on as it stands and not its negative: a root was asked of it."""
        other = sp.expand_mul(-base)
        if other in self._roots and other not in self._faced:
            del self._roots[other]
            self._changed = True
        self._faced.add(base)
        return base

    def _power_of_factor(self, factor: Any, n: Any, alone: bool) -> Any:
        """(bᵏ)ⁿ; where it is a root and has no other factor that may be negative, it is a number where b is not negative."""
        base, k = factor.as_base_exp() if not factor.is_number else (factor, sp.Integer(1))
        if base.is_number:
            return factor**n if n.is_Integer else abs(factor) ** n
        if n.is_Integer or self._is_positive(base):
            if base in self._under and not n.is_Integer:
                return self._power_of_one(self._under[base], -k * n / self._q[base])
            return self._power_of_one(base, k * n)
        if not n.is_number:
            return self._name(sp.Pow(factor, n, evaluate=False))
        if alone and k == 1 and base in self._under:
            return self._power_of_one(self._under[base], -n / self._q[base])
        if alone and k == 1 and base.is_Add:
            return self._power_of_one(base, n)
        return self._absolute(base, k * n)

    def _power_of_one(self, base: Any, n: Any) -> Any:
        if not base.is_Add:
            return base**n
        if n.is_Integer and n > 0:
            return self._polynomial(base**n)
        shared, base = content(base, lambda b: bool(n.is_Integer) or self._is_positive(b))
        outside = self._power(shared, n) if shared != 1 else sp.Integer(1)
        if base == 1 or not base.is_Add:
            return outside * base**n
        if not n.is_Rational:
            return outside * self._name(sp.Pow(base, n, evaluate=False))
        turned = sp.Integer(1)
        if n.is_Integer and base not in self._roots:
            other = sp.expand_mul(-base)
            if other in self._roots or (base not in self._faced and largest(base, True).as_coeff_Mul()[0] < 0):
                base, turned = other, sp.Integer(-1) ** n
        root = self._root(base, int(n.q))
        return turned * outside * root ** (-self._q[root] * n)

    def _root(self, base: Any, q: int) -> Letter:
        """The letter of this sum's roots: of the order that serves all that were asked for."""
        if base not in self._roots:
            letter = Letter(f"⟨{len(self._named) + len(self._roots)}⟩", varies(base))
            self._roots[base], self._under[letter], self._q[letter] = letter, base, q
        letter = self._roots[base]
        if self._q[letter] % q:
            self._q[letter] = math.lcm(q, self._q[letter])
            self._changed = True
        self._eliminate(base, letter)
        return letter

    def _eliminate(self, base: Any, root: Letter) -> None:
        """By root⁻² = base (or another power q), one Σ of the base in terms of the others."""
        for term in sorted(base.args, key=lambda t: (-sp.count_ops(t), str(t))):
            factor, rest = term.as_independent(Sigma, as_Add=False)
            if isinstance(rest, Sigma) and not varies(factor) and not factor.atoms(Letter) and not (base - term).has(rest):
                if rest not in self._rules:
                    self._rules[rest] = sp.expand_mul((root ** -self._q[root] - (base - term)) / factor)
                    self._free.add(root)
                return

    def _name(self, e: Any) -> Letter:
        if e not in self._named:
            letter = Letter(f"⟨{len(self._named) + len(self._roots)}⟩", varies(e))
            self._named[e], self._meaning[letter] = letter, e
        return self._named[e]

    # Sums --------------------------------------------------------------------------------------------------

    def _parted(self, e: Any) -> Any:
        """What was put into Σs is summed anew."""
        return e.replace(lambda a: isinstance(a, Sigma), lambda s: self._sum(s.args[0], s.args[1:]))

    def _sum(self, e: Any, axes: Any) -> Any:
        return sp.Add(*(part_sum(t, axes) for t in sp.Add.make_args(self._polynomial(e))))
