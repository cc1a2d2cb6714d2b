"""A picture that fits its paper: what is open, and which way it goes, so that its smallest text can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from ..graph import Folded, Record
from ..graph.opening import closing
from .compose import Picture, compose
from .geometry import Layout
from .legend import route_marks
from .nested import Placed, in_rows, place

PAPER = (1600.0, 900.0)
SMALLEST, LEAST = 11.0, 9.0  # the smallest text that is drawn, and the smallest that can be read
MOST = 45  # nodes in a picture that was folded unasked


READABLE = LEAST / SMALLEST
MOST_ROWS = 16  # what is longer is not for paper
ROWS = (1.0, SMALLEST / LEAST)  # how long they may be, of what the paper is wide


def fitted(
    graph: Folded, paper: tuple[float, float], directions: Collection[str], rows: bool, **told: Any
) -> tuple[Folded, Placed]:
    """The most that is open and can be read on that paper, to the right, in rows, or down; what was asked for is as it was asked.

    Where nothing can be read, what comes nearest.
    """
    best: tuple[Fit, Folded, Placed] | None = None
    for folded in _candidates(graph):
        if len(folded.units) > MOST and graph.unasked and folded.opened:
            continue
        for placed in _ways(folded, paper, directions, rows, told):
            fit = fit_of(placed.width, placed.height, paper)
            if best is None or fit > best[0]:
                best = (fit, folded, placed)
        if best is not None and best[0][0] == READABLE:
            break
    assert best is not None
    return best[1], best[2]


Fit = tuple[float, float, float]


def fit_of(width: float, height: float, paper: tuple[float, float]) -> Fit:
    """How well a picture fits: whether it can be read as a whole, how far at the paper's width, and how large it is."""
    wide = min(paper[0] / (width + 48), 1.0)
    whole = round(min(wide, paper[1] / (height + 130)), 9)
    return READABLE if whole >= READABLE else 0.0, min(wide, READABLE), whole


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
            for limit in ROWS:
                yield place(tree, tree.root, opened, direction, limit * paper[0] - 48, **told)


def on_paper(graph: Record, paper: tuple[float, float], **told: Any) -> Picture:
    """A picture without open boxes: to the right, in rows where that is too wide to be read, or down where it is too narrow for them."""
    best: tuple[Fit, Picture] | None = None
    for picture in _pictures(graph, paper, told):
        fit = fit_of(picture.layout.width, picture.layout.height, paper)
        if best is None or fit > best[0]:
            best = fit, picture
        if best[0][1] == READABLE and best[1] is picture:
            break
    assert best is not None
    return best[1]


def _pictures(graph: Record, paper: tuple[float, float], told: dict[str, Any]) -> Iterator[Picture]:
    picture = compose(graph, **told)
    yield picture
    layout = picture.layout
    if layout.width > MOST_ROWS * paper[0]:
        return
    for limit in ROWS if layout.width + 48 > paper[0] else ():
        boxes, lines, _, width, height = in_rows(layout.boxes, layout.lines, {}, layout.width, limit * paper[0] - 48)
        made = Layout(layout.kind, boxes, lines, width, height)
        yield replace(picture, layout=made, marks=route_marks(graph, made))
    yield compose(graph, direction="down", **told)
