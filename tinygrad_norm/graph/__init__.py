"""A recorded computation as a plain value: nodes, edges, scopes, routes."""

from .elements import Elements, elements
from .files import Instead
from .folding import Folded
from .graph import FormatError, Graph, graph, lend_writer
from .opening import fold
from .part import Part
from .record import REDUCTIONS, Edge, Node, Record, along
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
    "Record",
    "along",
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
