"""Finds what a normalization's graph looks like: a direct route, and branches that leave it and join it again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..graph import REDUCTIONS, Edge, Record

LARGEST = 150
MOST_BRANCHES = 4
_SHIFTS, _SCALES = ("add", "sub"), ("mul", "div")


@dataclass(frozen=True)
class Branch:
    """A chain beside the direct route, from column ``start`` (where it leaves) to ``end`` (where it joins)."""

    nodes: tuple[int, ...]
    start: int
    end: int
    row: int
    name: str


@dataclass(frozen=True)
class Plan:
    """Every node's cell: its column, and its row (0 the direct route, negative above it, positive below).

    routed:  the nodes that the main input reaches
    """

    spine: tuple[int, ...]
    branches: tuple[Branch, ...]
    column: dict[int, int]
    row: dict[int, int]
    routed: frozenset[int]


def find_spine(graph: Record) -> list[int]:
    """The direct route into the output: the one through the fewest statistics, then the fewest nodes."""
    incoming = _incoming(graph)
    start = graph.ids[graph.main_input]
    cost: dict[int, tuple[int, int]] = {start: (0, 0)}
    came_from: dict[int, int] = {}
    for node in graph.nodes:
        known = [e.source for e in incoming[node.id] if e.source in cost]
        if known:
            best = min(known, key=lambda i: cost[i])  # the first of several
            statistic = node.role == "statistic" or node.op in REDUCTIONS
            cost[node.id] = (cost[best][0] + statistic, cost[best][1] + 1)
            came_from[node.id] = best
    route = [graph.nodes[-1].id]
    while route[-1] in came_from:
        route.append(came_from[route[-1]])
    return route[::-1]


def _incoming(graph: Record) -> dict[int, list[Edge]]:
    incoming: dict[int, list[Edge]] = defaultdict(list)
    for e in graph.edges:
        incoming[e.target].append(e)
    return incoming


def longest_path_ranks(graph: Record) -> list[int]:
    """The number of operations between a node and its farthest leaf."""
    rank = [0] * len(graph.nodes)
    for e in graph.edges:  # sources come before targets
        rank[e.target] = max(rank[e.target], rank[e.source] + 1)
    return rank


def plan_lanes(graph: Record) -> Plan | None:
    """Columns and rows for a graph that looks like a normalization; None for any other."""
    if len(graph.nodes) > LARGEST or {n.id for n in graph.nodes if n.op is None} - {e.source for e in graph.edges}:
        return None  # or a leaf that nothing uses
    spine = find_spine(graph)
    rank = longest_path_ranks(graph)
    column = {n.id: rank[n.id] for n in graph.nodes if n.op is not None or n.id == spine[0]}
    chains = _side_chains(graph, set(spine))
    if len(chains) > MOST_BRANCHES or any(len({rank[i] for i in chain}) < len(chain) for chain in chains):
        return None
    row = dict.fromkeys(spine, 0)
    branches: list[Branch] = []
    spans = {tuple(chain): _span(graph, chain, column) for chain in chains}
    inner_first = sorted(spans, key=lambda c: (spans[c][1] - spans[c][0], c))
    for chain in inner_first:
        start, end = spans[chain]
        side = _side(graph, chain, len(branches))
        level = 1
        while any(b.row == side * level and max(b.start, start) < min(b.end, end) for b in branches):
            level += 1
        branches.append(Branch(chain, start, end, side * level, _name(graph, chain)))
        row.update(dict.fromkeys(chain, side * level))
    _place_leaves(graph, branches, column, row)
    routed = {spine[0]}
    for e in graph.edges:  # sources come before targets
        if e.source in routed:
            routed.add(e.target)
    return Plan(tuple(spine), tuple(sorted(branches, key=lambda b: b.nodes)), column, row, frozenset(routed))


def _side_chains(graph: Record, spine: set[int]) -> list[list[int]]:
    """The connected parts of what is neither a leaf nor on the spine, each in birth order."""
    part: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.op is not None and node.id not in spine:
            part[node.id] = [node.id]
    for e in graph.edges:
        if e.source in part and e.target in part and part[e.source] is not part[e.target]:
            small, large = sorted((part[e.source], part[e.target]), key=len)
            large.extend(small)
            part.update(dict.fromkeys(small, large))
    return sorted(sorted(p) for p in {id(p): p for p in part.values()}.values())


def _span(graph: Record, chain: list[int], column: dict[int, int]) -> tuple[int, int]:
    """From the column the branch leaves the spine at to the one it joins it at."""
    inside = set(chain)
    columns = [column[i] for i in chain]
    for e in graph.edges:
        if e.target in inside and e.source in column:
            columns.append(column[e.source])
        elif e.source in inside:
            columns.append(column[e.target])
    return min(columns), max(columns)


def _side(graph: Record, chain: tuple[int, ...], count: int) -> int:
    """A branch that joins by shifting (a mean) goes below, one that joins by scaling (a variance) above."""
    leaving = (k for k, e in enumerate(graph.edges) if e.source in chain and e.target not in chain)
    joins = {op for k in leaving for op in graph.joins(k)}
    if joins & set(_SCALES):
        return -1
    if joins & set(_SHIFTS):
        return 1
    return -1 if count % 2 else 1


def _name(graph: Record, chain: tuple[int, ...]) -> str:
    scopes = {graph.nodes[i].scope for i in chain}
    scope = scopes.pop() if len(scopes) == 1 else ()
    return scope[-1] if scope else ""


def _place_leaves(graph: Record, branches: list[Branch], column: dict[int, int], row: dict[int, int]) -> None:
    """Put each remaining leaf right beside its first consumer, away from the branches."""
    taken = {(column[i], row[i]) for i in row}

    def free(c: int, r: int) -> bool:
        return (c, r) not in taken and not any(b.row == r and b.start <= c <= b.end for b in branches)

    for e in sorted(graph.edges, key=lambda e: (e.source, e.target)):
        if e.source in row:
            continue
        c, r = column[e.target], row[e.target]
        outward = -1 if r < 0 else 1
        near = [r + outward, r - outward] if r == 0 else [r + outward]
        spots = [s for s in near if free(c, s)] or [r + outward * k for k in range(1, 99) if free(c, r + outward * k)]
        column[e.source], row[e.source] = c, spots[0]
        taken.add((c, spots[0]))
