"""A record's twin with one fused node, drawn where the record was: what was in between is gone, everything else stays."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

from ..graph import Record
from .compose import Picture, compose, label_size, line_widths
from .geometry import Box, Layout, Line, Size


def twin_picture(picture: Picture, twin: Record, cotangent: Any) -> Picture:
    """The twin on the layout of the other's picture: leaves of one label in one place, the output where it was.

    A twin of other parts, or one whose boxes would not fit there, gets a layout of its own.
    """
    plain = replace(compose(twin), widths=line_widths(twin, cotangent))
    places = {n.label: picture.layout.boxes[n.id] for n in picture.graph.nodes if n.op is None}
    last = len(twin.nodes) - 1
    boxes = []
    for n, mine in zip(twin.nodes, plain.layout.boxes):
        there = picture.layout.boxes[-1] if n.id == last else places.get(n.label) if n.op is None else None
        if there is None:
            return plain
        # as wide as its words, growing to the left: the output stands at the right end
        boxes.append(Box(there.right - mine.w / 2 if n.id == last else there.x, there.y, mine.w, mine.h))
    if any(a.overlaps(b, margin=8) for a, b in combinations(boxes, 2)):
        return plain
    main = twin.ids[twin.main_input]
    lines = tuple(_line(boxes, e.source, last, label_size(e) if e.source == main else None, e.source == main) for e in twin.edges)
    layout = Layout("twin", tuple(boxes), lines, picture.layout.width, picture.layout.height)
    return replace(plain, layout=layout, marks=[])


def _line(boxes: list[Box], source: int, target: int, label: Size | None, main: bool) -> Line:
    a, b = boxes[source], boxes[target]
    lane = "spine" if main else ""
    if a.right < b.left - 20:
        shift = 0.0 if abs(a.y - b.y) < 1 else (b.h / 3 if a.y > b.y else -b.h / 3)
        where = label and Box((a.right + b.left) / 2, a.y - label[1] / 2 - 4, *label)
        return Line(((a.right, a.y), (b.left, b.y + shift)), True, where, lane)
    start, end = (a.top, b.bottom) if a.y > b.y else (a.bottom, b.top)
    low, high = max(a.left, b.left) + 8, min(a.right, b.right) - 8
    x = min(max(a.x, low), high)
    ends = (x, x) if low <= high else (a.x, min(max(a.x, b.left + 8), b.right - 8))
    return Line(((ends[0], start), (ends[1], end)), False, None, lane)
