"""The graph in Graphviz's language. The text is written here; no package is needed for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..graph import Edge, Folded, Node, Record
from ..graph.folding import lineage, plainly
from ..graph.words import NO_GRADIENT, scope_title
from .compose import line_widths
from .geometry import Layout, Line
from .legend import few_routes, first_letters, lane_names, legend_items
from .palette import DASHES, DrawingError, Palette, palette_of
from .pen import PLAIN, Pen
from .plan import find_spine, plan_lanes
from .text import cards, clean, edge_label, edge_words, shorten

DEEPEST = 12  # scopes nested deeper share a cluster
DIRECTIONS = {"right": "LR", "down": "TB"}
_FONT = 'fontname="DejaVu Sans"'


def dot(graph: Record, *, values: bool = False, gradients: Any = None, theme: str = "light", direction: str = "right") -> str:
    """The graph as DOT text. Ids are n0, n1, …; scopes are clusters; the direct route is kept straight.

    values, gradients:  as for ``svg``
    theme:              "light" or "dark"
    direction:          where the output is: "right" or "down"

    No gradient flows back along an edge that starts with a bar. Raises ``DrawingError`` for another theme or direction.
    """
    colors, graph = palette_of(theme), plainly(graph)
    if direction not in DIRECTIONS:
        raise DrawingError(f"draw: direction={direction!r} is none of {', '.join(DIRECTIONS)}.")
    made = cards(graph, values, gradients)
    spine = find_spine(graph)
    lanes = _lanes(graph, spine)
    groups = dict.fromkeys(spine, "spine")
    for i, (lane, name) in lanes.items():
        if lane != "spine":
            groups[i] = name
    wide = "width=1.6, " if direction == "down" else ""  # so that edges from above pass beside the names of scopes
    lines = [
        "digraph {",
        f'  rankdir={DIRECTIONS[direction]}; newrank=true; nodesep=0.35; ranksep=0.45; bgcolor="{colors.paper}";',
        f'  node [{wide}shape=box, style="rounded,filled", {_FONT}, fontsize=12, fontcolor="{colors.ink}", color="{colors.border}", '
        'margin="0.12,0.07"];',
        f'  edge [{_FONT}, fontsize=11, color="{colors.lanes[""]}", fontcolor="{colors.lanes[""]}", arrowsize=0.7];',
    ]
    boxes = {}
    for node, card in zip(graph.nodes, made):
        label = _label("\n".join((card.label, *card.lines)))
        group = f', group="{groups[node.id]}"' if node.id in groups else ""
        fill = f'fillcolor="{colors.fills[node.role]}"'
        boxes[node.id] = f"n{node.id} [label={label}, {fill}, tooltip={_tooltip(card.whole)}{group}];"
    wanted = gradients is not None and gradients is not False
    told = _label("\n".join(legend_lines(graph, wanted)))
    lines.append(f'  label={told}; labeljust=l; {_FONT}; fontsize=11; fontcolor="{colors.ink}";')
    lines += _clusters(graph, boxes, _frame(colors))
    on_spine = set(pairwise(spine))
    letters = first_letters(graph)
    widths = line_widths(graph, None if gradients is True else gradients) if wanted else {}
    for k, e in enumerate(graph.edges):
        named = (letters.get(k, ""), edge_label(e), "Σ" if e.summed else "")
        label = " ".join(filter(None, named))
        words = _edge_attributes(graph, e, label, _lane_of(e, on_spine, lanes), graph.passes(k), colors, widths.get(k, PLAIN))
        lines.append(f"  n{e.source} -> n{e.target} [{', '.join(words)}];")
    return "\n".join([*lines, "}", ""])


_COLOURS = {
    "input": "blue",
    "parameter": "green",
    "leaf": "violet",
    "cotangent": "red",
    "statistic": "orange",
    "constant": "grey",
    "value": "plain",
    "output": "pink",
}
_STROKES = {"spine": "blue line", "above": "orange dashes", "below": "green dots"}


def legend_lines(graph: Record, widths: bool = False) -> list[str]:
    """What stands under the graph: what boxes, lines, letters and signs mean, in words."""
    spine = find_spine(graph)
    lanes, on_spine = _lanes(graph, spine), set(pairwise(spine))
    used = {_lane_of(e, on_spine, lanes) for e in graph.edges}
    layout = Layout("dot", (), tuple(Line(((0.0, 0.0), (1.0, 0.0)), False, None, lane) for lane in used), 0.0, 0.0)
    _, signs = legend_items(graph, layout, Pen(palette_of("light")), [], widths=widths, notes=[])
    names = lane_names(graph, layout, [])
    boxes = [f"{role} {_COLOURS[role]}" for role in _COLOURS if any(n.role == role for n in graph.nodes)]
    rows = [f"Boxes: {', '.join(boxes)}."]
    if names:
        rows.append("Lines: " + "; ".join(f"{_STROKES[lane]} {name}" for lane, name in names.items() if lane in _STROKES) + ".")
    routes = few_routes(graph)
    if routes:
        rows.append("Routes: " + "; ".join(f"{letter} {clean(title)}" for letter, title, _ in routes) + ".")
    rows += [
        ("Σ: " if "on-sum" in sign else "A bar: " if "barrier" in sign else "Width: " if sign else "") + text
        for _, sign, text in signs
    ]
    return rows


def _label(text: str, backslash: str = "\\\\") -> str:
    """A text as a quoted label that says exactly that: no escapes, no entities, no HTML."""
    lines = [clean(line).replace("\\", backslash).replace('"', '\\"').replace("&", "&amp;") for line in text.split("\n")]
    return '"' + "\\n".join(lines) + '"'


def _tooltip(text: str) -> str:
    """The same for a tooltip, in which Graphviz undoes escapes twice."""
    return _label(text, "\\\\" * 2)


def _lanes(graph: Record, spine: list[int]) -> dict[int, tuple[str, str]]:
    """The lane of each node that has one, and a name for the group that dot keeps straight."""
    lanes = dict.fromkeys(spine, ("spine", "spine"))
    plan = plan_lanes(graph)
    for k, branch in enumerate(plan.branches if plan else ()):
        on_routes = [i for i in branch.nodes if plan and i in plan.routed]
        lanes.update(dict.fromkeys(on_routes, ("above" if branch.row < 0 else "below", f"branch{k}")))
    return lanes


def _lane_of(e: Edge, on_spine: set[tuple[int, int]], lanes: dict[int, tuple[str, str]]) -> str:
    if (e.source, e.target) in on_spine:
        return "spine"
    if e.source not in lanes or e.target not in lanes:
        return ""
    return min({lanes[e.source][0], lanes[e.target][0]} - {"spine"}, default="")


def _edge_attributes(graph: Record, e: Edge, label: str, lane: str, passes: bool, colors: Palette, width: float) -> Iterator[str]:
    if label:
        yield f"label={_label(' ' + label + ' ')}"
    stop = "" if passes or e.rule == NO_GRADIENT else "; no gradient is asked for"
    yield f"tooltip={_tooltip(edge_words(graph, e) + stop)}"
    if not passes:
        yield "dir=both, arrowtail=tee, arrowsize=1"
    yield f"penwidth={0.8 * width:g}"
    if lane:
        yield "weight=20" if lane == "spine" else f"style={_stroke(lane)}"
        yield f'color="{colors.lanes[lane]}", fontcolor="{colors.lanes[lane]}"'


def _stroke(lane: str) -> str:
    """The lane's dashes in Graphviz's words: strokes no longer than their gaps are dots."""
    dash, _, gap = DASHES[lane].partition(" ")
    return "solid" if not dash else "dotted" if float(dash) <= float(gap or dash) else "dashed"


def _frame(colors: Palette) -> str:
    """How the frame around a scope looks: its name in the corner, out of the way of edges."""
    return (
        f'labeljust=l; labelloc=t; style="rounded"; color="{colors.border}66"; {_FONT}; fontsize=11; fontcolor="{colors.faint}";'
    )


def _clusters(graph: Record, boxes: dict[int, str], frame: str) -> list[str]:
    """The boxes, each connected part of a scope in a cluster of its own."""
    lines: list[str] = []
    count = 0
    scopes = [way[:DEEPEST] for way in _around(graph)]

    def write(ids: list[int], edges: list[Edge], depth: int) -> None:
        nonlocal count
        indent = "  " * (depth + 1)
        inside: dict[int, list[int]] = defaultdict(list)  # two enterings of one name are two scopes
        for i in ids:
            if len(scopes[i]) > depth:
                inside[scopes[i][depth][0]].append(i)
            else:
                lines.append(indent + boxes[i])
        for members in inside.values():
            title = scopes[members[0]][depth][1]
            for part, among in _connected(members, edges):
                if [graph.nodes[i].label for i in part] == [title]:  # one box, which says the same
                    lines.append(indent + boxes[part[0]])
                    continue
                lines.append(f"{indent}subgraph cluster_{count} {{")
                lines.append(f"{indent}  label={_label(shorten(clean(title)))}; tooltip={_tooltip(clean(title))}; {frame}")
                count += 1
                write(part, among, depth + 1)
                lines.append(f"{indent}}}")

    write(sorted(boxes), graph.edges, 0)
    return lines


def _around(graph: Record) -> list[list[tuple[int, str]]]:
    """For each node the scopes around it from the outside in: which, and their titles. Of a folded graph, the open boxes."""
    if not isinstance(graph, Folded) or not graph.opened:
        return [[(id(name), scope_title(name)) for name in _scope(node)] for node in graph.nodes]
    ways = [lineage(u.frame)[1:] for u in graph.units]
    return [[(id(b), b.title(before)) for before, b in zip([None, *way], way)] for way in ways]


def _scope(node: Node) -> tuple[str, ...]:
    """The scopes around a box. One that stands for a scope is in that, not in the deeper one its last operation is in."""
    if node.op != "fold":
        return node.scope
    titles = [scope_title(name) for name in node.scope]
    return node.scope[: titles.index(node.label) + 1] if node.label in titles else ()


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
