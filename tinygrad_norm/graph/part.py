"""A stretch of a graph: what lies between two of its tensors."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, describe, pull_back
from ..engine.arrays import Array
from .graph import Edge, Graph, Node


class Part(Graph):
    """What lies on the ways from ``source`` to ``target``, with the other operands of these operations as they are.

    A gradient of a part is that of its target. Labels are the whole graph's. Raises ``GradientError`` where no way leads
    from the one to the other.
    """

    def __init__(self, whole: Graph, source: Tensor | str, target: Tensor | str) -> None:
        start, end = _find(whole, source), _find(whole, target)
        after, before = {start}, {end}
        for e in whole.edges:  # edges come in their targets' birth order
            if e.source in after:
                after.add(e.target)
        for e in reversed(whole.edges):
            if e.target in before:
                before.add(e.source)
        self.inside = after & before
        if start == end or not self.inside:
            ends = f"{whole.nodes[start].label} to {whole.nodes[end].label}"
            raise GradientError(f"graph: no way leads from {ends}. Name two tensors of which the second is made from the first.")
        given = {e.source for e in whole.edges if e.target in self.inside - {start}}
        self.whole, self.start, self.end = whole, start, end
        self.kept = sorted(self.inside | given)
        self.output = whole.tensors[end]
        self.tensors = [whole.tensors[i] for i in self.kept]

    @cached_property
    def main_input(self) -> Tensor:
        return self.whole.tensors[self.start]

    @cached_property
    def nodes(self) -> list[Node]:
        ends = {self.start: "input", self.end: "output"}
        return [replace(self.whole.nodes[i], id=k, role=ends.get(i, self.whole.nodes[i].role)) for k, i in enumerate(self.kept)]

    @cached_property
    def edges(self) -> list[Edge]:
        place = {i: k for k, i in enumerate(self.kept)}
        inner = (e for e in self.whole.edges if e.target in self.inside and e.target != self.start)
        return [replace(e, source=place[e.source], target=place[e.target]) for e in inner]

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        """d(target)/d(node): of what lies between, and of the leaves that come in from the side."""
        leaves = [t for t in self.tensors if t.op is None and t.requires_grad]
        found = pull_back({self.output: self.cotangent(grad_output)}, [self.main_input, *leaves], keep=True)
        return {k: np.broadcast_to(found[t], t.shape) for k, t in enumerate(self.tensors) if t in found}


def _find(graph: Graph, wanted: Tensor | str) -> int:
    if isinstance(wanted, Tensor):
        if wanted not in graph.ids:
            raise GradientError(f"graph: {describe(wanted)} is not part of this graph of {describe(graph.output)}.")
        return graph.ids[wanted]
    for n in graph.nodes:
        if wanted in (n.label, n.text):
            return n.id
    known = ", ".join(n.label for n in graph.nodes[:20])
    raise GradientError(f"graph: nothing here is called {wanted!r}; there are {known}{', …' if len(graph.nodes) > 20 else ''}.")
