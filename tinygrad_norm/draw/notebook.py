"""Results in a notebook: one piece of HTML each, no script, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Any

from ..graph import Folded, Record, fold
from ..graph.notebook import lend_view
from ..graph.routes import Routes
from ..graph.table import harmless, number
from .ladder import ladder
from .palette import LIGHT
from .rungs import MOST
from .svg import svg
from .text import clean, shorten

CELL = (960.0, 700.0)  # what a picture must fit
SMALL = 60  # nodes of a graph in which each route is lit
_PAPER = f"background:{LIGHT.paper};color:{LIGHT.ink}"
_RIGHT, _WRONG = LIGHT.lanes["below"], LIGHT.lanes["above"]


def picture(graph: Record, route: Any = None, gradients: Any = None) -> str:
    """A graph no wider than its cell."""
    shown = graph if isinstance(graph, Folded) or route is not None else fold(graph)
    return _fitting(svg(shown, route=route, paper=CELL, gradients=gradients))


def _fitting(drawn: str, wide: str = "100%") -> str:
    """A picture that shrinks with what is around it."""
    style = f"max-width:{wide};height:auto"
    return f'<div style="overflow-x:auto;{_PAPER}">{drawn.replace("<svg ", f"<svg style={chr(34)}{style}{chr(34)} ", 1)}</div>'


def text(made: str | Callable[[], str], graph: Record | None = None) -> str:
    """Words in their columns, what is right and what is wrong in colour; with the picture of the route that they speak of."""
    said = made() if callable(made) else made
    lines = []
    for line in harmless(said).splitlines():
        color = _WRONG if re.search(r"^\S+  +(wrong|missing)\b|not right|not equal|weak:", line) else ""
        color = color or (_RIGHT if re.search(r"^\S+  +(right|close|exact)\b|^verdict: right|^equal|^agree|strong", line) else "")
        words = escape(line)
        lines.append(f'<span style="color:{color};font-weight:bold">{words}</span>' if color else words)
    shown = f'<pre style="line-height:1.25;overflow-x:auto;{_PAPER};padding:.5em">{chr(10).join(lines)}</pre>'
    named = re.search(r"route ([A-Z]) of the picture", said)
    if graph is not None and named:
        found = Routes.of(graph, named[1])
        shown += picture(graph, found) if found is not None else ""
    return shown


def routes(found: Routes) -> str:
    """The table, with each share as a bar, and each route lit in a small picture."""
    graph, largest = found.graph, max((r.norm for r in found), default=0.0) or 1.0
    head = ("", "route", "share of the gradient", "length", "", "in the picture" if _lights(found) else "")
    rows = []
    for r in found:
        form = r.closed_form
        share = shorten(clean(form.text if form else r.rules), 200)
        why = f"<br/><small>zero, because {escape(clean(form.zero))}</small>" if form and form.zero else ""
        part = min(r.norm / largest, 1.0) if r.norm == r.norm else 1.0
        bar = f'<div style="width:{100 * part:.1f}px;height:.8em;background:{LIGHT.mark}"></div>'
        lit = _fitting(svg(graph, route=r), "260px") if _lights(found) else ""
        cells = (
            f"<b>{escape(r.letter)}</b>",
            escape(clean(r.title)),
            f"<code>{escape(share)}</code>{why}",
            number(r.norm),
            bar,
            lit,
        )
        rows.append("<tr>" + "".join(f'<td style="text-align:left">{c}</td>' for c in cells) + "</tr>")
    name = escape(clean(graph.node(found.source).label))
    count = "one route" if len(found) == 1 else f"{len(found)} routes"
    caption = f"{count} from {name} to {escape(clean(graph.nodes[-1].label))}: their sum is d{name}"
    return (
        f'<table style="border-collapse:collapse;{_PAPER}"><caption style="text-align:left">{caption}</caption>'
        f"<thead><tr>{''.join(f'<th style={chr(34)}text-align:left{chr(34)}>{h}</th>' for h in head)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _lights(found: Routes) -> bool:
    return len(found.graph.nodes) <= SMALL and len(found) <= 12


def reads(found: Any) -> str:
    """The ladder: forward beside backward, and what is kept between them."""
    if len(found.graph.nodes) <= MOST:
        return _fitting(ladder(found.graph))
    return text(found.note)


def typeset(made: Callable[[], str]) -> str:
    """What is HTML already."""
    return f'<div style="{_PAPER};overflow-x:auto">{made()}</div>'


for _kind, _view in (("graph", picture), ("text", text), ("routes", routes), ("reads", reads), ("typeset", typeset)):
    lend_view(_kind, _view)
