"""Many tensors that pass from one box to another as one line: what is drawn of a folded graph, or of the inside of a box."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from .folding import Folded
from .levels import Level
from .record import Edge, Record
from .words import NO_GRADIENT

MOST_LINES = 4  # between two boxes, each for a tensor of its own
Drawn = TypeVar("Drawn", bound=Record)


def bundled(graph: Drawn) -> Drawn:
    """The same graph with more than four lines between two boxes as one, which says how many tensors pass; to be drawn, not told."""
    groups = together(graph)
    if not isinstance(graph, (Folded, Level)) or len(groups) == len(graph.edges):
        return graph
    passages = [_one([graph._passages[k] for k in group]) for group in groups]
    made: Drawn = object.__new__(type(graph))
    made.__dict__.update(vars(graph))
    made.__dict__["_passages"] = passages
    made.__dict__["edges"] = [e for e, _ in passages]
    return made


def together(graph: Record) -> list[list[int]]:
    """The edges of each line, in the order of their first."""
    if not isinstance(graph, (Folded, Level)):
        return [[k] for k in range(len(graph.edges))]
    between: dict[tuple[int, int], list[int]] = {}
    for k, e in enumerate(graph.edges):
        between.setdefault((e.source, e.target), []).append(k)
    many = {pair: ks for pair, ks in between.items() if len(ks) > MOST_LINES and graph.nodes[pair[1]].op == "fold"}
    found: list[list[int]] = []
    for k, e in enumerate(graph.edges):
        group = many.get((e.source, e.target))
        if group is None:
            found.append([k])
        elif group[0] == k:
            found.append(group)
    return found


def _one(some: list[tuple[Edge, list[int]]]) -> tuple[Edge, list[int]]:
    if len(some) == 1:
        return some[0]
    stopped = all(e.rule == NO_GRADIENT for e, _ in some)
    rule = NO_GRADIENT if stopped else f"{len(some)} tensors"
    return replace(some[0][0], rule=rule, summed=False), [k for _, ways in some for k in ways]
