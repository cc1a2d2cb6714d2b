"""The marks of a record as formulas: at a place where a size stands, the rules read the size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from ..engine import TABLE, Tensor
from ..graph import Record
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
