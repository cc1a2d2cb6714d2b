"""A graph at a coarser level: what was recorded in one scope becomes one box.

A box is a stretch of the record, so the folded graph has no cycle: a scope that another one interrupts becomes two boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..engine.shapes import number
from .record import Edge, Node, Record
from .words import NO_GRADIENT, scope_title

_FORMS = ("reshape", "transpose", "broadcast_to", "astype")
MOST = 25  # boxes in a picture before it is folded unasked


class Folded(Record):
    """Another graph with some of its nodes in boxes. Nodes and edges are those of the picture; gradients are the graph's own.

    whole:    the graph as recorded
    members:  for each node of the picture, the ids of the nodes it stands for
    unasked:  whether it was folded because it is large
    """

    def __init__(
        self, whole: Record, key: Callable[[Node], Hashable | None], unasked: bool = False, with_leaves: bool = False
    ) -> None:
        self.output, self.tensors = whole.output, whole.tensors
        self._whole, self.unasked = whole, unasked
        self.members, self._keys = _boxes(whole, key, with_leaves)
        self.box = {i: k for k, members in enumerate(self.members) for i in members}

    @property
    def whole(self) -> Record:
        return self._whole

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        return {t: self.box[i] for t, i in self.whole.ids.items()}

    @cached_property
    def main_input(self) -> Tensor:
        return self.whole.main_input

    @cached_property
    def nodes(self) -> list[Node]:
        return [self._node(k, members) for k, members in enumerate(self.members)]

    def _node(self, k: int, members: tuple[int, ...]) -> Node:
        old = [self.whole.nodes[i] for i in members]
        last = self.whole.nodes[self._outlet(k)]
        key = self._keys[k]
        scope = key[0] if isinstance(key, tuple) else ()  # see _entered
        computed = [n for n in old if n.op is not None]
        work = sum(n.op not in _FORMS for n in computed)
        if len(old) == 1 and (not scope or self._recorded[id(scope[-1])] > work):  # what a layer does between the layers in it
            return replace(last, id=k)
        leaving = self._leaving[k]
        roles = {self.whole.nodes[i].role for i in leaving}
        role = "output" if any(n.role == "output" for n in old) else roles.pop() if len(roles) == 1 else "value"
        name = scope_title(scope[-1]) if scope else f"{len(computed)} operation{'s' if len(computed) > 1 else ''}"
        made = [self.whole.nodes[i].label for i in leaving]
        text = ", ".join(made[:3]) + (", …" if len(made) > 3 else "")
        return Node(k, name, name, "fold", text, last.shape, last.dtype, last.scope, role, last.tensor)

    @cached_property
    def _recorded(self) -> Counter[int]:
        """How many operations were recorded in each entering of a scope, not counting those that only change a form."""
        return Counter(id(s) for t in self.tensors if t.op is not None and t.op.name not in _FORMS for s in t.scope)

    @cached_property
    def _leaving(self) -> list[list[int]]:
        """For each box, the ids of the tensors that others use."""
        found: list[set[int]] = [set() for _ in self.members]
        for e in self.whole.edges:
            if self.box[e.source] != self.box[e.target]:
                found[self.box[e.source]].add(e.source)
        return [sorted(f) or [members[-1]] for f, members in zip(found, self.members)]

    def _outlet(self, k: int) -> int:
        """The tensor a box is for: the only one that leaves it, or its last."""
        return self._leaving[k][0] if len(self._leaving[k]) == 1 else self.members[k][-1]

    @cached_property
    def edges(self) -> list[Edge]:
        """Between boxes: one for each tensor that passes. Rules are told where both ends are single operations."""
        return [e for e, _ in self._passages]

    @cached_property
    def _passages(self) -> list[tuple[Edge, list[int]]]:
        """The edges, each with the places of those of the whole that it stands for."""
        found: dict[tuple[int, int, int], tuple[Edge, list[int]]] = {}
        for k, e in enumerate(self.whole.edges):
            source, target = self.box[e.source], self.box[e.target]
            if source == target:
                continue
            single = len(self.members[target]) == 1
            rule = e.rule if single else ""
            edge = Edge(source, target, e.position, rule, e.summed and single)
            found.setdefault((e.source, target, e.position if single else -1), (edge, []))[1].append(k)
        for key, (edge, stands_for) in found.items():
            if all(self.whole.edges[k].rule == NO_GRADIENT for k in stands_for):
                found[key] = (replace(edge, rule=NO_GRADIENT), stands_for)
        return sorted(found.values(), key=lambda p: (p[0].target, p[0].position, p[0].source))

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        """By box: the gradient of what leaves it."""
        found = self.whole.gradients(grad_output)
        outlets = {k: self._outlet(k) for k in range(len(self.members))}
        return {k: found[i] for k, i in outlets.items() if i in found}

    def shares(self, grad_output: Any = None) -> dict[int, Array]:
        parts = self.whole.shares(grad_output)
        found: dict[int, Array] = {}
        for k, (_, stands_for) in enumerate(self._passages):
            mine = [parts[i] for i in stands_for if i in parts]
            if mine:
                found[k] = np.sum(mine, axis=0)
        return found

    def passing(self, k: int) -> Node:
        return self.whole.passing(self._passages[k][1][0])

    def outlets(self, i: int) -> list[Node]:
        return [self.whole.nodes[j] for j in self._leaving[i]]

    def joins(self, k: int) -> set[str | None]:
        return {op for i in self._passages[k][1] for op in self.whole.joins(i)}

    def passes(self, k: int) -> bool:
        return any(self.whole.passes(i) for i in self._passages[k][1])

    def count_routes(self, source: Tensor) -> int:
        return self.whole.count_routes(source)

    @property
    def note(self) -> str:
        """``96 operations in 12 boxes``; and how to see them all."""
        computed = [[i for i in m if self.whole.nodes[i].op is not None] for m in self.members]
        boxes = [m for m in computed if m]
        inside = any(0 < len(c) < len(m) for c, m in zip(computed, self.members))
        said = f"{sum(map(len, boxes)):,} operations in {len(boxes)} box{'es' if len(boxes) > 1 else ''}"
        said += ", with what only they use" if inside else ""
        return said + ("; fold=False (--whole) shows each" if self.unasked else "")


def fold(graph: Record, depth: int | None = None) -> Record:
    """The graph with scopes as boxes.

    depth:  0: all that was computed is one box; 1: the outermost scopes; 2: those in them; …; None: as deep as fits in
            a picture of 25 boxes, and the graph itself if that fits
    """
    if depth is None:
        return _fitting(graph)
    depth = number("fold", "depth", depth, 0, whole=True)
    if depth == 0:
        return Folded(graph, lambda n: None if n.op is None else "all")
    return _at_depth(graph, depth)


def _at_depth(graph: Record, depth: int, unasked: bool = False, with_leaves: bool = False) -> Folded:
    return Folded(graph, lambda n: _entered(n.scope[:depth]) if n.op is not None else None, unasked, with_leaves)


def _entered(scope: tuple[str, ...]) -> tuple[tuple[str, ...], int] | None:
    """One entering of a scope: a layer that is called twice is two boxes."""
    return (scope, id(scope[-1])) if scope else None


def _fitting(graph: Record) -> Record:
    """The deepest fold that fits in a picture; where only a box or two would be left of it, with their own leaves inside."""
    if len(graph.tensors) <= MOST:
        return graph
    deepest = max(len(n.scope) for n in graph.nodes)
    for with_leaves in (False, True):
        for depth in range(deepest, 0, -1):
            folded = _at_depth(graph, depth, True, with_leaves)
            if len(folded.nodes) <= MOST and _boxes_in(folded) > 3:
                return folded
    return in_runs(graph)


def _boxes_in(folded: Folded) -> int:
    return sum(n.op is not None for n in folded.nodes)


def in_runs(graph: Record) -> Folded:
    """The record in at most 20 stretches of equal length, where its scopes do not tell it apart."""
    computed = [n.id for n in graph.nodes if n.op is not None]
    long = -(-len(computed) // min(20, len(computed)))
    stretch = {i: k // long for k, i in enumerate(computed)}
    return Folded(graph, lambda n: stretch.get(n.id), True, True)


def _boxes(
    graph: Record, key: Callable[[Node], Hashable | None], with_leaves: bool
) -> tuple[list[tuple[int, ...]], list[Hashable | None]]:
    """Stretches of operations with one key, and each other node by itself, in birth order; with their keys.

    A parameter in another shape goes with what first uses it; ``with_leaves``, a leaf goes with the only box that does.
    """
    first_use: dict[int, int] = {}
    uses: dict[int, list[int]] = {}
    of_the_input = {graph.ids[graph.main_input]}
    for e in graph.edges:  # edges come in their targets' birth order
        first_use.setdefault(e.source, e.target)
        uses.setdefault(e.source, []).append(e.target)
        if e.source in of_the_input:
            of_the_input.add(e.target)
    members: list[list[int]] = []
    keys: list[Hashable | None] = []
    current: int | None = None
    box: dict[int, int] = {}
    waiting: list[int] = []
    for n in graph.nodes:
        form = n.op in _FORMS and n.id in first_use
        if (form or (with_leaves and n.op is None)) and n.id not in of_the_input:
            waiting.append(n.id)
            continue
        k = key(n)
        if n.op is None or current is None or k is None or keys[current] != k:
            members.append([])
            keys.append(k)
            current = current if n.op is None else len(members) - 1
        box[n.id] = len(members) - 1 if n.op is None or current is None else current
        members[box[n.id]].append(n.id)
    for i in reversed(waiting):
        user = first_use[i]
        alone = key(graph.nodes[user]) is None
        if graph.nodes[i].op is None:
            alone = len({box[u] for u in uses[i]}) > 1 or keys[box[user]] is None
        if alone:
            members.append([i])
            keys.append(key(graph.nodes[i]))
            box[i] = len(members) - 1
        else:
            box[i] = box[user]
            members[box[user]].append(i)
    order = sorted(range(len(members)), key=lambda b: max(members[b]))
    return [tuple(sorted(members[b])) for b in order], [keys[b] for b in order]
