"""The graph as text for a terminal, in box-drawing characters or in plain ASCII."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from ..graph import Elements, Record, shape_text
from ..graph import width as columns_of
from ..graph.table import ascii_text
from .lanes import Rows, choose_route
from .plan import Plan, plan_lanes
from .text import clean, shorten

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8
_STROKES = dict(zip((3, 12, 9, 10, 5, 6, 11, 7, 13, 14, 15), "─│┐┌┘└┬┴┤├┼"))


def terminal(graph: Record, width: int = 80, ascii: bool = False) -> str:
    """The graph as text, at most ``width`` columns wide.

    A graph that is a line with a few branches is drawn: the direct route on one line, its branches above and
    below. Any other, or one that does not fit, is listed node by node; and so is one of single numbers, with its
    local derivatives. ``ascii`` spells everything out: ``xhat``.
    """
    plan = None if isinstance(graph, Elements) else plan_lanes(graph)
    if plan is not None:
        for every_shape, spare in ((True, 1), (True, 0), (False, 1), (False, 0)):
            try:
                lines = _Sheet(graph, plan, ascii, every_shape, spare).lines()
            except _CrowdedError:
                break
            if all(columns_of(line) <= width for line in lines):
                return "\n".join(lines)
    text = graph.listing(width, ascii) if isinstance(graph, Elements) else _ascii_listing(graph) if ascii else graph.listing()
    lines = [ascii_text(clean(line)) if ascii else clean(line) for line in text.splitlines()]
    return "\n".join(_cut(line, width, ascii).rstrip() for line in lines)


def _ascii_listing(graph: Record) -> str:
    """``graph.listing()`` spelled out, its columns still in line."""
    rows = [
        (ascii_text(n.label), n.role if n.op is None or n.text == n.label else f"= {ascii_text(n.text)}", n) for n in graph.nodes
    ]
    long = max(len(label) for label, _, _ in rows)
    return "\n".join(f"{label:<{long}}  {what:<28} {shape_text(n.shape):<12} {n.dtype}" for label, what, n in rows)


class _CrowdedError(Exception):
    """Two lines would have to cross, or a line has no free way."""


class _Sheet:
    """A grid of characters on which a plan is drawn."""

    def __init__(self, graph: Record, plan: Plan, ascii: bool, every_shape: bool, spare: int) -> None:
        self.graph, self.plan, self.ascii, self.spare = graph, plan, ascii, spare
        self.left_out = False
        self.text: dict[tuple[int, int], str] = {}
        self.arms: dict[tuple[int, int], int] = {}
        self.users: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.labels = [self._word(shorten(clean(n.label), 18)) for n in graph.nodes]
        self.notes: list[str] = []
        for n in graph.nodes:
            if n.op is None and not n.tensor.requires_grad:
                self.labels[n.id] += "||" if ascii else "‖"
                self.notes = [f"({'||' if ascii else '‖'}: nothing flows back to it)"]
        if not every_shape and not spare:  # the last try
            self.labels = [label.replace(" ", "") for label in self.labels]
        self.shapes = ["×".join(map(str, n.shape)) or "scalar" for n in graph.nodes]
        if ascii:
            self.shapes = [s.replace("×", "x") for s in self.shapes]
        if not every_shape:
            self._keep_changes()
        self._measure()
        for node in graph.nodes:
            x, y = self._home(node.id)
            self._write(x, y, self.labels[node.id])
            self._write(x, y + 1, self.shapes[node.id])
        rows = Rows(plan)
        for source, target in dict.fromkeys((e.source, e.target) for e in graph.edges):
            self._connect(source, target, rows)
        for branch in plan.branches:
            self._name(branch.name, branch.nodes[-1], branch.end)

    def _word(self, text: str) -> str:
        return ascii_text(text) if self.ascii else text

    def _keep_changes(self) -> None:
        """Show a shape only where it differs from that of the node before."""
        first: dict[int, int] = {}
        for e in self.graph.edges:
            if (e.source in self.plan.row and self.graph.nodes[e.source].op is not None) or e.source == self.plan.spine[0]:
                first.setdefault(e.target, e.source)
        full = list(self.shapes)
        for i, before in first.items():
            if full[i] == full[before] and i != len(full) - 1:
                self.shapes[i], self.left_out = "", True

    def _measure(self) -> None:
        """The first character of each column, the slots between columns, and the line of each row."""
        plan = self.plan
        count = 1 + max(plan.column.values())
        wide = [1] * count
        for i, c in plan.column.items():
            wide[c] = max(wide[c], columns_of(self.labels[i]), columns_of(self.shapes[i]))
        leaves_spine = {plan.column[e.source] for e in self.graph.edges if plan.row[e.source] == 0 != plan.row[e.target]}
        joins_spine = {plan.column[e.target] for e in self.graph.edges if plan.row[e.target] == 0 != plan.row[e.source]}
        self.start, self.out, x = [], [], 0
        for c in range(count):
            self.start.append(x)
            self.out.append(x + wide[c] + 1)
            x += wide[c] + 3 + self.spare + (c in leaves_spine and c + 1 in joins_spine)
        self.line = {row: 3 * k for k, row in enumerate(sorted(set(plan.row.values())))}

    def _home(self, i: int) -> tuple[int, int]:
        return self.start[self.plan.column[i]], self.line[self.plan.row[i]]

    def _connect(self, source: int, target: int, rows: Rows) -> None:
        edge = next(e for e in self.graph.edges if (e.source, e.target) == (source, target))
        route = choose_route(edge, self.plan, rows)
        if route is None or route.channel is not None:
            raise _CrowdedError
        (x1, y1), (x2, y2) = self._home(source), self._home(target)
        begin, arrow = x1 + columns_of(self.labels[source]) + 1, x2 - 1 - self.spare
        if self.plan.column[source] == self.plan.column[target]:
            self._drop(source, target)
            return
        if route.leaves == "right" and route.enters == "left":
            corners = [(begin, y1), (arrow, y2)]
        elif route.enters == "left":
            out = self.out[self.plan.column[source]]
            corners = [(begin, y1), (out, y1), (out, y2), (arrow, y2)]
        else:
            corners = [(begin, y1), (arrow - 1, y1), (arrow - 1, y2), (arrow, y2)]
        for a, b in pairwise(corners):
            self._stroke(a, b, (source, target))
        self.arms[begin, y1] |= LEFT
        times = sum((e.source, e.target) == (source, target) for e in self.graph.edges)
        if times > 1:
            self.text[arrow - 1, y2] = str(min(times, 9))
            self.notes.append(f"({min(times, 9)}{'>' if self.ascii else '►'}: {times} times an operand)")
        self.text[arrow, y2] = ">" if self.ascii else "►"

    def _drop(self, source: int, target: int) -> None:
        """A leaf right above or below its consumer: one arrow head between the two."""
        (_, y1), (x2, y2) = self._home(source), self._home(target)
        if abs(y1 - y2) != 3:
            raise _CrowdedError
        up = y1 > y2
        sign = ("^" if up else "v") if self.ascii else ("▲" if up else "▼")
        self._write(x2, max(y1, y2) - 1, sign)

    def _stroke(self, a: tuple[int, int], b: tuple[int, int], edge: tuple[int, int]) -> None:
        dx, dy = (b[0] > a[0]) - (b[0] < a[0]), (b[1] > a[1]) - (b[1] < a[1])
        forth, back = {(1, 0): (RIGHT, LEFT), (-1, 0): (LEFT, RIGHT), (0, 1): (DOWN, UP), (0, -1): (UP, DOWN), (0, 0): (0, 0)}[
            dx, dy
        ]
        cell = a
        while True:
            if self.text.get(cell, " ") not in " ►>":
                raise _CrowdedError
            users = self.users.setdefault(cell, [])
            if any(edge[0] != source and edge[1] != target for source, target in users):
                raise _CrowdedError
            users.append(edge)
            self.arms[cell] = self.arms.get(cell, 0) | (back if cell != a else 0) | (forth if cell != b else 0)
            if cell == b:
                return
            cell = (cell[0] + dx, cell[1] + dy)

    def _write(self, x: int, y: int, text: str) -> None:
        for part in _glyphs(text):
            if (x, y) in self.text or (x, y) in self.arms:
                raise _CrowdedError
            self.text[x, y] = part
            x += 1

    def _name(self, name: str, last: int, end: int) -> None:
        """The branch's name, behind the place where it turns to the spine; left out where there is no room."""
        text, y = self._word(clean(name)), self.line[self.plan.row[last]]
        x = self.start[end]
        room = range(x - 1, x + columns_of(text) + 1)
        if not any((k, y) in self.text or (k, y) in self.arms for k in room) and room.stop <= self.start[-1] + 8:
            self._write(x, y, text)

    def lines(self) -> list[str]:
        """What was drawn, line by line."""
        cells = dict(self.text)
        for cell, arms in self.arms.items():
            cells.setdefault(cell, self._joint(arms))
        rows: dict[int, dict[int, str]] = {}
        for (x, y), part in cells.items():
            rows.setdefault(y, {})[x] = part
        lines = []
        for y in range(max(rows) + 1):
            row = rows.get(y, {})
            lines.append("".join(row.get(x, " ") for x in range(max(row, default=-1) + 1)).rstrip())
        if self.left_out:
            lines.append(self._word("(no shape: that of the node before)"))
        lines += dict.fromkeys(self.notes)
        return [line for line in lines if line]

    def _joint(self, arms: int) -> str:
        if not self.ascii:
            return _STROKES.get(arms, "─")
        return "-" if not arms & (UP | DOWN) else "|" if not arms & (LEFT | RIGHT) else "+"


def _glyphs(text: str) -> list[str]:
    """The characters with their combining marks."""
    parts: list[str] = []
    for c in text:
        if unicodedata.combining(c) and parts:
            parts[-1] += c
        else:
            parts.append(c)
    return parts


def _cut(text: str, width: int, ascii: bool) -> str:
    if columns_of(text) <= width:
        return text
    dots = "..." if ascii else "…"
    return ("".join(_glyphs(text)[: max(0, width - len(dots))]) + dots)[: None if width > len(dots) else width]
