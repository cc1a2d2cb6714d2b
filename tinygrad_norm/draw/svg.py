"""The graph as an SVG picture: no scripts, no fonts, no network, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from ..graph import Folded, Record
from ..graph.bundles import bundled
from ..graph.folding import plainly
from ..graph.through import on_route
from .compose import DIRECTIONS, Picture, compose
from .fitting import PAPER, fitted, on_paper
from .geometry import Layout, Line, Size
from .geometry import coordinate as n
from .legend import Mark, legend, route_words
from .nested import Placed, draw, line_sizes
from .palette import palette_of
from .pen import NOTE, PLAIN, Pen
from .text import Card, clean, edge_label, edge_words, text_width

FONTS = "DejaVu Sans, Verdana, Arial, sans-serif"
MARGIN = 24.0
MOST_WORDS = 400  # edges told in <desc>
PALE = ' opacity="0.25"'


@dataclass(frozen=True)
class Look:
    """What to draw otherwise: attributes of some nodes and edges, and lines that are drawn the way a gradient goes."""

    nodes: Mapping[int, str] = field(default_factory=dict)
    edges: Mapping[int, str] = field(default_factory=dict)
    turned: Collection[int] = ()

    @classmethod
    def only(cls, graph: Record, nodes: Collection[int], edges: Collection[int], others: str = PALE) -> Look:
        """All but some are pale."""
        return cls(
            {i: others for i in range(len(graph.nodes)) if i not in nodes},
            {k: others for k in range(len(graph.edges)) if k not in edges},
        )


def svg(
    graph: Record,
    *,
    values: bool = False,
    gradients: Any = None,
    dtypes: bool = False,
    scopes: bool = False,
    route: Any = None,
    theme: str = "light",
    direction: str | None = None,
    title: str | None = None,
    paper: tuple[float, float] | None = None,
) -> str:
    """The graph as SVG text.

    values:     show up to four values in each box
    gradients:  the norm of each gradient in its box, and how much flows along each line as its width: ``True`` for a
                random cotangent, or the cotangent itself
    dtypes:     every dtype, also where all are the same
    scopes:     in which scope each was recorded
    route:      one of ``graph.routes(x)``: all else is pale
    theme:      "light" or "dark"
    direction:  "right" or "down"; by default what fits the paper
    paper:      its width and height; by default 1600 by 900
    title:      a heading; without one the picture is called after the output

    Raises ``DrawingError`` for a theme or a direction that there is not.
    """
    pen = Pen(palette_of(theme))
    graph = plainly(graph)
    if isinstance(graph, Folded) and (graph.opened or graph.unasked):
        told = {"values": values, "gradients": gradients, "dtypes": dtypes, "scopes": scopes}
        return _nested(graph, pen, told, direction, paper or PAPER, title, route)
    graph = bundled(graph)
    told = {"values": values, "gradients": gradients, "dtypes": dtypes, "scopes": scopes}
    picture = on_paper(graph, paper or PAPER, **told) if direction is None else compose(graph, direction=direction, **told)
    look, notes = Look(), []
    if route is not None:
        nodes, edges = on_route(graph, route)
        look, notes = Look.only(graph, nodes, edges), [_lit(route)]
    wide = min((paper or PAPER)[0] - 2 * MARGIN, 620.0)
    return sheet(picture, pen, elements(picture, pen, look), title, notes, limit=wide)


def _lit(route: Any) -> str:
    return f"route {route.letter}: {clean(route.title)}; all else is pale"


def _nested(
    graph: Folded,
    pen: Pen,
    told: dict[str, Any],
    direction: str | None,
    paper: tuple[float, float],
    title: str | None,
    route: Any,
) -> str:
    """With boxes that are open."""
    directions = DIRECTIONS if direction is None else (direction,)
    graph, placed = fitted(graph, paper, directions, direction is None, **told)
    wanted = told["gradients"] is not None and told["gradients"] is not False
    widths = line_sizes(placed, None if told["gradients"] is True else told["gradients"]) if wanted else {}
    layout = Layout("nested", placed.boxes, tuple(_all_lines(placed)), placed.width, placed.height)
    picture = Picture(graph, [], layout, route_words(graph.whole), {0: PLAIN} if widths else {})
    drawn = draw(placed, pen, widths, route=route)
    return sheet(picture, pen, drawn, title, [] if route is None else [_lit(route)], limit=paper[0] - 2 * MARGIN)


def _all_lines(placed: Placed) -> Iterator[Line]:
    yield from placed.lines
    for _, inside in placed.children.values():
        yield from _all_lines(inside)


def elements(picture: Picture, pen: Pen, look: Look = Look(), tails: bool = False) -> list[str]:
    """Lines, letters and boxes, each an element. ``tails``: lines have a second head, to be shown on the way back."""
    graph, layout = picture.graph, picture.layout
    drawn = []
    for k, (e, line) in enumerate(zip(graph.edges, layout.lines)):
        width = picture.widths.get(k, PLAIN)
        how: dict[str, Any] = {"summed": e.summed, "stopped": not graph.passes(k), "width": PLAIN if tails else width}
        extra, way = look.edges.get(k, ""), -1 if k in look.turned else 1
        extra += f' style="--w:{n(width)}"' if tails else ""  # told by the page, in time
        drawn.append(pen.line(k, line, edge_words(graph, e), edge_label(e), extra=extra, way=way, tails=tails, **how))
    marks = [] if look.edges else [m for m in picture.marks if m.at]
    drawn += letters(pen, [m for m in marks if not m.said], layout)
    for i, card in enumerate(picture.cards):
        drawn.append(pen.box(card, graph.nodes[i].role, i, layout.boxes[i], look.nodes.get(i, "")))
    return drawn + [pen.letter(*m.at, m.letter, m.lane, m.said) for m in marks if m.at and m.said]


def letters(pen: Pen, marks: list[Mark], layout: Layout) -> list[str]:
    """The letters of each stretch side by side on a level stroke, one under the other on an upright one."""
    drawn = []
    for m in marks:
        if m.at is None:
            continue
        x, y = m.at
        level = any(
            abs(a[1] - b[1]) < 0.1 and abs(a[1] - y) < 0.1 and min(a[0], b[0]) <= x <= max(a[0], b[0])
            for line in layout.lines
            for a, b in pairwise(line.points)
        )
        drawn += [pen.letter(x + 18 * k * level, y + 18 * k * (not level), c, m.lane) for k, c in enumerate(m.letters)]
    return drawn


def sheet(
    picture: Picture,
    pen: Pen,
    drawn: list[str],
    title: str | None = None,
    notes: list[str] | None = None,
    below: tuple[str, Size] = ("", (0.0, 0.0)),
    limit: float | None = None,
) -> str:
    """The whole SVG: a heading, what was drawn, the legend, and what stands below."""
    graph, layout, ink = picture.graph, picture.layout, pen.ink
    told, legend_size = legend(graph, layout, pen, picture.marks, widths=bool(picture.widths), notes=notes or [], limit=limit)
    head = 36.0 if title else 0.0
    heading = clean(title) if title else ""
    width = math.ceil(max(layout.width, legend_size[0], below[1][0], text_width(heading, 19)) + 2 * MARGIN)
    left = (width - layout.width) / 2
    foot = MARGIN + head + layout.height + 26
    under = foot + legend_size[1] + 14
    height = math.ceil(foot + legend_size[1] + MARGIN - 6 + (below[1][1] + 14 if below[0] else 0))
    name = heading or f"Graph of {clean(graph.nodes[-1].label)}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(name)}" font-family="{FONTS}" fill="{ink.ink}">',
        f"<title>{escape(name)}</title>",
        f"<desc>{escape(_description(graph))}</desc>",
        f"<metadata>tinygrad_norm built-in layout ({layout.kind})</metadata>",
        f'<rect class="paper" width="{width}" height="{height}" fill="{ink.paper}"/>',
    ]
    if heading:
        body.append(pen.text(width / 2, MARGIN + 14, 19, heading, ' text-anchor="middle"'))
    body.append(f'<g transform="translate({n(left)} {n(MARGIN + head)})">')
    body += drawn
    body.append("</g>")
    body.append(f'<g class="legend" transform="translate({n(MARGIN)} {n(foot)})" font-size="{n(NOTE)}">{told}</g>')
    if below[0]:
        body.append(f'<g transform="translate({n(MARGIN)} {n(under)})">{below[0]}</g>')
    body.append("</svg>\n")
    return "\n".join(body)


def arrange(graph: Record, values: bool = False, gradients: Any = None, direction: str = "right") -> tuple[list[Card], Layout]:
    """What stands in each box, and where everything goes."""
    picture = compose(graph, values, gradients, direction=direction)
    return picture.cards, picture.layout


def _description(graph: Record) -> str:
    words = [edge_words(graph, e) for e in graph.edges[:MOST_WORDS]]
    more = len(graph.edges) - len(words)
    return "Edges with their local derivatives. " + "; ".join(words) + (f"; and {more} more." if more else ".")
