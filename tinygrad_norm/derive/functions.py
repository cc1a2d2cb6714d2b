"""Functions of a normal argument, in a normal form: |x|, sign(x), log x, exp x, [x > 0] of a product are those of its factors."""

from __future__ import annotations

from typing import Any

import sympy as sp

from . import domain
from .conditions import AtLeast, Positive, Zero
from .products import factors_of, is_even, lead
from .symbols import Letter, Sigma


class Functions:
    """What ``Normal`` knows of functions; it has the letters that stand for them.

    positive:  letters that are taken to be positive
    nonzero:   what was taken to be no zero, for sign(x)² to be 1
    """

    positive: frozenset[Any]
    nonzero: set[Any]
    _mode: str  # how |x| and sign(x) are read
    _meaning: dict[Letter, Any]  # of a letter, the function
    _under: dict[Letter, Any]  # of a root's letter r, the sum S: r^q = 1/S
    _q: dict[Letter, int]

    def _name(self, e: Any) -> Letter:
        raise NotImplementedError

    def _power(self, base: Any, n: Any) -> Any:
        raise NotImplementedError

    def _settle(self, expr: Any) -> Any:
        raise NotImplementedError

    def _polynomial(self, e: Any) -> Any:
        raise NotImplementedError

    def _function(self, f: Any, a: Any) -> Any:
        if a.is_number:
            return f(a)
        if f is sp.tanh:
            return 1 - 2 * self._power(self._exponential(sp.expand_mul(2 * a)) + 1, sp.Integer(-1))
        if f is sp.Abs:
            return sp.Mul(*(self._absolute(*t.as_base_exp()) for t in factors_of(a)))
        if f is sp.sign:
            return sp.Mul(*(self._sign(*t.as_base_exp()) for t in factors_of(a)))
        if f is sp.log:
            return self._settle(sp.Add(*(self._logarithm(*t.as_base_exp()) for t in factors_of(a))))
        if f is AtLeast:
            return 1 - self._positive(sp.expand_mul(-a))
        if f is Positive:
            return self._positive(a)
        if f is Zero:
            return self._zero(a)
        if f in (sp.erf, sp.sin, sp.cos):
            of_lead = lead(a).as_coeff_Mul()[0]
            if of_lead < 0:  # odd and even functions
                return (1 if f is sp.cos else -1) * self._function(f, sp.expand_mul(-a))
            if f is not sp.erf and of_lead.is_Integer and of_lead % 2 == 0:  # twice an angle
                half = sp.expand_mul(a / 2)
                sine = self._function(sp.sin, half)
                return 2 * sine * self._function(sp.cos, half) if f is sp.sin else 1 - 2 * self._power(sine, sp.Integer(2))
        return self._name(f(a))

    def _positive(self, a: Any) -> Any:
        """[a > 0], where a's sign is that of the product of a few factors; of −a it is 1 − [a > 0] − [a = 0]."""
        number, factors = self._of_unsure_sign(a)
        if not factors:
            return sp.Integer(1 if number > 0 else 0)
        inside = sp.Mul(*factors)
        if number < 0:
            return 1 - self._name(Positive(inside)) - self._zero(inside)
        return self._name(Positive(inside))

    def _zero(self, a: Any) -> Any:
        factors = self._of_unsure_sign(a)[1]
        return self._name(Zero(sp.Mul(*factors))) if factors else sp.Integer(0)

    def _of_unsure_sign(self, a: Any) -> tuple[Any, list[Any]]:
        """A number of the sign of a without these factors: what is positive is left out."""
        number, factors = sp.Integer(1), []
        for f in factors_of(a):
            base = f.as_base_exp()[0]
            if f.is_number:
                number *= sp.sign(f)
            elif not (
                base.is_positive or base in self.positive or (base.is_Add and domain.is_positive(base)) or self._is_exp(base)
            ):
                factors.append(f)
        return number, factors

    def _is_exp(self, base: Any) -> bool:
        return isinstance(self._meaning.get(base), sp.exp) or (base in self._under and self._q[base] % 2 == 0)

    def _absolute(self, base: Any, n: Any) -> Any:
        """|baseⁿ|, where the base may be any one factor."""
        if self._is_positive(base):
            return base**n
        if base.is_number:
            return abs(base) ** n
        if base.is_Add:
            return self._name(sp.Abs(base)) ** n
        return self._name(sp.Abs(base, evaluate=False)) ** n

    def _sign(self, base: Any, n: Any) -> Any:
        if self._is_positive(base):
            if not (base.is_positive or base in self.positive):
                self.nonzero.add(base)
            return sp.Integer(1)
        if base.is_number:
            return sp.sign(base) ** n
        even = n.is_Integer and n % 2 == 0
        if self._mode == "branches":
            return (2 * self._positive(base) + self._zero(base) - 1) ** (2 if even else 1)
        letter = self._name(sp.sign(base, evaluate=False))
        if self._mode == "signs":
            return sp.Integer(1) if even else self._absolute(base, sp.Integer(1)) * self._power(base, sp.Integer(-1))
        return letter**2 if even else letter

    def _logarithm(self, base: Any, n: Any) -> Any:
        """log of one factor of a product that is positive: of its absolute value."""
        if base.is_number:
            return sp.log(abs(base) ** n) if abs(base) != 1 else sp.Integer(0)
        if base in self._under:  # a root: of what it is the root
            return self._function(sp.log, self._under[base]) * -n / self._q[base]
        if base in self._meaning and isinstance(self._meaning[base], sp.exp):
            return n * self._meaning[base].args[0]
        if base in self._meaning and isinstance(self._meaning[base], sp.Abs):
            return n * self._name(sp.log(base))
        return n * self._name(sp.log(base if base.is_Add else self._absolute(base, sp.Integer(1))))

    def _exponential(self, e: Any) -> Any:
        """exp of a sum as a product of letters, so that what does not vary can leave a Σ."""
        found = sp.Integer(1)
        for term in sp.Add.make_args(e):
            number, rest = term.as_coeff_Mul()
            if isinstance(rest, sp.log) or (rest in self._meaning and isinstance(self._meaning[rest], sp.log)):
                inside = rest.args[0] if isinstance(rest, sp.log) else self._meaning[rest].args[0]
                found *= self._power(inside, number)
            elif rest == 1:
                found *= sp.exp(number)
            else:
                found *= self._name(sp.exp(rest)) ** number
        return self._polynomial(found)

    def _is_positive(self, factor: Any) -> bool:
        """Whether a root may be taken of the factor by itself, and its absolute value is it: not where it may be negative."""
        base = factor.as_base_exp()[0]
        if base in self.positive or factor.is_positive or base.is_positive:
            return True
        if base in self._under:
            return self._q[base] % 2 == 0 or self._is_positive(self._under[base])
        if base.is_Add:
            parts = [(t.as_coeff_Mul()[0], sp.Mul.make_args(t.as_coeff_Mul()[1])) for t in base.args]
            return all(c > 0 and all(f == 1 or is_even(f) or self._is_positive(f) for f in fs) for c, fs in parts)
        if isinstance(base, Sigma):
            factors = [f.as_base_exp() for f in sp.Mul.make_args(base.args[0])]
            return all((n.is_Integer and n % 2 == 0) or self._is_positive(b) for b, n in factors)
        return isinstance(self._meaning.get(base), (sp.exp, sp.Abs))
