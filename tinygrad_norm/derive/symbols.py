"""The third reading: what flows through the rules is a SymPy expression whose axes have names.

``c[b, n]`` varies along the axes B and N; a shape is a tuple of axis sizes, ``(B, N)`` or ``(B, 1)``.
Summing over an axis that a factor does not vary along takes that factor out of the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from ..engine import GradientError, Tensor
from ..graph import Graph, axis_names

ONE = sp.Integer(1)


class NotSymbolicError(GradientError):
    """An op whose formula this room cannot write yet."""


class Symbol:
    """A SymPy expression and the axes it varies along."""

    dtype = None

    def __init__(self, expr: Any, shape: tuple[Any, ...] = ()) -> None:
        self.expr, self.shape = sp.sympify(expr), tuple(shape)

    def __mul__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: a * b, self, other)

    def __add__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: a + b, self, other)

    def __sub__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: a - b, self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: b - a, self, other)

    def __truediv__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: a / b, self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return _elementwise(lambda a, b: b / a, self, other)

    def __pow__(self, n: Any) -> Symbol:
        return _elementwise(lambda a, b: a**b, self, n)

    def __neg__(self) -> Symbol:
        return Symbol(-self.expr, self.shape)

    __radd__, __rmul__ = __add__, __mul__

    def apply_op(self, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Symbol:
        """An op over symbols: its meaning in the table below."""
        if op.name not in MEANINGS:
            raise NotSymbolicError(f"{op.name}: this op has no symbolic meaning yet. Known: {', '.join(sorted(MEANINGS))}.")
        return MEANINGS[op.name](*inputs, **params)


def atom(name: str, shape: tuple[Any, ...]) -> Symbol:
    """A tensor as one letter: ``x`` of shape (B, N) is ``x[b, n]``."""
    indices = [index(size) for size in shape if size != 1]
    return Symbol(sp.IndexedBase(name)[tuple(indices)] if indices else sp.Symbol(name), shape)


def index(size: Any) -> Any:
    """The running index of the axis of that size."""
    return sp.Symbol(f"i_{size}", integer=True)


def sigma(expr: Any, size: Any) -> Any:
    """Σ over one axis: linear; factors that do not vary along it leave; Σ of a constant is the axis' size."""
    i, total = index(size), sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(expr)):
        outside, inside = term.as_independent(i, as_Add=False)
        total += outside * (size if inside == 1 else sp.Sum(inside, (i, 1, size)))
    return total


def _elementwise(f: Callable[..., Any], *operands: Any) -> Symbol:
    symbols = [a if isinstance(a, Symbol) else Symbol(sp.nsimplify(a, rational=True)) for a in operands]
    ndim = max(len(s.shape) for s in symbols)
    shapes = [(ONE,) * (ndim - len(s.shape)) + s.shape for s in symbols]
    return Symbol(f(*(s.expr for s in symbols)), tuple(next((n for n in sizes if n != 1), ONE) for sizes in zip(*shapes)))


def _sum(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    expr = x.expr
    for a in axis:
        expr = expr if x.shape[a] == 1 else sigma(expr, x.shape[a])
    return Symbol(expr, tuple(ONE if a in axis else n for a, n in enumerate(x.shape)))


def _mean(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    return _sum(x, axis) / Symbol(sp.Mul(*(x.shape[a] for a in axis)))


def _unbroadcast(x: Symbol, shape: tuple[Any, ...]) -> Symbol:
    lead = len(x.shape) - len(shape)
    spread = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1))
    return Symbol(_sum(x, spread).expr, shape)


def _function(f: Any) -> Callable[..., Symbol]:
    return lambda *xs: _elementwise(f, *xs)


MEANINGS: dict[str, Callable[..., Symbol]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda x: -x,
    "pow": lambda x, n: x**n,
    "exp": _function(sp.exp),
    "log": _function(sp.log),
    "sqrt": _function(sp.sqrt),
    "rsqrt": _function(lambda x: 1 / sp.sqrt(x)),
    "tanh": _function(sp.tanh),
    "sin": _function(sp.sin),
    "cos": _function(sp.cos),
    "erf": _function(sp.erf),
    "log1p": _function(lambda x: sp.log(1 + x)),
    "expm1": _function(lambda x: sp.exp(x) - 1),
    "sigmoid": _function(lambda x: 1 / (1 + sp.exp(-x))),
    "sum": _sum,
    "mean": _mean,
    "broadcast_to": lambda x, shape: Symbol(x.expr, shape),
    "unbroadcast": _unbroadcast,
    "astype": lambda x, dtype: x,
}
"""What each op means over symbols."""


def symbols_of(graph: Graph) -> dict[Tensor, Symbol]:
    """One letter for every recorded tensor, over the axes it varies along.

    The axes are named after the output's; a leaf's axes are matched to them from the last one on.
    Raises ``NotSymbolicError`` where an op has no symbolic meaning or a leaf's size matches no axis.
    """
    sizes, axes = graph.output.shape, axes_of(graph)
    letters: dict[Tensor, Symbol] = {}
    count: dict[str, int] = {}
    for node in graph.nodes:
        t = node.tensor
        if t.op is None:
            shape = _leaf_axes(node.label, t.shape, sizes, axes)
        else:
            operands = [letters[x] if isinstance(x, Tensor) else x for x in t.inputs]
            shape = next(x for x in operands if isinstance(x, Symbol)).apply_op(t.op, tuple(operands), t.params).shape
        count[node.operand] = times = count.get(node.operand, 0) + 1
        letters[t] = atom(node.operand + ("" if times == 1 else str(times).translate(_SUBSCRIPT)), shape)
    return letters


_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def axes_of(graph: Graph) -> list[Any]:
    """The sizes of the output's axes as symbols, which is how formulas name the axes."""
    return [sp.Symbol(n, integer=True, positive=True) for n in axis_names(graph.output.ndim)]


def _leaf_axes(label: str, shape: tuple[int, ...], sizes: tuple[int, ...], axes: list[Any]) -> tuple[Any, ...]:
    own = []
    for n, m, axis in zip(reversed(shape), reversed(sizes), reversed(axes)):
        if n not in (m, 1):
            raise NotSymbolicError(f"{label}: an axis of size {n} matches no axis of the output {sizes}.")
        own.append(axis if n == m else ONE)
    if len(shape) > len(sizes):
        raise NotSymbolicError(f"{label}: {len(shape)} axes, the output has {len(sizes)}.")
    return tuple(reversed(own))
