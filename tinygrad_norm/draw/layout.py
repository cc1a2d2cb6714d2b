"""Where everything goes. Pure Python and deterministic: the same graph, the same picture, on any machine."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph
from .geometry import Box, Layout, Line, Size
from .lanes import lay_lanes
from .layered import lay_layers
from .plan import find_spine, plan_lanes

__all__ = ["Box", "Layout", "Line", "lay_out"]


def lay_out(graph: Graph, sizes: Sequence[Size], labels: Sequence[Size | None], direction: str = "right") -> Layout:
    """Place a graph's boxes, lines and labels.

    sizes:      width and height of each node's box, by node id
    labels:     width and height of each edge's label, or None, in the order of the edges
    direction:  "right" or "down"

    A graph that is a line with a few branches gets lanes (``kind`` "lanes"); any other gets layers ("layered").
    """
    if direction == "down":
        return lay_out(graph, [(h, w) for w, h in sizes], [size and (size[1], size[0]) for size in labels]).turned()
    plan = plan_lanes(graph)
    lanes = plan and lay_lanes(graph, plan, sizes, labels)
    return lanes or lay_layers(graph, sizes, labels, find_spine(graph))
