"""Routes through boxes: every way along the arrows of a folded picture, or inside one box, with its share of the gradient.

A route through boxes is all the routes of the record that pass these boxes, by these arrows: its share is one backward pass
along them alone. So the shares add up here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import ARRAYS, GradientError, Tensor, pull_back
from ..engine.arrays import Array
from ..engine.shapes import number
from .boxes import Box
from .folding import Folded
from .levels import Level
from .record import Edge, Record
from .routes import Route, Routes, counted, find_routes, named_ways
from .words import NO_GRADIENT


def through_boxes(graph: Folded, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
    """The routes through the boxes of a folded graph; a row of equal siblings counts as one box, also where it is open.

    Raises ``GradientError`` above ``limit`` of them, and where none starts from ``source``.
    """
    limit = number("routes", "limit", limit, 0)
    closed = _rows_closed(graph)
    whole, start = closed.whole, closed.whole._id("routes", source)
    if not source.requires_grad:
        raise GradientError("routes: this tensor does not require a gradient, so no route starts there.")
    box = closed.box[start]
    count = count_ways(closed, box, len(closed.units) - 1)
    if count > limit:
        raise GradientError(
            f"routes: {counted(count)} routes lead through the boxes, more than limit={limit}. Close some, or raise limit."
        )
    cotangent = closed.cotangent(grad_output)
    total = pull_back({closed.output: cotangent}, [source]).get(source)
    if total is None:
        raise GradientError("routes: no route leads from this tensor to the output.")
    inside = [
        {k for k, e in enumerate(whole.edges) if closed.box[e.source] == i == closed.box[e.target]}
        for i in range(len(closed.units))
    ]
    place = {e: k for k, e in enumerate(closed.edges)}
    routes = []
    for letter, title, edges in named_ways(closed, box, len(closed.units) - 1):
        passed = {box, *(e.target for e in edges)}
        allowed = set().union(*(inside[i] for i in passed), *(closed.stands_for(place[e]) for e in edges))
        share, used = pulled(whole, allowed, start, {len(whole.tensors) - 1: cotangent})
        routes.append(Route(closed, letter, title, edges, share, used))
    return Routes(closed, source, cotangent, routes, np.broadcast_to(total, source.shape))


def _rows_closed(graph: Folded) -> Folded:
    """The same where rows of equal siblings, of which one is drawn, are closed."""
    opened = {b for b in graph.opened if all(a.times == 1 for a in graph.tree.around(b))}
    return graph if opened == graph.opened else Folded(graph.tree, opened, graph.unasked, graph.leaves_inside)


def routes_inside(level: Level, shared: Mapping[int, Array], most: int, cotangent: Array) -> list[Route] | int:
    """The routes inside one box, from what it is about to what leaves it last, each with its share of that; or how many there are.

    shared:     what each edge of the level hands back
    cotangent:  of the output of the whole record
    """
    whole, last = level.whole, len(level.items) - 1
    start = whole.ids[level.main_input]
    source, leaving = level.place.get(start), level.items[last]
    if source is None or source == last or not level.main_input.requires_grad:
        return 0
    count = count_ways(level, source, last)
    if not 1 < count <= most:
        return count
    if level.outs:
        k = next(k for k, e in enumerate(level.edges) if e.target == last)
        seeds = {leaving: shared[k]} if k in shared and isinstance(leaving, int) else {}
    else:
        seeds = {len(whole.tensors) - 1: cotangent}
    place = {e: k for k, e in enumerate(level.edges)}
    routes = []
    for letter, title, edges in named_ways(level, source, last):
        passed = (source, *(e.target for e in edges))
        allowed: set[int] = set().union(*(_inside(level, i) for i in passed), *(level.stands_for(place[e]) for e in edges))
        share, used = pulled(whole, allowed, start, seeds)
        routes.append(Route(level, letter, title, edges, share, used))
    return routes


def _inside(level: Level, i: int) -> Collection[int]:
    """The edges of the record inside a box of a level."""
    item = level.items[i]
    if not isinstance(item, Box):
        return ()
    mine = set(item.ids)
    return [k for j in item.ids for k in level.tree.entering(j) if level.whole.edges[k].source in mine]


def count_ways(graph: Record, start: int, end: int) -> int:
    """How many ways lead from one node to another along which something flows back."""
    count = {start: 1}
    for k, e in enumerate(graph.edges):  # edges come in their targets' order
        if e.source in count and e.target > start and graph.passes(k):
            count[e.target] = count.get(e.target, 0) + count[e.source]
    return count.get(end, 0)


def pulled(whole: Record, allowed: Collection[int], start: int, seeds: Mapping[int, Array]) -> tuple[Array, frozenset[int]]:
    """What cotangents give to node ``start`` along some edges alone; and which of these it came along."""
    reached, forth = {start}, []
    for k in sorted(allowed):
        e = whole.edges[k]
        if e.source in reached and e.rule != NO_GRADIENT and e.target != start:
            reached.add(e.target)
            forth.append(k)
    found: dict[int, Any] = {i: g for i, g in seeds.items() if i in reached}
    used = set()
    for k in reversed(forth):
        e = whole.edges[k]
        if e.target in found:
            used.add(k)
            share = _share(whole, e, found[e.target])
            found[e.source] = found[e.source] + share if e.source in found else share
    zero = np.zeros(whole.tensors[start].shape, whole.tensors[start].dtype)
    return np.broadcast_to(found.get(start, zero), zero.shape), frozenset(used)


def _share(whole: Record, e: Edge, g: Array) -> Array:
    node = whole.tensors[e.target]
    return np.asarray(ARRAYS.pull(node, e.position, g, ARRAYS.value(node), ARRAYS.operands(node)))


def on_route(graph: Record, route: Route) -> tuple[set[int], set[int]]:
    """The nodes and the edges of a graph that a route goes along, through boxes, too."""
    return on_edges(graph, [graph.whole.edges[k] for k in route.through] if route.through is not None else route.edges)


def on_edges(graph: Record, along: Sequence[Edge]) -> tuple[set[int], set[int]]:
    """The nodes and the edges of a graph, folded or not, that some edges of the record stand behind."""
    ways = {(e.source, e.target, e.position) for e in along}
    passed = {i for e in along for i in (e.source, e.target)}
    if not isinstance(graph, (Folded, Level)):
        return passed, {k for k, e in enumerate(graph.edges) if (e.source, e.target, e.position) in ways}
    whole = graph.whole.edges
    edges = set()
    for k in range(len(graph.edges)):
        mine = [whole[j] for j in graph.stands_for(k)]
        if any((e.source, e.target, e.position) in ways for e in mine):
            edges.add(k)
    if isinstance(graph, Folded):
        nodes = {k for k, u in enumerate(graph.units) if passed & set(u.members)}
        return nodes, edges
    inside = set(graph.inside_of.stretches[0])
    for k, e in enumerate(graph.edges):
        i = graph.items[e.target]
        if not graph.stands_for(k) and isinstance(i, int) and any(w[0] == i and w[1] not in inside for w in ways):
            edges.add(k)
    ends = {i for k in edges for i in (graph.edges[k].source, graph.edges[k].target)}
    return ends, edges


def find_any_routes(graph: Record, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
    """The routes of the record, or where they are more than ``limit`` and it is folded, those through its boxes."""
    if isinstance(graph, Folded) and source in graph.whole.ids and graph.whole.count_routes(source) > limit:
        return through_boxes(graph, source, grad_output, limit)
    return find_routes(graph.whole, source, grad_output, limit)
