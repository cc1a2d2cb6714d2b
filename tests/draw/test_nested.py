"""Boxes in boxes: whatever is open, nothing runs into anything, and what is around an open box only makes room."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm.draw.compose import compose
from tinygrad_norm.draw.fitting import LEAST, SMALLEST
from tinygrad_norm.draw.geometry import Box
from tinygrad_norm.draw.nested import HEAD, PAD, SPARE, close, place, rising
from tinygrad_norm.draw.nested_view import nested
from tinygrad_norm.graph import graph
from tinygrad_norm.graph.bundles import bundled, together
from tinygrad_norm.graph.levels import IN, OUT, levels
from tinygrad_norm.graph.repeats import repeats
from tinygrad_norm.graph.tree import Tree

from .samples import SAMPLES, leaf, twice
from .test_layout import stroke


def everything(placed, dx=0.0, dy=0.0, depth=0):
    """All boxes that are seen, the frames around open ones, and the lines with the nodes at their ends, in one system."""
    nodes, frames, lines = [], [], []
    level = placed.level
    for k, b in enumerate(placed.boxes):
        moved = b.moved(dx, dy)
        (frames if k in placed.children else nodes).append((level, k, moved))
    for e, line in zip(level.edges, placed.lines):
        lines.append((level, e, line.moved(dx, dy)))
    for (x, y), inside in placed.children.values():
        more = everything(inside, dx + x, dy + y, depth + 1)
        for mine, theirs in zip((nodes, frames, lines), more):
            mine += theirs
    return nodes, frames, lines


def faults(placed):
    nodes, frames, lines = everything(placed)
    found = []
    for (_, i, a), (_, j, b) in combinations(nodes, 2):
        if a.overlaps(b, margin=2):
            found.append(f"boxes {i} and {j}")
    for level, k, frame in frames:
        (x, y), inside = next((c for p in walk(placed) if p.level is level for key, c in p.children.items() if key == k))
        assert x is not None
        assert y is not None
        if inside.width + 2 * PAD > frame.w + 0.1 or inside.height + HEAD + PAD > frame.h + 0.1:
            found.append(f"frame {k} is too small")
    for i, (level, e, line) in enumerate(lines):
        for other, k, box in nodes:
            if other is level and k in (e.source, e.target):
                continue
            inside = Box(box.x, box.y, box.w - 2, box.h - 2)
            if level is other and any(inside.overlaps(Box(x, y, 0, 0)) for x, y in stroke(line)):
                found.append(f"line {i} and box {k}")
    for level, e, line in lines:
        for k, point in ((e.source, line.points[0]), (e.target, line.points[-1])):
            ends = [b for lv, j, b in nodes + frames if lv is level and j == k]
            if not any(Box(*point, 0, 0).overlaps(b, margin=0.2) for b in ends):
                found.append(f"a line ends beside its box {k}")
    return found


def walk(placed):
    yield placed
    for _, inside in placed.children.values():
        yield from walk(inside)


@st.composite
def scoped(draw):
    """A record with scopes in scopes, made at random."""
    tensors = [leaf("x", 2, 3)]

    def work(depth):
        for _ in range(draw(st.integers(1, 4))):
            kind = draw(st.integers(0, 4 if depth < 3 else 2))
            a = tensors[-1 - draw(st.integers(0, min(3, len(tensors) - 1)))]
            if kind == 0:
                tensors.append(tensors[-1] + a)
            elif kind == 1:
                tensors.append((tensors[-1] * a).tanh())
            elif kind == 2:
                tensors.append(tensors[-1] * leaf(f"w{len(tensors)}", 3))
            else:
                with tn.scope(draw(st.sampled_from(["attention", "mlp", "a rather long name of a scope", "f"]))):
                    work(depth + 1)

    work(0)
    if tensors[-1].op is None:
        tensors.append(tensors[-1].tanh())
    return graph(tensors[-1])


@pytest.mark.parametrize("direction", ["right", "down"])
@given(scoped(), st.data())
@settings(max_examples=8, deadline=None, derandomize=True, database=None)
def test_random_scopes_at_random_openings(direction, g, data):
    tree = Tree(g)
    opened = {b for b in tree.boxes.values() if b.openable and data.draw(st.booleans())}
    opened = {b for b in opened if all(a in opened or a is tree.root for a in tree.around(b))}
    placed = place(tree, tree.root, opened, direction)
    assert faults(placed) == []


@pytest.mark.thorough
@given(scoped(), st.sampled_from([300.0, 500.0, 900.0]))
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
def test_rows_hold_what_was_in_one(g, limit):
    tree = Tree(g)
    opened = [b for b in tree.boxes.values() if b.openable]
    wide, rows = place(tree, tree.root, opened), place(tree, tree.root, opened, limit=limit)
    nodes, _, _ = everything(rows)
    assert not [1 for (_, _, a), (_, _, b) in combinations(nodes, 2) if a.overlaps(b, margin=2)]
    assert len(nodes) == len(everything(wide)[0])
    assert all(b.left >= -0.1 and b.top >= -0.1 for _, _, b in nodes)
    assert all(b.right <= rows.width + 0.1 and b.bottom <= rows.height + 0.1 for _, _, b in nodes)


@pytest.mark.thorough
@given(scoped())
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_levels_hold_everything_once(g):
    """Each operation is in one level; what comes into a box or leaves it has a port there, and an end outside."""
    tree = Tree(g)
    inside = levels(tree)
    drawn = [i for lv in inside.values() for i in lv.items if isinstance(i, int)]
    own = [i for lv in inside.values() for n, i in zip(lv.nodes, lv.items) if isinstance(i, int) and n.op not in (IN, OUT)]
    alone = [i for b in tree.boxes.values() if not b.openable for i in b.stretches[0]]
    assert len(own) == len(set(own))
    computed = {i for i, t in enumerate(g.tensors) if t.op is not None and i not in tree.twin}
    assert computed <= {*own, *alone}
    assert set(drawn) <= set(range(len(g.tensors)))
    for lv in inside.values():
        assert all(e.source < e.target for e in lv.edges)
        for e in lv.edges:
            assert lv.nodes[e.source].op != OUT
            assert lv.nodes[e.target].op != IN


def test_faults_are_seen():
    x = leaf("x", 2, 3)
    with tn.scope("a"):
        h = (x * 2.0).tanh() + x
    tree = Tree(graph(h * h))
    placed = place(tree, tree.root, list(tree.boxes.values()))
    assert faults(placed) == []
    on_top = (*placed.boxes[:-1], placed.boxes[0])
    assert faults(type(placed)(placed.level, placed.picture, on_top, placed.lines, placed.children, 1.0, 1.0))


def test_making_room_shifts_and_stretches_and_never_folds():
    f = rising([(10.0, 20.0, 50.0), (15.0, 30.0, 15.0)])
    assert f(5.0) == 5.0
    assert f(20.0) - f(10.0) == pytest.approx(50.0)
    assert f(30.0) - f(20.0) == pytest.approx(10.0)
    values = [f(x) for x in np.linspace(0, 40, 81)]
    assert all(b - a >= 0.5 - 1e-9 for a, b in zip(values, values[1:]))  # noqa: RUF007


def test_what_nothing_needs_is_taken_away_and_nothing_else():
    f = close([(10.0, 20.0), (15.0, 30.0), (100.0, 110.0), (112.0, 112.0)], SPARE)
    assert f(10.0) == 0.0
    assert f(30.0) - f(10.0) == 20.0
    assert f(100.0) - f(30.0) == SPARE
    assert f(112.0) - f(100.0) == 12.0
    assert f.height == f(112.0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_is_too_small_at_the_papers_width(name):
    g = SAMPLES[name]()
    for paper in ((1600, 900), (390, 844)):
        picture = g.to_svg(paper=paper)
        width = int(re.search(r'width="(\d+)"', picture)[1])
        smallest = min(map(float, re.findall(r'font-size="([\d.]+)"', picture)))
        assert smallest * min(1, paper[0] / width) >= LEAST - 0.05, paper


def test_a_second_derivative_can_be_read():
    x, weight, v = leaf("x", 4, 8), leaf("γ", 8), tn.tensor(np.ones((4, 8)), name="v")
    (dx,) = tn.grad(tn.functional.layer_norm(x, 8, weight), x, leaf("dy", 4, 8), create_graph=True)
    (again,) = tn.grad(dx, x, v, create_graph=True)
    picture = graph(again).to_svg()
    width, height = map(int, re.search(r'width="(\d+)" height="(\d+)"', picture).groups())
    assert SMALLEST * min(1600 / width, 900 / height) >= LEAST - 0.3
    assert "cotangent" in re.findall(r'data-role="(\w+)"', picture)
    for how in ({}, {"fold": False}):
        for paper in ((1600, 900), (794, 1123), (390, 844)):
            width = int(re.search(r'width="(\d+)"', graph(again).to_svg(paper=paper, **how))[1])
            assert SMALLEST * min(1, paper[0] / width) >= LEAST - 0.05, (paper, how)


def test_a_gradient_of_a_network_is_as_small_as_the_network():
    net, x = tn.nn.Sequential(*(tn.nn.Linear(4, 4) if k % 2 else tn.nn.LayerNorm(4) for k in range(6))), leaf("x", 3, 4)
    (dx,) = tn.grad(net(x).sum(), x, create_graph=True)
    picture = graph(dx).to_svg(fold=1)
    assert re.findall(r'font-weight="bold">([^<]*)<', picture) == ["x", "Sequential", "∇Sequential · Sequential"]
    (many,) = re.findall(r"<title>Sequential to ∇Sequential · Sequential: (\d+) tensors</title>", picture)
    assert int(many) > 4
    assert picture.count('class="edge"') == 2
    widths = re.findall(r'stroke-width="([\d.]+)"', graph(dx).to_svg(fold=1, gradients=True))
    assert widths, "how much flows along a line of many is known, too"


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        ("abababab", [(0, 2, 4)]),
        ("xaaay", [(1, 1, 3)]),
        ("xabcabcabcy", [(1, 3, 3)]),
        ("abcd", []),
        ("aaabcbcbc", [(0, 1, 3), (3, 2, 3)]),
    ],
)
def test_repeats(signs, found):
    crossing = [1] * (len(signs) + 1)
    assert [tuple(r) for r in repeats([ord(c) for c in signs], lambda start, period: 3, crossing)] == found


@pytest.mark.thorough
def test_what_is_drawn_can_be_read_on_its_paper():
    rng = np.random.default_rng(0)
    x = tn.tensor(rng.normal(size=(2, 3, 4)), requires_grad=True, name="x")
    h = x
    for _ in range(12):
        with tn.scope("block"):
            h = h + tn.functional.gelu(tn.functional.linear(tn.functional.layer_norm(h, 4), leaf("W", 4, 4)))
    for paper in ((1600, 900), (794, 1123), (390, 844)):
        picture = graph(h).to_svg(paper=paper)
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups())
        assert min(paper[0] / width, paper[1] / height) * SMALLEST >= LEAST - 0.5, paper


@pytest.mark.thorough
@given(scoped())
@settings(max_examples=5, deadline=None, derandomize=True, database=None)
def test_the_page_holds_the_layout_that_is_drawn(g):
    """Boxes, lines and labels of every level, as Python lays them out."""
    view = nested("boxes", g, g.cotangent())
    if view is None:
        return
    data = view.data(lambda m: 0, lambda s, numbers: {})
    for path, lv in view.levels.items():
        layout, groups = compose(bundled(lv)).layout, together(lv)
        told = data["levels"][path]["l"][0]
        np.testing.assert_allclose(told["b"], [[b.x, b.y, b.w, b.h] for b in layout.boxes], atol=0.051)
        for points, line in ((told["p"][k], line) for group, line in zip(groups, layout.lines, strict=True) for k in group):
            np.testing.assert_allclose(np.reshape(points, (-1, 2)), line.points, atol=0.051)


@pytest.mark.parametrize("fold", [1, 2, None])
def test_a_route_is_lit_through_boxes(fold):
    g = twice()
    route = g.routes(g.main_input)["C"]
    picture = g.to_svg(route=route, fold=fold)
    assert f"route C: {route.title}; all else is pale" in picture
    lit = [t for t in re.findall(r'<g class="edge"[^>]*?>', picture) if "opacity" not in t]
    pale = [t for t in re.findall(r'<g class="edge"[^>]*?>', picture) if "opacity" in t]
    assert lit
    assert pale
    if fold == 1:
        assert len(lit) == 2, "x to the first norm, and from that to the second"
