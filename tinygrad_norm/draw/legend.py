"""What fills, strokes, letters and signs mean, only as far as they occur in a picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from ..graph import Edge, Elements, Folded, Record, along
from ..graph.aligned import Family
from ..graph.levels import Level
from ..graph.routes import counted, named_paths
from ..graph.through import on_edges
from .geometry import Box, Layout, Line, Point, Size
from .geometry import coordinate as n
from .pen import NOTE, WIDTHS, Pen
from .plan import Branch, plan_lanes
from .text import clean, common_dtype, text_width

MOST_LETTERS = 12
Named = tuple[str, str, tuple[Edge, ...]]  # a route: letter, title, edges
ROW = 20.0


@dataclass(frozen=True)
class Mark:
    """A stretch of lines that the same routes go along, or a route that has no stretch of its own.

    letter, title:  of the route after which its lane is called; no title: it is called after another stretch's
    lane:      in which lane it goes; "" for a route without one
    letters:   of all routes that go along it
    at:        where the letters fit, if anywhere
    said:      of a route without a lane, which others it is made of
    """

    letter: str
    title: str
    lane: str
    letters: str
    at: Point | None
    said: str = ""


def route_marks(graph: Record, layout: Layout) -> list[Mark]:
    """The letters of the routes on each stretch, as in the table of routes; the first route through a branch gives it its name."""
    plan = plan_lanes(graph)
    routes = few_routes(graph) if plan is not None else []
    if plan is None or not routes:
        return []
    on_it = [on_edges(graph, edges)[1] for _, _, edges in routes]
    lanes = [("spine", frozenset(plan.spine[1:]))] if _ways(graph, plan.spine) == 1 else []
    lanes += [("above" if b.row < 0 else "below", frozenset(b.nodes)) for b in plan.branches]
    marks: list[Mark] = []
    taken: list[Box] = []
    for lane, nodes in lanes:
        passed = [{graph.edges[k].target for k in on} for on in on_it]
        first = next(
            (r for r, there in zip(routes, passed) if nodes & there and (lane != "spine" or nodes >= there)),
            None,
        )
        if first is None:
            continue
        mine = [k for k, (e, line) in enumerate(zip(graph.edges, layout.lines)) if line.lane == lane and _at(e, nodes)]
        for stretch, letters in _stretches(graph, mine, routes, on_it):
            named = not any(m.letter == first[0] and m.title for m in marks) and first[0] in letters
            spot = _spot(layout, [layout.lines[k] for k in stretch], len(letters), taken)
            if named or spot:
                marks.append(Mark(first[0], clean(first[1]) if named else "", lane, letters, spot))
            taken += _letters_at(spot, letters)
    named_ones = {m.letter for m in marks if m.title}
    if isinstance(graph, Folded):  # inside boxes there is more to them than can be seen
        for letter, title, edges in routes:
            zero = ": sums to zero" if _is_zero(graph.whole, edges, routes) else ""
            marks += [] if letter in named_ones else [Mark(letter, "", "", letter, None, f"{letter} {clean(title)}{zero}")]
    else:
        marks += _made_of_others(graph, layout, plan.branches, routes, named_ones)
    return sorted(marks, key=lambda m: (m.letter, not m.title))


def few_routes(graph: Record) -> list[Named]:
    """The routes from the main input, if they are few enough for letters; a single one needs none."""
    if isinstance(graph, (Elements, Level)) or not graph.main_input.requires_grad:
        return []
    few = 1 < graph.count_routes(graph.main_input) <= MOST_LETTERS
    return named_paths(graph.whole, graph.main_input) if few else []


def first_letters(graph: Record) -> dict[int, str]:
    """The letters of the routes on each edge with which a stretch of theirs begins, but where all go together."""
    return starts_of(graph, {letter: on_edges(graph, edges)[1] for letter, _, edges in few_routes(graph)})


def letters_inside(level: Level) -> dict[int, str]:
    """The same of one box, for the routes of the whole record."""
    if level.whole not in _FEW:
        _FEW[level.whole] = few_routes(level.whole)
    return starts_of(level, {letter: on_edges(level, edges)[1] for letter, _, edges in _FEW[level.whole]})


_FEW: WeakKeyDictionary[Record, list[Named]] = WeakKeyDictionary()  # they are asked for at every level


def starts_of(graph: Record, routes: Mapping[str, Collection[int]]) -> dict[int, str]:
    """Where stretches of routes begin, given the edges that each goes along: the letters of all that go there."""
    if not routes:
        return {}
    letters = {k: "".join(r for r, on in routes.items() if k in on) for k in range(len(graph.edges))}
    before: dict[int, set[str]] = {}
    for k, e in enumerate(graph.edges):
        before.setdefault(e.target, set()).add(letters[k])
    return {k: s for k, s in letters.items() if 0 < len(s) < len(routes) and s not in before.get(graph.edges[k].source, ())}


def route_words(graph: Record) -> list[Mark]:
    """What each letter means, for a legend without lanes."""
    routes = few_routes(graph)
    zero = [": sums to zero" if _is_zero(graph, edges, routes) else "" for _, _, edges in routes]
    return [Mark(letter, "", "", letter, None, f"{letter} {clean(title)}{z}") for (letter, title, _), z in zip(routes, zero)]


def _stretches(
    graph: Record, edges: Sequence[int], routes: Sequence[Named], on_it: Sequence[set[int]]
) -> Iterator[tuple[list[int], str]]:
    """Edges in a row that the same routes go along, with the letters of these."""
    stretch: list[int] = []
    before = ""
    for k in edges:
        letters = "".join(r[0] for r, on in zip(routes, on_it) if k in on)
        if letters != before and stretch:
            yield stretch, before
            stretch = []
        stretch = [*stretch, k] if letters else []
        before = letters
    if stretch:
        yield stretch, before


def _made_of_others(
    graph: Record, layout: Layout, branches: Sequence[Branch], routes: Sequence[Named], named: set[str]
) -> list[Mark]:
    """A route without a lane of its own goes along several branches: it is told at the node where they meet."""
    letters = {b: next((r[0] for r in routes if r[0] in named and set(b.nodes) & {e.target for e in r[2]}), "") for b in branches}
    found = []
    for letter, _, edges in routes:
        passed = [b for b in branches if set(b.nodes) & {e.target for e in edges}]
        parts = [letters[b] for b in sorted(passed, key=lambda b: -b.start)]  # as the gradient meets them
        if letter in named or len(parts) < 2 or not all(parts) or len(set(parts)) < len(parts):
            continue
        meets = next((e.target for e in edges if e.source in passed[0].nodes and e.target not in passed[0].nodes), None)
        box = layout.boxes[meets] if meets is not None else None
        zero = ": sums to zero" if _is_zero(graph, edges, routes) else ""
        said = f"{letter} = {', then '.join(parts)}{zero}"
        found.append(Mark(letter, "", "", letter, (box.right - 4, box.bottom + 2) if box else None, said))
    return found


def _is_zero(graph: Record, edges: Sequence[Edge], routes: Sequence[Named]) -> bool:
    """Whether its share is nothing but rounding, beside the largest of all routes."""
    dy = graph.cotangent()
    sizes = [float(np.linalg.norm(np.asarray(along(graph, r[2], dy), np.float64))) for r in routes]
    mine = sizes[next(k for k, r in enumerate(routes) if r[2] == edges)]
    eps = float(np.finfo(dy.dtype).eps) if dy.dtype.kind == "f" else 0.0
    return 0 <= mine <= 64 * eps * max(sizes)


def _ways(graph: Record, spine: Sequence[int]) -> int:
    """How many routes go along the spine all the way: a·a has two."""
    count = Counter((e.source, e.target) for e in graph.edges)
    return math.prod(count[pair] for pair in pairwise(spine))


def _at(edge: Edge, nodes: frozenset[int]) -> bool:
    return edge.source in nodes or edge.target in nodes


def _spot(layout: Layout, lines: Sequence[Line], count: int, taken: Sequence[Box]) -> Point | None:
    """Where so many letters fit on a straight stroke: the middle of the first one of them."""
    others = [line.label for line in layout.lines if line.label] + list(layout.boxes) + list(taken)
    for line in lines:
        for (x1, y1), (x2, y2) in pairwise(line.points):
            level, upright = abs(y1 - y2) < 0.1, abs(x1 - x2) < 0.1
            if not (level or upright) or abs(x1 - x2) + abs(y1 - y2) < 12 + 18 * count:
                continue
            for t in (0.5, 0.3, 0.7, 0.15):
                x, y = x1 + t * (x2 - x1), y1 + t * (y2 - y1)
                wide, high = (18 * count, 18) if level else (18, 18 * count)
                spot = Box(x, y, wide, high)
                inside = min(x1, x2) - 1 <= spot.left and spot.right <= max(x1, x2) + 1 if level else True
                if inside and not any(spot.overlaps(b) for b in others):
                    return (x - 9 * (count - 1), y) if level else (x, y - 9 * (count - 1))
    return None


def _letters_at(spot: Point | None, letters: str) -> list[Box]:
    return [Box(spot[0] + 18 * k, spot[1], 18, 18) for k in range(len(letters))] if spot else []


def legend(
    graph: Record,
    layout: Layout,
    pen: Pen,
    marks: Sequence[Mark],
    *,
    widths: bool,
    notes: Sequence[str],
    limit: float | None = None,
) -> tuple[str, Size]:
    """The legend's elements, and the room they take; with a ``limit`` they are no wider, in as many rows as it takes."""
    groups = legend_items(graph, layout, pen, marks, widths=widths, notes=notes)
    limit = max(layout.width, 620.0 if limit is None else limit)
    return _rows([[part for item in group for part in _broken(*item, limit)] for group in groups], limit)


Item = tuple[float, str, str]


def legend_items(
    graph: Record, layout: Layout, pen: Pen, marks: Sequence[Mark], *, widths: bool, notes: Sequence[str]
) -> tuple[list[Item], list[Item]]:
    """What it consists of: how wide a sign is, the sign, and what it means; first what boxes and lines are, then all else."""
    ink = pen.ink
    drawn = [graph, *(m.graph for m in graph.members)] if isinstance(graph, Family) else [graph]
    roles = {node.role for g in drawn for node in g.nodes}
    items = [
        (18.0, f'<rect class="role" data-role="{role}" y="-10" width="18" height="12" rx="3" fill="{fill}" stroke="{ink.border}"/>', role)
        for role, fill in ink.fills.items()
        if role in roles or (role == "output" and layout.kind == "nested")
    ]  # fmt: skip
    for lane, name in lane_names(graph, layout, marks).items():
        items.append((24.0, f'<g class="edge-sample" data-lane="{lane or "side"}">{pen.sample(lane)}</g>', name))
    items += [(0.0, "", m.said) for m in marks if m.said]
    signs: list[Item] = []
    rules = {e.rule for e in graph.edges}
    if any("×" in r or "@" in r for r in rules):
        into_boxes = "" in rules and any(node.op == "fold" for node in graph.nodes)
        signs.append((0.0, "", f"×… local derivative (none: {'×1, or into a box' if into_boxes else '×1'})"))
    if any(r.startswith("[") for r in rules):
        signs.append((0.0, "", "[op] that operation's own rule"))
    if any(e.summed for e in graph.edges):
        signs.append((18.0, pen.sum_badge(8, -4, ink.ink), "its gradient is summed over the broadcast axis"))
    if not all(graph.passes(k) for k in range(len(graph.edges))):
        bars = f'<path class="barrier" d="M6 -10V2M10 -10V2" stroke="{ink.lanes[""]}" stroke-width="2"/>'
        signs.append((18.0, bars, "nothing flows back here"))
    if widths:
        strokes = "".join(
            f'<g class="edge-sample" data-lane="side" transform="translate({30 * k} 0)">{pen.sample("", w)}</g>'
            for k, w in enumerate(WIDTHS)
        )
        signs.append((114.0, strokes, "gradient: over ½ (or not finite), 1/10, 1/100 of the largest here, and less"))
    signs += [(0.0, "", note) for note in notes]
    dtype = common_dtype(graph)
    counts = graph.note if isinstance(graph, (Folded, Elements)) else f"{len(graph.nodes)} nodes, {len(graph.edges)} edges"
    signs.append((0.0, "", f"{counts}, all {clean(dtype)}" if dtype else counts))
    return items, signs


def _rows(groups: Sequence[Sequence[tuple[float, str, str]]], limit: float) -> tuple[str, Size]:
    drawn, width, y = [], 0.0, 0.0
    for group in groups:
        x = 0.0
        for room, symbol, text in group:
            shift = room + 6 if symbol else 0.0
            long = shift + text_width(text, NOTE)
            if x and x + long > limit:
                x, y = 0.0, y + ROW
            drawn.append(f'<g transform="translate({n(x)} {n(y + 10)})">{symbol}<text x="{n(shift)}">{escape(text)}</text></g>')
            x += long + 20
            width = max(width, x - 20)
        y += ROW
    return "".join(drawn), (width, y)


def _broken(room: float, symbol: str, text: str, limit: float) -> list[tuple[float, str, str]]:
    """An item of the legend, in as many lines as it takes; a symbol stands before the first."""
    lines = _wrapped(text, limit - (room + 6 if symbol else 0.0))
    return [(room, symbol, lines[0]), *((0.0, "", line) for line in lines[1:])]


def _wrapped(text: str, limit: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, NOTE) > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def lane_names(graph: Record, layout: Layout, marks: Sequence[Mark]) -> dict[str, str]:
    """What to call each lane: by its route's letter and title, or by the scope it was recorded in."""
    used = {line.lane for line in layout.lines}
    direct = _direct(graph)
    if layout.kind == "nested":
        return {
            lane: name for lane, name in (("spine", direct), ("above", "branch above"), ("below", "branch below")) if lane in used
        }
    plan = plan_lanes(graph.whole if isinstance(graph, Elements) else graph)
    ways = _ways(graph, plan.spine) if plan and not isinstance(graph, Elements) else 1
    names = {"spine": direct if ways == 1 else f"{counted(ways)} routes"} if "spine" in used else {}
    for lane, sign in (("above", -1), ("below", 1)):
        if plan and lane in used:
            found = {b.name for b in plan.branches if b.row * sign > 0 and plan.routed & set(b.nodes)}
            only = found.pop() if len(found) == 1 else ""
            names[lane] = f"through {clean(only)}" if only else f"branch {lane}"
    for lane in list(names):
        here = [m for m in marks if m.lane == lane and m.title]
        if len(here) == 1:
            names[lane] = f"{here[0].letter} {here[0].title if lane != 'spine' else direct}"
        elif here:
            names[lane] = f"{', '.join(m.letter for m in here)} {names[lane]}"
    return dict(sorted(names.items(), key=lambda item: item[1] if marks else ""))


def _direct(graph: Record) -> str:
    """What the line through is: the direct route, or where these are more than there are letters for, one of so many."""
    if isinstance(graph, (Elements, Family)):
        return "direct route"
    count = graph.whole.count_routes(graph.whole.main_input)
    return "direct route" if count <= MOST_LETTERS else f"the straightest of {counted(count)} routes"
