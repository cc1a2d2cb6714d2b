"""Relatives laid over each other: what they share stands in one place, so that what one of them lacks can be seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..engine import GradientError, Tensor
from ..engine.arrays import Array
from .graph import Edge, Graph, Node


@dataclass(frozen=True)
class Member:
    """One of them.

    place:    for each of its nodes, the node of the family it is
    lines:    for each edge of the family that it has, its own edge; None where it passes a node that it lacks
    passed:   the family's nodes that it lacks, and its edges go through all the same: there, nothing is done
    """

    title: str
    graph: Graph
    place: Mapping[int, int]
    lines: Mapping[int, int | None]
    passed: frozenset[int]


class Family(Graph):
    """Several records as one: the nodes of the largest, and what the others have beside it.

    members:  each with its place in the whole, in the order given

    Operations are matched in the order in which they were recorded, by what they do, and by name and scope where there is
    a choice; leaves by name. Gradients and routes are told of the members, not of the family.
    """

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        if len(graphs) < 2:
            raise GradientError("graph: name at least two records to lay beside each other.")
        reference = max(graphs.values(), key=lambda g: len(g.nodes))
        self.reference = reference
        self._nodes: list[Node] = list(reference.nodes)
        self._edges: list[Edge] = list(reference.edges)
        placed = {title: self._placed(g) for title, g in graphs.items()}
        for title, g in graphs.items():
            self._add_edges(g, placed[title])
        new = self._sort()
        self.members = [self._member(title, g, {i: new[p] for i, p in placed[title].items()}) for title, g in graphs.items()]
        self.output = reference.output
        self.tensors = [n.tensor for n in self._nodes]

    @cached_property
    def nodes(self) -> list[Node]:
        return self._nodes

    @cached_property
    def edges(self) -> list[Edge]:
        return self._edges

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        return {n.tensor: n.id for n in self._nodes}

    @cached_property
    def main_input(self) -> Tensor:
        return self.reference.main_input

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        raise GradientError("graph: a family has no gradients of its own; ask its members' graphs.")

    def _placed(self, g: Graph) -> dict[int, int]:
        """Where each node of a record stands; what has no counterpart becomes a node of the family."""
        if g is self.reference:
            return {n.id: n.id for n in g.nodes}
        mine, theirs = ([n for n in h.nodes if n.op is not None] for h in (g, self.reference))
        place = {mine[i].id: theirs[j].id for i, j in _matched(mine, theirs)}
        place[g.ids[g.main_input]] = self.reference.ids[self.reference.main_input]
        for n in g.nodes:
            if n.id not in place:
                same = [m.id for m in self._nodes if m.label == n.label and m.id not in place.values()]
                if n.op is None and same:
                    place[n.id] = same[0]
                else:
                    place[n.id] = len(self._nodes)
                    self._nodes.append(replace(n, id=len(self._nodes)))
        return place

    def _add_edges(self, g: Graph, place: Mapping[int, int]) -> None:
        for e in g.edges:
            a, b = place[e.source], place[e.target]
            if not self._ways(a, b, set(place.values())):
                self._edges.append(replace(e, source=a, target=b))

    def _ways(self, a: int, b: int, taken: set[int]) -> list[int]:
        """The edges of the shortest way from one node to another through none that is taken."""
        came: dict[int, int] = {}
        queue, seen = deque([a]), {a}
        while queue:
            at = queue.popleft()
            for k, e in enumerate(self._edges):
                if e.source != at or e.target in seen or (e.target in taken and e.target != b):
                    continue
                seen.add(e.target)
                came[e.target] = k
                if e.target == b:
                    way = [k]
                    while self._edges[way[0]].source != a:
                        way.insert(0, came[self._edges[way[0]].source])
                    return way
                queue.append(e.target)
        return []

    def _sort(self) -> dict[int, int]:
        """Number the nodes so that sources come before targets; returns the new number of each."""
        waiting = {n.id: sum(e.target == n.id for e in self._edges) for n in self._nodes}
        order: list[int] = []
        while len(order) < len(self._nodes):
            ready = [i for i, count in waiting.items() if not count]
            if not ready:
                raise GradientError(
                    "graph: these records cannot be laid over each other: they do the same things in another order."
                )
            first = min(ready, key=lambda i: (self._nodes[i].op is not None, i))
            order.append(first)
            del waiting[first]
            for e in self._edges:
                if e.source == first:
                    waiting[e.target] -= 1
        new = {old: k for k, old in enumerate(order)}
        self._nodes = [replace(self._nodes[old], id=k) for k, old in enumerate(order)]
        moved = (replace(e, source=new[e.source], target=new[e.target]) for e in self._edges)
        self._edges = sorted(moved, key=lambda e: (e.target, e.position, e.source))
        return new

    def _member(self, title: str, g: Graph, place: dict[int, int]) -> Member:
        taken = set(place.values())
        lines: dict[int, int | None] = {}
        passed: set[int] = set()
        for k, e in enumerate(g.edges):
            way = self._own_edge(place, e, lines) or self._ways(place[e.source], place[e.target], taken)
            for line in way[:-1]:
                lines.setdefault(line, None)
                passed.add(self._edges[line].target)
            lines[way[-1]] = k
        return Member(title, g, place, lines, frozenset(passed))

    def _own_edge(self, place: Mapping[int, int], e: Edge, drawn: Mapping[int, int | None]) -> list[int]:
        """The family's edge between the same two nodes, the second for the second of two (``a·a``)."""
        ends = (place[e.source], place[e.target])
        same = [k for k, f in enumerate(self._edges) if (f.source, f.target) == ends and k not in drawn]
        return sorted(same, key=lambda k: self._edges[k].position != e.position)[:1]


def _matched(mine: Sequence[Node], theirs: Sequence[Node]) -> list[tuple[int, int]]:
    """Pairs of operations in the order of both: as many as can be, and those of one name and scope rather than others."""
    best = [[0.0] * (len(theirs) + 1) for _ in range(len(mine) + 1)]
    for i in reversed(range(len(mine))):
        for j in reversed(range(len(theirs))):
            both = _likeness(mine[i], theirs[j])
            best[i][j] = max(best[i + 1][j], best[i][j + 1], both + best[i + 1][j + 1] if both else 0.0)
    pairs, i, j = [], 0, 0
    while i < len(mine) and j < len(theirs):
        both = _likeness(mine[i], theirs[j])
        if both and best[i][j] == both + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(a: Node, b: Node) -> float:
    """How well two operations match; 0: not at all."""
    return 1 + 0.5 * (a.label == b.label) + 0.25 * (a.scope == b.scope) if a.op == b.op else 0.0
