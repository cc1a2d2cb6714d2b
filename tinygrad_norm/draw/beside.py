"""Relatives on one layout, one above the other: what one of them lacks is grey."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

from ..graph import Record
from ..graph.aligned import Family, Member
from ..graph.folding import plainly
from .compose import card_size, label_size, line_widths
from .geometry import Layout
from .geometry import coordinate as n
from .layout import lay_out
from .legend import legend
from .palette import palette_of
from .pen import NOTE, PLAIN, Pen
from .svg import FONTS, MARGIN
from .text import Card, cards, clean, edge_label, edge_words, text_width

HEAD = 34.0
GREY = ' opacity="0.22"'


def beside(graphs: Mapping[str, Record], *, gradients: Any = None, theme: str = "light") -> str:
    """Several records as SVG, each in a panel of its own, all on one layout.

    graphs:     by title, the order from top to bottom
    gradients:  as for ``svg``: True for random cotangents; widths of lines, in each panel for itself

    Raises ``GradientError`` where they cannot be laid over each other.
    """
    pen = Pen(palette_of(theme))
    family = Family({title: plainly(g) for title, g in graphs.items()})
    own = {m.title: cards(m.graph) for m in family.members}
    layout = _layout(family, own)
    wide = max([layout.width, 640.0] + [text_width(_heading(m, family), 15) for m in family.members])
    width = math.ceil(wide + 2 * MARGIN)
    y, panels = MARGIN, []
    for m in family.members:
        widths = line_widths(m.graph, None if gradients is True else gradients) if gradients is not None else {}
        panels.append(
            f'<g class="panel" transform="translate({n(MARGIN)} {n(y)})">{pen.text(0, 14, 15, _heading(m, family))}'
            f'<g transform="translate({n((wide - layout.width) / 2)} {n(HEAD)})">{_panel(pen, family, m, own[m.title], layout, widths)}</g></g>'
        )
        y += HEAD + layout.height + 30
    notes = ["grey: what a relative has and this one does without; where a line goes through grey, nothing is done"]
    told, told_size = legend(family, layout, pen, [], widths=gradients is not None, notes=notes)
    width = max(width, math.ceil(told_size[0] + 2 * MARGIN))
    height = math.ceil(y + told_size[1] + MARGIN)
    name = escape(", ".join(map(clean, graphs)))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" aria-label="{name}" font-family="{FONTS}" fill="{pen.ink.ink}">',
            f"<title>{name}</title>",
            f'<rect class="paper" width="{width}" height="{height}" fill="{pen.ink.paper}"/>',
            *panels,
            f'<g class="legend" transform="translate({n(MARGIN)} {n(y)})" font-size="{n(NOTE)}">{told}</g>',
            "</svg>\n",
        ]
    )


def _heading(m: Member, family: Family) -> str:
    lacks = [
        clean(node.text if node.role == "output" else node.label) for node in family.nodes if node.id not in m.place.values()
    ]
    return clean(m.title) + (f": without {', '.join(lacks)}" if lacks else "")


def _layout(family: Family, own: Mapping[str, list[Card]]) -> Layout:
    """One for all: every box as large as its largest, every label as wide as its widest."""
    sizes = [(0.0, 0.0)] * len(family.nodes)
    labels: list[tuple[float, float] | None] = [label_size(e) for e in family.edges]
    for i, card in enumerate(cards(family)):
        sizes[i] = card_size(card)
    for m in family.members:
        for i, card in enumerate(own[m.title]):
            at, (w, h) = m.place[i], card_size(card)
            sizes[at] = (max(sizes[at][0], w), max(sizes[at][1], h))
        for k, mine in m.lines.items():
            size = None if mine is None else label_size(m.graph.edges[mine])
            if size is not None:
                before = labels[k] or (0.0, 0.0)
                labels[k] = (max(before[0], size[0]), max(before[1], size[1]))
    return lay_out(family, sizes, labels)


def _panel(pen: Pen, family: Family, m: Member, own: list[Card], layout: Layout, widths: Mapping[int, float]) -> str:
    drawn = []
    for k, line in enumerate(layout.lines):
        if k not in m.lines:
            drawn.append(pen.line(k, replace(line, label=None), "", "", extra=GREY))
            continue
        mine = m.lines[k]
        width = max((widths.get(i, PLAIN) for i in m.through[k]), default=PLAIN)
        if mine is None:
            drawn.append(pen.line(k, replace(line, label=None), "", "", width=width))
            continue
        edge = m.graph.edges[mine]
        label = line.label if edge_label(edge) or edge.summed else None
        if label is not None and (size := label_size(edge)) is not None:
            label = replace(label, w=size[0])
        words, stopped = edge_words(m.graph, edge), not m.graph.passes(mine)
        drawn.append(
            pen.line(k, replace(line, label=label), words, edge_label(edge), summed=edge.summed, stopped=stopped, width=width)
        )
    back = {at: i for i, at in m.place.items()}
    general = cards(family)
    for node in family.nodes:
        if node.id in back:
            role = m.graph.nodes[back[node.id]].role
            drawn.append(pen.box(own[back[node.id]], role, node.id, layout.boxes[node.id]))
        else:
            drawn.append(pen.box(general[node.id], "constant", node.id, layout.boxes[node.id], GREY))
    return "".join(drawn)
