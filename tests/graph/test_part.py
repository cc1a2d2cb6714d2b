"""What lies between two tensors."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import GradientError
from tinygrad_norm.graph import graph

from ..draw.samples import SAMPLES, leaf, normalized, transformer_block


def labels(g):
    return [n.label for n in g.nodes]


def test_only_what_lies_between():
    g = normalized(4, 8)
    part = g.between("c", "x̂")
    assert labels(part) == ["c", "c²", "σ²", "σ² + 1e-05", "rstd", "x̂"]
    assert [n.role for n in part.nodes] == ["input", "value", "statistic", "statistic", "statistic", "output"]
    assert labels(g.between("x̂", "y")) == ["γ", "β", "x̂", "x̂·γ", "y"]
    assert labels(g.between(g.main_input, g.output)) == labels(g)
    assert len(part.edges) == 6
    assert labels(g.fold(1).between("c", "x̂")) == labels(part)


def test_its_gradients_are_those_of_the_stretch():
    g = normalized(4, 8)
    part = g.between("c", "x̂")
    dy = np.random.default_rng(0).normal(size=(4, 8))
    c = tn.tensor(g.tensors[labels(g).index("c")].data, requires_grad=True)
    xhat = c * ((c * c).mean(-1, keepdims=True) + 1e-5).rsqrt()
    (want,) = tn.grad(xhat, c, dy)
    np.testing.assert_allclose(part.gradients(dy)[0], want.data, atol=1e-12)
    routes = part.routes(part.main_input, dy)
    assert [r.title for r in routes] == ["direct", "through σ²"]
    np.testing.assert_allclose(sum(r.share for r in routes), want.data, atol=1e-12)
    side = g.between("x̂", "y").gradients(dy)
    np.testing.assert_allclose(side[0], g.gradients(dy)[g.node(g.tensors[labels(g).index("γ")]).id], atol=1e-12)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("folded", [False, True])
def test_the_shares_of_each_node_add_up_to_its_gradient(name, folded):
    g = SAMPLES[name]()
    found = g.gradients()
    g_or_boxes = g.fold(1) if folded else g
    shares = g_or_boxes.shares()
    sums = {}
    for k, share in shares.items():
        sums.setdefault(g_or_boxes.passing(k).id, []).append(share)
    assert sums
    for i, parts in sums.items():
        np.testing.assert_allclose(np.sum(parts, axis=0), found[i], atol=1e-9 * (1 + np.abs(found[i]).max()))


def test_parts_fold_and_are_drawn():
    g = transformer_block()
    part = g.between("x", g.nodes[-1].label)
    assert len(part.nodes) == len(g.nodes)
    assert len(part.fold().nodes) <= 25
    with pytest.raises(GradientError, match="2 tensors here are called 'c'; give them names, or the tensor itself"):
        g.between("c", "x̂")
    first = next(n.tensor for n in g.nodes if n.label == "x̂")
    assert g.between("x", first).to_svg().count('class="node"') == 8


def test_a_part_is_a_record_of_its_own():
    """Its leaves know nothing of how they came about: not of what leads around the part, nor of each other."""
    g = normalized(4, 8)
    part = g.between("μ", "y")
    x = next(n for n in part.nodes if n.label == "x")
    (k,) = (k for k, e in enumerate(part.edges) if e.source == x.id)
    np.testing.assert_allclose(part.gradients()[x.id], part.shares()[k])
    part = g.between("rstd", "y")
    assert {n.label for n in part.nodes if n.op is None} == {"c", "rstd", "γ", "β"}
    assert all(part.passes(k) for k in range(len(part.edges)))
    assert part.node(part.main_input).label == "rstd", "it is about its source, though c is larger"
    assert {n.label: n.role for n in part.nodes}["rstd"] == "input"
    assert part.reads().note.startswith("kept for the way back: x̂")
    assert "drstd" in part.to_svg(ladder=True)
    inner = g.between("c", "x̂")
    assert str(inner.routes(inner.main_input)[1].closed_form.text) == "−rstd·x̂·mean(x̂·dx̂)"
    assert [n.scope for n in inner.nodes][1] == ("variance",)
    assert [n.label for n in g.between("μ", "y").between("c", "x̂").nodes] == [n.label for n in inner.nodes]


def test_mistakes():
    g = normalized(4, 8)
    with pytest.raises(GradientError, match=r"nothing here is called 'z'; there are x, γ, β, μ"):
        g.between("z", "y")
    with pytest.raises(
        GradientError, match=r"no way leads from y to x\. Name two tensors of which the second is made from the first"
    ):
        g.between("y", "x")
    with pytest.raises(GradientError, match="no way leads from γ to x̂"):
        g.between("γ", "x̂")
    with pytest.raises(GradientError, match="is not part of this graph"):
        g.between(leaf("other", 3), "y")
    assert graph(leaf("a", 3) * 2.0).between("a", "y").nodes[0].role == "input"
