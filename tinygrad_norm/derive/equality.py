"""Are two formulas the same? By normal form, which proves it; else by numbers, which only say that it is so for these."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Tensor, TinygradNormError, tensor
from ..graph import Graph
from ..graph.table import number
from .errors import DerivationError, NotSymbolicError
from .letters import Letters
from .normal import Normal
from .recording import Record, changed
from .symbols import Letter

if TYPE_CHECKING:
    from .derivation import Derivation


@dataclass(frozen=True)
class Equality:
    """Whether two formulas are the same.

    proved:  their normal forms are one: they are equal whatever the numbers
    off:     the largest difference on random numbers, relative
    """

    proved: bool
    off: float

    def __bool__(self) -> bool:
        return self.proved or self.off < 1e-10

    def __str__(self) -> str:
        if self.proved:
            return "equal: proved, both have the same normal form"
        if self:
            return f"equal in numbers (largest difference {number(self.off)}); not proved: the normal forms differ"
        return f"not equal: they differ by {number(self.off)} of the largest entry"


def compare_formulas(d: Derivation, other: Any) -> Equality:
    """A derivation's formula and another derivation's, or that of a function of tensors."""
    if isinstance(other, type(d)):
        letters = other.letters
        theirs = other.unabbreviated().xreplace({other.dy: d.dy})
        theirs = _matched(d, theirs, letters, {**other.record.inputs, "dy": other.record.dy}, by_name=True)
    elif callable(other):
        found, inputs, letters = _recorded(d, other)
        if set(map(str, letters.order)) - set(map(str, d.letters.order)):
            raise DerivationError("equals: the function's axes cannot be matched with the derivation's.")
        letters.order, letters.sizes = d.letters.order, d.letters.sizes
        own, dims = d.letters.axes.dims[d.record.inputs[d.of]], letters.of[found].dims
        if len(dims) > len(own) or any(dim not in ((), mine) for dim, mine in zip(reversed(dims), reversed(own))):
            return Equality(False, float("inf"))  # another shape
        theirs = _matched(d, letters.of[found].expr, letters, inputs, by_name=False)
    else:
        raise DerivationError(f"equals: expected a derivation or a function of tensors, got {type(other).__name__}.")
    mine = d.letters.inlined(d.unabbreviated())
    try:
        gap = off(d.letters.number(theirs, {**letters.values, **d.letters.values}), d.truth)
    except (NotSymbolicError, ValueError):  # other axes
        gap = float("inf")
    if gap > 1e-9:
        return Equality(False, gap)
    return Equality(Normal({m.total: m.value for m in d.given}).is_zero(mine - theirs, d.letters), gap)


def _matched(d: Derivation, expr: Any, letters: Letters, inputs: Mapping[str, Tensor], by_name: bool) -> Any:
    """The other's leaves as mine: inputs by their names, constants by their values; one that I do not have is its own."""
    mine = {n: d.letters.of[t].expr for n, t in d.record.inputs.items() if t in d.letters.of}
    mine["dy"] = d.letters.of[d.record.dy].expr if d.record.dy in d.letters.of else d.dy
    expr, change = letters.inlined(expr), {}
    for t, symbol in letters.of.items():
        a = symbol.expr
        if a not in letters.leaves or (by_name and t.name and a not in letters.opaque):
            continue
        name = next((n for n, x in inputs.items() if x is t), None)
        stranger = Letter(f"{a.name} of the other", a.axes)
        if name is not None:
            same = [mine[name]] if name in mine and mine[name].axes == a.axes else []
        else:
            try:
                value = d.letters.spread(t.data, letters.axes.dims[t])
            except (KeyError, ValueError):  # other axes, other sizes
                value = letters.values[a]
            same = [m for m in d.letters.leaves if m.axes == a.axes and np.array_equal(value, d.letters.values[m])]
            letters.values[stranger] = value
        change[a] = same[0] if same else stranger
    return expr.xreplace(change)


def _recorded(d: Derivation, function: Callable[..., Any]) -> tuple[Tensor, Mapping[str, Tensor], Letters]:
    """The function on the record's inputs, in letters; numbers in it that follow the sizes are sizes."""
    found, inputs = _call(function, d.record)
    known = {t.name: dims for t, dims in d.letters.axes.dims.items() if t.op is None}
    if d.record.order == 1:
        known["dy"] = d.letters.axes.dims[d.record.output]
    axes = {n: [str(a) for (a,) in dims] for n, dims in known.items() if n and all(len(dim) == 1 for dim in dims)}
    sizes: frozenset[float] = frozenset()
    if d.record.again is not None:
        with suppress(TinygradNormError, ValueError):  # a function for one shape
            sizes = changed(found, _call(function, d.record.again)[0])
    return found, inputs, Letters(Graph(found), axes, d.record.numbers, sizes)


def _call(function: Callable[..., Any], record: Record) -> tuple[Tensor, Mapping[str, Tensor]]:
    """A function of tensors named as the inputs are (by name or by symbol; the main one also x), and dy."""
    inputs = {**record.inputs, "dy": record.dy}
    for t in record.inputs.values():
        inputs.setdefault(t.name or "", t)
    inputs.setdefault("x", next(iter(record.inputs.values())))
    wanted = inspect.signature(function).parameters
    unknown = [n for n in wanted if n not in inputs and wanted[n].default is inspect.Parameter.empty]
    if unknown:
        known = dict.fromkeys(n for n in inputs if n and n.isidentifier())
        raise DerivationError(f"equals: the function asks for {', '.join(unknown)}; there are {', '.join(known)}.")
    leaves = {n: tensor(inputs[n].data, requires_grad=True, name=inputs[n].name) for n in wanted if n in inputs}
    found = function(**leaves)
    if not isinstance(found, Tensor) or found.op is None:
        raise DerivationError("equals: the function must compute one tensor from its inputs, in recorded operations.")
    names = {id(t): n for n, t in [*record.inputs.items(), ("dy", record.dy)]}
    return found, {names[id(inputs[n])]: leaf for n, leaf in leaves.items()}


def off(a: Any, b: Any, floor: float = 0.0) -> float:
    """The largest difference, relative to the largest entry of b, or to ``floor`` where that is larger."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    largest = max(float(np.max(np.abs(b), initial=0)), floor)
    return float(np.max(np.abs(a - b), initial=0)) / (largest or 1.0)
