"""A stretch of a graph: what lies between two of its tensors, as a record of its own."""

from __future__ import annotations

from functools import cached_property

from ..engine import GradientError, Tensor, describe
from .record import Node, Record


class Part(Record):
    """What lies on the ways from ``source`` to ``target``, computed again from there, with the other operands as given.

    Its leaves are copies: the source, and whatever else these operations use. A gradient of a part is that of its target,
    and does not know how its leaves came about. Raises ``GradientError`` where no way leads from the one to the other.
    """

    def __init__(self, whole: Record, source: Tensor | str, target: Tensor | str) -> None:
        start, end = _find(whole, source), _find(whole, target)
        after, before = {start}, {end}
        for e in whole.edges:  # edges come in their targets' birth order
            if e.source in after:
                after.add(e.target)
        for e in reversed(whole.edges):
            if e.target in before:
                before.add(e.source)
        inside = (after & before) - {start}
        if not inside:
            ends = f"{whole.nodes[start].label} to {whole.nodes[end].label}"
            raise GradientError(f"graph: no way leads from {ends}. Name two tensors of which the second is made from the first.")
        given = {e.source for e in whole.edges if e.target in inside} - inside
        again: dict[Tensor, Tensor] = {}
        for i in sorted(inside | given):
            again[whole.tensors[i]] = _again(whole.nodes[i], again) if i in inside else _leaf(whole.nodes[i])
        self._known = {again[x]: role for x, role in whole.said.items() if x in again}
        super().__init__(again[whole.tensors[end]], about=again[whole.tensors[start]])

    @cached_property
    def said(self) -> dict[Tensor, str]:
        """Its source is its input; of other leaves, what was said of those that they are copies of."""
        return self._known | {self.main_input: "input"}


def _leaf(n: Node) -> Tensor:
    return Tensor(n.tensor.data, n.tensor.requires_grad, n.label)


def _again(n: Node, again: dict[Tensor, Tensor]) -> Tensor:
    """The same operation on what stands for its operands."""
    t = n.tensor
    assert t.op is not None
    made: Tensor = t.op(*(again[x] if isinstance(x, Tensor) else x for x in t.inputs), **t.params)
    made.scope = n.scope
    return made.named(n.label) if t.name else made


def _find(graph: Record, wanted: Tensor | str) -> int:
    """The node of a tensor, or the only one of a label; the formula of one will do."""
    if not isinstance(wanted, str):
        return graph._id("between", wanted)
    for found in ([n for n in graph.nodes if n.label == wanted], [n for n in graph.nodes if n.text == wanted]):
        if len(found) > 1:
            raise GradientError(
                f"graph: {len(found)} tensors here are called {describe(wanted)}; give them names, or the tensor itself."
            )
        if found:
            return found[0].id
    known = ", ".join(n.label for n in graph.nodes[:20])
    raise GradientError(
        f"graph: nothing here is called {describe(wanted)}; there are {known}{', …' if len(graph.nodes) > 20 else ''}."
    )
