"""The graph as an SVG picture: no scripts, no fonts, no network, the same bytes every time."""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise
from typing import Any

from ..graph import Edge, Folded, Graph
from .geometry import Box, Layout, Line, Point, Size
from .layout import lay_out
from .plan import plan_lanes
from .text import Card, cards, clean, common_dtype, edge_label, edge_words, text_width

FONTS = "DejaVu Sans, Verdana, Arial, sans-serif"
INK, FAINT, BORDER = "#1a202c", "#4a5260", "#5b6472"
FILLS = {
    "input": "#cfe6f7",
    "parameter": "#d5efdf",
    "statistic": "#fde2c4",
    "constant": "#e3e5e9",
    "value": "#f8f8f5",
    "output": "#f5d3e4",
}
LANES = {  # stroke, dashes, width; the strokes are dark enough for text
    "spine": ("#005a8c", "", 3.0),
    "above": ("#9c4300", "9 4", 2.0),
    "below": ("#00664b", "3 3", 2.0),
    "": (FAINT, "", 1.4),
}
LABEL, LINE, RULE, NOTE = 16.0, 12.0, 12.5, 11.0  # font sizes
MARGIN, BADGE, CORNER = 24.0, 15.0, 8.0
MOST_WORDS = 400  # edges told in <desc>


def svg(graph: Graph, *, values: bool = False, gradients: Any = None, route: Any = None, title: str | None = None) -> str:
    """The graph as SVG text.

    values:     show up to four values in each box
    gradients:  show the norm of each gradient: ``True`` for a random cotangent, or the cotangent itself
    route:      one of ``graph.routes(x)``: all else is pale
    title:      a heading; without one the picture is called after the output
    """
    made, layout = arrange(graph, values, gradients)
    legend, legend_size = _legend(graph, layout, route)
    head = 36.0 if title else 0.0
    heading = clean(title) if title else ""
    width = math.ceil(max(layout.width, legend_size[0], text_width(heading, 19)) + 2 * MARGIN)
    left = (width - layout.width) / 2
    foot = MARGIN + head + layout.height + 26
    height = math.ceil(foot + legend_size[1] + MARGIN - 6)
    name = heading or f"Graph of {clean(graph.nodes[-1].label)}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{_attribute(name)}" font-family="{FONTS}" fill="{INK}">',
        f"<title>{escape(name)}</title>",
        f"<desc>{escape(_description(graph))}</desc>",
        f"<metadata>tinygrad_norm built-in layout ({layout.kind})</metadata>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    if heading:
        body.append(
            f'<text x="{_n(width / 2)}" y="{_n(MARGIN + 14)}" text-anchor="middle" font-size="19">{escape(heading)}</text>'
        )
    body.append(f'<g transform="translate({_n(left)} {_n(MARGIN + head)})">')
    lines = [_draw_line(graph, k, line) for k, line in enumerate(layout.lines)]
    boxes = [_draw_box(card, graph.nodes[i].role, i, layout.boxes[i]) for i, card in enumerate(made)]
    if route is not None:
        lines = [line if graph.edges[k] in route.edges else _pale(line) for k, line in enumerate(lines)]
        boxes = [box if i in route.nodes else _pale(box) for i, box in enumerate(boxes)]
    body += lines + boxes
    body.append("</g>")
    body.append(f'<g class="legend" transform="translate({_n(MARGIN)} {_n(foot)})" font-size="{_n(NOTE)}">{legend}</g>')
    body.append("</svg>\n")
    return "\n".join(body)


def arrange(graph: Graph, values: bool = False, gradients: Any = None) -> tuple[list[Card], Layout]:
    """What stands in each box, and where everything goes: all that a picture needs but a pen."""
    made = cards(graph, values, gradients)
    return made, lay_out(graph, [_card_size(card) for card in made], [_label_size(e) for e in graph.edges])


def _pale(drawn: str) -> str:
    return drawn.replace("<g ", '<g opacity="0.25" ', 1)


def _n(value: float) -> str:
    """A coordinate with at most one decimal, and never −0."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _attribute(text: str) -> str:
    return escape(text)


def _description(graph: Graph) -> str:
    words = [edge_words(graph, e) for e in graph.edges[:MOST_WORDS]]
    more = len(graph.edges) - len(words)
    return "Edges with their local derivatives. " + "; ".join(words) + (f"; and {more} more." if more else ".")


# Boxes ------------------------------------------------------------------------------------------------


def _card_size(card: Card) -> Size:
    widest = max([text_width(card.label, LABEL) * 1.1] + [text_width(line, LINE) for line in card.lines])  # the label is bold
    return (max(48.0, widest + 20), LABEL + 16 + len(card.lines) * (LINE + 4.5))


def _draw_box(card: Card, role: str, i: int, box: Box) -> str:
    x, y = _n(box.x), box.top + LABEL + 6
    texts = [f'<text x="{x}" y="{_n(y)}" font-size="{_n(LABEL)}" font-weight="bold">{escape(card.label)}</text>']
    for k, line in enumerate(card.lines, 1):
        texts.append(f'<text x="{x}" y="{_n(y + k * (LINE + 4.5))}" font-size="{_n(LINE)}">{escape(line)}</text>')
    return (
        f'<g class="node" data-node="{i}" text-anchor="middle"><title>{escape(card.whole)}</title>'
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.w)}" height="{_n(box.h)}" rx="8" '
        f'fill="{FILLS[role]}" stroke="{BORDER}" stroke-width="1.2"/>{"".join(texts)}</g>'
    )


# Lines ------------------------------------------------------------------------------------------------


def _label_size(edge: Edge) -> Size | None:
    text = edge_label(edge)
    if not text and not edge.summed:
        return None
    return (text_width(text, RULE) + (BADGE + 3 if edge.summed else 0), BADGE)


def _draw_line(graph: Graph, k: int, line: Line) -> str:
    edge = graph.edges[k]
    color, dashes, stroke = LANES[line.lane]
    path = _smooth_path(line.points, stroke) if line.smooth else _cornered_path(line.points, stroke)
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    parts = [
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{_n(stroke)}"{dash}/>',
        _arrow_head(line.points, line.smooth, color, stroke),
    ]
    if line.label:
        parts.append(_draw_label(edge_label(edge), edge.summed, line.label, color))
    return f'<g class="edge" data-edge="{k}"><title>{escape(edge_words(graph, edge))}</title>{"".join(parts)}</g>'


def _draw_label(text: str, summed: bool, box: Box, color: str) -> str:
    parts = []
    if text:
        parts.append(
            f'<text x="{_n(box.left)}" y="{_n(box.y + 4.5)}" font-size="{_n(RULE)}" fill="{color}" stroke="#ffffff" '
            f'stroke-width="3" paint-order="stroke">{escape(text)}</text>'
        )
    return "".join(parts) + (_sum_badge(box.right - BADGE / 2, box.y, color) if summed else "")


def _sum_badge(x: float, y: float, color: str) -> str:
    return (
        f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(BADGE / 2)}" fill="{color}"/>'
        f'<text x="{_n(x)}" y="{_n(y + 4)}" font-size="11" text-anchor="middle" fill="#ffffff">Σ</text>'
    )


def _arrow_length(stroke: float) -> float:
    return 6 + 1.6 * stroke


def _toward(tip: Point, before: Point, smooth: bool) -> Point:
    """The unit direction in which a line arrives; smooth ones arrive horizontally."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    if smooth:
        dx, dy = math.copysign(1, dx), 0.0
    length = math.hypot(dx, dy) or 1.0
    return dx / length, dy / length


def _arrow_head(points: tuple[Point, ...], smooth: bool, color: str, stroke: float) -> str:
    (x, y), (dx, dy) = points[-1], _toward(points[-1], points[-2], smooth)
    long, half = _arrow_length(stroke), 2.6 + 0.8 * stroke
    corners = [
        (x, y),
        (x - long * dx - half * dy, y - long * dy + half * dx),
        (x - long * dx + half * dy, y - long * dy - half * dx),
    ]
    return f'<polygon points="{" ".join(f"{_n(px)},{_n(py)}" for px, py in corners)}" fill="{color}"/>'


def _ending_before_head(points: tuple[Point, ...], smooth: bool, stroke: float) -> list[Point]:
    (x, y), (dx, dy) = points[-1], _toward(points[-1], points[-2], smooth)
    back = _arrow_length(stroke) - 1.5
    return [*points[:-1], (x - back * dx, y - back * dy)]


def _cornered_path(points: tuple[Point, ...], stroke: float) -> str:
    """Straight strokes with rounded corners."""
    ends = _ending_before_head(points, False, stroke)
    parts = [f"M{_n(ends[0][0])} {_n(ends[0][1])}"]
    for before, corner, after in zip(ends, ends[1:], ends[2:]):
        into, out = _toward(corner, before, False), _toward(after, corner, False)
        r = min(CORNER, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start = (corner[0] - r * into[0], corner[1] - r * into[1])
        stop = (corner[0] + r * out[0], corner[1] + r * out[1])
        parts.append(f"L{_n(start[0])} {_n(start[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(stop[0])} {_n(stop[1])}")
    return "".join(parts) + f"L{_n(ends[-1][0])} {_n(ends[-1][1])}"


def _smooth_path(points: tuple[Point, ...], stroke: float) -> str:
    """Through all points, horizontal at each."""
    ends = _ending_before_head(points, True, stroke)
    parts = [f"M{_n(ends[0][0])} {_n(ends[0][1])}"]
    for (x1, y1), (x2, y2) in pairwise(ends):
        if abs(y1 - y2) < 0.05:
            parts.append(f"L{_n(x2)} {_n(y2)}")
        else:
            middle = _n((x1 + x2) / 2)
            parts.append(f"C{middle} {_n(y1)} {middle} {_n(y2)} {_n(x2)} {_n(y2)}")
    return "".join(parts)


# Legend -----------------------------------------------------------------------------------------------


def _legend(graph: Graph, layout: Layout, route: Any = None) -> tuple[str, Size]:
    """What fills, strokes and signs mean, only as far as they occur."""
    items: list[tuple[str, str]] = []
    present = {n.role for n in graph.nodes}
    for role, fill in FILLS.items():
        if role in present:
            items.append((f'<rect y="-10" width="18" height="12" rx="3" fill="{fill}" stroke="{BORDER}"/>', role))
    names = _lane_names(graph, layout)
    for lane, name in names.items():
        color, dashes, stroke = LANES[lane]
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        items.append((f'<path d="M0 -4H24" stroke="{color}" stroke-width="{_n(stroke)}"{dash}/>', name))
    notes: list[tuple[str, str]] = []
    if any(e.rule for e in graph.edges):
        notes.append(("", "×… local derivative (none: ×1)"))
    if any(e.summed for e in graph.edges):
        notes.append((_sum_badge(8, -4, INK), "its gradient is summed over the broadcast axis"))
    if route is not None:
        notes.append(("", f"route {route.letter}: {clean(route.title)}; all else is pale"))
    dtype = common_dtype(graph)
    counts = graph.note if isinstance(graph, Folded) else f"{len(graph.nodes)} nodes, {len(graph.edges)} edges"
    notes.append(("", f"{counts}, all {clean(dtype)}" if dtype else counts))
    row, width, height = [], 0.0, 0.0
    limit = max(layout.width, 620.0)
    x = 0.0
    for group in (items, notes):
        for symbol, text in group:
            shift = (24 if "M0 -4H24" in symbol else 18) + 6 if symbol else 0
            long = shift + text_width(text, NOTE)
            if x and x + long > limit:
                x, height = 0.0, height + 20
            row.append(
                f'<g transform="translate({_n(x)} {_n(height + 10)})">{symbol}<text x="{_n(shift)}">{escape(text)}</text></g>'
            )
            x += long + 20
            width = max(width, x - 20)
        x, height = 0.0, height + 20
    return "".join(row), (width, height)


def _lane_names(graph: Graph, layout: Layout) -> dict[str, str]:
    used = {line.lane for line in layout.lines}
    names = {"spine": "direct route"} if "spine" in used else {}
    plan = plan_lanes(graph) if layout.kind == "lanes" else None
    for lane, sign in (("above", -1), ("below", 1)):
        if plan and lane in used:
            found = {b.name for b in plan.branches if b.row * sign > 0}
            only = found.pop() if len(found) == 1 else ""
            names[lane] = f"through {clean(only)}" if only else f"branch {lane}"
    return names
