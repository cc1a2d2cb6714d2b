"""The graph in Graphviz's language. The text is written here; no package is needed for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..graph import Edge, Graph
from .palette import LIGHT
from .plan import find_spine, plan_lanes
from .text import cards, clean, edge_label, edge_words

DEEPEST = 12  # scopes nested deeper share a cluster


def dot(graph: Graph, *, values: bool = False, gradients: Any = None) -> str:
    """The graph as DOT text; options as for ``svg``. Ids are n0, n1, …; scopes are clusters; the direct route is kept straight."""
    made = cards(graph, values, gradients)
    spine = find_spine(graph)
    lanes = _lanes(graph, spine)
    groups = dict.fromkeys(spine, "spine")
    for i, (lane, name) in lanes.items():
        if lane != "spine":
            groups[i] = name
    lines = [
        "digraph {",
        "  rankdir=LR; newrank=true; nodesep=0.35; ranksep=0.45; bgcolor=white;",
        f'  node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=12, fontcolor="{LIGHT.ink}", margin="0.12,0.07"];',
        f'  edge [fontname="DejaVu Sans", fontsize=11, color="{LIGHT.lanes[""]}", fontcolor="{LIGHT.lanes[""]}", arrowsize=0.7];',
    ]
    boxes = {}
    for node, card in zip(graph.nodes, made):
        label = _quote("\n".join((card.label, *card.lines)))
        group = f', group="{groups[node.id]}"' if node.id in groups else ""
        boxes[node.id] = f'n{node.id} [label={label}, fillcolor="{LIGHT.fills[node.role]}", tooltip={_quote(card.whole)}{group}];'
    lines += _clusters(graph, boxes)
    on_spine = set(pairwise(spine))
    for e in graph.edges:
        lines.append(f"  n{e.source} -> n{e.target} [{', '.join(_edge_attributes(graph, e, on_spine, lanes))}];")
    return "\n".join([*lines, "}", ""])


def _quote(text: str) -> str:
    """A text as a quoted label that says exactly that: no escapes, no entities, no HTML."""
    lines = [clean(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in text.split("\n")]
    return '"' + "\\n".join(lines) + '"'


def _lanes(graph: Graph, spine: list[int]) -> dict[int, tuple[str, str]]:
    """The lane of each node that has one, and a name for the group that dot keeps straight."""
    lanes = dict.fromkeys(spine, ("spine", "spine"))
    plan = plan_lanes(graph)
    for k, branch in enumerate(plan.branches if plan else ()):
        lanes.update(dict.fromkeys(branch.nodes, ("above" if branch.row < 0 else "below", f"branch{k}")))
    return lanes


def _edge_attributes(graph: Graph, e: Edge, on_spine: set[tuple[int, int]], lanes: dict[int, tuple[str, str]]) -> Iterator[str]:
    label = f"{edge_label(e)}{' Σ' if e.summed else ''}".strip()
    if label:
        yield f"label={_quote(' ' + label + ' ')}"
    yield f"tooltip={_quote(edge_words(graph, e))}"
    if (e.source, e.target) in on_spine:
        yield f'weight=20, penwidth=2.6, color="{LIGHT.lanes["spine"]}", fontcolor="{LIGHT.lanes["spine"]}"'
        return
    if e.source in lanes and e.target in lanes:
        sides = {lanes[e.source][0], lanes[e.target][0]} - {"spine"}
        if sides:
            lane = sorted(sides)[0]
            style = "dashed" if lane == "above" else "dotted"
            yield f'style={style}, penwidth=1.8, color="{LIGHT.lanes[lane]}", fontcolor="{LIGHT.lanes[lane]}"'


def _clusters(graph: Graph, boxes: dict[int, str]) -> list[str]:
    """The boxes, each connected part of a scope in a cluster of its own."""
    lines: list[str] = []
    count = 0

    def write(ids: list[int], edges: list[Edge], depth: int) -> None:
        nonlocal count
        indent = "  " * (depth + 1)
        inside: dict[str, list[int]] = defaultdict(list)
        for i in ids:
            scope = graph.nodes[i].scope[:DEEPEST]
            if len(scope) > depth:
                inside[scope[depth]].append(i)
            else:
                lines.append(indent + boxes[i])
        for name, members in inside.items():
            for part, among in _connected(members, edges):
                lines.append(f"{indent}subgraph cluster_{count} {{")
                lines.append(
                    f'{indent}  label={_quote(name)}; style="rounded"; color="#c3c8d0"; fontname="DejaVu Sans"; fontsize=11;'
                )
                count += 1
                write(part, among, depth + 1)
                lines.append(f"{indent}}}")

    write(sorted(boxes), graph.edges, 0)
    return lines


def _connected(ids: list[int], edges: list[Edge]) -> list[tuple[list[int], list[Edge]]]:
    """The connected parts of some nodes, each with the edges inside it."""
    members = set(ids)
    inner = [e for e in edges if e.source in members and e.target in members]
    near: dict[int, list[int]] = defaultdict(list)
    for e in inner:
        near[e.source].append(e.target)
        near[e.target].append(e.source)
    home: dict[int, int] = {}
    for first in ids:
        stack = [first]
        while stack:
            i = stack.pop()
            if i not in home:
                home[i] = first
                stack += near[i]
    parts: dict[int, tuple[list[int], list[Edge]]] = {home[i]: ([], []) for i in ids}
    for i in ids:
        parts[home[i]][0].append(i)
    for e in inner:
        parts[home[e.source]][1].append(e)
    return list(parts.values())
