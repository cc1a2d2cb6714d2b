"""The story as pictures, one a step: for a talk, or to be put together as a film."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any

from ..graph import Elements, Record
from ..graph.folding import plainly
from .compose import Picture, compose, line_widths
from .geometry import Size
from .geometry import coordinate as n
from .palette import DARK, DrawingError, Palette, palette_of
from .pen import PLAIN, Pen
from .steps import Matrix, Step, steps_of
from .svg import PALE, Look, elements, sheet
from .text import text_width

SAID, CELL, ROW, GAP = 17.0, 11.0, 19.0, 26.0
SEEN = ' opacity="0.8"'


def frames(graph: Record, *, gradients: Any = None, title: str | None = None, theme: str = "light") -> Iterator[tuple[str, str]]:
    """Name and SVG of each step, all of one size: ``("007_forward.svg", "<svg …")``. Options as for ``explorer``."""
    pen = Pen(palette_of(theme))
    if isinstance(graph, Elements):
        raise DrawingError("draw: the steps are told of whole tensors, and show their numbers; leave out elements.")
    graph = plainly(graph)
    dy = graph.cotangent(None if gradients is True else gradients)
    back = replace(compose(graph), widths=line_widths(graph, dy))
    forth = replace(back, widths=dict.fromkeys(back.widths, PLAIN))  # no gradient is known yet
    story = [s for s in steps_of(graph, dy) if not s.options]
    turn = next(k for k, s in enumerate(story) if s.phase == "seed")
    wide = max(back.layout.width, 900.0)
    told = [_told(pen, s, wide) for s in story]
    room = (max(size[0] for _, size in told), max(size[1] for _, size in told))
    digits = max(3, len(str(len(story))))
    for k, s in enumerate(story):
        before = story[: k + 1] if k < turn else story[turn : k + 1]
        picture = back if k > turn else forth
        drawn = elements(picture, pen, _look(graph, s, before, backwards=k > turn))
        drawn.append(_outline(pen, picture, s.node))
        yield f"{k + 1:0{digits}}_{s.phase}.svg", sheet(picture, pen, drawn, title, None, (told[k][0], room))


def _look(graph: Record, now: Step, before: list[Step], backwards: bool) -> Look:
    nodes, edges = {s.node for s in before}, {e for s in before for e in s.edges}
    pale = Look.only(graph, nodes, edges, PALE)
    seen_nodes = {i: SEEN for i in nodes if i != now.node}
    seen_edges = {k: SEEN for k in edges if k not in now.edges}
    return Look({**pale.nodes, **seen_nodes}, {**pale.edges, **seen_edges}, edges if backwards else ())


def _outline(pen: Pen, picture: Picture, i: int) -> str:
    box = picture.layout.boxes[i]
    return (
        f'<rect x="{n(box.left)}" y="{n(box.top)}" width="{n(box.w)}" height="{n(box.h)}" rx="8" fill="none" '
        f'stroke="{pen.ink.mark}" stroke-width="{n(2 * PLAIN)}"/>'
    )


def _told(pen: Pen, s: Step, wide: float) -> tuple[str, Size]:
    """The sentence, what is new, and the matrices side by side."""
    drawn, y = [], 16.0
    for text, points, color in ((s.text, SAID, pen.ink.ink), (s.changed, 14.0, pen.ink.faint)):
        for line in textwrap.wrap(text, max(20, int(wide / (0.62 * points)))):
            drawn.append(pen.text(0, y, points, line, f' fill="{color}"'))
            y += points + 6
    for most in (8, 6, 4, 3, 2):
        shown = [_heat(pen, m.first(most)) for m in s.matrices]
        if sum(size[0] + GAP for _, size in shown) <= wide + GAP:
            break
    x = 0.0
    for picture, size in shown:
        drawn.append(f'<g transform="translate({n(x)} {n(y)})">{picture}</g>')
        x += size[0] + GAP
    return "".join(drawn), (max(x - GAP, wide), y + max((size[1] for _, size in shown), default=0.0))


def _heat(pen: Pen, m: Matrix) -> tuple[str, Size]:
    head = f"{m.title}  {m.shape}" + (f"  ({m.cut})" if m.cut else "")
    column = max([text_width(v, CELL) for row in m.cells for v in row], default=0.0) + 10
    drawn = [pen.text(0, 12, 12, head, f' fill="{pen.ink.faint}"')]
    for i, (row, shades) in enumerate(zip(m.cells, m.shades)):
        for j, (v, shade) in enumerate(zip(row, shades)):
            x, y = j * column, 18 + i * ROW
            fill, ink = heat_colour(shade, pen.ink)
            drawn.append(
                f'<rect x="{n(x)}" y="{n(y)}" width="{n(column)}" height="{n(ROW)}" fill="{fill}" stroke="{pen.ink.border}" '
                f'stroke-width="0.6"/><text x="{n(x + column - 5)}" y="{n(y + 13.5)}" font-size="{n(CELL)}" text-anchor="end" '
                f'fill="{ink}">{escape(v)}</text>'
            )
    columns = len(m.cells[0]) if m.cells else 0
    return "".join(drawn), (max(columns * column, text_width(head, 12)), 24 + len(m.cells) * ROW)


def heat_colour(shade: float, ink: Palette) -> tuple[str, str]:
    """The colour of a cell, and of what stands in it: blue from 0 to 1, orange from 0 to −1, as on the page."""
    size = abs(shade)
    dark = ink is DARK
    light = (15 + 22 * size if dark else 97 - 37 * size) / 100
    return _hsl(205 if shade >= 0 else 24, (25 + 65 * size) / 100, light), "#ffffff" if dark else "#111111"


def _hsl(hue: float, saturation: float, light: float) -> str:
    span = saturation * min(light, 1 - light)

    def part(k: float) -> str:
        at = (k + hue / 30) % 12
        return f"{math.floor(255 * (light - span * max(-1.0, min(at - 3, 9 - at, 1.0))) + 0.5):02x}"

    return f"#{part(0)}{part(8)}{part(4)}"
