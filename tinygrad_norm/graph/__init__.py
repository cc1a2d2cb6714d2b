"""A recorded computation as a plain value: nodes, edges, scopes, routes."""

from .folding import Folded, fold
from .graph import (
    REDUCTIONS,
    Edge,
    FormatError,
    Graph,
    Node,
    axis_names,
    graph,
    lend_writer,
    lenders,
    pad,
    replay,
    shape_text,
    width,
)

__all__ = [
    "REDUCTIONS",
    "Edge",
    "Folded",
    "FormatError",
    "Graph",
    "Node",
    "axis_names",
    "fold",
    "graph",
    "lend_writer",
    "lenders",
    "pad",
    "replay",
    "shape_text",
    "width",
]
