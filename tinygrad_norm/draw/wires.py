"""Wires beside columns of boxes: each source has one track, from which a branch leaves for each of its targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .geometry import Point, coordinate

CORNER, HEAD, HALF = 6.0, 8.0, 3.4


@dataclass(frozen=True)
class Wire:
    """A line with corners to round off; ``end`` is the number of the target that its arrow points to."""

    points: tuple[Point, ...]
    end: int


def bus(origin: Point, track: float, ends: Mapping[int, Point]) -> tuple[list[Wire], list[Point]]:
    """From the origin to each end by way of a vertical track; and the joints, where one wire leaves another.

    An end at the origin's height is reached straight.
    """
    wires, joints = [], []
    for k, end in ends.items():
        if end[1] == origin[1]:
            wires.append(Wire((origin, end), k))
    for far in (min, max):
        side = {k: p for k, p in ends.items() if (p[1] < origin[1] if far is min else p[1] > origin[1])}
        if not side:
            continue
        start: tuple[Point, ...] = (origin, (track, origin[1]))
        if wires:
            start = start[1:]
            joints.append(start[0])
        last = far(side, key=lambda k: side[k][1])
        wires.append(Wire((*start, (track, side[last][1]), side[last]), last))
        for k in sorted(side.keys() - {last}):
            joints.append((track, side[k][1]))
            wires.append(Wire(((track, side[k][1]), side[k]), k))
    return wires, joints


def lanes(spans: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """A lane for each span of rows, 0 the nearest to the boxes; the short ones are near. Spans in a lane touch at most."""
    found: dict[int, int] = {}
    for k in sorted(spans, key=lambda k: (spans[k][1] - spans[k][0], k)):
        start, stop = spans[k]
        taken = {found[j] for j in found if spans[j][0] < stop and start < spans[j][1]}
        found[k] = next(lane for lane in range(len(taken) + 1) if lane not in taken)
    return found


def in_order(tracks: Iterable[int], crossings: Callable[[int, int], float]) -> list[int]:
    """The tracks from left to right so that few wires cross: each moved to its best place until none wants to move.

    crossings: how many there are where the first is left of the second
    """
    order = list(tracks)
    cost = {(a, b): crossings(a, b) for a in order for b in order if a != b}
    for _ in range(len(order)):
        before = list(order)
        for k in before:
            order.remove(k)
            costs = [sum(cost[a, k] for a in order[:i]) + sum(cost[k, b] for b in order[i:]) for i in range(len(order) + 1)]
            order.insert(costs.index(min(costs)), k)
        if order == before:
            break
    return order


# The pen ------------------------------------------------------------------------------------------------


def _spot(x: float, y: float) -> str:
    return f"{coordinate(x)} {coordinate(y)}"


def _toward(a: Point, b: Point) -> Point:
    long = math.dist(a, b) or 1.0
    return (b[0] - a[0]) / long, (b[1] - a[1]) / long


def path(points: Sequence[Point]) -> str:
    """An SVG path with rounded corners that ends where the arrow head begins."""
    (dx, dy), (x, y) = _toward(points[-2], points[-1]), points[-1]
    ends = [*points[:-1], (x - (HEAD - 1) * dx, y - (HEAD - 1) * dy)]
    parts = [f"M{_spot(*ends[0])}"]
    for (before, corner), (_, after) in pairwise(pairwise(ends)):
        r = min(CORNER, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        into, out = _toward(before, corner), _toward(corner, after)
        parts.append(
            f"L{_spot(corner[0] - r * into[0], corner[1] - r * into[1])}"
            f"Q{_spot(*corner)} {_spot(corner[0] + r * out[0], corner[1] + r * out[1])}"
        )
    return "".join(parts) + f"L{_spot(*ends[-1])}"


def head(points: Sequence[Point]) -> str:
    """The corners of the arrow head at the last point."""
    (dx, dy), (x, y) = _toward(points[-2], points[-1]), points[-1]
    back = (x - HEAD * dx, y - HEAD * dy)
    corners = [(x, y), (back[0] - HALF * dy, back[1] + HALF * dx), (back[0] + HALF * dy, back[1] - HALF * dx)]
    return " ".join(f"{coordinate(a)},{coordinate(b)}" for a, b in corners)
