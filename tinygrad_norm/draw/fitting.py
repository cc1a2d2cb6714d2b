"""A picture that fits its paper: what is open, and which way it goes, so that its smallest text can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from ..graph import Folded
from ..graph.folding import closing
from .compose import Picture
from .geometry import Layout
from .legend import route_marks
from .nested import Placed, in_rows, place

PAPER = (1600.0, 900.0)
SMALLEST, LEAST = 11.0, 9.0  # the smallest text that is drawn, and the smallest that can be read
MOST = 45  # nodes in a picture that was folded unasked


def fitted(
    graph: Folded, paper: tuple[float, float], directions: Collection[str], rows: bool, **told: Any
) -> tuple[Folded, Placed]:
    """The most that is open and can be read on that paper, to the right, in rows, or down; what was asked for is as it was asked.

    Where nothing can be read, what comes nearest.
    """
    best: tuple[float, Folded, Placed] | None = None
    for folded in _candidates(graph):
        if len(folded.units) > MOST and graph.unasked and folded.opened:
            continue
        for placed in _ways(folded, paper, directions, rows, told):
            scale = min(paper[0] / (placed.width + 48), paper[1] / (placed.height + 130), 1.0)
            if best is None or scale > best[0] + 1e-9:
                best = (scale, folded, placed)
        if best is not None and best[0] * SMALLEST >= LEAST:
            break
    assert best is not None
    return best[1], best[2]


def _candidates(graph: Folded) -> Iterator[Folded]:
    """What there is to choose from, the most open first."""
    if not graph.unasked:
        yield graph
        return
    yield from closing(graph)


def _ways(
    folded: Folded, paper: tuple[float, float], directions: Collection[str], rows: bool, told: dict[str, Any]
) -> Iterator[Placed]:
    tree, opened = folded.tree, folded.opened
    for direction in directions:
        plain = place(tree, tree.root, opened, direction, **told)
        yield plain
        if rows and direction == "right" and plain.width > paper[0]:
            for limit in (1.0, 1.2):
                yield place(tree, tree.root, opened, direction, limit * paper[0] - 48, **told)


def on_paper(picture: Picture, paper: tuple[float, float]) -> Picture:
    """A picture without open boxes, in rows where it would be too wide to be read."""
    layout = picture.layout
    if min(1.0, paper[0] / (layout.width + 48)) * SMALLEST >= LEAST or layout.kind == "lanes":
        return picture
    best, most = layout, paper[0] / (layout.width + 48)
    for limit in (1.0, 1.2):
        boxes, lines, _, width, height = in_rows(layout.boxes, layout.lines, {}, layout.width, limit * paper[0] - 48)
        scale = min(1.0, paper[0] / (width + 48), paper[1] / (height + 130))
        if scale > most:
            best, most = Layout(layout.kind, boxes, lines, width, height), scale
    return replace(picture, layout=best, marks=route_marks(picture.graph, best))
