"""What the page needs to open boxes in place: each box's inside, laid out by itself, and its part of the story."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..engine.arrays import Array
from ..graph import Folded, Record, fold
from ..graph.boxes import Box as Drawn
from ..graph.bundles import bundled, together
from ..graph.folding import plainly
from ..graph.levels import IN, OUT, Level, levels
from ..graph.opening import MOST, closing
from ..graph.routes import Route, counted
from ..graph.table import ascii_text, number
from ..graph.through import on_route, routes_inside
from ..graph.words import without_automatic
from .compose import Picture, compose
from .geometry import Layout, Line
from .legend import MOST_LETTERS, Item, legend_items, route_words
from .nested import place
from .palette import LIGHT
from .pen import NOTE, PLAIN, Pen, width_of
from .steps import Matrix, Step, facts, steps_of, told_of
from .text import clean, edge_label, edge_words, norm, shorten, text_width

MOST_CLOSED = 60  # nodes of a record whose boxes are all closed at first
WIDE, FEW = 2400.0, 3  # what is open at first is no wider than this, unless that would leave so few boxes that nothing is seen
MOST_DOWN = 1500  # nodes of a record that is laid out downwards, too, for narrow windows
LONGEST_RULE = 400  # characters
MOST_TOLD = 64  # routes of the whole that are told one by one
MOST_NUMBERS = 2500  # nodes of a record whose numbers are shown


class Nested:
    """One view of the page: the boxes of a record, to be opened and closed.

    graph:  folded; what is open in it is open at first
    """

    def __init__(self, label: str, graph: Folded, dy: Array) -> None:
        self.label, self.graph = label, graph
        tree, whole = graph.tree, graph.whole
        self.note = graph.note.partition(";")[0]
        shares, gradients = whole.shares(dy), whole.gradients(dy)
        self.levels = levels(tree)
        self.directions = ("right", "down") if len(whole.tensors) <= MOST_DOWN else ("right",)
        self.with_numbers = len(whole.tensors) <= MOST_NUMBERS
        shared = {path: lv.shared(shares, gradients) for path, lv in self.levels.items()}
        sizes = {path: {k: norm(s) for k, s in some.items()} for path, some in shared.items()}
        largest = max((s for some in sizes.values() for s in some.values()), default=0.0)
        self.widths = {path: {k: width_of(s, largest) for k, s in some.items()} for path, some in sizes.items()}
        self.told = {path: told_of(lv, shared[path], gradients, self.with_numbers) for path, lv in self.levels.items()}
        self.facts = {path: facts(lv, lv.told(gradients), self.with_numbers) for path, lv in self.levels.items()}
        self.turn = steps_of_the_turn(graph, dy)
        few = whole.main_input.requires_grad and whole.count_routes(whole.main_input) <= MOST_TOLD
        self.routes = {} if few else {p: routes_inside(lv, shared[p], MOST_LETTERS, dy) for p, lv in self.levels.items()}
        self.pictures = {path: [self._composed(path, d) for d in self.directions] for path in self.levels}

    def _composed(self, path: str, direction: str) -> Picture:
        """What is in a box, and where: a line for each edge, also where several are drawn as one; the first of these has what
        stands on it."""
        level = self.levels[path]
        drawn = bundled(level)
        picture = compose(drawn, direction=direction)
        if drawn is level:
            return picture
        lines: dict[int, Line] = {}
        first = {group[0]: j for j, group in enumerate(together(level))}
        for j, group in enumerate(together(level)):
            line = picture.layout.lines[j]
            lines.update((k, line if k == group[0] else replace(line, label=None)) for k in group)
        layout = replace(picture.layout, lines=tuple(lines[k] for k in range(len(lines))))
        on = {k: picture.letters[j] for k, j in first.items() if j in picture.letters}
        return replace(picture, layout=layout, letters=on, words={k: edge_label(drawn.edges[j]) for k, j in first.items()})

    @property
    def first_open(self) -> list[str]:
        return sorted(b.path for b in self.graph.opened)

    @property
    def legend(self) -> list[Item]:
        """What boxes, lines and signs mean, in whatever is open."""
        lines = tuple(line for some in self.pictures.values() for line in some[0].layout.lines)
        layout = Layout("nested", (), lines, 0.0, 0.0)
        marks = [] if self.routes else route_words(self.graph.whole)
        items, signs = legend_items(plainly(self.graph.whole), layout, Pen(LIGHT), marks, widths=True, notes=[])
        return [*items, *signs]

    def data(self, place: Callable[[Matrix], int], pack: Callable[[Step, bool], dict[str, Any]]) -> dict[str, Any]:
        """As JSON has it; ``place`` keeps a matrix, ``pack`` a step."""
        return {
            "label": self.label,
            "whole": False,
            "note": self.note,
            "nested": True,
            "open": self.first_open,
            "levels": {path: self._level(path, place, pack) for path in self.levels},
            "turn": [pack(s, True) for s in self.turn],
        }

    def _level(self, path: str, place: Callable[[Matrix], int], pack: Callable[[Step, bool], dict[str, Any]]) -> dict[str, Any]:
        level, pictures = self.levels[path], self.pictures[path]
        inside = level.inside_of
        forth, back = self.told[path]
        title = inside.title(inside.around if inside.around is not None and inside.around.around is not None else None)
        return {
            "t": clean(title),
            "tw": _rounded(text_width(clean(title), NOTE + 2) * 1.1 + 12),
            "o": clean(inside.note),
            "n": [self._node(level, k, pictures[0]) for k in range(len(level.items))],
            "e": [self._edge(path, level, k, pictures[0].layout.lines[k]) for k in range(len(level.edges))],
            "l": [_layout(p, 1 if self.with_numbers else 0) for p in pictures],
            "f": [pack(s, self.with_numbers) for s in forth],
            "b": [pack(s, self.with_numbers) for s in back],
            "i": [self._fact(f, place) for f in self.facts[path]],
        } | self._routes(path)

    def _routes(self, path: str) -> dict[str, Any]:
        """The routes inside a box, or how many there are in words; what a route of the whole goes along is told with that."""
        found = self.routes.get(path, 0)
        if isinstance(found, int):
            return {"r": counted(found)} if found > 1 else {}
        return {"r": route_rows(found, self.levels[path])}

    def along(self, route: Route) -> dict[str, list[int]]:
        """For each box, the edges in it that a route of the whole goes along."""
        on = {path: sorted(on_route(lv, route)[1]) for path, lv in self.levels.items()}
        return {path: edges for path, edges in on.items() if edges}

    def _fact(self, fact: dict[str, Any], place: Callable[[Matrix], int]) -> dict[str, Any]:
        told: dict[str, Any] = {"lines": fact["lines"], "m": [place(m) for m in fact["matrices"]] if self.with_numbers else []}
        if not fact["lines"][0].isascii():
            told["a"] = ascii_text(fact["lines"][0])
        return told

    def _node(self, level: Level, k: int, picture: Picture) -> list[Any]:
        """Label, lines, role, kind (0 a box or an operation, 1 what comes in, 2 what leaves), the path of the inside if it opens."""
        node, card, item = level.nodes[k], picture.cards[k], level.items[k]
        kind = {IN: 1, OUT: 2}.get(node.op or "", 0)
        inside = item.path if isinstance(item, Drawn) and item.openable else 0
        return [card.label, list(card.lines), node.role, kind, inside]

    def _edge(self, path: str, level: Level, k: int, line: Line) -> list[Any]:
        """Ends, words, label, whether summed, whether stopped, lane, width; in an open box at its ends, the port there."""
        e = level.edges[k]
        width = self.widths[path].get(k, PLAIN)
        words, label = edge_words(level, e) if self.with_numbers else 0, self.pictures[path][0].words.get(k, edge_label(e))
        ends = [self._port(level, k, e.source, OUT), self._port(level, k, e.target, IN)]
        letters = self.pictures[path][0].letters.get(k, "")
        told = [e.source, e.target, words, label, int(e.summed), int(not level.passes(k)), line.lane or "side", width, *ends]
        return [*told, letters] if letters else told

    def _port(self, level: Level, k: int, node: int, way: str) -> int:
        item = level.items[node]
        if not isinstance(item, Drawn) or not item.openable:
            return -1
        child = self.levels[item.path]
        ports = child.ports if way == IN else child.outs
        ways = level.stands_for(k)
        i = level.whole.edges[ways[0]].source if ways else level.items[level.edges[k].target]
        return ports.get(item.home(i), -1) if isinstance(i, int) else -1


def route_rows(routes: Sequence[Route], graph: Record) -> list[dict[str, Any]]:
    """Routes as rows of a table: what they are called, how long their shares are, and where they go."""
    place = {e: k for k, e in enumerate(graph.edges)}
    sizes = [norm(r.share) for r in routes]
    longest = max((s for s in sizes if math.isfinite(s)), default=0.0) or 1.0
    return [
        {
            "letter": r.letter,
            "title": clean(r.title),
            "rules": shorten(clean(without_automatic(r.rules)), LONGEST_RULE),
            "nodes": r.nodes,
            "edges": [place[e] for e in r.edges],
            "size": number(s),
            "part": round(min(s / longest, 1.0), 4) if math.isfinite(s) else 1.0,
        }
        for r, s in zip(routes, sizes)
    ]


def steps_of_the_turn(graph: Folded, dy: Array) -> list[Step]:
    """The seed, and the question for a route, told of the boxes at the root."""
    closed = Folded(graph.tree)
    return [s for s in steps_of(closed, dy) if s.phase == "seed" or (s.phase == "guess" and not s.edges)]


def _layout(picture: Picture, digits: int) -> dict[str, Any]:
    """Boxes by centre and size, lines by their points, labels by centre and size; whole numbers will do, but for tenths in lines."""
    layout = picture.layout

    def _r(value: float) -> float | int:
        return _rounded(value, digits)

    kind = 2 * int(any(line.upright for line in layout.lines)) + int(all(line.smooth for line in layout.lines))
    return {
        "w": _r(layout.width),
        "h": _r(layout.height),
        "k": kind,
        "b": [[_r(b.x), _r(b.y), _r(b.w), _r(b.h)] for b in layout.boxes],
        "p": [[_r(v) for p in line.points for v in p] for line in layout.lines],
        "a": [
            [_r(line.label.x), _r(line.label.y), _r(line.label.w), _r(line.label.h)] if line.label else 0 for line in layout.lines
        ],
    }


def _rounded(value: float, digits: int = 1) -> float | int:
    value = round(value, digits)
    return int(value) if value == int(value) else value


def nested(label: str, graph: Record, dy: Array) -> Nested | None:
    """The view of a record's boxes; None where it has none that could be opened or closed."""
    folded = fold(graph, 1)
    if not isinstance(folded, Folded) or not folded.tree.boxes:
        return None
    if len(graph.tensors) > MOST_CLOSED:
        seen = [f for f in closing(folded) if len(f.units) > FEW] or [folded]
        folded = next((f for f in seen if len(f.units) <= MOST and _width(f) <= WIDE), seen[-1])
    return Nested(label, folded, dy)


def _width(folded: Folded) -> float:
    return place(folded.tree, folded.tree.root, folded.opened).width
