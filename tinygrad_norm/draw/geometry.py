"""Boxes, lines and labels: what a layout says and a pen draws."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
Size = tuple[float, float]


def coordinate(value: float) -> str:
    """With at most one decimal, and never −0. What lies on the middle goes up, whichever way its last bit fell."""
    return f"{round(value + 1e-7, 1) + 0.0:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre."""

    x: float
    y: float
    w: float
    h: float

    @property
    def left(self) -> float:
        return self.x - self.w / 2

    @property
    def right(self) -> float:
        return self.x + self.w / 2

    @property
    def top(self) -> float:
        return self.y - self.h / 2

    @property
    def bottom(self) -> float:
        return self.y + self.h / 2

    def moved(self, dx: float, dy: float) -> Box:
        return Box(self.x + dx, self.y + dy, self.w, self.h)

    def turned(self) -> Box:
        """With x and y in each other's place."""
        return Box(self.y, self.x, self.h, self.w)

    def overlaps(self, other: Box, margin: float = 0.0) -> bool:
        """Whether the two share more than a border; ``margin`` asks for room between them."""
        return (
            abs(self.x - other.x) < (self.w + other.w) / 2 + margin - 1e-6
            and abs(self.y - other.y) < (self.h + other.h) / 2 + margin - 1e-6
        )


@dataclass(frozen=True)
class Line:
    """The drawn form of one edge.

    points:  corners to round off, or with ``smooth`` stations to pass horizontally (``upright``: vertically)
    label:   where its label goes, if it has one
    lane:    "spine", "above", "below", or "" for what is no route of its own
    """

    points: tuple[Point, ...]
    smooth: bool
    label: Box | None
    lane: str
    upright: bool = False

    def moved(self, dx: float, dy: float) -> Line:
        points = tuple((x + dx, y + dy) for x, y in self.points)
        return Line(points, self.smooth, self.label and self.label.moved(dx, dy), self.lane, self.upright)

    def reversed(self) -> Line:
        return Line(self.points[::-1], self.smooth, self.label, self.lane, self.upright)

    def turned(self) -> Line:
        points = tuple((y, x) for x, y in self.points)
        return Line(points, self.smooth, self.label and self.label.turned(), self.lane, not self.upright)


@dataclass(frozen=True)
class Layout:
    """Where everything goes: ``boxes`` by node id, ``lines`` in the order of the graph's edges."""

    kind: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float

    def turned(self) -> Layout:
        """From left to right becomes from top to bottom."""
        boxes, lines = (b.turned() for b in self.boxes), (line.turned() for line in self.lines)
        return Layout(self.kind, tuple(boxes), tuple(lines), self.height, self.width)


def enclose(kind: str, boxes: list[Box], lines: list[Line]) -> Layout:
    """A layout moved into the corner at (0, 0), with its size."""
    labels = [line.label for line in lines if line.label is not None]
    corners = [(b.left, b.top) for b in boxes + labels] + [(b.right, b.bottom) for b in boxes + labels]
    corners += [p for line in lines for p in line.points]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    dx, dy = -min(xs), -min(ys)
    return Layout(
        kind,
        tuple(b.moved(dx, dy) for b in boxes),
        tuple(line.moved(dx, dy) for line in lines),
        max(xs) + dx,
        max(ys) + dy,
    )
