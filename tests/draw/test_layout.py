"""Nothing runs into anything; the direct route is straight; any graph can be placed."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_norm.draw import Layout, arrange
from tinygrad_norm.draw.geometry import Box
from tinygrad_norm.draw.plan import find_spine, plan_lanes
from tinygrad_norm.engine.primitives import tanh
from tinygrad_norm.graph import Graph, graph

from .samples import SAMPLES, chain, leaf, nested_branches, normalized, recurrence, root_mean_square, square, twice


def stroke(line):
    """Points along a line, close together."""
    for (x1, y1), (x2, y2) in pairwise(line.points):
        for k in range(41):
            t = k / 40
            s = u = t
            if line.smooth and y1 != y2 and x1 != x2:  # the Bézier curve with both handles along the axis, halfway
                s, u = 1.5 * t * (1 - t) + t**3, 3 * t**2 - 2 * t**3
                s, u = (u, s) if line.upright else (s, u)
            yield x1 + s * (x2 - x1), y1 + u * (y2 - y1)


def faults(g: Graph, layout: Layout) -> list[str]:
    """Everything that runs into something."""
    found = []
    for (i, a), (j, b) in combinations(enumerate(layout.boxes), 2):
        if a.overlaps(b, margin=3):
            found.append(f"boxes {i} and {j}")
    labels = [(k, line.label) for k, line in enumerate(layout.lines) if line.label]
    for (k, a), (m, b) in combinations(labels, 2):
        if a.overlaps(b):
            found.append(f"labels {k} and {m}")
    for k, a in labels:
        found += [f"label {k} and box {i}" for i, b in enumerate(layout.boxes) if a.overlaps(b)]
    for k, line in enumerate(layout.lines):
        ends = (g.edges[k].source, g.edges[k].target)
        for i, box in enumerate(layout.boxes):
            if i not in ends and any(Box(x, y, 0, 0).overlaps(box, margin=-0.5) for x, y in stroke(line)):
                found.append(f"line {k} and box {i}")
    return found


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(("full", "direction"), [(False, "right"), (True, "right"), (True, "down")])
def test_nothing_overlaps(name, full, direction):
    g = SAMPLES[name]()
    _, layout = arrange(g, values=full, gradients=True if full else None, direction=direction)
    assert faults(g, layout) == []
    assert len(layout.boxes) == len(g.nodes)
    assert len(layout.lines) == len(g.edges)


@pytest.mark.parametrize("make", [lambda: normalized(8, 64), twice, root_mean_square, square])
def test_no_line_runs_through_a_label(make):
    g = make()
    _, layout = arrange(g, values=True, gradients=True)
    for line in layout.lines:
        for other in layout.lines:
            assert not (other.label and any(Box(x, y, 0, 0).overlaps(other.label) for x, y in stroke(line)))


def crossings(layout: Layout) -> int:
    """How often a vertical stroke of one line crosses a horizontal one of another."""
    strokes = [(k, *s) for k, line in enumerate(layout.lines) for s in pairwise(line.points)]
    upright = [(k, a[0], *sorted((a[1], b[1]))) for k, a, b in strokes if a[0] == b[0]]
    level = [(k, a[1], *sorted((a[0], b[0]))) for k, a, b in strokes if a[1] == b[1]]
    return sum(k != m and left < x < right and top < y < bottom for k, x, top, bottom in upright for m, y, left, right in level)


@pytest.mark.parametrize("make", [lambda: normalized(8, 64), twice, root_mean_square, nested_branches])
def test_no_lines_cross(make):
    _, layout = arrange(make())
    assert layout.kind == "lanes"
    assert crossings(layout) == 0


def test_faults_are_seen():
    g = normalized(4, 8)
    _, layout = arrange(g)
    on_top = (*layout.boxes[:-1], layout.boxes[0])
    assert "boxes 0 and 11" in faults(g, Layout(layout.kind, on_top, layout.lines, 0, 0))
    in_the_way = (*layout.boxes[:1], Box(layout.boxes[6].x, layout.boxes[9].y, 50, 50), *layout.boxes[2:])
    assert any(f.startswith("line") for f in faults(g, Layout(layout.kind, in_the_way, layout.lines, 0, 0)))


@pytest.mark.parametrize("name", SAMPLES)
def test_lines_end_on_their_boxes_and_go_right(name):
    g = SAMPLES[name]()
    _, layout = arrange(g)
    for e, line in zip(g.edges, layout.lines):
        for i, (x, y) in ((e.source, line.points[0]), (e.target, line.points[-1])):
            box = layout.boxes[i]
            assert box.left - 0.1 <= x <= box.right + 0.1
            assert box.top - 0.1 <= y <= box.bottom + 0.1
        assert layout.boxes[e.source].x <= layout.boxes[e.target].x + 1e-6


@pytest.mark.parametrize("shape", [(8, 64), (1, 1), (5,), (2, 3, 4096)])
def test_layer_norm_has_a_straight_spine_with_the_variance_above_and_the_mean_below(shape):
    g = normalized(*shape)
    _, layout = arrange(g)
    assert layout.kind == "lanes"
    spine = find_spine(g)
    assert [g.nodes[i].label for i in spine] == ["x", "c", "x̂", "x̂·γ", "y"]
    height = layout.boxes[spine[0]].y
    assert all(layout.boxes[i].y == pytest.approx(height) for i in spine)
    for node in g.nodes:
        if node.scope == ("variance",):
            assert layout.boxes[node.id].bottom < layout.boxes[spine[1]].top
        if node.scope == ("mean",) and node.id not in spine:
            assert layout.boxes[node.id].top > layout.boxes[spine[1]].bottom
    for label in "γβ":
        leaf_id = next(n.id for n in g.nodes if n.label == label)
        user = next(e.target for e in g.edges if e.source == leaf_id)
        assert layout.boxes[leaf_id].x == pytest.approx(layout.boxes[user].x)


def test_the_direct_route_starts_at_x_and_avoids_statistics():
    def route(y):
        g = graph(y)
        return [g.nodes[i].label for i in find_spine(g)]

    x, w, b = leaf("x", 4, 3), leaf("γ", 3), leaf("β", 3)
    assert route(b + w * x.named("x"))[0] == "x"
    assert route(leaf("x", 4, 3, requires_grad=False) @ leaf("W", 3, 9) + leaf("b", 9))[0] == "x"
    shorter = x.mean(-1, keepdims=True)
    assert route(shorter + tanh(tanh(x).named("t")).named("tt")) == ["x", "t", "tt", "y"]


def test_lanes_of_lines():
    g = normalized(8, 64)
    _, layout = arrange(g)
    names = {(g.nodes[e.source].label, g.nodes[e.target].label): line.lane for e, line in zip(g.edges, layout.lines)}
    assert names["c", "x̂"] == names["x", "c"] == "spine"
    assert names["c", "c²"] == names["rstd", "x̂"] == "above"
    assert names["x", "μ"] == names["μ", "c"] == "below"
    assert names["γ", "x̂·γ"] == ""


def test_branches_that_scale_go_above_and_those_that_shift_below():
    plan = plan_lanes(root_mean_square())
    assert [b.row for b in plan.branches] == [-1]
    plan = plan_lanes(twice())
    assert sorted(b.row for b in plan.branches) == [-1, -1, 1, 1]


def test_repeated_edges_are_two_curves_with_two_labels():
    g = square()
    _, layout = arrange(g)
    first, second = layout.lines
    assert first.points != second.points
    assert first.label.bottom < second.label.top


def test_the_picture_starts_at_zero_and_holds_everything():
    for make in SAMPLES.values():
        _, layout = arrange(make())
        for box in [*layout.boxes, *(line.label for line in layout.lines if line.label)]:
            assert box.left >= -1e-6
            assert box.top >= -1e-6
            assert box.right <= layout.width + 1e-6
            assert box.bottom <= layout.height + 1e-6


@st.composite
def random_graphs(draw):
    tensors = [leaf(f"a{i}", *draw(st.sampled_from([(4, 3), (3,), (4, 1)]))) for i in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(1, 25))):
        a, b = (tensors[draw(st.integers(0, len(tensors) - 1))] for _ in range(2))
        kind = draw(st.integers(0, 4))
        made = a + b if kind == 0 else a * b if kind == 1 else tanh(a) if kind == 2 else a - b
        tensors.append(made if kind < 4 else made.mean(-1, keepdims=True))
    return graph(tensors[-1]) if tensors[-1].op else graph(tanh(tensors[-1]))


@pytest.mark.thorough
@settings(max_examples=80, deadline=None)
@given(random_graphs(), st.sampled_from(["right", "down"]), st.sampled_from([None, 0, 1]))
def test_random_graphs(g, direction, depth):
    """Nothing overlaps, every line ends at its boxes, and every box stands after what it is made from."""
    g = g if depth is None else g.fold(depth)
    _, layout = arrange(g, direction=direction)
    assert faults(g, layout) == []
    for e, line in zip(g.edges, layout.lines):
        assert all(math.dist(a, b) > 0.005 for a, b in pairwise(line.points))
        if layout.kind == "layered":
            axis = 0 if direction == "right" else 1
            assert all(a[axis] < b[axis] for a, b in pairwise(line.points))
        for i, point in ((e.source, line.points[0]), (e.target, line.points[-1])):
            assert Box(*point, 0, 0).overlaps(layout.boxes[i], margin=0.1)
        before, after = layout.boxes[e.source], layout.boxes[e.target]
        if layout.kind == "layered":
            assert before.right < after.left if direction == "right" else before.bottom < after.top
        else:
            assert before.x <= after.x + 1e-6 if direction == "right" else before.y <= after.y + 1e-6


def test_long_graphs_are_placed():
    _, layout = arrange(chain(5000))
    assert len({round(b.y, 3) for b in layout.boxes}) == 1
    assert all(a.right < b.left for a, b in pairwise(layout.boxes))


def test_many_long_edges_are_placed():
    g = recurrence(1500)  # stations for all its edges would be millions
    _, layout = arrange(g)
    assert len(layout.lines) == len(g.edges)
    lowest = max(b.bottom for b in layout.boxes)
    express = [line for line in layout.lines if max(y for _, y in line.points) > lowest]
    assert express
