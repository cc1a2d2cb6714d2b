"""Routes through boxes: what they are called, and that their shares are the gradient's, whatever is folded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_norm as tn
from tests.draw.test_nested import scoped
from tinygrad_norm.graph.levels import levels
from tinygrad_norm.graph.opening import fold
from tinygrad_norm.graph.through import on_route, routes_inside, through_boxes
from tinygrad_norm.graph.tree import Tree

F = tn.functional


def leaf(name, *shape):
    return tn.tensor(np.random.default_rng(len(name)).normal(size=shape), requires_grad=True, name=name)


def blocks(count):
    h = leaf("x", 3, 4)
    for k in range(count):
        with tn.scope(f"block {k}"):
            h = h + F.gelu(F.linear(F.layer_norm(h, 4), leaf(f"W{k}", 4, 4)))
    return tn.graph(h.named("y"))


def test_through_the_boxes_of_a_network_where_the_operations_have_too_many():
    g = blocks(9)
    x = g.main_input
    with pytest.raises(tn.GradientError, match=r"over .* routes lead from .*graph\.fold\(1\)\.routes\(x\)"):
        g.routes(x)
    found = g.fold(1).routes(x)
    assert len(found) == 1, "one box, block ×9"
    assert found.gap < 1e-12
    assert found["A"].closed_form is None
    few = blocks(2).fold(1)
    assert len(few.routes(few.main_input)) == 25, "few enough: the routes of the operations, with their letters"


def test_they_are_called_after_boxes():
    x = leaf("x", 3, 4)
    with tn.scope("a"):
        a = x.tanh() * 2.0
    with tn.scope("b"):
        b = a.exp() + a
    g = tn.graph(b * a).fold(1)
    found = through_boxes(g, x)
    assert [r.title for r in found] == ["direct", "through b"]
    assert found["B"].rules.split()[:1] == ["×a"] or "[b]" in found["B"].rules
    assert found.gap < 1e-12
    nodes, edges = on_route(g, found["B"])
    assert {g.nodes[i].label for i in nodes} >= {"a", "b"}
    assert edges


@pytest.mark.thorough
@given(scoped())
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_the_shares_are_the_gradients(g):
    """Of the whole, and of each box by itself: what comes in by it gets these shares from there, and no others."""
    if not g.main_input.requires_grad:
        return
    for depth in (1, 2):
        folded = fold(g, depth)
        if folded.whole is folded:
            continue
        try:
            found = through_boxes(folded, g.main_input, limit=200)
        except tn.GradientError as error:
            assert "routes" in str(error)  # noqa: PT017
            continue
        assert found.gap <= 1e-9 * max(1.0, float(np.abs(found.total).max()))
    dy = g.cotangent()
    parts, gradients = g.shares(dy), g.gradients(dy)
    for level in levels(Tree(g)).values():
        shared = level.shared(parts, gradients)
        routes = routes_inside(level, shared, 50, dy)
        if isinstance(routes, int) or len(level.outs) > 1:
            continue
        start = level.place[g.ids[level.main_input]]
        here = [s for k, s in shared.items() if level.edges[k].source == start and level.passing(k).id == g.ids[level.main_input]]
        total = np.sum([r.share for r in routes], axis=0)
        np.testing.assert_allclose(total, np.sum(here, axis=0), rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(total).max())))


def test_no_route():
    x, w = leaf("x", 3, 4), tn.tensor(np.ones((3, 4)), name="w")
    with tn.scope("a"):
        y = (x * w).tanh()
    g = tn.graph(y * 2.0).fold(1)
    with pytest.raises(tn.GradientError, match="does not require a gradient"):
        through_boxes(g, w)
