"""From SymPy to plain trees, in the order a person would write: statistics first, sums last, no minus in front."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from typing import Any

import sympy as sp

from .algebra import with_means
from .conditions import AtLeast, Positive, Zero
from .formula import Formula, Layout, Line
from .letters import Letters
from .symbols import Highest, Letter, Mean, Sigma, varies
from .tree import Call, Indicator, Node, Number, Power, Size, Total, product_of, sum_of
from .tree import Letter as Leaf
from .tree import letters as trees
from .writer import Hand


class Plain:
    """SymPy expressions as trees.

    cotangents:  the letters that stand for a gradient, dy first
    calling:     whether softmax, sigmoid, softplus and logsumexp are written as such
    """

    def __init__(self, letters: Letters, cotangents: Iterable[Letter] = (), calling: bool = False) -> None:
        self.letters, self.calling = letters, calling
        self.axes = tuple(map(str, letters.order))
        last = letters.axes.dims[letters.graph.main_input][-1:]
        self.last = tuple(map(str, last[0])) if last else ()
        self.rank: dict[str, tuple[int, int]] = {}
        self.cotangents = {a.name for a in cotangents}
        graph = letters.graph
        self.main = letters.of[graph.main_input].expr
        self.parameters = {letters.of[t].expr for t in graph.tensors if t.op is None and t is not graph.main_input}
        roles = {id(n.tensor): n.role for n in letters.graph.nodes}
        for k, (t, s) in enumerate(letters.of.items()):
            if isinstance(s.expr, Letter):
                first = 3 if t.op is None else 0 if roles[id(t)] == "statistic" else 1
                self.rank.setdefault(s.expr.name, (first, k))
        for a in list(cotangents)[:1]:
            self.rank[a.name] = (2, 0)
        for a in list(cotangents)[1:]:
            self.rank[a.name] = (0, len(self.rank))  # before what it is multiplied with, as in g·x̂

    def over(self, axes: Iterable[Any]) -> tuple[str, ...]:
        wanted = set(map(str, axes))
        return tuple(a for a in self.axes if a in wanted)

    def letter(self, a: Letter) -> Leaf:
        letters = self.letters
        if a.name in self.cotangents:
            kind = "cotangent"
        elif a == self.main:
            kind = "input"
        elif a in letters.definitions:
            kind = "statistic"
        else:
            kind = "constant" if a in letters.literals.values() else "parameter"
        return Leaf(a.name, self.over(a.axes), kind)

    def __call__(self, expr: Any) -> Node:
        share = self._log_share(expr) if self.calling and expr.is_Add else None
        if share is not None:
            return Call("log_softmax", (self(self._moving(*share)),), self.over(share[1]))
        terms = sorted(sp.Add.make_args(expr), key=self._term_order)
        lead = next((k for k, t in enumerate(terms) if t.as_coeff_Mul()[0] > 0), 0)  # no minus in front if it can be helped
        terms.insert(0, terms.pop(lead))
        return sum_of(*map(self.term, terms))

    def _condition(self, f: Any) -> Indicator:
        """[x > 0], with what is taken off on the right; the side that varies more stands on the left."""
        terms = sp.Add.make_args(f.args[0])
        still = sp.Add(*(t for t in terms if not t.atoms(Letter)))
        left = sp.Add(*(t for t in terms if t.atoms(Letter) and not t.could_extract_minus_sign()))
        right = left + still - f.args[0]
        sign = ">" if isinstance(f, Positive) else "≥" if isinstance(f, AtLeast) else "="
        weight = [(len(varies(e)), e.has(self.main), len(e.atoms(Letter))) for e in (left, right)]
        if weight[1] > weight[0]:
            left, right, sign, still = right, left, {">": "<", "≥": "≤"}.get(sign, sign), -still
        right -= still
        return Indicator(self(left), sign, self(right))

    def term(self, expr: Any) -> Node:
        number, rest = expr.as_coeff_Mul()
        factors = sorted((f for f in sp.Mul.make_args(rest) if f != 1), key=self._order)
        return product_of(*([_number(number)] if number != 1 or not factors else []), *self._called(factors))

    def _called(self, factors: list[Any]) -> list[Node]:
        """The factors, those that are a function's value by its name: exp(z)/Σ exp(z), exp(z)/(1 + exp(z))."""
        made: list[Node] = []
        for f in list(factors) if self.calling else ():
            if not (f.is_Pow and f.exp == -1):
                continue
            total, logistic = self._total(f.base), self._logistic(f.base)
            wanted = total[0] if total is not None else logistic
            e = next((e for e in factors if wanted is not None and self._exponent(e) == wanted), None)
            if e is None:
                continue
            z = self._exponent(e)
            if total is not None:
                z = self._moving(z, total[1])
            made.append(Call("softmax", (self(z),), self.over(total[1])) if total is not None else Call("sigmoid", (self(z),)))
            factors = [a for a in factors if a is not e and a is not f]
        return [*map(self.factor, factors), *made]

    def _exponent(self, e: Any) -> Any:
        """z, of exp(z) or the letter for it."""
        e = self.letters.definitions.get(e, e)
        return e.args[0] if isinstance(e, sp.exp) else None

    def _total(self, s: Any) -> tuple[Any, Any] | None:
        """z and the axes, of Σ exp(z)."""
        s = self.letters.definitions.get(s, s)
        z = self._exponent(s.args[0]) if isinstance(s, Sigma) else None
        return None if z is None else (z, s.args[1:])

    def _moving(self, z: Any, axes: Any) -> Any:
        """z without what does not vary along the axes: a softmax is the same without it."""
        terms = sp.Add.make_args(self.letters.definitions.get(z, z))
        moving = [t for t in terms if varies(t) & set(axes)]
        return sp.Add(*moving) if 0 < len(moving) < len(terms) else z

    def _log_share(self, expr: Any) -> tuple[Any, Any] | None:
        """z and the axes, of z − log Σ exp(z)."""
        for t in expr.args:
            total = self._total((-t).args[0]) if isinstance(-t, sp.log) else None
            if total is not None and expr - t == total[0]:
                return total
        return None

    def _share(self, p: Any) -> tuple[Any, Any] | None:
        """z and the axes, of exp(z)/Σ exp(z) by its letter."""
        for e in sp.Mul.make_args(self.letters.definitions.get(p, p)):
            total = self._total(e.base) if e.is_Pow and e.exp == -1 else None
            if total is not None and self._exponent(self.letters.definitions.get(p, p) * e.base) == total[0]:
                return total
        return None

    def _logistic(self, s: Any) -> Any:
        """z, of 1 + exp(z)."""
        return self._exponent(s - 1) if s.is_Add and len(s.args) == 2 and sp.Integer(1) in s.args else None

    def factor(self, f: Any) -> Node:
        if isinstance(f, Letter):
            return self.letter(f)
        if isinstance(f, (Sigma, Mean)):
            return Total(self(f.args[0]), self.over(f.args[1:]), "mean" if isinstance(f, Mean) else "sum")
        if isinstance(f, Highest):
            return Total(self(f.args[0]), self.over(f.args[1:]), "max")
        if isinstance(f, (Positive, AtLeast, Zero)):
            return self._condition(f)
        if f.is_Symbol:
            return Size(str(f))
        if f.is_number:
            return _number(f)
        if f.is_Add or f.is_Mul:
            return self(f)
        if f.is_Pow and f.base is not sp.E:
            z = self._logistic(f.base) if f.exp == -1 and self.calling else None
            if z is not None:
                return Call("sigmoid", (self(-z),))
            return Power(self(f.base), self(f.exp))
        if isinstance(f, sp.log) and self.calling and (share := self._share(f.args[0])) is not None:
            z, axes = share
            return Call("log_softmax", (self(self._moving(z, axes)),), self.over(axes))
        if isinstance(f, sp.log) and self.calling:
            total, logistic = self._total(f.args[0]), self._logistic(f.args[0])
            if total is not None:
                return Call("logsumexp", (self(total[0]),), self.over(total[1]))
            if logistic is not None:
                return Call("softplus", (self(logistic),))
        return Call("exp" if f.is_Pow else f.func.__name__.lower(), (self(f.exp if f.is_Pow else f.args[0]),))

    def _term_order(self, t: Any) -> Any:
        letters = t.atoms(Letter)
        fixed = all(a in self.parameters or (a in self.letters.values and not varies(a)) for a in letters)
        return (not letters, fixed, len(letters) + 3 * len(t.atoms(Sigma, Mean)) + sp.count_ops(t), str(t))

    def _order(self, f: Any) -> Any:
        below = bool(f.is_Pow and f.exp.is_number and f.exp < 0)  # under the bar; the order there is that of the bases
        f = 1 / f if below else f
        if f.is_number:
            return (below, -1, 0, "")
        if isinstance(f, (Positive, AtLeast, Zero)):
            return (below, 4, 0, str(f))
        if f.has(Sigma) or f.has(Mean):
            return (below, 5 if not f.is_Add else 6, len(f.atoms(Letter)), str(f))
        if f.is_Add:
            return (below, 6, 0, str(f))
        ranks = [self.rank.get(a.name, (3, 0)) for a in f.atoms(Letter)]
        return (below, *min(ranks, default=(-1, 1)), str(f))


def _number(n: Any) -> Number:
    if n.is_Integer:
        return Number(int(n))
    return Number(Fraction(int(n.p), int(n.q))) if n.is_Rational else Number(float(n))


class Writing:
    """SymPy expressions on paper, in one hand."""

    def __init__(self, plain: Plain, hand: type[Hand]) -> None:
        self.plain, self.hand = plain, hand(plain.axes, plain.last)

    def __call__(self, expr: Any) -> str:
        return self.hand(self.plain(expr))

    def equation(self, left: str, expr: Any) -> str:
        return self.hand.equation(left, self.plain(expr))

    def letter(self, name: str) -> str:
        return self.hand.letter(name)


def formula_of(
    plain: Plain,
    name: str,
    of: Letter,
    expr: Any,
    named: Mapping[Letter, Any],
    stages: Collection[Letter] = (),
    fixed: Collection[str] = (),
) -> Formula:
    """A result with a line for every letter it needs."""
    letters = plain.letters
    meanings = {**letters.definitions, **named}
    result = plain(expr)
    lines: list[Line] = []
    used = {of.name} | set(trees(result))
    for a in reversed(meanings):
        if a.name in used:
            line = Line(
                plain.letter(a),
                plain(with_means(meanings[a])),
                "cotangent" if a in stages else "abbreviation" if a in named else "statistic",
            )
            used |= set(trees(line.expression))
            lines.insert(0, line)
    numbers = {a.name: float(letters.values[a]) for a in letters.literals.values() if isinstance(a, Letter) and a.name in used}
    return Formula(
        name, of.name, result, tuple(lines), plain.axes, layouts(plain, used), tuple(numbers.items()),
        tuple((str(a), n) for a, n in letters.sizes.items()), tuple(fixed),
    )  # fmt: skip


def layouts(plain: Plain, used: set[str]) -> tuple[tuple[str, Layout], ...]:
    """How each leaf's array lies, the main input first."""
    letters = plain.letters
    dims: dict[Any, Any] = {}
    for t, s in letters.of.items():
        if s.expr in letters.leaves:
            dims.setdefault(s.expr, letters.axes.dims[t])  # the leaf's own, not those of its reshapes
    main = letters.of[letters.graph.main_input].expr
    found = {main.name: dims[main]} | {a.name: d for a, d in dims.items() if a.name in used}
    found |= {a: letters.of[letters.graph.output].dims for a in plain.cotangents if a in used and a not in found}
    return tuple((n, tuple(tuple(map(str, dim)) for dim in layout)) for n, layout in found.items())
