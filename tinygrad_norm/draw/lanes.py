"""The lane layout: the direct route as a straight line, its branches in lanes above and below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..graph import Edge, Record
from .geometry import Box, Layout, Line, Point, Size, enclose
from .plan import Plan
from .wires import lanes

COLUMN_GAP, ROW_GAP, LABEL_ROOM = 34.0, 46.0, 24.0
OFF = 4.0  # from a line to its label
PORT_STEP, BOW, BOW_ROOM = 15.0, 9.0, 22.0
APART = 9.0  # lines in a channel


@dataclass
class Route:
    """How one edge goes: out of one side of its source, into one side of its target, perhaps by a channel between rows."""

    edge: Edge
    leaves: str
    enters: str
    channel: float | None = None  # in rows: 0.5 is between the rows 0 and 1


class Rows:
    """Which cells are occupied."""

    def __init__(self, plan: Plan) -> None:
        self.cells = {(plan.column[i], plan.row[i]) for i in plan.column}

    def free(self, row: int, first: int, last: int) -> bool:
        return not any((c, row) in self.cells for c in range(first, last + 1))


def lay_lanes(graph: Record, plan: Plan, sizes: Sequence[Size], labels: Sequence[Size | None]) -> Layout | None:
    """Place a planned graph. None where a line or a label would run into something."""
    rows = Rows(plan)
    routes = [choose_route(e, plan, rows) for e in graph.edges]
    if any(r is None for r in routes):
        return None
    chosen = [r for r in routes if r is not None]
    tracks, deepest = _tracks(plan, chosen, labels)
    boxes = _place_boxes(plan, sizes, labels, chosen, deepest)
    ports = _place_ports(plan, boxes, chosen)
    channels = _channel_heights(plan, boxes, chosen)
    lines = []
    for k, route in enumerate(chosen):
        points, smooth = _path(k, route, boxes, ports, channels, tracks.get(k, 0.0))
        is_lower = points[-1][1] > boxes[route.edge.target].y + 1  # of two that arrive side by side
        lines.append(Line(points, smooth, _place_label(points, labels[k], route, is_lower), lane_of(plan, route.edge)))
    if _collides(boxes, lines, chosen):
        return None
    return enclose("lanes", boxes, lines)


def choose_route(e: Edge, plan: Plan, rows: Rows) -> Route | None:
    """The way of one edge around the occupied cells; None for one that would run backwards."""
    (c1, r1), (c2, r2) = ((plan.column[i], plan.row[i]) for i in (e.source, e.target))
    if c1 == c2:
        return Route(e, "bottom", "top") if r1 < r2 else Route(e, "top", "bottom")
    if c1 > c2:
        return None
    if r1 == r2:
        if rows.free(r1, c1 + 1, c2 - 1):
            return Route(e, "right", "left")
        side = "bottom" if r1 > 0 else "top"
        return Route(e, side, side, r1 + (0.5 if r1 > 0 else -0.5))
    down = r1 < r2
    toward, against = ("bottom", "top") if down else ("top", "bottom")
    if r1 == 0 and rows.free(r2, c1, c2 - 1):
        return Route(e, toward, "left")
    if r2 == 0 and rows.free(r1, c1 + 1, c2):
        return Route(e, "right", against)
    near_target = r2 + (-0.5 if down else 0.5)
    near_source = r1 + (0.5 if down else -0.5)
    return Route(e, toward, against, near_target if r1 == 0 else near_source)


def _tracks(plan: Plan, routes: list[Route], labels: Sequence[Size | None]) -> tuple[dict[int, float], float]:
    """How far from the middle of its channel each line goes, so that none is on another; and the height of the deepest channel.

    The short ones are next to the boxes that they come to, or come from; there is room for what stands on a line, above it.
    """
    found: dict[int, float] = {}
    deepest = 0.0
    for channel in {route.channel for route in routes if route.channel is not None}:
        mine = [k for k, route in enumerate(routes) if route.channel == channel]
        columns = {k: sorted((plan.column[routes[k].edge.source], plan.column[routes[k].edge.target])) for k in mine}
        track = lanes({k: (first, last) for k, (first, last) in columns.items()})
        y = 0.0
        for j in sorted(set(track.values()), reverse=channel > 0):
            here = [k for k in mine if track[k] == j]
            y += max([label[1] + OFF for k in here if (label := labels[k]) is not None], default=0.0)
            found.update(dict.fromkeys(here, y))
            y += APART
        y -= APART
        found.update((k, found[k] - y / 2) for k in mine)
        deepest = max(deepest, y)
    return found, deepest


def _place_boxes(
    plan: Plan, sizes: Sequence[Size], labels: Sequence[Size | None], routes: list[Route], deepest: float
) -> list[Box]:
    columns, rows = 1 + max(plan.column.values()), sorted(set(plan.row.values()))
    wide = [max([sizes[i][0] for i, c in plan.column.items() if c == k], default=0.0) for k in range(columns)]
    high = {r: max(sizes[i][1] for i, row in plan.row.items() if row == r) for r in rows}
    gap = [COLUMN_GAP] * columns
    for route, label in zip(routes, labels):
        if label is None or (route.leaves != "right" and route.enters != "left"):
            continue
        c = plan.column[route.edge.source] if route.leaves == "right" else plan.column[route.edge.target] - 1
        twins = sum(other.edge.source == route.edge.source and other.edge.target == route.edge.target for other in routes)
        gap[c] = max(gap[c], label[0] + LABEL_ROOM + (BOW_ROOM if twins > 1 else 0))
    for route, label in zip(routes, labels):  # a label beside an arrow from below or above
        c = plan.column[route.edge.target]
        if label is not None and plan.column[route.edge.source] == c:
            gap[c] = max(gap[c], label[0] + 14 - wide[c] / 2)
    x, xs = 0.0, []
    for w, g in zip(wide, gap):
        xs.append(x + w / 2)
        x += w + g
    between = max([ROW_GAP, deepest + LABEL_ROOM, *(label[1] + LABEL_ROOM for label in labels if label is not None)])
    y, ys = 0.0, {}
    for r in rows:
        ys[r] = y + high[r] / 2
        y += high[r] + between
    return [Box(xs[plan.column[i]], ys[plan.row[i]], *sizes[i]) for i in range(len(sizes))]


def _place_ports(plan: Plan, boxes: list[Box], routes: list[Route]) -> dict[tuple[int, str], Point]:
    """Where each line leaves and enters: ``(line, "out" or "in")`` to a point on a border."""
    sides: dict[tuple[int, str], list[tuple[tuple[float, ...], int, str]]] = defaultdict(list)
    for k, route in enumerate(routes):
        e = route.edge
        for me, other, side, way in ((e.source, e.target, route.leaves, "out"), (e.target, e.source, route.enters, "in")):
            distance = abs(plan.row[other] - plan.row[me])
            if side in ("left", "right"):  # nearest to the spine first, seen from the other end
                order: tuple[float, ...] = (plan.column[other] * (1 if plan.row[me] < 0 else -1), e.position)
            elif way == "in":  # they come from the left: the nearest lane leftmost
                order = (0 if plan.column[other] < plan.column[me] else 1, distance, e.position)
            else:  # they turn right: the farthest lane leftmost
                order = (2, -distance, e.position)
            sides[me, side].append((order, k, way))
    ports = {}
    for (i, side), users in sides.items():
        box, count = boxes[i], len(users)
        along = box.h if side in ("left", "right") else box.w
        step = min(PORT_STEP, along / (count + 1))
        for place, (_, k, way) in enumerate(sorted(users)):
            shift = (place - (count - 1) / 2) * step
            if side in ("left", "right"):
                ports[k, way] = (box.left if side == "left" else box.right, box.y + shift)
            else:
                ports[k, way] = (box.x + shift, box.top if side == "top" else box.bottom)
    return ports


def _channel_heights(plan: Plan, boxes: list[Box], routes: list[Route]) -> dict[float, float]:
    """The height of each channel between two rows, or beyond the outermost."""
    top: dict[int, float] = {}
    bottom: dict[int, float] = {}
    for i, box in enumerate(boxes):
        r = plan.row[i]
        top[r], bottom[r] = min(top.get(r, box.top), box.top), max(bottom.get(r, box.bottom), box.bottom)
    heights = {}
    for channel in {route.channel for route in routes if route.channel is not None}:
        above, below = int(channel - 0.5), int(channel + 0.5)
        first = bottom.get(above, top.get(below, 0.0) - ROW_GAP)
        heights[channel] = (first + top.get(below, first + ROW_GAP)) / 2
    return heights


def _path(
    k: int,
    route: Route,
    boxes: list[Box],
    ports: dict[tuple[int, str], Point],
    channels: dict[float, float],
    track: float,
) -> tuple[tuple[Point, ...], bool]:
    (x1, y1), (x2, y2) = ports[k, "out"], ports[k, "in"]
    if route.channel is not None:
        y = channels[route.channel] + track
        return ((x1, y1), (x1, y), (x2, y), (x2, y2)), False
    across = route.leaves == "right", route.enters == "left"
    if across == (True, True):
        away = y1 - boxes[route.edge.source].y
        if abs(away) > 1:  # one of several between the same two: bow outwards
            return ((x1, y1), ((x1 + x2) / 2, y1 + (BOW if away > 0 else -BOW)), (x2, y2)), True
        return ((x1, y1), (x2, y2)), False
    if across == (False, True):
        return ((x1, y1), (x1, y2), (x2, y2)), False
    if across == (True, False):
        return ((x1, y1), (x2, y1), (x2, y2)), False
    return ((x2, y1), (x2, y2)), False


def _place_label(points: tuple[Point, ...], size: Size | None, route: Route, is_lower: bool) -> Box | None:
    """Just above the line's horizontal part, at the end where the gap was made wide enough for it."""
    if size is None:
        return None
    w, h = size
    if len(points) == 2 and abs(points[0][0] - points[1][0]) < abs(points[0][1] - points[1][1]):
        return Box(max(points[0][0], points[1][0]) + 6 + w / 2, (points[0][1] + points[1][1]) / 2, w, h)
    (x1, y1), (x2, y2) = points[0], points[-1]
    if route.leaves == "right" and route.enters == "left":
        y = points[len(points) // 2][1] if len(points) == 3 else y1
        return Box((x1 + x2) / 2 - (3 if len(points) == 2 else 0), y + (h / 2 + OFF if is_lower else -h / 2 - OFF), w, h)
    if route.channel is not None:
        return Box((x1 + x2) / 2, points[1][1] - h / 2 - OFF, w, h)
    if route.enters == "left":
        return Box(x2 - 12 - w / 2, y2 + (h / 2 + OFF if is_lower else -h / 2 - OFF), w, h)
    return Box(x1 + 8 + w / 2, y1 - h / 2 - OFF, w, h)


def lane_of(plan: Plan, e: Edge) -> str:
    """The lane whose route an edge is part of; "" for a parameter's own way."""
    if e.source in plan.spine and e.target in plan.spine:
        here = plan.spine.index(e.source)
        return "spine" if plan.spine[here + 1 : here + 2] == (e.target,) else ""
    if not {e.source, e.target} <= plan.routed:  # a parameter's own way
        return ""
    on_branch = {i for b in plan.branches for i in b.nodes}
    for i in (e.source, e.target):
        other = e.target if i == e.source else e.source
        if i in on_branch and (other in on_branch or other in plan.spine):
            return "above" if plan.row[i] < 0 else "below"
    return ""


def _collides(boxes: list[Box], lines: list[Line], routes: list[Route]) -> bool:
    labels = [line.label for line in lines if line.label is not None]
    if any(label.overlaps(box) for label in labels for box in boxes):
        return True
    if any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[:i]):
        return True
    for line, route in zip(lines, routes):
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:]):
            stroke = Box((x1 + x2) / 2, (y1 + y2) / 2, abs(x2 - x1), abs(y2 - y1))
            if any(stroke.overlaps(box) for i, box in enumerate(boxes) if i not in (route.edge.source, route.edge.target)):
                return True
            if any(stroke.overlaps(label) for label in labels):
                return True
    return False
