"""Strokes, arrow heads, boxes and signs as SVG elements, in the colours of a palette."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from .geometry import Box, Line, Point
from .geometry import coordinate as n
from .palette import DASHES, Palette
from .text import Card

LABEL, LINE, RULE, NOTE = 16.0, 12.0, 12.5, 11.0  # font sizes
LEADING = LINE + 4.5
BADGE, CORNER, LETTER = 15.0, 8.0, 18.0
PLAIN = 2.0
WIDTHS = (5.0, 3.4, 2.0, 1.0)  # of lines, by the size of the gradient they carry
LEAST = (1 / 2, 1 / 10, 1 / 100, 0.0)  # of the largest in the picture, for each width


def width_of(size: float, largest: float) -> float:
    """The width of a line whose gradient has that size; what is not finite is drawn as the largest."""
    if not largest or not math.isfinite(size):
        return WIDTHS[0] if size else WIDTHS[-1]
    return next(w for w, least in zip(WIDTHS, LEAST) if size >= least * largest)


@dataclass(frozen=True)
class Pen:
    """Draws with one palette."""

    ink: Palette

    def text(self, x: float, y: float, size: float, text: str, more: str = "") -> str:
        return f'<text x="{n(x)}" y="{n(y)}" font-size="{n(size)}"{more}>{escape(text)}</text>'

    # Boxes --------------------------------------------------------------------------------------------------

    def box(self, card: Card, role: str, i: object, box: Box, extra: str = "") -> str:
        y = box.top + LABEL + 6
        texts = [self.text(box.x, y, LABEL, card.label, ' font-weight="bold"')]
        texts += [self.text(box.x, y + k * LEADING, LINE, line) for k, line in enumerate(card.lines, 1)]
        return (
            f'<g class="node" data-node="{i}" data-role="{role}" text-anchor="middle"{extra}><title>{escape(card.whole)}</title>'
            f'<rect x="{n(box.left)}" y="{n(box.top)}" width="{n(box.w)}" height="{n(box.h)}" rx="8" '
            f'fill="{self.ink.fills[role]}" stroke="{self.ink.border}" stroke-width="1.2"/>{"".join(texts)}</g>'
        )

    def frame(self, i: object, box: Box, title: str, extra: str = "") -> str:
        """An open box: its sides, and its title in the corner."""
        rect = f'<rect x="{n(box.left)}" y="{n(box.top)}" width="{n(box.w)}" height="{n(box.h)}" rx="10" '
        return (
            f'<g class="frame" data-node="{i}"{extra}><title>{escape(title)}</title>'
            f'{rect}fill="{self.ink.faint}" fill-opacity="0.05" stroke="{self.ink.border}" stroke-width="1"/>'
            f"{self.text(box.left + 10, box.top + 17, NOTE + 2, title, f' font-weight={chr(34)}bold{chr(34)} fill={chr(34)}{self.ink.faint}{chr(34)}')}</g>"
        )

    def port(self, card: Card, role: str, i: object, box: Box, extra: str = "") -> str:
        """What comes into an open box, or leaves it, by its name; the output of all has its colour."""
        fill = self.ink.fills[role] if role == "output" else self.ink.paper
        return (
            f'<g class="port" data-node="{i}" text-anchor="middle"{extra}><title>{escape(card.whole)}</title>'
            f'<rect x="{n(box.left)}" y="{n(box.top)}" width="{n(box.w)}" height="{n(box.h)}" rx="{n(box.h / 2)}" '
            f'fill="{fill}" stroke="{self.ink.border}" stroke-width="1"/>'
            f"{self.text(box.x, box.y + 4.5, LINE, card.label, ' font-weight=' + chr(34) + 'bold' + chr(34))}</g>"
        )

    # Lines --------------------------------------------------------------------------------------------------

    def line(
        self,
        k: object,
        line: Line,
        words: str,
        label: str,
        *,
        summed: bool = False,
        stopped: bool = False,
        width: float = PLAIN,
        extra: str = "",
        way: int = 1,
        tails: bool = False,
        letters: str = "",
    ) -> str:
        """One edge: ``words`` for its title, ``label`` on it after the ``letters`` of routes, a badge if ``summed``, a barrier if
        nothing flows back.

        A ``way`` of −1 puts its head at the other end; with ``tails`` it has one there, too, to be shown on the way back.
        """
        color = self.ink.lanes[line.lane]
        line = line if way > 0 else line.reversed()
        path = _smooth_path(line, width) if line.smooth else _cornered_path(line.points, width)
        parts = [
            f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{n(width)}"{_dashed(line.lane)}/>',
            _arrow_head(line, color, width, ' class="head"' if tails else ""),
        ]
        if tails:
            (x1, y1), (x2, y2) = _ending_before_head(line, width)[-1], line.points[-1]
            stroke = f'stroke="{color}" stroke-width="{n(width)}"'
            parts.append(f'<path class="tail" d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}" {stroke}/>')
            parts.append(_arrow_head(line.reversed(), color, width, ' class="tail"'))
        if stopped:
            parts.append(_barrier(line, color, width))
        if line.label:
            at = line.label
            spots = [(c, at.left + LETTER * k + LETTER / 2 - 1) for k, c in enumerate(letters)]
            parts += [self.letter(x, at.y, c, line.lane) for c, x in spots]
            parts.append(self.edge_label(label, summed, at, color, LETTER * len(letters), not tails))
        return (
            f'<g class="edge" data-edge="{k}" data-lane="{line.lane or "side"}"{extra}>'
            f"<title>{escape(words)}</title>{''.join(parts)}</g>"
        )

    def edge_label(self, text: str, summed: bool, box: Box, color: str, after: float = 0.0, halo: bool = True) -> str:
        """With a halo under it, as a text of its own: not everybody can paint a stroke first. (A page's rules make one.)"""
        x, y, paper = box.left + after, box.y + 4.5, self.ink.paper
        under = f' class="halo" aria-hidden="true" fill="{paper}" stroke="{paper}" stroke-width="3"'
        drawn = self.text(x, y, RULE, text, under) if text and halo else ""
        drawn += self.text(x, y, RULE, text, f' fill="{color}"') if text else ""
        return drawn + (self.sum_badge(box.right - BADGE / 2, box.y, color) if summed else "")

    def sum_badge(self, x: float, y: float, color: str) -> str:
        return (
            f'<circle class="sum" cx="{n(x)}" cy="{n(y)}" r="{n(BADGE / 2)}" fill="{color}"/>'
            f'<text class="on-sum" x="{n(x)}" y="{n(y + 4)}" font-size="11" text-anchor="middle" fill="{self.ink.paper}">Σ</text>'
        )

    def letter(self, x: float, y: float, letter: str, lane: str, said: str = "") -> str:
        """The name of a route, on its line; or where others meet that it is made of."""
        color = self.ink.lanes[lane]
        return (
            f'<g class="letter" data-lane="{lane or "side"}" data-route="{escape(letter)}"><title>route {escape(said or letter)}</title>'
            f'<circle cx="{n(x)}" cy="{n(y)}" r="8" fill="{self.ink.paper}" stroke="{color}" stroke-width="1.5"/>'
            f'<text x="{n(x)}" y="{n(y + 4)}" font-size="11" font-weight="bold" text-anchor="middle" fill="{color}">'
            f"{escape(letter)}</text></g>"
        )

    def sample(self, lane: str, width: float = PLAIN) -> str:
        """A piece of line for a legend."""
        return f'<path d="M0 -4H24" stroke="{self.ink.lanes[lane]}" stroke-width="{n(width)}"{_dashed(lane)}/>'


def _dashed(lane: str) -> str:
    return f' stroke-dasharray="{DASHES[lane]}"' if DASHES[lane] else ""


def _arrow_length(width: float) -> float:
    return 6 + 1.6 * width


def _toward(tip: Point, before: Point) -> Point:
    """The unit direction in which a straight stroke arrives."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    length = math.hypot(dx, dy) or 1.0
    return dx / length, dy / length


def _arrival(line: Line) -> Point:
    """The unit direction in which a line arrives; smooth ones arrive along the axis."""
    tip, before = line.points[-1], line.points[-2]
    if not line.smooth:
        return _toward(tip, before)
    axis = 1 if line.upright else 0
    along = math.copysign(1.0, tip[axis] - before[axis])
    return (0.0, along) if line.upright else (along, 0.0)


def _arrow_head(line: Line, color: str, width: float, extra: str = "") -> str:
    (x, y), (dx, dy) = line.points[-1], _arrival(line)
    long, half = _arrow_length(width), 2.6 + 0.8 * width
    corners = [
        (x, y),
        (x - long * dx - half * dy, y - long * dy + half * dx),
        (x - long * dx + half * dy, y - long * dy - half * dx),
    ]
    points = " ".join(f"{n(px)},{n(py)}" for px, py in corners)
    return f'<polygon{extra} points="{points}" fill="{color}"/>'


def _barrier(line: Line, color: str, width: float) -> str:
    """Two bars across the line just before its head: whatever comes back stops here."""
    (x, y), (dx, dy) = line.points[-1], _arrival(line)
    bars = []
    for back in (_arrow_length(width) + 3, _arrow_length(width) + 7):
        px, py = x - back * dx, y - back * dy
        bars.append(f"M{n(px - 6 * dy)} {n(py + 6 * dx)}L{n(px + 6 * dy)} {n(py - 6 * dx)}")
    return f'<path class="barrier" d="{"".join(bars)}" stroke="{color}" stroke-width="2" fill="none"/>'


def _ending_before_head(line: Line, width: float) -> list[Point]:
    """The points to pass, the last one inside the arrow head; what would be passed within the head is left out."""
    (x, y), (dx, dy) = line.points[-1], _arrival(line)
    back = _arrow_length(width) - 1.5
    points = list(line.points[:-1])
    while len(points) > 1 and line.smooth and math.dist(points[-1], (x, y)) < back:
        points.pop()
    return [*points, (x - back * dx, y - back * dy)]


def _cornered_path(points: tuple[Point, ...], width: float) -> str:
    """Straight strokes with rounded corners."""
    ends = _ending_before_head(Line(points, False, None, ""), width)
    parts = [f"M{n(ends[0][0])} {n(ends[0][1])}"]
    for before, corner, after in zip(ends, ends[1:], ends[2:]):
        into, out = _toward(corner, before), _toward(after, corner)
        r = min(CORNER, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start = (corner[0] - r * into[0], corner[1] - r * into[1])
        stop = (corner[0] + r * out[0], corner[1] + r * out[1])
        parts.append(f"L{n(start[0])} {n(start[1])}Q{n(corner[0])} {n(corner[1])} {n(stop[0])} {n(stop[1])}")
    return "".join(parts) + f"L{n(ends[-1][0])} {n(ends[-1][1])}"


def _smooth_path(line: Line, width: float) -> str:
    """Through all points, along the axis at each."""
    ends = _ending_before_head(line, width)
    parts = [f"M{n(ends[0][0])} {n(ends[0][1])}"]
    for (x1, y1), (x2, y2) in pairwise(ends):
        if math.dist((x1, y1), (x2, y2)) < 0.05:
            continue
        if line.upright and abs(x1 - x2) >= 0.05:
            middle = n((y1 + y2) / 2)
            parts.append(f"C{n(x1)} {middle} {n(x2)} {middle} {n(x2)} {n(y2)}")
        elif not line.upright and abs(y1 - y2) >= 0.05:
            middle = n((x1 + x2) / 2)
            parts.append(f"C{middle} {n(y1)} {middle} {n(y2)} {n(x2)} {n(y2)}")
        else:
            parts.append(f"L{n(x2)} {n(y2)}")
    return "".join(parts)
