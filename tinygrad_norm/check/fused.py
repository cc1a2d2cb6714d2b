"""The derived formula as a list of terms over arrays, so that one of them can be altered and the whole compared.

``rstd·(dy·γ − mean(dy·γ) − x̂·mean(dy·γ·x̂))`` becomes ``rstd·dy·γ``, ``−rstd·mean(dy·γ)`` and ``−rstd·x̂·mean(dy·γ·x̂)``: what is
wrong in one term only adds to the difference, so that two wrong terms are found by adding up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from typing import Any

import numpy as np

from ..derive import DerivationError, derive
from ..derive.formula import (
    Call,
    Evaluation,
    Formula,
    Letter,
    Line,
    Node,
    Number,
    Power,
    Product,
    Size,
    Sum,
    Total,
    letters,
    product_of,
    replace,
)
from ..derive.writer import Text
from ..engine import TinygradNormError
from ..engine.arrays import Array
from ..graph import axis_names
from .case import Case

_SIZES = (7, 11, 13, 5, 3)  # of axes, told apart
_MOST = 12  # terms


class Fused:
    """One gradient's formula on a case's numbers: its terms, its letters, and what a tree of them is."""

    def __init__(self, formula: Formula, given: Mapping[str, Array]) -> None:
        self.formula, self.axes = formula, formula.axes
        layouts = dict(formula.layouts)
        arrays = {n: np.asarray(a) for n, a in given.items()}
        self.sizes = formula.sizes_in({n: a for n, a in arrays.items() if n in layouts})
        self.known: dict[str, Any] = dict(formula.numbers) | {
            name: formula.spread(name, a, layouts[name], self.sizes) for name, a in arrays.items() if name in layouts
        }
        self.at = Evaluation(self.known, self.sizes, self.axes)
        inline: dict[Node, Node] = {}
        self.letters: dict[str, Letter] = {}
        for line in formula.lines:
            self.known[line.letter.name] = self.at(line.expression)
            self.letters[line.letter.name] = line.letter
            if line.kind == "abbreviation" and isinstance(line.expression, Product):
                inline[line.letter] = line.expression
        for tree in (*(line.expression for line in formula.lines), formula.result):
            self.letters |= letters(tree)
        for name, layout in formula.layouts:
            if name in self.known and name not in self.letters:
                self.letters[name] = Letter(name, tuple(a for dim in layout for a in dim), "parameter")
        self.whole = replace(formula.result, inline)
        self.terms: tuple[Node, ...] = tuple(_expanded(self.whole))
        own = {a for dim in layouts[formula.of] for a in dim}
        self.shape: tuple[int, ...] = tuple(self.sizes[a] if a in own else 1 for a in self.axes)
        self.hand = Text(self.axes, formula.last)
        self.cuts: dict[Any, list[tuple[str, Array]]] = {}

    def spread(self, array: Array) -> Array:
        """A gradient with one axis for each named one."""
        return self.formula.spread(self.formula.of, array, dict(self.formula.layouts)[self.formula.of], self.sizes)

    def value(self, node: Node) -> Array | None:
        """What a tree is, in the gradient's shape; None where it has another one or is not finite."""
        found: Array = np.asarray(self.at(node), np.float64)
        if found.ndim < len(self.shape):
            found = found.reshape((1,) * (len(self.shape) - found.ndim) + found.shape)
        if any(m not in (1, n) for m, n in zip(found.shape, self.shape)) or not np.isfinite(found).all():
            return None
        if found.shape == self.shape:
            return found
        whole: Array = np.empty(self.shape)  # (broadcast_to takes ten times as long for so few numbers)
        whole[...] = found
        return whole

    def known_as(self, node: Node) -> Array:
        """What a tree is, with every axis of the input."""
        found: Array = np.asarray(self.at(node), np.float64)
        found = found.reshape((1,) * (len(self.axes) - found.ndim) + found.shape)
        return np.array(np.broadcast_to(found, [self.sizes[a] for a in self.axes]))

    def over(self, axes: Sequence[str]) -> str:
        """``axis 0 (B)``."""
        if len(axes) == len(self.axes):
            return "the whole array"
        layout = dict(self.formula.layouts)[self.formula.main]
        at = [k for k, dim in enumerate(layout) if set(dim) & set(axes)]
        places = f"ax{'i' if len(at) == 1 else 'e'}s {', '.join(map(str, at))} " if at else ""
        parts = [dim for dim in layout if len(dim) > 1 and 0 < len(set(dim) & set(axes)) < len(dim)]
        within = (
            " of the groups" if any(set(dim) & set(axes) == {dim[0]} for dim in parts) else " within a group" if parts else ""
        )
        return f"{places}({', '.join(axes)}){within}"

    def add(self, name: str, value: Any, axes: tuple[str, ...], kind: str = "statistic") -> Letter:
        """One more letter, to stand where another belongs."""
        letter = Letter(name, axes, kind)
        self.known[name], self.letters[name] = value, letter
        return letter

    def arrays(self) -> list[Letter]:
        """Letters of arrays; numbers such as ε are none."""
        return [a for n, a in self.letters.items() if n in self.known and a.axes]

    def statistics(self) -> list[Line]:
        """Lines that give less than the whole array."""
        return [x for x in self.formula.lines if x.letter.axes and set(x.letter.axes) < set(self.axes) and x.kind == "statistic"]

    def resized(self, sizes: Mapping[str, int], values: Mapping[str, Array]) -> Fused:
        """The lines alone, where axes have other lengths."""
        other = self.with_lines(())
        other.sizes = {**self.sizes, **sizes}
        other.at = Evaluation(other.known, other.sizes, self.axes)
        other.known.update(values)
        with np.errstate(all="ignore"):
            for line in self.formula.lines:
                if line.kind == "statistic":
                    other.known[line.letter.name] = other.at(line.expression)
        return other

    def with_lines(self, lines: Sequence[Line], fixed: Mapping[str, Array] | None = None) -> Fused:
        """The same terms, of statistics that were computed otherwise, or are something else: ``fixed``, by the letter's name."""
        other = object.__new__(Fused)
        other.__dict__ |= self.__dict__
        other.known = dict(self.known)
        other.at = Evaluation(other.known, self.sizes, self.axes)
        for line in lines:
            name = line.letter.name
            other.known[name] = fixed[name] if fixed and name in fixed else other.at(line.expression)
        return other


def _with_dy(formula: Formula) -> Formula:
    """The cotangent is dy to whoever wrote a backward, whatever the output is called."""
    layouts = dict(formula.layouts)
    trees = (*(line.expression for line in formula.lines), formula.result)
    found = {n: a for t in trees for n, a in letters(t).items() if a.kind == "cotangent" and n in layouts and n.startswith("d")}
    computed = {line.letter.name for line in formula.lines}
    found = {n: a for n, a in found.items() if n not in computed}
    if len(found) != 1 or "dy" in found or "dy" in layouts:
        return formula
    ((name, letter),) = found.items()
    change: dict[Node, Node] = {letter: Letter("dy", letter.axes, letter.kind)}
    lines = tuple(Line(x.letter, replace(x.expression, change), x.kind) for x in formula.lines)
    renamed = tuple(("dy" if n == name else n, layout) for n, layout in formula.layouts)
    return changed(formula, result=replace(formula.result, change), lines=lines, layouts=renamed)


def _expanded(node: Node) -> Iterator[Node]:
    """The terms, every bracket multiplied out; a power or a total is left as it is."""
    if isinstance(node, Sum):
        for t in node.terms:
            yield from _expanded(t)
        return
    if isinstance(node, Product):
        k = next((k for k, f in enumerate(node.factors) if isinstance(f, Sum)), None)
        if k is not None:
            inside = node.factors[k]
            assert isinstance(inside, Sum)
            for t in inside.terms:
                yield from _expanded(product_of(*node.factors[:k], t, *node.factors[k + 1 :]))
            return
    yield node


def fused(case: Case, name: str) -> Fused | None:
    """The derived formula of one gradient on the case's numbers, if there is one and it is right there."""
    formula = _formula(case, name) if case.norm is not None else _own_formula(case, name)
    if formula is None:
        return None
    try:
        formula = _with_dy(formula)
        found = Fused(formula, _values(case, formula))
        total = [found.value(t) for t in found.terms]
        truth = found.spread(case.truth[name])
    except (DerivationError, ValueError, KeyError, FloatingPointError):
        return None
    gate = 4 * case.gate(name, np.float64)
    if len(total) > _MOST or any(t is None for t in total) or np.max(np.abs(sum(total) - truth), initial=0) > gate:  # type: ignore[arg-type]
        return None
    _relatives(case, found)
    return found


_FORMULAS: dict[Any, Formula | None] = {}


def _formula(case: Case, name: str) -> Formula | None:
    norm, options = case.norm, dict(case.options)
    assert norm is not None
    wrt, ndim = name, case.leaves[next(iter(case.leaves))].ndim
    if norm.as_derived is not None:
        options = dict(norm.as_derived(_arrays(case), **options)[0])
    key = (norm.name, tuple(sorted((n, repr(v)) for n, v in options.items())), wrt, ndim)
    if key not in _FORMULAS:
        sizes = list(_SIZES[:ndim])
        groups = options.get("num_groups")
        if isinstance(groups, int) and ndim > 1:
            sizes[1] = groups * 3
        try:
            _FORMULAS[key] = derive(norm, wrt=wrt, shape=tuple(sizes), **options).formula if ndim <= len(_SIZES) else None
        except (TinygradNormError, ValueError, TypeError):
            _FORMULAS[key] = None
    return _FORMULAS[key]


def _own_formula(case: Case, name: str) -> Formula | None:
    """Of somebody's own forward; its axes are told apart by their sizes, where they have no names."""
    if case.forward is None:
        return None
    axes = case.axes or _axes(case)
    key = (case.forward, tuple(sorted((n, repr(v)) for n, v in case.options.items())), name, tuple(axes.items()))
    if key not in _FORMULAS:
        try:
            _FORMULAS[key] = derive(case.forward, wrt=name, inputs=axes, **case.options).formula
        except Exception:  # it is somebody's code, at other sizes than it was made for
            _FORMULAS[key] = None
    return _FORMULAS[key]


def _axes(case: Case) -> dict[str, tuple[str, ...]]:
    """Those of the largest input by place; others' by their sizes, from the right."""
    largest = max(case.inputs.values(), key=lambda t: t.ndim)
    names = axis_names(largest.ndim)
    found: dict[str, tuple[str, ...]] = {}
    for n, t in case.inputs.items():
        left, mine = list(zip(names, largest.shape)), list[str]()
        for size in reversed(t.shape):
            while left and left[-1][1] != size:
                left.pop()
            mine.insert(0, left.pop()[0] if left else f"{n.upper()}{len(mine)}")
        found[n] = tuple(mine)
    return found


def _values(case: Case, formula: Formula) -> dict[str, Array]:
    """The case's inputs and cotangent by the formula's letters."""
    if case.norm is None:
        return {**_arrays(case), "dy": case.dy}
    values = {case.norm.symbol(n): t.numpy() for n, t in case.inputs.items()}
    values["dy"] = case.dy
    if case.norm.as_derived is not None:
        values |= case.norm.as_derived(_arrays(case), **case.options)[1]
    return values


def _arrays(case: Case) -> dict[str, Array]:
    return {n: t.numpy() for n, t in case.inputs.items()}


def _relatives(case: Case, found: Fused) -> None:
    """Letters that people put where others belong: the output, and statistics with N − 1, or with ε elsewhere."""
    for t in reversed(case.graph.tensors):
        label = "y" if t is case.graph.output else case.graph.node(t).label
        _recorded(found, label, t.numpy())
    for name, value in case.besides.items():
        _recorded(found, name, value)
    for line in found.formula.lines:
        _not_centred(found, line)
        _of_softmax(found, line)
        e = line.expression
        if not (isinstance(e, Power) and isinstance(e.base, Sum) and line.letter.axes):
            continue
        inside = [t for t in e.base.terms if isinstance(t, Letter) and t.axes]
        numbers = [t for t in e.base.terms if not (isinstance(t, Letter) and t.axes)]
        variance = next((x.expression for x in found.formula.lines if inside and x.letter == inside[0]), None)
        if len(inside) != 1 or len(numbers) != 1 or not isinstance(variance, Total):
            continue
        u, eps = found.known[inside[0].name], found.at(numbers[0])
        n = int(np.prod([found.sizes[a] for a in variance.axes]))
        others = {f"1/√{inside[0].name}, without ε,": (u, 0.0)}
        if n > 1:
            others |= {f"{line.letter.name} with N − 1": (u * n / (n - 1), eps)}
        with np.errstate(all="ignore"):
            made = {name: (v + e) ** -0.5 for name, (v, e) in others.items()}
            made[f"1/(√{inside[0].name} + ε)"] = 1 / (np.sqrt(u) + eps)
            made[f"1/({inside[0].name} + ε)"] = 1 / (u + eps)
        for name, value in made.items():
            if np.all(np.isfinite(value)):
                found.add(name, value, line.letter.axes)


def _not_centred(found: Fused, line: Line) -> None:
    """x, and x + μ, for c = x − μ in what is made of that."""
    e, c = line.expression, line.letter
    parts = {t: np.asarray(found.at(t)) for t in e.terms} if isinstance(e, Sum) and len(e.terms) == 2 and c.axes else {}
    less = [t for t in parts if isinstance(t, Product) and t.factors[0] == Number(-1)]
    if len(less) != 1:
        return
    (x,) = (t for t in parts if t not in less)
    named = " + ".join(n for t in (x, *less) for n in letters(t))
    plus = found.add(named, parts[x] - parts[less[0]], c.axes)
    twice = found.add(named.replace(" + ", " − 2·"), parts[x] + 2 * parts[less[0]], c.axes)
    for other in found.formula.lines:
        if isinstance(other.expression, Product) and c in other.expression.factors:
            rest = product_of(*(f for f in other.expression.factors if f != c))
            for whole, part in ((x, less[0]), (less[0], x)):  # a pair of parentheses forgotten: x − μ·rstd, or x·rstd − μ
                a, b = (found.hand(product_of(t, rest) if t == part else t) for t in (x, less[0]))
                value = parts[whole] + parts[part] * np.asarray(found.at(rest))
                found.add(f"{a} {'− ' + b.removeprefix('−') if b.startswith('−') else '+ ' + b}", value, other.letter.axes)
            for instead in (plus, x, twice):
                name = f"{other.letter.name} with {instead.name if isinstance(instead, Letter) else named} for {c.name}"
                found.add(name, found.at(replace(other.expression, {c: instead})), other.letter.axes)


def _of_softmax(found: Fused, line: Line) -> None:
    """Exponentials that are not divided by their sum, and softmax taken twice."""
    e = line.expression
    if isinstance(e, Call) and e.function == "softmax" and line.letter.axes:
        axes = tuple(found.axes.index(a) for a in e.axes)
        z, p = np.asarray(found.at(e.arguments[0])), np.asarray(found.at(e))
        made = {f"exp({line.letter.name})": p, "exp(z − max), not divided by its sum,": z - z.max(axes, keepdims=True)}
        made = {name: np.exp(value) for name, value in made.items()}
        twice = made.pop(f"exp({line.letter.name})")
        made[f"softmax({line.letter.name})"] = twice / twice.sum(axes, keepdims=True)
        made["one-hot(argmax)"] = (z == z.max(axes, keepdims=True)).astype(np.float64)
        for name, value in made.items():
            found.add(name, value, line.letter.axes)


def _recorded(found: Fused, label: str, value: Array) -> None:
    """What the forward pass computed, if it lies along the main input's axes and is no letter yet."""
    layout = dict(found.formula.layouts)[found.formula.main]
    if label in found.letters or value.ndim != len(layout) or value.dtype.kind != "f":
        return
    shape, axes = list[int](), list[str]()
    for n, dim in zip(value.shape, layout):
        length = int(np.prod([found.sizes[a] for a in dim], dtype=int))
        if n not in (1, length):
            return
        shape += [found.sizes[a] if n == length else 1 for a in dim]
        axes += [a for a in dim if n == length]
    if not axes or [a for dim in layout for a in dim] != list(found.axes):
        return
    spread = value.reshape(shape)
    for a in found.arrays():
        other = np.asarray(found.known[a.name])
        if other.shape == spread.shape and np.allclose(other, spread, rtol=1e-9, atol=0):
            return
    found.add(label, spread, tuple(axes))


def inward(term: Node) -> Node:
    """The same with every parameter inside the sum it was taken out of: ``mean(dy·γ)`` for ``γ·mean(dy)``."""
    if not isinstance(term, Product):
        return term
    totals = [f for f in term.factors if isinstance(f, Total)]
    moved = [f for f in term.factors if isinstance(f, Letter) and f.kind == "parameter" and f.axes]
    if len(totals) != 1 or not moved or any(set(f.axes) & set(totals[0].axes) for f in moved):
        return term
    inside = Total(product_of(*moved, totals[0].inside), totals[0].axes, totals[0].function)
    return product_of(*(inside if f is totals[0] else f for f in term.factors if f not in moved))


def length(axes: Sequence[str]) -> Node:
    """How many entries a sum over these axes has."""
    return product_of(*(Size(a) for a in axes))


def inverse(node: Node) -> Node:
    return Power(node, Number(-1))
