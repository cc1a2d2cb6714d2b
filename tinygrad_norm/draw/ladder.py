"""The ladder: forward down the left side, backward up the right side, and across what the way back reads.

It shows what has to be kept between the two, the question behind every fused kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from ..graph import Record
from .geometry import Box, Point
from .geometry import coordinate as _n
from .palette import DrawingError, Palette, palette_of
from .rungs import Rung, Rungs, rungs_of
from .text import clean, common_dtype, shorten, text_width
from .wires import Wire, bus, head, in_order, lanes, path

FONTS = "DejaVu Sans, Verdana, Arial, sans-serif"
LABEL, LINE, NOTE, HEADING = 15.0, 12.0, 11.5, 13.0  # font sizes
MARGIN, ROW_GAP, PORT, TRACK = 24.0, 20.0, 12.0, 16.0
SHARE = 34  # characters of a line in a gradient's box


def stand_alone(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that say nothing about a ladder; ``DrawingError`` where such a one is given."""
    others = ("route", "values", "gradients", "dtypes", "scopes")
    for name in others:
        if options.get(name) is not None and options[name] is not False:
            raise DrawingError(
                f"draw: ladder and {name} in one picture: a ladder shows what the way back reads, not {name}. Leave one of them out."
            )
    if options.get("engine", "auto") not in ("auto", "builtin"):
        raise DrawingError(f"draw: ladder and engine={options['engine']!r}: a ladder has a layout of its own. Leave engine out.")
    return {k: v for k, v in options.items() if k not in (*others, "engine")}


def ladder(graph: Record, *, theme: str = "light", title: str | None = None) -> str:
    """The ladder as SVG text.

    theme:  "light" or "dark"
    title:  a heading; without one the picture is called after the output

    Raises ``DrawingError`` for more than 40 nodes and for a theme that there is not, and as ``reads`` does.
    """
    palette, rungs = palette_of(theme), rungs_of(graph)
    plan = _Plan(rungs)
    heading = clean(title) if title else ""
    top = MARGIN + (34 if heading else 0)
    width = math.ceil(max(plan.width, 560.0, text_width(heading, 19)) + 2 * MARGIN)
    foot, foot_height = _foot(_legend(rungs, palette), rungs, width - 2 * MARGIN)
    below = top + plan.height + 26
    height = math.ceil(below + foot_height + MARGIN)
    name = heading or f"Ladder of {clean(graph.nodes[-1].label)}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(name)}" font-family="{FONTS}" fill="{palette.ink}">',
        f"<title>{escape(name)}</title>",
        f"<desc>{escape(_description(rungs))}</desc>",
        f'<rect width="{width}" height="{height}" fill="{palette.paper}"/>',
    ]
    if heading:
        body.append(
            f'<text x="{_n(width / 2)}" y="{_n(MARGIN + 14)}" text-anchor="middle" font-size="19">{escape(heading)}</text>'
        )
    body.append(f'<g transform="translate({_n((width - plan.width) / 2)} {_n(top)})">')
    body += [_draw_heading("forward ↓", plan.fore[0].x, palette), _draw_heading("backward ↑", plan.back_x, palette)]
    body += _draw_flow("forward", plan.forward, palette.faint)
    body += _draw_flow("backward", plan.backward, palette.lanes["above"])
    body += [_draw_reads(rungs, plan, row, palette) for row in rungs.read]
    for row, r in enumerate(rungs.rows):
        body.append(_draw_value(r, plan.fore[row], palette))
        if row in plan.aft:
            body.append(_draw_gradient(r, plan.aft[row], palette))
    body += ["</g>", f'<g class="legend" transform="translate({_n(MARGIN)} {_n(below)})" font-size="{_n(NOTE)}">{foot}</g>']
    return "\n".join([*body, "</svg>\n"])


def _description(rungs: Rungs) -> str:
    said = [
        f"{clean(rungs.rows[k].label)} is read for {', '.join(clean(rungs.rows[j].back or '') for j in who)}"
        for k, who in rungs.read.items()
    ]
    return " ".join([*(f"{s}." for s in said), *rungs.notes])


# Where everything goes ------------------------------------------------------------------------------------


def _lines_width(r: Rung) -> float:
    top = text_width(r.label, LABEL) * 1.1 + 14 + text_width(r.shape, LINE)  # the label is bold
    return max([top, *(text_width(line, LINE) for line in r.lines)])


def _back_width(r: Rung) -> float:
    top = text_width(r.back or "", LABEL) * 1.1 + 14 + text_width(r.shape, LINE)
    return max([top, *(text_width(shorten(line, SHARE), LINE) for line in r.shares)])


class _Plan:
    """Boxes of one width in two columns, the two of a rung at one height; wires beside and between them."""

    def __init__(self, rungs: Rungs) -> None:
        rows = rungs.rows
        self.rungs = rungs
        across = [k for k, who in rungs.read.items() if who != (k,)]  # those that need a track
        tracks = self._side_by_side(in_order(across, self._crossings))
        count = 1 + max(tracks.values(), default=-1)
        fore_wide = max(_lines_width(r) for r in rows) + 22
        back_wide = max((_back_width(r) for r in rows if r.back), default=60.0) + 22
        aft_rows = [k for k, r in enumerate(rows) if r.back]
        down, up = _far(rungs.forward, range(len(rows))), _far(rungs.backward, aft_rows)
        left_lanes, right_lanes = lanes(_spans(down)), lanes(_spans(up))
        left = (max(left_lanes.values(), default=-1) + 1) * PORT + (14 if left_lanes else 0)
        gap = max(count * TRACK + 46, 96.0)
        right = (max(right_lanes.values(), default=-1) + 1) * PORT + (14 if right_lanes else 0)
        self.width = left + fore_wide + gap + back_wide + right
        y = HEADING + 14
        self.fore: dict[int, Box] = {}
        self.aft: dict[int, Box] = {}
        for k, r in enumerate(rows):
            h = max(self._needs(k, down, up), LABEL + 13 + max(len(r.lines), len(r.shares) if r.back else 0) * (LINE + 4))
            self.fore[k] = Box(left + fore_wide / 2, y + h / 2, fore_wide, h)
            if r.back:
                self.aft[k] = Box(left + fore_wide + gap + back_wide / 2, y + h / 2, back_wide, h)
            y += h + ROW_GAP
        self.height = y - ROW_GAP
        self.back_x = left + fore_wide + gap + back_wide / 2
        start = left + fore_wide + (gap - 8 - (count - 1) * TRACK) / 2
        self.track = {k: start + i * TRACK for k, i in tracks.items()}
        self.read = self._reads()
        self.forward = _flow(rungs.forward, self.fore, down, left_lanes, -1)
        self.backward = _flow(rungs.backward, self.aft, up, right_lanes, 1)

    def _needs(self, row: int, down: Mapping[int, list[int]], up: Mapping[int, list[int]]) -> float:
        """How high a box must be for the wires that end at one of its sides."""
        above = sum(row in who and k < row for k, who in self.rungs.read.items())
        below = sum(row in who and k > row for k, who in self.rungs.read.items())
        beside = max(sum(row in ends for ends in flow.values()) + (row in flow) for flow in (down, up))
        return PORT * max(2 * max(above, below) + 1, beside)

    def _crossings(self, a: int, b: int) -> float:
        """How many wires cross where the track of ``a`` is left of that of ``b``: what leaves a to the right, what comes to b."""
        (a_low, a_high), (b_low, b_high) = self._span(a), self._span(b)
        out = [self._height(a, row) for row in self.rungs.read[a] if row != a]
        count = sum(b_low < y < b_high for y in out)
        return count + (b not in self.rungs.read[b] and a_low < b < a_high)

    def _side_by_side(self, order: list[int]) -> dict[int, int]:
        """How far to the right each track is: as far left as those before it in the order allow. Distant ones share a place."""
        found: dict[int, int] = {}
        for k in order:
            low, high = self._span(k)
            near = (found[j] for j in found if self._span(j)[0] < high + 0.5 and low < self._span(j)[1] + 0.5)
            found[k] = 1 + max(near, default=-1)
        return found

    def _height(self, k: int, row: int) -> float:
        """About where a wire from rung k arrives, in rows: what comes from above ends above."""
        return row - 0.2 if k < row else row + 0.2

    def _span(self, k: int) -> tuple[float, float]:
        ys = [k, *(self._height(k, row) for row in self.rungs.read[k] if row != k)]
        return min(ys), max(ys)

    def _reads(self) -> dict[int, tuple[list[Wire], list[Point]]]:
        """From each value that is kept to the gradients computed from it."""
        read = self.rungs.read
        ends: dict[int, dict[int, Point]] = {k: {} for k in read}
        for row, box in self.aft.items():
            arriving = [k for k, who in read.items() if row in who]
            above = sorted((k for k in arriving if k < row), key=lambda k: -self.track[k])
            below = sorted((k for k in arriving if k > row), key=lambda k: self.track[k])
            for k, y in _ports(box.y, above, [row] * (row in read), below).items():
                if k in arriving:
                    ends[k][row] = (box.left, y)
        found = {}
        for k in read:
            origin = (self.fore[k].right, self.fore[k].y)
            found[k] = bus(origin, self.track.get(k, origin[0]), ends[k])
        return found


def _ports(y: float, above: list[int], level: list[int], below: list[int]) -> dict[int, float]:
    """Heights around y, from top to bottom; a level one has y itself."""
    if level:
        return {
            **{k: y - PORT * (len(above) - i) for i, k in enumerate(above)},
            **dict.fromkeys(level, y),
            **{k: y + PORT * (i + 1) for i, k in enumerate(below)},
        }
    every = [*above, *below]
    return {k: y + PORT * (i - (len(every) - 1) / 2) for i, k in enumerate(every)}


def _far(pairs: tuple[tuple[int, int], ...], column: range | list[int]) -> dict[int, list[int]]:
    """What does not go from one box of the column to the next: by origin, the targets."""
    at = {row: i for i, row in enumerate(column)}
    found: dict[int, list[int]] = {}
    for a, b in pairs:
        if abs(at[a] - at[b]) > 1:
            found.setdefault(a, []).append(b)
    return found


def _spans(far: Mapping[int, list[int]]) -> dict[int, tuple[int, int]]:
    return {k: (min(k, *ends), max(k, *ends)) for k, ends in far.items()}


@dataclass(frozen=True)
class _Flow:
    wires: list[Wire]
    joints: list[Point]


def _flow(
    pairs: tuple[tuple[int, int], ...], boxes: Mapping[int, Box], far: Mapping[int, list[int]], lane: Mapping[int, int], side: int
) -> dict[int, _Flow]:
    """The wires along one column, by origin: straight to the next box, and by a lane on the left (−1) or right (1) to others."""
    found = {a: _Flow([], []) for a, _ in pairs}
    for a, b in pairs:
        if b not in far.get(a, ()):
            down = boxes[b].y > boxes[a].y
            start, stop = (boxes[a].bottom, boxes[b].top) if down else (boxes[a].top, boxes[b].bottom)
            found[a].wires.append(Wire(((boxes[a].x, start), (boxes[b].x, stop)), b))
    edge = {k: box.left if side < 0 else box.right for k, box in boxes.items()}
    heights: dict[tuple[int, int], float] = {}
    for row, box in boxes.items():
        arriving = [k for k, ends in far.items() if row in ends]
        leaving = [row] * (row in far)
        down = side < 0
        arriving.sort(key=lambda k: lane[k] if down else -lane[k])
        above, below = (arriving, leaving) if down else (leaving, arriving)
        for k, y in _ports(box.y, above, [], below).items():
            heights[k, row] = y
    for a, ends in far.items():
        track = edge[a] + side * (14 + PORT * lane[a])
        wires, joints = bus((edge[a], heights[a, a]), track, {b: (edge[b], heights[a, b]) for b in ends})
        found[a].wires.extend(wires)
        found[a].joints.extend(joints)
    return found


# The pen ------------------------------------------------------------------------------------------------


def _draw_heading(text: str, x: float, palette: Palette) -> str:
    return (
        f'<text x="{_n(x)}" y="{_n(HEADING)}" text-anchor="middle" font-size="{_n(HEADING)}" fill="{palette.faint}">{text}</text>'
    )


def _draw_wires(wires: list[Wire], joints: list[Point], color: str, stroke: float, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    parts = []
    for w in wires:
        parts.append(f'<path d="{path(w.points)}" fill="none" stroke="{color}" stroke-width="{_n(stroke)}"{dashes}/>')
        parts.append(f'<polygon points="{head(w.points)}" fill="{color}"/>')
    parts += [f'<circle cx="{_n(x)}" cy="{_n(y)}" r="2.6" fill="{color}"/>' for x, y in joints]
    return "".join(parts)


def _draw_flow(kind: str, flows: Mapping[int, _Flow], color: str) -> list[str]:
    return [f'<g class="{kind}">{_draw_wires(f.wires, f.joints, color, 1.5)}</g>' for f in flows.values()]


def _read_style(state: str, palette: Palette) -> tuple[str, float, str]:
    """What was computed and is kept is what matters; what is given is there anyway."""
    return (palette.faint, 1.2, "2 3") if state == "given" else (palette.mark, 1.8, "6 3")


def _draw_reads(rungs: Rungs, plan: _Plan, row: int, palette: Palette) -> str:
    wires, joints = plan.read[row]
    who = ", ".join(rungs.rows[j].back or "" for j in rungs.read[row])
    said = escape(f"{rungs.rows[row].label} is read for {who}")
    drawn = _draw_wires(wires, joints, *_read_style(rungs.rows[row].state, palette))
    ends = " ".join(str(rungs.rows[w.end].node.id) for w in wires)
    return f'<g class="read" data-node="{rungs.rows[row].node.id}" data-for="{ends}"><title>{said}</title>{drawn}</g>'


def _draw_box(box: Box, rect: str, color: str, label: str, shape: str, lines: tuple[str, ...]) -> str:
    y = box.y - (LABEL + len(lines) * (LINE + 4)) / 2 + LABEL - 2.5
    fill = f' fill="{color}"'
    parts = [
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.w)}" height="{_n(box.h)}" rx="7" {rect}/>',
        f'<text x="{_n(box.left + 11)}" y="{_n(y)}" font-size="{_n(LABEL)}" font-weight="bold"{fill}>{escape(label)}</text>',
        f'<text x="{_n(box.right - 11)}" y="{_n(y)}" font-size="{_n(LINE)}" text-anchor="end"{fill}>{escape(shape)}</text>',
    ]
    for k, line in enumerate(lines, 1):
        parts.append(
            f'<text x="{_n(box.left + 11)}" y="{_n(y + k * (LINE + 4))}" font-size="{_n(LINE)}"{fill}>{escape(line)}</text>'
        )
    return "".join(parts)


def _value_style(r: Rung, palette: Palette) -> tuple[str, str]:
    """The attributes of its box, and the colour of what stands in it."""
    fill = palette.fills[r.role]
    if r.state == "kept":
        return f'fill="{fill}" stroke="{palette.mark}" stroke-width="2.2"', palette.ink
    if r.state == "given" or r.role == "output":
        return f'fill="{fill}" stroke="{palette.border}" stroke-width="1.2"', palette.ink
    return f'fill="{palette.paper}" stroke="{palette.border}" stroke-width="1.2" stroke-dasharray="4 3"', palette.faint


def _draw_value(r: Rung, box: Box, palette: Palette) -> str:
    rect, color = _value_style(r, palette)
    said = f"{r.whole}: {r.state}"
    return (
        f'<g class="value {r.state}" data-node="{r.node.id}"><title>{escape(said)}</title>'
        f"{_draw_box(box, rect, color, r.label, r.shape, r.lines)}</g>"
    )


def _draw_gradient(r: Rung, box: Box, palette: Palette) -> str:
    role = r.role if r.node.op is None or r.role == "output" else "value"
    rect = f'fill="{palette.fills[role]}" stroke="{palette.border}" stroke-width="1.2"'
    said = f"{r.back} {' '.join(r.shares)}".strip()
    return (
        f'<g class="gradient" data-node="{r.node.id}"><title>{escape(said)}</title>'
        f"{_draw_box(box, rect, palette.ink, r.back or '', r.shape, tuple(shorten(line, SHARE) for line in r.shares))}</g>"
    )


# Legend -----------------------------------------------------------------------------------------------


def _legend(rungs: Rungs, palette: Palette) -> list[list[tuple[str, str]]]:
    """Symbols and what they mean, only as far as they occur: those of boxes, of wires, of formulas."""

    def swatch(rect: str) -> str:
        return f'<rect y="-10" width="20" height="12" rx="3" {rect}/>'

    def stroke(color: str, dash: str = "") -> str:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return f'<path d="M0 -4H26" fill="none" stroke="{color}" stroke-width="1.8"{dashes}/>'

    computed = {r.state: r for r in rungs.rows if r.role != "output"}
    roles = {r.role: r for r in rungs.rows}
    words = {"kept": "kept: the way back reads it", "dropped": "may be dropped"}
    boxes = [(swatch(_value_style(computed[s], palette)[0]), said) for s, said in words.items() if s in computed]
    boxes += [
        (swatch(_value_style(roles[r], palette)[0]), r)
        for r in ("input", "parameter", "leaf", "cotangent", "constant")
        if r in roles
    ]
    wires = [(stroke(palette.faint), "forward"), (stroke(palette.lanes["above"]), "backward")]
    for said, given in (("a kept value is read", False), ("a given value is read", True)):
        state = next((s for k in rungs.read if ((s := rungs.rows[k].state) == "given") == given), None)
        if state:
            color, _, dash = _read_style(state, palette)
            wires.append((stroke(color, dash), said))
    shown, edges = " ".join(line for r in rungs.rows for line in r.shares), rungs.graph.edges
    formulas = [
        ("", said)
        for sign, said, occurs in (
            ("×", "×… local derivative", True),
            ("Σ", "Σ summed over broadcast axes", any(e.summed for e in edges)),
            ("[", "[op] by that op's rule", any(not e.rule or e.rule.startswith("[") for e in edges)),
        )
        if occurs and sign in shown
    ]
    dtype = common_dtype(rungs.graph)
    return [boxes, wires, [*formulas, ("", f"all {clean(dtype)}")] if dtype else formulas]


def _foot(groups: list[list[tuple[str, str]]], rungs: Rungs, limit: float) -> tuple[str, float]:
    """The legend in rows, and the notes below it, wrapped."""
    parts, y = [], -10.0
    for items in groups:
        x, y = 0.0, y + 20
        for symbol, said in items:
            shift = 32.0 if "M0" in symbol else 26.0 if symbol else 0.0
            long = shift + text_width(said, NOTE)
            if x and x + long > limit:
                x, y = 0.0, y + 20
            parts.append(f'<g transform="translate({_n(x)} {_n(y)})">{symbol}<text x="{_n(shift)}">{escape(said)}</text></g>')
            x += long + 20
    y += 8
    for note in rungs.notes:
        for line in _wrapped(note, limit):
            y += 18
            parts.append(f'<text y="{_n(y)}" font-size="{_n(LINE)}" font-weight="bold">{escape(line)}</text>')
    return "".join(parts), y


def _wrapped(text: str, limit: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, LINE) * 1.1 > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
