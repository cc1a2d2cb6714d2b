"""Relatives laid over each other: what they share stands in one place, so that what one of them lacks can be seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..engine import GradientError, Tensor
from ..engine.arrays import Array
from .record import Edge, Node, Record


@dataclass(frozen=True)
class Member:
    """One of them.

    place:    for each of its nodes, the node of the family it is
    lines:    for each edge of the family that it has, its own edge, told at the end of its way; None where it passes a
              node that it lacks
    through:  for each of these edges, all of its own that go along it
    passed:   the family's nodes that it lacks, and its edges go through all the same: there, nothing is done
    """

    title: str
    graph: Record
    place: Mapping[int, int]
    lines: Mapping[int, int | None]
    through: Mapping[int, tuple[int, ...]]
    passed: frozenset[int]


class Family(Record):
    """Several records as one: the nodes of the largest, and what the others have beside it.

    members:  each with its place in the whole, in the order given

    Operations are matched in the order in which they were recorded, by what they do, and by name and scope where there is
    a choice; leaves by name. Gradients and routes are told of the members, not of the family.
    """

    def __init__(self, graphs: Mapping[str, Record]) -> None:
        if len(graphs) < 2:
            raise GradientError("graph: name at least two records to lay beside each other.")
        reference = max(graphs.values(), key=lambda g: len(g.nodes))
        self.reference = reference
        self._nodes: list[Node] = list(reference.nodes)
        self._edges: list[Edge] = list(reference.edges)
        placed = {title: self._placed(g) for title, g in graphs.items()}
        routed = {title: self._routed(g, placed[title]) for title, g in graphs.items()}
        nodes, edges = self._sort()
        self.members = []
        for title, g in graphs.items():
            lines: dict[int, int | None] = {}
            through: dict[int, tuple[int, ...]] = {}
            for own, way in routed[title].items():
                through.update((edges[k], (*through.get(edges[k], ()), own)) for k in way)
                lines.update((edges[k], None) for k in way[:-1])
                lines[edges[way[-1]]] = own
            place = {i: nodes[p] for i, p in placed[title].items()}
            passed = {nodes[self._ends[k][1]] for way in routed[title].values() for k in way[:-1]}
            self.members.append(Member(title, g, place, lines, through, frozenset(passed)))
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

    def _placed(self, g: Record) -> dict[int, int]:
        """Where each node of a record stands; what has no counterpart becomes a node of the family."""
        if g is self.reference:
            return {n.id: n.id for n in g.nodes}
        mine, theirs = ([n for n in h.nodes if n.op is not None] for h in (g, self.reference))
        place = {mine[i].id: theirs[j].id for i, j in _matched(mine, theirs)}
        place[g.ids[g.main_input]] = self.reference.ids[self.reference.main_input]
        for n in g.nodes:
            if n.id not in place:
                same = [m.id for m in self._nodes if m.tensor.name == n.tensor.name and m.id not in place.values()]
                if n.op is None and n.tensor.name and same:
                    place[n.id] = same[0]
                else:
                    place[n.id] = len(self._nodes)
                    self._nodes.append(replace(n, id=len(self._nodes)))
        return place

    def _routed(self, g: Record, place: Mapping[int, int]) -> dict[int, list[int]]:
        """The family's edges that each edge of a record goes along; where there are none for it, a new one.

        It may go through nodes that the record lacks, but no two tensors may go through one: that would look like a sum.
        """
        if g is self.reference:
            return {k: [k] for k in range(len(g.edges))}
        found: dict[int, list[int]] = {}
        lent: dict[int, int] = dict.fromkeys(place.values(), -1)  # who passes a node
        used: set[int] = set()
        for own, e in enumerate(g.edges):
            start, end = place[e.source], place[e.target]
            way = self._way(start, end, lent, used)
            if not way:
                way = [len(self._edges)]
                self._edges.append(replace(e, source=start, target=end))
            lent.update((self._edges[k].target, start) for k in way[:-1])
            used.add(way[-1])
            found[own] = way
        return found

    def _way(self, start: int, end: int, lent: Mapping[int, int], used: set[int]) -> list[int]:
        """The shortest way through nodes that nobody else passes, its last edge not used yet."""
        came: dict[int, int] = {}
        queue, seen = deque([start]), {start}
        while queue:
            at = queue.popleft()
            for k, e in enumerate(self._edges):
                if e.source != at or e.target in seen:
                    continue
                if e.target == end and k not in used:
                    way = [k]
                    while self._edges[way[0]].source != start:
                        way.insert(0, came[self._edges[way[0]].source])
                    return way
                if e.target != end and lent.get(e.target, start) == start:
                    seen.add(e.target)
                    came[e.target] = k
                    queue.append(e.target)
        return []

    def _sort(self) -> tuple[dict[int, int], dict[int, int]]:
        """Number the nodes so that sources come before targets, and the edges by them; returns the new numbers of both."""
        waiting = {n.id: sum(e.target == n.id for e in self._edges) for n in self._nodes}
        order: list[int] = []
        while len(order) < len(self._nodes):
            ready = [i for i, count in waiting.items() if not count]
            if not ready:
                raise GradientError("graph: these records cannot be laid over each other: they do the same in another order.")
            first = min(ready, key=lambda i: (self._nodes[i].op is not None, i))
            order.append(first)
            del waiting[first]
            for e in self._edges:
                if e.source == first:
                    waiting[e.target] -= 1
        new = {old: k for k, old in enumerate(order)}
        self._nodes = [replace(self._nodes[old], id=k) for k, old in enumerate(order)]
        self._ends = [(e.source, e.target) for e in self._edges]
        moved = [replace(e, source=new[e.source], target=new[e.target]) for e in self._edges]
        by_target = sorted(range(len(moved)), key=lambda k: (moved[k].target, moved[k].position, moved[k].source))
        self._edges = [moved[k] for k in by_target]
        return new, {old: k for k, old in enumerate(by_target)}


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
