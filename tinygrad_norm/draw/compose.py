"""A graph, what stands in its boxes and on its lines, and where everything goes: all that a pen needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..graph import Edge, Record
from ..graph.levels import Level
from .geometry import Layout, Size
from .layout import lay_out
from .legend import Mark, letters_inside, route_marks
from .palette import DrawingError
from .pen import BADGE, LABEL, LEADING, LETTER, LINE, RULE, width_of
from .text import Card, cards, edge_label, norm, text_width

DIRECTIONS = ("right", "down")


@dataclass(frozen=True)
class Picture:
    """A graph and where everything in it goes: all that a pen needs."""

    graph: Record
    cards: list[Card]
    layout: Layout
    marks: list[Mark]
    widths: Mapping[int, float]  # of lines, by place in the graph's edges; empty: all the same
    letters: Mapping[int, str] = field(default_factory=dict)  # of routes, before what stands on a line
    words: Mapping[int, str] = field(default_factory=dict)  # on lines that stand for several edges


def compose(
    graph: Record,
    values: bool = False,
    gradients: Any = None,
    dtypes: bool = False,
    scopes: bool = False,
    direction: str = "right",
) -> Picture:
    """What stands in each box and on each line, and where they go; options as for ``svg``."""
    if direction not in DIRECTIONS:
        raise DrawingError(f"draw: direction={direction!r} is none of {', '.join(DIRECTIONS)}.")
    made = cards(graph, values, gradients, dtypes, scopes)
    letters = letters_inside(graph) if isinstance(graph, Level) else {}
    labels = [label_size(e, letters.get(k, "")) for k, e in enumerate(graph.edges)]
    layout = lay_out(graph, [card_size(card) for card in made], labels, direction)
    wanted = gradients is not None and gradients is not False
    widths = line_widths(graph, None if gradients is True else gradients) if wanted else {}
    return Picture(graph, made, layout, route_marks(graph, layout), widths, letters)


def line_widths(graph: Record, cotangent: Any) -> dict[int, float]:
    """How wide each line is: four steps by the norm of what it hands back."""
    sizes = {k: norm(share) for k, share in graph.shares(cotangent).items()}
    largest = max((s for s in sizes.values() if math.isfinite(s)), default=0.0)
    return {k: width_of(sizes.get(k, 0.0), largest) for k in range(len(graph.edges))}


def card_size(card: Card) -> Size:
    """The room a box needs."""
    if card.is_port:
        return (max(28.0, text_width(card.label, LINE) * 1.1 + 16), LINE + 9)
    widest = max([text_width(card.label, LABEL) * 1.1] + [text_width(line, LINE) for line in card.lines])  # the label is bold
    return (max(48.0, widest + 20), LABEL + 16 + len(card.lines) * LEADING)


def label_size(edge: Edge, letters: str = "") -> Size | None:
    """The room that what stands on an edge needs, if anything does."""
    text = edge_label(edge)
    if not text and not edge.summed and not letters:
        return None
    return (LETTER * len(letters) + text_width(text, RULE) + (BADGE + 3 if edge.summed else 0), LETTER if letters else BADGE)
