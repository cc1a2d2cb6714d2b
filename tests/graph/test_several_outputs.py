"""Graphs of several outputs, and of outputs whose leaves have moved on."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn


def record():
    x = tn.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True, name="x")
    w = tn.tensor([1.0, 2.0], requires_grad=True, name="w")
    a = (x * w).named("a")
    return x, w, a, a.mean(-1).named("m")


@pytest.mark.parametrize("call", [lambda a, m: tn.graph(a, m), lambda a, m: tn.graph([a, m]), lambda a, m: tn.graph((a,), m)])
def test_several_outputs_are_joined(call, tmp_path):
    x, w, a, m = record()
    graph = call(a, m)
    assert graph.nodes[-1].label == "outputs"
    assert graph.nodes[-1].shape == (6,)
    assert {"a", "m", "x", "w"} <= {n.label for n in graph.nodes}
    dy = np.arange(6.0)
    expected = tn.grad([a, m], [x, w], [dy[:4].reshape(2, 2), dy[4:]])
    found = graph.gradients(dy)
    for leaf, g in zip((x, w), expected):
        np.testing.assert_allclose(found[graph.ids[leaf]], g.data, rtol=1e-15)
    assert "2 routes from w to outputs" in str(graph.routes(w))
    for suffix in ("svg", "dot", "json", "txt", "html"):
        assert graph.save(tmp_path / f"two.{suffix}").stat().st_size > 100


def test_one_output_is_itself():
    _, _, a, _ = record()
    assert tn.graph([a]).output is a
    assert tn.graph(a).output is a


def test_each_output_must_be_recorded():
    _, _, a, _ = record()
    with pytest.raises(tn.GradientError, match="graph: an empty list"):
        tn.graph([])
    with pytest.raises(tn.GradientError, match=r"graph: k \(2,\) float64 has no history"):
        tn.graph(a, tn.tensor([1.0, 2.0], name="k"))
    with pytest.raises(tn.GradientError, match="graph: expected a recorded tensor, got str"):
        tn.graph(a, "m")


def test_a_loss_is_drawn_after_the_step(tmp_path):
    x, w, _, m = record()
    loss = (m * m).sum().named("loss")
    before = tn.graph(loss).to_svg()
    with tn.no_grad():
        w -= 0.1
    graph = tn.graph(loss)
    assert graph.to_svg() == before
    assert graph.save(tmp_path / "after.svg").exists()
    for ask in (lambda: graph.routes(x), lambda: graph.gradients(), lambda: graph.to_svg(gradients=True), graph.reads):
        with pytest.raises(tn.InPlaceError, match=r"mul: its input w \(2,\) float64 was given new data after mul recorded it"):
            ask()
