"""Where everything goes. Pure Python and deterministic: the same graph, the same picture, on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..graph import Edge, Elements, Record
from ..graph.levels import Level
from .geometry import Box, Layout, Line, Size
from .lanes import lane_of, lay_lanes
from .layered import lay_layers
from .plan import find_spine, plan_lanes

__all__ = ["Box", "Layout", "Line", "lay_out"]


def lay_out(graph: Record, sizes: Sequence[Size], labels: Sequence[Size | None], direction: str = "right") -> Layout:
    """Place a graph's boxes, lines and labels.

    sizes:      width and height of each node's box, by node id
    labels:     width and height of each edge's label, or None, in the order of the edges
    direction:  "right" or "down"

    A graph that is a line with a few branches gets lanes (``kind`` "lanes"); any other gets layers ("layered"), and so does
    the inside of a box in which boxes can be opened: in layers there can be room for them.
    """
    if direction == "down":
        return lay_out(graph, [(h, w) for w, h in sizes], [size and (size[1], size[0]) for size in labels]).turned()
    opens = isinstance(graph, Level) and graph.opens
    plan = None if opens else plan_lanes(graph)
    lanes = plan and lay_lanes(graph, plan, sizes, labels)
    if lanes:
        return lanes
    layers = lay_layers(graph, sizes, labels, _direct(graph), stations=opens)
    edges: Sequence[Edge] = graph.edges
    if isinstance(graph, Elements):  # each number in the lane of its tensor
        plan, tensor = plan_lanes(graph.whole), [i for i, _ in graph.places]
        direct = _direct(graph)
        edges = [replace(e, source=tensor[e.source], target=tensor[e.target]) for e in edges]
        side = [lane_of(plan, e) if plan else "" for e in edges]
        lanes_of = ["spine" if (e.source, e.target) in direct else lane for e, lane in zip(graph.edges, side)]
        return replace(layers, lines=tuple(replace(line, lane=lane) for line, lane in zip(layers.lines, lanes_of)))
    if plan is None:
        return layers
    named = (replace(line, lane=lane_of(plan, e)) for line, e in zip(layers.lines, edges))
    return replace(layers, lines=tuple(named))  # not in lanes, but each line still tells its route


def _direct(graph: Record) -> set[tuple[int, int]]:
    """The pairs of nodes along the direct route; number by number, along that of each number."""
    if not isinstance(graph, Elements):
        return set(pairwise(find_spine(graph)))
    route, tensor = _direct(graph.whole), [i for i, _ in graph.places]
    return {(e.source, e.target) for e in graph.edges if (tensor[e.source], tensor[e.target]) in route}
