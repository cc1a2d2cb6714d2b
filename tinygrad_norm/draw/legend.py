"""What fills, strokes, letters and signs mean, only as far as they occur in a picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from ..graph import Edge, Elements, Folded, Record
from ..graph.levels import Level
from ..graph.routes import named_paths
from .geometry import Box, Layout, Line, Point, Size
from .pen import NOTE, WIDTHS, Pen, n
from .plan import plan_lanes
from .text import clean, common_dtype, text_width

MOST_LETTERS = 26
ROW = 20.0


@dataclass(frozen=True)
class Mark:
    """One route's letter: what it is called, in which lane it goes, and where on its line the letter fits, if anywhere."""

    letter: str
    title: str
    lane: str
    at: Point | None


def route_marks(graph: Record, layout: Layout) -> list[Mark]:
    """A letter for the direct route and one for each branch: that of the first route through it, as in the table of routes."""
    plan = plan_lanes(graph)
    if plan is None or isinstance(graph, (Folded, Level)) or not graph.main_input.requires_grad:
        return []
    if not 1 < graph.count_routes(graph.main_input) <= MOST_LETTERS:
        return []
    routes = named_paths(graph, graph.main_input)
    passes = [{e.target for e in edges} for _, _, edges in routes]
    marks = []
    wanted = [("spine", frozenset(plan.spine[1:]))] if _ways(graph, plan.spine) == 1 else []
    wanted += [("above" if b.row < 0 else "below", frozenset(b.nodes)) for b in plan.branches]
    for lane, nodes in wanted:
        first = next((r for r, passed in zip(routes, passes) if nodes & passed and (lane != "spine" or nodes >= passed)), None)
        if first is not None:
            on_it = [line for line, e in zip(layout.lines, graph.edges) if e in first[2] and line.lane == lane and _at(e, nodes)]
            marks.append(Mark(first[0], clean(first[1]), lane, _spot(layout, on_it)))
    return sorted(marks, key=lambda m: m.letter)


def _ways(graph: Record, spine: Sequence[int]) -> int:
    """How many routes go along the spine all the way: a·a has two."""
    count = Counter((e.source, e.target) for e in graph.edges)
    return math.prod(count[pair] for pair in pairwise(spine))


def _at(edge: Edge, nodes: frozenset[int]) -> bool:
    return edge.source in nodes or edge.target in nodes


def _spot(layout: Layout, lines: Sequence[Line]) -> Point | None:
    """The middle of the first straight stroke with room for a letter."""
    taken = [line.label for line in layout.lines if line.label] + list(layout.boxes)
    for line in lines:
        for (x1, y1), (x2, y2) in pairwise(line.points):
            straight = abs(x1 - x2) < 0.1 or abs(y1 - y2) < 0.1
            if not straight or abs(x1 - x2) + abs(y1 - y2) < 30:
                continue
            for t in (0.5, 0.3, 0.7, 0.15):
                spot = Box(x1 + t * (x2 - x1), y1 + t * (y2 - y1), 18, 18)
                if not any(spot.overlaps(b) for b in taken):
                    return spot.x, spot.y
    return None


def legend(
    graph: Record, layout: Layout, pen: Pen, marks: Sequence[Mark], *, widths: bool, notes: Sequence[str]
) -> tuple[str, Size]:
    """The legend's elements, and the room they take."""
    ink = pen.ink
    items = [
        (18.0, f'<rect class="role" data-role="{role}" y="-10" width="18" height="12" rx="3" fill="{fill}" stroke="{ink.border}"/>', role)
        for role, fill in ink.fills.items()
        if any(node.role == role for node in graph.nodes)
    ]  # fmt: skip
    for lane, name in _lane_names(graph, layout, marks).items():
        items.append((24.0, f'<g class="edge-sample" data-lane="{lane or "side"}">{pen.sample(lane)}</g>', name))
    signs: list[tuple[float, str, str]] = []
    rules = {e.rule for e in graph.edges}
    if any("×" in r or "@" in r for r in rules):
        into_boxes = "" in rules and any(node.op == "fold" for node in graph.nodes)
        signs.append((0.0, "", f"×… local derivative (none: {'×1, or into a box' if into_boxes else '×1'})"))
    if any(r.startswith("[") for r in rules):
        signs.append((0.0, "", "[op] that operation's own rule"))
    if any(e.summed for e in graph.edges):
        signs.append((18.0, pen.sum_badge(8, -4, ink.ink), "its gradient is summed over the broadcast axis"))
    if not all(graph.passes(k) for k in range(len(graph.edges))):
        bars = f'<path class="barrier" d="M6 -10V2M10 -10V2" stroke="{ink.lanes[""]}" stroke-width="2"/>'
        signs.append((18.0, bars, "nothing flows back here"))
    if widths:
        strokes = "".join(
            f'<g class="edge-sample" data-lane="side" transform="translate({30 * k} 0)">{pen.sample("", w)}</g>'
            for k, w in enumerate(WIDTHS)
        )
        signs.append((114.0, strokes, "gradient: over ½ (or not finite), 1/10, 1/100 of the largest here, and less"))
    signs += [(0.0, "", note) for note in notes]
    dtype = common_dtype(graph)
    counts = graph.note if isinstance(graph, (Folded, Elements)) else f"{len(graph.nodes)} nodes, {len(graph.edges)} edges"
    signs.append((0.0, "", f"{counts}, all {clean(dtype)}" if dtype else counts))
    return _rows((items, signs), max(layout.width, 620.0))


def _rows(groups: Sequence[Sequence[tuple[float, str, str]]], limit: float) -> tuple[str, Size]:
    drawn, width, y = [], 0.0, 0.0
    for group in groups:
        x = 0.0
        for room, symbol, text in group:
            shift = room + 6 if symbol else 0.0
            long = shift + text_width(text, NOTE)
            if x and x + long > limit:
                x, y = 0.0, y + ROW
            drawn.append(f'<g transform="translate({n(x)} {n(y + 10)})">{symbol}<text x="{n(shift)}">{escape(text)}</text></g>')
            x += long + 20
            width = max(width, x - 20)
        y += ROW
    return "".join(drawn), (width, y)


def _lane_names(graph: Record, layout: Layout, marks: Sequence[Mark]) -> dict[str, str]:
    """What to call each lane: by its route's letter and title, or by the scope it was recorded in."""
    used = {line.lane for line in layout.lines}
    if layout.kind == "nested":
        return {
            lane: name
            for lane, name in (("spine", "direct route"), ("above", "branch above"), ("below", "branch below"))
            if lane in used
        }
    plan = plan_lanes(graph)
    ways = _ways(graph, plan.spine) if plan else 1
    names = {"spine": "direct route" if ways == 1 else f"{ways} direct routes"} if "spine" in used else {}
    for lane, sign in (("above", -1), ("below", 1)):
        if plan and lane in used:
            found = {b.name for b in plan.branches if b.row * sign > 0 and plan.routed & set(b.nodes)}
            only = found.pop() if len(found) == 1 else ""
            names[lane] = f"through {clean(only)}" if only else f"branch {lane}"
    for lane in list(names):
        here = [m for m in marks if m.lane == lane]
        if len(here) == 1:
            names[lane] = f"{here[0].letter} {here[0].title if lane != 'spine' else 'direct route'}"
        elif here:
            names[lane] = f"{', '.join(m.letter for m in here)} {names[lane]}"
    return dict(sorted(names.items(), key=lambda item: item[1] if marks else ""))
