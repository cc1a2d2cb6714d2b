"""Named axes for a recorded graph: which axis of which tensor is the same as which other.

Every axis of every leaf starts as its own. Broadcasting two tensors against each other makes aligned axes one; a reshape
that splits or merges axes splits them everywhere they occur, and so is a renaming, no operation. What is left are the
axes a formula speaks of. Sizes are SymPy symbols of the axis' own name: the sum of 1 over the axis N is N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import TABLE, Tensor, enable_grad, history, tensor
from ..graph import Record, axis_names
from .errors import NotSymbolicError
from .views import indices, places

Dims = tuple[tuple[Any, ...], ...]
"""For each axis of an array, the named axes it is made of, outermost first: () where it has one entry."""

_SAME = ("softmax", "log_softmax", "cumsum")
_KEPT = ("sum", "mean", "max", "prod", "logsumexp")


class _Axis:
    """One axis while it is not yet known what else it is."""

    def __init__(self, size: int, known: bool = False) -> None:
        self.size, self.known = size, known
        self.parts: list[_Axis] | None = None  # what it turned out to be made of, or the one it turned out to be

    def flat(self) -> list[_Axis]:
        return [self] if self.parts is None else [a for part in self.parts for a in part.flat()]


def _flat(dim: Sequence[_Axis]) -> list[_Axis]:
    return [a for axis in dim for a in axis.flat()]


def _unify(one: Sequence[_Axis], other: Sequence[_Axis], where: str) -> None:
    """Make the two sequences of axes the same, cutting axes where they only fit in parts."""
    a, b = _flat(one), _flat(other)
    while a and b:
        p, q = a[0], b[0]
        if p is q:
            a, b = a[1:], b[1:]
        elif p.size == q.size:
            kept, other_one = (q, p) if q.known and not p.known else (p, q)
            other_one.parts = [kept]
            a, b = _flat(a)[1:], _flat(b)[1:]
        else:
            large, small = (p, q) if p.size > q.size else (q, p)
            if large.size % small.size:
                raise NotSymbolicError(
                    f"{where}: it cuts across axes of sizes {p.size} and {q.size}; only whole axes can be named."
                )
            large.parts = [small, _Axis(large.size // small.size)]
            a, b = _flat(a), _flat(b)


class Axes:
    """The named axes of every tensor of a graph.

    dims:   by tensor
    sizes:  of each named axis, as recorded

    like:   those of the output, where it has as many entries
    fixed:  axes of leaves that are known already, by those of another record. Raises ``NotSymbolicError`` where this record
            takes apart what is one there, or makes one of two, and where an axis meets itself.
    """

    def __init__(
        self,
        graph: Record,
        names: Mapping[str, Sequence[str]] | None = None,
        fixed: Mapping[Tensor, Dims] | None = None,
        known: Mapping[Any, int] | None = None,
        like: Dims | None = None,
    ) -> None:
        self._of: dict[Tensor, list[list[_Axis]]] = {}
        self._ids, self._fixed = graph.ids, fixed or {}
        self._products = fixed is not None  # of what is compared; of what is derived, no formula would say them well
        self._joint: dict[Tensor, list[list[_Axis]]] = {}
        self._known = {label: _Axis(n, True) for label, n in (known or {}).items()}
        for node in graph.nodes:
            t = node.tensor
            if not t.size:
                name = t.op.name if t.op else "a constant"
                raise NotSymbolicError(f"{name}: a tensor without entries, {t.shape}, has no formula.", self._ids.get(t))
            self._of[t] = self._leaf(t) if t.op is None else self._computed(t)
        self._meet(graph, names or {})
        for dim, wanted in zip(reversed(self._of[graph.output]), reversed(like or ())):
            if dim and wanted:
                _unify(dim, [self._known[a] for a in wanted], "the result")
        self._against_itself(graph)
        if any(a.parts is not None for a in self._known.values()):
            raise NotSymbolicError("its axes cannot be matched with those of the other record.")
        labels = self._labels(graph, names or {})
        self.sizes = {labels[a]: a.size for a in labels}
        self.dims: dict[Tensor, Dims] = {
            t: tuple(tuple(labels[a] for a in _flat(dim)) for dim in own) for t, own in self._of.items()
        }
        self.order = list(self.sizes)

    def _leaf(self, t: Tensor) -> list[list[_Axis]]:
        if t in self._fixed:
            return [[self._known[a] for a in dim] for dim in self._fixed[t]]
        return [[_Axis(n)] if n > 1 else [] for n in t.shape]

    def _against_itself(self, graph: Record) -> None:
        """x·xᵀ of a square: one name for two running indices cannot say which is which."""
        for t in graph.tensors:
            self._once(t, self._joint.get(t, self._of[t]))

    def _once(self, t: Tensor, dims: Sequence[Sequence[_Axis]]) -> None:
        flat = [a for dim in dims for a in _flat(dim)]
        if len(flat) > len(set(flat)):
            name = t.op.name if t.op else f"the input {t.name}" if t.name else "a constant"
            raise NotSymbolicError(
                f"{name}: an axis of size {next(a.size for a in flat if flat.count(a) > 1)} meets itself, as in x·xᵀ; "
                "a formula over named axes has one running index for each.",
                self._ids.get(t),
            )

    def _computed(self, t: Tensor) -> list[list[_Axis]]:
        assert t.op is not None
        name, inputs = t.op.name, [x for x in t.inputs if isinstance(x, Tensor)]
        first = self._of[inputs[0]]
        if t.op.elementwise or name == "where":
            return self._broadcast([self._of[x] for x in inputs], t)
        if name in _SAME:
            return first
        if name in _KEPT:
            return [[] if a in t.params["axis"] else dim for a, dim in enumerate(first)]
        if name == "transpose":
            return [first[a] for a in t.params["axes"]]
        if name in ("getitem", "scatter") and (spread := self._viewed(t, first, own := self._leaf(t))) is not None:
            return spread
        if name in ("einsum", "matmul") and self._products:
            return self._product(t, [self._of[x] for x in inputs], indices(t.op.name, t.params, [x.ndim for x in inputs]))
        if name == "reshape":
            own = self._leaf(t)
            _unify(
                [a for dim in first for a in dim], [a for dim in own for a in dim], f"reshape of {inputs[0].shape} to {t.shape}"
            )
            return own
        if name == "broadcast_to":
            return self._broadcast([first, self._leaf(t)], t)
        if name == "unbroadcast":
            lead = len(first) - t.ndim
            return [dim if n > 1 else [] for dim, n in zip(first[lead:], t.shape)]
        return self._unknown(t, inputs)

    def _product(self, t: Tensor, operands: list[list[list[_Axis]]], terms: Sequence[str]) -> list[list[_Axis]]:
        """Each index is an axis, which no other may be."""
        known: dict[str, list[_Axis]] = {}
        for dims, term in zip(operands, terms):
            for dim, c in zip(dims, term):
                if dim and known.get(c):
                    _unify(known[c], dim, t.op.name if t.op else "")
                known[c] = known.get(c) or dim
        self._joint[t] = list(known.values())
        self._once(t, self._joint[t])
        return [known[c] for c in terms[-1]]

    def _viewed(self, t: Tensor, given: list[list[_Axis]], own: list[list[_Axis]]) -> list[list[_Axis]] | None:
        """Of an index that picks nothing, and of its adjoint."""
        assert t.op is not None
        found = places(t.params["index"], given if t.op.name == "getitem" else own)
        if found is None:
            return None
        if t.op.name == "getitem":
            return [[] if k is None else given[k] for k in found]
        for k, dim in zip(found, given):
            if k is not None:
                own[k] = dim
        return own

    def _meet(self, graph: Record, names: Mapping[str, Sequence[str]]) -> None:
        """Axes that were given one name are one, even where they never meet."""
        seen: dict[str, list[_Axis]] = {}
        for t in graph.tensors:
            if t.op is None and len(names.get(t.name or "", ())) == t.ndim:
                for dim, name in zip(self._of[t], names.get(t.name or "", ())):
                    if dim:
                        _unify(seen.setdefault(name, dim), dim, f"the axis {name}")

    def _broadcast(self, operands: Sequence[list[list[_Axis]]], t: Tensor) -> list[list[_Axis]]:
        own: list[list[_Axis]] = [[] for _ in t.shape]
        for dims in operands:
            for k in range(1, len(dims) + 1):
                if own[-k] and dims[-k]:
                    _unify(own[-k], dims[-k], t.op.name if t.op else "")
                own[-k] = own[-k] or dims[-k]
        self._once(t, own)
        return own

    def _unknown(self, t: Tensor, inputs: Sequence[Tensor]) -> list[list[_Axis]]:
        """An op that has no meaning here: of one that is not in the table, such as an analytic node, its forward may be read."""
        assert t.op is not None
        own = self._leaf(t)
        if t.op.name in TABLE:  # a product, an index: which axis is which cannot be read off the sizes
            return own
        inner = self._inside(t, inputs)
        if inner is not None:
            return inner
        for k in range(1, t.ndim + 1):
            for x in inputs:
                if k <= x.ndim and x.shape[-k] == t.shape[-k] > 1:
                    if any(n == t.shape[-k] for y in (t, x) for j, n in enumerate(reversed(y.shape), 1) if j != k):
                        raise NotSymbolicError(
                            f"{t.op.name}: a node with rules of its own and several axes of size {t.shape[-k]}; which is which "
                            "cannot be told. Derive it at sizes that differ."
                        )
                    _unify(own[-k], self._of[x][-k], t.op.name)
        return own

    def _inside(self, t: Tensor, inputs: Sequence[Tensor]) -> list[list[_Axis]] | None:
        """The axes of a node with rules of its own, where its value is written in ops of the table."""
        assert t.op is not None
        leaves = {x: tensor(x.data, requires_grad=x.dtype.kind == "f") for x in inputs}
        try:
            with enable_grad():
                found = t.op.forward(*(leaves.get(x, x) if isinstance(x, Tensor) else x for x in t.inputs), **t.params)
        except Exception:  # its value is written for arrays
            return None
        if not isinstance(found, Tensor) or found.op is None or found.shape != t.shape:
            return None
        inner = history(found)
        if any(u.op is not None and u.op.name not in TABLE for u in inner):
            return None
        outer = {leaf: x for x, leaf in leaves.items()}
        for u in inner:
            self._of[u] = self._of[outer[u]] if u in outer else self._leaf(u) if u.op is None else self._computed(u)
        own = self._of[found]
        for u in inner:
            del self._of[u]
        return own

    def _labels(self, graph: Record, names: Mapping[str, Sequence[str]]) -> dict[_Axis, Any]:
        """A name for every axis: the user's, else what formulas call the axes of the widest leaf; others by their leaf."""
        import sympy as sp

        labels: dict[_Axis, Any] = {a: label for label, a in self._known.items()}
        taken = {str(label) for label in self._known}

        def give(dim: Sequence[_Axis], wanted: str) -> None:
            flat = _flat(dim)
            for k, a in enumerate(flat):
                if a not in labels:
                    name = (
                        wanted
                        if len(flat) == 1
                        else _SPLIT.get(wanted, (wanted,))[k]
                        if k < len(_SPLIT.get(wanted, ""))
                        else f"{wanted}{k + 1}"
                    )
                    while name in taken:
                        name += "′"
                    taken.add(name)
                    labels[a] = sp.Symbol(name, integer=True, positive=True)

        leaves = [t for t in graph.tensors if t.op is None]
        main = graph.main_input
        for t in sorted(leaves, key=lambda t: (t.name not in names, t is not main, -t.ndim)):
            own = names.get(t.name or "", axis_names(t.ndim))
            for dim, name in zip(self._of[t], own):
                give(dim, name)
        for t in graph.tensors:
            for k, dim in enumerate(self._of[t]):
                give(dim, f"M{k + 1}")
        return labels


_SPLIT = {"C": ("G", "K"), "T": ("G", "K")}
"""What the parts of an axis are called: channels are G groups of K."""
