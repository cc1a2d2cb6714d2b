"""A recorded computation as a plain value: nodes, edges, scopes, routes."""

from .elements import Elements, elements
from .files import Instead
from .folding import Folded, fold
from .graph import (
    REDUCTIONS,
    Edge,
    FormatError,
    Graph,
    Node,
    graph,
    lend_writer,
)
from .part import Part
from .replay import replay, replay_all
from .words import axis_names, pad, shape_text, width

__all__ = [
    "REDUCTIONS",
    "Edge",
    "Elements",
    "Folded",
    "FormatError",
    "Graph",
    "Instead",
    "Node",
    "Part",
    "axis_names",
    "elements",
    "fold",
    "graph",
    "lend_writer",
    "pad",
    "replay",
    "replay_all",
    "shape_text",
    "width",
]
