"""Boxes in boxes. Each box's inside is laid out by itself; where one is open, what is around it makes room, no more.

Making room is two rising functions, one of x and one of y: between the sides of an open box they stretch, elsewhere they
only shift. So what was apart stays apart, what was in line stays in line, and the page does with its own few lines what
is done here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..graph.boxes import Box as Drawn
from ..graph.bundles import bundled
from ..graph.levels import IN, OUT, Level
from ..graph.through import on_route
from ..graph.tree import Tree
from .compose import Picture, compose
from .geometry import Box, Line, Point, Size
from .geometry import coordinate as n
from .pen import NOTE, PLAIN, Pen, width_of
from .text import edge_label, edge_words, norm, text_width

PAD, HEAD = 14.0, 26.0  # inside a frame: at its sides, and above for its title
ROOM, TRACK, TRACKS = 60.0, 8.0, (8.0, 4.0, 2.5)  # what a row keeps free at its ends; between lines that go on to the next row
ALONE = 90.0  # what is no wider has no row of its own
ROOM_BESIDE = 0.25  # of a row: what may stand beside an only open box
SPARE = 18.0  # of empty height that stays in a row
CLEAR = 2.0  # between a label and its line


@dataclass(frozen=True)
class Placed:
    """The inside of one box, with all that is open in it.

    picture:  what is in it, and where, with everything closed
    boxes, lines:  where it is with what is open
    children:  by node, where its own inside stands: the offset, and the inside
    """

    level: Level
    picture: Picture
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    children: Mapping[int, tuple[Point, Placed]]
    width: float
    height: float


def place(
    tree: Tree, box: Drawn, opened: Collection[Drawn], direction: str = "right", limit: float | None = None, **told: Any
) -> Placed:
    """Lay out a box and what is open in it, wrapped into rows that are no wider than ``limit``; ``told`` as for ``compose``."""
    level = bundled(Level(tree, box))
    picture = compose(level, direction=direction, **told)
    layout = picture.layout
    inner: dict[int, Placed] = {}
    alone = sum(isinstance(item, Drawn) and item in opened for item in level.items) == 1
    for k, item in enumerate(level.items):
        if isinstance(item, Drawn) and item in opened:
            beside = layout.width - layout.boxes[k].w if alone else 0.0
            room = beside if 0 < beside <= ROOM_BESIDE * (limit or 0.0) else ROOM  # in one row with what stands beside it
            inner[k] = place(tree, item, opened, direction, limit and limit - 2 * PAD - room, **told)
    if not inner:
        made = Placed(level, picture, layout.boxes, layout.lines, {}, layout.width, layout.height)
        return wrapped(made, limit) if limit is not None else made
    sizes = {k: frame_size(p, level.nodes[k].label) for k, p in inner.items()}
    fx = rising([(layout.boxes[k].left, layout.boxes[k].right, w) for k, (w, _) in sizes.items()])
    fy = rising([(layout.boxes[k].top, layout.boxes[k].bottom, h) for k, (_, h) in sizes.items()])
    boxes = []
    for k, b in enumerate(layout.boxes):
        w, h = sizes.get(k, (b.w, b.h))
        boxes.append(Box((fx(b.left) + fx(b.right)) / 2, (fy(b.top) + fy(b.bottom)) / 2, w, h))
    children = {k: ((boxes[k].left + PAD, boxes[k].top + HEAD), p) for k, p in inner.items()}
    lines = []
    for j, (e, line) in enumerate(zip(level.edges, layout.lines)):
        start, end = _port(level, children, j, e.source, OUT), _port(level, children, j, e.target, IN)
        lines.append(
            _moved(line, fx, fy, layout.boxes[e.source], boxes[e.source], layout.boxes[e.target], boxes[e.target], start, end)
        )
    for j, line in enumerate(lines):
        clear = _clear(line)
        others = [*boxes, *(other.label for other in lines if other is not line and other.label)]
        if clear is not None and not any(clear.overlaps(b) for b in others):
            lines[j] = replace(line, label=clear)
    made = Placed(level, picture, tuple(boxes), tuple(lines), children, fx(layout.width), fy(layout.height))
    return wrapped(made, limit) if limit is not None else made


def frame_size(inside: Placed, title: str) -> Size:
    """The room an open box takes."""
    return max(inside.width, text_width(title, NOTE + 2) * 1.1) + 2 * PAD, inside.height + HEAD + PAD


class rising:
    """A function that shifts, and stretches where something grows: each of (from, to, room) gets at least that room."""

    def __init__(self, grown: Sequence[tuple[float, float, float]]) -> None:
        marks = sorted({x for a, b, _ in grown for x in (a, b)})
        self.steps: list[tuple[float, float, float]] = []  # from, to, how much wider
        for a, b in pairwise(marks):
            more = max([w / (right - left) for left, right, w in grown if left <= a and b <= right], default=1.0)
            self.steps.append((a, b, max(more, 1.0) - 1.0))

    def __call__(self, x: float) -> float:
        return x + sum((min(x, b) - a) * more for a, b, more in self.steps if x > a)


def _port(level: Level, children: Mapping[int, tuple[Point, Placed]], k: int, node: int, way: str) -> Point | None:
    """Where the tensor of an edge comes into an open box, or leaves it; None where the box is closed, or has no such port."""
    if node not in children:
        return None
    (x, y), child = children[node]
    i = child.level.inside_of.home(level.passing(k).id)
    ports = child.level.ports if way == IN else child.level.outs
    if i not in ports:
        return None
    at = child.boxes[ports[i]]
    if child.lines and child.lines[0].upright:
        return x + at.x, y + (at.top if way == IN else at.bottom)
    return x + (at.left if way == IN else at.right), y + at.y


def _moved(
    line: Line, fx: rising, fy: rising, source: Box, source_now: Box, target: Box, target_now: Box, start: Point | None, end: Point | None
) -> Line:  # fmt: skip
    """A line where there is room now; its ends at the sides of their boxes, or at the height of the ports of open ones."""
    points = [(fx(x), fy(y)) for x, y in line.points]
    across = 0 if line.upright else 1
    for first, was, now, at in ((True, source, source_now, start), (False, target, target_now, end)):
        old = line.points if first else line.points[::-1]
        new = points if first else points[::-1]
        centre, before = (now.x, now.y)[across], (was.x, was.y)[across]
        level = at[across] if at is not None else centre + old[0][across] - before
        side = (now.bottom if first else now.top) if line.upright else (now.right if first else now.left)
        same = 2 if len(old) > 2 and abs(old[1][across] - old[0][across]) < 0.01 else 1
        moved = [_with(p, across, level) for p in new[:same]]
        outer = [_with(moved[0], 1 - across, side)] if at is None else [at, _with(moved[0], 1 - across, side)]
        kept = [*outer, *moved, *new[same:]]
        points = kept if first else kept[::-1]
    label = line.label
    if label is not None:  # as far from its line as it was
        x, y = fx(label.x), fy(label.y)
        if line.upright:
            x = _at(points, 1, y) + label.x - _at(line.points, 1, label.y)
        else:
            y = _at(points, 0, x) + label.y - _at(line.points, 0, label.x)
        label = replace(label, x=x, y=y)
    apart = points[:1] + [b for a, b in pairwise(points) if math.dist(a, b) > 0.2]
    return Line(tuple(apart), line.smooth, label, line.lane, line.upright)


def _clear(line: Line) -> Box | None:
    """Where its label is beside the line, where that bends under it, too."""
    if line.label is None:
        return None
    label, across = line.label, 0 if line.upright else 1
    along, here, half = 1 - across, (label.x, label.y), (label.w / 2, label.h / 2)
    near = [
        p[across]
        for pair in pairwise(line.points)
        if min(pair[0][along], pair[1][along]) < here[along] + half[along]
        and max(pair[0][along], pair[1][along]) > here[along] - half[along]
        for p in pair
    ]
    if not near:
        return None
    if here[across] <= _at(line.points, along, here[along]):
        there = min(here[across], min(near) - half[across] - CLEAR)
    else:
        there = max(here[across], max(near) + half[across] + CLEAR)
    return replace(label, x=there) if across == 0 else replace(label, y=there)


def _at(points: Sequence[Point], axis: int, x: float) -> float:
    """Where a line is, at a place along it."""
    for p, q in pairwise(points):
        if p[axis] <= x <= q[axis]:
            t = (x - p[axis]) / ((q[axis] - p[axis]) or 1.0)
            return p[1 - axis] + t * (q[1 - axis] - p[1 - axis])
    return points[-1][1 - axis]


def _with(p: Point, axis: int, value: float) -> Point:
    return (value, p[1]) if axis == 0 else (p[0], value)


# Rows -----------------------------------------------------------------------------------------------------------


def wrapped(placed: Placed, limit: float) -> Placed:
    """The same in rows, one under the other, where it is wider than that."""
    if placed.width <= limit or placed.width > 40 * limit or line_is_upright(placed):
        return placed
    boxes, lines, children, width, height = in_rows(placed.boxes, placed.lines, placed.children, placed.width, limit)
    return replace(placed, boxes=boxes, lines=lines, children=children, width=width, height=height)


Rows = tuple[tuple[Box, ...], tuple[Line, ...], dict[int, tuple[Point, Placed]], float, float]


def in_rows(
    boxes: Sequence[Box], lines: Sequence[Line], children: Mapping[int, tuple[Point, Placed]], width: float, limit: float
) -> Rows:
    """What goes to the right, cut where nothing stands, one row under the other; and the width and height of that."""
    made: Rows | None = None
    for track in TRACKS:  # many lines go on to the next row: then rows are shorter, or lines closer
        room = limit - ROOM
        while made is None or (made[3] > limit and room > limit / 2):
            narrower = _in_rows(boxes, lines, children, width, room, track)
            made = narrower if made is None or narrower[3] < made[3] else made
            room -= max((made[3] - limit) / 4, TRACK)
        if made[3] <= limit:
            break
    assert made is not None
    return made


def _in_rows(
    boxes: Sequence[Box],
    lines: Sequence[Line],
    children: Mapping[int, tuple[Point, Placed]],
    width: float,
    room: float,
    track: float,
) -> Rows:
    """The same with rows as long as the room there is, without what goes on to the next."""
    cuts = _cuts(boxes, lines, width, room)
    if not cuts:
        return tuple(boxes), tuple(lines), dict(children), width, max(b.bottom for b in boxes)
    starts = [0.0, *cuts]
    row_of = {k: sum(b.x > c for c in cuts) for k, b in enumerate(boxes)}
    crossing = [[k for k, line in enumerate(lines) if line.points[0][0] < c < line.points[-1][0]] for c in cuts]
    levels: list[close] = []
    tops, y = [], 0.0
    for r in range(len(starts)):
        inside = [boxes[k] for k in row_of if row_of[k] == r]
        inside += [li.label for li in lines if li.label and sum(li.label.x > c for c in cuts) == r]
        ys = [p[1] for li in lines for p in _passed(li, cuts, r)]
        levels.append(close([(b.top, b.bottom) for b in inside] + [(y, y) for y in ys], SPARE))
        tops.append((y, y + levels[r].height))
        y += levels[r].height + 24 + track * (len(crossing[r]) if r < len(cuts) else 0) + 14
    left = track * (1 + max(len(c) for c in crossing))
    widths = [b - a for a, b in zip(starts, [*cuts, width])]
    labels = [line.label for line in lines if line.label]
    right = left + max(widths + [b.right + CLEAR - starts[sum(b.x > c for c in cuts)] for b in labels])

    def there(x: float, y: float, r: int) -> Point:
        return x - starts[r] + left, levels[r](y) + tops[r][0]

    moved = tuple(replace(b, x=there(b.x, b.y, row_of[k])[0], y=there(b.x, b.y, row_of[k])[1]) for k, b in enumerate(boxes))
    drawn = []
    for k, line in enumerate(lines):
        points: list[Point] = []
        r = sum(line.points[0][0] > c for c in cuts)
        for p, q in pairwise((line.points[0], *line.points)):
            while r < len(cuts) and q[0] > cuts[r]:
                place = crossing[r].index(k)
                gutter = tops[r][1] + 24 + track * place
                out, into = right + 4 + track * place, left - 8 - track * place
                points += [there(cuts[r], p[1], r), (out, there(0, p[1], r)[1]), (out, gutter), (into, gutter)]
                r += 1
                points += [(into, there(0, q[1], r)[1]), there(cuts[r - 1], q[1], r)]
            points.append(there(*q, r))
        label = line.label
        if label:
            x, y = there(label.x, label.y, sum(label.x > c for c in cuts))
            label = replace(label, x=x, y=y)
        drawn.append(replace(line, points=tuple(points), label=label))
    held = {k: ((moved[k].left + PAD, moved[k].top + HEAD), p) for k, (_, p) in children.items()}
    most = track * max(len(c) for c in crossing)
    height = max([b.bottom for b in moved] + [p[1] for line in drawn for p in line.points])
    return moved, tuple(drawn), held, right + 4 + most, height


def _passed(line: Line, cuts: Sequence[float], r: int) -> Iterator[Point]:
    """The points of a line in a row, and those where it comes into the row or goes out of it."""
    low, high = (cuts[r - 1] if r else -math.inf), (cuts[r] if r < len(cuts) else math.inf)
    for p, q in pairwise((line.points[0], *line.points)):
        if low < q[0] <= high or p[0] <= high < q[0]:
            yield q if q[0] <= high else p
        if p[0] <= low < q[0]:
            yield q


class close:
    """A rising function that takes away what nothing needs: between the stretches that are needed, no more than ``spare`` stays."""

    def __init__(self, needed: Sequence[tuple[float, float]], spare: float) -> None:
        self.steps: list[tuple[float, float]] = []  # where there was too much, and how much is taken away from there on
        start, end = min(needed)
        self.first = start
        for a, b in sorted(needed):
            if a > end + spare:
                self.steps.append((end, a - end - spare))
            end = max(end, b)
        self.height = self(end)

    def __call__(self, y: float) -> float:
        return y - self.first - sum(min(more, max(0.0, y - at)) for at, more in self.steps)


def _cuts(boxes: Sequence[Box], lines: Sequence[Line], width: float, room: float) -> list[float]:
    """Where to cut: between columns, no row longer than the room there is, in few rows, and where few lines have to go on."""
    spans = sorted((b.left, b.right) for b in boxes)
    gaps, end = [0.0], spans[0][1]
    for a, b in spans[1:]:
        if a > end + 8:
            gaps.append(end + 4)
        end = max(end, b)
    if width <= room + ALONE:
        return []
    row = max(b.bottom for b in boxes) / 2
    best: list[tuple[float, int]] = [
        (0.0, -1)
    ]  # for each place, the cost of all rows up to it, and where the last of them starts
    for j, c in enumerate(gaps[1:], 1):
        own = row + TRACK * sum(line.points[0][0] < c < line.points[-1][0] for line in lines)
        best.append(min((best[i][0] + own + _too_long(c - gaps[i], room), i) for i in range(j)))
    last = min(range(len(gaps)), key=lambda i: (best[i][0] + _too_long(width - gaps[i], room + ALONE), i))
    cuts: list[float] = []
    while last > 0:
        cuts.insert(0, gaps[last])
        last = best[last][1]
    return cuts


def _too_long(row: float, room: float) -> float:
    """What a row costs that does not fit: more than any number of rows."""
    return 1e6 + 100 * (row - room) if row > room else 0.0


# Drawing ------------------------------------------------------------------------------------------------------


PALE = ' opacity="0.25"'


def draw(placed: Placed, pen: Pen, widths: Mapping[tuple[str, int], float], path: str = "", route: Any = None) -> list[str]:
    """Lines, boxes and open boxes as elements; all is pale that is not on the route, if one is given.

    widths:  of lines, by the path of the box they are in, and their place there
    """
    level, picture = placed.level, placed.picture
    nodes, edges = on_route(level, route) if route is not None else (range(len(level.items)), range(len(level.edges)))
    drawn = []
    for k, (_, inside) in placed.children.items():
        title, note = level.nodes[k].label, inside.level.inside_of.note
        drawn.append(pen.frame(f"{path}:{k}", placed.boxes[k], f"{title} ({note})" if note else title))
    for k, (e, line) in enumerate(zip(level.edges, placed.lines)):
        how: dict[str, Any] = {"summed": e.summed, "stopped": not level.passes(k), "width": widths.get((path, k), PLAIN)}
        how["letters"] = picture.letters.get(k, "")
        extra = "" if k in edges else PALE
        drawn.append(pen.line(f"{path}:{k}", line, edge_words(level, e), edge_label(e), extra=extra, **how))
    for k, card in enumerate(picture.cards):
        if k in placed.children:
            continue
        node, box = level.nodes[k], placed.boxes[k]
        extra = "" if k in nodes else PALE
        if node.op in (IN, OUT):
            drawn.append(pen.port(card, node.role, f"{path}:{k}", box, extra))
        else:
            drawn.append(pen.box(card, node.role, f"{path}:{k}", box, extra))
    for (x, y), inside in placed.children.values():
        elements = draw(inside, pen, widths, inside.level.inside_of.path, route)
        drawn.append(f'<g transform="translate({n(x)} {n(y)})">{"".join(elements)}</g>')
    return drawn


def line_is_upright(placed: Placed) -> bool:
    return any(line.upright for line in placed.lines)


def line_sizes(placed: Placed, cotangent: Any) -> dict[tuple[str, int], float]:
    """How wide each line is, by what it hands back, in all that is open: as ``line_widths``."""
    whole = placed.level.whole
    parts, gradients = whole.shares(cotangent), whole.gradients(cotangent)
    sizes: dict[tuple[str, int], float] = {}
    waiting = [(placed, "")]
    while waiting:
        here, path = waiting.pop()
        sizes.update(((path, k), norm(s)) for k, s in here.level.shared(parts, gradients).items())
        waiting += [(p, p.level.inside_of.path) for _, p in here.children.values()]
    largest = max((s for s in sizes.values() if math.isfinite(s)), default=0.0)
    return {key: width_of(s, largest) for key, s in sizes.items()}
