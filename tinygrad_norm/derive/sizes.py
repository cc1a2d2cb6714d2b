"""The marks of a record as formulas: at a place where a size stands, the rules read the size."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from math import prod
from typing import Any

import sympy as sp

from ..engine import TABLE, Tensor, history
from ..graph import Record
from .following import Tree
from .marks import Place, Size
from .symbols import Home, Symbol, rational


class Marks:
    """What stands at each marked place of a graph: a ``Symbol`` of sizes, and of options that have a name.

    names:  the symbol of every axis and of every such option
    """

    def __init__(self, graph: Record, marks: Mapping[Place, Size], names: Mapping[str, Any], home: Home) -> None:
        tensors = graph.tensors
        self._at = {(tensors[k], i): Symbol(expression(size, names), (), home) for (k, i), size in marks.items()}

    def of(self, t: Tensor, where: int | str) -> Symbol | None:
        return self._at.get((t, where))

    def operands(self, t: Tensor, value: Callable[[Tensor], Any]) -> tuple[Any, ...]:
        """A node's operands, as symbols where they are tensors or sizes."""
        return tuple(value(x) if isinstance(x, Tensor) else self._at.get((t, i), x) for i, x in enumerate(t.inputs))

    def options(self, t: Tensor) -> dict[str, Any]:
        """A node's options; of one with rules of its own, such as an analytic node, they may be sizes or ε."""
        if t.op is None or t.op.name in TABLE:
            return dict(t.params)
        return {name: self._at.get((t, name), v) for name, v in t.params.items()}


def expression(size: Size, names: Mapping[str, Any]) -> Any:
    """A size as a SymPy expression."""
    found = rational(size.coefficient)
    for axes, shift, power in size.factors:
        found *= (sp.Mul(*(names[a] for a in axes)) + shift) ** sp.Rational(power)
    return found


# Are they the formulas by which they were computed? ---------------------------------------------------------------


def unlike(
    output: Tensor, trees: Mapping[Tensor, Mapping[int | str, Tree]], marks: Mapping[Place, Size], sizes: Mapping[str, float]
) -> Iterator[float]:
    """The numbers on a record that were computed by another formula of the sizes than they are marked with: a few records do not
    tell N from N + (N − 7)·(N − 11)·(N − 13).

    sizes:  of every axis, by name
    """
    symbols = {n: sp.Symbol(f"s{v:g}", positive=True) for n, v in sizes.items()}  # of equal axes nothing is told apart
    for k, t in enumerate(history(output)):
        for place, tree in trees.get(t, {}).items():
            value = t.inputs[place] if isinstance(place, int) else t.data if place == "value" else t.params[place]
            marked = marks.get((k, place))
            try:
                taken = rational(float(value)) if marked is None else expression(marked, symbols)
                same = _are_same(_formula(tree, sizes, symbols), taken)
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
                same = False
            if not same:
                yield float(value)


def divisors(tree: Tree, sizes: Mapping[str, float], symbols: Mapping[str, Any]) -> Iterator[Any]:
    """The formulas of sizes by which a number was divided, though they may have left it: (N − 1)/(N − 1) is no number where N = 1."""
    if isinstance(tree, tuple) and tree[0] != "size":
        if tree[0] == "truediv" and isinstance(tree[2], tuple):
            with suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
                yield _formula(tree[2], sizes, symbols)
        for part in tree[1:]:
            yield from divisors(part, sizes, symbols)


def divided_by(output: Tensor, marks: Mapping[Place, Size], symbols: Mapping[str, Any]) -> Iterator[Any]:
    """What may be zero of the sizes that a record divides by: N − 1."""
    tensors = history(output)
    for (k, place), size in marks.items():
        op = tensors[k].op
        sign = -1 if op is not None and op.name == "div" and place == 1 else 1
        for names, shift, power in size.factors:
            if sign * power < 0 and shift < 0:
                yield sp.Mul(*(symbols[n] for n in names)) + shift


def _formula(tree: Tree, sizes: Mapping[str, float], symbols: Mapping[str, Any]) -> Any:
    if not isinstance(tree, tuple):
        return sp.Rational(tree) if isinstance(tree, int) else sp.nsimplify(tree, rational=True)
    name, *operands = tree
    if name == "size":
        return _axes_of(operands[0], sizes, symbols)
    return getattr(operator, name)(*(_formula(x, sizes, symbols) for x in operands))


def _axes_of(value: int, sizes: Mapping[str, float], symbols: Mapping[str, Any]) -> Any:
    """The axes that make up a size; KeyError where none do."""
    for count in range(len(sizes) + 1):
        for axes in combinations(sizes, count):
            if prod(sizes[a] for a in axes) == value:
                return sp.Mul(*(symbols[a] for a in axes))
    raise KeyError(value)


def _are_same(a: Any, b: Any) -> bool:
    """Whether two formulas of sizes are one, up to the rounding of each of their numbers."""
    (a, under_a), (b, under_b) = (sp.fraction(sp.together(e)) for e in (a, b))
    one, other = (dict(t.as_coeff_Mul()[::-1] for t in sp.Add.make_args(sp.expand(e))) for e in (a * under_b, b * under_a))
    return one.keys() == other.keys() and all(abs(n - other[m]) <= _ROUNDING * abs(n) for m, n in one.items())


_ROUNDING = sp.Float(1e-12)
