"""The layered layout: columns by longest path, for any graph that is not a line with branches."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..graph import Record
from ..graph.levels import OUT
from .geometry import Box, Layout, Line, Point, Size, enclose
from .plan import longest_path_ranks

FAST_ABOVE = 400
MOST_STATIONS = 20_000
FEW = 2_000  # boxes and stations whose crossings are counted
BETWEEN_BOXES, BETWEEN_LINES, TRACK = 22.0, 8.0, 14.0


@dataclass
class _Item:
    """A box, or a station that a line passes on its way; stations may hold the line's label."""

    up: float
    down: float
    width: float
    is_box: bool
    y: float = 0.0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)


def lay_layers(
    graph: Record,
    sizes: Sequence[Size],
    labels: Sequence[Size | None],
    direct: Collection[tuple[int, int]],
    stations: bool = False,
) -> Layout:
    """Place any graph: boxes in columns, a label column between each two, every line through its own stations.

    direct:    the pairs of nodes along the direct route
    stations:  lines keep every point that they pass, also where they are straight
    """
    rank = _ranks(graph)
    items = [_Item(h / 2, h / 2, w, True) for w, h in sizes]
    layers: list[list[int]] = [[] for _ in range(2 * max(rank) + 1)]
    for i in range(len(graph.nodes)):
        layers[2 * rank[i]].append(i)
    passed = _add_stations(graph, rank, labels, items, layers)
    _order(items, layers, sweeps=2 if len(graph.nodes) > FAST_ABOVE else 8)
    _heights(items, layers, sweeps=4 if len(graph.nodes) > FAST_ABOVE else 12)
    _straighten(items, layers, passed)
    lefts, rights = _columns(items, layers)
    boxes = [Box((lefts[2 * r] + rights[2 * r]) / 2, items[i].y, *sizes[i]) for i, r in enumerate(rank)]
    lines = _lines(graph, rank, items, boxes, passed, labels, lefts, rights, direct, stations)
    return enclose("layered", boxes, lines)


def _ranks(graph: Record) -> list[int]:
    """Longest-path ranks, each leaf moved right beside its first consumer; one that nothing consumes stays first, what leaves last."""
    rank = longest_path_ranks(graph)
    first: dict[int, int] = {}
    for e in graph.edges:
        first[e.source] = min(first.get(e.source, rank[e.target]), rank[e.target])
    last = max([rank[n.id] for n in graph.nodes if n.op != OUT]) + 1
    return [first.get(n.id, 1) - 1 if n.op is None else last if n.op == OUT else rank[n.id] for n in graph.nodes]


def _add_stations(
    graph: Record, rank: list[int], labels: Sequence[Size | None], items: list[_Item], layers: list[list[int]]
) -> list[list[int] | None]:
    """The stations of each edge; None for an edge so long that it takes the express track under everything."""
    spans = [2 * (rank[e.target] - rank[e.source]) - 1 for e in graph.edges]
    longest = max(spans, default=1)
    while sum(s for s in spans if s <= longest) > MOST_STATIONS and longest > 1:
        longest //= 2
    stations: list[list[int] | None] = []
    for e, span, label in zip(graph.edges, spans, labels):
        if span > max(longest, 1):
            stations.append(None)
            continue
        path = []
        for k in range(span):
            text = label if k == span - 1 else None
            item = _Item(text[1] + 4, 6, text[0], False) if text else _Item(4, 4, 0, False)
            path.append(len(items))
            layers[2 * rank[e.source] + 1 + k].append(len(items))
            items.append(item)
        for a, b in zip([e.source, *path], [*path, e.target]):
            items[a].after.append(b)
            items[b].before.append(a)
        stations.append(path)
    return stations


def _order(items: list[_Item], layers: list[list[int]], sweeps: int) -> None:
    """Fewer crossings: sort each layer by the mean place of its neighbours, forth and back; the best of all sweeps stays."""
    place = {i: float(k) for layer in layers for k, i in enumerate(layer)}
    few = len(items) <= FEW
    best, fewest = [list(layer) for layer in layers], float("inf")
    for sweep in range(sweeps):
        forth = sweep % 2 == 0
        for layer in layers if forth else reversed(layers):

            def mean_place(i: int, forth: bool = forth) -> float:
                near = items[i].before if forth else items[i].after
                return sum(place[j] for j in near) / len(near) if near else place[i]

            layer.sort(key=mean_place)
            place.update((i, float(k)) for k, i in enumerate(layer))
        if few:
            crossings = sum(_crossings(items, layer, place) for layer in layers)
            if crossings <= fewest:
                best, fewest = [list(layer) for layer in layers], crossings
    if few:
        layers[:] = best


def _crossings(items: list[_Item], layer: list[int], place: dict[int, float]) -> int:
    """How many lines to the next layer cross."""
    ends: list[float] = []
    count = 0
    for i in layer:
        mine = sorted(place[j] for j in items[i].after)
        count += sum(len(ends) - bisect_right(ends, end) for end in mine)
        for end in mine:
            insort(ends, end)
    return count


def _heights(items: list[_Item], layers: list[list[int]], sweeps: int) -> None:
    """Every item as near the height of its neighbours as the others in its layer allow."""
    for layer in layers:
        _settle(items, layer, [0.0] * len(layer))
    for sweep in range(sweeps):
        last = sweep >= sweeps - 2
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for i in layer:
                item = items[i]
                near = item.before + item.after if last else item.before if sweep % 2 == 0 else item.after
                wanted.append(sum(items[j].y for j in near) / len(near) if near else item.y)
            _settle(items, layer, wanted)


def _straighten(items: list[_Item], layers: list[list[int]], stations: list[list[int] | None]) -> None:
    """Put the stations of a line at one height as far as their neighbours leave room for it."""
    beside: dict[int, tuple[int | None, int | None]] = {}
    for layer in layers:
        for above, i, below in zip([None, *layer], layer, [*layer[1:], None]):
            beside[i] = (above, below)
    for path in stations:
        run: list[int] = []
        lowest, highest = float("-inf"), float("inf")
        for i in path or ():
            above, below = beside[i]
            least = float("-inf") if above is None else items[above].y + _room(items, above, i)
            most = float("inf") if below is None else items[below].y - _room(items, i, below)
            if run and max(lowest, least) > min(highest, most):
                _set_level(items, run, lowest, highest)
                run, lowest, highest = [], float("-inf"), float("inf")
            run.append(i)
            lowest, highest = max(lowest, least), min(highest, most)
        _set_level(items, run, lowest, highest)


def _set_level(items: list[_Item], run: list[int], lowest: float, highest: float) -> None:
    if run and lowest <= highest:
        height = min(max(sum(items[i].y for i in run) / len(run), lowest), highest)
        for i in run:
            items[i].y = height


def _room(items: list[_Item], a: int, b: int) -> float:
    """The least distance between two neighbours in a layer."""
    return items[a].down + (BETWEEN_BOXES if items[a].is_box and items[b].is_box else BETWEEN_LINES) + items[b].up


def _settle(items: list[_Item], layer: list[int], wanted: list[float]) -> None:
    """The heights nearest to the wanted ones (least squares) that keep order and distance."""
    offset, offsets = 0.0, []
    for a, b in zip([None, *layer], layer):
        if a is not None:
            offset += _room(items, a, b)
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []  # mean, count: neighbours that touch move as one
    for want, off in zip(wanted, offsets):
        mean, count = want - off, 1
        while blocks and blocks[-1][0] >= mean:
            m, n = blocks.pop()
            mean, count = (m * n + mean * count) / (n + count), n + count
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    for i, mean, off in zip(layer, means, offsets):
        items[i].y = mean + off


def _columns(items: list[_Item], layers: list[list[int]]) -> tuple[list[float], list[float]]:
    """Left and right border of each layer, steeper bundles given more room."""
    lefts, rights, x = [], [], 0.0
    for layer in layers:
        lefts.append(x)
        x += max((items[i].width for i in layer), default=0.0)
        rights.append(x)
        steepest = max((abs(items[j].y - items[i].y) for i in layer for j in items[i].after), default=0.0)
        x += min(18 + 0.12 * steepest, 80)
    return lefts, rights


def _lines(
    graph: Record,
    rank: list[int],
    items: list[_Item],
    boxes: list[Box],
    stations: list[list[int] | None],
    labels: Sequence[Size | None],
    lefts: list[float],
    rights: list[float],
    direct: Collection[tuple[int, int]],
    all_points: bool,
) -> list[Line]:
    outs, ins = _ports(graph, items, boxes, stations)
    floor = max(item.y + item.down for item in items)
    lines, express = [], 0
    for k, (e, path, label) in enumerate(zip(graph.edges, stations, labels)):
        first, last = 2 * rank[e.source], 2 * rank[e.target]
        points: list[Point] = [(boxes[e.source].right, outs[k]), (rights[first], outs[k])]
        if path is None:
            track = floor + TRACK * (1 + express % 8)
            express += 1
            points += [(lefts[first + 1], track), (rights[last - 1], track)]
        else:
            for layer, i in enumerate(path, first + 1):
                points += [(lefts[layer], items[i].y), (rights[layer], items[i].y)]
        points += [(lefts[last], ins[k]), (boxes[e.target].left, ins[k])]
        where = None
        if label is not None and path is not None:
            where = Box((lefts[last - 1] + rights[last - 1]) / 2, items[path[-1]].y - label[1] / 2 - 3, *label)
        lines.append(
            Line(
                _apart(points) if all_points else _straightened(points),
                True,
                where,
                "spine" if (e.source, e.target) in direct else "",
            )
        )
    return lines


def _apart(points: list[Point]) -> tuple[Point, ...]:
    """Without those that are the one before."""
    return (points[0], *(b for a, b in pairwise(points) if math.dist(a, b) > 0.01))


def _straightened(points: list[Point]) -> tuple[Point, ...]:
    """Without the points that a horizontal stroke passes anyway, and without those that are the one before."""
    apart = _apart(points)
    kept = [apart[0]]
    for before, here, after in zip(apart, apart[1:], apart[2:]):
        if not before[1] == here[1] == after[1]:
            kept.append(here)
    return (*kept, apart[-1])


def _ports(
    graph: Record, items: list[_Item], boxes: list[Box], stations: list[list[int] | None]
) -> tuple[list[float], list[float]]:
    """The heights at which lines leave and enter, spread over each box's side in the order they come."""
    outs, ins = [0.0] * len(graph.edges), [0.0] * len(graph.edges)
    leaving: list[list[tuple[float, int]]] = [[] for _ in boxes]
    entering: list[list[tuple[float, int]]] = [[] for _ in boxes]
    for k, (e, path) in enumerate(zip(graph.edges, stations)):
        leaving[e.source].append((items[path[0]].y if path else float("inf"), k))
        entering[e.target].append((items[path[-1]].y if path else float("inf"), k))
    for heights, groups in ((outs, leaving), (ins, entering)):
        for box, group in zip(boxes, groups):
            step = min(9.0, box.h / (len(group) + 1))
            for place, (_, k) in enumerate(sorted(group)):
                heights[k] = box.y + (place - (len(group) - 1) / 2) * step
    return outs, ins
