"""Letters that nobody named: deviations, roots of a variance, what is normalized, shares, functions.

A forward that names nothing still has a textbook's letters in it. They are found in each expression as it is read from
the tape, by what they are: c = u − mean(u), rstd = (mean(c²) + ε)^(−½), x̂ = rstd·c, p = exp(z)/Σ exp(z), q = 1/S for any
other sum S that is divided by. All powers of one sum become powers of one letter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import sympy as sp

from .symbols import Letter, Sigma, sigma, varies

_HALF = sp.Rational(1, 2)
_FUNCTIONS = {sp.exp: "e", sp.tanh: "t", sp.erf: "φ", sp.sin: "s", sp.cos: "c"}


class Finding:
    """Rewrites expressions in letters, making those it needs.

    definitions:  of every letter so far; ``make(name, definition)`` adds one
    notes:        what was recognised that was written otherwise
    """

    def __init__(
        self, definitions: dict[Letter, Any], make: Callable[[str, Any], Letter], is_leaf: Callable[[Any], bool]
    ) -> None:
        self.definitions, self.make, self.is_leaf = definitions, make, is_leaf
        self.notes: dict[tuple[Any, Any], None] = {}
        self.roots: dict[Any, tuple[Letter, Any]] = {}  # of a sum: the letter, and the power of the sum that it is

    def __call__(self, e: Any, root: bool = False) -> Any:
        """The expression in letters. root: √S is wanted by itself, not to divide by."""
        if not e.args or isinstance(e, Letter) or not e.atoms(Letter):
            return e
        if isinstance(e, Sigma):
            return sigma(self(e.args[0]), e.args[1:])
        if e.is_Pow and e.base is not sp.E:
            return self._power(self(e.base), e.exp if not e.exp.atoms(Letter) else self(e.exp), root)
        args = [self(a, root and e.is_Mul) for a in e.args]
        e = e.func(*args)
        if e.is_Add:
            e = self._log_share(e)
            return self._spread(e) if e.is_Add else e
        if e.is_Mul:
            return self._share(self._normalized(e))
        if e.func in _FUNCTIONS and varies(e):
            return self.letter(_FUNCTIONS[e.func], e)
        return e

    def known(self, letter: Letter, definition: Any) -> None:
        """A root that has a name of its own is the letter of its sum."""
        base, n = definition.as_base_exp()
        if definition.is_Pow and n in (_HALF, -_HALF, -1) and base not in self.roots and (base.is_Add or n != -1):
            self.roots[base] = (letter, n)

    def forget(self, letter: Letter) -> None:
        self.roots = {base: root for base, root in self.roots.items() if root[0] != letter}

    def is_deviation(self, u: Any) -> bool:
        return isinstance(u, Letter) and bool(self.meaning(u).is_Add)

    def letter(self, name: str, definition: Any) -> Any:
        """The letter for it, if it is the forward's: what has a cotangent in it stays as it is."""
        if not self.is_known(definition):
            return definition
        known = next((a for a, e in self.definitions.items() if e == definition), None)
        return known if known is not None else self.make(name, definition)

    def is_known(self, e: Any) -> bool:
        return all(a in self.definitions or self.is_leaf(a) for a in e.atoms(Letter))

    def meaning(self, e: Any) -> Any:
        return self.definitions.get(e, e)

    # Deviations and variances --------------------------------------------------------------------------------

    def _mean_of(self, e: Any) -> tuple[Any, tuple[Any, ...]] | None:
        """u and its axes where e is mean(u)."""
        e = e.xreplace({a: self.meaning(a) for a in e.args if isinstance(a, Letter)}) if e.is_Mul else self.meaning(e)
        for s in sp.Mul.make_args(e):
            if isinstance(s, Sigma) and e == s / sp.Mul(*s.args[1:]):
                return s.args[0], s.args[1:]
        return None

    def _spread(self, e: Any) -> Any:
        for t in e.args:
            number, m = t.as_coeff_Mul()
            found = self._mean_of(m)
            if found is not None:
                whole, rest = found[0], e - t
                if len(sp.Add.make_args(rest + number * whole)) == len(sp.Add.make_args(rest)) - len(sp.Add.make_args(whole)) or (
                    rest == -number * whole
                ):
                    c = self.letter("c", whole - m)
                    if not isinstance(c, Letter):
                        continue
                    e = rest + number * whole - number * c
                    return e if not e.is_Add else self._spread(e)
        return self._variance(e)

    def _variance(self, e: Any) -> Any:
        """mean(u²) − mean(u)² is mean((u − mean(u))²)."""
        for t in e.args:
            number, m = t.as_coeff_Mul()
            if not (m.is_Pow and m.exp == 2):
                continue
            found = self._mean_of(m.base)
            if found is None:
                continue
            u, axes = found
            for other in e.args:
                if other is not t and self._mean_of(other / -number) == (u**2, axes):
                    c = self.letter("c", u - m.base)
                    v = self.letter("σ²", sigma(c**2, axes) / sp.Mul(*axes))
                    self.notes[other / -number - m, v] = None
                    return self(e - t - other - number * v) if e - t - other != 0 else -number * v
        return e

    # Powers of a sum -----------------------------------------------------------------------------------------

    def _power(self, base: Any, n: Any, root: bool) -> Any:
        if not n.is_Rational or (n.is_Integer and n > 0):
            return base**n
        if base.is_Mul and n.is_Integer:
            parts = [f.as_base_exp() for f in base.args]
            return self._share(
                self._normalized(sp.Mul(*(self._power(b, n * k, root) if b.is_Add else b ** (n * k) for b, k in parts)))
            )
        if not base.is_Add and not n.is_Integer and any(map(self._is_statistic, base.atoms(Letter))):
            return self._root(base, n, root)
        if not base.is_Add or (not varies(base) and not base.atoms(Letter)) or not base.atoms(Letter):
            return base**n
        return self._root(base, n, root)

    def _is_statistic(self, a: Letter) -> bool:
        """Whether a letter is a sum or a mean: its root is a letter, too."""
        return bool(self.meaning(a).has(Sigma))

    def _root(self, base: Any, n: Any, root: bool) -> Any:
        if not self.is_known(base):
            return base**n
        if base not in self.roots:
            k = sp.Integer(-1 if self._is_logistic(base) else 1) if n.is_Integer else self._unit(n, root)
            self.roots[base] = (self.letter(self._root_name(base, k), base**k), k)
        letter, k = self.roots[base]
        if not (n / k).is_Integer:  # 1/S came first, now its root
            k = self._unit(n, root)
            letter = self.letter(self._root_name(base, k), base**k)
            self.roots[base] = (letter, k)
        return letter ** (n / k)

    def _unit(self, n: Any, root: bool) -> Any:
        return n if n.q != 2 else _HALF if root and n > 0 else -_HALF

    def _root_name(self, base: Any, k: Any) -> str:
        square = self._squares(base)
        if square and k == -_HALF and (base.is_Add or any(map(self.is_deviation, square))):
            return "rstd"
        if k == _HALF:
            return "σ" if square else "r"
        return "s" if k.is_Integer else "r"

    def _is_logistic(self, base: Any) -> bool:
        """1 + exp(z)"""
        return bool(base.is_Add and len(base.args) == 2 and 1 in base.args and isinstance(self.meaning(base - 1), sp.exp))

    def _squares(self, base: Any) -> list[Any]:
        """The u whose mean square stands in a sum."""
        found = []
        for t in sp.Add.make_args(base):
            t = t.xreplace({a: self.meaning(a) for a in t.atoms(Letter)})
            found += [s.args[0].base for s in t.atoms(Sigma) if s.args[0].is_Pow and s.args[0].exp == 2]
        return found

    # Products that have a name --------------------------------------------------------------------------------

    def _normalized(self, e: Any) -> Any:
        """rstd·c, where rstd is made of c."""
        if not e.is_Mul:
            return e
        for base, (r, k) in self.roots.items():
            if k != -_HALF or r not in e.args:
                continue
            for u in self._squares(base):
                if u in e.args and isinstance(u, Letter):
                    return self._normalized(e / (r * u) * self.letter(self._hat(u), r * u))
        return e

    def _hat(self, u: Letter) -> str:
        meaning = self.meaning(u)
        source = next((a for a in meaning.args if self.is_leaf(a)), None) if meaning.is_Add else u if self.is_leaf(u) else None
        name = source.name if source is not None and len(source.name) == 1 and source.name.isalpha() else "x"
        return unicodedata.normalize("NFC", f"{name}\u0302")

    def _log_share(self, e: Any) -> Any:
        """z − log Σ exp(z)"""
        for t in e.args:
            s = self.meaning((-t).args[0]) if isinstance(-t, sp.log) else None
            power = self.meaning(s.args[0]) if isinstance(s, Sigma) else None
            if isinstance(power, sp.exp) and set(sp.Add.make_args(power.args[0])) <= set(e.args):
                rest = e - power.args[0] - t
                return rest + self.letter("lp", power.args[0] + t)
        return e

    def _share(self, e: Any) -> Any:
        """exp(z)/Σ exp(z)"""
        for total in [f.base for f in e.args if f.is_Pow and f.exp == -1] if e.is_Mul else []:
            s = self.meaning(total)
            if isinstance(s, Sigma) and s.args[0] in e.args and isinstance(self.meaning(s.args[0]), sp.exp):
                return e * total / s.args[0] * self.letter("p", s.args[0] / total)
        return e
