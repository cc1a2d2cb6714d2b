"""A recorded computation as a plain value: its nodes, its edges, where they belong, what they are for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import ARRAYS, DTypeError, Function, GradientError, ShapeError, Tensor, describe, history, pull_back
from ..engine.arrays import Array
from ..engine.shapes import number
from .roles import said_roles
from .scopes import Gradient, gradients_in, is_call_of
from .table import harmless
from .terms import POWER, Term
from .words import NO_GRADIENT, is_summed, local_rule, pad, shape_text, width, word_of

REDUCTIONS = ("sum", "mean", "max", "prod", "logsumexp")
_SEED = 160706450  # the number of the LayerNorm paper


@dataclass(frozen=True)
class Node:
    """One recorded tensor.

    id:     its place in birth order, from 0
    label:  its name, or a short formula of its inputs
    operand: the label as part of a formula: in parentheses where it would fall apart
    op:     the name of the operation, None for a leaf
    text:   its formula: ``c·rstd``
    scope:  in which scopes it was recorded
    role:   of a leaf "input", "parameter" or "cotangent", where somebody said so (see ``roles``), else "leaf" where it asks
            for a gradient and "constant" where not; "statistic" (a reduction, or made of nothing else), "value" or "output"
    """

    id: int
    label: str
    operand: str
    op: str | None
    text: str
    shape: tuple[int, ...]
    dtype: str
    scope: tuple[str, ...]
    role: str
    tensor: Tensor


@dataclass(frozen=True)
class Edge:
    """Input number ``position`` of ``target`` is ``source`` (node ids). ``a·a`` has two.

    rule:    the local derivative, as its pullback reads over words: ``×rstd``
    summed:  the input was broadcast, so its share of the cotangent is summed
    """

    source: int
    target: int
    position: int
    rule: str
    summed: bool


class Record:
    """What ``output`` was computed from.

    about:   the leaf it is about, where that is not the one at the start of the operands of full shape
    inputs:  leaves that are its inputs, beside those that a module or a function was called with
    """

    def __init__(self, output: Tensor, about: Tensor | None = None, inputs: Iterable[Tensor] = ()) -> None:
        if not isinstance(output, Tensor):
            raise GradientError(f"graph: expected a recorded tensor, got {type(output).__name__}.")
        if output.op is None:
            raise GradientError(
                f"graph: {describe(output)} has no history. Compute it from tensors with requires_grad=True, outside no_grad."
            )
        self.output, self.about = output, about
        self.tensors = history(output)
        self._said = self._checked(inputs)

    @property
    def whole(self) -> Record:
        """What was recorded: itself, unless it is a coarser or a finer view of that."""
        return self

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        return {t: i for i, t in enumerate(self.tensors)}

    @cached_property
    def nodes(self) -> list[Node]:
        formulas, words = self._texts
        return [
            Node(
                id=i,
                label=str(words[t]),
                operand=words[t].whole(POWER),
                op=t.op.name if t.op else None,
                text=str(formulas[t]) if t.op else "",
                shape=t.shape,
                dtype=str(t.dtype),
                scope=self._scope(t),
                role=self._roles[t],
                tensor=t,
            )
            for i, t in enumerate(self.tensors)
        ]

    @cached_property
    def _call(self) -> Any:
        """The one call of a function that all of it was recorded in, if it was: that tells nothing apart."""
        first = {id(t.scope[0]): t.scope[0] for t in self.tensors if t.op is not None and t.scope}
        one = len(first) == 1 and all(t.scope for t in self.tensors if t.op is not None)
        return next((s for s in first.values() if isinstance(s, Function)), None) if one else None

    def _scope(self, t: Tensor) -> tuple[str, ...]:
        """Without what says nothing: the call that is all there is, and in a module's call that of the function it is named after."""
        scopes = gradients_in(t.scope, self._gradients)
        inside = [getattr(s, "kind", "") for s in ("", *scopes)]
        return tuple([s for s, of in zip(scopes, inside) if s is not self._call and not is_call_of(s, of)])

    def is_about(self, t: Tensor) -> bool:
        """Whether a leaf is what the record is about, so that it is always seen: an input, or a cotangent."""
        return t is self.main_input or self.said.get(t) in ("input", "cotangent")

    @cached_property
    def _gradients(self) -> dict[tuple[int, ...], Gradient]:
        return {}

    @cached_property
    def _texts(self) -> tuple[dict[Tensor, Term], dict[Tensor, Term]]:
        """Each computed tensor as a formula of its inputs, and each tensor as others' formulas call it."""
        formulas: dict[Tensor, Term] = {}
        words: dict[Tensor, Term] = {}
        for i, t in enumerate(self.tensors):
            if t.op is not None:
                formulas[t] = t.op(*(words[x] if isinstance(x, Tensor) else x for x in t.inputs), **t.params)
            words[t] = word_of(t, i, formulas.get(t), t is self.output)
        return formulas, words

    @cached_property
    def edges(self) -> list[Edge]:
        _, words = self._texts
        return [
            Edge(self.ids[x], i, position, local_rule(t, position, words), is_summed(t, x))
            for i, t in enumerate(self.tensors)
            for position, x in enumerate(t.inputs)
            if isinstance(x, Tensor)
        ]

    def _checked(self, inputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """The leaves among some tensors that are in it; ``GradientError`` for what is no tensor."""
        given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        for x in given:
            if not isinstance(x, Tensor):
                raise GradientError(f"graph: inputs holds {describe(x)}; give tensors, the leaves that it is computed from.")
        mine = set(self.tensors)
        return tuple(x for x in given if x in mine and x.op is None)

    @cached_property
    def said(self) -> dict[Tensor, str]:
        """The roles of leaves that somebody said."""
        return said_roles(self.tensors, (*self._said, *([] if self.about is None else [self.about])))

    @cached_property
    def main_input(self) -> Tensor:
        """The leaf the computation is about: from the output back along the operands of full shape, past γ and β, to x.

        Where that is none of the ``inputs``, the first of these; and no number that nobody named.
        """
        if self.about is not None:
            return self.about
        found = self._first_operand(False)
        if self._said and not any(found is x for x in self._said):
            return self._said[0]
        if not (found.requires_grad or found.name or self._said):
            found = self._first_operand(True)
        if not self._said and self.said.get(found, "input") != "input":  # of a recorded gradient: what the calls were about
            found = next((x for x in self.tensors if self.said.get(x) == "input" and x.requires_grad), found)
        return found

    def _first_operand(self, of_gradients: bool) -> Tensor:
        """The leaf at the start of the operands of full shape; on the way, only what gets a gradient, if so asked."""
        t = self.output
        while t.op is not None:
            inputs = [x for x in t.inputs if isinstance(x, Tensor)]
            inputs = [x for x in inputs if x.requires_grad] * of_gradients or inputs
            if t.op.elementwise:
                t = min(
                    inputs,
                    key=lambda x: (x.dtype.kind in "biu", x.size < math.prod(t.shape), not x.requires_grad, x.op is None),
                )
            else:
                t = inputs[0]
        return t

    @cached_property
    def _roles(self) -> dict[Tensor, str]:
        roles: dict[Tensor, str] = {}
        for t in self.tensors:
            if t.op is None:
                roles[t] = self.said.get(t) or ("leaf" if t.requires_grad else "constant")
            else:
                inputs = [roles[x] for x in t.inputs if isinstance(x, Tensor)]
                made_of_them = "statistic" in inputs and set(inputs) <= {"statistic", "constant"}
                roles[t] = "statistic" if t.op.name in REDUCTIONS or made_of_them else "value"
        roles[self.output] = "output"
        return roles

    def node(self, tensor: Tensor) -> Node:
        """The node of a tensor; ``GradientError`` when the output does not depend on it."""
        return self.nodes[self._id("node", tensor)]

    def _id(self, name: str, tensor: Any) -> int:
        if not isinstance(tensor, Tensor) or tensor not in self.ids:
            raise GradientError(
                f"graph.{name}: {describe(tensor)} is not part of this graph of {describe(self.output)}; take one of its .tensors."
            )
        return self.ids[tensor]

    # Gradients ------------------------------------------------------------------------------------------

    def cotangent(self, grad_output: Any = None) -> Array:
        """The cotangent of the output as an array; by default 1 for a scalar and else random, always the same.

        Not ones: the gradient of a normalization's sum is zero, and would show nothing. Nor from seed 0: many an
        input is drawn from that, and the gradient along the input itself is next to zero, too.
        """
        y = self.output
        if grad_output is None:
            return (
                np.ones(y.shape, y.dtype)
                if y.size == 1
                else np.random.default_rng(_SEED).standard_normal(y.shape).astype(y.dtype)
            )
        try:
            data = grad_output.data if isinstance(grad_output, Tensor) else np.asarray(grad_output, dtype=y.dtype)
        except (TypeError, ValueError):
            raise DTypeError(f"graph: cotangent {describe(grad_output)} for {describe(y)}; give an array of its shape.") from None
        if data.shape != y.shape:
            raise ShapeError(f"graph: cotangent of shape {data.shape} for {describe(y)}; the shapes must be equal.")
        return data

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        """d(output)/d(node), weighted by ``grad_output``, by node id, for every node that requires a gradient."""
        leaves = [t for t in self.tensors if t.op is None and t.requires_grad]
        found = pull_back({self.output: self.cotangent(grad_output)}, leaves, keep=True)
        return {self.ids[t]: np.broadcast_to(g, t.shape) for t, g in found.items()}

    def shares(self, grad_output: Any = None) -> dict[int, Array]:
        """What each edge hands back: the part of its source's gradient that comes through its target, by place in ``edges``."""
        found = self.gradients(grad_output)
        return {
            k: along(self, [e], found[e.target])
            for k, e in enumerate(self.edges)
            if e.source in found and e.target in found and e.rule != NO_GRADIENT
        }

    def passing(self, k: int) -> Node:
        """The tensor that edge number ``k`` stands for."""
        return self.nodes[self._edge(k).source]

    def _edge(self, k: int) -> Edge:
        return self.edges[int(number("graph", "the edge", k, 0, len(self.edges) - 1, whole=True))]

    def outlets(self, i: int) -> list[Node]:
        """The tensors that leave node ``i`` for others: it, or of a box all that do."""
        return [self.nodes[number("graph", "the node", i, 0, len(self.nodes) - 1, whole=True)]]

    def joins(self, k: int) -> set[str | None]:
        """The operations that use the tensor of edge number ``k`` there."""
        return {self.nodes[self._edge(k).target].op}

    def passes(self, k: int) -> bool:
        """Whether a gradient flows back along edge number ``k``."""
        return self.passing(k).tensor.requires_grad and self._edge(k).rule != NO_GRADIENT

    def count_routes(self, source: Tensor) -> int:
        """How many routes lead from ``source`` to the output; counted node by node, not walked."""
        self.node(source)
        count = dict.fromkeys(self.tensors, 0)
        count[source] = 1
        for t in self.tensors:
            if t is not source:
                count[t] = sum(count[x] for x in t.inputs if isinstance(x, Tensor))
        return count[self.output]

    # In words ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return harmless(f"<graph of {self.nodes[-1].label}: {len(self.nodes)} nodes, {len(self.edges)} edges>")

    def listing(self) -> str:
        """One line per node: name, formula, shape."""
        columns = max(width(n.label) for n in self.nodes)
        lines = []
        for n in self.nodes:
            what = n.role if n.op is None else ("" if n.text == n.label else f"= {n.text}")
            if n.op == "fold":  # its formula is inside
                operands = dict.fromkeys(self.passing(k).label for k, e in enumerate(self.edges) if e.target == n.id)
                what = f"{n.text} from {', '.join(operands)}"
            lines.append(f"{pad(n.label, columns)}  {pad(what, 28)} {shape_text(n.shape):<12} {n.dtype}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Nodes and edges, without values."""
        import json

        nodes: list[dict[str, Any]] = [{k: v for k, v in vars(n).items() if k != "tensor"} for n in self.nodes]
        text = json.dumps({"nodes": nodes, "edges": [vars(e) for e in self.edges]}, ensure_ascii=False, indent=1)
        return text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text


def along(record: Record, edges: Sequence[Edge], cotangent: Any, reading: Any = ARRAYS) -> Any:
    """Pull a cotangent of the output back along one route: the same rules, one edge after the other."""
    g = cotangent
    for e in reversed(edges):
        node = record.tensors[e.target]
        g = reading.pull(node, e.position, g, reading.value(node), reading.operands(node))
    return np.broadcast_to(g, record.tensors[edges[0].source].shape) if reading is ARRAYS and edges else g
